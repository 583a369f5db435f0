"""The `cnnaudit` fixture's assertions: each an engine call, a measure, a verdict and its evidence.

An assertion of one's own is a function with an entry of the table, which `assertion` makes: cases are judged one by
one with `Judged` and `case_finding`, one value with `value_finding`.

PYTEST_DONT_REWRITE
"""

from pytest_cnnaudit.audit.assertions import ASSERTIONS, Assertion, assertion
from pytest_cnnaudit.audit.audit import Audit, needed_by
from pytest_cnnaudit.audit.case_findings import case_finding
from pytest_cnnaudit.audit.context import Context, InconclusiveWarning, Recorder, Settings
from pytest_cnnaudit.audit.judged_cases import Judged, Score
from pytest_cnnaudit.audit.limits import as_limits
from pytest_cnnaudit.audit.one_value import value_finding
from pytest_cnnaudit.audit.populations import as_population
from pytest_cnnaudit.audit.rule import Rule, RuleArguments

__all__ = [
    "ASSERTIONS",
    "Assertion",
    "Audit",
    "Context",
    "InconclusiveWarning",
    "Judged",
    "Recorder",
    "Rule",
    "RuleArguments",
    "Score",
    "Settings",
    "as_limits",
    "as_population",
    "assertion",
    "case_finding",
    "needed_by",
    "value_finding",
]
