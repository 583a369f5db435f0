from pytest_cnnaudit.report.sentences import axis, sentence


def test_a_population_is_told_in_pictures(population):
    assert sentence(population(10, 3)) == (
        "3 of 10 pictures pass (30\u00a0%); at least 90\u00a0% must, shown with 95\u00a0% confidence."
    )


def test_unscorable_pictures_are_named(population):
    text = sentence(population(10, 3) | {"unscorable": 1, "mostly": 1.0, "confidence": None})
    assert text == ("3 of 10 pictures pass (30\u00a0%); all must. 1 could not be scored and counts as not passed.")


def test_a_single_picture_is_told_in_its_measure(finding):
    assert sentence(finding()) == (
        "The share of the heatmap inside the marked region is 0.12; at least 0.50 is asked for. Chance is 0.24."
    )


def test_a_range_has_two_limits(finding, threshold):
    thresholds = [threshold("at least", 2, "at_least"), threshold("at most", 5, "at_most")]
    text = sentence(finding(name="depth", value=7, threshold=5, chance=None, thresholds=thresholds))
    assert text == "The measured value is 7; at least 2 and at most 5 are asked for."


def test_a_yes_or_no_is_told_in_words(finding):
    cases = [{"id": "cat.png", "value": 0.0, "outcome": "failed", "note": "predicted dog"}]
    assert sentence(finding(name="predicts", cases=cases)) == "The picture does not pass: predicted dog."


def test_an_error_speaks_its_own_message(finding):
    broken = finding(outcome="error", value=None, message="\n  no cases given\nmore")
    assert sentence(broken) == "no cases given"


def test_a_verdict_in_each_class_names_the_worst(population):
    parts = [{"name": "cat"}, {"name": "dog"}, {"name": "fox"}]
    text = sentence(population(10, 3) | {"by": "label", "parts": parts, "confidence": None})
    assert text == "The worst of 3 labels is cat: 3 of 10 pictures pass (30\u00a0%); at least 90\u00a0% must."


def test_groups_are_not_called_pictures(population):
    finding = population(10, 3) | {"unit": "groups", "confidence": None}
    assert sentence(finding) == "3 of 10 groups pass (30\u00a0%); at least 90\u00a0% must."
    assert axis(finding) == "share of groups that pass"
