"""What is shared within a session, and what tells one picture, model and data set from another."""

import warnings
from contextlib import suppress
from dataclasses import replace

import keras
import numpy as np
import pytest

from pytest_cnnaudit import AuditFailure
from pytest_cnnaudit.audit import needed_by
from pytest_cnnaudit.cases import Box, Case
from pytest_cnnaudit.engine import Engine
from pytest_cnnaudit.engine.cache import Cache
from pytest_cnnaudit.engine.errors import NonFiniteError
from pytest_cnnaudit.preprocessing import Preprocessing

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def model(backend):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, activation="relu", name="conv"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, name="head"),
        ]
    )


class Counted:
    """A scale that counts the pictures it saw."""

    def __init__(self):
        self.pictures = 0

    def __call__(self, pixels):
        self.pictures += 1
        return pixels / 255


@pytest.fixture
def counted():
    return Counted()


@pytest.fixture
def engine(model, counted):
    return Engine(model, preprocessing=Preprocessing(scale=counted))


@pytest.fixture
def passes(engine, monkeypatch):
    """What of the model was run, batch by batch; three pictures are one."""
    run = []

    compute = engine._model.compute

    def counting(wanted, *args):
        inside = wanted.reductions or wanted.finite
        run.append("explained" if wanted.gradients else "inside" if inside else "logits")
        return compute(wanted, *args)

    monkeypatch.setattr(engine._model, "compute", counting)
    return run


@pytest.fixture(scope="module")
def cases():
    generator = np.random.default_rng(0)
    return [Case(generator.integers(0, 256, (8, 8, 3), np.uint8), id=name, label=1) for name in "abc"]


@pytest.mark.every_backend
def test_kept_heatmaps_and_predictions_are_the_engines(engine, counted, cases):
    expected, probabilities = engine.heatmaps(cases, target=[0, 1, 2]), engine.predict(cases).probabilities
    results = Cache(engine)
    for _ in range(2):
        first = results.heatmaps(cases[1:], targets=[1, 2])
        both = results.heatmaps(cases, targets=[0, 1, 2])
        np.testing.assert_allclose(first.signed, expected.signed[1:], rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(both.signed, expected.signed, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(both.scores, expected.scores, rtol=1e-5)
        assert both.targets.tolist() == [0, 1, 2]
        np.testing.assert_allclose(results.predictions(cases).probabilities, probabilities, rtol=1e-5)
    assert counted.pictures == 3 + 3 + 3


def test_the_predicted_class_is_found_again(engine, counted, cases):
    results = Cache(engine)
    predicted = results.heatmaps(cases, targets=[None] * 3).targets
    assert predicted.tolist() == engine.predict(cases).logits.argmax(axis=1).tolist()
    counted.pictures = 0
    results.heatmaps(cases, targets=predicted.tolist())
    results.heatmaps(cases, targets=[None] * 3)
    assert counted.pictures == 0


def test_the_same_picture_in_two_cases_is_computed_once(engine, counted, cases):
    results = Cache(engine)
    other = Case(cases[0].image.copy(), id="other", region=Box(0, 0, 4, 4))
    results.heatmaps([cases[0]], targets=[0])
    results.heatmaps([other], targets=[0])
    assert counted.pictures == 1


@pytest.mark.parametrize("different", [{"score": "probability"}, {"targets": [1]}])
def test_another_question_is_computed_anew_and_the_picture_read_once(engine, counted, passes, cases, different):
    results = Cache(engine)
    results.heatmaps(cases[:1], targets=[0])
    results.heatmaps(cases[:1], **{"targets": [0], **different})
    assert passes == ["explained"] * 2
    assert counted.pictures == 1


def test_statistics_of_the_same_cases_and_layers_are_computed_once(engine, passes, cases):
    results = Cache(engine)
    first = results.stats(cases, ["conv"])
    assert results.stats(list(cases), ["conv"]) is first
    assert passes == ["inside"]
    results.stats(cases[:2], ["conv"])
    assert passes == ["inside"] * 2


def test_predictions_of_cases_with_a_region_bring_their_heatmaps(engine, passes, cases):
    located = [replace(case, region=Box(0, 0, 4, 4), label=label) for case, label in zip(cases, (2, 1, 0), strict=True)]
    results = Cache(engine)
    predicted = results.predictions(located)
    maps = results.heatmaps(located, targets=[2, 1, 0])
    assert passes == ["explained"]
    np.testing.assert_allclose(predicted.logits, engine.predict(located).logits, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(maps.signed, engine.heatmaps(located, target="label").signed, rtol=1e-5, atol=1e-7)


def test_predictions_of_cases_without_a_region_bring_nothing_else(engine, passes, cases):
    Cache(engine).predictions(cases)
    assert passes == ["logits"]


def test_a_model_without_anything_to_explain_still_predicts(backend):
    image = keras.Input((8, 8, 3))
    no_grid = Engine(keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(image))))
    case = Case(np.zeros((8, 8, 3), np.uint8), label=1, region=Box(0, 0, 4, 4))
    np.testing.assert_array_equal(Cache(no_grid).predictions([case]).logits, [[0, 0, 0]])


@pytest.mark.parametrize("first", ["stats", "finite"])
def test_statistics_and_finiteness_of_the_usual_layers_come_from_one_pass(engine, passes, cases, first):
    results = Cache(engine)
    ask = {"stats": lambda: results.stats(cases, ["conv"]), "finite": lambda: results.finite(cases, None)}
    ask.pop(first)()
    ask.popitem()[1]()
    stats, finite = results.stats(cases, ["conv"])["conv"], results.finite(cases, None)
    assert passes == ["inside"]
    alone = engine.activation_stats(cases, ["conv"])["conv"]
    for name in ("zeros", "min", "max", "mean", "sparsity_per_image", "hoyer_per_image"):
        np.testing.assert_allclose(getattr(stats, name), getattr(alone, name), rtol=1e-5, err_msg=name)
    assert list(finite) == [layer.path for layer in engine.layers]
    assert all(found.all() for found in finite.values())


def test_a_layer_that_has_no_statistics_does_not_keep_from_looking_for_infinity(engine, cases, monkeypatch):
    collect = engine.collect

    def refused(images, collectors, **options):
        if any(collector.wanted.reductions for collector in collectors):
            raise ValueError("rows that are no pictures")
        return collect(images, collectors, **options)

    monkeypatch.setattr(engine, "collect", refused)
    assert all(found.all() for found in Cache(engine).finite(cases, None).values())
    with pytest.raises(ValueError, match="rows that are no pictures"):
        Cache(engine).stats(cases, ["conv"])


def test_the_budget_evicts_what_was_not_used_for_longest(engine, passes, cases):
    one = Cache(engine)
    one.heatmaps(cases[:1], targets=[0])
    size = one._bytes - cases[0].image.size * 4  # its model input is not what is meant
    results = Cache(engine, budget=2 * size)
    for case in (cases[0], cases[1], cases[0], cases[2]):  # the second is the one to go
        results.heatmaps([case], targets=[0])
        assert results._bytes <= 2 * size
    passes.clear()
    results.heatmaps([cases[0]], targets=[0])
    results.heatmaps([cases[2]], targets=[0])
    assert passes == []
    results.heatmaps([cases[1]], targets=[0])
    assert passes == ["explained"]


def test_model_inputs_are_the_first_to_go(engine, counted, passes, cases):
    one = Cache(engine)
    one.heatmaps(cases[:1], targets=[0])
    results = Cache(engine, budget=one._bytes)
    results.heatmaps(cases[:1], targets=[0])
    assert len(results._inputs) == 1
    results.heatmaps(cases[1:2], targets=[0])  # its map takes the room of the first one's input
    assert len(results._inputs) == 0
    passes.clear()
    counted.pictures = 0
    results.heatmaps(cases[:1], targets=[0])
    assert (passes, counted.pictures) == ([], 0)
    results.heatmaps(cases[:1], targets=[1])
    assert (passes, counted.pictures) == (["explained"], 1)


def test_model_inputs_take_no_room_of_what_is_kept(engine, counted, cases):
    one = Cache(engine)
    one.heatmaps(cases[:1], targets=[0])
    results = Cache(engine, budget=one._bytes + 1)
    for _ in range(3):
        results.heatmaps(cases, targets=[0, 0, 0])
        assert results._bytes <= results.budget
    assert results._bytes > 0


SUITE = ("assert_predicts", "assert_mass_inside", "assert_avoids", "assert_no_dead_filters", "assert_finite")


@pytest.mark.parametrize(("foreseen", "expected"), [((), ["explained", "inside"]), (SUITE, ["explained"])])
@pytest.mark.parametrize("first", ["assert_predicts", "assert_no_dead_filters", "assert_finite"])
def test_a_suite_reads_each_picture_once_and_runs_the_model_once_or_twice(
    engine, counted, passes, cases, audit_of, foreseen, expected, first
):
    located = [replace(case, region=Box(0, 0, 4, 4), forbidden=Box(4, 4, 8, 8)) for case in cases]
    audit = audit_of(Cache(engine, foreseen=needed_by(foreseen)), class_names=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the weights are random, and so is what is right and what passes
        for name in (first, *SUITE, "assert_mass_inside"):
            with suppress(AuditFailure):
                getattr(audit, name)(located)
    assert counted.pictures == 3
    assert sorted(passes) == expected


def test_what_one_pass_gives_is_what_each_would(engine, passes, cases):
    together = Cache(engine, foreseen=needed_by(SUITE))
    found = {
        "logits": together.predictions(cases).logits,
        "maps": together.heatmaps(cases, targets=[1, 1, 1]).signed,
        "stats": together.stats(cases, ["conv"])["conv"],
        "finite": together.finite(cases, None),
    }
    assert passes == ["explained"]
    np.testing.assert_allclose(found["logits"], engine.predict(cases).logits, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["maps"], engine.heatmaps(cases, target=1).signed, rtol=1e-5, atol=1e-7)
    stats = engine.activation_stats(cases, ["conv"])["conv"]
    for name in ("zeros", "min", "max", "mean", "squares", "sparsity_per_image", "hoyer_per_image"):
        np.testing.assert_allclose(getattr(found["stats"], name), getattr(stats, name), rtol=1e-4, err_msg=name)
    assert {path: one.tolist() for path, one in found["finite"].items()} == {
        path: one.tolist() for path, one in engine.finite(cases).items()
    }


def test_where_only_predictions_are_foreseen_nothing_else_is_computed(engine, passes, cases):
    Cache(engine, foreseen=needed_by(["assert_predicts"])).predictions(cases)
    assert passes == ["logits"]


def test_what_is_not_finite_is_found_though_predictions_were_foreseen(backend):
    image = keras.Input((8, 8, 3))
    large = keras.layers.Rescaling(3e38, name="large")(image)
    x = keras.layers.ReLU(name="relu")(large)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    engine = Engine(keras.Model(image, keras.layers.Dense(3, name="head")(x)))
    pictures = [Case(np.full((8, 8, 3), value, np.uint8), id=f"{value}", label=1) for value in (0, 2)]
    results = Cache(engine, foreseen=needed_by(SUITE))
    assert results.finite(pictures, None)["large"].tolist() == [True, False]
    with pytest.raises(NonFiniteError):
        results.predictions(pictures)


def test_more_than_the_budget_is_computed_and_not_kept(engine, cases):
    results = Cache(engine, budget=1)
    expected = engine.heatmaps(cases, target=[0, 0, 0]).signed
    np.testing.assert_allclose(results.heatmaps(cases, targets=[0] * 3).signed, expected, rtol=1e-5, atol=1e-7)
    assert len(results._kept) == 1
