"""The seam for other frameworks: a model of NumPy functions, explained and audited where no framework can be imported.

The expected numbers are worked out by hand, for a red and a green pixel on a diagonal, and for a red upper row.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from toy import Toy

from pytest_cnnaudit import Case, Engine
from pytest_cnnaudit.engine.description import EngineDescription
from pytest_cnnaudit.engine.models import as_model, is_model

pytestmark = pytest.mark.one_backend  # no model of Keras is computed

HERE = Path(__file__).parent
IMAGE = Case(np.array([[(255, 0, 0), (0, 0, 0)], [(0, 0, 0), (0, 255, 0)]], np.uint8))
SIGMA = 1 / (1 + np.exp(-1))  # of the logits (1, 0)
DIAGONAL = 1 / (1 + np.exp(0.5))  # the first class' probability for the logits (¼, ¾)
EXPECTED = {
    # Means ¼ and ¼ of the channels after the ReLU; then ½ and 0.
    "logits": [[0.25, 0.75], [1, 0]],
    "probabilities": [[DIAGONAL, 1 - DIAGONAL], [SIGMA, 1 - SIGMA]],
    # 3 of the 8 values of the first channel are not 0, and 1 of the second's.
    "zero_fraction": [5 / 8, 7 / 8],
    "mean": [3 / 8, 1 / 8],
    "sparsity_per_image": [6 / 8, 6 / 8],
    "finite": {path: [True, True] for path in ("color", "relu", "mean", "logits")},
    # α = (2, −1) / 4.
    "grad-cam": [[[0.5, 0], [0, -0.25]], [[0.5, 0.5], [0, 0]]],
    # dp₀/dz = p₀ (1 − p₀) (1, −1), so α = p₀ (1 − p₀) (3, −3) / 4.
    "grad-cam of the probability": [
        (0.75 * DIAGONAL * (1 - DIAGONAL) * np.array([[1, 0], [0, -1]])).tolist(),
        (0.75 * SIGMA * (1 - SIGMA) * np.array([[1, 1], [0, 0]])).tolist(),
    ],
    # Without a red pixel the first logit is less by 2/4, without a green one more by 1/4.
    "occlusion": [[[0.5, 0], [0, -0.25]], [[0.5, 0.5], [0, 0]]],
    # Where a ReLU lets nothing through, nothing; else |α| / 255 for either color.
    "saliency": [[[0.5 / 255, 0], [0, 0.25 / 255]], [[0.5 / 255, 0.5 / 255], [0, 0]]],
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What the script printed, and the folder of the suite that it ran."""
    folder = tmp_path_factory.mktemp("suite")
    paths = [str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]
    script = [sys.executable, str(HERE / "without_frameworks.py"), str(folder)]
    run = subprocess.run(
        script, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return json.loads(run.stdout.splitlines()[-1]), folder, run.stdout


@pytest.mark.parametrize("where", ["here", "elsewhere"])
@pytest.mark.parametrize("what", EXPECTED)
def test_what_is_computed_without_any_framework(answers, where, what):
    """Elsewhere is a process that was spawned, and got the engine's description."""
    found, expected = answers[0][where][what], EXPECTED[what]
    if what == "finite":
        assert found == expected
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_no_framework_was_imported(answers):
    assert answers[0]["imported"] == []


def test_an_assertion_its_page_and_the_record(answers):
    found, folder, output = answers
    assert found["code"] == 0, output
    record = json.loads((folder / "report" / "record.json").read_text("utf-8"))
    failed, passed = sorted(record["findings"], key=lambda finding: finding["value"])
    for finding, outcome, mass in ((failed, "failed", 0.5), (passed, "passed", 1.0)):
        assert (finding["name"], finding["outcome"], finding["mean"]) == ("mass_inside", outcome, mass)
        assert (finding["method"], finding["layer"], finding["chance"]) == ("grad-cam", "relu", 0.5)
    assert record["model"]["weights_sha256"] == Toy().identity()["weights_sha256"]
    assert record["model"]["parameters"] == 12
    assert record["environment"]["backend"] is None
    pages = [page.read_text("utf-8") for page in (folder / "report" / "tests").glob("*.html")]
    assert len(pages) == 2
    assert all("grad-cam" in page for page in pages)


class TestWhatItCanNot:
    @pytest.mark.parametrize(
        ("ask", "message"),
        [
            (lambda engine: engine.heatmaps(IMAGE, target=0, method="ablation-cam"), "'toy' can't be computed without"),
            (lambda engine: engine.kernels(), "'toy' can't tell the kernels"),
            (lambda engine: engine.reinitialized(), "'toy' can't be computed with fresh weights"),
            (lambda engine: engine.filter_patterns("relu"), "'toy' has no filters that can be looked at"),
            (lambda engine: engine.description, "'toy' has no description, .* handed over as an object"),
        ],
    )
    def test_is_an_error_that_names_the_model(self, ask, message):
        with pytest.raises(ValueError, match=message):
            ask(Engine(Toy()))

    def test_a_model_says_its_output_itself(self):
        with pytest.raises(ValueError, match="output is 'main', but the model 'toy' says that itself"):
            Engine(Toy(), output="main")


class TestDescription:
    def test_it_is_what_the_engine_was_made_from(self):
        engine = Engine("toy:Toy", class_names=["red", "green"], batch_size=2, seed=5)
        expected = EngineDescription("toy:Toy", class_names=["red", "green"], batch_size=2, seed=5)
        assert engine.description == expected
        assert Engine.from_description(expected).description is expected

    @pytest.mark.parametrize(
        ("source", "error", "message"),
        [
            ("toy:Nothing", ValueError, "'toy:Nothing' can't be made: module 'toy' has no attribute 'Nothing'"),
            ("no_such_module:make", ValueError, "'no_such_module:make' can't be made: No module named"),
            ("toy:BIAS", TypeError, "'toy:BIAS' is a ndarray; MODULE:CALLABLE is expected"),
        ],
    )
    def test_a_name_that_makes_no_model(self, source, error, message):
        with pytest.raises(error, match=message):
            Engine(source)


def test_a_model_is_taken_as_it_is():
    model = Toy()
    assert is_model(model)
    assert as_model(model) is model
    assert Engine(model).model is model
