"""docs/where-it-looks.md: the measures of a heatmap on one image, and the assertions on all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from figures.audits import auditing
from figures.tiles import SIDE, enlarged, framed, overlaid, photograph, sheet
from pytest_cnnaudit import Box, Case, Engine, metrics
from pytest_cnnaudit.audit.families.mosaics import draw_mosaics, make_mosaics
from pytest_cnnaudit.audit.region_measures import BLOB, OTHERS
from pytest_cnnaudit.cases import picture_digest


def where_table(engines: Mapping[str, Engine], cases: Sequence[Case]) -> str:
    """What the assertions on where it looks find on all pictures, as Markdown."""
    lines = ["| | model | mean | chance | other regions | blob | pass |", "|---|---|---|---|---|---|---|"]
    audits: list[tuple[str, dict[str, int]]] = [
        ("mass_inside", {}),
        ("points_at", {}),
        ("points_at", {"tolerance": 15}),
        ("iou", {}),
        ("grid_pointing", {}),
    ]
    for name, arguments in audits:
        called = ", ".join([f"assert_{name}", *(f"{key}={value}" for key, value in arguments.items())])
        for kind, engine in engines.items():
            with auditing(engine) as found:
                finding = found(f"assert_{name}", cases, **arguments)
            numbers = [finding.mean, finding.chance, *(finding.controls.get(one) for one in (OTHERS, BLOB))]
            shown = " | ".join("–" if number is None else f"{number:.2f}" for number in numbers)
            lines.append(f"| `{called}` | {kind} | {shown} | {finding.passed} of {finding.n} |")
    return "\n".join(lines)


def where(engines: Mapping[str, Engine], cases: Sequence[Case], case: Case) -> Image.Image:
    """One picture of each model as the four measures see it: map, maximum, strong cells, mosaic."""
    photo, tiles = photograph(case), []
    classes = [engines["honest"].class_index(one.labels[0]) for one in cases]
    drawn = draw_mosaics(classes, [picture_digest(one) for one in cases], 2, 0)
    for kind, engine in engines.items():
        mosaics = make_mosaics(cases, drawn, 2, engine.preprocessing.bound(engine.input_shape))
        mosaic = mosaics[cases.index(case)]
        maps = engine.heatmaps([case, mosaic], target="label")
        cells = maps.normalized()
        inside, hit, overlap = (
            measure(maps.maps[0], cover)
            for measure, cover in (
                (metrics.mass_inside, maps.coverage()[0]),
                (metrics.pointing_hit, maps.centres()[0]),
                (metrics.iou, maps.coverage()[0]),
            )
        )
        right = metrics.mass_inside(maps.maps[1], maps.coverage()[1])
        tiles += [
            (framed(photo, case), f"{kind} model"),
            (framed(overlaid(photo, enlarged(cells[0])), case), f"mass inside {inside:.2f}"),
            (framed(overlaid(photo, enlarged(cells[0] == 1)), case), "a hit" if hit > 0.5 else "a miss"),
            (framed(overlaid(photo, enlarged(cells[0] >= 0.15)), case), f"IoU {overlap:.2f}"),
            (mosaic_tile(mosaic, enlarged(cells[1])), f"in its cell {right:.2f}"),
        ]
    return sheet(tiles)


def mosaic_tile(mosaic: Case, heatmap: npt.NDArray[np.float32]) -> Image.Image:
    """A mosaic with the map over it and its own cell outlined."""
    small = Image.fromarray(np.asarray(mosaic.image))
    tile = overlaid(small.resize((SIDE, SIDE), Image.Resampling.BILINEAR), heatmap)
    box, scale = mosaic.regions[0], SIDE / small.width
    assert isinstance(box, Box)
    edges = [edge * scale for edge in (box.left, box.top, box.right, box.bottom)]
    ImageDraw.Draw(tile).rectangle((edges[0], edges[1], edges[2] - 1, edges[3] - 1), outline="#00c853", width=2)
    return tile
