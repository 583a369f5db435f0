"""`assert_no_duplicate_filters` on kernels set by hand, whose cosines are known."""

import keras
import numpy as np
import pytest
from colours import evidence_of, half_case, message_of, refused
from keras import layers

from pytest_cnnaudit.engine.errors import NonFiniteError


def with_filters(**kernels):
    """A 1 × 1 convolution for each name; a row of `kernels[name]` is a filter's weights, the bias last."""
    image = x = keras.Input((4, 4, 2))
    for name, filters in kernels.items():
        rows = np.asarray(filters, np.float32)
        taken = int(x.shape[-1])
        convolution = layers.Conv2D(len(rows), 1, activation="relu", name=name)
        x = convolution(x)
        weights = np.zeros((len(rows), taken), np.float32)
        weights[:, : rows.shape[1] - 1] = rows[:, :-1]
        convolution.set_weights([weights.T[None, None], rows[:, -1]])
    return keras.Model(image, layers.Dense(2, name="head")(layers.GlobalAveragePooling2D(name="pool")(x)))


DISTINCT = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0]]
ONE_TWICE = [[1, 2, 3], [0, 1, 0], [2, 4, 6], [-1, -2, -3]]


def audit_with(audit_of, **kernels):
    return audit_of(with_filters(**kernels), class_names=None, artifacts="all")


def test_filters_of_different_directions_pass(audit_of, recorded):
    finding = audit_with(audit_of, first=DISTINCT).assert_no_duplicate_filters()
    assert (finding.outcome, finding.value, finding.threshold, finding.direction) == ("passed", 0.0, 0.05, "at_most")
    assert (finding.n, finding.unit, finding.passed) == (1, "layers", 1)
    assert (finding.layer, finding.cases) == ("first", ())
    assert recorded()[0]["demands"] == {"layers": None, "similarity_at_most": 0.99, "at_most": 0.05}


@pytest.mark.every_backend
def test_a_planted_duplicate_is_found_and_named(audit_of, page):
    finding = refused(audit_with(audit_of, first=DISTINCT, second=ONE_TWICE).assert_no_duplicate_filters)
    assert (finding.outcome, finding.value, finding.layer) == ("failed", 0.25, "second")
    assert (finding.n, finding.passed) == (2, 1)
    [limit] = finding.thresholds
    assert (limit.name, limit.value, limit.direction) == ("redundant filters in a layer", 0.05, "at_most")
    assert finding.message == (
        "no_duplicate_filters: failed: worst layer 'second': 1 of 4 filters repeat another, 0.25 > 0.05 (margin -0.2)\n"
        "  layers above the limit: second\n"
        "  redundant there: 2 = 0 (1.000)\n"
        "  redundant: a cosine above 0.99 with an earlier filter, bias included; layers: 2\n"
        f"  page: {page}"
    )


def test_the_page_shows_each_layer_and_each_pair(audit_of):
    finding = refused(audit_with(audit_of, first=DISTINCT, second=ONE_TWICE).assert_no_duplicate_filters)
    chart, pairs = evidence_of(finding)
    assert (chart["kind"], chart["title"]) == ("layers", "Redundant filters by layer")
    assert [(row["layer"], row["value"], row["note"]) for row in chart["rows"]] == [
        ("first", 0.0, "0 of 4; the others up to 0.000"),
        # (0, 1, 0) · (1, 2, 3) / √14
        ("second", 0.25, "1 of 4; the others up to 0.535"),
    ]
    assert (pairs["kind"], pairs["text"]) == ("text", "second: 2 = 0 (1.000)")


def test_the_limits_themselves_pass(audit_of):
    # (3, 4, 0) and (1, 0, 0) have the cosine 0.6
    audit = audit_with(audit_of, first=[[1, 0, 0], [3, 4, 0]])
    assert audit.assert_no_duplicate_filters(similarity_at_most=0.6, at_most=0).value == 0
    assert audit.assert_no_duplicate_filters(similarity_at_most=0.59, at_most=0.5).value == 0.5
    assert refused(audit.assert_no_duplicate_filters, similarity_at_most=0.59, at_most=0.49).value == 0.5


def test_the_bias_is_a_part_of_the_direction(audit_of):
    audit = audit_with(audit_of, first=[[1, 0, 0], [1, 0, 1]])  # 45 degrees
    assert audit.assert_no_duplicate_filters(similarity_at_most=0.8).value == 0
    assert refused(audit.assert_no_duplicate_filters, similarity_at_most=0.7).value == 0.5


def test_zero_kernels_are_duplicates_of_each_other(audit_of):
    finding = refused(audit_with(audit_of, first=[[0, 0, 0], [1, 0, 0], [0, 0, 0]]).assert_no_duplicate_filters)
    assert finding.value == pytest.approx(1 / 3)
    assert "redundant there: 2 = 0 (1.000)\n" in finding.message


def grouped(second_group):
    image = keras.Input((4, 4, 2))
    convolution = layers.Conv2D(4, 1, groups=2, use_bias=False, name="grouped")
    pooled = layers.GlobalAveragePooling2D(name="pool")(convolution(image))
    model = keras.Model(image, layers.Dense(2, name="head")(pooled))
    convolution.set_weights([np.array([1, -1, *second_group], np.float32)[None, None, None]])
    return model


def test_filters_of_different_groups_see_different_channels(audit_of):
    assert audit_of(grouped([1, -1]), class_names=None).assert_no_duplicate_filters().value == 0


def test_in_a_group_filters_have_the_layers_numbers(audit_of):
    finding = refused(audit_of(grouped([2, 3]), class_names=None).assert_no_duplicate_filters)
    assert finding.value == 0.25
    assert "redundant there: 3 = 2 (1.000)\n" in finding.message


def test_layers_can_be_named_one_or_several(audit_of):
    audit = audit_with(audit_of, first=DISTINCT, second=ONE_TWICE)
    assert audit.assert_no_duplicate_filters("first").n == 1
    assert refused(audit.assert_no_duplicate_filters, ["first", "second"]).n == 2
    assert audit.assert_no_duplicate_filters(["head"]).layer == "head"


@pytest.mark.every_backend
def test_nan_in_a_kernel_is_an_error(audit_of, recorded):
    model = with_filters(first=DISTINCT)
    audit = audit_of(model, class_names=None)
    _ = audit.engine
    model.get_layer("first").bias.assign([np.nan, 0, 0, 0])
    assert "'first'" in message_of(NonFiniteError, audit.assert_no_duplicate_filters)
    assert [one["outcome"] for one in recorded()] == ["error"]


@pytest.mark.parametrize(
    ("layers", "error", "message"),
    [
        (half_case(60), TypeError, "layers must be a layer's name or a sequence of names, not Case"),
        ([half_case(60)], TypeError, "layers must be a layer's name or a sequence of names, not list of Case"),
        ([], ValueError, "layers is empty: name at least one layer, or leave it out"),
        ("frist", ValueError, "nearest: 'first'"),
        ("pool", ValueError, "'pool' (GlobalAveragePooling2D) has no kernels to compare"),
    ],
)
def test_wrong_layers_are_errors(audit_of, layers, error, message):
    assert message in message_of(error, audit_with(audit_of, first=DISTINCT).assert_no_duplicate_filters, layers)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("similarity_at_most", "0.9", TypeError),
        ("similarity_at_most", 1.1, ValueError),
        ("similarity_at_most", float("nan"), ValueError),
        ("at_most", None, TypeError),
        ("at_most", -0.1, ValueError),
    ],
)
def test_wrong_limits_are_errors_that_name_the_argument(audit_of, name, value, error):
    audit = audit_with(audit_of, first=DISTINCT)
    assert message_of(error, audit.assert_no_duplicate_filters, **{name: value}).startswith(f"{name} is {value!r}; ")
