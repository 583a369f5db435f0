"""A case: one image and what is known of it.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from pytest_cnnaudit.cases.errors import CaseError, CaseWarning
from pytest_cnnaudit.cases.fields import Label, as_labels, shortened
from pytest_cnnaudit.cases.images import Picture, check_picture
from pytest_cnnaudit.cases.regions import Box, Mask, Region, as_regions, check_region


@dataclass(frozen=True, repr=False, eq=False)
class Case:
    """One picture and what is known of it. Bad arguments raise `CaseError` naming the argument.

    image: path, `PIL.Image`, or `uint8` array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4).
    label: class name, class index, or for multi-label a tuple of these.
    region: where the evidence for the label is; forbidden: where none may be. A sequence of regions is their
    union.
    id: what reports call the case, unique in a population (default: the path as given).
    group: what belongs together, such as the pictures of one patient.
    source: the file and entry the case was read from, named first in error messages.
    annotated_size: (width, height) of the picture according to that file.

    `load_cases` sets `source` and `annotated_size`, neither of which counts when cases are compared. Paths,
    labels and regions are compared by value, pictures in memory by identity.
    """

    image: Picture
    label: Label | tuple[Label, ...] | None = None
    region: Region | Sequence[Region] | None = None
    forbidden: Region | Sequence[Region] | None = None
    id: str | None = None
    group: str | int | None = None
    source: str | None = field(default=None, kw_only=True)
    annotated_size: tuple[int, int] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.id is not None and (not isinstance(self.id, str) or not self.id):
            raise CaseError(f"{self.where}: id is {shortened(self.id)} (must be a text that is not empty)")
        check_picture(self.image, f"{self.where}: image")
        if self.group is not None and (isinstance(self.group, bool) or not isinstance(self.group, str | int)):
            raise CaseError(f"{self.where}: group is {shortened(self.group)} (must be a text or an int)")
        if self.label is not None:
            object.__setattr__(self, "label", as_labels(self.label, f"{self.where}: label"))
        for name in ("region", "forbidden"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, Box | Mask):
                object.__setattr__(self, name, as_regions(value, f"{self.where}: {name}"))

    @property
    def regions(self) -> tuple[Region, ...]:
        """The regions whose union is where to look; empty where there is none."""
        return () if self.region is None else as_regions(self.region)

    @property
    def forbidden_regions(self) -> tuple[Region, ...]:
        """The regions whose union is where not to look; empty where there is none."""
        return () if self.forbidden is None else as_regions(self.forbidden)

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels as a tuple; empty where there is none."""
        if self.label is None:
            return ()
        return self.label if isinstance(self.label, tuple) else (self.label,)

    @property
    def name(self) -> str:
        """The id, else the path as given, else "case"."""
        if self.id is not None:
            return self.id
        return os.fspath(self.image) if isinstance(self.image, str | os.PathLike) else "case"

    @property
    def where(self) -> str:
        """What an error message about this case begins with."""
        if self.source is not None:
            return self.source
        named = self.id is not None or isinstance(self.image, str | os.PathLike)
        return f"case '{self.name}'" if named else "case"

    def _key(self) -> tuple[Hashable, ...]:
        in_file = isinstance(self.image, str | os.PathLike)
        image = os.fspath(self.image) if isinstance(self.image, str | os.PathLike) else id(self.image)
        return (in_file, image, self.label, self.regions, self.forbidden_regions, self.id, self.group)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Case) and self._key() == Case._key(other)

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        named = ("label", "region", "forbidden", "id", "group")
        values = [(name, getattr(self, name)) for name in named]
        arguments = [f"{name}={value!r}" for name, value in values if value is not None]
        return f"Case({', '.join([shortened(self.image), *arguments])})"


def check_regions(case: Case, width: int, height: int) -> None:
    """Check a case's regions against its upright picture's size.

    Raises `CaseError` for a box wholly outside and for a mask of another size. Warns (`CaseWarning`) of a
    region that is clipped, and where the annotations' file names another size than the picture has.
    """
    if case.annotated_size is not None and case.annotated_size != (width, height):
        annotated_width, annotated_height = case.annotated_size
        warnings.warn(
            f"{case.where}: annotated for {annotated_width} × {annotated_height} pixels, the upright picture "
            f"has {width} × {height}; its regions are taken as pixels of the upright picture",
            CaseWarning,
            stacklevel=2,
        )
    for field_name, regions in (("region", case.regions), ("forbidden", case.forbidden_regions)):
        for index, region in enumerate(regions):
            suffix = f"[{index}]" if len(regions) > 1 else ""
            check_region(region, width, height, f"{case.where}: {field_name}{suffix}")
