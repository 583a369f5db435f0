"""A method or a transform of one's own: what can't be called is an error that names it, whatever the assertion."""

from functools import partial

import numpy as np
import pytest
from colours import half_case, message_of

from pytest_cnnaudit import Box, Case
from pytest_cnnaudit.audit import Audit

CASES = [half_case(60, id="a", forbidden=Box(2, 0, 4, 4)), half_case(70, id="b", forbidden=Box(2, 0, 4, 4))]
CASES.append(Case(CASES[0].image, label="green", id="c"))
BY_METHOD = {
    "assert_mass_inside": CASES[:2],
    "assert_avoids": CASES[:2],
    "assert_points_at": CASES[:2],
    "assert_iou": CASES[:2],
    "assert_grid_pointing": CASES,
    "assert_class_discriminative": CASES,
    "assert_faithful": CASES,
    "assert_stable": CASES,
    "assert_follows": CASES,
    "assert_responds_to_weights": CASES,
}


def call(audit, name, **options):
    arguments = ("second",) if name == "assert_class_discriminative" else ()
    return partial(getattr(audit, name), BY_METHOD[name], *arguments, **options)


def test_these_are_the_assertions_with_a_method():
    assertions = {name: getattr(Audit, name) for name in dir(Audit) if name.startswith("assert_")}
    assert {name for name, one in assertions.items() if "method" in one.__annotations__} == set(BY_METHOD)


@pytest.mark.parametrize("name", BY_METHOD)
class TestMethod:
    def test_one_of_the_wrong_arity_is_named(self, audit, name, recorded):
        def of_two(activations, gradients):
            raise AssertionError

        message = message_of(TypeError, call(audit, name, method=of_two))
        assert message.startswith(
            "method is 'of_two', which can't be called as it will be, with (activations, gradients, scores): "
        )
        assert "a function of three arrays" in message
        assert [(finding["outcome"], finding["message"]) for finding in recorded()] == [("error", message)]

    def test_an_error_of_its_own_comes_through(self, audit, name):
        error = TypeError("broken() missing 1 required positional argument: 'scores'")

        def broken(activations, gradients, scores):
            raise error

        with pytest.raises(TypeError) as caught:
            call(audit, name, method=broken)()
        assert caught.value is error
        assert caught.traceback[-1].name == "broken"


def upside_down(heatmap):
    return heatmap[::-1]


class TestTransform:
    @pytest.mark.parametrize(
        ("transform", "start"),
        [
            (
                (lambda: None, lambda heatmap: heatmap),
                "transform[0] is '<lambda>', which can't be called",
            ),
            ((lambda image, angle: image, np.fliplr), "transform[0] is '<lambda>', which can't"),
            ((lambda image: image, lambda: None), "transform[1] is '<lambda>', which can't"),
            ((lambda image: image, partial(upside_down, axes=1)), "transform[1] is 'upside_down', which can't"),
        ],
    )
    def test_one_of_the_wrong_arity_is_named(self, audit, transform, start):
        message = message_of(TypeError, audit.assert_follows, CASES, transform)
        assert message.startswith(start)
        assert "PIL.Image" in message or "a map (h, w)" in message

    @pytest.mark.parametrize("position", [0, 1])
    def test_an_error_of_its_own_comes_through(self, audit, position):
        error = TypeError("takes 0 positional arguments but 1 was given")

        def broken(given):
            raise error

        pair = [lambda image: image, lambda heatmap: heatmap]
        pair[position] = broken
        with pytest.raises(TypeError) as caught:
            audit.assert_follows(CASES, tuple(pair))
        assert caught.value is error

    def test_partials_and_objects_are_functions(self, audit):
        class Turned:
            def __call__(self, image):
                return image.rotate(180)

        finding = audit.assert_follows(CASES[:2], (Turned(), partial(np.flip, axis=(0, 1))))
        assert finding.passed == 2
