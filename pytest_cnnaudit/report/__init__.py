"""Turns a run's record and its tests' part files into pages and a job summary.

PYTEST_DONT_REWRITE
"""

from pytest_cnnaudit.report.pages import render

__all__ = ["render"]
