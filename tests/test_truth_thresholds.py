"""Where `tox -e truth` sees a threshold between honest and cheating models."""

from thresholds import between, meets, strictest

from pytest_cnnaudit.findings import CaseResult, Finding, Threshold


def population(values, direction="at_least", mostly=0.9, confidence=None):
    cases = tuple(
        CaseResult(str(index), value, "unscorable" if value is None else "passed") for index, value in enumerate(values)
    )
    limit = Threshold("mass", 0.5, direction)
    return Finding(
        "", "mass", "failed", n=len(cases), mostly=mostly, confidence=confidence, thresholds=(limit,), cases=cases
    )


def test_nine_of_ten_cases_must_reach_the_strictest_threshold():
    values = [0.3, 0.9, 0.8, 0.4, 1.0, 0.7, 0.95, 0.85, 0.75, 0.65]
    assert strictest(population(values)) == 0.4
    assert strictest(population(values, mostly=1.0)) == 0.3
    assert strictest(population(values, "at_most")) == 0.95


def test_with_confidence_more_of_them_must():
    values = [index / 100 for index in range(50)]
    assert strictest(population(values)) == 0.05
    assert strictest(population(values, confidence=0.95)) == 0.01  # 49 of 50


def test_too_few_cases_prove_nothing_whatever_the_threshold():
    assert strictest(population([0.9] * 20, confidence=0.95)) is None


def test_a_case_without_a_value_reaches_nothing():
    assert strictest(population([None, *[0.6] * 9])) == 0.6
    assert strictest(population([None, None, *[0.6] * 8])) is None


def test_one_value_of_a_whole_population_is_its_own_threshold():
    assert strictest(Finding("", "sparsity_rises", "passed", value=0.8)) == 0.8
    assert strictest(Finding("", "finite", "error")) is None


def test_a_threshold_is_in_the_middle_between_the_worst_honest_and_the_best_cheating_model():
    assert between([0.9, 0.8], [0.1, 0.2], "at_least") == 0.5
    assert between([0.0, 0.25], [0.75, 1.0], "at_most") == 0.5
    assert between([0.75], [None, 0.25], "at_least") == 0.5


def test_there_is_none_where_the_two_overlap():
    assert between([0.9, 0.1], [0.2], "at_least") is None
    assert between([0.9, None], [0.2], "at_least") is None
    assert between([0.9], [None], "at_least") is None


def test_a_model_meets_what_its_strictest_threshold_reaches():
    assert meets(0.5, 0.5, "at_least")
    assert not meets(0.4, 0.5, "at_least")
    assert meets(0.4, 0.5, "at_most")
    assert not meets(None, 0.5, "at_most")
