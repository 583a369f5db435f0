"""Predictions no better than guessing: said in the finding, warned of once a session, silent for too few cases."""

import warnings

import pytest
from colours import colour_model, picture

from pytest_cnnaudit import Box, Case, Engine, PreprocessingWarning
from pytest_cnnaudit.engine.cache import Cache

NAMES = ("red", "green", "blue")
NOTE = "near chance: the label is predicted for {} of {} cases, and guessing gives 1 of 3: is the preprocessing"


def population(right, count):
    """`count` red pictures, of which `right` have the label red and the others those of the other classes."""
    labels = ["red"] * right + [NAMES[1 + index % 2] for index in range(count - right)]
    shade = (
        Case(picture(red=2 + index, green=1), label, Box(0, 0, 2, 2), id=str(index))
        for index, label in enumerate(labels)
    )
    return list(shade)


def said(audit, cases, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        finding = audit.assert_predicts(cases, **{"mostly": 0.01, **options})
    texts = [str(one.message) for one in caught if issubclass(one.category, PreprocessingWarning)]
    return finding, [text for text in texts if "near chance" in text]


@pytest.fixture
def fresh(audit_of):
    """An audit of a session of its own."""
    return audit_of(Cache(Engine(colour_model(), class_names=NAMES)))


@pytest.mark.parametrize(
    ("right", "count", "is_said"),
    [
        (4, 12, True),
        (6, 12, False),  # its upper bound of 0.755 does not exclude 2/3
        (1, 12, True),  # worse than chance: the classes are in another order
        (9, 12, False),
        (2, 4, False),
        (1, 3, False),
    ],
)
def test_guessing_is_said(fresh, right, count, is_said):
    finding, texts = said(fresh, population(right, count))
    assert (len(texts), "near chance" in finding.message) == (is_said, is_said)
    if is_said:
        assert NOTE.format(right, count) in finding.message
        assert NOTE.format(right, count) in texts[0]


def test_the_warning_comes_once_a_session_and_the_note_every_time(fresh):
    first, texts = said(fresh, population(4, 12))
    assert len(texts) == 1
    second, texts = said(fresh, population(4, 12))
    assert texts == []
    assert "near chance" in first.message
    assert second.message == first.message


def test_an_assertion_on_heatmaps_says_it_too(fresh):
    with pytest.warns(PreprocessingWarning, match="near chance: the label is predicted for 4 of 12 cases"):
        finding = fresh.assert_mass_inside(population(4, 12), at_least=0, excess_at_least=None, mostly=0.01)
    assert "near chance" in finding.message


def test_cases_of_several_labels_and_without_one_are_left_out(fresh):
    unlabelled = [Case(picture(red=2, blue=1), region=Box(0, 0, 2, 2), id=f"other {index}") for index in range(9)]
    finding = fresh.assert_mass_inside([*population(1, 3), *unlabelled], at_least=0, excess_at_least=None, mostly=0.01)
    assert "near chance" not in finding.message
    several = [Case(case.image, ("blue", "red"), id=case.id) for case in population(0, 12)]
    assert said(fresh, several)[1] == []


def test_each_label_is_held_against_its_own_picture(fresh):
    # The first four are blue and unlabelled: by position the labelled ones would be compared with them.
    unlabelled = [Case(picture(blue=9 + index), region=Box(0, 0, 2, 2), id=f"other {index}") for index in range(4)]
    options = {"at_least": 0, "excess_at_least": None, "mostly": 0.01}
    assert "near chance" not in fresh.assert_mass_inside([*unlabelled, *population(9, 12)], **options).message
    with pytest.warns(PreprocessingWarning, match="near chance: the label is predicted for 4 of 12 cases"):
        fresh.assert_mass_inside([*unlabelled, *population(4, 12)], **options)


def test_a_population_that_passes_is_judged_as_before(fresh):
    finding, _ = said(fresh, population(4, 12), mostly=0.3)
    assert (finding.outcome, finding.passed, finding.n) == ("passed", 4, 12)
