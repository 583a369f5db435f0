"""The project's own files agree with each other: commands, options, versions, links, what the wheel holds."""

import ast
import configparser
import os
import re
import shutil
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import pytest_cnnaudit
from pytest_cnnaudit import plugin
from pytest_cnnaudit.plugin import options

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
PAGES = {path: path.read_text("utf-8") for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]}
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
FLAGS = {option.flag for option in options.OPTIONS}

# Somebody's machine. Written so that this line does not match itself.
FOREIGN_PATH = re.compile(r"(?<![\w.~])/(?:home|root|work|opt|Users|mnt)/\w")
GENERATED = {"__pycache__", "build", "dist", "site"}


def tox() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "tox.ini")
    return parser


def commands(text: str) -> list[str]:
    """The lines of a text that set up a virtual environment and run tox in it."""
    return [line for line in text.splitlines() if line.startswith("python3 -m venv")]


def code_blocks(language: str) -> list[tuple[str, str]]:
    """(page, source) of every fenced block in a language; those that quote a file are the file's business."""
    found = [
        (path.name, block)
        for path, text in PAGES.items()
        for block in re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    ]
    return [(page, block) for page, block in found if "--8<--" not in block]


def written_files() -> list[Path]:
    """Every file that people wrote: not hidden (but for .ci), not generated, not the file that links a worktree."""
    files = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [
            name
            for name in folders
            if name == ".ci" or not (name[0] == "." or name in GENERATED or name.startswith("cnnaudit-report"))
        ]
        files += [Path(folder) / name for name in names if name != ".git"]  # a file in a worktree
    return files


def sources(folder: str) -> str:
    """All Python in a folder."""
    return "\n".join(path.read_text("utf-8") for path in sorted((ROOT / folder).rglob("*.py")))


def test_readme_has_a_command_for_the_demo_and_one_for_the_tests():
    setup = "python3 -m venv .venv && .venv/bin/pip install tox && .venv/bin/tox"
    assert commands(README) == [f"{setup} -e demo", setup]


def test_ci_runs_the_readmes_test_command_with_ci_set():
    script = ROOT / ".ci" / "run"
    text = script.read_text("utf-8")
    assert commands(text) == commands(README)[1:]
    assert "export CI=true" in text
    assert os.access(script, os.X_OK)


def test_plain_tox_runs_lint_types_docs_and_every_backend_but_not_the_demo():
    environments = tox()["tox"]["env_list"].split(", ")
    assert environments == ["lint", "types", "docs", "core", "tensorflow", "torch", "jax", "agreement"]
    assert "testenv:demo" in tox()
    assert set(PYPROJECT["project"]["optional-dependencies"]) <= set(environments)


def test_what_runs_without_a_backend_and_with_one_is_everything():
    """All of it with PyTorch; with the others what is marked, of the same folders but for what has no mark."""
    on_torch, elsewhere = tox()["testenv"]["commands"].strip().splitlines()
    with_backend = re.findall(r"tests/[\w./]+", on_torch)
    left_out = re.findall(r"--ignore (tests/[\w./]+)", tox()["testenv:core"]["commands"])
    assert with_backend == left_out
    assert all((ROOT / path).exists() for path in with_backend)
    assert on_torch.startswith("torch: pytest")
    assert " -m " not in on_torch
    assert elsewhere.startswith("tensorflow, jax: pytest")
    assert "-m every_backend " in elsewhere
    assert re.findall(r"tests/[\w./]+", elsewhere) == [path for path in with_backend if (ROOT / path).is_dir()]


def test_the_engine_is_tested_on_every_backend_and_of_other_rooms_what_is_marked(pytester):
    test = "import pytest\n\ndef test_plain(): pass\n\n@pytest.mark.{0}\ndef test_{0}(): pass\n"
    (pytester.path / "tests" / "engine").mkdir(parents=True)
    (pytester.path / "tests" / "audit").mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", pytester.path / "tests")
    (pytester.path / "tests" / "engine" / "test_engine.py").write_text(test.format("one_backend"))
    (pytester.path / "tests" / "audit" / "test_audit.py").write_text(test.format("every_backend"))
    markers = "\n  ".join(PYPROJECT["tool"]["pytest"]["ini_options"]["markers"])
    pytester.makeini(f"[pytest]\nmarkers =\n  {markers}\naddopts = --strict-markers")
    result = pytester.runpytest_inprocess("tests", "-m", "every_backend", "--collect-only", "-q")
    assert [line for line in result.outlines if "::" in line] == [
        "tests/audit/test_audit.py::test_every_backend",
        "tests/engine/test_engine.py::test_plain",
    ]
    both = "import pytest\n@pytest.mark.every_backend\n@pytest.mark.one_backend\ndef test_both(): pass\n"
    (pytester.path / "tests" / "engine" / "test_engine.py").write_text(both)
    result = pytester.runpytest_inprocess("tests")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*test_both is marked every_backend and one_backend; it can't be both"])


def test_of_every_room_that_needs_a_backend_something_runs_on_each():
    assert "mark.every_backend" in sources("tests/audit")
    assert "mark.every_backend" in sources("tests/plugin/with_model")


def test_the_demo_and_the_suite_it_runs_exist():
    command = tox()["testenv:demo"]["commands"].split()
    assert command[0] == "python"
    assert (ROOT / command[1]).is_file()
    assert (ROOT / "examples/release_gate/test_release_gate.py").is_file()


def test_the_sweep_over_the_architectures_is_run_on_demand_and_exists():
    assert "architectures" not in tox()["tox"]["env_list"]
    command = tox()["testenv:architectures"]["commands"].split()
    assert command[0] == "pytest"
    assert (ROOT / command[1]).is_file()


def test_the_models_of_known_truth_are_judged_on_demand():
    assert "truth" not in tox()["tox"]["env_list"]
    command = tox()["testenv:truth"]["commands"].split()
    assert command[0] == "python"
    assert (ROOT / command[1]).is_file()


def test_readme_names_every_option_and_no_page_names_an_unknown_one():
    named = {path: set(re.findall(r"--cnnaudit(?:-[a-z]+)+", text)) for path, text in PAGES.items()}
    assert named[ROOT / "README.md"] == FLAGS
    assert {path: flags - FLAGS for path, flags in named.items() if flags - FLAGS} == {}


def test_pages_name_only_ini_keys_and_fixtures_that_exist():
    keys = {option.key for option in options.OPTIONS}
    words = {word for text in PAGES.values() for word in re.findall(r"(?<![\w.])cnnaudit_[a-z_]+", text)}
    assert {word for word in words if word not in keys and not hasattr(plugin, word)} == set()


@pytest.mark.parametrize(("page", "source"), code_blocks("python"))
def test_code_in_the_pages_is_python(page, source):
    ast.parse(source)


@pytest.mark.parametrize(("page", "source"), code_blocks("toml"))
def test_configuration_in_the_pages_sets_known_keys(page, source):
    table = tomllib.loads(source)["tool"]["pytest"]["ini_options"]
    assert set(table) <= {option.key for option in options.OPTIONS}


def test_links_between_files_lead_somewhere():
    links = [(path, link) for path, text in PAGES.items() for link in re.findall(r"\]\(([^)#]+)", text)]
    local = [(path, link) for path, link in links if not link.startswith("http")]
    assert len(local) > 10
    assert [(path.name, link) for path, link in local if not (path.parent / link).exists()] == []


def test_no_file_speaks_of_somebodys_machine():
    found = {
        str(path.relative_to(ROOT)): match[0]
        for path in written_files()
        if (match := FOREIGN_PATH.search(path.read_bytes().decode("utf-8", "replace")))
    }
    assert found == {}


def test_the_package_imports_its_dependencies_and_the_backends_alone():
    imports = re.findall(
        r"^ *(?:from|import) (\w+)(?:\.\w+)*(?: import| as|  #|$)", sources("pytest_cnnaudit"), re.MULTILINE
    )
    declared = {re.split("[>=]", one)[0] for one in PYPROJECT["project"]["dependencies"]}
    backends = set(PYPROJECT["project"]["optional-dependencies"])
    with_them = {"PIL", "h5py", "markupsafe"}  # Pillow, Keras and Jinja2 bring these
    known = sys.stdlib_module_names | {"pytest_cnnaudit"} | declared | with_them | backends
    assert {"numpy", "PIL", "torch"} < set(imports)
    assert set(imports) - known == set()


def test_versions_agree():
    version = PYPROJECT["project"]["version"]
    assert pytest_cnnaudit.__version__ == version
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_the_wheel_holds_the_whole_package_and_nothing_else(tmp_path):
    wheels = pytest.importorskip("hatchling.builders.wheel", reason="the dependency group `core` is not installed")
    (wheel,) = wheels.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    names = set(zipfile.ZipFile(wheel).namelist())
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "pytest_cnnaudit").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"pytest_cnnaudit/py.typed", "pytest_cnnaudit/report/templates/index.html.j2"} <= package
    assert {name for name in names if ".dist-info/" not in name} == package
