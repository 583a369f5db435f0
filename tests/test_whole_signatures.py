"""An assertion's signature is the same to Python, to `help()`, to mypy and in the documentation."""

import inspect
import pydoc
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_cnnaudit.audit import ASSERTIONS, Audit, Rule

ROOT = Path(__file__).resolve().parent.parent
NAMES = sorted(entry.function.__name__ for entry in ASSERTIONS.values())
RULE = {"mostly": ("float", 1.0), "confidence": ("float | None", None), "min_n": ("int | None", None)}
RULE["by"] = ("Literal['label', 'group'] | None", None)
JUDGE_CASES = {
    *("predicts", "mass_inside", "avoids", "points_at", "iou", "grid_pointing", "object_matters", "object_suffices"),
    *("ignores_patch", "ignores_background", "class_discriminative", "faithful", "stable", "follows"),
    "responds_to_weights",
}
FOR_MYPY = """
from pytest_cnnaudit import Audit, Box, Case

CASE = Case("cat.jpg", label="cat", region=Box(0, 0, 1, 1))

def test(cnnaudit: Audit) -> None:
    cnnaudit.assert_mass_inside(CASE, at_least=0.6, mostly=0.9)
    cnnaudit.assert_ignores_patch(["cat.jpg"], "stamp.png", by="group", min_n=3, confidence=None)
    cnnaudit.check("figure", 0.5, at_least=0.4)
    cnnaudit.assert_mass_inside(CASE, at_lest=0.6)
    cnnaudit.assert_mass_inside(CASE, mostli=0.9)
    cnnaudit.assert_mass_inside(CASE, mostly="most")
    cnnaudit.assert_mass_inside(CASE, by="class")
    cnnaudit.assert_no_dead_filters([CASE], mostly=0.9)
    cnnaudit.assert_mas_inside(CASE)
"""
TO_MYPY = [
    'Unexpected keyword argument "at_lest"',
    'Unexpected keyword argument "mostli"',
    'Argument "mostly" has incompatible type "str"; expected "float"',
    "Argument \"by\" has incompatible type \"Literal['class']\"; expected \"Literal['label', 'group'] | None\"",
    'Unexpected keyword argument "mostly"',
    '"Audit" has no attribute "assert_mas_inside"; maybe "assert_mass_inside"',
]


def signature_of(name):
    return inspect.signature(getattr(Audit, name))


def seen(name):
    """Name, kind, annotation and default of each parameter but `self`."""
    parameters = list(signature_of(name).parameters.values())[1:]
    return [(one.name, one.kind.description, one.annotation, one.default) for one in parameters]


def test_these_judge_cases_one_by_one_and_take_the_rule():
    found = {name for name, entry in ASSERTIONS.items() if "mostly" in entry.signature.parameters}
    assert found == JUDGE_CASES


@pytest.mark.parametrize("name", sorted(JUDGE_CASES))
def test_the_rule_comes_last_with_its_defaults(name):
    assert seen(f"assert_{name}")[-4:] == [
        (argument, "keyword-only", annotation, default) for argument, (annotation, default) in RULE.items()
    ]
    assert vars(Rule()) == {argument: default for argument, (_, default) in RULE.items()}


@pytest.mark.parametrize("name", NAMES)
def test_help_shows_the_signature_and_what_it_is_about(name):
    text = pydoc.render_doc(getattr(Audit, name), renderer=pydoc.plaintext)
    assert f"{name}{signature_of(name)}" in text
    assert inspect.getdoc(getattr(Audit, name)).splitlines()[0] in text


def test_help_of_the_whole_class_has_each():
    text = pydoc.render_doc(Audit, renderer=pydoc.plaintext)
    assert [name for name in NAMES if f"  {name}{signature_of(name)}" not in text] == []


@pytest.fixture(scope="module")
def to_mypy(tmp_path_factory):
    """What mypy says of calls, and how it reveals each assertion."""
    pytest.importorskip("mypy", reason="the dependency group `core` is not installed")
    file = tmp_path_factory.mktemp("mypy") / "test_typed.py"
    reveal = "".join(f"    reveal_type(cnnaudit.{name})\n" for name in NAMES)
    file.write_text(f"{FOR_MYPY}{reveal}", "utf-8")
    options = ["--strict", "--no-error-summary", "--config-file", ROOT / "pyproject.toml", "--cache-dir", file.parent]
    run = subprocess.run(
        [sys.executable, "-m", "mypy", *options, file], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert run.returncode == 1, run.stderr
    return re.findall(rf"{file.name}:\d+: (\w+): (.*)", run.stdout)


def test_mypy_accepts_what_is_right_and_says_what_is_wrong(to_mypy):
    errors = [text for kind, text in to_mypy if kind == "error"]
    assert len(errors) == len(TO_MYPY)
    assert [start for start, text in zip(TO_MYPY, errors, strict=True) if not text.startswith(start)] == []


def test_mypy_sees_the_same_arguments(to_mypy):
    revealed = dict(zip(NAMES, (text for kind, text in to_mypy if text.startswith("Revealed type is")), strict=True))
    for name, text in revealed.items():
        found = re.search(r'"def \((.*)\) -> ', text)[1]
        arguments = re.findall(r"(?:^|, )(\**\w*)(?:: (.*?))?( =)?(?=, \**\w+:|, \*,|$)", found)
        named = [(argument, bool(default)) for argument, _, default in arguments if argument.strip("*")]
        expected = []
        for one in list(signature_of(name).parameters.values())[1:]:
            prefix = "**" if one.kind is one.VAR_KEYWORD else ""
            expected.append((f"{prefix}{one.name}", one.default is not one.empty))
        assert named == expected, name
        if name.removeprefix("assert_") in JUDGE_CASES:
            assert found.endswith(
                "mostly: float =, confidence: float | None =, min_n: int | None =, "
                "by: Literal['label'] | Literal['group'] | None ="
            )


def test_the_documentation_shows_the_same():
    griffe = pytest.importorskip("griffe", reason="the dependency group `core` is not installed")
    extensions = griffe.load_extensions(str(ROOT / "docs" / "signatures.py"))
    package = griffe.load("pytest_cnnaudit", search_paths=[ROOT], extensions=extensions)
    for name in NAMES:
        module = getattr(Audit, name).__module__.partition(".")[2]
        function = package[f"{module}.{name}"]
        shown = [
            (one.name, one.kind.value, str(one.annotation), None if one.default is None else str(one.default))
            for one in function.parameters
        ]
        expected = [
            (
                argument,
                kind,
                annotation.replace('"', "'"),
                None if default is inspect.Parameter.empty else repr(default),
            )
            for argument, kind, annotation, default in seen(name)
        ]
        assert shown == expected, name
        assert function.docstring.value == inspect.getdoc(getattr(Audit, name))
