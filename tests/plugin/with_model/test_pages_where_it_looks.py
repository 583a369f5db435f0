"""What the page of an assertion on where the model looks shows, from the audit to the HTML."""

import re

import pytest

LEFT, RIGHT = "Box(0, 0, 16, 32)", "Box(16, 0, 32, 32)"
SUITE = f"""
from dataclasses import replace

def test_classes(cnnaudit):
    cnnaudit.assert_mass_inside([GREEN, RED, STAMPED], by="label")

def test_groups(cnnaudit):
    cases = [replace(STAMPED, id=str(index), group=index // 2) for index in range(4)]
    cnnaudit.assert_mass_inside(cases, mostly=0.9, confidence=0.95)

def test_controls(cnnaudit):
    # Of the square's twelve columns eight are on the left.
    cnnaudit.assert_mass_inside([replace(RED, region={LEFT}), replace(GREEN, region={RIGHT})])

def test_passing(cnnaudit):
    cnnaudit.assert_points_at([replace(RED, id=str(index)) for index in range(3)], by="label")

def test_overlap(cnnaudit):
    cnnaudit.assert_iou([STAMPED, replace(STAMPED, id="green", label="green")])

def test_mosaic(cnnaudit):
    cnnaudit.assert_grid_pointing([STAMPED, GREEN])
"""


@pytest.fixture
def page_of(suite):
    """The text of a test's page, without tags and doubled spaces."""
    suite.write(SUITE)
    suite.run("--cnnaudit-artifacts", "all")

    def page_of(test):
        body = re.sub(r"<(script|style)\b.*?</\1>", " ", suite.page(f"test_suite.py::{test}"), flags=re.DOTALL)
        return " ".join(re.sub(r"<[^>]+>", " ", body).split())

    return page_of


def test_says_what_the_assertion_found(page_of):
    text = page_of("test_classes")
    assert "The worst of 2 labels is red: 1 of 2 pictures pass" in text
    assert "Verdict in each label, worst first (share of cases that pass)" in text
    assert "red 0.50 failed: 1 of 2 cases pass (50.0 %); 100 % required" in text
    assert "green 1.00 passed: 1 of 1 cases pass (100.0 %); 100 % required" in text

    text = page_of("test_groups")
    assert "Groups 0 of 2 pass" in text
    assert "0 of 2 groups pass" in text

    assert "Other cases&#39; regions 0.50 A blob in the middle 0.50" in page_of("test_controls")

    text = page_of("test_passing")
    assert "Points at the object" in text
    assert "Other cases&#39; regions 1.00 A blob in the middle" in text
    assert "Verdict in each label, worst first" in text

    text = page_of("test_overlap")
    assert "Covers the object" in text
    assert "IoU at least 0.50" in text

    text = page_of("test_mosaic")
    assert "Finds each class in a mosaic" in text
    assert "at least 0.20 of the way from chance to 1" in text
