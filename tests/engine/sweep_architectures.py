"""Every architecture of `keras.applications` is explained right, each in a process of its own: `tox -e architectures`.

A complete sweep writes what it measured into the table of docs/architectures.md.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import architectures
import keras
import pytest
from architectures import ARCHITECTURES, BACKENDS, REFUSED, Result

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architectures.md"
MARK = "<!-- The rest is written by tox -e architectures. -->\n"
RUNS = [(name, backend) for backend in BACKENDS for name, one in ARCHITECTURES.items() if backend in one.backends]
Results = dict[tuple[str, str], Result]
"""By architecture and backend."""


def run(name: str, backend: str, path: Path) -> subprocess.CompletedProcess[str]:
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
def results() -> Iterator[Results]:
    """What the runs leave here becomes the page's table, if all of them did."""
    started, collected = time.monotonic(), Results()
    yield collected
    if set(collected) == set(RUNS):
        words = PAGE.read_text("utf-8").partition(MARK)[0]
        text = words + MARK + table(collected) + circumstances(collected, time.monotonic() - started)
        PAGE.write_text(text, encoding="utf-8", newline="\n")


@pytest.fixture(scope="module", params=RUNS, ids="-".join)
def result(request: pytest.FixtureRequest, results: Results, tmp_path_factory: pytest.TempPathFactory) -> Result:
    name, backend = request.param
    path = tmp_path_factory.mktemp("architectures") / "result.json"
    finished = run(name, backend, path)
    assert finished.returncode == 0, finished.stderr[-3000:]
    results[request.param] = Result(**json.loads(path.read_text("utf-8")))
    return results[request.param]


def table(collected: Results) -> str:
    """A row for each architecture, a column for each backend."""
    head = ["architecture", "input", "default layer", "type", "grid", *BACKENDS.values()]
    rows = [head, ["---"] * len(head), *(row(name, collected) for name in ARCHITECTURES)]
    return "\n".join(["", *("| " + " | ".join(cells) + " |" for cells in rows), ""])


def row(name: str, collected: Results) -> list[str]:
    one = collected[name, "tensorflow"]
    grid = " × ".join(map(str, one.grid[:2]))
    differences = (cell(name, backend, collected) for backend in BACKENDS)
    return [name, f"{one.side} × {one.side}", f"`{one.layer}`", one.type, grid, *differences]


def cell(name: str, backend: str, collected: Results) -> str:
    if (name, backend) in REFUSED:
        return "refused by Keras"
    return f"{collected[name, backend].map_difference:.0e}" if (name, backend) in collected else ""


def circumstances(collected: Results, seconds: float) -> str:
    versions = {name: number for one in collected.values() for name, number in one.versions.items()}
    named = [f"Keras {versions['keras']}", *(f"{title} {versions[name]}" for name, title in BACKENDS.items())]
    machine = next(iter(collected.values())).machine
    return f"\n{', '.join(named)}; {machine}. The {len(collected)} runs took {seconds / 60:.0f} minutes.\n"


def test_the_default_layer_is_the_last_spatial_output_before_pooling(result: Result) -> None:
    assert result.layer == ARCHITECTURES[result.name].explained


def test_the_input_is_the_smallest_with_three_cells_a_side(result: Result) -> None:
    assert result.grid[:2] == [3, 3]
    assert min(result.grid_of_a_smaller_input[:2]) < 3


def test_grad_cam_equals_the_transcription(result: Result) -> None:
    assert result.map_difference <= 1e-4


def test_the_logits_are_those_before_the_softmax(result: Result) -> None:
    assert result.logits_difference <= 1e-4


def test_the_model_is_unchanged(result: Result) -> None:
    assert result.changed == []


@pytest.mark.parametrize(("name", "framework"), REFUSED)
def test_keras_itself_refuses(name: str, framework: str, tmp_path: Path) -> None:
    finished = run(name, framework, tmp_path / "result.json")
    assert finished.returncode != 0
    assert REFUSED[name, framework] in finished.stderr


def test_no_architecture_is_left_out() -> None:
    there = {name for name in dir(keras.applications) if callable(getattr(keras.applications, name))}
    assert set(ARCHITECTURES) == there
