"""What a value is compared with, and how that is written.

PYTEST_DONT_REWRITE
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_cnnaudit.findings import Threshold
from pytest_cnnaudit.report.number_text import number, show
from pytest_cnnaudit.report.recorded import Finding, is_share, texts, thresholds


@dataclass(frozen=True)
class Limit:
    """What a value is compared with; `why` says where it comes from, if not from the suite itself."""

    value: float
    direction: str
    why: str = ""

    def text(self, beside: object = None, *, share: bool = False) -> str:
        """Write it: `at least 0.50`."""
        required = "at most" if self.direction == "at_most" else "at least"
        return f"{required} {show(self.value, beside, share=share)}"


def limits(finding: Finding) -> tuple[Limit, ...]:
    """Give what the finding's value is compared with."""
    if not is_share(finding):
        own = case_limits(finding, finding.get("chance"))
        if own:
            return own
    threshold = number(finding.get("threshold"))
    return () if threshold is None else (Limit(threshold, str(finding.get("direction"))),)


def case_limits(finding: Finding, chance: object) -> tuple[Limit, ...]:
    """Give what a single value is compared with.

    An excess over chance is turned into the value it demands, and stands alone where that is the stricter one.
    """
    plain: list[Limit] = []
    demanded: Limit | None = None
    luck = number(chance)
    for one in thresholds(finding):
        if not one.is_excess:
            plain.append(Limit(one.value, one.direction))
        elif luck is not None:
            # A chance below 0 counts as 0, and nothing is left to explain.
            why = "" if luck < 0 else f"{show(one.value)} of the way from chance, {show(luck)}, to 1"
            demanded = Limit(one.demanded(luck), "at_least", why)
    if demanded is None or any(one.direction == "at_least" and one.value >= demanded.value for one in plain):
        return tuple(plain)
    return (*(one for one in plain if one.direction == "at_most"), demanded)


def nearest(compared: Sequence[Limit], value: object) -> float | None:
    """Give the limit nearest to a value, from which the value must stay distinguishable in print."""
    figure = number(value)
    if figure is None:
        return None
    return min((one.value for one in compared), key=lambda limit: abs(limit - figure), default=None)


def case_rule(finding: Finding) -> str:
    """Say when a single picture passes; empty where no thresholds are recorded."""
    yes_no = texts(finding).yes_no
    return " and ".join(_rule(one, yes_no) for one in thresholds(finding))


def _rule(threshold: Threshold, yes_no: bool) -> str:
    name = threshold.name.replace("_", " ")
    if yes_no:
        return name
    required = Limit(threshold.value, threshold.direction).text()
    if threshold.is_excess:
        return f"{required} of the way from chance to 1"
    return required if required.startswith(name) else f"{name} {required}"
