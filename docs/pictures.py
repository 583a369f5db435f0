"""Draw the pictures of the documentation again, from the models and pictures in fixtures/.

    python docs/pictures.py            draws them; a minute
    python docs/pictures.py --table    prints the table of docs/heatmaps.md instead; some minutes
    python docs/pictures.py --trust    prints that of docs/trusting-explanations.md; some minutes

Needs pytest-cnnaudit installed with one backend. The methods that draw random numbers draw the same ones each
time. On another backend or processor the maps differ by rounding, which nobody sees.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from pytest_cnnaudit import AuditFailure, Box, Case, Engine, load_cases, metrics
from pytest_cnnaudit.audit import Audit, Settings
from pytest_cnnaudit.audit.perturbing import Curves
from pytest_cnnaudit.engine import Heatmaps
from pytest_cnnaudit.engine.methods import METHODS
from pytest_cnnaudit.record import Finding, Recorder
from pytest_cnnaudit.results import Results

Pixels: TypeAlias = npt.NDArray[np.uint8]

ROOT = Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "fixtures"
IMAGES = ROOT / "docs" / "images"
PICTURE = "pictures/cat-02.jpg"
SIDE, GAP, CAPTION = 192, 8, 30
COLUMNS = 5
MEASURED = 24  # pictures, eight of each class
CHANNELS_A_ROW, CHANNEL_GAP = 16, 1
INK, PAPER = "#1a1a1a", "#ffffff"
# Stops of the colour maps from no evidence to the strongest, those of the report's pages.
JET = ("00007f", "0000ff", "007fff", "00ffff", "7fff7f", "ffff00", "ff7f00", "ff0000", "7f0000")
VIRIDIS = ("440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725")


def main() -> None:
    """Draw them all, or print the table."""
    cases = list(load_cases(FIXTURES / "validation.json"))
    engines = {
        kind: Engine(FIXTURES / f"{kind}.keras", class_names=FIXTURES / "class_names.txt", seed=0, progress=False)
        for kind in ("honest", "shortcut")
    }
    tables = {
        "--table": partial(table, engines, cases[:MEASURED]),
        "--trust": partial(trust_table, engines["honest"], cases[:MEASURED]),
    }
    if sys.argv[1:] and sys.argv[1] not in tables:
        sys.exit(f"{sys.argv[1]!r} is not known; {' or '.join(tables)} may be asked for")
    if sys.argv[1:]:
        print(tables[sys.argv[1]]())
        return
    case = next(case for case in cases if str(case.image).endswith(PICTURE))
    for kind, engine in engines.items():
        save(all_methods(engine, case), f"methods-{kind}")
    save(layers(engines["honest"], case), "layers")
    save(activations(engines["honest"], case), "activations")
    save(patterns(engines["honest"]), "patterns")
    save(trust(engines["honest"], case), "trust")


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
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(Path(folder), "docs")
        recorder.start("docs")
        results = Results(engine)
        audit = Audit("docs", recorder, lambda: results, Settings(artifacts="off"))
        for method, layer in methods:
            found = [judged(audit, name, cases, method, layer) for name in columns]
            cells = " | ".join(f"{one.mean:.2f} ({one.passed})" for one in found)
            title = f"`{method}`" if isinstance(method, str) else f"*{method.__name__.replace('_', ' ')}*"
            lines.append(f"| {title} | {cells} |")
    return "\n".join(lines)


def judged(audit: Audit, name: str, cases: Sequence[Case], method: Any, layer: str | None) -> Finding:
    """What an assertion finds, passed or not."""
    arguments = {"other": "second"} if name == "class_discriminative" else {}
    try:
        found: Finding = getattr(audit, f"assert_{name}")(cases, method=method, layer=layer, **arguments)
    except AuditFailure as failure:
        return failure.finding
    return found


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
    curves = Curves(case, maps.geometries[0], (maps.maps.shape[1], maps.maps.shape[2]))
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
            (inserted.resize(grid), "a quarter inserted"),
            (
                overlaid(photo, engine.heatmaps([case], target="label", **sharp).resized(grid)[0]),
                f"edges, {case.label}",
            ),
            (overlaid(photo, engine.heatmaps([case], target=second, **sharp).resized(grid)[0]), f"{names[second]}"),
            (overlaid(mirrored, engine.heatmaps([mirrored], target=0, **sharp).resized(grid)[0]), "mirrored"),
            (overlaid(photo, fresh.heatmaps([case], target="label", **sharp).resized(grid)[0]), "random weights"),
            (deleted.resize(grid), "a quarter deleted"),
        ]
    )


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


def activations(engine: Engine, case: Case) -> Image.Image:
    """All channels of the first, a middle and the last convolution, each scaled by its own mean and deviation."""
    found = engine.activations([case], ["relu1", "relu4", "relu6"])
    width = COLUMNS * (SIDE + GAP) - GAP
    cell = (width - (CHANNELS_A_ROW - 1) * CHANNEL_GAP) // CHANNELS_A_ROW
    grids = [(channel_grid(values[0], cell), name) for name, values in found.items()]
    height = sum(grid.height + CAPTION + GAP for grid, _ in grids)
    drawn = Image.new("RGB", (width + 2 * GAP, height + GAP), PAPER)
    top = GAP
    for grid, name in grids:
        drawn.paste(grid, (GAP, top))
        rows, columns, channels = found[name].shape[1:]
        caption(drawn, f"{name}: {channels} channels of {rows} by {columns}", GAP + grid.width // 2, top + grid.height)
        top += grid.height + CAPTION + GAP
    return drawn


def patterns(engine: Engine) -> Image.Image:
    """Patterns of ten filters, from noise of pixels as in the book, and in waves and decorrelated colours."""
    crop = 12
    size, filters = (SIDE + 2 * crop, SIDE + 2 * crop), range(10)
    pixels = engine.filter_patterns("relu3", filters, size=size)
    waves = engine.filter_patterns("relu3", filters, size=size, steps=100, parametrization="fourier", jitter=4)
    return sheet(
        [
            (
                Image.fromarray(picture if responds else np.zeros_like(picture)),
                f"{index}, {name}" if responds else f"{index}, {name}: no response",
            )
            for found, name in ((pixels, "pixels"), (waves, "fourier"))
            for index, picture, responds in zip(found.filters, found.pictures(crop), found.responds, strict=True)
        ]
    )


def channel_grid(values: npt.NDArray[np.float32], cell: int) -> Image.Image:
    """Activations `(h, w, K)` as a grid; a constant channel is dark."""
    rows = -(-values.shape[-1] // CHANNELS_A_ROW)
    step = cell + CHANNEL_GAP
    grid = Image.new("RGB", (CHANNELS_A_ROW * step - CHANNEL_GAP, rows * step - CHANNEL_GAP), PAPER)
    for index, channel in enumerate(np.moveaxis(values, -1, 0)):
        spread = channel.std()
        levels = (channel - channel.mean()) / spread * 64 + 128 if spread > 0 else np.zeros_like(channel)
        picture = Image.fromarray(coloured(np.clip(levels, 0, 255) / 255, VIRIDIS))
        row, column = divmod(index, CHANNELS_A_ROW)
        grid.paste(picture.resize((cell, cell), Image.Resampling.NEAREST), (column * step, row * step))
    return grid


def photograph(case: Case) -> Image.Image:
    """The picture of a case."""
    return Image.open(Path(str(case.image))).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)


def framed(photo: Image.Image, case: Case) -> Image.Image:
    """The picture with its region outlined in green, and in red where no evidence may be."""
    drawn = photo.copy()
    pen = ImageDraw.Draw(drawn)
    for regions, colour in ((case.regions, "#00c853"), (case.forbidden_regions, "#ff1744")):
        for box in regions:
            assert isinstance(box, Box)  # the fixtures have no masks
            pen.rectangle((box.left, box.top, box.right - 1, box.bottom - 1), outline=colour, width=2)
    return drawn


def overlaid(photo: Image.Image, heatmap: npt.NDArray[np.float32]) -> Image.Image:
    """The heatmap, divided by its maximum, in jet over the picture: 0.4 of it and 0.6 of the picture.

    The picture is grey, so that all colour is the map's.
    """
    peak = heatmap.max()
    levels = heatmap / peak if peak > 0 else heatmap
    return Image.blend(photo.convert("L").convert("RGB"), Image.fromarray(coloured(levels, JET)), 0.4)


def coloured(levels: npt.NDArray[np.floating[Any]], stops: Sequence[str]) -> Pixels:
    """Levels from 0 to 1 as RGB."""
    colours = np.array([[int(stop[at : at + 2], 16) for at in (0, 2, 4)] for stop in stops])
    places = np.linspace(0, 1, len(stops))
    channels = [np.interp(levels, places, colours[:, channel]) for channel in range(3)]
    return np.asarray(np.rint(np.stack(channels, axis=-1)), np.uint8)


def sheet(tiles: Sequence[tuple[Image.Image, str]]) -> Image.Image:
    """Captioned tiles in rows."""
    rows = -(-len(tiles) // COLUMNS)
    step, line = SIDE + GAP, SIDE + CAPTION + GAP
    drawn = Image.new("RGB", (COLUMNS * step + GAP, rows * line), PAPER)
    for index, (tile, name) in enumerate(tiles):
        row, column = divmod(index, COLUMNS)
        left, top = GAP + column * step, GAP + row * line
        drawn.paste(tile, (left, top))
        caption(drawn, name, left + SIDE // 2, top + SIDE)
    return drawn


def caption(drawn: Image.Image, text: str, middle: int, top: int) -> None:
    """Write a text centred below a tile."""
    ImageDraw.Draw(drawn).text((middle, top + CAPTION / 2), text, INK, ImageFont.load_default(17), anchor="mm")


def save(picture: Image.Image, name: str) -> None:
    """Write one picture."""
    path = IMAGES / f"{name}.webp"
    picture.save(path, quality=85, method=6)
    print(f"{path.relative_to(ROOT)}: {picture.width} × {picture.height}, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
