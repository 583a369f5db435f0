"""A run that audits nothing pays nothing: no heavy import, no file."""

import pytest

from pytest_cnnaudit.plugin import options

HEAVY = {"keras", "tensorflow", "torch", "jax", "numpy", "PIL", "jinja2", "scipy"}
CONFTEST = """
import sys

def pytest_unconfigure(config):
    print("MODULES", *sorted(sys.modules))
"""


@pytest.mark.parametrize(("arguments", "left"), [((), {".pytest_cache"}), (("-p", "no:cacheprovider"), set())])
def test_a_run_without_audits_imports_and_writes_nothing(pytester, monkeypatch, arguments, left):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(
        """
        import unittest

        def add(a, b):
            '''
            >>> add(1, 2)
            3
            '''
            return a + b

        def test_addition():
            assert add(1, 2) == 3

        def test_failure():
            assert add(1, 2) == 4

        class TestOld(unittest.TestCase):
            def test_addition(self):
                self.assertEqual(add(1, 2), 3)
        """
    )
    before = {path.name for path in pytester.path.iterdir()}
    result = pytester.runpytest_subprocess("--doctest-modules", *arguments)
    result.assert_outcomes(passed=3, failed=1)
    modules = next(line for line in result.outlines if line.startswith("MODULES")).split()
    assert not HEAVY.intersection(modules)
    ours = [name for name in modules if name.partition(".")[0] == "pytest_cnnaudit"]
    assert "pytest_cnnaudit.plugin" in ours
    assert len(ours) <= 4
    # pytester itself writes the output there, and puts the base of temporary folders there.
    new = {path.name for path in pytester.path.iterdir()} - before - {"stdout", "stderr"}
    assert {name for name in new if not name.startswith("runpytest-")} == left


def test_the_help_shows_every_option(pytester):
    lines = pytester.runpytest_inprocess("--help").outlines
    text = " ".join(" ".join(lines).split())
    for option in options.OPTIONS:
        for words in (option.flag, f"[{option.variable}, ini {option.key}]", f"{option.key} ({option.ini_type}):"):
            assert words in text
