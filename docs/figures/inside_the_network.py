"""docs/inside-the-network.md and docs/filter-patterns.md: activations, sparsity, filters and their patterns."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from figures.tiles import CAPTION, COLUMNS, GAP, PAPER, SIDE, VIRIDIS, caption, coloured, sheet
from pytest_cnnaudit import Case, Engine, metrics
from pytest_cnnaudit.audit.families.filter_patterns import likenesses, pattern_gains
from pytest_cnnaudit.engine import FilterPatterns

SEED = 0
CHANNELS_A_ROW, CHANNEL_GAP = 16, 1


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
