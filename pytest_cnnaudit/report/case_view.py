"""Cases with their images as the pages show them, and what a page embeds for that.

PYTEST_DONT_REWRITE
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pytest_cnnaudit.findings import excess_over
from pytest_cnnaudit.report.charts import Chart, chart
from pytest_cnnaudit.report.limits import Limit
from pytest_cnnaudit.report.number_line import NumberLine, case_line
from pytest_cnnaudit.report.number_text import number, show
from pytest_cnnaudit.report.recorded import Finding, text, thresholds
from pytest_cnnaudit.report.rows import Row
from pytest_cnnaudit.report.stage import Stage, stage


@dataclass
class Embedded:
    """A page's pictures, each embedded once however often it is shown, and its heatmaps."""

    pictures: dict[str, str] = field(default_factory=dict)
    heatmaps: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def picture(self, src: str) -> str:
        """Give the element id of an embedded picture."""
        return self.pictures.setdefault(src, f"picture-{len(self.pictures) + 1}")

    def heatmap(self, stage: Stage) -> str:
        """Give the key under which the page's script finds a stage's heatmap."""
        key = f"heatmap-{len(self.heatmaps) + 1}"
        grid = stage.heatmap or {}
        self.heatmaps[key] = {
            "height": int(grid["height"]),
            "width": int(grid["width"]),
            "values": str(grid["values"]),
            "place": stage.canvas,
        }
        return key


Prediction: TypeAlias = tuple[str, str, float, str]
"""Name, per cent, bar width and role of a predicted class."""


@dataclass(frozen=True)
class FurtherView:
    """Another picture of a case, laid out: an edited one, another heatmap over the same one, or a chart."""

    title: str
    stage: Stage | None
    picture: str | None
    heatmap: str | None
    predictions: tuple[Prediction, ...]
    note: str = ""
    chart: Chart | None = None

    @property
    def few_predictions(self) -> list[Prediction]:
        """The first three, and those of the classes that the case is about."""
        return [item for rank, item in enumerate(self.predictions) if rank < 3 or item[3]]


@dataclass(frozen=True)
class CaseView:
    """A pictured case, laid out; its further views begin with the untouched picture."""

    case: Mapping[str, Any]
    stage: Stage | None
    picture: str | None
    heatmap: str | None
    label: str
    target: str
    line: NumberLine | None
    predictions: tuple[Prediction, ...]
    excess: str
    further: tuple[FurtherView, ...] = ()


def case_view(row: Row, case: Mapping[str, Any], embedded: Embedded) -> CaseView:
    """Lay out one case, and embed its picture and heatmap in the page."""
    laid_out = stage(case)
    untouched = FurtherView("untouched", *_shown(laid_out, embedded), tuple(_predictions(case)))
    return CaseView(
        case=case,
        stage=laid_out,
        picture=untouched.picture,
        heatmap=untouched.heatmap,
        label=text(case.get("label")),
        target=text(case.get("target")),
        line=case_line(row.finding, case),
        predictions=untouched.predictions,
        excess=_excess(row.finding, case),
        further=(untouched, *further) if (further := tuple(_further(case, embedded))) else (),
    )


def _shown(shown: Stage | None, embedded: Embedded) -> tuple[Stage | None, str | None, str | None]:
    """Embed what a stage shows in the page; give it with the ids of picture and heatmap."""
    picture = embedded.picture(shown.src) if shown and shown.src else None
    return shown, picture, embedded.heatmap(shown) if shown and shown.heatmap else None


def _further(case: Mapping[str, Any], embedded: Embedded) -> Iterator[FurtherView]:
    """Lay out a case's further views; a heatmap without a picture of its own lies over the case's."""
    for view in case.get("views") or ():
        picture = view.get("picture") or (case.get("picture") if view.get("heatmap") else None)
        predictions = _predictions({**view, "label": case.get("label"), "target": case.get("target")})
        yield FurtherView(
            text(view.get("title")),
            *_shown(stage({**view, "picture": picture}), embedded),
            tuple(predictions),
            text(view.get("note")),
            chart(view.get("chart")),
        )


def _predictions(case: Mapping[str, Any]) -> Iterator[Prediction]:
    """Give each predicted class with its role among the case's label and target."""
    for item in case.get("predictions") or ():
        share = number(item.get("probability")) or 0.0
        name = str(item.get("name"))
        roles = [role for role in ("label", "target") if case.get(role) is not None and str(case[role]) == name]
        yield (
            name,
            f"{100 * share:.1f}\u00a0%",
            round(100 * min(max(share, 0.0), 1.0), 2),
            " and ".join(roles),
        )


def _excess(finding: Finding, case: Mapping[str, Any]) -> str:
    """Say how far above chance a case is, where the finding asks for that."""
    required = next((one for one in thresholds(finding) if one.is_excess), None)
    value, chance = number(case.get("value")), number(case.get("chance"))
    if required is None or value is None or chance is None or chance >= 1:
        return ""
    excess = excess_over(chance, value)
    limit = Limit(required.value, required.direction)
    return f"{show(excess, limit.value)} ({limit.text(excess)})"
