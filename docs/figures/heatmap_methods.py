"""docs/heatmaps.md: all methods on one image, and what they give on average."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from figures.tiles import SIDE, framed, overlaid, photograph, sheet
from pytest_cnnaudit import Case, Engine, metrics
from pytest_cnnaudit.engine import Heatmaps
from pytest_cnnaudit.engine.methods import METHODS


def table(engines: Mapping[str, Engine], cases: Sequence[Case]) -> str:
    """Mean mass on the object and on the stamp, of each method, as Markdown."""
    found = {kind: engine.heatmaps(cases, target="label", method=list(METHODS)) for kind, engine in engines.items()}
    columns = [f"{kind}, on the {what}" for kind in engines for what in ("object", "stamp")]
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for name in METHODS:
        shares = [share for kind in engines for share in masses(found[kind][name], cases)]
        lines.append(f"| `{name}` | " + " | ".join(f"{share:.2f}" for share in shares) + " |")
    return "\n".join(lines)


def masses(maps: Heatmaps, cases: Sequence[Case]) -> tuple[float, float]:
    """Mean share of the maps' mass on the object and on the stamp."""
    grid = maps.maps.shape[1:]
    pairs = zip(maps.geometries, cases, strict=True)
    stamps = np.stack([geometry.coverage(case.forbidden_regions, grid) for geometry, case in pairs])
    return float(np.mean(maps.mass_inside())), float(np.mean(metrics.mass_inside(maps.maps, stamps)))


def all_methods(engine: Engine, case: Case) -> Image.Image:
    """The picture with its regions, then each method's heatmap over it."""
    found = engine.heatmaps([case], target="label", method=list(METHODS))
    photo = photograph(case)
    tiles = [(framed(photo, case), "the picture")]
    tiles += [(overlaid(photo, maps.resized((SIDE, SIDE))[0]), name) for name, maps in found.items()]
    return sheet(tiles)


def layers(engine: Engine, case: Case) -> Image.Image:
    """Grad-CAM and LayerCAM at five depths, from one pass."""
    depths = ["relu2", "relu3", "relu4", "relu5", "relu6"]
    found = engine.heatmaps([case], target="label", layer=depths, method=["grad-cam", "layer-cam"])
    photo = photograph(case)
    return sheet(
        [
            (overlaid(photo, found[layer, method].resized((SIDE, SIDE))[0]), f"{method}, {layer}")
            for method in ("grad-cam", "layer-cam")
            for layer in depths
        ]
    )
