import pytest

from pytest_cnnaudit.report import words


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
    assert words.show(value, beside) == text


def test_a_share_is_written_as_per_cent():
    assert words.show(91 / 96, share=True) == "94.79\u00a0%"


def test_a_population_is_told_in_pictures(population):
    assert words.sentence(population(10, 3)) == (
        "3 of 10 pictures pass (30\u00a0%); at least 90\u00a0% must, shown with 95\u00a0% confidence."
    )


def test_unscorable_pictures_are_named(population):
    text = words.sentence(population(10, 3) | {"unscorable": 1, "mostly": 1.0, "confidence": None})
    assert text == ("3 of 10 pictures pass (30\u00a0%); all must. 1 could not be scored and counts as not passed.")


def test_a_single_picture_is_told_in_its_measure(finding):
    assert words.sentence(finding()) == (
        "The share of the heatmap inside the marked region is 0.12; at least 0.50 is asked for. Chance is 0.24."
    )


def test_an_excess_over_chance_is_the_limit_where_it_is_stricter(finding):
    hidden = finding(value=0.55, chance=0.5)
    assert words.limits(hidden) == (words.Limit(0.6, "at_least", "0.20 of the way from chance, 0.50, to 1"),)
    assert words.sentence(hidden) == (
        "The share of the heatmap inside the marked region is 0.55; at least 0.60 is asked for, "
        "0.20 of the way from chance, 0.50, to 1."
    )
    assert words.limits(finding(chance=0.24)) == (words.Limit(0.5, "at_least"),)


def test_a_range_has_two_limits(finding):
    thresholds = [
        {"name": "at least", "value": 2, "direction": "at_least"},
        {"name": "at most", "value": 5, "direction": "at_most"},
    ]
    text = words.sentence(finding(name="depth", value=7, threshold=5, chance=None, thresholds=thresholds))
    assert text == "The measured value is 7; at least 2 and at most 5 are asked for."


def test_a_population_is_held_against_the_share_asked_for(population):
    assert words.limits(population()) == (words.Limit(0.9, "at_least"),)
    assert words.case_rule(population()) == "mass inside at least 0.50 and at least 0.20 of the way from chance to 1"


def test_a_yes_or_no_is_told_in_words(finding):
    cases = [{"id": "cat.png", "value": 0.0, "outcome": "failed", "note": "predicted dog"}]
    assert words.sentence(finding(name="predicts", cases=cases)) == "The picture does not pass: predicted dog."


def test_a_mean_over_many_pictures_is_not_taken_for_a_pass_rate(finding):
    assert not words.judges_cases(finding(n=10, passed=3, value=0.41, mostly=0.9))
    assert not words.judges_cases(finding(n=10, passed=3, value=0.3, mostly=None))


def test_an_error_speaks_its_own_message(finding):
    broken = finding(outcome="error", value=None, message="\n  no cases given\nmore")
    assert words.sentence(broken) == "no cases given"


@pytest.mark.parametrize(
    ("outcome", "waived", "shown"),
    [
        ("failed", "known", "waived"),
        ("passed", "known", "passed"),
        ("inconclusive", None, "inconclusive"),
        ("splendid", None, "error"),
    ],
)
def test_outcomes(finding, outcome, waived, shown):
    assert words.outcome(finding(outcome=outcome, waived=waived)) == shown


@pytest.mark.parametrize(
    ("verdict", "complete", "outcomes", "tone", "headline"),
    [
        ("failed", True, ["failed", "failed", "passed"], "failed", "Blocked: 2 of 3 audits failed"),
        ("passed", True, ["passed", "passed"], "passed", "Released: all 2 audits passed"),
        ("passed", False, ["passed"], "passed", "Not released: all 1 audit passed"),
        ("passed", True, ["passed", "failed"], "error", "Blocked: 1 of 2 audits failed"),
        ("inconclusive", True, ["inconclusive"], "inconclusive", "Not released: 1 of 1 audit inconclusive"),
        ("error", True, ["error", "passed"], "error", "Blocked: 1 of 2 audits could not be carried out"),
        (
            "error",
            True,
            ["error", "failed"],
            "error",
            "Blocked: 1 of 2 audits failed, 1 could not be carried out",
        ),
        ("error", True, [], "error", "Blocked: the run ended in an error"),
        (None, True, ["passed"], "error", "Blocked: the run ended in an error"),
    ],
)
def test_verdict_fails_closed(finding, verdict, complete, outcomes, tone, headline):
    told = words.verdict({"verdict": verdict, "complete": complete}, [finding(outcome=outcome) for outcome in outcomes])
    assert (told.tone, told.headline) == (tone, headline)


def test_a_record_that_does_not_say_complete_is_incomplete(finding):
    assert not words.verdict({"verdict": "passed"}, [finding(outcome="passed")]).complete


def test_a_verdict_in_each_class_names_the_worst(population):
    parts = [{"name": "cat"}, {"name": "dog"}, {"name": "fox"}]
    text = words.sentence(population(10, 3) | {"by": "label", "parts": parts, "confidence": None})
    assert text == "The worst of 3 labels is cat: 3 of 10 pictures pass (30\u00a0%); at least 90\u00a0% must."


def test_groups_are_not_called_pictures(population):
    finding = population(10, 3) | {"unit": "groups", "confidence": None}
    assert words.sentence(finding) == "3 of 10 groups pass (30\u00a0%); at least 90\u00a0% must."
    assert words.axis(finding) == "share of groups that pass"
