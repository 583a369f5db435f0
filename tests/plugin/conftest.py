"""A tiny model whose heatmaps are known exactly, pictures for it, and runs of suites against them.

The model tells a red square from a green one: its heatmap lies on the square of the class's colour and nowhere
else. Its three convolutions get sparser with depth, and a red and a green picture together leave no channel dead.
"""

import csv
import json
import sys
import warnings
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
def kit(tmp_path_factory, backend) -> Kit:
    kit = Kit(tmp_path_factory.mktemp("kit"))
    with warnings.catch_warnings():
        # Keras' own conversion of a tensor uses what NumPy 2 deprecates.
        warnings.simplefilter("ignore", DeprecationWarning)
        build_model().save(kit.model)
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


def build_model():
    import keras
    import numpy as np

    picture = keras.Input((SIZE, SIZE, 3), name="picture")
    # Redness, greenness, and a brightness that is positive everywhere.
    colours = keras.layers.Conv2D(3, 1, activation="relu", name="colours")
    # The same on cells of 2 × 2 pixels; the brightness is zero on black.
    cells = keras.layers.Conv2D(3, 2, strides=2, activation="relu", name="cells")
    # The brightness fires only where all cells around are bright.
    inner = keras.layers.Conv2D(3, 3, padding="same", activation="relu", name="inner")
    head = keras.layers.Dense(3, activation="softmax", name="head")
    x = inner(cells(colours(picture)))
    model = keras.Model(picture, head(keras.layers.GlobalAveragePooling2D(name="pool")(x)), name="candidate")

    kernel = np.array([[1, -1, 1], [-1, 1, 1], [0, 0, 1]], np.float32) / 255
    colours.set_weights([kernel[None, None], np.array([0, 0, 0.1], np.float32)])
    cells.set_weights([np.tile(np.eye(3, dtype=np.float32) / 4, (2, 2, 1, 1)), np.array([0, 0, -0.2], np.float32)])
    inner_kernel = np.zeros((3, 3, 3, 3), np.float32)
    inner_kernel[1, 1, 0, 0] = inner_kernel[1, 1, 1, 1] = 1
    inner_kernel[:, :, 2, 2] = 1
    inner.set_weights([inner_kernel, np.array([0, 0, -7], np.float32)])
    head.set_weights([np.array([[40, -40, 0], [-40, 40, 0], [0, 0, 0]], np.float32), np.array([0, 0, 1], np.float32)])
    return model


def draw(path: Path, squares) -> None:
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (SIZE, SIZE))
    for (left, top, right, bottom), colour in squares.items():
        ImageDraw.Draw(picture).rectangle((left, top, right - 1, bottom - 1), fill=colour)
    picture.save(path)


def import_what_a_run_imports() -> None:
    """pytester forgets what a run in this process imported, and TensorFlow and JAX can't be imported twice."""
    import scipy.stats  # noqa: F401

    import pytest_cnnaudit.audit
    import pytest_cnnaudit.loaders
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
