"""`Finding`: one audit's result.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from pytest_cnnaudit.findings.evidence import Evidence

MOST_LINES = 12

Outcome: TypeAlias = Literal["passed", "failed", "inconclusive", "error"]
Unit: TypeAlias = Literal["cases", "groups", "pictures", "filters", "layers"]
Kind: TypeAlias = Literal["case", "share", "value"]
"""What a finding's value is: that of a single case, the share of cases that pass, or one value of all."""


@dataclass(frozen=True)
class CaseResult:
    """What an audit found on one case: `outcome` is `passed`, `failed` or `unscorable`."""

    id: str
    value: float | None
    outcome: Literal["passed", "failed", "unscorable"]
    note: str = ""


@dataclass(frozen=True)
class Threshold:
    """A limit that a value is compared with; with `is_excess` that is the value's excess over chance."""

    name: str
    value: float
    direction: Literal["at_least", "at_most"]
    is_excess: bool = False

    def demanded(self, chance: float | None) -> float:
        """The value that the limit demands.

        An excess e over chance a demands a + e · (1 − a); a negative a counts as 0.
        """
        if not self.is_excess or chance is None:
            return self.value
        chance = max(chance, 0.0)
        return chance + self.value * (1 - chance)


def excess_over(chance: float | None, value: float) -> float:
    """(m − a) / (1 − a) of a value m above chance a, where none and a negative one count as 0."""
    a = max(chance or 0.0, 0.0)
    return (value - a) / (1 - a)


@dataclass(frozen=True)
class Part:
    """The verdict in one class or group of a population that is judged `by` these."""

    name: str
    outcome: Outcome
    value: float
    threshold: float | None
    interval: tuple[float, float] | None
    n: int
    passed: int
    mean: float | None = None
    chance: float | None = None


@dataclass(frozen=True)
class Texts:
    """What terminal and page say about one kind of audit: its title, the measured quantity, and two paragraphs.

    `yes_no` says that a single case's value is only 1 or 0.
    """

    title: str
    quantity: str = "measured value"
    measured: str = ""
    reading: str = ""
    yes_no: bool = False


@dataclass(frozen=True)
class Finding:
    """One audit's result, as it stands in `record.json`.

    For a single case and for audits of a whole population `value` is the measured one, compared with `threshold`.
    For a population judged case by case `value` is the share of cases that pass, `threshold` is `mostly` and
    `interval` holds the Clopper–Pearson bounds of the share, each at the `confidence` or, without one, both together
    at 95 %; `mean` is then the mean of the cases' values and `thresholds` what each case is compared with. `kind`
    says which of the three it is. `chance` is what a model-independent map would score on average, `controls` what
    the population's own heatmaps score in other cases' regions, and a blob in the middle in the right ones. `n` and
    `passed` count what `unit` says: cases or groups of them that are judged one by one; or, where one value of all is
    judged, the pictures, filters or layers that it is of. With `by` the numbers are those of the worst class or
    group, and `parts` has all of them, worst first. `method` is what drew the heatmaps of the class `target`; without
    heatmaps, which of several measures was taken.

    `settings` are the arguments that say what was measured, `texts` what the page says about this kind of audit.
    `lines` are what the message is made of; where there are none, as for an error, it is the given one.
    """

    test: str
    name: str
    outcome: Outcome
    value: float | None = None
    threshold: float | None = None
    direction: Literal["at_least", "at_most"] | None = None
    chance: float | None = None
    interval: tuple[float, float] | None = None
    n: int = 0
    passed: int = 0
    unscorable: int = 0
    method: str | None = None
    layer: str | None = None
    seconds: float = 0.0
    target: str | None = None
    mean: float | None = None
    mostly: float | None = None
    confidence: float | None = None
    thresholds: tuple[Threshold, ...] = ()
    unit: Unit = "cases"
    by: Literal["label", "group"] | None = None
    parts: tuple[Part, ...] = ()
    controls: Mapping[str, float] = field(default_factory=dict)
    demands: Mapping[str, Any] = field(default_factory=dict)
    """The assertion's arguments but for what was measured, defaults included."""
    message: str = ""
    waived: str | None = None
    cases: tuple[CaseResult, ...] = ()
    evidence: tuple[Evidence, ...] = field(default=(), repr=False)
    kind: Kind = "value"
    texts: Texts | None = None
    settings: str = ""
    lines: tuple[str, ...] = field(default=(), repr=False)
    page: str = ""
    """Where the test's page will be, if the message is to name it."""

    def __post_init__(self) -> None:
        if self.lines:
            object.__setattr__(self, "message", self._message())

    def _message(self) -> str:
        """Name, outcome and lines, then settings and page: at most 12 lines, the page always among them."""
        head, *rest = [line for line in self.lines if line]
        first = f"{' '.join(self.name.split())}: {self.outcome}: {head}"
        settings = [f"settings: {self.settings}"] if self.settings else []
        page = [f"page: {self.page}"] if self.page else []
        return "\n  ".join([*[first, *rest, *settings][: MOST_LINES - len(page)], *page])


class AuditFailure(AssertionError):  # noqa: N818 - a failed assertion, not an error
    """An audit that did not pass; `finding` says what was measured."""

    recorded_by_cnnaudit = True

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


AuditFailure.__module__ = "pytest_cnnaudit.findings"  # what pytest shows of every failure: no longer than it has to be
