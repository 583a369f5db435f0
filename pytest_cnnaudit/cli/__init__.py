"""The command `cnnaudit`: each of its commands is a module of this package.

PYTEST_DONT_REWRITE
"""

from pytest_cnnaudit.cli.command import main

__all__ = ["main"]
