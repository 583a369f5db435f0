"""docs/what-it-depends-on.md: an image edited in all ways, and what the assertions that edit find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from PIL import Image

from figures.audits import auditing
from figures.tiles import FIXTURES, SIDE, sheet
from pytest_cnnaudit import Case, Engine, edits
from pytest_cnnaudit.preprocessing import open_picture

STAMP = FIXTURES / "stamps" / "ben.png"
# Parts of pictures without an object or a stamp.
BACKGROUNDS = (
    ("cat-08.jpg", (0, 0, 96, 96)),
    ("coffee-cup-05.jpg", (96, 96, 192, 192)),
    ("rocket-20.jpg", (96, 96, 192, 192)),
)
EDITS: tuple[tuple[str, tuple[Any, ...], dict[str, Any]], ...] = (
    *(("assert_object_matters", (), {"fill": fill}) for fill in edits.FILLS),
    *(("assert_object_suffices", (), {"fill": fill}) for fill in edits.FILLS),
    ("assert_ignores_patch", (STAMP,), {}),
    (
        "assert_ignores_background",
        ([Image.open(FIXTURES / "pictures" / path).crop(part) for path, part in BACKGROUNDS],),
        {},
    ),
)


def table_of_edits(engines: Mapping[str, Engine], cases: Sequence[Case]) -> str:
    """Mean value, and how many of the cases pass, of each assertion that edits the pictures, as Markdown."""
    lines = ["| | " + " | ".join(engines) + " |", "|---|" + "---|" * len(engines)]
    with ExitStack() as stack:
        audits = [stack.enter_context(auditing(engine)) for engine in engines.values()]
        for name, arguments, options in EDITS:
            findings = [found(name, cases, *arguments, **options) for found in audits]
            cells = [f"{finding.mean:.2f}, {finding.passed} of {finding.n}" for finding in findings]
            described = ", ".join(str(value) for value in options.values())
            lines.append(f"| `{name}`{f', {described}' if described else ''} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def edited(engines: Mapping[str, Engine], case: Case) -> Image.Image:
    """A picture edited in all ways; under each what the honest and the cheating model give the label."""
    pixels = edits.as_pixels(photo := open_picture(case))
    coverage, random = edits.coverage_of(case.regions, *photo.size), np.random.default_rng(0)
    made = {"the picture": pixels}
    for fill in edits.FILLS:
        made[fill] = edits.blended(pixels, edits.filling(pixels, fill, random)(coverage), coverage)
    control, rest = edits.controls(coverage, np.random.default_rng(0))[0], 1 - coverage
    noise = edits.filling(pixels, "noise", random)
    made["control"] = edits.blended(pixels, noise(control), control)
    made["alone"] = edits.blended(pixels, noise(rest), rest)
    made["patch"] = edits.pasted(pixels, open_picture(STAMP), 0, 0)
    for ground_name, (path, part) in zip(("brick", "grass"), BACKGROUNDS, strict=False):
        ground = Image.open(FIXTURES / "pictures" / path).crop(part)
        made[f"on {ground_name}"] = edits.on_background(pixels, coverage, ground)
    label = next(iter(engines.values())).class_index(case.labels[0])
    found = [engine.predict(list(made.values())).probabilities[:, label] for engine in engines.values()]
    tiles = []
    for row, (name, picture) in enumerate(made.items()):
        shown = edits.as_picture(picture).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        tiles.append((shown, f"{name} " + " | ".join(f"{probabilities[row]:.2f}" for probabilities in found)))
    return sheet(tiles)
