"""Collectors: shards of the batches, merged in order, come to the same as all batches in one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import Toy

from pytest_cnnaudit.engine.collectors import Activations, Finite, InputArrays, Logits, Maps, Statistics
from pytest_cnnaudit.engine.executors import serial
from pytest_cnnaudit.engine.images import batches
from pytest_cnnaudit.engine.methods import find_method
from pytest_cnnaudit.engine.probing import Probing
from pytest_cnnaudit.engine.targets import Classes, Targets
from pytest_cnnaudit.preprocessing import Preprocessing

pytestmark = pytest.mark.one_backend  # no model of Keras is computed

TOY = Toy()
MAKE = {
    "logits": Logits,
    "activations": lambda: Activations(["relu", "mean"]),
    "statistics": lambda: Statistics(TOY.layers),
    "finite": lambda: Finite(["color", "logits"], "toy"),
    "grad-cam": lambda: Maps("relu", find_method("grad-cam"), Probing(TOY)),
    "eigen-cam": lambda: Maps("relu", find_method("eigen-cam"), Probing(TOY)),
    "saliency": lambda: Maps("image", find_method("saliency"), Probing(TOY)),
    "inputs": lambda: InputArrays(["image"]),
}


def collected(collector, images):
    serial.run(TOY, batches(images, Preprocessing(), (2, 2, 3), 2), [collector], Targets(0, Classes(2, None)))
    return collector


def numbers(result):
    """The arrays in a result, by name."""
    if isinstance(result, np.ndarray):
        return {"": result}
    items = result.items() if isinstance(result, dict) else vars(result).items()
    found = {}
    for name, value in items:
        if isinstance(value, np.ndarray):
            found[name] = value
        elif hasattr(value, "__dict__"):
            found.update({f"{name}.{inner}": array for inner, array in numbers(value).items()})
    return found


@pytest.mark.parametrize("name", MAKE)
@settings(max_examples=25)
@given(seed=st.integers(0, 2**31), sizes=st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_any_split_gives_the_same(name, seed, sizes):
    images = np.random.default_rng(seed).uniform(0, 255, (sum(sizes), 2, 2, 3)).astype(np.float32)
    whole = numbers(collected(MAKE[name](), images).result())
    shards = [collected(MAKE[name](), part) for part in np.split(images, np.cumsum(sizes)[:-1])]
    for shard in shards[1:]:
        shards[0].merge(shard)
    merged = numbers(shards[0].result())
    assert whole.keys() == merged.keys()
    assert whole
    for what, array in whole.items():
        # Rounding alone: sums are added up in another order.
        np.testing.assert_allclose(merged[what], array, rtol=1e-6, atol=1e-9, err_msg=what)
        if array.dtype.kind in "biu":
            np.testing.assert_array_equal(merged[what], array, err_msg=what)


def test_each_gets_its_own_from_one_pass():
    images = np.random.default_rng(0).uniform(0, 255, (5, 2, 2, 3)).astype(np.float32)
    several = {name: make() for name, make in MAKE.items()}
    run = [*several.values()]
    count = serial.run(TOY, batches(images, Preprocessing(), (2, 2, 3), 2), run, Targets(0, Classes(2, None)))
    assert count == 5
    for name, collector in several.items():
        alone = numbers(collected(MAKE[name](), images).result())
        for what, array in numbers(collector.result()).items():
            np.testing.assert_allclose(array, alone[what], rtol=1e-6, atol=1e-9, err_msg=f"{name} {what}")
