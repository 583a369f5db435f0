"""Channels first on TensorFlow's CPU: with oneDNN as any other model, without it an error before anything is computed.

Which of the two is the default depends on the processor, so each is a process with the variable set.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("only TensorFlow lacks channels-first convolutions on some processors", allow_module_level=True)

LOGITS = [[9.0, 9.0]]
NEEDS_ONEDNN = {"convolution": "Conv2D", "transposed": "Conv2DBackpropInput", "custom": "Conv2D"}
NEEDS_NOTHING = ("groups", "depthwise", "pooling")
"""For these Keras transposes, or compiles with XLA."""


def outcomes(onednn, folder):
    root = Path(__file__).parents[2]
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    finished = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("channels_first.py")), str(folder / "outcomes.json")],
        env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": onednn, "CUDA_VISIBLE_DEVICES": "-1", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    return json.loads((folder / "outcomes.json").read_text("utf-8"))


def test_with_onednn_the_logits_are_right(tmp_path):
    found = outcomes("1", tmp_path)
    half = found.pop("half precision")
    assert found == {name: {"result": LOGITS, "computed": True} for name in (*NEEDS_ONEDNN, *NEEDS_NOTHING)}
    if half["computed"]:  # some processors have half precision
        assert half["result"] == LOGITS
    else:
        assert "in float16, which TensorFlow computes on this processor in float32 but not in float16" in half["result"]
        assert "TF_ENABLE_ONEDNN_OPTS" not in half["result"]


def test_without_it_the_error_names_the_model_and_the_variable(tmp_path):
    found = outcomes("0", tmp_path)
    for name in NEEDS_NOTHING:
        assert found[name] == {"result": LOGITS, "computed": True}, name
    for name, operation in NEEDS_ONEDNN.items():
        error = found[name]["result"]
        assert not found[name]["computed"], name
        assert error.startswith("The model 'first' has '"), name
        assert f"a channels-first {operation} in float32" in error, name
        assert "set the environment variable TF_ENABLE_ONEDNN_OPTS=1 before TensorFlow is imported" in error, name
    assert "/summed" in found["convolution"]["result"]
