"""Which class of each image is meant: by name, by index, by the image's label, or as the model predicts.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from pytest_cnnaudit.cases import CaseError, Sample, check_labels
from pytest_cnnaudit.engine.passes import PREDICTED

Target: TypeAlias = str | int | Sequence[str | int]


@dataclass(frozen=True)
class Classes:
    """The classes of a model: how many there are, and their names where they have some."""

    count: int
    names: tuple[str, ...] | None

    def index(self, name: str | int) -> int:
        """The index of a class given by name or index; `ValueError` for one the model does not have."""
        if isinstance(name, bool) or not isinstance(name, (str, int, np.integer)):
            raise TypeError(f"A class is a str (its name) or an int (its index), not {name!r}")
        if isinstance(name, str):
            return self._named(name)
        if not 0 <= name < self.count:
            raise ValueError(f"The class index {name} is out of range: the model has {self.count} classes")
        return int(name)

    def _named(self, name: str) -> int:
        if self.names is None:
            raise ValueError(
                f"The class {name!r} is given by name, but the engine has no class names: hand them over as "
                "class_names (--cnnaudit-class-names), or give the class as an index"
            )
        if name not in self.names:
            near = difflib.get_close_matches(name, self.names, n=3, cutoff=0) or self.names[:3]
            raise ValueError(
                f"There is no class {name!r} among the {len(self.names)} classes; nearest: {', '.join(near)}"
            )
        return self.names.index(name)

    def name(self, index: int) -> str:
        """A class's name, or its index as text where there are no names."""
        return str(index) if self.names is None else self.names[index]

    def check_labels(self, cases: Iterable[Sample]) -> None:
        """`CaseError` naming the case for the first label that is not a class of the model."""
        check_labels(cases, self.names, self.count)

    def target(self, target: str | int, case: Any, problem: Callable[[tuple[str | int, ...]], ValueError]) -> int:
        """The index of an image's target class, `PREDICTED` for the predicted one.

        `"label"` is the case's own; `problem(labels)` makes the error of one that has not exactly one.
        """
        if target == "predicted":
            return PREDICTED
        if target != "label":
            return self.index(target)
        labels: tuple[str | int, ...] = () if case is None else case.labels
        if len(labels) != 1:
            raise problem(labels)
        return self.index(labels[0])


class Targets:
    """The target class of each image of one call: one for all, or a sequence of as many as there are images."""

    def __init__(self, target: Any, classes: Classes) -> None:
        self._classes = classes
        if isinstance(target, np.ndarray):
            target = target.tolist()
        is_single = isinstance(target, (str, bytes)) or not isinstance(target, Iterable)
        self._each = None if is_single else list(target)
        self._one = target

    def of(self, start: int, cases: Sequence[Sample | None]) -> list[int]:
        """Class indices of the images from the one with the index `start` on; `PREDICTED` for the predicted class."""
        each = [self._one] * len(cases)
        if self._each is not None:
            each = self._each[start : start + len(cases)]
            if len(each) < len(cases):
                raise ValueError(f"target has {start + len(each)} entries, but there are more images")
        explained = [case for case, one in zip(cases, each, strict=True) if case is not None and one == "label"]
        self._classes.check_labels(explained)
        pairs = enumerate(zip(each, cases, strict=True), start)
        return [self._classes.target(one, case, _unlabeled(index)) for index, (one, case) in pairs]

    def check_used(self, count: int) -> None:
        """`ValueError` where there are more targets than images."""
        if self._each is not None and len(self._each) != count:
            raise ValueError(f"target has {len(self._each)} entries for {count} images")


def _unlabeled(index: int) -> Callable[[tuple[str | int, ...]], CaseError]:
    def problem(labels: tuple[str | int, ...]) -> CaseError:
        what = f"has several labels {labels}" if labels else "has no label"
        return CaseError(f"target='label', but image {index} {what}; name the target class")

    return problem
