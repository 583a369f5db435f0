"""What an audit is about: an image, its label, and where a model should look or not look.

Nothing heavy is imported here: NumPy and Pillow are loaded when a mask or an image is read, the readers of
annotations when there are any to read. Coordinates are pixels of the upright original image (after EXIF
orientation), x to the right, y downwards.
PYTEST_DONT_REWRITE
"""

from pytest_cnnaudit.cases.case import Case, check_regions
from pytest_cnnaudit.cases.digests import case_digest, file_digest, picture_digest, picture_key
from pytest_cnnaudit.cases.errors import CaseError, CaseWarning
from pytest_cnnaudit.cases.fields import Label, nearest
from pytest_cnnaudit.cases.images import Picture, on_white, open_picture, upright_size
from pytest_cnnaudit.cases.populations import Cases, load_cases
from pytest_cnnaudit.cases.regions import (
    Box,
    Mask,
    Region,
    as_regions,
    check_box_inside,
    check_given_regions,
    check_mask_size,
    check_region,
    given_regions,
)
from pytest_cnnaudit.cases.samples import InputRow, Sample, check_labels

__all__ = [
    "Box",
    "Case",
    "CaseError",
    "CaseWarning",
    "Cases",
    "InputRow",
    "Label",
    "Mask",
    "Picture",
    "Region",
    "Sample",
    "as_regions",
    "case_digest",
    "check_box_inside",
    "check_given_regions",
    "check_labels",
    "check_mask_size",
    "check_region",
    "check_regions",
    "file_digest",
    "given_regions",
    "load_cases",
    "nearest",
    "on_white",
    "open_picture",
    "picture_digest",
    "picture_key",
    "upright_size",
]
