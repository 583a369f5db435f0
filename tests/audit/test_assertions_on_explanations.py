"""What the five assertions on explanations have in common."""

import numpy as np
import pytest
from colours import blank_case, evidence_of, message_of, refused
from explained import CASES, value_of

ALL = [
    ("assert_class_discriminative", ("second",), {"correlation_at_most": 1}),
    ("assert_faithful", (), {"gain_at_least": -2}),
    ("assert_stable", (), {"change_at_most": 9}),
    ("assert_follows", (), {"correlation_at_least": 0.8}),
    ("assert_responds_to_weights", (), {"correlation_at_most": 1}),
]


@pytest.mark.parametrize(("name", "arguments", "options"), ALL)
class TestAll:
    def test_a_cases_value_is_the_same_whatever_the_population(self, audit, name, arguments, options):
        assertion = getattr(audit, name)
        alone = [value_of(assertion(one, *arguments, **options)) for one in CASES]
        assert [one.value for one in assertion(CASES, *arguments, **options).cases] == pytest.approx(alone, abs=1e-6)
        turned = [one.value for one in assertion(CASES[::-1], *arguments, **options).cases]
        assert turned[::-1] == pytest.approx(alone, abs=1e-6)

    def test_the_rule_on_populations_is_the_others(self, audit, name, arguments, options):
        finding = getattr(audit, name)([*CASES, blank_case("blank")], *arguments, **options, mostly=0.8)
        assert (finding.n, finding.passed, finding.unscorable) == (6, 5, 1)
        assert (finding.value, finding.threshold, finding.mostly) == (pytest.approx(5 / 6), 0.8, 0.8)
        inconclusive = refused(getattr(audit, name), CASES, *arguments, **options, mostly=0.9, confidence=0.95)
        assert inconclusive.outcome == "inconclusive"

    def test_the_page_shows_what_it_was_compared_with(self, audit_of, results, name, arguments, options):
        finding = getattr(audit_of(results, artifacts="all"), name)(CASES[0], *arguments, **options)
        [shown] = evidence_of(finding)
        pictured = [view for view in shown["views"] if "chart" not in view]
        assert len(pictured) == (2 if name == "assert_faithful" else 1)
        for view in pictured:
            assert view["title"]
            assert view["picture"]["src"].startswith("data:image/png")
            assert (view.get("heatmap") is None) == (name == "assert_faithful")

    def test_pictures_of_patients_stay_out(self, audit_of, results, name, arguments, options):
        audit = audit_of(results, artifacts="all", pictures="none")
        [shown] = evidence_of(getattr(audit, name)(CASES[0], *arguments, **options))
        pictured = [view for view in shown["views"] if "chart" not in view]
        assert pictured
        assert all(view["picture"]["src"] is None for view in pictured)

    def test_no_message_is_longer_than_12_lines(self, audit, name, arguments, options):
        finding = refused(getattr(audit, name), [*CASES, blank_case("blank")], *arguments, **options)
        assert len(finding.message.splitlines()) <= 12

    def test_what_is_no_case_is_an_error(self, audit, name, arguments, options):
        assert "cases must be" in message_of(TypeError, getattr(audit, name), "picture.jpg", *arguments, **options)
        assert "cases is empty" in message_of(ValueError, getattr(audit, name), [], *arguments, **options)

    def test_a_limit_that_is_no_number_is_an_error_that_names_it(self, audit, name, arguments, options):
        [limit] = options
        assert limit in message_of(TypeError, getattr(audit, name), CASES, *arguments, **{limit: "0.5"})

    def test_nan_from_a_method_of_ones_own_is_an_error(self, audit, name, arguments, options):
        def broken(activations, gradients, scores):
            return np.full(activations.shape[:3], np.nan)

        with pytest.raises(ValueError, match="NaN"):
            getattr(audit, name)(CASES, *arguments, **options, method=broken)
