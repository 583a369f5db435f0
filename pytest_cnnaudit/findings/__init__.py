"""What an audit found, as data: findings, their evidence, digests. Nothing here reads or writes a file.

PYTEST_DONT_REWRITE
"""

from pytest_cnnaudit.findings.evidence import (
    BarChart,
    CaseEvidence,
    ClassProbability,
    Curve,
    Curves,
    Evidence,
    ImageEvidence,
    LayerBar,
    PartBar,
    Role,
    ShownHeatmap,
    ShownImage,
    ShownRegion,
    TextEvidence,
    View,
)
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
    "BarChart",
    "CaseEvidence",
    "CaseResult",
    "ClassProbability",
    "Curve",
    "Curves",
    "Evidence",
    "Finding",
    "ImageEvidence",
    "Kind",
    "LayerBar",
    "Outcome",
    "Part",
    "PartBar",
    "Role",
    "ShownHeatmap",
    "ShownImage",
    "ShownRegion",
    "TextEvidence",
    "Texts",
    "Threshold",
    "Unit",
    "View",
    "digest",
    "excess_over",
    "to_json",
]
