"""What is judged: cases and images as they are handed over, what findings call them, and which belong together.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from os import PathLike
from typing import Any, Literal, TypeAlias, overload

import numpy as np
import numpy.typing as npt
from PIL import Image

from pytest_cnnaudit.cases import Case, InputRow, Picture, Region, Sample

Images: TypeAlias = "Case | PathLike[str] | Image.Image | npt.NDArray[Any] | Iterable[Case | Picture]"
"""What assertions take that need neither region nor label; an array of four dimensions is model input."""


@overload
def as_population(cases: Any, *, pictures: bool = False) -> list[Case]: ...
@overload
def as_population(cases: Any, *, pictures: bool = False, inputs: Literal[True]) -> list[Sample]: ...
def as_population(cases: Any, *, pictures: bool = False, inputs: bool = False) -> Any:
    """The cases as a list; an error that names the argument for anything else, for none, and for one id twice.

    With `pictures`, for assertions that need neither region nor label, paths, `PIL.Image`s and `uint8` arrays
    `(H, W, C)` are cases as well, and an iterator of any of these will do; with `inputs` so is an array
    `(N, H, W, C)`, which is model input.
    """
    if inputs and getattr(cases, "ndim", 0) == 4:
        cases = [InputRow(row, source=f"case {index}") for index, row in enumerate(np.asarray(cases))]
    elif pictures or inputs:
        cases = _images_as_cases(cases)
    if not isinstance(cases, Case) and (isinstance(cases, str) or not isinstance(cases, Sequence)):
        raise TypeError(f"cases must be a Case or a sequence of Cases, not {type(cases).__name__}")
    population = [cases] if isinstance(cases, Case) else list(cases)
    if not population:
        raise ValueError("cases is empty: there is nothing to judge")
    kinds = (Case, InputRow) if inputs else Case
    wrong = next((case for case in population if not isinstance(case, kinds)), None)
    if wrong is not None:
        raise TypeError(f"cases must hold Cases only, not {type(wrong).__name__}")
    names = [case_id(case, index) for index, case in enumerate(population)]
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise ValueError(f"cases holds {twice!r} twice: give each case an id of its own")
    return population


def _images_as_cases(cases: Any) -> Any:
    if isinstance(cases, (PathLike, Image.Image)) or (isinstance(cases, np.ndarray) and cases.ndim in (2, 3)):
        return Case(cases)
    if getattr(cases, "ndim", 0) == 4:
        raise TypeError(
            f"cases is an array {tuple(cases.shape)}, which is model input, and the pictures themselves are needed "
            "here, since they are edited in their own pixels and colours: give Cases, paths, PIL images or uint8 "
            "arrays (H, W, C)"
        )
    if isinstance(cases, np.ndarray):
        raise ValueError(
            f"cases is an array {cases.shape}; a picture has 3 dimensions (H, W, C), model input 4 (N, H, W, C)"
        )
    if isinstance(cases, Mapping):
        raise TypeError(
            "cases is a mapping, of a model's inputs as it seems: give Cases or pictures, and its other inputs "
            "as other_inputs of the engine"
        )
    if isinstance(cases, (Case, str)) or not isinstance(cases, Iterable):
        return cases
    kinds = (str, PathLike, Image.Image, np.ndarray)
    return [Case(one) if isinstance(one, kinds) else one for one in cases]


def as_cases(images: Any) -> list[Sample] | None:
    """The images as cases where they are one or several; None for anything else, which the engine reads."""
    if isinstance(images, Sample):
        return [images]
    if isinstance(images, Sequence) and len(images) and all(isinstance(image, Sample) for image in images):
        return list(images)
    return None


def check_images(cases: Any) -> None:
    """An error that names the argument for what is not images at all, before anything is computed."""
    kinds = (Case, PathLike, Image.Image, np.ndarray, Iterable)
    if isinstance(cases, (str, bytes)) or not isinstance(cases, kinds):
        raise TypeError(
            f"cases is {cases!r}; Cases or pictures are expected: a Case, a pathlib.Path, a PIL image, an array, or a "
            "sequence of these"
        )
    if (isinstance(cases, Sequence) and not cases) or (isinstance(cases, np.ndarray) and not cases.size):
        raise ValueError("cases is empty: there are no images to judge")
    known = as_cases(cases)
    if known is not None:
        as_population(known, inputs=True)


def image_names(cases: Any, n: int) -> list[str]:
    """What findings call the n images."""
    known = as_cases(cases)
    return [f"picture {index}" if known is None else case_id(known[index], index) for index in range(n)]


def number_of_images(cases: Any) -> int:
    """How many images these are; 0 where only reading them would tell."""
    if isinstance(cases, Sequence) or getattr(cases, "ndim", 0) == 4:
        return len(cases)
    return 1 if isinstance(cases, (Case, PathLike, Image.Image, np.ndarray)) else 0


def check_parts(cases: Any, by: str | None) -> None:
    """`ValueError` where the cases can't be told apart `by` their labels or groups, if they are to be."""
    if by is not None and isinstance(cases, (Case, Sequence, np.ndarray)) and not isinstance(cases, str):
        partition(as_population(cases, inputs=True), by, isinstance(cases, Case))


def partition(cases: Sequence[Sample], by: str, single: bool = False) -> dict[Hashable, list[int]]:
    """The positions of each label's cases, or of each group's, in the order of the cases.

    A case with several labels is among the cases of each. Labels are told apart as they are written. Raises
    `ValueError` for a single case, which has nothing to be told apart from, and for a case without a label
    or group, which would be in no verdict.
    """
    if single:
        raise ValueError(f"by is {by!r}, but cases is a single Case: leave by out, or hand over a sequence of Cases")
    parts: dict[Hashable, list[int]] = {}
    for index, case in enumerate(cases):
        names: tuple[Hashable, ...] = case.labels
        if by == "group":
            names = () if case.group is None else (case.group,)
        if not names:
            raise ValueError(f"{where(case, index)} has no {by}, and by is {by!r}: give the Case one as {by}=")
        for name in dict.fromkeys(names):
            parts.setdefault(name, []).append(index)
    return parts


def case_id(case: Sample, index: int) -> str:
    """What a finding calls the case."""
    return f"case {index}" if case.name == "case" and case.id is None else case.name


def where(case: Sample, index: int) -> str:
    """What an error message about the case begins with."""
    return case_id(case, index) if case.where == "case" else case.where


def check_have_regions(population: Sequence[Case], given: Sequence[Region] | None) -> None:
    """`ValueError` that names the first case without a region, unless one is given for all."""
    for index, case in enumerate(population):
        if not (case.regions if given is None else given):
            raise ValueError(
                f"{where(case, index)} has no region: give the Case one as region=, or hand one over as region="
            )
