"""What an audit found, as data: findings, their evidence, digests. Nothing here reads or writes a file.

PYTEST_DONT_REWRITE
"""

from pytest_cnnaudit.findings.finding import (
    AuditFailure,
    CaseResult,
    Finding,
    Kind,
    Outcome,
    Part,
    Texts,
    Threshold,
    Unit,
    excess_over,
)
from pytest_cnnaudit.findings.plain import digest, to_json

__all__ = [
    "AuditFailure",
    "CaseResult",
    "Finding",
    "Kind",
    "Outcome",
    "Part",
    "Texts",
    "Threshold",
    "Unit",
    "digest",
    "excess_over",
    "to_json",
]
