"""Pictures, and runs of suites about them. What needs a model has one in `with_model`, and what hasn't no backend."""

import csv
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

CLASS_NAMES = ("red", "green", "none")
SQUARE = (8, 8, 20, 20)
"""Left, top, right, bottom of the object, on the borders of the heatmap's cells of 2 × 2 pixels."""
STAMP = (24, 24, 32, 32)
SIZE = 32
HYPOTHESIS = "no:hypothesispytest"
"""Its plugin imports all of hypothesis at the end of a run, and in a run inside of this process every time anew."""


@dataclass(frozen=True)
class Kit:
    """Files that a suite is about."""

    folder: Path

    @property
    def model(self) -> Path:
        return self.folder / "candidate.keras"

    @property
    def class_names(self) -> Path:
        return self.folder / "class_names.txt"

    @property
    def cases(self) -> Path:
        """A red square and a green one; both are where the annotation says."""
        return self.folder / "cases.csv"

    @property
    def red(self) -> Path:
        return self.folder / "red.png"

    @property
    def green(self) -> Path:
        return self.folder / "green.png"

    @property
    def stamped(self) -> Path:
        """The square is grey and only the stamp is red: right for the wrong reason."""
        return self.folder / "stamped.png"


@pytest.fixture(scope="session")
def kit(tmp_path_factory) -> Kit:
    """Everything but the model."""
    kit = Kit(tmp_path_factory.mktemp("kit"))
    kit.class_names.write_text("\n".join(CLASS_NAMES))
    draw(kit.red, {SQUARE: "red"})
    draw(kit.green, {SQUARE: "lime"})
    draw(kit.stamped, {SQUARE: "grey", STAMP: "red"})
    with kit.cases.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("image", "label", "left", "top", "right", "bottom"))
        rows.writerows((name.name, name.stem, *SQUARE) for name in (kit.red, kit.green))
    import_what_a_run_imports()
    return kit


def draw(path: Path, squares) -> None:
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (SIZE, SIZE))
    for (left, top, right, bottom), colour in squares.items():
        ImageDraw.Draw(picture).rectangle((left, top, right - 1, bottom - 1), fill=colour)
    picture.save(path)


def import_what_a_run_imports() -> None:
    """pytester forgets what a run in this process imported, and NumPy can't be imported twice."""
    import scipy.stats  # noqa: F401

    import pytest_cnnaudit.audit
    import pytest_cnnaudit.cases
    import pytest_cnnaudit.plugin.named_assertions
    import pytest_cnnaudit.plugin.session
    import pytest_cnnaudit.report  # noqa: F401


class Suite:
    """A folder with an ini that names the kit's files; `run` runs pytest there."""

    def __init__(self, pytester: pytest.Pytester, kit: Kit) -> None:
        self.pytester = pytester
        self.kit = kit
        self.report = pytester.path / "cnnaudit-report"

    def write(self, source: str = "", **files: str) -> None:
        """Test files; each knows the kit's pictures as Cases called RED, GREEN and STAMPED."""
        files = {name: self.header + text for name, text in files.items()}
        if source:
            files["test_suite"] = self.header + source
        self.pytester.makepyfile(**files)

    @property
    def header(self) -> str:
        region = f"Box{SQUARE}, Box{STAMP}"
        return (
            "import os, pytest\nfrom pytest_cnnaudit import Box, Case\n"
            f"RED = Case({str(self.kit.red)!r}, 'red', {region}, 'red one')\n"
            f"GREEN = Case({str(self.kit.green)!r}, 'green', {region}, 'green one')\n"
            f"STAMPED = Case({str(self.kit.stamped)!r}, 'red', {region}, 'stamped one')\n"
        )

    def ini(self, **extra: object) -> None:
        options = {"model": self.kit.model, "class_names": self.kit.class_names, "cases": self.kit.cases, **extra}
        lines = [f"cnnaudit_{name} = {value}" for name, value in options.items() if value is not None]
        self.pytester.makeini("\n".join(["[pytest]", *lines]))

    def run(self, *arguments: object) -> pytest.RunResult:
        """In this process."""
        plain = ("-p", "no:cacheprovider", "-p", HYPOTHESIS)
        return self.pytester.runpytest_inprocess(*plain, *arguments, no_reraise_ctrlc=True)

    def run_apart(self, *arguments: object) -> pytest.RunResult:
        """In a process of its own."""
        return self.pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)

    @property
    def record(self):
        return json.loads((self.report / "record.json").read_text("utf-8"), parse_constant=_refuse)

    @property
    def findings(self):
        return self.record["findings"]

    def outcomes(self) -> list[tuple[str, str, str]]:
        """(test's own name, audit, outcome) of every finding, in the record's order."""
        return [(one["test"].split("::", 1)[1], one["name"], one["outcome"]) for one in self.findings]

    def page(self, test: str) -> str:
        """The page of a test of `test_suite.py`."""
        from pytest_cnnaudit.record.page_names import page_name

        return (self.report / "tests" / f"{page_name(test)}.html").read_text("utf-8")

    def files(self) -> set[str]:
        """Everything in the report's folder."""
        return {str(path.relative_to(self.report)) for path in self.report.rglob("*") if path.is_file()}


def _refuse(constant):
    raise AssertionError(f"{constant} is no JSON")


@pytest.fixture
def suite(pytester, kit, monkeypatch, tmp_path) -> Suite:
    # Keras writes its settings into the home folder, which pytester puts where the suite is.
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    for name in [name for name in sys.modules if name.startswith("test_suite")]:
        monkeypatch.delitem(sys.modules, name)
    suite = Suite(pytester, kit)
    suite.ini()
    return suite
