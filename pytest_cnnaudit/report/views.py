"""What the pages show: tests with their findings, evidence and facts, gathered from record and part files.

PYTEST_DONT_REWRITE
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pytest_cnnaudit.record import settings_of
from pytest_cnnaudit.record.page_names import page_name
from pytest_cnnaudit.report import charts, drawing, words

LISTED_CASES = 1000
PICTURED_CASES = 12
TARGETS = {"label": "each picture's label", "predicted": "the predicted class"}
BLOCKING = ("error", "failed", "inconclusive")


@dataclass(frozen=True)
class Row:
    """One finding: a row of the index and a section of its test's page."""

    finding: Mapping[str, Any]
    test: str
    page: str
    anchor: str

    @property
    def outcome(self) -> str:
        """The outcome to show, `waived` included."""
        return words.outcome(self.finding)

    @property
    def blocking(self) -> bool:
        """Whether this finding keeps the model from release."""
        return self.outcome in BLOCKING

    @property
    def explanation(self) -> words.Explanation:
        """Title and texts."""
        return words.explanation(self.finding)

    @property
    def line(self) -> drawing.NumberLine | None:
        """The number line of the finding's value."""
        return drawing.finding_line(self.finding)

    @property
    def histogram(self) -> drawing.Histogram | None:
        """How the values of the cases spread."""
        return drawing.histogram(self.finding)

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
        confidence, mean = words.number(finding.get("confidence")), words.number(finding.get("mean"))
        chance = None if mean is None else words.number(finding.get("chance"))  # a single case's is on its scale
        target, method = _text(finding.get("target")), _text(finding.get("method"))
        pictures = f"{passed} of {n} pass" if words.judges_cases(finding) else str(n) if n > 1 else ""
        listed = [
            (words.counted(finding).capitalize(), pictures),
            ("Mean", "" if mean is None or self.explanation.yes_no else words.show(mean)),
            ("Chance", "" if chance is None else words.show(chance)),
            ("Not scorable", str(unscorable or "")),
            ("A picture passes with", words.case_rule(finding) if finding.get("mostly") is not None else ""),
            ("Confidence", words.percent(confidence) if confidence is not None else ""),
            *((name.capitalize(), words.show(value)) for name, value in (finding.get("controls") or {}).items()),
            ("Explained class", TARGETS.get(target, target) if method else ""),
            ("Method", method if self.has_heatmap else ""),
            ("Measure", "" if self.has_heatmap else method.replace("_", " ")),
            ("Layer", str(finding.get("layer") or "")),
            ("Settings", settings_of(finding.get("demands") or {})),
            ("Time", _seconds(finding.get("seconds"))),
        ]
        return [(name, text) for name, text in listed if text]


@dataclass(frozen=True)
class Test:
    """One test with its findings."""

    __test__ = False  # pytest would otherwise take the class for a test

    test: str
    page: str
    rows: tuple[Row, ...]
    failure: str
    seconds: str

    @property
    def outcome(self) -> str:
        """The worst outcome of the findings."""
        return min((row.outcome for row in self.rows), key=words.SEVERITY.index)


def gather(record: Mapping[str, Any], parts: Sequence[Mapping[str, Any]]) -> list[Test]:
    """Join the record's findings with the parts' evidence, test by test, in the record's order.

    The record says what was found; a part lends its evidence to the finding of the same name and position.
    A test without a finding in the record shows its part's; a row made from how the test ended is added where
    none of its findings says why it failed.
    """
    by_test = {str(part.get("test")): part for part in parts}
    found: dict[str, list[Mapping[str, Any]]] = {}
    for finding in record.get("findings") or ():
        found.setdefault(str(finding.get("test")), []).append(finding)
    tests = dict.fromkeys([*found, *by_test])
    return [_test(test, found.get(test, []), by_test.get(test, {})) for test in tests]


def _test(test: str, recorded: list[Mapping[str, Any]], part: Mapping[str, Any]) -> Test:
    own = list(part.get("findings") or ())
    findings = [_with_evidence(finding, own, i) for i, finding in enumerate(recorded)] or own
    if part.get("waived"):
        findings = [{**finding, "waived": finding.get("waived") or part["waived"]} for finding in findings]
    ended_badly = part and (part.get("failure") or part.get("state") != "finished")
    if not findings or (ended_badly and all(words.outcome(finding) == "passed" for finding in findings)):
        findings.append(_plain(test, part))
    page = page_name(test)
    rows = (Row(finding, test, page, f"finding-{i}") for i, finding in enumerate(findings, 1))
    return Test(test, page, tuple(rows), str(part.get("failure") or ""), _seconds(part.get("seconds")))


def _with_evidence(finding: Mapping[str, Any], own: Sequence[Mapping[str, Any]], position: int) -> Mapping[str, Any]:
    if position < len(own) and own[position].get("name") == finding.get("name"):
        return {**finding, "evidence": own[position].get("evidence") or ()}
    return finding


def _plain(test: str, part: Mapping[str, Any]) -> Mapping[str, Any]:
    """Stand in for a test that recorded nothing: a plain assert, or one that was cut off."""
    finished = part.get("state") == "finished"
    failure = part.get("failure")
    return {
        "name": test.rpartition("::")[2] or test,
        "outcome": "error" if not finished else "failed" if failure else "passed",
        "message": failure or ("" if finished else "The test did not finish."),
        "waived": part.get("waived"),
    }


@dataclass
class Exhibits:
    """A page's pictures, each embedded once however often it is shown, and its heatmaps."""

    pictures: dict[str, str] = field(default_factory=dict)
    heatmaps: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def picture(self, src: str) -> str:
        """Give the element id of an embedded picture."""
        return self.pictures.setdefault(src, f"picture-{len(self.pictures) + 1}")

    def heatmap(self, stage: drawing.Stage) -> str:
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
    stage: drawing.Stage | None
    picture: str | None
    heatmap: str | None
    predictions: tuple[Prediction, ...]
    note: str = ""
    chart: charts.Chart | None = None

    @property
    def few_predictions(self) -> list[Prediction]:
        """The first three, and those of the classes that the case is about."""
        return [item for rank, item in enumerate(self.predictions) if rank < 3 or item[3]]


@dataclass(frozen=True)
class CaseView:
    """A pictured case, laid out; its further views begin with the untouched picture."""

    case: Mapping[str, Any]
    stage: drawing.Stage | None
    picture: str | None
    heatmap: str | None
    label: str
    target: str
    line: drawing.NumberLine | None
    predictions: tuple[Prediction, ...]
    excess: str
    further: tuple[FurtherView, ...] = ()


def case_view(row: Row, case: Mapping[str, Any], exhibits: Exhibits) -> CaseView:
    """Lay out one case, and enter its picture and heatmap in the page's exhibits."""
    stage = drawing.stage(case)
    untouched = FurtherView("untouched", *_shown(stage, exhibits), tuple(_predictions(case)))
    return CaseView(
        case=case,
        stage=stage,
        picture=untouched.picture,
        heatmap=untouched.heatmap,
        label=_text(case.get("label")),
        target=_text(case.get("target")),
        line=drawing.case_line(row.finding, case),
        predictions=untouched.predictions,
        excess=_excess(row.finding, case),
        further=(untouched, *further) if (further := tuple(_further(case, exhibits))) else (),
    )


def _shown(stage: drawing.Stage | None, exhibits: Exhibits) -> tuple[drawing.Stage | None, str | None, str | None]:
    """Enter what a stage shows in the page's exhibits; give it with the ids of picture and heatmap."""
    picture = exhibits.picture(stage.src) if stage and stage.src else None
    return stage, picture, exhibits.heatmap(stage) if stage and stage.heatmap else None


def _further(case: Mapping[str, Any], exhibits: Exhibits) -> Iterator[FurtherView]:
    """Lay out a case's further views; a heatmap without a picture of its own lies over the case's."""
    for view in case.get("views") or ():
        picture = view.get("picture") or (case.get("picture") if view.get("heatmap") else None)
        stage = drawing.stage({**view, "picture": picture})
        predictions = _predictions({**view, "label": case.get("label"), "target": case.get("target")})
        title, note = _text(view.get("title")), _text(view.get("note"))
        chart = charts.chart(view.get("chart"))
        yield FurtherView(title, *_shown(stage, exhibits), tuple(predictions), note, chart)


def _predictions(case: Mapping[str, Any]) -> Iterator[Prediction]:
    """Give each predicted class with its role among the case's label and target."""
    for item in case.get("predictions") or ():
        share = words.number(item.get("probability")) or 0.0
        name = str(item.get("name"))
        roles = [role for role in ("label", "target") if case.get(role) is not None and str(case[role]) == name]
        yield (
            name,
            f"{100 * share:.1f}\u00a0%",
            round(100 * min(max(share, 0.0), 1.0), 2),
            " and ".join(roles),
        )


def _excess(finding: Mapping[str, Any], case: Mapping[str, Any]) -> str:
    """Say how far above chance a case is, where the finding asks for that."""
    asked = next((item for item in finding.get("thresholds") or () if words.is_excess(item)), None)
    value, chance = words.number(case.get("value")), words.number(case.get("chance"))
    if asked is None or value is None or chance is None or chance >= 1:
        return ""
    excess = (value - chance) / (1 - chance)
    limit = words.Limit(float(asked["value"]), "at_least")
    return f"{words.show(excess, limit.value)} ({limit.text(excess)})"


def facts(record: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Give the record's facts about model, data, environment and run, as titled lists of names and values."""
    run = {key: record.get(key) for key in ("started", "finished", "seed", "baseline", "policy_sha256", "schema")}
    groups = [
        ("Model", record.get("model")),
        ("Data", record.get("data")),
        ("Environment", record.get("environment")),
        ("Run", run),
    ]
    return [(title, listed) for title, group in groups if (listed := list(_flat(group)))]


def _flat(value: object, prefix: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, f"{prefix} {key}".strip())
    elif isinstance(value, (list, tuple)):
        yield prefix, ", ".join(map(str, value))
    elif value is not None:
        yield prefix.replace("_", " "), f"{value:,}" if type(value) is int else str(value)


def identity(record: Mapping[str, Any]) -> list[str]:
    """Give the few facts that tell one run from another, for the line under the verdict."""
    model, data, environment = (record.get(key) or {} for key in ("model", "data", "environment"))
    name = model.get("name") or model.get("path") or model.get("file")
    digest = str(model.get("weights_sha256") or model.get("file_sha256") or "")[:12]
    label = " ".join(part for part in (str(name or ""), f"({digest})" if digest and name else digest) if part)
    parameters, cases = model.get("parameters"), data.get("cases")
    keras, backend = environment.get("keras"), environment.get("backend")
    listed = [
        f"model {label}" if label else "",
        f"{parameters:,} parameters" if isinstance(parameters, int) else "",
        f"{cases:,} cases" if isinstance(cases, int) else "",
        f"Keras {keras} on {backend}" if keras and backend else "",
        str(record.get("finished") or record.get("started") or ""),
    ]
    return [text for text in listed if text]


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _seconds(value: object) -> str:
    seconds = words.number(value)
    return "" if seconds is None else f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"
