"""The faults that take no training: each is noticed by the assertion that must, and is the only thing wrong.

`tox -e truth` judges them with the whole catalogue, and trained models too, for docs/planted-faults.md.
"""

import catalogue
import keras
import numpy as np
import pytest
from faults import FIXTURES, PLANTED, TRAINED, engine_of, honest

from pytest_cnnaudit import Preprocessing, load_cases
from pytest_cnnaudit.audit import Audit

PICTURES = 24
INSIDE = ("dead filters", "duplicated filters", "filters that are never silent", "pruned filters")

# Backends agree on all but on what lies beyond float32.
BEYOND = ("exploding activations",)

pytestmark = pytest.mark.filterwarnings("ignore::pytest_cnnaudit.PreprocessingWarning")


def backends(fault):
    return [pytest.mark.every_backend] if fault.name in BEYOND else []


@pytest.fixture(scope="module")
def cases():
    return load_cases(FIXTURES / "validation.json")


def red(engine, cases, names):
    """Those of the assertions that the model does not pass."""
    tests = catalogue.existing(PICTURES)
    found = catalogue.judge(engine, cases, {name: tests[name] for name in names if name in tests})
    return {name for name, finding in found.items() if finding.outcome != "passed"}


@pytest.mark.every_backend
def test_the_honest_model_passes_everything(cases):
    assert red(engine_of(honest()), cases, catalogue.CATALOGUE) == set()


@pytest.mark.parametrize("fault", [pytest.param(one, id=one.name, marks=backends(one)) for one in PLANTED])
def test_a_fault_is_noticed(fault, cases):
    assert red(fault.engine(), cases, fault.caught_by) == set(fault.caught_by)


@pytest.mark.parametrize("fault", [one for one in PLANTED if one.name in INSIDE], ids=lambda fault: fault.name)
def test_a_fault_that_changes_nothing_else_is_noticed_by_no_other_assertion(fault, cases):
    names = ("mass_inside", "predicts", "sparsity_rises", "no_dead_filters", "no_duplicate_filters")
    assert red(fault.engine(), cases, names) == set(fault.caught_by).intersection(names)


def test_every_assertion_has_a_fault_that_it_is_meant_for():
    assert {name for fault in PLANTED for name in fault.caught_by}.union(*TRAINED.values()) == set(catalogue.CATALOGUE)


@pytest.fixture(scope="module")
def pictures(cases):
    return np.stack([Preprocessing((96, 96), color="rgb")(case)[0] for case in cases])


@pytest.fixture(scope="module")
def expected(pictures):
    return outputs(honest(), pictures)


def outputs(model, pictures):
    return keras.ops.convert_to_numpy(model(pictures, training=False))


@pytest.mark.parametrize("fault", [one for one in PLANTED if one.same_function], ids=lambda fault: fault.name)
def test_only_the_fault_is_wrong(fault, pictures, expected):
    same = np.isclose(outputs(fault.engine().model, pictures), expected, rtol=0, atol=1e-4).all(axis=1)
    # What explodes does so on some pictures.
    assert same.all() if fault.name != "exploding activations" else 0.7 < same.mean() < 1


def test_the_page_names_every_fault():
    page = (FIXTURES.parent / "docs" / "planted-faults.md").read_text("utf-8")
    assert [fault.name for fault in PLANTED if f"\n| {fault.name} | " not in page] == []


def test_every_assertion_is_held_against_the_faults_and_on_the_page():
    page = (FIXTURES.parent / "docs" / "planted-faults.md").read_text("utf-8")
    there = {name.removeprefix("assert_") for name in dir(Audit) if name.startswith("assert_")}
    assert set(catalogue.CATALOGUE) == there
    assert {name for name in there if f"\n| `{name}` | passes |" not in page} == set()
