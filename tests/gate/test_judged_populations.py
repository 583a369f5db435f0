"""Verdicts on cases that belong together: groups instead of cases, and parts from the worst to the best."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_cnnaudit.gate import clopper_pearson, group_outcomes, judge, judge_cases, worst_first

EXACT = {"mostly": 0.9, "confidence": 0.95}


def test_a_group_passes_where_each_of_its_cases_does():
    assert group_outcomes([True, False, True, True, True], ["a", "a", "b", "b", "c"]) == [False, True, True]


def test_cases_of_a_group_need_not_stand_together():
    assert group_outcomes([True, True, False], ["a", "b", "a"]) == [False, True]


def test_a_case_without_a_group_is_a_group_of_its_own():
    assert group_outcomes([True, False, True, False], [None, None, "a", "a"]) == [True, False, False]


def test_a_number_and_its_text_are_two_groups():
    assert group_outcomes([True, False, True], [1, "1", True]) == [True, False, True]


def test_the_bound_is_over_groups_where_there_are_some():
    # 58 cases that all pass prove 90 %; as 29 pairs they do just so, as 28 pairs and two halves of one they don't.
    pairs = [index // 2 for index in range(58)]
    verdict = judge_cases([True] * 58, pairs, **EXACT)
    assert (verdict.outcome, verdict.passed, verdict.n, verdict.unit) == ("passed", 29, 29, "groups")
    assert verdict.interval == clopper_pearson(29, 29, 0.95)
    assert verdict.reason == "29 of 29 groups pass (100.0 %); 95 % lower bound 90.2 % ≥ 90 %"
    fewer = judge_cases([True] * 58, [min(index, 27) for index in pairs], **EXACT)
    assert (fewer.outcome, fewer.n, fewer.needed) == ("inconclusive", 28, 29)
    assert fewer.reason.endswith("lower bound 89.9 % < 90 %; 29 groups at this rate would be needed")


def test_one_failing_case_fails_its_group_only():
    passed = [index != 5 for index in range(60)]
    verdict = judge_cases(passed, [index // 2 for index in range(60)], **EXACT)
    assert (verdict.passed, verdict.n, verdict.outcome) == (29, 30, "inconclusive")


def test_without_a_confidence_cases_are_counted():
    passed = [True] * 9 + [False]
    verdict = judge_cases(passed, ["a"] * 10, mostly=0.9)
    assert (verdict.outcome, verdict.passed, verdict.n, verdict.unit) == ("passed", 9, 10, "cases")


@pytest.mark.parametrize("groups", [(), [None] * 29])
def test_without_groups_cases_are_counted(groups):
    assert judge_cases([True] * 29, groups, **EXACT) == judge(29, 29, **EXACT)


def test_min_n_counts_groups_too():
    verdict = judge_cases([True] * 60, [index // 2 for index in range(60)], **EXACT, min_n=40)
    assert (verdict.outcome, verdict.needed) == ("inconclusive", 40)
    assert verdict.reason.endswith("but at least 40 groups are required (min_n)")


def test_no_cases_are_refused():
    with pytest.raises(ValueError, match=r"^n is 0"):
        judge_cases([], [], **EXACT)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=40))
def test_no_grouping_makes_a_verdict_better(rows):
    passed, groups = [row[0] for row in rows], [row[1] for row in rows]
    order = ["failed", "inconclusive", "passed"]
    alone, grouped = judge_cases(passed, (), **EXACT), judge_cases(passed, groups, **EXACT)
    if grouped.outcome == "passed":
        assert alone.outcome == "passed"
    assert order.index(judge_cases(passed, groups).outcome) == order.index(judge_cases(passed, ()).outcome)


def test_the_worst_comes_first():
    verdicts = {
        "passed": judge(29, 29, **EXACT),
        "few": judge(3, 3, **EXACT),
        "half": judge(20, 40, **EXACT),
        "none": judge(0, 40, **EXACT),
        "nearly": judge(28, 28, **EXACT),
    }
    assert worst_first(verdicts) == ["none", "half", "few", "nearly", "passed"]


def test_of_what_proves_too_little_the_lower_bound_decides():
    # 92 % of 50 prove more than 100 % of 3.
    verdicts = {"many": judge(46, 50, **EXACT), "few": judge(3, 3, **EXACT)}
    assert {verdict.outcome for verdict in verdicts.values()} == {"inconclusive"}
    assert worst_first(verdicts) == ["few", "many"]


def test_by_the_share_where_there_is_no_bound_and_in_order_where_nothing_differs():
    verdicts = {"a": judge(9, 10, mostly=0.9), "b": judge(10, 10, mostly=0.9), "c": judge(9, 10, mostly=0.9)}
    assert worst_first(verdicts) == ["a", "c", "b"]
