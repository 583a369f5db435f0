"""Hooks and fixtures. Imports pytest and the standard library only: a run that audits nothing pays nothing."""

from __future__ import annotations

import importlib
import itertools
import os
import sys
import uuid
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cnnaudit import options

if TYPE_CHECKING:
    import keras

    from pytest_cnnaudit.audit import Audit, Settings
    from pytest_cnnaudit.cases import Case
    from pytest_cnnaudit.engine import Engine
    from pytest_cnnaudit.engine.cache import Cache
    from pytest_cnnaudit.preprocessing import Preprocessing
    from pytest_cnnaudit.publishing import Published
    from pytest_cnnaudit.record import Course, Failure, Recorder

FIXTURE = "cnnaudit"
MARKER_OPTIONS = ("artifacts", "inconclusive", "seed")


@dataclass
class Run:
    """What this process knows of the run, from the first hook to the last."""

    config: pytest.Config
    id: str
    worker: str
    collected: set[str] = field(default_factory=set)
    deselected: set[str] = field(default_factory=set)
    executed: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)
    partial: bool = False
    engine_from: dict[str, Any] = field(default_factory=dict)
    """The fixtures that the session's engine was made from, and what each gave."""
    about: dict[str, Any] = field(default_factory=dict)
    summary: list[str] = field(default_factory=list)

    @property
    def is_controller(self) -> bool:
        """True also where pytest-xdist is not in use."""
        return not hasattr(self.config, "workerinput")

    @cached_property
    def recorder(self) -> Recorder:
        """Made when the first test audits."""
        from pytest_cnnaudit.record import Recorder, now, provenance

        # From here on an earlier run's report would stand for this one, should this one be killed.
        _remove_report(self.report)
        recorder = Recorder(self.report, self.id)
        self.about = {"started": now(), "environment": provenance.environment(), **self.about}
        return recorder

    @cached_property
    def report(self) -> Path:
        """The report's folder."""
        return Path(options.value(self.config, "report"))

    def describe(self, **about: Any) -> None:
        """Adds to what the record will say about the run."""
        self.about.update(about)
        tests = {
            "collected": sorted(self.collected),
            "deselected": sorted(self.deselected),
            "skipped": sorted(self.skipped),
            "partial": self.partial,
        }
        self.recorder.describe(self.worker, {**self.about, **tests})


RUN = pytest.StashKey[Run]()
COURSE: pytest.StashKey[Course] = pytest.StashKey()


# --- Start ----------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Every option of the table."""
    options.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Checks the options, and tells Keras which backend to use while it is not too late."""
    config.addinivalue_line(
        "markers", "cnnaudit(artifacts=…, inconclusive=…, seed=…): options of pytest-cnnaudit for one test"
    )
    worker: Mapping[str, Any] = getattr(config, "workerinput", {})
    config.stash[RUN] = Run(config, worker.get("cnnaudit_run") or uuid.uuid4().hex, worker.get("workerid", "main"))
    for option in options.OPTIONS:
        options.value(config, option.name)
    _check_configuration_found(config)
    report = Path(options.value(config, "report"))
    if report.exists() and not report.is_dir():
        raise pytest.UsageError(f"--cnnaudit-report: {report} is no folder")
    backend = options.value(config, "backend")
    if backend is not None:
        _choose_backend(backend)


def _check_configuration_found(config: pytest.Config) -> None:
    """pytest takes `--option PATH` for a test path when it looks for its ini file, and may look elsewhere."""
    paths = [
        option.flag for option in options.OPTIONS if option.is_path and options.is_on_command_line(config, option.name)
    ]
    separate = [flag for flag in paths if flag in config.invocation_params.args]
    if not separate or config.getoption("inifilename", None):
        return
    ini = next((path for folder in _where_tests_are(config) for path in _ini_files(folder)), None)
    if ini is not None and ini != config.inipath:
        raise pytest.UsageError(
            f"pytest took the path after {separate[0]} for a test and read {config.inipath or 'no ini file'} instead "
            f"of {ini}: write {separate[0]}=PATH"
        )


def _where_tests_are(config: pytest.Config) -> list[Path]:
    """The folders in which pytest looks for its ini file: from the tests' common one upwards."""
    here = config.invocation_params.dir
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        return [here, *here.parents]
    # Links stay as they are, as in pytest's own search.
    tests = [Path(os.path.normpath(here / argument.split("::")[0])) for argument in config.args]
    folders = [test if test.is_dir() else test.parent for test in tests]
    common = Path(os.path.commonpath(folders))
    return [common, *common.parents]


def _ini_files(folder: Path) -> Iterator[Path]:
    for name in ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini"):
        if (folder / name).is_file():
            yield folder / name
    for name, section in (
        ("pyproject.toml", "[tool.pytest"),
        ("tox.ini", "[pytest]"),
        ("setup.cfg", "[tool:pytest]"),
    ):
        if (folder / name).is_file() and section in (folder / name).read_text(encoding="utf-8", errors="replace"):
            yield folder / name


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """pytest-xdist: all workers write into the folder of one run."""
    node.workerinput["cnnaudit_run"] = node.config.stash[RUN].id


def _choose_backend(name: str) -> None:
    known = ("tensorflow", "torch", "jax")
    if name not in known:
        raise pytest.UsageError(f"--cnnaudit-backend: {name!r} is not one of {', '.join(known)}")
    if "keras" in sys.modules:
        current = sys.modules["keras"].config.backend()
        if current != name:
            raise pytest.UsageError(
                f"--cnnaudit-backend {name}: too late, Keras was already imported with the backend {current!r} "
                f"(by a conftest.py or another plugin); set KERAS_BACKEND={name} in the environment instead"
            )
    os.environ["KERAS_BACKEND"] = name


# --- Which tests audit ----------------------------------------------------------------------------


def _audits(item: pytest.Item) -> bool:
    return FIXTURE in getattr(item, "fixturenames", ())


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """A record of a run that left audits out is not complete."""
    for item in items:
        if _audits(item):
            item.config.stash[RUN].deselected.add(item.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Nobody knows how many audits there are in a file that was skipped as a whole or could not be imported."""
    report = yield
    if not report.passed:
        collector.config.stash[RUN].partial = True
    return report


def _is_selection(config: pytest.Config) -> bool:
    """Whether only some tests of a file were asked for, in a way that pytest doesn't count as deselected."""
    if any("::" in argument for argument in config.args):
        return True
    # `--lf` doesn't even open the files in which nothing failed.
    return bool(config.getoption("lf", False) and config.cache and config.cache.get("cache/lastfailed", {}))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Remembers what is going to run, and refuses wrong markers before anything runs."""
    run = session.config.stash[RUN]
    run.partial |= _is_selection(session.config)
    run.collected = {item.nodeid for item in session.items if _audits(item)}
    # A worker could not tell why it stops; there the fixture refuses the marker, test by test.
    for item in session.items if run.is_controller else ():
        if item.nodeid in run.collected:
            _marked(item)


def _marked(item: pytest.Item) -> dict[str, Any]:
    """The options a test's markers give, the closest marker first."""
    given: dict[str, Any] = {}
    for marker in reversed(list(item.iter_markers(FIXTURE))):
        wrong = [name for name in marker.kwargs if name not in MARKER_OPTIONS]
        if marker.args or wrong:
            raise pytest.UsageError(
                f"{item.nodeid}: @pytest.mark.cnnaudit takes {', '.join(MARKER_OPTIONS)} by name, not "
                + (repr(marker.args[0]) if marker.args else repr(wrong[0]))
            )
        for name, value in marker.kwargs.items():
            choices = options.BY_NAME[name].choices
            if choices and value not in choices:
                raise pytest.UsageError(f"{item.nodeid}: {name}={value!r} is not one of {', '.join(choices)}")
            if name == "seed" and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
                raise pytest.UsageError(f"{item.nodeid}: seed={value!r} is not a whole number")
        given.update(marker.kwargs)
    return given


def _settings(item: pytest.Item) -> Settings:
    from pytest_cnnaudit.audit import Settings

    names = ("artifacts", "inconclusive", "seed", "pictures")
    return Settings(**{**{name: options.value(item.config, name) for name in names}, **_marked(item)})


# --- Fixtures -------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def cnnaudit_model(
    pytestconfig: pytest.Config,
) -> keras.Model | Path:
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
    from pytest_cnnaudit.engine.models import is_model, opened
    from pytest_cnnaudit.record import provenance

    module = options.value(pytestconfig, "import")
    if module is not None:
        _check_keras_starts()
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever stands in the module
            kind = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
            raise pytest.UsageError(f"--cnnaudit-import {module}: {kind}{error}") from error
    run = pytestconfig.stash[RUN]

    def given(name: str) -> Any:
        run.engine_from[name] = request.getfixturevalue(name)
        return run.engine_from[name]

    if options.is_on_command_line(pytestconfig, "model"):
        model: Any = options.value(pytestconfig, "model")
    else:
        model = given("cnnaudit_model")
    path = Path(model) if isinstance(model, (str, os.PathLike)) else None
    if not is_model(model):
        _check_keras_starts()
    if path is not None:
        model = opened(path, given("cnnaudit_custom_objects"))
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
    engine = Engine(model, **arguments, **more)
    run.describe(model=provenance.model(engine.identity(), path), environment=provenance.environment())
    return engine


def _check_keras_starts() -> None:
    from pytest_cnnaudit.engine.models import start_keras

    try:
        start_keras()
    except (ImportError, ValueError) as error:
        name = os.environ.get("KERAS_BACKEND", "of ~/.keras/keras.json")
        raise pytest.UsageError(
            f"Keras can't start with the backend {name}: {error}. Install it, as with "
            "pip install 'pytest-cnnaudit[jax]', or choose another one with --cnnaudit-backend"
        ) from error


@pytest.fixture(scope="session")
def _cnnaudit_results(request: pytest.FixtureRequest, cnnaudit_engine: Engine) -> Cache:
    from pytest_cnnaudit.engine.cache import Cache
    from pytest_cnnaudit.foresight import foreseen, wanted

    names = foreseen(request.session.items, request.config.rootpath)
    return Cache(cnnaudit_engine, foreseen=wanted(names))


@pytest.fixture
def cnnaudit(request: pytest.FixtureRequest) -> Audit:
    """The engine's methods and the assertions; asks for the engine when it is first needed."""
    from pytest_cnnaudit.audit import Audit

    item: pytest.Item = request.node
    run = item.config.stash[RUN]
    if item.nodeid not in run.executed:
        _start(item)
    return Audit(item.nodeid, run.recorder, cache(lambda: _results_for(request)), _settings(item))


def _results_for(request: pytest.FixtureRequest) -> Cache:
    """The session's results, if the test asks for the session's engine and not for another one.

    pytest makes the engine once, from the fixtures that the first test sees; a later test may see others.
    """
    results: Cache = request.getfixturevalue("_cnnaudit_results")
    changed = ["cnnaudit_engine"] if request.getfixturevalue("cnnaudit_engine") is not results.engine else []
    for name, first in request.config.stash[RUN].engine_from.items():
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


def _start(item: pytest.Item) -> None:
    from pytest_cnnaudit.record import Course

    run = item.config.stash[RUN]
    item.stash[COURSE] = Course()
    run.executed.add(item.nodeid)
    run.skipped.discard(item.nodeid)
    run.recorder.start(item.nodeid)
    run.describe()


# --- Each test ------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Recorded before any fixture runs, so that a fixture that fails, or a worker that dies, is on record."""
    if _audits(item):
        item.config.stash[RUN].executed.discard(item.nodeid)
        _start(item)


def pytest_runtest_call(item: pytest.Item) -> None:
    """Refuses cases that only the first test could read."""
    cases = getattr(item, "funcargs", {}).get("cnnaudit_cases")
    if isinstance(cases, Iterator):
        raise TypeError(
            f"cnnaudit_cases gave {cases!r}, an iterator: the second test would find it empty. "
            "Return a sequence, such as list(…), from the fixture"
        )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Hides our frames from tracebacks, and completes the test's record."""
    excinfo = None if item.config.getoption("fulltrace", False) else call.excinfo
    ours = excinfo is not None and _is_ours(excinfo)
    has_line = ours and excinfo is not None and _cut_at_user_line(excinfo)
    report = yield
    if ours and not has_line and excinfo is not None:
        report.longrepr = f"{excinfo.typename}: {excinfo.value}"
    if item.nodeid in item.config.stash[RUN].executed:
        _note(item, call, report)
    return report


def _note(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Adds a phase of a test to its record."""
    run, course = item.config.stash[RUN], item.stash[COURSE]
    course.seconds += report.duration
    expected = hasattr(report, "wasxfail") and report.skipped
    course.skipped |= report.skipped and not expected
    if expected:
        course.waived = report.wasxfail or "xfail without a reason"
    if report.failed or expected:
        failure = _failure(call, report)
        # A test whose subtests failed fails once more, with nothing of its own to tell.
        if call.excinfo is not None or not course.failures:
            course.failures.append(failure)
    course.failed |= report.failed
    if report.when == "teardown":
        if course.skipped and not course.failed:
            run.skipped.add(item.nodeid)
        run.recorder.finish(item.nodeid, course)
        run.describe()


def _failure(call: pytest.CallInfo[None], report: pytest.TestReport) -> Failure:
    from pytest_cnnaudit.record import Failure

    if call.excinfo is None:
        crash = getattr(report.longrepr, "reprcrash", None)
        return Failure(str(crash.message if crash is not None else report.longrepr))
    error = call.excinfo.value
    return Failure(
        str(error) or type(error).__name__,
        crashed=not isinstance(error, (AssertionError, pytest.fail.Exception)),
        recorded=getattr(error, "recorded_by_cnnaudit", False),
    )


def _is_ours(excinfo: pytest.ExceptionInfo[BaseException]) -> bool:
    """Whether an error of ours tells the user what to mend, so that a traceback would only bury it."""
    kinds = (ValueError, TypeError, AssertionError, pytest.UsageError, Warning)
    return isinstance(excinfo.value, kinds) and _in_package(excinfo.traceback[-1])


def _in_package(entry: Any) -> bool:
    # By the module's name: a dataclass' own methods have no file.
    return str(entry.frame.f_globals.get("__name__", "")).split(".")[0] == "pytest_cnnaudit"


def _cut_at_user_line(excinfo: pytest.ExceptionInfo[BaseException]) -> bool:
    """Ends the traceback at the user's own line; False where there is none, as in one of our fixtures."""
    entries = list(itertools.takewhile(lambda entry: not _in_package(entry), excinfo.traceback))
    if all({"_pytest", "pluggy"} & set(Path(entry.path).parts) for entry in entries):
        return False
    # pytest follows the chain of raw entries, so what is only left out of the list would come back.
    last = excinfo.tb
    for _ in entries[1:]:
        last = last.tb_next or last
    last.tb_next = None
    excinfo.traceback = type(excinfo.traceback)(entries)
    excinfo.value.__cause__ = None
    excinfo.value.__suppress_context__ = True
    return True


# --- The end --------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    """Writes the report, when the workers are done and before the terminal summary."""
    result = yield
    run = session.config.stash.get(RUN, None)
    if run is None or not run.is_controller or session.config.getoption("collectonly", False):
        return result
    required = _is_required(session.config)
    published = _publish(run)
    if published is None and (required or run.collected or run.deselected):
        # What an earlier run found says nothing about this one.
        _remove_report(run.report)
    if published is None and required:
        run.summary.append("an audit was required, but none was executed (--cnnaudit-require)")
    fails = required if published is None else not published.written
    if fails and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    return result


def _is_required(config: pytest.Config) -> bool:
    return bool(options.value(config, "require")) or options.is_on_command_line(config, "model")


def _publish(run: Run) -> Published | None:
    """Writes the report; None where no audit was executed."""
    folder = run.report / ".parts" / run.id
    if not folder.is_dir():
        return None
    from pytest_cnnaudit import publishing

    published = publishing.publish(run.report, folder, options=_policy(run.config))
    run.summary.extend(published.lines)
    return published if published.audits else None


def _remove_report(report: Path) -> None:
    if (report / "record.json").is_file():
        from pytest_cnnaudit import record

        record.remove_report(report)


def _policy(config: pytest.Config) -> dict[str, Any]:
    return {name: options.value(config, name) for name in ("seed", "inconclusive", "batch-size")}


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The verdict in a few lines, and where the report is."""
    run = config.stash.get(RUN, None)
    if run is None or not run.summary:
        return
    terminalreporter.section("cnnaudit")
    for line in run.summary:
        terminalreporter.line(line)
