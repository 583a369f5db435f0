"""An `Audit` as the fixture makes it, without pytest in between, and what it recorded."""

import functools
from pathlib import Path

import pytest
from colours import CLASSES, colour_model
from hypothesis import settings
from kept import Kept

from pytest_cnnaudit import Engine, load_cases
from pytest_cnnaudit.audit import Audit, Settings
from pytest_cnnaudit.engine.cache import Cache

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
TEST = "tests/test_gate.py::test_looks"

settings.register_profile("cnnaudit", deadline=None)
settings.load_profile("cnnaudit")


@pytest.fixture(scope="session", autouse=True)
def _on_the_requested_backend(backend):
    return backend


@pytest.fixture(scope="session")
def results():
    """Shared by all tests, as in a session: an audit must not depend on what was computed before."""
    return Cache(Engine(colour_model(), class_names=CLASSES))


@pytest.fixture
def recorder():
    return Kept()


@pytest.fixture
def audit_of(recorder):
    """An audit of a model (or of shared results) with class names and settings of its own."""

    def make(model, class_names=CLASSES, preprocessing=None, **options):
        @functools.cache
        def shared():
            if isinstance(model, Cache):
                return model
            return Cache(Engine(model, class_names=class_names, preprocessing=preprocessing))

        return Audit(TEST, recorder, shared, Settings(**options))

    return make


@pytest.fixture
def audit(audit_of, results):
    return audit_of(results)


@pytest.fixture
def recorded(recorder):
    """The findings so far, as JSON."""

    def read():
        findings = recorder.written()
        assert {finding["test"] for finding in findings} <= {TEST}
        return findings

    return read


@pytest.fixture
def page(recorder):
    return str(recorder.page(TEST))


@pytest.fixture(scope="session")
def honest(backend):
    return Cache(Engine(FIXTURES / "honest.keras", class_names=FIXTURES / "class_names.txt", progress=False))


@pytest.fixture(scope="session")
def pictures():
    return list(load_cases(FIXTURES / "validation.json"))[::16]
