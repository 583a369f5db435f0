"""The fixtures, and the run they belong to.

Imports pytest and the standard library only: what a fixture gives is imported when a test asks for it.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cnnaudit.plugin import options

if TYPE_CHECKING:
    from pytest_cnnaudit.audit import Audit
    from pytest_cnnaudit.cases import Case
    from pytest_cnnaudit.engine import Engine
    from pytest_cnnaudit.engine.cache import Cache
    from pytest_cnnaudit.plugin.session import Run
    from pytest_cnnaudit.preprocessing import Preprocessing

FIXTURE = "cnnaudit"
RUN: pytest.StashKey[Run] = pytest.StashKey()
UNCOLLECTED: pytest.StashKey[list[str]] = pytest.StashKey()
"""The node ids of files whose tests nobody knows."""


def run_of(config: pytest.Config) -> Run:
    """What this process knows of the run; made when something in it audits."""
    if RUN not in config.stash:
        from pytest_cnnaudit.plugin.session import Run

        config.stash[RUN] = Run(config, config.stash[UNCOLLECTED])
    return config.stash[RUN]


@pytest.fixture(scope="session")
def cnnaudit_model(pytestconfig: pytest.Config) -> Any:
    """The model to audit: a built `keras.Model` or the path of its file. Override it in `conftest.py`."""
    path = options.value(pytestconfig, "model")
    if path is None:
        raise pytest.UsageError(
            "There is no model to audit: give --cnnaudit-model PATH, set cnnaudit_model in the ini, or override "
            "the fixture cnnaudit_model in conftest.py"
        )
    return Path(path)


@pytest.fixture(scope="session")
def cnnaudit_preprocessing(pytestconfig: pytest.Config) -> Preprocessing | None:
    """How pictures become model input; None: as a keras_hub model does it, else stretched to the model's input size."""
    from pytest_cnnaudit.preprocessing import Preprocessing

    name = options.value(pytestconfig, "preprocessing")
    if name is None:
        return None
    loaded = _load_object(name)
    if isinstance(loaded, Preprocessing):
        return loaded
    if callable(loaded):
        return Preprocessing(scale=loaded)
    raise pytest.UsageError(f"--cnnaudit-preprocessing {name}: neither a Preprocessing nor a callable, but {loaded!r}")


def _load_object(name: str) -> Any:
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise pytest.UsageError(f"--cnnaudit-preprocessing {name!r}: expected MODULE:OBJECT")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise pytest.UsageError(f"--cnnaudit-preprocessing {name!r}: {error}") from error
    return found


@pytest.fixture(scope="session")
def cnnaudit_class_names(pytestconfig: pytest.Config) -> Sequence[str] | Path | None:
    """The classes' names in the order of the outputs, or the path of a file of them; None: labels are indices."""
    path: Path | None = options.value(pytestconfig, "class-names")
    return path


@pytest.fixture(scope="session")
def cnnaudit_cases(pytestconfig: pytest.Config) -> Sequence[Case]:
    """The labelled pictures: a sequence of `Case`. Override it in `conftest.py`."""
    from pytest_cnnaudit.cases import load_cases

    path = options.value(pytestconfig, "cases")
    if path is None:
        raise pytest.UsageError(
            "There are no cases: give --cnnaudit-cases PATH, set cnnaudit_cases in the ini, or override the "
            "fixture cnnaudit_cases in conftest.py"
        )
    return load_cases(path)


@pytest.fixture(scope="session")
def cnnaudit_custom_objects() -> Mapping[str, Any]:
    """Custom layers and functions that the model file needs, by name. Override it in `conftest.py`."""
    return {}


@pytest.fixture(scope="session")
def cnnaudit_engine_options() -> Mapping[str, Any]:
    """More arguments of `Engine`, such as `output` or `other_inputs`. Override it in `conftest.py`."""
    return {}


@pytest.fixture(scope="session")
def cnnaudit_engine(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> Engine:
    """The engine that all tests of the session share. `--cnnaudit-model` wins over an overridden `cnnaudit_model`."""
    from pytest_cnnaudit.engine import Engine
    from pytest_cnnaudit.engine.description import EngineDescription
    from pytest_cnnaudit.engine.models import is_model, names_callable
    from pytest_cnnaudit.plugin.backend import check_keras_starts

    run = run_of(pytestconfig)

    def given(name: str) -> Any:
        run.engine_from[name] = request.getfixturevalue(name)
        return run.engine_from[name]

    module = options.value(pytestconfig, "import")
    _import_module(module)
    if options.is_on_command_line(pytestconfig, "model"):
        model: Any = options.value(pytestconfig, "model")
    else:
        model = given("cnnaudit_model")
    is_named = names_callable(model)
    path = Path(model) if isinstance(model, (str, os.PathLike)) and not is_named else None
    if not (is_model(model) or is_named):
        check_keras_starts()
    custom_objects = {} if path is None else given("cnnaudit_custom_objects")
    arguments = {
        "preprocessing": given("cnnaudit_preprocessing"),
        "class_names": given("cnnaudit_class_names"),
        "batch_size": options.value(pytestconfig, "batch-size"),
        "seed": options.value(pytestconfig, "seed"),
    }
    more = given("cnnaudit_engine_options")
    if twice := sorted(arguments.keys() & more.keys()):
        raise pytest.UsageError(
            f"The fixture cnnaudit_engine_options gives {twice[0]!r}, which has a fixture or option of its own"
        )
    if path is None and not is_named:
        engine = Engine(model, **arguments, **more)
    else:  # so that another process can build it
        imports = () if module is None else (module,)
        source = model if path is None else path
        description = EngineDescription(source, custom_objects=custom_objects, imports=imports, **{**arguments, **more})
        engine = Engine.from_description(description)
    run.describe_model(engine, path)
    return engine


def _import_module(name: str | None) -> None:
    if name is None:
        return
    from pytest_cnnaudit.plugin.backend import check_keras_starts

    check_keras_starts()
    try:
        importlib.import_module(name)
    except Exception as error:  # whatever stands in the module
        kind = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
        raise pytest.UsageError(f"--cnnaudit-import {name}: {kind}{error}") from error


@pytest.fixture
def cnnaudit(request: pytest.FixtureRequest) -> Audit:
    """The engine's methods and the assertions; asks for the engine when it is first needed."""
    from pytest_cnnaudit.audit import Audit
    from pytest_cnnaudit.plugin.markers import settings

    item: pytest.Item = request.node
    run = run_of(item.config)
    if not run.is_running(item.nodeid):
        run.start(item.nodeid)
    return Audit(item.nodeid, run.recorder, cache(lambda: _results_for(request)), settings(item))


def _results_for(request: pytest.FixtureRequest) -> Cache:
    """The session's results, if the test asks for the session's engine and not for another one.

    pytest makes the engine once, from the fixtures that the first test sees; a later test may see others.
    """
    run, engine = run_of(request.config), request.getfixturevalue("cnnaudit_engine")
    results = run.results_of(engine, request.session)
    changed = ["cnnaudit_engine"] if engine is not results.engine else []
    for name, first in run.engine_from.items():
        value = request.getfixturevalue(name)
        plain = isinstance(value, (str, os.PathLike, list, tuple)) and type(value) is type(first)
        if value is not first and not (plain and value == first):
            changed.append(name)
    if changed:
        raise pytest.UsageError(
            f"For this test the fixture {changed[0]} gives something else than for the tests before, which the "
            "session's engine was made for: a run audits one model in one way, so run these tests by themselves"
        )
    return results
