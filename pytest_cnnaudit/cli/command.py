"""What `cnnaudit` takes: the table of its commands, and which of them runs.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from pytest_cnnaudit.cli import verdict

COMMANDS = {"verdict": verdict}
"""Each has a `HELP` and a `DESCRIPTION`, adds its arguments (`add_arguments`) and gives its exit code (`run`)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and gives its exit code."""
    parser = argparse.ArgumentParser(prog="cnnaudit", description="Interpretability audits of image classifiers")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, command in COMMANDS.items():
        command.add_arguments(commands.add_parser(name, help=command.HELP, description=command.DESCRIPTION))
    given = parser.parse_args(arguments)
    code: int = COMMANDS[given.command].run(given)
    return code
