"""Every architecture of `keras.applications` is explained right, each in a process of its own: `tox -e architectures`.

A complete sweep writes what it measured into the table of docs/architectures.md.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import architectures
import keras
import pytest
from architectures import ARCHITECTURES, BACKENDS, REFUSED, Result

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architectures.md"
MARK = "<!-- The rest is written by tox -e architectures. -->\n"
RUNS = [(name, backend) for backend in BACKENDS for name, one in ARCHITECTURES.items() if backend in one.backends]


def run(name, backend, path):
    """The finished process that was to leave the result in the file."""
    search = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, architectures.__file__, name, str(path)],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": search, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


@pytest.fixture(scope="module")
def results():
    """What the runs leave here becomes the page's table, if all of them did."""
    started, collected = time.monotonic(), {}
    yield collected
    if set(collected) == set(RUNS):
        words = PAGE.read_text("utf-8").partition(MARK)[0]
        text = words + MARK + table(collected) + circumstances(collected, time.monotonic() - started)
        PAGE.write_text(text, encoding="utf-8", newline="\n")


@pytest.fixture(scope="module", params=RUNS, ids="-".join)
def result(request, results, tmp_path_factory):
    name, backend = request.param
    path = tmp_path_factory.mktemp("architectures") / "result.json"
    finished = run(name, backend, path)
    assert finished.returncode == 0, finished.stderr[-3000:]
    results[request.param] = Result(**json.loads(path.read_text("utf-8")))
    return results[request.param]


def table(collected):
    """A row for each architecture, a column for each backend."""
    head = ["architecture", "input", "default layer", "type", "grid", *BACKENDS.values()]
    rows = [head, ["---"] * len(head), *(row(name, collected) for name in ARCHITECTURES)]
    return "\n".join(["", *("| " + " | ".join(cells) + " |" for cells in rows), ""])


def row(name, collected):
    one = collected[name, "tensorflow"]
    grid = " × ".join(map(str, one.grid[:2]))
    differences = (cell(name, backend, collected) for backend in BACKENDS)
    return [name, f"{one.side} × {one.side}", f"`{one.layer}`", one.type, grid, *differences]


def cell(name, backend, collected):
    if (name, backend) in REFUSED:
        return "refused by Keras"
    return f"{collected[name, backend].map_difference:.0e}" if (name, backend) in collected else ""


def circumstances(collected, seconds):
    versions = {name: number for one in collected.values() for name, number in one.versions.items()}
    named = [f"Keras {versions['keras']}", *(f"{title} {versions[name]}" for name, title in BACKENDS.items())]
    machine = next(iter(collected.values())).machine
    return f"\n{', '.join(named)}; {machine}. The {len(collected)} runs took {seconds / 60:.0f} minutes.\n"


def test_the_default_layer_is_the_last_spatial_output_before_pooling(result):
    assert result.layer == ARCHITECTURES[result.name].explained


def test_the_input_is_the_smallest_with_three_cells_a_side(result):
    assert result.grid[:2] == [3, 3]
    assert min(result.grid_of_a_smaller_input[:2]) < 3


def test_grad_cam_equals_the_transcription(result):
    assert result.map_difference <= 1e-4


def test_the_logits_are_those_before_the_softmax(result):
    assert result.logits_difference <= 1e-4


def test_the_model_is_unchanged(result):
    assert result.changed == []


@pytest.mark.parametrize(("name", "framework"), REFUSED)
def test_keras_itself_refuses(name, framework, tmp_path):
    finished = run(name, framework, tmp_path / "result.json")
    assert finished.returncode != 0
    assert REFUSED[name, framework] in finished.stderr


def test_no_architecture_is_left_out():
    there = {name for name in dir(keras.applications) if callable(getattr(keras.applications, name))}
    assert set(ARCHITECTURES) == there
