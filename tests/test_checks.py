"""Whether a function can be called as it will be: no more is asked, and nothing is called."""

from functools import partial, wraps

import numpy as np
import pytest

from pytest_cnnaudit.checks import called, check_call, check_number, number

TAKES = ("activations", "gradients", "scores")


def check(function, takes=TAKES):
    check_call(function, "method", takes, "a function of three arrays")


def three(a, b, c):
    raise AssertionError


def two(a, b):
    raise AssertionError


class Callable:
    def __call__(self, a, b, c):
        raise AssertionError


def adapted(function):
    @wraps(function)
    def method(a, b, c):
        return function(a, b)

    return method


def hidden(function):
    @wraps(function)
    def method(*arguments):
        return function(*arguments)

    return method


@pytest.mark.parametrize(
    "function",
    [
        three,
        lambda *arrays: arrays,
        lambda a, b, c, d=1, *, e=2, **more: a,
        partial(lambda a, b, c, *, power: a, power=2),
        partial(lambda first, a, b, c: a, 1),
        Callable(),
        Callable().__call__,
        adapted(two),
        hidden(two),  # what it takes shows when it is called
        np.add,
        max,
        partial(max, key=abs),
        dict,
    ],
)
def test_what_takes_three_passes(function):
    check(function)


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (two, "too many positional arguments"),
        (lambda a, b, c, d: a, "missing a required argument: 'd'"),
        (lambda a, b, *, c: a, "too many positional arguments"),
        (lambda a, b, c, *, power: a, "missing a required .*argument: 'power'"),
        (partial(three, 1), "too many positional arguments"),
        (partial(three, c=1), "too many positional arguments|multiple values"),
        (partial(three, power=2), "got an unexpected keyword argument 'power'"),
        (Callable, r"too many positional arguments"),
        (adapted, "too many positional arguments"),
    ],
)
def test_what_does_not_is_a_type_error_that_names_the_argument(function, problem):
    start = rf"^method is '{called(function)}', which can't be called as it will be, with \({', '.join(TAKES)}\)"
    with pytest.raises(TypeError, match=rf"{start}: ({problem}).*; a function of three arrays is expected$"):
        check(function)


@pytest.mark.parametrize(
    ("function", "name"),
    [(three, "three"), (partial(two, 1), "two"), (Callable(), "Callable"), (Callable, "Callable"), (max, "max")],
)
def test_what_a_message_calls_it(function, name):
    assert called(function) == name


@pytest.mark.parametrize("value", ["a", None, True, np.True_, [0.5], 1j])
def test_what_is_not_a_number_is_a_type_error_that_names_the_argument(value):
    for check in (check_number, number):
        with pytest.raises(TypeError) as caught:
            check(value, "share")
        assert str(caught.value) == f"share is {value!r}; a number is expected"


@pytest.mark.parametrize("value", [1, 0.5, np.float32(2), np.int64(3), float("nan"), float("inf")])
def test_any_real_number_is_one(value):
    check_number(value, "share")
