"""A release gate: is the model accurate, and is it accurate for the right reason?

Copy this folder, let pyproject.toml name your cases and class names, and gate a candidate with
`pytest --cnnaudit-model candidate.keras`.
"""


def test_accuracy(cnnaudit, cnnaudit_cases):
    cnnaudit.assert_predicts(cnnaudit_cases, mostly=0.9, confidence=0.95)


def test_looks_at_the_object(cnnaudit, cnnaudit_cases):
    cnnaudit.assert_mass_inside(cnnaudit_cases, at_least=0.5, mostly=0.9, confidence=0.95)


def test_avoids_the_stamp(cnnaudit, cnnaudit_cases):
    cnnaudit.assert_avoids(cnnaudit_cases, at_most=0.15, mostly=0.9, confidence=0.95)


def test_sparsity_rises_with_depth(cnnaudit, cnnaudit_cases):
    cnnaudit.assert_sparsity_rises(cnnaudit_cases, trend_at_least=0.5)


def test_no_dead_filters(cnnaudit, cnnaudit_cases):
    cnnaudit.assert_no_dead_filters(cnnaudit_cases, at_most=0.1)
