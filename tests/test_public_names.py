"""What `from pytest_cnnaudit import …` gives, and that it costs nothing until used."""

import subprocess
import sys

import pytest

import pytest_cnnaudit

PROMISED = {
    "Audit",
    "AuditFailure",
    "Box",
    "Case",
    "CaseError",
    "Engine",
    "FilterPatterns",
    "Finding",
    "Heatmaps",
    "Layer",
    "LayerStats",
    "Mask",
    "Predictions",
    "Preprocessing",
    "load_cases",
}
HEAVY = {"keras", "tensorflow", "torch", "jax", "numpy", "PIL", "jinja2", "scipy", "pytest"}


@pytest.mark.parametrize("name", sorted({*PROMISED, *pytest_cnnaudit.__all__}))
def test_a_public_name_is_what_it_says(name):
    assert name in pytest_cnnaudit.__all__
    value = getattr(pytest_cnnaudit, name)
    assert value.__name__ == name
    assert value.__module__.startswith("pytest_cnnaudit.")


def test_every_public_name_is_listed_before_its_first_use():
    code = "import pytest_cnnaudit; print(*dir(pytest_cnnaudit)); import sys; print(*sys.modules)"
    names, modules = _run(code)
    assert set(names.split()) >= {*PROMISED, *pytest_cnnaudit.__all__, "__version__"}
    assert not HEAVY.intersection(modules.split())


def test_cases_are_light_to_import():
    code = "from pytest_cnnaudit import Box, Case; import sys; Case('cat.jpg', 'cat', Box(0, 0, 1, 1));"
    (modules,) = _run(code + "print(*sys.modules)")
    assert not HEAVY.intersection(modules.split())


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'pytest_cnnaudit' has no attribute 'Boxes'"):
        _ = pytest_cnnaudit.Boxes


def test_the_measures_are_public():
    from pytest_cnnaudit import metrics

    assert callable(metrics.mass_inside)


def _run(code):
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.splitlines()
