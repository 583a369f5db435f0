"""The documentation has what the code has: every option, every assertion with its signature and defaults."""

import importlib.util
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from pytest_cnnaudit.audit import ASSERTIONS, Audit, RuleArguments
from pytest_cnnaudit.plugin import options

ROOT = Path(__file__).resolve().parent.parent
PAGES = {path: path.read_text("utf-8") for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]}


@pytest.fixture(scope="module")
def hooks():
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    return hooks


def test_the_documentations_table_has_a_row_for_every_option(hooks):
    page = hooks.on_page_markdown(PAGES[ROOT / "docs" / "writing-tests.md"])
    rows = re.findall(r"^\| `(--cnnaudit-[a-z-]+)` \|", page, re.MULTILINE)
    assert rows == [option.flag for option in options.OPTIONS]


def test_the_documentations_table_has_a_row_for_every_assertion_with_its_defaults(hooks):
    page = hooks.on_page_markdown(PAGES[ROOT / "docs" / "writing-tests.md"])
    rows = re.findall(r"^\| [^|`]*\| `([a-z_]+)(\(.*\))` \| [^|]+ \|$", page, re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(one.function.__name__ for one in ASSERTIONS.values())
    for name, arguments in rows:
        written: dict[str, Any] = {}
        exec(f"def written{arguments}: ...", written)
        assert defaults(inspect.signature(written["written"])) == {
            argument: default
            for argument, default in defaults(inspect.signature(getattr(Audit, name))).items()
            if argument not in ("self", *RuleArguments.__annotations__)
        }


def defaults(signature: inspect.Signature) -> dict[str, Any]:
    return {name: (one.kind, one.default) for name, one in signature.parameters.items()}


def test_the_docs_are_not_built_without_an_assertions_signature_and_defaults(hooks):
    iou = ASSERTIONS["iou"]
    shown = re.sub(r"\(self, ", "(", f"assert_iou{inspect.signature(iou.function)}")

    def page(signature):
        text = signature.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return (
            f'<h3 id="{hooks.address(iou)}">assert_iou</h3>'
            f'<div class="doc-signature highlight"><pre><span>{text}</span></pre></div>'
        )

    assert list(hooks.missing(iou, page(shown))) == []
    assert list(hooks.missing(iou, "")) == ["assert_iou has no signature"]
    [problem] = hooks.missing(iou, page(re.sub(r"threshold: 'float' = 0.15, ", "", shown)))
    assert problem == "assert_iou is shown without threshold"
    [problem] = hooks.missing(iou, page(shown.replace("mostly: 'float' = 1.0", "mostly: 'float' = 0.9")))
    assert problem == "assert_iou is shown with mostly=0.9, not 1.0"


def test_readme_and_documentation_name_the_assertions_there_are(hooks):
    there = {one.function.__name__ for one in ASSERTIONS.values()}
    assert len(there) > 20
    named = {
        path: set(re.findall(r"\bassert_[a-z_]+", hooks.on_page_markdown(text)))
        - set(re.findall(r"^def (assert_[a-z_]+)", text, re.MULTILINE))  # the example of one's own
        for path, text in PAGES.items()
    }
    for path in (ROOT / "README.md", ROOT / "docs" / "writing-tests.md"):
        assert named[path] | {"check"} == there, path.name
    assert set().union(*named.values()) | {"check"} == there
