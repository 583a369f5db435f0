"""Draw the pictures of the documentation again, from the models and pictures in fixtures/.

    python docs/pictures.py            draws them; a minute
    python docs/pictures.py --table    prints the table of docs/heatmaps.md instead; some minutes
    python docs/pictures.py --where    prints the table of docs/where-it-looks.md instead; seconds
    python docs/pictures.py --filters  prints the table of docs/inside-the-network.md instead; a minute
    python docs/pictures.py --edits    prints the table of docs/what-it-depends-on.md instead; a minute
    python docs/pictures.py --trust    prints that of docs/trusting-explanations.md; some minutes

Needs pytest-cnnaudit installed with one backend. The methods that draw random numbers draw the same ones each
time. On another backend or processor the maps differ by rounding, which nobody sees.
"""

from __future__ import annotations

import functools
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from pytest_cnnaudit import AuditFailure, Box, Case, Engine, edits, load_cases, metrics
from pytest_cnnaudit.audit import Audit, Settings
from pytest_cnnaudit.audit.families.filter_patterns import likenesses, pattern_gains
from pytest_cnnaudit.audit.families.mosaics import draw_mosaics, make_mosaics
from pytest_cnnaudit.audit.perturbing import Curves
from pytest_cnnaudit.audit.region_measures import BLOB, OTHERS
from pytest_cnnaudit.cases import picture_digest
from pytest_cnnaudit.engine import FilterPatterns, Heatmaps
from pytest_cnnaudit.engine.cache import Cache
from pytest_cnnaudit.engine.methods import METHODS
from pytest_cnnaudit.findings import Finding
from pytest_cnnaudit.preprocessing import open_picture
from pytest_cnnaudit.record import Recorder

Pixels: TypeAlias = npt.NDArray[np.uint8]

ROOT = Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "fixtures"
IMAGES = ROOT / "docs" / "images"
PICTURE = "pictures/cat-02.jpg"
SIDE, GAP, CAPTION = 192, 8, 30
COLUMNS = 5
SEED = 0
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
        "--table": lambda: table(engines, cases[:MEASURED]),
        "--where": lambda: where_table(engines, cases),
        "--filters": lambda: filters_table(engines["honest"]),
        "--edits": lambda: table_of_edits(engines, cases[::4]),
        "--trust": lambda: trust_table(engines["honest"], cases[:MEASURED]),
    }
    for asked in sys.argv[1:]:
        if asked not in tables:
            sys.exit(f"{asked!r} is not known; {', '.join(tables)} are all that may be asked for")
        print(tables[asked]())
    if sys.argv[1:]:
        return
    case = next(case for case in cases if str(case.image).endswith(PICTURE))
    for kind, engine in engines.items():
        save(all_methods(engine, case), f"methods-{kind}")
    save(layers(engines["honest"], case), "layers")
    save(activations(engines["honest"], case), "activations")
    save(patterns(engines["honest"]), "patterns")
    save(trust(engines["honest"], case), "trust")
    save(where(engines, cases, case), "where-it-looks")
    save(sparsity(engines["honest"], cases), "sparsity")
    save(gains(engines["honest"]), "gains")
    save(edited(engines, case), "edits")


def filters_table(engine: Engine) -> str:
    """What the assertions on filters measure in each convolution, trained and with fresh weights, as Markdown."""
    keras.utils.set_random_seed(0)
    untrained = Engine(keras.models.clone_model(engine.model), progress=False)
    lines = ["| | cosine of kernels | smallest gain | median gain | similarity of patterns |", "|---|---|---|---|---|"]
    for kind, one in (("trained", engine), ("untrained", untrained)):
        for path, kernels in one.kernels().items():
            cosine = metrics.nearest_others(kernels.filters).similarity.max()
            found, start = common_start(one, path)
            gain = pattern_gains(one, found, start, SEED)
            similarity = likenesses(found, start).similarity.max()
            numbers = f"{cosine:.2f} | {gain.min():.1f} | {np.median(gain):.0f} | {similarity:.2f}"
            lines.append(f"| `{path}`, {kind} | {numbers} |")
    return "\n".join(lines)


def common_start(engine: Engine, layer: str) -> tuple[FilterPatterns, npt.NDArray[np.float32]]:
    """The patterns that the assertions judge, and the noise they are grown from."""
    height, width, _ = engine.input_shape
    assert height is not None
    assert width is not None
    start = engine.pattern_start((height, width), seed=SEED)
    return engine.filter_patterns(layer, size=(height, width), init=start, seed=SEED), start


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
        results = Cache(engine)
        audit = Audit("docs", recorder, lambda: results, Settings(artifacts="off"))
        for method, layer in methods:
            found = [judged(audit, name, cases, method, layer) for name in columns]
            cells = " | ".join(
                f"{'–' if one.mean is None else format(one.mean, '.2f')} ({one.passed})" for one in found
            )
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
    curves = Curves(edits.as_pixels(open_picture(case)), maps.geometries[0], (maps.maps.shape[1], maps.maps.shape[2]))
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
            finding = found(engine, name, cases, arguments)
            numbers = [finding.mean, finding.chance, *(finding.controls.get(one) for one in (OTHERS, BLOB))]
            shown = " | ".join("–" if number is None else f"{number:.2f}" for number in numbers)
            lines.append(f"| `{called}` | {kind} | {shown} | {finding.passed} of {finding.n} |")
    return "\n".join(lines)


def found(engine: Engine, name: str, cases: Sequence[Case], arguments: Mapping[str, int]) -> Finding:
    """What an assertion finds, whether it passes or not."""
    results = Cache(engine)
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(Path(folder), "docs")
        recorder.start("docs")
        audit = Audit("docs", recorder, lambda: results, Settings(artifacts="off"))
        try:
            return getattr(audit, f"assert_{name}")(cases, **arguments)  # type: ignore[no-any-return]
        except AuditFailure as failure:
            return failure.finding


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


def enlarged(cells: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """The cells of a map as they are measured, without smoothing."""
    rows, columns = (-(-SIDE // side) for side in cells.shape)
    return np.kron(cells, np.ones((rows, columns), np.float32))[:SIDE, :SIDE].astype(np.float32)


def mosaic_tile(mosaic: Case, heatmap: npt.NDArray[np.float32]) -> Image.Image:
    """A mosaic with the map over it and its own cell outlined."""
    small = Image.fromarray(np.asarray(mosaic.image))
    tile = overlaid(small.resize((SIDE, SIDE), Image.Resampling.BILINEAR), heatmap)
    box, scale = mosaic.regions[0], SIDE / small.width
    assert isinstance(box, Box)
    edges = [edge * scale for edge in (box.left, box.top, box.right, box.bottom)]
    ImageDraw.Draw(tile).rectangle((edges[0], edges[1], edges[2] - 1, edges[3] - 1), outline="#00c853", width=2)
    return tile


def table_of_edits(engines: Mapping[str, Engine], cases: Sequence[Case]) -> str:
    """Mean value, and how many of the cases pass, of each assertion that edits the pictures, as Markdown."""
    lines = ["| | " + " | ".join(engines) + " |", "|---|" + "---|" * len(engines)]
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(Path(folder), "run")
        recorder.start("docs")
        audits = [
            Audit("docs", recorder, functools.partial(Cache, engine), Settings(artifacts="off"))
            for engine in engines.values()
        ]
        for name, arguments, options in EDITS:
            cells = []
            for audit in audits:
                try:
                    finding = getattr(audit, name)(cases, *arguments, **options)
                except AuditFailure as failure:
                    finding = failure.finding
                cells.append(f"{finding.mean:.2f}, {finding.passed} of {finding.n}")
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


def sparsity(engine: Engine, cases: Sequence[Case]) -> Image.Image:
    """Share of zeros by layer, mean over the pictures."""
    paths = [layer.path for layer in engine.layers if layer.is_relu_like]
    stats = engine.activation_stats(cases, paths)
    line, label, length = 34, 90, 520
    drawn = Image.new("RGB", (label + length + 80, line * len(paths) + GAP), PAPER)
    pen = ImageDraw.Draw(drawn)
    for row, path in enumerate(paths):
        share, top = stats[path].sparsity, GAP // 2 + row * line
        pen.rectangle((label, top + 6, label + length, top + line - 6), "#ebeef3")
        pen.rectangle((label, top + 6, label + round(share * length), top + line - 6), "#2f6fb7")
        caption(drawn, path, label // 2, top + (line - CAPTION) // 2)
        caption(drawn, f"{share:.2f}", label + length + 40, top + (line - CAPTION) // 2)
    return drawn


def gains(engine: Engine) -> Image.Image:
    """Patterns of the five filters of conv3 with the smallest gain, and of the five with the largest."""
    found, start = common_start(engine, "conv3")
    gain = pattern_gains(engine, found, start, SEED)
    order, pictures = np.argsort(gain), found.pictures(crop=12)
    rows = [*order[:COLUMNS], *order[-COLUMNS:]]
    return sheet(
        [
            (
                Image.fromarray(pictures[row]).resize((SIDE, SIDE), Image.Resampling.BICUBIC),
                f"{found.filters[row]}: gain {gain[row]:.1f}",
            )
            for row in rows
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
