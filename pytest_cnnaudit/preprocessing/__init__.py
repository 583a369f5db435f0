"""From an image to model input, and the geometry that carries boxes and masks along with the pixels.

PYTEST_DONT_REWRITE
"""

from pytest_cnnaudit.cases import on_white, open_picture
from pytest_cnnaudit.preprocessing.geometry import ROUNDING, Geometry
from pytest_cnnaudit.preprocessing.keras_hub_converters import ScaleAndOffset
from pytest_cnnaudit.preprocessing.keras_resizing import KerasResizing
from pytest_cnnaudit.preprocessing.preprocessing import Preprocessing, PreprocessingWarning, preprocessing_of
from pytest_cnnaudit.preprocessing.read_images import Readable, ReadPicture

__all__ = [
    "ROUNDING",
    "Geometry",
    "KerasResizing",
    "Preprocessing",
    "PreprocessingWarning",
    "ReadPicture",
    "Readable",
    "ScaleAndOffset",
    "on_white",
    "open_picture",
    "preprocessing_of",
]
