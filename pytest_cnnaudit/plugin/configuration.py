"""Whether pytest read the ini file that it would have read without our options.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

import pytest


def check_configuration_found(config: pytest.Config, flag: str) -> None:
    """pytest takes `--option PATH` for a test path when it looks for its ini file, and may look elsewhere."""
    if config.getoption("inifilename", None):
        return
    ini = _ini_of(_joined(config.invocation_params.args, flag), otherwise=config.inipath)
    if ini is not None and ini != config.inipath:
        raise pytest.UsageError(
            f"pytest took the path after {flag} for a test and read {config.inipath or 'no ini file'} instead "
            f"of {ini}: write {flag}=PATH"
        )


def _joined(arguments: Sequence[str], flag: str) -> list[str]:
    """The arguments with `--option PATH` as `--option=PATH`."""
    joined: list[str] = []
    for argument in map(str, arguments):
        if joined and joined[-1] == flag:
            joined[-1] = f"{flag}={argument}"
        else:
            joined.append(argument)
    return joined


class _Read(Exception):  # noqa: N818 - an answer, not an error
    """Ends a run of pytest as soon as its ini file is known."""

    def __init__(self, inipath: Path | None) -> None:
        super().__init__(inipath)
        self.inipath = inipath


class _Asks:
    """A plugin that raises `_Read` before pytest loads a conftest.py, and before any other plugin acts."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_load_initial_conftests(self, early_config: pytest.Config) -> Generator[None, None, None]:
        raise _Read(early_config.inipath)
        yield


def _ini_of(arguments: list[str], otherwise: Path | None) -> Path | None:
    """The ini file that pytest itself reads for these arguments; `otherwise` where it gives no answer."""
    alone = ["--capture=no", "--assert=plain", "--override-ini=required_plugins="]
    with pytest.MonkeyPatch.context() as patch:
        # No other package's plugin is needed for the answer.
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        try:
            pytest.main([*arguments, *alone], plugins=[_Asks()])
        except _Read as answer:
            return answer.inipath
    return otherwise
