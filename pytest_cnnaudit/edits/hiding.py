"""The object of an image hidden, or all but the object; and as much hidden elsewhere, to compare with.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_cnnaudit.edits.controls import controls
from pytest_cnnaudit.edits.edited_images import Edit, Subject
from pytest_cnnaudit.edits.fills import Fill, Filling, filling
from pytest_cnnaudit.edits.pixels import Coverage, Pixels, blended

CONTROLS = 3


@dataclass(frozen=True)
class Hidden:
    """The image with its regions hidden or, as a `control` from 1 on, with as much hidden elsewhere that is seen."""

    fill: Fill
    control: int = 0

    @property
    def title(self) -> str:
        """What the page calls it."""
        return f"control {self.control} ({self.fill})" if self.control else f"object hidden ({self.fill})"

    def __call__(self, subject: Subject) -> Pixels:
        """The edited pixels."""
        fill, coverages = subject.shared((Hidden, self.fill), lambda: self._places(subject))
        coverage = coverages[self.control]
        return blended(subject.pixels, fill(coverage), coverage)

    def _places(self, subject: Subject) -> tuple[Filling, list[Coverage]]:
        coverage, random = subject.coverage, subject.random("hidden")
        fill = filling(subject.pixels, self.fill, random)
        places = [coverage]
        for found in controls(coverage[subject.seen], random, CONTROLS):
            elsewhere = np.zeros_like(coverage)
            elsewhere[subject.seen] = found
            places.append(elsewhere)
        return fill, places


@dataclass(frozen=True)
class Alone:
    """The image with everything but its regions hidden."""

    fill: Fill

    @property
    def title(self) -> str:
        """What the page calls it."""
        return f"only the object ({self.fill})"

    def __call__(self, subject: Subject) -> Pixels:
        """The edited pixels."""
        rest = 1 - subject.coverage
        fill = filling(subject.pixels, self.fill, subject.random("alone"))
        return blended(subject.pixels, fill(rest), rest)


def hidden_and_controls(fill: Fill) -> list[Edit]:
    """The object hidden, then each of the controls."""
    return [Hidden(fill, control) for control in range(CONTROLS + 1)]
