"""docs/trusting-explanations.md: what the assertions on heatmaps themselves compare, and what they find."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from figures.audits import auditing
from figures.tiles import SIDE, overlaid, photograph, sheet
from pytest_cnnaudit import Case, Engine, edits, metrics
from pytest_cnnaudit.preprocessing import open_picture


def trust_table(engine: Engine, cases: Sequence[Case]) -> str:
    """Mean value and, in brackets, how many of the cases pass each assertion's default, by method, as Markdown."""
    blob: Callable[..., Any] = centre_blob
    methods: list[tuple[str | Callable[..., Any], str | None]] = [
        *((name, None) for name in ("grad-cam", "layer-cam", "grad-cam++", "eigen-cam", "saliency")),
        (blob, None),
        (edges, "rescaling"),
    ]
    columns = ("class_discriminative", "faithful", "stable", "follows", "responds_to_weights")
    lines = ["| | " + " | ".join(f"`assert_{name}`" for name in columns) + " |", "|---|" + "---|" * len(columns)]
    with auditing(engine) as found:
        for method, layer in methods:
            findings = [
                found(
                    f"assert_{name}",
                    cases,
                    method=method,
                    layer=layer,
                    **({"other": "second"} if name == "class_discriminative" else {}),
                )
                for name in columns
            ]
            cells = " | ".join(
                f"{'–' if one.mean is None else format(one.mean, '.2f')} ({one.passed})" for one in findings
            )
            title = f"`{method}`" if isinstance(method, str) else f"*{method.__name__.replace('_', ' ')}*"
            lines.append(f"| {title} | {cells} |")
    return "\n".join(lines)


def centre_blob(activations: Any, gradients: Any, scores: Any) -> Any:  # noqa: ARG001 - the interface of methods
    """A method that is none: the middle of the picture, whatever is there."""
    return np.broadcast_to(metrics.centre_prior(activations.shape[1:3]), activations.shape[:3])


def edges(activations: Any, gradients: Any, scores: Any) -> Any:  # noqa: ARG001
    """A method that is none: where neighbouring pixels differ, which is much like guided backpropagation's maps."""
    return np.hypot(*np.gradient(activations.mean(axis=-1), axis=(1, 2)))


def trust(engine: Engine, case: Case) -> Image.Image:
    """What the five assertions compare: Grad-CAM for two classes, mirrored, with random weights; then edges."""
    second = int(engine.predict([case]).logits[0].argsort()[-2])
    photo = photograph(case)
    mirrored = photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    maps = engine.heatmaps([case], target="label")
    fresh = engine.reinitialized(maps.layer, seed=1)
    curves = edits.Curves(
        edits.as_pixels(open_picture(case)), maps.geometries[0], (maps.maps.shape[1], maps.maps.shape[2])
    )
    order = metrics.relevance_order(maps.maps[0])
    inserted, deleted = curves.pictures(order, np.array([len(order) // 4]))
    sharp: dict[str, Any] = {"method": edges, "layer": "rescaling"}
    grid = (SIDE, SIDE)
    names = engine.class_names or ()
    return sheet(
        [
            (overlaid(photo, maps.resized(grid)[0]), f"grad-cam, {case.label}"),
            (overlaid(photo, engine.heatmaps([case], target=second).resized(grid)[0]), f"{names[second]}"),
            (overlaid(mirrored, engine.heatmaps([mirrored], target=int(maps.targets[0])).resized(grid)[0]), "mirrored"),
            (overlaid(photo, fresh.heatmaps([case], target="label").resized(grid)[0]), "random weights"),
            (edits.as_picture(inserted).resize(grid), "a quarter inserted"),
            (
                overlaid(photo, engine.heatmaps([case], target="label", **sharp).resized(grid)[0]),
                f"edges, {case.label}",
            ),
            (overlaid(photo, engine.heatmaps([case], target=second, **sharp).resized(grid)[0]), f"{names[second]}"),
            (overlaid(mirrored, engine.heatmaps([mirrored], target=0, **sharp).resized(grid)[0]), "mirrored"),
            (overlaid(photo, fresh.heatmaps([case], target="label", **sharp).resized(grid)[0]), "random weights"),
            (edits.as_picture(deleted).resize(grid), "a quarter deleted"),
        ]
    )
