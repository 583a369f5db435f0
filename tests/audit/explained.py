"""Cases whose heatmaps are known, and methods that are known to be bad."""

import numpy as np
from colours import CLASSES, blank_case, picture

from pytest_cnnaudit import Case, metrics

GENERATOR = np.random.default_rng(0)
CASES = [
    Case(GENERATOR.integers(0, 12, (4, 4, 3), np.uint8), label=CLASSES[index % 3], id=f"noise {index}")
    for index in range(5)
]
RISING = np.arange(16).reshape(4, 4) * 10


def case(id="a", label="red", **channels):  # noqa: A002
    return Case(picture(**channels), label=label, id=id)


def value_of(finding, index=0):
    return finding.cases[index].value


def together(assertion, cases, *args, **options):
    """The values of a population that passes."""
    return [result.value for result in assertion(cases, *args, **options).cases]


def flat_case():
    """A picture whose map for its label is the same in all cells."""
    return case("flat", red=100, green=RISING)


UNSCORABLE = [
    (blank_case("blank"), "no positive evidence for this class at this layer"),
    (flat_case(), "the heatmap is the same in all cells"),
]


def centre_blob(activations, gradients, scores):
    """A known bad one: the middle, whatever the picture and the model."""
    return np.broadcast_to(metrics.centre_prior(activations.shape[1:3]), activations.shape[:3])


def edges(activations, gradients, scores):
    """A known bad one: where neighbouring pixels differ, whatever the model."""
    rows, columns = np.gradient(activations.mean(axis=-1), axis=(1, 2))
    return np.hypot(rows, columns)
