from pytest_cnnaudit.report.histogram import histogram


def test_histogram_counts_failed_and_passed_cases(population):
    drawn = histogram(population(10, 3))
    # Values 0.05, 0.14, … in bins of 0.05; the last three (0.68, 0.77, 0.86) pass.
    assert [i for i, column in enumerate(drawn.columns) if column.failed] == [1, 2, 4, 6, 8, 10, 11]
    assert [i for i, column in enumerate(drawn.columns) if column.passed] == [13, 15, 17]
    assert drawn.tallest == 1
    assert [mark.text for mark in drawn.limits] == ["at least 0.50"]


def test_histogram_needs_five_values_that_say_more_than_yes_or_no(population, finding):
    assert histogram(population(4, 1)) is None
    yes_no = [{"id": str(i), "value": float(i % 2), "outcome": "failed"} for i in range(10)]
    assert histogram(finding(cases=yes_no)) is None
