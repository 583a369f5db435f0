"""The `cnnaudit` fixture's assertions: each an engine call, a measure, a verdict and its evidence.

PYTEST_DONT_REWRITE
"""

from pytest_cnnaudit.audit.assertions import ASSERTIONS, Assertion, assertion
from pytest_cnnaudit.audit.audit import Audit, needed_by
from pytest_cnnaudit.audit.context import Context, InconclusiveWarning, Recorder, Settings
from pytest_cnnaudit.audit.rule import Rule, RuleArguments

__all__ = [
    "ASSERTIONS",
    "Assertion",
    "Audit",
    "Context",
    "InconclusiveWarning",
    "Recorder",
    "Rule",
    "RuleArguments",
    "Settings",
    "assertion",
    "needed_by",
]
