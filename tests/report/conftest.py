"""Small records and part files of every kind, made by hand, with pictures whose pixels are known."""

import base64
import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

Json = dict[str, Any]


TEXTS: dict[str, Json] = {
    "mass_inside": {
        "title": "Looks at the object",
        "quantity": "share of the heatmap inside the marked region",
        "measured": "The heatmap inside the marked region, divided by the whole.",
        "reading": "A low value means that the model decides by something beside the object.",
        "yes_no": False,
    },
    "predicts": {
        "title": "Predicts the right class",
        "quantity": "share of pictures classified as labelled",
        "measured": "The label compared with the class of the highest score.",
        "reading": "",
        "yes_no": True,
    },
    "sparsity_rises": {
        "title": "Activations get sparser with depth",
        "quantity": "trend of sparsity over depth",
        "measured": "The rank correlation of depth and sparsity.",
        "reading": "",
        "yes_no": False,
    },
}
"""What the assertions of these names record with their findings; those of other names here record nothing."""


def data_uri(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def make_heatmap(values: list[list[int]], frame: list[float]) -> Json:
    cells = bytes(value for row in values for value in row)
    return {
        "height": len(values),
        "width": len(values[0]),
        "values": base64.b64encode(cells).decode(),
        "frame": frame,
    }


def make_case(**changes: Any) -> Json:
    """A grey picture of 200 × 100 pixels; the heatmap's only hot cell is the left upper of 2 × 4."""
    case = {
        "kind": "case",
        "id": "cat.png",
        "value": 0.12,
        "outcome": "failed",
        "note": "",
        "label": "cat",
        "target": "cat",
        "chance": 0.24,
        "picture": {"src": data_uri(Image.new("RGB", (200, 100), "#808080")), "width": 200, "height": 100},
        "regions": [{"role": "inside", "box": [100, 20, 180, 80]}],
        "heatmap": make_heatmap([[255, 0, 0, 0], [0, 0, 0, 0]], [0, 0, 200, 100]),
        "predictions": [{"name": "cat", "probability": 0.93}, {"name": "dog", "probability": 0.07}],
    }
    return case | changes


def make_view(**changes: Any) -> Json:
    """The same picture with its object hidden: black instead of grey."""
    view = {
        "title": "object hidden (blur)",
        "picture": {"src": data_uri(Image.new("RGB", (200, 100), "#000000")), "width": 200, "height": 100},
        "heatmap": None,
        "predictions": [{"name": "dog", "probability": 0.81}, {"name": "cat", "probability": 0.19}],
        "note": "P(cat) 0.19",
    }
    return view | changes


def make_chart(**changes: Any) -> Json:
    """Two straight lines and two bent ones."""
    points = {
        "inserted": [[0, 0], [1, 1]],
        "deleted": [[0, 1], [1, 0]],
        "inserted at random": [[0, 0], [0.5, 0.25], [1, 1]],
        "deleted at random": [[0, 1], [0.5, 0.5], [0.5, 0.25], [1, 0]],
    }
    lines = [{"name": name, "note": f"area of {name}", "points": some} for name, some in points.items()]
    return {"across": "share of pixels", "up": "P(cat)", "lines": lines} | changes


def make_threshold(name: str, value: float, direction: str, *, is_excess: bool = False) -> Json:
    return {"name": name, "value": value, "direction": direction, "is_excess": is_excess}


def make_finding(**changes: Any) -> Json:
    """A single case's, as a part file holds it; with another name it has the texts of that name, if any."""
    finding = {
        "test": "tests/test_pets.py::test_looks",
        "name": "mass_inside",
        "outcome": "failed",
        "value": 0.12,
        "threshold": 0.5,
        "direction": "at_least",
        "chance": 0.24,
        "interval": None,
        "n": 1,
        "passed": 0,
        "unscorable": 0,
        "method": "grad-cam",
        "layer": "backbone/conv5",
        "seconds": 0.25,
        "target": "label",
        "mean": None,
        "mostly": None,
        "confidence": None,
        "message": "mass inside 0.12, at least 0.5 asked\n  chance 0.24",
        "waived": None,
        "thresholds": [
            make_threshold("mass inside", 0.5, "at_least"),
            make_threshold("excess", 0.2, "at_least", is_excess=True),
        ],
        "cases": [{"id": "cat.png", "value": 0.12, "outcome": "failed", "note": ""}],
        "evidence": [make_case()],
        "kind": "case",
        "texts": TEXTS.get(changes.get("name", "mass_inside")),
        "settings": "",
    }
    return finding | changes


def make_part(*findings: Json, **changes: Any) -> Json:
    test = findings[0]["test"] if findings else "tests/test_pets.py::test_looks"
    part = {
        "test": test,
        "state": "finished",
        "seconds": 1.2,
        "waived": None,
        "failure": None,
        "findings": list(findings),
    }
    return part | changes


def as_recorded(finding: Json) -> Json:
    """A finding as it stands in `record.json`, of schema 1."""
    left_out = ("evidence", "kind", "texts", "settings")
    thresholds = [{key: one[key] for key in ("name", "value", "direction")} for one in finding["thresholds"]]
    return {key: value for key, value in finding.items() if key not in left_out} | {"thresholds": thresholds}


def make_record(parts: list[Json], **changes: Any) -> Json:
    findings = [as_recorded(finding) for part in parts for finding in part["findings"]]
    order = ["passed", "inconclusive", "failed", "error"]
    record = {
        "schema": 1,
        "verdict": max((finding["outcome"] for finding in findings), key=order.index, default="passed"),
        "complete": True,
        "started": "2026-03-01T10:00:00+00:00",
        "finished": "2026-03-01T10:00:09+00:00",
        "model": {"file_sha256": "aa" * 32, "weights_sha256": "bb" * 32, "parameters": 61043},
        "data": {"cases": 96, "sha256": "cc" * 32},
        "environment": {"python": "3.11.2", "keras": "3.15.0", "backend": "tensorflow", "device": "cpu"},
        "seed": 0,
        "baseline": None,
        "policy_sha256": "dd" * 32,
        "findings": findings,
    }
    return record | changes


def make_population(n: int = 10, passed: int = 3, **changes: Any) -> Json:
    """A population whose case values rise from 0.05 in steps of 0.09; the last `passed` ones pass."""
    values = [round(0.05 + 0.09 * i, 2) for i in range(n)]
    cases = [
        {
            "id": f"{i:02}.png",
            "value": value,
            "outcome": "passed" if i >= n - passed else "failed",
            "note": "",
        }
        for i, value in enumerate(values)
    ]
    population = make_finding(
        test="tests/test_pets.py::test_population",
        value=passed / n,
        threshold=0.9,
        interval=[0.08, 0.61],
        n=n,
        passed=passed,
        kind="share",
        mostly=0.9,
        confidence=0.95,
        cases=cases,
        evidence=[make_case(id=case["id"], value=case["value"]) for case in cases[:3]],
    )
    return population | ({"texts": TEXTS[changes["name"]]} if "name" in changes else {}) | changes


def make_every_kind() -> list[Json]:
    """One test for each kind of finding and evidence that the pages know."""
    disc = Image.new("L", (200, 100), 0)
    disc.paste(255, (40, 30, 90, 80))
    test = "tests/test_pets.py::test_{}".format
    masked = make_case(
        id="masked.png",
        regions=[
            {"role": "inside", "mask": data_uri(disc)},
            {"role": "forbidden", "box": [150, 0, 200, 30]},
        ],
    )
    cropped = make_case(id="cropped.png", heatmap=make_heatmap([[0, 90], [255, 30]], [50, 0, 150, 100]))
    padded = make_case(id="padded.png", heatmap=make_heatmap([[0, 90], [255, 30]], [0, -50, 200, 150]))
    withheld = make_case(id="withheld.png", picture={"src": None, "width": 200, "height": 100})
    empty = make_case(id="empty.png", value=None, outcome="unscorable", heatmap=None, note="empty heatmap")
    edited = make_case(id="edited.png", heatmap=None, views=[make_view(), make_view(title="control 1", note="")])
    remade = make_case(
        id="remade.png",
        views=[{"title": "with noise", "heatmap": make_heatmap([[0, 0, 0, 255], [0, 0, 0, 0]], [0, 0, 200, 100])}],
    )
    drawn = make_case(id="drawn.png", views=[{"title": "step by step", "note": "", "chart": make_chart()}])
    layers = {
        "kind": "layers",
        "title": "Activation sparsity over depth",
        "unit": "zero fraction",
        "rows": [{"layer": f"block{i}/relu", "value": value, "note": ""} for i, value in enumerate([0.6, 0.4, 0.2])],
    }
    return [
        make_part(make_finding(test=test("single")), failure="AuditFailure: mass inside 0.12"),
        make_part(make_population()),
        make_part(
            make_finding(test=test("kinds"), evidence=[masked, cropped, padded, withheld, empty, edited, remade, drawn])
        ),
        make_part(
            make_finding(
                test=test("sparsity"),
                name="sparsity_rises",
                kind="value",
                value=-1.0,
                chance=0.0,
                n=96,
                unit="pictures",
                method="zero_fraction",
                layer=None,
                target=None,
                thresholds=[make_threshold("mean trend", 0.5, "at_least")],
                cases=[],
                evidence=[layers],
            )
        ),
        make_part(
            make_finding(
                test=test("latency"),
                name="latency in ms",
                kind="value",
                outcome="passed",
                value=12.5,
                threshold=20.0,
                direction="at_most",
                chance=None,
                method=None,
                layer=None,
                target=None,
                thresholds=[make_threshold("at most", 20.0, "at_most")],
                cases=[],
                evidence=[
                    {"kind": "text", "title": "Log", "text": "warm 12.5 ms"},
                    {
                        "kind": "picture",
                        "title": "Plot",
                        "picture": {"src": data_uri(disc), "width": 200, "height": 100},
                    },
                ],
            )
        ),
        make_part(
            make_finding(test=test("known"), outcome="failed", waived="known until the next data set", evidence=[])
        ),
        make_part(
            make_finding(
                test=test("broken"),
                outcome="error",
                value=None,
                message="no cases: give --cnnaudit-cases",
                cases=[],
                evidence=[],
            )
        ),
        make_part(
            make_finding(
                test=test("alive"),
                name="no_dead_filters",
                kind="value",
                outcome="passed",
                value=0.02,
                threshold=0.1,
                direction="at_most",
                chance=None,
                n=96,
                thresholds=[make_threshold("dead channels in a layer", 0.1, "at_most")],
                evidence=[],
            )
        ),
        make_part(
            make_finding(
                test=test(f"long[{'x' * 150}]"),
                message="y" * 200,
                layer="z" * 80,
                cases=[{"id": "w" * 90, "value": 0.12, "outcome": "failed", "note": "v" * 90}] * 2,
                evidence=[
                    make_case(
                        id="w" * 90, note="v" * 90, label="u" * 60, predictions=[{"name": "u" * 60, "probability": 0.5}]
                    )
                ],
            )
        ),
        make_part(test=test("lost"), state="running"),
    ]


@pytest.fixture
def case() -> Callable[..., Json]:
    return make_case


@pytest.fixture
def chart() -> Callable[..., Json]:
    return make_chart


@pytest.fixture
def view() -> Callable[..., Json]:
    return make_view


@pytest.fixture
def finding() -> Callable[..., Json]:
    return make_finding


@pytest.fixture
def threshold() -> Callable[..., Json]:
    return make_threshold


@pytest.fixture
def part() -> Callable[..., Json]:
    return make_part


@pytest.fixture
def record() -> Callable[..., Json]:
    return make_record


@pytest.fixture
def population() -> Callable[..., Json]:
    return make_population


@pytest.fixture
def heatmap() -> Callable[..., Json]:
    return make_heatmap


@pytest.fixture
def every_kind() -> list[Json]:
    return make_every_kind()
