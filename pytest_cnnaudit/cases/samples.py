"""What is judged one by one: a case, or a row of model input; and whether its labels are classes.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from pytest_cnnaudit.cases.case import Case
from pytest_cnnaudit.cases.errors import CaseError
from pytest_cnnaudit.cases.fields import Label, nearest, shortened
from pytest_cnnaudit.cases.regions import Region

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, repr=False, eq=False)
class InputRow:
    """One row of an array (N, H, W, C): model input already, which no preprocessing touches.

    Assertions make these of such an array, so that a population of them is judged as one of images is. The
    engine checks the numbers, as it does an array's. Two are equal when their numbers are: each assertion makes
    them anew.

    values: the numbers, as they were handed over.
    source: what error messages call the row, such as "case 3".
    """

    values: npt.NDArray[Any]
    source: str | None = None

    # What a case may have and a row of numbers never does.
    label: ClassVar[None] = None
    labels: ClassVar[tuple[Label, ...]] = ()
    regions: ClassVar[tuple[Region, ...]] = ()
    forbidden_regions: ClassVar[tuple[Region, ...]] = ()
    group: ClassVar[None] = None
    id: ClassVar[None] = None
    name: ClassVar[str] = "case"

    @property
    def where(self) -> str:
        """What an error message about this row begins with."""
        return "case" if self.source is None else self.source

    @property
    def inputs(self) -> npt.NDArray[np.float32]:
        """The numbers, float32 (H, W, C) of any number of channels; the engine refuses what holds none."""
        import numpy as np

        with np.errstate(over="ignore"):  # as infinity it is refused
            return self.values.astype(np.float32, copy=False) if self.values.dtype.kind in "fiu" else self.values

    @cached_property
    def digest(self) -> str:
        """Of the numbers and their shape; none that a picture has."""
        values = self.inputs
        content = hashlib.sha256(f"model input {values.dtype}{values.shape}".encode())
        content.update(values.tobytes())
        return content.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, InputRow) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"InputRow({shortened(self.values)})"


Sample: TypeAlias = Case | InputRow
"""What assertions judge one by one."""


def check_labels(cases: Iterable[Sample], class_names: Sequence[str] | None, classes: int | None = None) -> None:
    """Raise `CaseError` for the first label that is no class; a text label needs class names.

    `classes` is how many there are, where no names say so.
    """
    known = None if class_names is None else {name: index for index, name in enumerate(class_names)}
    for case in cases:
        for label in case.labels:
            _check_label(label, known, case, classes if known is None else len(known))


def _check_label(label: Label, known: dict[str, int] | None, case: Sample, classes: int | None) -> None:
    where = f"{case.where}: label is {label!r}"
    if isinstance(label, str):
        if known is None:
            raise CaseError(f"{where}, a name, but there are no class names (give them, or use class indices)")
        if label not in known:
            raise CaseError(f"{where}, which is none of the {len(known)} class names{nearest(label, known)}")
    elif classes is not None and label >= classes:
        raise CaseError(f"{where}, but there are {classes} classes (0 to {classes - 1})")
    elif known is not None and case.source is not None and known.get(str(label), label) != label:
        # In a text file a class called "1" and the class with index 1 look the same; taking the wrong one
        # would judge the model on another class.
        raise CaseError(f"{where}: is it class {label}, or class {known[str(label)]}, which is called '{label}'?")
