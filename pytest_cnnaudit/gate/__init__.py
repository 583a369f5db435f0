"""Gate: numbers in, verdicts out. Knows neither models nor pictures nor pytest."""

from pytest_cnnaudit.gate.bounds import clopper_pearson, is_near_chance, smallest_n, smallest_passing
from pytest_cnnaudit.gate.populations import group_outcomes, judge_cases, worst_first
from pytest_cnnaudit.gate.verdicts import Verdict, judge, worst

__all__ = [
    "Verdict",
    "clopper_pearson",
    "group_outcomes",
    "is_near_chance",
    "judge",
    "judge_cases",
    "smallest_n",
    "smallest_passing",
    "worst",
    "worst_first",
]
