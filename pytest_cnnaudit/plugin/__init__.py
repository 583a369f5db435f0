"""The plugin that pytest registers: its hooks, and the fixtures under their names.

Every pytest run in an environment that has the plugin passes through here, so a hook asks first whether it is about
an audit: what judges, records and reports is imported when something is.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_cnnaudit.plugin import options
from pytest_cnnaudit.plugin.fixtures import (
    FIXTURE,
    RUN,
    UNCOLLECTED,
    cnnaudit,
    cnnaudit_cases,
    cnnaudit_class_names,
    cnnaudit_custom_objects,
    cnnaudit_engine,
    cnnaudit_engine_options,
    cnnaudit_model,
    cnnaudit_preprocessing,
    run_of,
)

__all__ = [
    "cnnaudit",
    "cnnaudit_cases",
    "cnnaudit_class_names",
    "cnnaudit_custom_objects",
    "cnnaudit_engine",
    "cnnaudit_engine_options",
    "cnnaudit_model",
    "cnnaudit_preprocessing",
]


# --- Start ----------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Every option of the table."""
    options.add_options(parser)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(parser: pytest.Parser) -> Generator[None, object, object]:
    """The options that a conftest.py has registered."""
    result = yield
    options.add_options(parser)
    return result


def pytest_configure(config: pytest.Config) -> None:
    """Checks the options, and tells Keras which backend to use while it is not too late."""
    config.addinivalue_line(
        "markers", "cnnaudit(artifacts=…, inconclusive=…, seed=…): options of pytest-cnnaudit for one test"
    )
    config.stash[UNCOLLECTED] = []
    given = {option.name: options.value(config, option.name) for option in options.OPTIONS}
    separate = options.separate_paths(config)
    if separate:
        from pytest_cnnaudit.plugin.configuration import check_configuration_found

        check_configuration_found(config, separate[0])
    report = Path(given["report"])
    if report.exists() and not report.is_dir():
        raise pytest.UsageError(f"--cnnaudit-report: {report} is no folder")
    if given["backend"] is not None:
        from pytest_cnnaudit.plugin.backend import choose_backend

        choose_backend(given["backend"])


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """pytest-xdist: all workers write into the folder of one run."""
    node.workerinput["cnnaudit_run"] = run_of(node.config).id


# --- Which tests audit ----------------------------------------------------------------------------


def _audits(item: pytest.Item) -> bool:
    return FIXTURE in getattr(item, "fixturenames", ())


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """A record of a run that left audits out is not complete."""
    for item in filter(_audits, items):
        run_of(item.config).deselected.add(item.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Nobody knows how many audits there are in a file that was skipped as a whole or could not be imported."""
    report = yield
    if not report.passed:
        collector.config.stash[UNCOLLECTED].append(collector.nodeid)
    return report


def pytest_collection_finish(session: pytest.Session) -> None:
    """Remembers what is going to run, and refuses wrong markers before anything runs."""
    audits = [item for item in session.items if _audits(item)]
    if audits:
        run_of(session.config).collect(audits)


# --- Each test ------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Recorded before any fixture runs, so that a fixture that fails, or a worker that dies, is on record."""
    if _audits(item):
        run_of(item.config).start(item.nodeid)


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
    instead = None
    excinfo = None if item.config.getoption("fulltrace", False) else call.excinfo
    if excinfo is not None and _is_ours(excinfo.traceback[-1]):
        from pytest_cnnaudit.plugin.tracebacks import hide_our_frames

        instead = hide_our_frames(excinfo, _is_ours)
    report = yield
    if instead is not None:
        report.longrepr = instead
    run = item.config.stash.get(RUN, None)
    if run is not None and run.is_running(item.nodeid):
        run.note(item.nodeid, call, report)
    return report


def _is_ours(entry: Any) -> bool:
    # By the module's name: a dataclass' own methods have no file.
    return str(entry.frame.f_globals.get("__name__", "")).partition(".")[0] == "pytest_cnnaudit"


# --- The end --------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    """Writes the report, when the workers are done and before the terminal summary."""
    result = yield
    config = session.config
    # No options: pytest stopped before it was configured.
    if UNCOLLECTED not in config.stash or config.getoption("collectonly", False):
        return result
    if RUN in config.stash or options.is_required(config):
        run_of(config).finish(session)
    return result


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The verdict in a few lines, and where the report is."""
    run = config.stash.get(RUN, None)
    if run is None or not run.summary:
        return
    terminalreporter.section("cnnaudit")
    for line in run.summary:
        terminalreporter.line(line)
