import pytest

from pytest_cnnaudit.findings import Texts, Threshold
from pytest_cnnaudit.report.recorded import is_share, kind, outcome, texts, thresholds


@pytest.mark.parametrize("recorded", ["case", "share", "value"])
def test_the_kind_is_the_recorded_one_whatever_the_numbers_look_like(finding, recorded):
    assert kind(finding(kind=recorded, n=10, passed=3, value=0.3, mostly=0.9)) == recorded


@pytest.mark.parametrize("unknown", [None, "average", 3])
def test_a_share_is_known_by_its_numbers_where_no_kind_is_recorded(finding, unknown):
    assert is_share(finding(kind=unknown, n=10, passed=3, value=0.3, mostly=0.9))


def test_a_mean_over_many_pictures_is_not_taken_for_a_pass_rate(finding):
    assert not is_share(finding(kind=None, n=10, passed=3, value=0.41, mostly=0.9))
    assert not is_share(finding(kind=None, n=10, passed=3, value=0.3, mostly=None))
    assert not is_share(finding(kind=None, n=0, passed=0, value=0.3, mostly=0.9))


def test_texts_are_the_recorded_ones(finding):
    recorded = {
        "title": "Keeps calm",
        "quantity": "pulse",
        "measured": "Beats.",
        "reading": "Low is good.",
        "yes_no": True,
    }
    assert texts(finding(texts=recorded)) == Texts("Keeps calm", "pulse", "Beats.", "Low is good.", yes_no=True)


def test_texts_of_another_version_keep_what_is_known(finding):
    assert texts(finding(texts={"title": "Keeps calm", "mood": "blue"})) == Texts("Keeps calm")


def test_without_texts_there_are_general_ones_under_the_findings_name(finding):
    general = texts(finding(name="latency in ms", texts=None))
    assert (general.title, general.quantity, general.yes_no) == ("latency in ms", "measured value", False)
    assert general.measured == "A figure that this suite measures and judges itself."


def test_thresholds_are_read_back_as_they_were_and_those_without_a_number_left_out(finding, threshold):
    broken = threshold("mass", float("nan"), "at_most")
    assert thresholds(finding(thresholds=[*finding()["thresholds"], broken])) == (
        Threshold("mass inside", 0.5, "at_least"),
        Threshold("excess", 0.2, "at_least", is_excess=True),
    )


@pytest.mark.parametrize(
    ("recorded", "waived", "shown"),
    [
        ("failed", "known", "waived"),
        ("passed", "known", "passed"),
        ("inconclusive", None, "inconclusive"),
        ("splendid", None, "error"),
    ],
)
def test_outcomes(finding, recorded, waived, shown):
    assert outcome(finding(outcome=recorded, waived=waived)) == shown
