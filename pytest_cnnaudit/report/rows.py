"""A finding as the pages show it: a row of the index, and a section of its test's page.

PYTEST_DONT_REWRITE
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_cnnaudit.findings import Texts
from pytest_cnnaudit.report.histogram import Histogram, histogram
from pytest_cnnaudit.report.limits import case_rule
from pytest_cnnaudit.report.number_line import NumberLine, finding_line
from pytest_cnnaudit.report.number_text import duration, number, percent, show
from pytest_cnnaudit.report.recorded import BLOCKING, Finding, counted, is_share, outcome, text, texts
from pytest_cnnaudit.report.sentences import axis, sentence

LISTED_CASES = 1000
PICTURED_CASES = 12
TARGETS = {"label": "each picture's label", "predicted": "the predicted class"}


@dataclass(frozen=True)
class Row:
    """One finding: a row of the index and a section of its test's page."""

    finding: Finding
    test: str
    page: str
    anchor: str

    @property
    def outcome(self) -> str:
        """The outcome to show, `waived` included."""
        return outcome(self.finding)

    @property
    def blocking(self) -> bool:
        """Whether this finding keeps the model from release."""
        return self.outcome in BLOCKING

    @property
    def texts(self) -> Texts:
        """Title and texts."""
        return texts(self.finding)

    @property
    def sentence(self) -> str:
        """What was found, in one or two sentences."""
        return sentence(self.finding)

    @property
    def axis(self) -> str:
        """What the number line shows."""
        return axis(self.finding)

    @property
    def is_share(self) -> bool:
        """Whether the value is the share of cases that pass."""
        return is_share(self.finding)

    @property
    def counted(self) -> str:
        """What `n` counts."""
        return counted(self.finding)

    @property
    def line(self) -> NumberLine | None:
        """The number line of the finding's value."""
        return finding_line(self.finding)

    @property
    def histogram(self) -> Histogram | None:
        """How the values of the cases spread."""
        return histogram(self.finding)

    def evidence(self, kind: str) -> list[Mapping[str, Any]]:
        """Give the evidence of one kind, in the order recorded (worst first)."""
        return [item for item in self.finding.get("evidence") or () if item.get("kind") == kind]

    @property
    def pictured(self) -> list[Mapping[str, Any]]:
        """The cases to show with their pictures."""
        return self.evidence("case")[:PICTURED_CASES]

    @property
    def roles(self) -> set[str]:
        """The roles of the regions in the pictured cases."""
        return {str(region.get("role")) for case in self.pictured for region in case.get("regions") or ()}

    @property
    def has_heatmap(self) -> bool:
        """Whether any pictured case has a heatmap or had one that came out empty.

        A method without an explained class is a measure of something else.
        """
        explains = self.finding.get("method") and self.finding.get("target") is not None
        return bool(explains) or any(case.get("heatmap") for case in self.pictured)

    @property
    def draws_heatmaps(self) -> bool:
        """Whether there is a heatmap to see, over a case's picture or in its further views."""
        return any(shown.get("heatmap") for case in self.pictured for shown in (case, *(case.get("views") or ())))

    @property
    def cases(self) -> list[Mapping[str, Any]]:
        """The cases to list: those that did not pass first, at most LISTED_CASES."""
        cases = sorted(self.finding.get("cases") or (), key=lambda case: case.get("outcome") == "passed")
        return cases[:LISTED_CASES]

    @property
    def unlisted(self) -> int:
        """How many cases are left to record.json."""
        return max(0, len(self.finding.get("cases") or ()) - LISTED_CASES)

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What a reader may want to look up: names with values."""
        finding = self.finding
        n, passed, unscorable = (int(finding.get(key) or 0) for key in ("n", "passed", "unscorable"))
        confidence, mean = number(finding.get("confidence")), number(finding.get("mean"))
        chance = None if mean is None else number(finding.get("chance"))  # a single case's is on its scale
        target, method = text(finding.get("target")), text(finding.get("method"))
        pictures = f"{passed} of {n} pass" if self.is_share else str(n) if n > 1 else ""
        listed = [
            (self.counted.capitalize(), pictures),
            ("Mean", "" if mean is None or self.texts.yes_no else show(mean)),
            ("Chance", "" if chance is None else show(chance)),
            ("Not scorable", str(unscorable or "")),
            ("A picture passes with", case_rule(finding) if finding.get("mostly") is not None else ""),
            ("Confidence", percent(confidence) if confidence is not None else ""),
            *((name.capitalize(), show(value)) for name, value in (finding.get("controls") or {}).items()),
            ("Explained class", TARGETS.get(target, target) if method else ""),
            ("Method", method if self.has_heatmap else ""),
            ("Measure", "" if self.has_heatmap else method.replace("_", " ")),
            ("Layer", str(finding.get("layer") or "")),
            ("Settings", text(finding.get("settings"))),
            ("Time", duration(finding.get("seconds"))),
        ]
        return [(name, text) for name, text in listed if text]
