"""Edited images of a population are a list: in any order and in shards the model says the same of each."""

import pickle

import numpy as np
import pytest
from colours import CLASSES, QUARTER, colour_model, picture

from pytest_cnnaudit import Box, Case, Engine
from pytest_cnnaudit.audit.context import Context, Settings
from pytest_cnnaudit.audit.edited_cases import ask_about_edits, is_changed, region_problem
from pytest_cnnaudit.edits import OnBackground, hidden_and_controls, on_backgrounds
from pytest_cnnaudit.engine.cache import Cache
from pytest_cnnaudit.preprocessing import open_picture

NOISE = np.random.default_rng(3)
POPULATION = [
    Case(NOISE.integers(0, 256, (4, 4, 3), np.uint8), "red", Box(0, 0, 1 + index % 2, 1), id=f"noise {index}")
    for index in range(5)
]


@pytest.fixture
def context(recorder):
    cache = Cache(Engine(colour_model(), class_names=CLASSES))
    return Context("test", recorder, lambda: cache, Settings())


def ask(context, population=POPULATION, edits=None, check=lambda _: ""):
    return ask_about_edits(context, population, None, hidden_and_controls("noise") if edits is None else edits, check)


def test_the_model_says_the_same_in_any_order_and_in_shards(context):
    asked = ask(context)
    images = [image for of_case in asked.images for image in of_case]
    logits = np.concatenate(asked.logits)
    assert logits.shape == (20, 3)
    order = np.random.default_rng(0).permutation(len(images))
    shuffled = context.engine.predict([images[index] for index in order]).logits
    np.testing.assert_allclose(shuffled, logits[order], rtol=1e-6)
    for shard in range(3):
        part = pickle.loads(pickle.dumps(images[shard::3]))
        np.testing.assert_allclose(context.engine.predict(part).logits, logits[shard::3], rtol=1e-6)


def test_what_stands_against_a_case_is_known_before_anything_is_computed(context, monkeypatch):
    whole = Case(picture(red=9), "red", Box(0, 0, 4, 4), id="whole")
    monkeypatch.setattr(type(context.engine), "predict", lambda *_: pytest.fail("computed"))
    problem = r"whole.*the region covers 100% of the picture, more than 80%"
    with pytest.raises(ValueError, match=problem):
        ask(context, [*POPULATION, whole], check=lambda one: region_problem(one, single=True))
    asked = ask(context, [whole, whole], check=lambda one: region_problem(one, single=False))
    assert [bool(problem) for problem in asked.problems] == [True, True]
    assert [len(logits) for logits in asked.logits] == [0, 0]
    assert [list(images) for images in asked.images] == [[], []]


def test_a_case_with_a_problem_has_no_edits_among_others(context):
    asked = ask(context, check=lambda one: "left out" if one.name.endswith("2'") else "")
    assert [len(logits) for logits in asked.logits] == [4, 4, 0, 4, 4]
    assert asked.problems == ["", "", "left out", "", ""]
    expected = np.concatenate([logits for index, logits in enumerate(ask(context).logits) if index != 2])
    np.testing.assert_allclose(np.concatenate(asked.logits), expected, rtol=1e-6)


def test_an_edit_that_changes_nothing_is_found_by_its_pixels(context):
    one = Case(picture(red=20), "red", QUARTER, id="red")
    other = Case(picture(red=20, green=20), "red", QUARTER, id="brown")
    ground = open_picture(picture(red=20))
    asked = ask(context, [one, other], on_backgrounds([ground]))
    untouched = context.cache.predictions([one, other]).logits
    assert [is_changed(context, asked, index, untouched[index]) for index in range(2)] == [False, True]


def test_an_edit_that_changes_what_the_model_does_not_see_in_it_is_found_by_its_pixels_too(context):
    # The same mean of each channel: the same logits.
    one = Case(picture(red=np.arange(16).reshape(4, 4)), "red", Box(0, 0, 1, 1), id="rising")
    turned = np.arange(16)
    turned[1:] = turned[:0:-1]
    asked = ask(context, [one], [OnBackground(open_picture(picture(red=turned.reshape(4, 4))), 1)])
    untouched = context.cache.predictions([one]).logits[0]
    np.testing.assert_allclose(asked.logits[0][0], untouched, rtol=1e-6)
    assert is_changed(context, asked, 0, untouched)
