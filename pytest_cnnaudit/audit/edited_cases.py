"""What the model says of edited images of cases.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pytest_cnnaudit import edits
from pytest_cnnaudit.audit import case_evidence
from pytest_cnnaudit.audit.context import Context
from pytest_cnnaudit.audit.editing import Edit, Place, Subject
from pytest_cnnaudit.audit.limits import LARGEST_ALLOWED_REGION, ROUNDING
from pytest_cnnaudit.audit.perturbing import with_picture
from pytest_cnnaudit.audit.populations import Region, where
from pytest_cnnaudit.cases import Box, Case, Sample, check_region, check_regions
from pytest_cnnaudit.findings import View
from pytest_cnnaudit.preprocessing import on_white, open_picture

Logits: TypeAlias = npt.NDArray[np.float32]

LOST = "was lost in preprocessing"
UNCHANGED = "the edit leaves every pixel of the picture as it is, so it proves nothing"

Edits: TypeAlias = Callable[[Subject], Iterable[Edit]]
Check: TypeAlias = Callable[[Subject], str]


@dataclass(frozen=True)
class Asked:
    """Logits `(K, classes)` of each case's K edited pictures, K = 0 where `problems` says why; `again` makes these.

    `changed`: whether any of them differs from the untouched picture where the model sees it.
    """

    logits: Sequence[Logits]
    problems: Sequence[str]
    changed: Sequence[bool]
    again: Callable[[int], Iterable[Edit]]


def ask_about_edits(
    context: Context, population: Sequence[Case], given: tuple[Region, ...] | None, make: Edits, check: Check
) -> Asked:
    """Asks the model about all edited pictures in one stream of batches; each is made when its batch is."""
    counts, problems, changed = [0] * len(population), [""] * len(population), [False] * len(population)

    def stream() -> Iterator[Sample]:
        for index, case in enumerate(population):
            subject = _subject(context, case, index, given)
            width, height = subject.geometry.source_width, subject.geometry.source_height
            check_regions(case, width, height)
            for one in given or ():
                check_region(one, width, height, f"{subject.name}: region")
            problems[index] = check(subject)
            for edit in () if problems[index] else make(subject):
                counts[index] += 1
                changed[index] = changed[index] or subject.differs_from(edit.pixels)
                yield with_picture(case, edit.pixels)

    pictures = stream()
    first = next(pictures, None)
    if first is None:
        logits = np.empty((0, context.engine.num_classes), np.float32)
    else:
        logits = context.engine.predict(itertools.chain([first], pictures)).logits
    parts = np.split(logits, np.cumsum(counts)[:-1])
    return Asked(parts, problems, changed, lambda index: make(_subject(context, population[index], index, given)))


def _subject(context: Context, case: Case, index: int, given: tuple[Region, ...] | None) -> Subject:
    bound = context.engine.preprocessing.bound(context.engine.input_shape)
    picture = open_picture(case)
    if bound.color != "rgba":
        picture = on_white(picture)  # as the preprocessing does it, so that it is edited as it is seen
    regions = case.regions if given is None else given
    geometry = bound.geometry(*picture.size)
    return Subject(where(case, index), edits.as_pixels(picture), regions, geometry, context.seed)


def views_of_edits(context: Context, asked: Asked, targets: Sequence[int]) -> Callable[[int], list[View]]:
    """For the page: a case's edited pictures, made again, with what the model said of each."""
    embed = context.embeds

    def views(index: int) -> list[View]:
        if asked.problems[index]:
            return []
        predicted, target = context.engine.predictions(asked.logits[index]), targets[index]
        return [
            View(
                edit.title,
                picture=case_evidence.further_image(edits.as_picture(edit.pixels), embed=embed),
                predictions=case_evidence.predictions(predicted, row),
                note=f"P({predicted.name(target)}) {predicted.probabilities[row, target]:.3f}",
            )
            for row, edit in enumerate(asked.again(index))
        ]

    return views


def region_problem(subject: Subject, *, single: bool) -> str:
    """Why a case can't be scored by hiding its region or all else, if it can't."""
    share = subject.share(subject.regions)
    if not share:
        return f"the region {LOST}"
    if share > LARGEST_ALLOWED_REGION * (1 + ROUNDING):
        problem = f"covers {share:.0%} of the picture, more than {LARGEST_ALLOWED_REGION:.0%}"
    elif share > 0.25 and subject.coverage.all():  # of a picture of a few pixels, each in part
        problem = "covers a part of every pixel"
    else:
        return ""
    problem = f"the region {problem}: there is hardly anything else to compare it with, so give a smaller region"
    if single:
        raise ValueError(f"{subject.name}: {problem}")
    return problem


def patch_problem(subject: Subject, *, place: Place) -> str:
    """Why a case can't be scored with a patch at this place, if it can't."""
    if not isinstance(place, Box):
        return ""
    check_region(place, subject.geometry.source_width, subject.geometry.source_height, f"{subject.name}: where")
    return "" if subject.share(place) else f"the patch {LOST}"
