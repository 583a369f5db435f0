"""What the page of an assertion on where the model looks shows, from the audit to the HTML."""

import re

from colours import LEFT_HALF, blank_case, half_case, halves, picture, refused

from pytest_cnnaudit import Box, Case
from pytest_cnnaudit.record import Course, make_record, read_parts
from pytest_cnnaudit.report import render


def page_of(recorder):
    """The text of the test's page, without tags and doubled spaces."""
    [test] = recorder._parts
    recorder.finish(test, Course())
    parts, about = read_parts(recorder.folder)
    render(make_record(parts, about, complete=True, options={}), parts, recorder.report)
    html = recorder.page(test).read_text(encoding="utf-8")
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def test_each_class_has_its_bar_and_the_worst_is_named(audit, recorder):
    green = [Case(picture(green=halves(10, 90)), label="green", region=LEFT_HALF, id=f"{index}") for index in range(2)]
    refused(audit.assert_mass_inside, [half_case(90, id="red"), *green], by="label")
    text = page_of(recorder)
    assert "The worst of 2 labels is green: 0 of 2 pictures pass" in text
    assert "Verdict in each label, worst first (share of cases that pass)" in text
    assert "green 0.00 failed: 0 of 2 cases pass (0.0 %); 100 % required" in text
    assert "red 1.00 passed: 1 of 1 cases pass (100.0 %); 100 % required" in text


def test_groups_are_counted_as_groups(audit, recorder):
    cases = [half_case(10, id=f"{index}", group=index // 2) for index in range(4)]
    refused(audit.assert_mass_inside, cases, mostly=0.9, confidence=0.95)
    text = page_of(recorder)
    assert "Groups 0 of 2 pass" in text
    assert "0 of 2 groups pass" in text


def test_controls_stand_beside_the_facts(audit, recorder):
    left = Case(picture(red=halves(30, 70)), label="red", region=LEFT_HALF, id="left")
    right = Case(picture(red=halves(80, 20)), label="red", region=Box(2, 0, 4, 4), id="right")
    refused(audit.assert_mass_inside, [left, right])
    text = page_of(recorder)
    assert "Other cases&#39; regions 0.75 A blob in the middle 0.50" in text


def test_a_passing_page_has_the_controls_and_the_classes_too(audit_of, results, recorder):
    audit = audit_of(results, artifacts="all")
    audit.assert_points_at([half_case(90, id=f"{index}") for index in range(3)], by="label")
    text = page_of(recorder)
    assert "Points at the object" in text
    assert "Other cases&#39; regions 1.00 A blob in the middle 0.00" in text
    assert "Verdict in each label, worst first" in text


def test_the_overlap_has_its_own_words(audit, recorder):
    refused(audit.assert_iou, [half_case(10, id="a"), blank_case("blank")])
    text = page_of(recorder)
    assert "Covers the object" in text
    assert "IoU at least 0.50" in text


def test_a_mosaic_is_shown_instead_of_the_picture(audit, recorder):
    cases = [Case(picture(50, 50, 50), label=label, id=label) for label in ("red", "green")]
    refused(audit.assert_grid_pointing, cases)
    text = page_of(recorder)
    assert "Finds each class in a mosaic" in text
    assert "at least 0.20 of the way from chance to 1" in text
