"""What a recorded finding says of itself: its outcome, kind of value, texts and thresholds.

The pages' findings are JSON: of `record.json`, completed by the tests' part files. `kind`, `texts`, `settings` and
`is_excess` are in the parts alone, so a finding may come without them.

PYTEST_DONT_REWRITE
"""

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal, cast, get_args

from pytest_cnnaudit.findings import Kind, Texts, Threshold
from pytest_cnnaudit.report.number_text import number

Finding = Mapping[str, Any]

# Worst first; a waived finding blocks nothing, but is never shown as passed.
SEVERITY = ("error", "failed", "inconclusive", "waived", "passed")
# As listed: a failure tells more about the model than an audit that could not be carried out.
LISTED = ("failed", "error", "inconclusive", "waived", "passed")
BLOCKING = ("error", "failed", "inconclusive")


def outcome(finding: Finding) -> str:
    """Give the outcome to show: a waived finding that did not pass is `waived`."""
    actual = str(finding.get("outcome") or "error")
    if finding.get("waived") and actual != "passed":
        return "waived"
    return actual if actual in SEVERITY else "error"


def kind(finding: Finding) -> Kind:
    """Tell what the finding's value is; where that is not recorded, a share is known by being one."""
    if finding.get("kind") in get_args(Kind):
        return cast(Kind, finding["kind"])
    value, n = number(finding.get("value")), int(finding.get("n") or 0)
    if value is None or n < 1 or finding.get("mostly") is None:
        return "value"
    return "share" if math.isclose(value, int(finding.get("passed") or 0) / n, abs_tol=1e-6) else "value"


def is_share(finding: Finding) -> bool:
    """Tell whether the finding's value is the share of cases that pass, not the measured quantity itself."""
    return kind(finding) == "share"


def texts(finding: Finding) -> Texts:
    """Give the texts that were recorded with a finding, or general ones under the finding's name."""
    recorded = finding.get("texts")
    if recorded:
        return Texts(**{field.name: recorded[field.name] for field in fields(Texts) if field.name in recorded})
    name = str(finding.get("name") or "audit")
    return Texts(name, measured="A figure that this suite measures and judges itself.")


def thresholds(finding: Finding) -> tuple[Threshold, ...]:
    """Give what a single value is compared with; nothing where it is not recorded whether that is an excess."""
    listed = finding.get("thresholds") or ()
    if not all("is_excess" in item for item in listed):
        return ()
    return tuple(
        Threshold(str(item.get("name")), value, _direction(item), bool(item["is_excess"]))
        for item in listed
        if (value := number(item.get("value"))) is not None
    )


def _direction(item: Mapping[str, Any]) -> Literal["at_least", "at_most"]:
    return "at_most" if item.get("direction") == "at_most" else "at_least"


def counted(finding: Finding) -> str:
    """Name what `n` counts; a case is a picture."""
    unit = str(finding.get("unit") or "cases")
    return "pictures" if unit == "cases" else unit


def text(value: object) -> str:
    """Give a recorded name or note as text; what is not recorded is empty."""
    return "" if value is None else str(value)
