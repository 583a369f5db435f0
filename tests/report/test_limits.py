import pytest

from pytest_cnnaudit.findings import Threshold
from pytest_cnnaudit.report.limits import Limit, case_limits, case_rule, limits
from pytest_cnnaudit.report.sentences import sentence


def test_an_excess_over_chance_is_the_limit_where_it_is_stricter(finding):
    hidden = finding(value=0.55, chance=0.5)
    assert limits(hidden) == (Limit(0.6, "at_least", "0.20 of the way from chance, 0.50, to 1"),)
    assert sentence(hidden) == (
        "The share of the heatmap inside the marked region is 0.55; at least 0.60 is asked for, "
        "0.20 of the way from chance, 0.50, to 1."
    )
    assert limits(finding(chance=0.24)) == (Limit(0.5, "at_least"),)


@pytest.mark.parametrize("chance", [-1.0, -0.3, 0.0, 0.24, 0.5, 0.99])
def test_an_excess_demands_on_the_page_what_it_demands_in_the_verdict(finding, threshold, chance):
    one = finding(chance=chance, thresholds=[threshold("excess", 0.2, "at_least", is_excess=True)])
    [limit] = limits(one)
    assert limit.value == Threshold("excess", 0.2, "at_least", is_excess=True).demanded(chance)


def test_below_zero_chance_counts_as_none(finding, threshold):
    follows = finding(chance=-0.3, value=0.12, thresholds=[threshold("excess", 0.2, "at_least", is_excess=True)])
    assert limits(follows) == (Limit(0.2, "at_least"),)
    assert sentence(follows).endswith(" is 0.12; at least 0.20 is asked for. Chance is −0.30.")


def test_an_excess_is_what_is_recorded_as_one_whatever_its_name(finding, threshold):
    named = finding(chance=0.5, thresholds=[threshold("excess baggage in kg", 0.2, "at_least")])
    assert limits(named) == (Limit(0.2, "at_least"),)
    assert case_rule(named) == "excess baggage in kg at least 0.20"
    above = finding(chance=0.5, thresholds=[threshold("above chance", 0.2, "at_least", is_excess=True)])
    assert limits(above) == (Limit(0.6, "at_least", "0.20 of the way from chance, 0.50, to 1"),)


def test_without_a_chance_an_excess_says_nothing_of_a_single_value(finding):
    assert case_limits(finding(), None) == (Limit(0.5, "at_least"),)


def test_where_an_excess_is_not_recorded_the_decisive_threshold_is_the_limit(finding):
    thresholds = [{"name": "excess", "value": 0.2, "direction": "at_least"}]
    assert limits(finding(threshold=0.6, thresholds=thresholds)) == (Limit(0.6, "at_least"),)
    assert case_rule(finding(thresholds=thresholds)) == ""


def test_a_population_is_held_against_the_share_asked_for(population):
    assert limits(population()) == (Limit(0.9, "at_least"),)
    assert case_rule(population()) == "mass inside at least 0.50 and at least 0.20 of the way from chance to 1"
