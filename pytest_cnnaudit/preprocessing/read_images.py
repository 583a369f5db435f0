"""Images that are model input already, or become it when their turn comes.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pytest_cnnaudit.cases import Sample
from pytest_cnnaudit.preprocessing.geometry import Geometry
from pytest_cnnaudit.preprocessing.preprocessing import Preprocessing

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class ReadPicture:
    """A case whose image went through the preprocessing already: `inputs` `(H, W, C)`, not to be changed."""

    case: Sample
    inputs: npt.NDArray[np.float32]
    geometry: Geometry


@runtime_checkable
class Readable(Protocol):
    """Anything that becomes model input when its batch is read, such as an edit of a case."""

    @property
    def case(self) -> Sample:
        """The case that error messages name, and that a model's other inputs are taken of."""

    def read(self, preprocessing: Preprocessing) -> ReadPicture:
        """The case with its model input; the preprocessing knows size and color, except where the case is a row."""
