"""Run as a script: what an engine of the toy model gives where no framework can be imported, as JSON.

`python without_frameworks.py FOLDER` runs a suite in the folder as well.
"""

import json
import multiprocessing
import sys
from functools import partial
from pathlib import Path

FRAMEWORKS = ("keras", "keras_hub", "tensorflow", "torch", "jax", "jaxlib")


class Refusing:
    """A finder that finds no framework."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in FRAMEWORKS:
            raise ImportError(f"{name} can't be imported here")


if not any(isinstance(finder, Refusing) for finder in sys.meta_path):
    sys.meta_path.insert(0, Refusing())

import numpy as np  # noqa: E402
import pytest  # noqa: E402

from pytest_cnnaudit import Case, Engine  # noqa: E402
from pytest_cnnaudit.engine.methods import occlusion  # noqa: E402

RED, GREEN, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 0)
IMAGES = [
    np.array([[RED, BLACK], [BLACK, GREEN]], np.uint8),
    np.array([[RED, RED], [BLACK, BLACK]], np.uint8),
]
CONFTEST = """
import numpy as np
import pytest
from toy import Toy

@pytest.fixture(scope="session")
def cnnaudit_model():
    return Toy()

@pytest.fixture(scope="session")
def cnnaudit_class_names():
    return ["red", "green"]
"""
SUITE = """
import pytest
from without_frameworks import IMAGES

from pytest_cnnaudit import Box, Case

def test_looks_at_the_red_row(cnnaudit):
    case = Case(IMAGES[1], label="red", region=Box(0, 0, 2, 1), id="row")
    cnnaudit.assert_mass_inside([case], mostly=1)

def test_does_not_look_at_the_left_column_alone(cnnaudit):
    case = Case(IMAGES[1], label="red", region=Box(0, 0, 1, 2), id="column")
    with pytest.raises(AssertionError, match="worst: column 0.500"):
        cnnaudit.assert_mass_inside([case], mostly=1)
"""


def engine():
    return Engine("toy:Toy", class_names=["red", "green"])


def found(engine):
    """What the engine gives for the two images."""
    cases = [Case(image, label="red") for image in IMAGES]
    stats = engine.activation_stats(cases, ["relu"])["relu"]
    predicted = engine.predict(cases)
    return {
        "logits": predicted.logits.tolist(),
        "probabilities": predicted.probabilities.tolist(),
        "zero_fraction": stats.zero_fraction.tolist(),
        "mean": stats.mean.tolist(),
        "sparsity_per_image": stats.sparsity_per_image.tolist(),
        "finite": {path: flags.tolist() for path, flags in engine.finite(cases).items()},
        "grad-cam": engine.heatmaps(cases, target="label").signed.tolist(),
        "grad-cam of the probability": engine.heatmaps(cases, target="label", score="probability").signed.tolist(),
        "occlusion": engine.heatmaps(cases, target=0, method=partial(occlusion, patch=1, stride=1)).signed.tolist(),
        "saliency": engine.heatmaps(cases, target="label", method="saliency").signed.tolist(),
    }


def answer(description, queue):
    """In another process."""
    queue.put(found(Engine.from_description(description)))


def main(folder):
    sys.path.insert(0, str(folder))
    (folder / "conftest.py").write_text(CONFTEST, "utf-8")
    (folder / "test_suite.py").write_text(SUITE, "utf-8")
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=answer, args=(engine().description, queue))
    process.start()
    elsewhere = queue.get(timeout=120)
    process.join()
    here = found(engine())
    options = [f"--rootdir={folder}", f"--cnnaudit-report={folder / 'report'}", "--cnnaudit-artifacts=all"]
    code = pytest.main([str(folder), *options, "-q", "-p", "no:cacheprovider"])
    imported = [name for name in FRAMEWORKS if name in sys.modules]
    print(json.dumps({"here": here, "elsewhere": elsewhere, "code": int(code), "imported": imported}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
