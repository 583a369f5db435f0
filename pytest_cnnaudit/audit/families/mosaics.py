"""Assertions on mosaics: pictures of several classes side by side, of which the model should see each in its place.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Unpack

import numpy as np
import numpy.typing as npt

from pytest_cnnaudit import metrics
from pytest_cnnaudit.audit.assertions import assertion
from pytest_cnnaudit.audit.case_findings import case_finding
from pytest_cnnaudit.audit.context import Context
from pytest_cnnaudit.audit.judged_cases import Judged, Score, no_evidence
from pytest_cnnaudit.audit.limits import EXCESS, ROUNDING, as_limits
from pytest_cnnaudit.audit.populations import as_population, case_id, where
from pytest_cnnaudit.audit.rule import Rule, RuleArguments
from pytest_cnnaudit.audit.targets import check_labels_of, explain
from pytest_cnnaudit.cases import Box, Case, Label, picture_digest
from pytest_cnnaudit.checks import is_integer
from pytest_cnnaudit.findings import Finding, Threshold
from pytest_cnnaudit.preprocessing import Preprocessing

if TYPE_CHECKING:
    from pytest_cnnaudit.engine import Heatmaps
    from pytest_cnnaudit.engine.methods import MethodFunction

# Above chance, where neither limit is given.
DEFAULT_EXCESS = 0.2


@assertion(
    title="Finds each class in a mosaic",
    quantity="share of the heatmap in the right cell of a mosaic",
    measured=(
        "Pictures of several classes are put side by side, and the heatmap for one class is added up in the cell that "
        "shows it and divided by the whole: 1 means that all of it lies there. Chance is the cell's share of the "
        "mosaic. No regions are needed."
    ),
    reading=(
        "A value near chance means that the heatmap does not tell the classes apart: it shows edges or objects in "
        "general, or the model does not recognise the pictures at this size."
    ),
    about="where it looks",
    settings=("grid",),
)
def assert_grid_pointing(
    context: Context,
    cases: Sequence[Case],
    *,
    grid: int = 2,
    at_least: float | None = None,
    excess_at_least: float | None = None,
    method: str | MethodFunction = "grad-cam",
    layer: str | None = None,
    **rule: Unpack[RuleArguments],
) -> Finding:
    """In a mosaic of `grid` × `grid` pictures the heatmap's mass for a class lies in the cell that shows it.

    The grid pointing game (Rao 2022, arXiv:2205.10435), which needs labels but no boxes. Each case gets a
    mosaic with itself in one cell and cases of other labels in the others, drawn by its picture and the session's
    seed whatever the order of the cases, and its value is the share of mass in its own cell. Chance a is 1 / grid²;
    where `grid` doesn't divide the input's sides cells differ by a pixel, and it is the cell's share of the mosaic.
    `excess_at_least` demands (m − a) / (1 − a) above it (0.2: a mass of 0.4 for 2 × 2), `at_least` a mass; where
    neither is given, 0.2 above chance. The pictures are shrunk to cells, so that the mosaic has the size of the
    model's input: the model must know its classes at 1 / grid of their size.
    """
    population = as_population(cases)
    if at_least is None and excess_at_least is None:
        excess_at_least = DEFAULT_EXCESS
    if not is_integer(grid) or grid < 2:
        raise ValueError(f"grid is {grid!r}; give the number of cells along each side, 2 or more")
    limits = as_limits(
        ("mass in the right cell", at_least, "at_least", "at_least"),
        (EXCESS, excess_at_least, "at_least", "excess_at_least"),
    )
    labels = [_label(case, index) for index, case in enumerate(population)]
    check_labels_of(context, population)
    classes = [context.engine.class_index(label) for label in labels]
    if len(set(classes)) < 2:
        raise ValueError("cases has pictures of one class only, but the other cells of a mosaic need another one")
    preprocessing = context.engine.preprocessing.bound(context.engine.input_shape)
    cells = mosaic_cells(preprocessing, grid)
    drawn = draw_mosaics(classes, [_key(case) for case in population], grid, context.seed)
    mosaics = make_mosaics(population, drawn, grid, preprocessing)
    maps, _ = explain(context, mosaics, classes, method, layer)
    covers = _covers(maps, cells, grid, limits)
    empty, negative = maps.empty, maps.negative_share
    scores = []
    for index, (_, cell) in enumerate(drawn):
        cover, chance = covers[cell], _share(cells[cell], cells[-1])
        if empty[index]:
            scores.append(Score(None, chance, no_evidence(float(negative[index]))))
        else:
            scores.append(Score(float(metrics.mass_inside(maps.maps[index], cover)), chance))
    judged = Judged(population, scores, limits, False, "mass in the right cell")
    return case_finding(context, judged, Rule(**rule), target="label", maps=maps, images=mosaics)


def _covers(
    maps: Heatmaps, cells: Sequence[Box], grid: int, limits: Sequence[Threshold]
) -> list[npt.NDArray[np.float64]]:
    """What each of the mosaic's cells covers of the map's; `ValueError` where one of them can't reach a limit."""
    height, width = maps.signed.shape[1:]
    covers = [maps.geometries[0].coverage(cell, (height, width)) for cell in cells]
    for cell, cover in zip(cells, covers, strict=True):
        ceiling = float(metrics.ceiling(cover))
        if any(limit.demanded(_share(cell, cells[-1])) > ceiling * (1 + ROUNDING) for limit in limits):
            raise ValueError(
                f"grid is {grid}, but no map on the {height} × {width} grid of {maps.layer!r} can have more than "
                f"{ceiling:.3f} of its mass in the cell {cell!r} of the mosaic: demand less, or explain a layer with a "
                "finer grid"
            )
    return covers


def _share(cell: Box, last: Box) -> float:
    """A cell's share of the mosaic, which the last one ends."""
    return (cell.right - cell.left) * (cell.bottom - cell.top) / (last.right * last.bottom)


def _key(case: Case) -> str:
    """What a case's mosaic is drawn by."""
    try:
        return picture_digest(case)
    except OSError:  # what is wrong with the file is said where it is read
        return case.name


def draw_mosaics(
    classes: Sequence[int], keys: Sequence[str], grid: int, seed: int
) -> list[tuple[tuple[int, ...], int]]:
    """For each case the cases in its mosaic's cells, row by row, and in which of them it is itself.

    The other cells hold other classes, in turn and in random order, a random case of each. A case's mosaic depends on
    its own key, the seed, and which cases there are, but not on their order.
    """
    members: dict[int, list[int]] = {one: [] for one in sorted(set(classes))}
    for index in sorted(range(len(classes)), key=lambda at: keys[at]):
        members[classes[index]].append(index)
    drawn = []
    for index, own in enumerate(classes):
        random = np.random.default_rng(list(hashlib.sha256(f"{seed} mosaic {keys[index]}".encode()).digest()))
        others = random.permutation([one for one in members if one != own])
        cells = [int(random.choice(members[int(one)])) for one in np.resize(others, grid**2 - 1)]
        cell = int(random.integers(grid**2))
        drawn.append(((*cells[:cell], index, *cells[cell:]), cell))
    return drawn


def _label(case: Case, index: int) -> Label:
    if len(case.labels) != 1:
        problem = "has several labels" if case.labels else "has no label"
        raise ValueError(f"{where(case, index)} {problem}: a cell of a mosaic shows one class")
    return case.labels[0]


def make_mosaics(
    cases: Sequence[Case], drawn: Sequence[tuple[Sequence[int], int]], grid: int, preprocessing: Preprocessing
) -> list[Case]:
    """Cases whose pictures are the mosaics, in pixels of the model's input, and whose regions are their own cells."""
    cells = mosaic_cells(preprocessing, grid)
    color: Literal["rgb", "rgba"] = "rgba" if preprocessing.color == "rgba" else "rgb"

    @functools.cache
    def shrunk(member: int, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
        shrink = Preprocessing(size, resize=preprocessing.resize, color=color, resizing=preprocessing.resizing)
        # Without its regions, which were checked against the whole picture.
        pixels, _ = shrink(replace(cases[member], region=None, forbidden=None))
        return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)

    mosaics = []
    for index, (members, own) in enumerate(drawn):
        picture = np.empty((int(cells[-1].bottom), int(cells[-1].right), len(color)), np.uint8)
        for cell, member in zip(cells, members, strict=True):
            left, top, right, bottom = (int(edge) for edge in (cell.left, cell.top, cell.right, cell.bottom))
            picture[top:bottom, left:right] = shrunk(member, (bottom - top, right - left))
        case = cases[index]
        mosaics.append(Case(picture, case.label, cells[own], id=case_id(case, index), group=case.group))
    return mosaics


def mosaic_cells(preprocessing: Preprocessing, grid: int) -> list[Box]:
    """The cells of a mosaic of the model's input size, row by row, each in whole pixels."""
    size = preprocessing.size
    height, width = size if isinstance(size, tuple) else (0, 0)
    if min(height, width) < grid:
        raise ValueError(f"grid is {grid}, but the model's input of {height} × {width} pixels has no room for it")
    rows, columns = ([round(side * at / grid) for at in range(grid + 1)] for side in (height, width))
    return [
        Box(left, top, right, bottom)
        for top, bottom in itertools.pairwise(rows)
        for left, right in itertools.pairwise(columns)
    ]
