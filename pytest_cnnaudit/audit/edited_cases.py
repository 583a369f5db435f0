"""What the model says of edited images of cases.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pytest_cnnaudit.audit import case_evidence
from pytest_cnnaudit.audit.context import Context
from pytest_cnnaudit.audit.limits import LARGEST_ALLOWED_REGION, ROUNDING
from pytest_cnnaudit.audit.populations import where
from pytest_cnnaudit.cases import (
    Box,
    Case,
    InputRow,
    Region,
    Sample,
    check_given_regions,
    check_region,
    check_regions,
    upright_size,
)
from pytest_cnnaudit.edits import Edit, EditedImage, Original, Patch, Place, edited
from pytest_cnnaudit.findings import View
from pytest_cnnaudit.preprocessing import Geometry, Preprocessing

Logits: TypeAlias = npt.NDArray[np.float32]

LOST = "was lost in preprocessing"
UNCHANGED = "the edit leaves every pixel of the picture as it is, so it proves nothing"
# Logits closer than this share of their spread may be those of the same image: it is looked at again.
_MAY_BE_THE_SAME = 0.01

Check: TypeAlias = Callable[[Original], str]


@dataclass(frozen=True)
class Asked:
    """Each case's K edited images and their logits `(K, classes)`, K = 0 where `problems` says why."""

    images: Sequence[Sequence[EditedImage]]
    logits: Sequence[Logits]
    problems: Sequence[str]


def ask_about_edits(
    context: Context,
    population: Sequence[Case],
    given: tuple[Region, ...] | None,
    edits: Sequence[Edit],
    check: Check,
) -> Asked:
    """Asks the model about all edits of all cases together; each is rendered when its batch is read.

    What stands against an edit of a case is known before anything is computed.
    """
    bound = seen_by(context, population[0])
    originals = []
    for index, case in enumerate(population):
        name, (width, height) = where(case, index), upright_size(case)
        check_regions(case, width, height)
        check_given_regions(given, width, height, name)
        regions = case.regions if given is None else given
        originals.append(Original(case, name, regions, bound.geometry(width, height), context.seed))
    problems = [check(original) for original in originals]
    images = edited((one, () if problem else edits) for one, problem in zip(originals, problems, strict=True))
    every = [image for of_case in images for image in of_case]
    logits = context.engine.predict(every).logits if every else np.empty((0, context.engine.num_classes), np.float32)
    return Asked(images, np.split(logits, np.cumsum([len(of_case) for of_case in images])[:-1]), problems)


def seen_by(context: Context, case: Sample) -> Preprocessing:
    """The preprocessing that says how the images of a population are seen; of model input it says nothing."""
    preprocessing = context.engine.preprocessing
    return preprocessing if isinstance(case, InputRow) else preprocessing.bound(context.engine.input_shape)


def original_with(context: Context, case: Sample, index: int, geometry: Geometry) -> Original:
    """A case that is edited whatever its regions."""
    return Original(case, where(case, index), (), geometry, context.seed)


def is_changed(context: Context, asked: Asked, index: int, untouched: Logits) -> bool:
    """Whether any edit of a case differs from the untouched one where the model sees it.

    Where the model says something else it does; only where it says all but the same the images are compared.
    """
    farthest = np.abs(asked.logits[index] - untouched).max(initial=0.0)
    if not farthest <= _MAY_BE_THE_SAME * float(np.ptp(untouched)):
        return True
    images = asked.images[index]
    return any(image.changes(seen_by(context, image.case)) for image in images)


def views_of_edits(context: Context, asked: Asked, targets: Sequence[int]) -> Callable[[int], list[View]]:
    """For the page: a case's edited images, rendered again, with what the model said of each."""

    def views(index: int) -> list[View]:
        if asked.problems[index]:
            return []
        predicted, target = context.engine.predictions(asked.logits[index]), targets[index]
        return [
            View(
                image.edit.title,
                picture=case_evidence.edited_image(image, seen_by(context, image.case), embed=context.embeds),
                predictions=case_evidence.predictions(predicted, row),
                note=f"P({predicted.name(target)}) {predicted.probabilities[row, target]:.3f}",
            )
            for row, image in enumerate(asked.images[index])
        ]

    return views


def region_problem(original: Original, *, single: bool) -> str:
    """Why a case can't be scored by hiding its region or all else, if it can't."""
    share = original.share(original.regions)
    if not share:
        return f"the region {LOST}"
    if share > LARGEST_ALLOWED_REGION * (1 + ROUNDING):
        problem = f"covers {share:.0%} of the picture, more than {LARGEST_ALLOWED_REGION:.0%}"
    elif share > 0.25 and original.coverage().all():  # of a picture of a few pixels, each in part
        problem = "covers a part of every pixel"
    else:
        return ""
    problem = f"the region {problem}: there is hardly anything else to compare it with, so give a smaller region"
    if single:
        raise ValueError(f"{original.name}: {problem}")
    return problem


def patch_problem(original: Original, *, patch: Patch, place: Place) -> str:
    """Why a case can't be scored with a patch at this place, if it can't."""
    if not isinstance(place, Box):
        patch.check(original)
        return ""
    geometry = original.geometry
    check_region(place, geometry.source_width, geometry.source_height, f"{original.name}: where")
    return "" if original.share(place) else f"the patch {LOST}"
