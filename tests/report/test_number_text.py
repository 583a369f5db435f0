import pytest

from pytest_cnnaudit.report.number_text import show


@pytest.mark.parametrize(
    ("value", "beside", "text"),
    [
        (0.5, None, "0.50"),
        (0.4996, 0.5, "0.4996"),
        (0.4999999, 0.5, "0.500000"),
        (-0.25, None, "−0.25"),
        (1.0, None, "1.00"),
        (20, None, "20"),
        (0.00001, None, "1e−05"),
        (float("nan"), None, "–"),
        (float("inf"), None, "–"),
        (None, None, "–"),
        (True, None, "–"),
        ("0.5", None, "–"),
    ],
)
def test_numbers_are_short_and_never_rounded_onto_their_threshold(value, beside, text):
    assert show(value, beside) == text


def test_a_share_is_written_as_per_cent():
    assert show(91 / 96, share=True) == "94.79\u00a0%"
