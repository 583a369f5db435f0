"""`assert_predicts`: the label among the most probable classes."""

import itertools

import numpy as np
import pytest
from colours import colour_model, message_of, picture, refused

from pytest_cnnaudit import Box, Case, CaseError, Engine
from pytest_cnnaudit.audit.families.predictions import chance_of_a_hit


def coloured(label, red=0, green=0, blue=0, id=None):  # noqa: A002 - the name of Case's own argument
    """The model ranks the classes by how much of each colour there is."""
    return Case(picture(red, green, blue), label=label, id=id)


def test_a_passing_case_gives_all_its_numbers(audit):
    finding = audit.assert_predicts(coloured("red", red=3, green=2, blue=1, id="cat"))
    assert (finding.name, finding.outcome, finding.value) == ("predicts", "passed", 1.0)
    assert (finding.threshold, finding.direction, finding.chance) == (1.0, "at_least", pytest.approx(1 / 3))
    assert (finding.n, finding.passed, finding.unscorable) == (1, 1, 0)
    assert (finding.method, finding.layer, finding.target) == (None, None, "label")
    [limit] = finding.thresholds
    assert (limit.name, limit.value, limit.direction) == ("label among the top 1", 1.0, "at_least")


def test_a_failing_case_says_what_was_predicted(audit, page, recorded):
    finding = refused(audit.assert_predicts, coloured("red", red=1, green=2, id="cat"))
    assert (finding.outcome, finding.value, finding.passed) == ("failed", 0.0, 0)
    assert finding.cases[0].note == "labelled red, predicted green"
    assert finding.message == (
        "predicts: failed: cat: accuracy 0 < 1 (margin -1), chance 0.333\n"
        "  labelled red, predicted green\n"
        f"  page: {page}"
    )
    assert [one["outcome"] for one in recorded()] == ["failed"]


def test_a_population_gives_the_accuracy_and_what_was_predicted_instead(audit, page):
    cases = [
        coloured("red", red=2, green=1, id="a"),
        coloured("green", red=2, green=1, id="b"),
        coloured("blue", blue=5, id="c"),
        coloured("blue", green=5, id="d"),
    ]
    finding = refused(audit.assert_predicts, cases, mostly=0.75)
    assert (finding.value, finding.threshold, finding.mean) == (0.5, 0.75, 0.5)
    assert [result.outcome for result in finding.cases] == ["passed", "failed", "passed", "failed"]
    assert finding.message == (
        "predicts: failed: 2 of 4 cases pass (50.0 %); 75 % required (margin -0.25), 95 % interval 6.8 to 93.2 %\n"
        "  a case passes with label among the top 1 ≥ 1; mean 0.500, chance 0.333\n"
        "  worst: b 0.000 (labelled green, predicted red), d 0.000 (labelled blue, predicted green)\n"
        f"  page: {page}"
    )
    assert audit.assert_predicts(cases, mostly=0.5).outcome == "passed"


def test_the_excess_raises_what_is_demanded_above_guessing(audit):
    cases = [coloured("red", red=2, id="a"), coloured("red", red=2, id="b"), coloured("red", blue=2, id="c")]
    # A third guessed and 0.4 of the rest is 0.6; 0.6 of it is 0.733.
    assert audit.assert_predicts(cases, mostly=0.1, excess_at_least=0.4).threshold == pytest.approx(0.6)
    finding = refused(audit.assert_predicts, cases, mostly=0.1, excess_at_least=0.6)
    assert finding.threshold == pytest.approx(1 / 3 + 0.6 * 2 / 3)
    assert "mostly is 0.1, but an excess of 0.6 over chance demands 0.733" in finding.message
    assert message_of(ValueError, audit.assert_predicts, cases, excess_at_least=2).startswith("excess_at_least is 2")


def test_an_excess_that_demands_all_proves_nothing(audit):
    cases = [coloured("red", red=2, id="a"), coloured("red", red=2, id="b")]
    options = {"mostly": 0.5, "confidence": 0.9, "excess_at_least": 1.0}
    message = message_of(ValueError, audit.assert_predicts, cases, **options)
    assert message.startswith("excess_at_least is 1, which demands that every case passes, and no number of cases")


def test_nothing_is_above_a_chance_of_1(audit):
    case = Case(picture(2), label=("red", "green", "blue"), id="all")
    finding = refused(audit.assert_predicts, [case], mostly=0.5, excess_at_least=0.1)
    assert [result.outcome for result in finding.cases] == ["unscorable"]
    assert "labelled 3 of 3 classes, so this can't fail" in finding.message


def test_top_two(audit):
    case = coloured("green", red=3, green=2, blue=1)
    assert refused(audit.assert_predicts, case).value == 0.0
    finding = audit.assert_predicts(case, top=2)
    assert (finding.value, finding.chance) == (1.0, pytest.approx(2 / 3))
    assert finding.thresholds[0].name == "label among the top 2"


@pytest.mark.parametrize("top", [0, 3, -1, True, 1.0, "1", None])
def test_top_leaves_at_least_one_class_out(audit, top):
    # Of three classes the label is always among the top three.
    message = message_of(ValueError, audit.assert_predicts, coloured("red", red=1), top=top)
    assert message == f"top is {top!r}; give 1 to 2, fewer than the 3 classes"


def test_top_may_be_numpys(audit, recorded):
    assert audit.assert_predicts(coloured("green", red=3, green=2), top=np.int64(2)).value == 1.0
    assert recorded()[0]["demands"]["top"] == 2


@pytest.mark.parametrize(
    ("labels", "top", "chance"),
    [
        (("red", "blue"), 1, 2 / 3),  # 1 − C(1, 1) / C(3, 1)
        (("red", "blue"), 2, 1),  # only one class is none of them
        (("red", 0), 1, 1 / 3),  # the same class twice
        (("red", "green", "blue"), 1, 1),
    ],
)
def test_guessing_hits_one_of_several_labels_more_easily(audit, labels, top, chance):
    assert audit.assert_predicts(coloured(labels, red=1), top=top).chance == chance


@pytest.mark.parametrize(("classes", "labels", "top"), [(7, 3, 2), (6, 1, 4), (9, 4, 4), (5, 3, 3)])
def test_chance_is_the_share_of_all_guesses_that_hit(classes, labels, top):
    guesses = list(itertools.combinations(range(classes), top))
    hits = sum(any(one < labels for one in guess) for guess in guesses)
    assert chance_of_a_hit(classes, labels, top) == pytest.approx(hits / len(guesses), rel=1e-15)


def test_the_excess_is_above_the_chance_of_several_labels(audit):
    cases = [coloured(("red", "blue"), red=2, id="a"), coloured(("green", "blue"), green=2, id="b")]
    # Two thirds guessed and 0.2 of the rest.
    finding = audit.assert_predicts(cases, mostly=0.1, excess_at_least=0.2)
    assert (finding.chance, finding.threshold) == (pytest.approx(2 / 3), pytest.approx(11 / 15))


def test_labels_that_leave_no_room_to_miss_are_noted(audit):
    cases = [coloured(("red", "blue"), red=2, id="a"), coloured("green", green=2, id="b")]
    finding = audit.assert_predicts(cases, top=2)
    assert [one.note for one in finding.cases] == ["labelled 2 of 3 classes, so this can't fail", ""]
    assert "1 passed with a note: a: labelled 2 of 3 classes, so this can't fail" in finding.message


def test_one_of_several_labels_is_enough(audit):
    assert audit.assert_predicts(coloured(("blue", "green"), green=1)).value == 1.0
    assert refused(audit.assert_predicts, coloured(("blue", "green"), red=1)).value == 0.0


def test_a_label_may_be_an_index(audit):
    assert audit.assert_predicts(coloured(1, green=1)).value == 1.0


def test_without_a_label_the_case_is_named(audit):
    cases = [coloured("red", red=1), coloured(None, red=1)]
    assert message_of(ValueError, audit.assert_predicts, cases) == "case 1 has no label: give the Case one"
    message = message_of(ValueError, audit.assert_predicts, coloured(None, red=1, id="cat"))
    assert message == "case 'cat' has no label: give the Case one"


@pytest.mark.parametrize("names", [("red", "green", "blue"), None])
@pytest.mark.parametrize("assertion", ["assert_predicts", "assert_mass_inside", "assert_ignores_patch"])
def test_a_label_that_is_no_index_of_a_class_is_a_case_error(audit_of, names, assertion):
    audit = audit_of(colour_model(), class_names=names)
    case = Case(picture(red=1), label=7, id="cat", region=Box(0, 0, 2, 2))
    further = [picture()] if assertion == "assert_ignores_patch" else []
    message = message_of(CaseError, getattr(audit, assertion), case, *further)
    assert message == "case 'cat': label is 7, but there are 3 classes (0 to 2)"


def test_a_label_that_is_no_index_of_a_class_is_a_case_error_of_heatmaps(audit_of):
    audit, case = audit_of(colour_model(), class_names=None), coloured(7, red=1, id="cat")
    for heatmaps in (audit.heatmaps, Engine(colour_model()).heatmaps):
        message = message_of(CaseError, heatmaps, [coloured(2, red=1), case], target="label")
        assert message == "case 'cat': label is 7, but there are 3 classes (0 to 2)"
    assert len(audit.heatmaps([case], target="predicted").maps) == 1


def test_a_tie_goes_to_the_first_class(audit):
    assert audit.assert_predicts(coloured("red", red=2, green=2)).value == 1.0
    assert refused(audit.assert_predicts, coloured("green", red=2, green=2)).value == 0.0


@pytest.mark.every_backend
def test_a_single_output_is_two_classes(audit_of):
    import keras
    from keras import layers

    image = keras.Input((4, 4, 3))
    dense = layers.Dense(1, activation="sigmoid")
    model = keras.Model(image, dense(layers.GlobalAveragePooling2D()(image)))
    dense.set_weights([np.array([[-1.0], [1.0], [0.0]], np.float32), np.zeros(1, np.float32)])
    audit = audit_of(model, class_names=("red", "green"))
    finding = audit.assert_predicts([coloured("red", red=9), coloured("green", green=9)])
    assert (finding.value, finding.chance) == (1.0, 0.5)
    message = message_of(ValueError, audit.assert_predicts, coloured("red", red=9), top=2)
    assert message == "top is 2; give 1, fewer than the 2 classes"


@pytest.mark.every_backend
def test_predictions_of_the_fixture_are_the_engines(audit_of, results):
    audit = audit_of(results)
    cases = [coloured("red", red=3, green=2, blue=1), coloured("blue", blue=200, green=100)]
    expected = results.engine.predict([case.image for case in cases])
    np.testing.assert_allclose(audit.predict(cases).logits, expected.logits, rtol=1e-6)
    np.testing.assert_allclose(audit.predict(cases).logits, [[3, 2, 1], [0, 100, 200]], rtol=1e-6)
    assert audit.layers == results.engine.layers
    assert audit.default_layer == "colour"
    assert audit.engine is results.engine


@pytest.mark.every_backend
def test_heatmaps_of_the_fixture_are_the_engines(audit_of, results):
    case = coloured("red", red=np.arange(16).reshape(4, 4), green=7)
    for target in ("label", "predicted", "green", 0, ["red"]):
        ours = audit_of(results).heatmaps([case], target=target)
        theirs = results.engine.heatmaps([case], target=target)
        np.testing.assert_allclose(ours.maps, theirs.maps, rtol=1e-6)
        assert ours.targets.tolist() == theirs.targets.tolist()
    left = Box(0, 0, 2, 4)  # columns 0 and 1 of 0 … 15: 0+1+4+5+8+9+12+13 of 120
    assert audit_of(results).heatmaps([case], target="red").mass_inside(left)[0] == pytest.approx(52 / 120)


@pytest.mark.every_backend
def test_statistics_of_the_fixture_are_the_engines(audit_of):
    audit = audit_of(colour_model())
    stats = audit.activation_stats([coloured("red", red=3)], ["colour"])["colour"]
    assert stats.max.tolist() == [3, 0, 0]
    assert audit.activations([coloured("red", red=3)], "colour")["colour"].shape == (1, 4, 4, 3)
    patterns = audit.filter_patterns("colour", [2], steps=1, size=(6, 5))
    assert (patterns.images.shape, patterns.filters.tolist()) == ((1, 6, 5, 3), [2])


def test_the_tests_seed_is_obeyed(audit_of):
    """By what draws random numbers: patterns, and the methods that do."""
    model, case, drawn = colour_model(), coloured("green", red=3), {}
    for seed in (0, 7):
        audit = audit_of(model, seed=seed)
        patterns = audit.filter_patterns("colour", [0], steps=1, size=(6, 5)).images
        drawn[seed] = (patterns, audit.heatmaps([case], target="green", method="smoothgrad").signed)
    expected = audit.engine.filter_patterns("colour", [0], steps=1, size=(6, 5), seed=7).images
    np.testing.assert_array_equal(drawn[7][0], expected)
    for one, other in zip(drawn[0], drawn[7], strict=True):
        assert np.abs(one - other).max() > 1e-3
