"""The three backends compute the same maps, scores and statistics, to 1e-4 of the largest value.

Gradients with respect to the picture amplify rounding in deep networks: their maps to 1e-2, correlated to 0.9999.
"""

import itertools
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

BACKENDS = ("tensorflow", "torch", "jax")
MISSING = [name for name in BACKENDS if find_spec(name) is None]
REQUIRED = bool(os.environ.get("CI")) and bool(os.environ.get("CNNAUDIT_ALL_BACKENDS"))


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """Each backend's arrays by name, from a process of its own."""
    if MISSING:
        reason = f"agreement needs all three backends; {', '.join(MISSING)} not installed (tox -e agreement)"
        (pytest.fail if REQUIRED else pytest.skip)(reason)
    folder = tmp_path_factory.mktemp("agreement")
    with ThreadPoolExecutor() as pool:
        arrays = pool.map(lambda backend: _run(backend, folder / f"{backend}.npz"), BACKENDS)
        return dict(zip(BACKENDS, arrays, strict=True))


def _run(backend, results):
    root = Path(__file__).parents[2]
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    finished = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("agreement.py")), str(results)],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, f"{backend}: {finished.stderr[-3000:]}"
    with np.load(results) as arrays:
        return dict(arrays)


def test_same_arrays_everywhere(computed):
    names = [list(arrays) for arrays in computed.values()]
    assert names[0] == names[1] == names[2]
    assert len(names[0]) >= 6 * 26
    for arrays in computed.values():
        assert all(np.abs(array).max(axis=(1, 2)).all() for name, array in arrays.items() if "map" in name)


@pytest.mark.parametrize(("one", "other"), [*itertools.combinations(BACKENDS, 2)])
def test_backends_agree(computed, one, other):
    pairs = {name: (computed[one][name], computed[other][name]) for name in computed[one]}
    distances = {name: _distance(*pair) for name, pair in pairs.items()}
    allowed = {name: 1e-2 if _is_of_the_picture(name) else 1e-4 for name in pairs}
    assert {name: distance for name, distance in distances.items() if not distance <= allowed[name]} == {}
    of_the_picture = {name: pair for name, pair in pairs.items() if _is_of_the_picture(name)}
    correlations = {name: np.corrcoef(*(maps.ravel() for maps in pair))[0, 1] for name, pair in of_the_picture.items()}
    assert {name: value for name, value in correlations.items() if not value >= 0.9999} == {}
    assert len(correlations) >= 6 * 6 + 2


def _is_of_the_picture(name):
    return ": picture " in name


def _distance(one, other):
    """Largest difference as a share of the largest value: of each map, else of the whole array."""
    axes = (1, 2) if one.ndim == 3 else None
    scale = np.abs(one).max(axis=axes)
    return (np.abs(one - other).max(axis=axes) / np.where(scale > 0, scale, 1)).max()
