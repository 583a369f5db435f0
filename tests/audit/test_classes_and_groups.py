"""`by=` and groups: the verdict in each class or group, and bounds over groups."""

import inspect

import pytest
from colours import LEFT_HALF, evidence_of, half_case, halves, message_of, picture, quarter_case, refused

from pytest_cnnaudit import Box, Case
from pytest_cnnaudit.audit import Audit
from pytest_cnnaudit.gate import clopper_pearson

EVERY = ["assert_mass_inside", "assert_points_at", "assert_iou", "assert_avoids", "assert_grid_pointing"]
EXACT = {"mostly": 0.9, "confidence": 0.95}


def cases_of(label, passing, failing, **about):
    """So many cases of a label with 90 % of their mass in the region, and so many with 10 %."""
    masses = [90] * passing + [10] * failing
    return [half_case_of(label, mass, f"{label} {index}", **about) for index, mass in enumerate(masses)]


def half_case_of(label, mass, id, **about):  # noqa: A002 - the name of Case's own argument
    return Case(picture(**{label: halves(mass, 100 - mass)}), label=label, region=LEFT_HALF, id=id, **about)


class TestByLabel:
    def test_all_classes_pass(self, audit):
        finding = audit.assert_mass_inside(cases_of("red", 3, 0) + cases_of("green", 2, 0), by="label")
        assert (finding.outcome, finding.value, finding.by) == ("passed", 1.0, "label")
        assert [(part.name, part.outcome, part.passed, part.n) for part in finding.parts] == [
            ("red", "passed", 3, 3),
            ("green", "passed", 2, 2),
        ]

    def test_the_finding_is_that_of_the_worst_class(self, audit, recorded):
        # 17 of 20 are 85 % of all, but green has 7 of 10.
        cases = cases_of("red", 10, 0) + cases_of("green", 7, 3)
        assert audit.assert_mass_inside(cases, mostly=0.8).value == 0.85
        finding = refused(audit.assert_mass_inside, cases, mostly=0.8, by="label")
        assert (finding.outcome, finding.value, finding.threshold, finding.mostly) == ("failed", 0.7, 0.8, 0.8)
        assert (finding.n, finding.passed, finding.unscorable) == (10, 7, 0)
        assert (finding.mean, finding.chance) == (pytest.approx(0.66), 0.5)
        assert len(finding.cases) == 20
        written = recorded()[-1]
        assert (written["by"], written["unit"]) == ("label", "cases")
        assert [part["name"] for part in written["parts"]] == ["green", "red"]
        assert written["parts"][1] == {
            "name": "red",
            "outcome": "passed",
            "value": 1.0,
            "threshold": 0.8,
            "interval": [pytest.approx(0.025**0.1), 1.0],
            "n": 10,
            "passed": 10,
            "mean": pytest.approx(0.9),
            "chance": 0.5,
        }

    def test_the_message_has_every_class(self, audit, page):
        cases = cases_of("red", 2, 0) + cases_of("green", 1, 1) + cases_of("blue", 0, 2)
        finding = refused(audit.assert_mass_inside, cases, by="label", excess_at_least=None)
        assert finding.message == (
            "mass_inside: failed: label 'blue', the worst of 3: 0 of 2 cases pass (0.0 %); 100 % required (margin -1)"
            ", 95 % interval 0.0 to 84.2 %\n"
            "  by label, worst first: blue failed (0 of 2), green failed (1 of 2), red passed (2 of 2)\n"
            "  a case passes with mass inside ≥ 0.5; in 'blue' mean 0.100, chance 0.500\n"
            "  controls: other cases' regions 0.500, a blob in the middle 0.500\n"
            "  worst: green 1 0.100, blue 0 0.100, blue 1 0.100\n"
            "  heatmaps: grad-cam at 'colour', target: label\n"
            f"  page: {page}"
        )

    def test_each_class_has_its_bound_and_one_that_proves_too_little_decides(self, audit):
        cases = cases_of("red", 29, 0) + cases_of("green", 28, 0)
        finding = refused(audit.assert_mass_inside, cases, **EXACT, by="label")
        assert (finding.outcome, finding.n) == ("inconclusive", 28)
        assert finding.interval == clopper_pearson(28, 28, 0.95)
        assert [(part.outcome, part.interval) for part in finding.parts] == [
            ("inconclusive", clopper_pearson(28, 28, 0.95)),
            ("passed", clopper_pearson(29, 29, 0.95)),
        ]

    def test_the_page_shows_the_classes(self, audit):
        finding = refused(audit.assert_mass_inside, cases_of("red", 2, 0) + cases_of("green", 1, 1), by="label")
        chart = evidence_of(finding)[0]
        assert (chart["kind"], chart["title"]) == ("layers", "Verdict in each label, worst first")
        assert [(row["name"], row["value"]) for row in chart["rows"]] == [("green", 0.5), ("red", 1.0)]
        assert chart["rows"][0]["note"] == "failed: 1 of 2 cases pass (50.0 %); 100 % required"
        assert [item["kind"] for item in evidence_of(finding)[1:]] == ["case"] * 4

    def test_a_case_of_several_labels_counts_in_each(self, audit):
        both = half_case(10, id="both", label=("red", "green"))
        cases = [*cases_of("red", 1, 0), *cases_of("green", 1, 0), both]
        finding = refused(audit.assert_mass_inside, cases, by="label", target="red")
        assert {part.name: (part.passed, part.n) for part in finding.parts} == {"red": (1, 2), "green": (0, 2)}

    def test_min_n_is_asked_of_each_class(self, audit):
        cases = cases_of("red", 5, 0) + cases_of("green", 2, 0)
        finding = refused(audit.assert_mass_inside, cases, min_n=3, by="label")
        assert (finding.outcome, finding.parts[0].name) == ("inconclusive", "green")

    def test_many_classes_are_counted_on(self, audit_of, results):
        audit = audit_of(results.engine.model, class_names=None)
        cases = [half_case(90, id=f"{index}", group=index, label=0) for index in range(11)]
        finding = audit.assert_mass_inside(cases, by="group")
        assert len(finding.parts) == 11
        assert "7 passed (1 of 1) and 3 more" in finding.message
        assert len(finding.message.splitlines()) <= 12


class TestGroups:
    def test_with_a_confidence_n_counts_groups(self, audit):
        cases = [half_case(90, id=f"{index}", group=index // 2) for index in range(58)]
        finding = audit.assert_mass_inside(cases, **EXACT)
        assert (finding.outcome, finding.n, finding.passed, finding.value) == ("passed", 29, 29, 1.0)
        assert (finding.unit, finding.interval) == ("groups", clopper_pearson(29, 29, 0.95))
        assert "29 of 29 groups pass (100.0 %); 95 % lower bound 90.2 % ≥ 90 %" in finding.message
        counted = "n counts groups: one passes where each of its cases does (58 of 58 cases pass)"
        assert counted in finding.message

    def test_a_group_with_one_failing_case_fails(self, audit):
        cases = [half_case(10 if index in (0, 2) else 90, id=f"{index}", group=index // 4) for index in range(80)]
        finding = refused(audit.assert_mass_inside, cases, mostly=0.9, confidence=0.95)
        assert (finding.passed, finding.n) == (19, 20)
        assert "(78 of 80 cases pass)" in finding.message

    def test_without_a_confidence_n_counts_cases(self, audit):
        cases = [half_case(90, id=f"{index}", group="one") for index in range(3)]
        finding = audit.assert_mass_inside(cases)
        assert (finding.n, finding.unit) == (3, "cases")
        assert "groups" not in finding.message

    def test_of_a_class_are_counted_in_it(self, audit):
        reds = [half_case_of("red", 90, f"red {index}", group=index // 2) for index in range(58)]
        greens = [half_case_of("green", 90, f"green {index}", group=index // 3) for index in range(29)]
        finding = refused(audit.assert_mass_inside, reds + greens, **EXACT, by="label")
        assert [(part.name, part.n, part.outcome) for part in finding.parts] == [
            ("green", 10, "inconclusive"),
            ("red", 29, "passed"),
        ]

    def test_by_group_counts_the_cases_of_each(self, audit):
        cases = [half_case(90, id=f"{index}", group=index // 29) for index in range(58)]
        finding = audit.assert_mass_inside(cases, **EXACT, by="group")
        assert [(part.name, part.n, part.outcome) for part in finding.parts] == [
            ("0", 29, "passed"),
            ("1", 29, "passed"),
        ]
        assert finding.unit == "cases"


def with_by():
    """Every assertion that judges case by case, with nothing for what it needs beside the cases."""
    for name, assertion in inspect.getmembers(Audit, inspect.isfunction):
        arguments = inspect.signature(assertion).parameters.values()
        if any(one.name == "by" for one in arguments):
            needed = [one.name for one in arguments if one.default is one.empty and one.kind != one.VAR_KEYWORD]
            yield name, dict.fromkeys(needed[2:])


@pytest.mark.parametrize(("name", "needed"), list(with_by()))
def test_every_assertion_that_judges_cases_takes_by(audit, name, needed):
    cases = [half_case(90, group="a", id="a"), half_case(90, id="b")]
    assert "known: 'label', 'group'" in message_of(ValueError, getattr(audit, name), cases, by="class", **needed)
    message = message_of(ValueError, getattr(audit, name), cases, by="group", **needed)
    assert message.startswith("case 'b' has no group")
    assert "a single Case" in message_of(ValueError, getattr(audit, name), cases[0], by="label", **needed)


class TestMisuse:
    @pytest.mark.parametrize("name", EVERY)
    def test_a_case_without_a_label_is_named(self, audit, name):
        cases = [*cases_of("red", 1, 0), Case(picture(red=50), region=LEFT_HALF, forbidden=Box(2, 0, 4, 4), id="bare")]
        message = message_of(ValueError, getattr(audit, name), cases, by="label")
        assert message == "case 'bare' has no label, and by is 'label': give the Case one as label="

    @pytest.mark.parametrize("name", EVERY)
    def test_a_case_without_a_group_is_named(self, audit, name):
        cases = [half_case(90, group="a", id="a"), half_case(90, id="b")]
        message = message_of(ValueError, getattr(audit, name), cases, by="group")
        assert message == "case 'b' has no group, and by is 'group': give the Case one as group="

    @pytest.mark.parametrize("name", EVERY)
    @pytest.mark.parametrize("by", ["class", "Label", "", 3, ["label"], True])
    def test_another_value_lists_the_known(self, audit, recorded, name, by):
        message = message_of(ValueError, getattr(audit, name), [half_case(90)], by=by)
        assert message == f"by is {by!r}; known: 'label', 'group'"
        assert recorded()[0]["outcome"] == "error"

    @pytest.mark.parametrize("name", EVERY)
    @pytest.mark.parametrize("by", ["label", "group"])
    def test_a_single_case_is_refused(self, audit, name, by):
        message = message_of(ValueError, getattr(audit, name), half_case(90, group="a"), by=by)
        assert message == (f"by is '{by}', but cases is a single Case: leave by out, or hand over a sequence of Cases")

    def test_is_found_before_any_picture_is_read(self, audit):
        missing = Case("no/such.jpg", label="red", region=LEFT_HALF)
        assert "has no group" in message_of(ValueError, audit.assert_mass_inside, [missing], by="group")


def test_predictions_are_judged_by_label_too(audit):
    right = [quarter_case(90, 10, id=f"{index}") for index in range(3)]
    wrong = Case(picture(red=50), label="green", id="wrong")
    finding = refused(audit.assert_predicts, [*right, wrong], by="label", mostly=0.7)
    assert [(part.name, part.passed, part.n) for part in finding.parts] == [("green", 0, 1), ("red", 3, 3)]
