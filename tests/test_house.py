"""The house: the order of its rooms, no circles, nothing private across modules, sizes, names and places.

`python tests/house.py` lists what breaks a rule, for all of them.
"""

from pathlib import Path

import house
import pytest

ROOT = Path(__file__).resolve().parents[1]
HERE = house.House(ROOT)


@pytest.mark.parametrize("rule", house.RULES)
def test_the_house_is_in_order(rule):
    broken = house.RULES[rule](HERE)
    assert not broken, "\n".join([f"{len(broken)} of {rule}:", *sorted(broken)])


def test_all_of_the_project_is_looked_at():
    assert {f"{house.PACKAGE}.checks", f"{house.PACKAGE}.engine.engine", house.PACKAGE} <= set(HERE.modules)
    assert {"house", "test_house"} <= {script.name for script in HERE.scripts("tests")}
    assert all(HERE.scripts(folder) for folder in house.SCRIPTS)
    assert HERE.public_names["Case"] in (f"{house.PACKAGE}.cases", f"{house.PACKAGE}.cases.case")


# Every rule can fail: small projects that break one each, and what comes close to it and is right.

INIT = """
import importlib
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from pytest_cnnaudit.cases import Case
__version__ = "1"
_ROOMS = {"cases": ("Case",), "audit": ("Audit",)}
def __getattr__(name):
    return importlib.import_module("pytest_cnnaudit.audit")
"""
SOUND = {
    "pytest_cnnaudit/__init__.py": INIT,
    "pytest_cnnaudit/checks.py": "import math\n",
    "pytest_cnnaudit/cases/__init__.py": "from pytest_cnnaudit.cases.case import Case\n",
    "pytest_cnnaudit/cases/case.py": "from pytest_cnnaudit.cases.regions import Box\nclass Case: pass\n",
    "pytest_cnnaudit/cases/regions.py": "from pytest_cnnaudit.checks import number\nclass Box: pass\n",
    "pytest_cnnaudit/audit/__init__.py": "from pytest_cnnaudit import Case, __version__\nclass Audit: pass\n",
    "pytest_cnnaudit/plugin/__init__.py": "from pytest_cnnaudit.audit import Audit\n",
    "pytest_cnnaudit/cli/__init__.py": "from pytest_cnnaudit import Audit, Case\n",
    "pytest_cnnaudit/engine/models/keras/__init__.py": "import keras\n",
    "tests/house.py": "",
    "tests/test_project.py": "import house\nimport pytest_cnnaudit\n",
    "tests/cases/test_case.py": "import pictures\nfrom pytest_cnnaudit.cases import Case\n",
    "tests/cases/pictures.py": "",
    "tests/audit/test_audit.py": "import house\nfrom pytest_cnnaudit import Case\n",
    "tests/engine/test_engine.py": "",
    "tests/plugin/test_plugin.py": "from pytest_cnnaudit import Audit\n",
    "tests/cli/test_cli.py": "",
}


@pytest.fixture
def build(tmp_path):
    def build(changes):
        for place, text in (SOUND | changes).items():
            path = tmp_path / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        return house.House(tmp_path)

    return build


def broken(built, but=()):
    return {name: lines for name, rule in house.RULES.items() if name not in but and (lines := rule(built))}


def test_a_sound_house_breaks_no_rule(build):
    assert broken(build({})) == {}


PLACES = ("cases/coco", "cases/regions", "audit/audit", "engine/models/keras/x")
COCO, REGIONS, AUDIT, KERAS = (f"pytest_cnnaudit/{place}.py" for place in PLACES)
LONG = "\n".join(["x = 1"] * 401)


def function(lines):
    return "def long(\n    a,\n):\n" + "    a = 1\n" * (lines - 3)


@pytest.mark.parametrize(
    ("rule", "changes", "expected"),
    [
        ("order of the rooms", {COCO: "import math\nfrom pytest_cnnaudit.audit import Audit"}, "coco.py:2: cases imp"),
        ("order of the rooms", {COCO: "def f():\n    import pytest_cnnaudit.audit"}, "coco.py:2"),
        ("order of the rooms", {COCO: "if TYPE_CHECKING:\n    from ..audit import Audit"}, "coco.py:2"),
        ("order of the rooms", {COCO: "from .. import audit"}, "pytest_cnnaudit.audit, but audit comes later"),
        ("order of the rooms", {COCO: "from pytest_cnnaudit import Audit"}, "but audit comes later"),
        ("order of the rooms", {COCO: "import_module('pytest_cnnaudit.audit.rule')"}, "pytest_cnnaudit.audit.rule"),
        ("order of the rooms", {COCO: "importlib.import_module('..audit', __package__)"}, "pytest_cnnaudit.audit"),
        ("order of the rooms", {COCO: "from pytest_cnnaudit.plugin import run"}, "but plugin comes later"),
        ("order of the rooms", {AUDIT: "from pytest_cnnaudit.cli import main"}, "but cli comes later"),
        ("order of the rooms", {"pytest_cnnaudit/checks.py": "import pytest_cnnaudit.engine"}, "checks imports"),
        ("order of the rooms", {"pytest_cnnaudit/attic.py": ""}, "attic.py lies in no room"),
        (
            "circles",
            {REGIONS: "from pytest_cnnaudit.cases.case import Case"},
            "regions.py:1",
        ),
        ("circles", {REGIONS: "def f():\n    from . import case"}, "regions.py:2 imports"),
        (
            "circles",
            {REGIONS: "if TYPE_CHECKING:\n    import pytest_cnnaudit.cases.case"},
            ":2",
        ),
        ("circles", {COCO: "from pytest_cnnaudit.cases import Case"}, "coco.py:1 imports"),
        ("circles", {COCO: "from pytest_cnnaudit import Case"}, "coco.py:1 imports"),
        (
            "private names",
            {AUDIT: "from pytest_cnnaudit.cases.case import _key"},
            "audit.py:1: pytest_cnnaudit.cases.c",
        ),
        ("private names", {AUDIT: "import pytest_cnnaudit.cases._case"}, "_case is private"),
        ("private names", {AUDIT: "from _pytest.config import Config"}, "private to a library"),
        ("private names", {KERAS: "from keras.src import backend"}, "keras.src.backend is private to a library"),
        ("private names", {KERAS: "import keras\nmodel._layers()"}, "x.py:2: model._layers"),
        ("private names", {AUDIT: "class A:\n    def f(self):\n        self._a._b = 1"}, "audit.py:3: self._a._b"),
        ("private names", {AUDIT: "class A:\n    def f(self, other):\n        other._a = 1"}, "other._a"),
        ("private names", {AUDIT: "getattr(x, '_a', None)"}, "x._a"),
        ("private names", {AUDIT: "class A:\n    def f(self, other):\n        self._a = other._a"}, "other._a"),
        ("frameworks", {AUDIT: "from pytest_cnnaudit.engine.models.keras import x"}, "imports pytest_cnnaudit.engine"),
        ("private names", {AUDIT: "object.__setattr__(x, '_a', 1)"}, "x._a"),
        ("lines of a module", {AUDIT: LONG}, "audit.py has 401 lines"),
        ("lines of a function", {AUDIT: function(61)}, "audit.py:1: long has 61 lines"),
        ("lines of a function", {AUDIT: "async " + function(61)}, "audit.py:1: long has 61 lines"),
        ("lines of a script", {"tests/audit/test_audit.py": "\n" * 501}, "tests/audit/test_audit.py has 501 lines"),
        ("lines of a script", {"truth/run.py": "\n" * 501}, "truth/run.py has 501 lines"),
        ("frameworks", {AUDIT: "def f():\n    from keras import ops"}, "audit.py:2 imports keras"),
        ("frameworks", {"pytest_cnnaudit/engine/models/x.py": "import torch.nn as nn"}, "x.py:1 imports torch.nn"),
        ("frameworks", {AUDIT: "importlib.import_module('jax.numpy')"}, "audit.py:1 imports jax.numpy"),
        ("names of modules", {"pytest_cnnaudit/audit/utils.py": ""}, "audit/utils.py: 'utils' does not say"),
        ("names of modules", {"pytest_cnnaudit/audit/trust/__init__.py": ""}, "'trust' does not say"),
        ("places of tests", {"pytest_cnnaudit/gate/__init__.py": ""}, "tests/gate holds no test"),
        ("places of tests", {"tests/attic/test_gate.py": ""}, "tests/attic is not named after a room"),
        ("places of tests", {"tests/test_regions.py": ""}, "tests/test_regions.py is about cases"),
        ("later rooms in tests", {"tests/cases/test_case.py": "\nfrom pytest_cnnaudit import Audit"}, "test_case.py:2"),
        ("later rooms in tests", {"tests/audit/test_audit.py": "import pytest_cnnaudit.plugin"}, "tests/plugin"),
        (
            "helpers of tests",
            {"tests/audit/test_audit.py": "import os\nimport pictures"},
            "test_audit.py:2",
        ),
        ("helpers of tests", {"tests/audit/test_audit.py": "from tests.cases.pictures import x"}, "imports pictures"),
        ("helpers of tests", {"tests/audit/test_audit.py": "from conftest import x"}, "imports conftest"),
        ("helpers of tests", {"tests/test_project.py": "def test():\n    import pictures"}, "test_project.py:2"),
        ("helpers of tests", {"tests/audit/pictures.py": ""}, "2 modules called pictures"),
    ],
)
def test_what_breaks_a_rule_is_told_with_its_place(build, rule, changes, expected):
    found = broken(build(changes))
    assert list(found) == [rule]
    [line] = found[rule]
    assert expected in line


@pytest.mark.parametrize(
    "changes",
    [
        {AUDIT: "import pytest_cnnaudit.checks\nfrom pytest_cnnaudit import Case, __version__"},
        {COCO: "from pytest_cnnaudit.cases.case import Case\nfrom . import regions"},
        {"pytest_cnnaudit/plugin/hooks.py": "from pytest_cnnaudit.cli import main\nimport pytest_cnnaudit.audit"},
        {AUDIT: "class A:\n    def f(self): self._a, type(self)._a, super()._a, A._a, row._asdict(), self.__dict__"},
        {AUDIT: "class A:\n    @classmethod\n    def f(cls):\n        one = cls()\n        one._a = 1"},
        {AUDIT: "class A:\n    @classmethod\n    def f(cls): return cls._a\nfrom __future__ import annotations"},
        {"pytest_cnnaudit/engine/models/keras/private.py": "from keras.src import backend\nmodel._layers"},
        {AUDIT: '"""' + "\n" * 400 + '"""\n' + "# comment\n\n" * 400 + LONG[:-6]},
        {AUDIT: function(60) + '    # comment\n\n    """Text\n    over lines.\n    """\n'},
        {KERAS: "import tensorflow as tf\nimport jax"},
        {"tests/audit/test_audit.py": "\n" * 500},
        {"tests/cases/deeper/test_pictures.py": "import pictures, house"},
        {"tests/audit/conftest.py": "", "tests/cases/conftest.py": ""},
    ],
)
def test_what_comes_close_is_right(build, changes):
    assert broken(build(changes)) == {}


def test_all_that_breaks_a_rule_is_listed_on_demand(build, capsys):
    assert house.main(build({}).root) == 0
    assert capsys.readouterr().out == ""
    built = build({AUDIT: "import torch", "pytest_cnnaudit/audit/words.py": ""})
    assert house.main(built.root) == 1
    text = capsys.readouterr().out
    assert text.startswith("frameworks: 1\n  pytest_cnnaudit/audit/audit.py:1 imports torch; only ")
    assert "names of modules: 1\n  pytest_cnnaudit/audit/words.py" in text
