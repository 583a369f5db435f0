"""Audits of a model: what the terminal says, what is proved, what an inconclusive one does."""

import xml.etree.ElementTree as ElementTree

import pytest


@pytest.mark.every_backend
def test_passing_audits_are_listed_and_the_verdict_is_told(suite):
    suite.write(
        """
def test_gate(cnnaudit, cnnaudit_cases):
    cnnaudit.assert_predicts(cnnaudit_cases)
    finding = cnnaudit.assert_mass_inside(cnnaudit_cases)
    assert (finding.outcome, finding.n, finding.passed) == ("passed", 2, 2)
    assert abs(finding.mean - 1) < 1e-6
    cnnaudit.assert_avoids([RED, GREEN], at_most=0.01)
    assert cnnaudit.assert_sparsity_rises(cnnaudit_cases, trend_at_least=0.9).value == 1
    cnnaudit.assert_no_dead_filters(cnnaudit_cases, at_most=0)
    cnnaudit.check("parameters", 147, at_most=200)
"""
    )
    result = suite.run()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["*= cnnaudit =*", "verdict: passed (6 passed)", f"report: {suite.report / 'index.html'}"]
    )
    names = ("predicts", "mass_inside", "avoids", "sparsity_rises", "no_dead_filters", "parameters")
    assert suite.outcomes() == [("test_gate", name, "passed") for name in names]
    assert (suite.record["verdict"], suite.record["complete"]) == ("passed", True)


def test_a_failure_says_all_in_a_few_lines(suite):
    suite.write(
        """
def test_population(cnnaudit):
    cnnaudit.assert_mass_inside([STAMPED, RED])

def test_single(cnnaudit):
    cnnaudit.assert_avoids(STAMPED)
"""
    )
    result = suite.run()
    result.assert_outcomes(failed=2)
    shown = [line.removeprefix("E").strip() for line in result.outlines if line.startswith("E  ")]
    message = "\n".join(shown[: shown.index(next(line for line in shown if "avoids" in line))])
    assert len(message.splitlines()) <= 12
    assert "1 of 2 cases pass (50.0 %); 100 % required" in message
    assert "(margin -0.5)" in message
    assert "mass inside ≥ 0.5 and excess ≥ 0.2" in message
    assert "chance 0.141" in message  # (12 / 32)²
    assert "worst: stamped one 0.000" in message
    page = next(line for line in shown if line.startswith("page: ")).removeprefix("page: ")
    assert page == str(next(suite.report.glob("tests/*test-population*.html")))
    single = "\n".join(shown[shown.index(next(line for line in shown if "avoids" in line)) :])
    assert "stamped one: mass in the forbidden region 1 > 0.1 (margin -0.9), chance 0.062" in single
    assert "/pytest_cnnaudit/" not in result.stdout.str(), "a traceback of ours"
    [population, single] = suite.findings
    assert (population["value"], population["threshold"], population["n"], population["passed"]) == (0.5, 1.0, 2, 1)
    assert (single["value"], single["threshold"], single["direction"]) == (pytest.approx(1), 0.1, "at_most")


def test_a_population_is_proved_or_inconclusive_or_failed(suite):
    suite.write(
        """
BOTH = [RED, GREEN]

def test_1_proved(cnnaudit):
    cnnaudit.assert_mass_inside(BOTH, mostly=0.2, confidence=0.95)

def test_2_too_few(cnnaudit):
    cnnaudit.assert_mass_inside(BOTH, mostly=0.9, confidence=0.95)

@pytest.mark.cnnaudit(inconclusive="warn")
def test_3_warned(cnnaudit):
    finding = cnnaudit.assert_mass_inside(BOTH, mostly=0.9, confidence=0.95)
    assert finding.outcome == "inconclusive"

def test_4_min_n(cnnaudit):
    cnnaudit.assert_mass_inside(BOTH, mostly=0.5, min_n=3)

def test_5_point_rule(cnnaudit):
    cnnaudit.assert_mass_inside([*BOTH, STAMPED], mostly=0.66)

def test_6_failed(cnnaudit):
    cnnaudit.assert_mass_inside([*BOTH, STAMPED], mostly=0.67)
"""
    )
    result = suite.run()
    result.assert_outcomes(passed=3, failed=3, warnings=1)
    result.stdout.fnmatch_lines(["*test_suite.py:*InconclusiveWarning: mass_inside: inconclusive: 2 of 2 cases pass*"])
    outcomes = ["passed", "inconclusive", "inconclusive", "inconclusive", "passed", "failed"]
    assert [one["outcome"] for one in suite.findings] == outcomes
    assert suite.record["verdict"] == "failed"
    # Two of two at 95 %: the lower bound is the square root of 0.05.
    assert suite.findings[0]["interval"] == [pytest.approx(0.05**0.5), 1.0]
    assert "29 cases" in suite.findings[1]["message"]


def test_inconclusive_warns_by_option_unless_the_marker_says_fail(suite):
    suite.write(
        """
def test_1(cnnaudit):
    cnnaudit.assert_predicts([RED], mostly=0.9, confidence=0.95)

@pytest.mark.cnnaudit(inconclusive="fail")
class TestMarked:
    def test_2(self, cnnaudit):
        cnnaudit.assert_predicts([RED], mostly=0.9, confidence=0.95)

    @pytest.mark.cnnaudit(inconclusive="warn")
    def test_3(self, cnnaudit):
        cnnaudit.assert_predicts([RED], mostly=0.9, confidence=0.95)
"""
    )
    result = suite.run("--cnnaudit-inconclusive=warn")
    result.assert_outcomes(passed=2, failed=1, warnings=2)
    result.stdout.fnmatch_lines(["FAILED test_suite.py::TestMarked::test_2*"])
    assert suite.record["verdict"] == "inconclusive"


ONE_OF_EACH = """
def test_passes(cnnaudit, cnnaudit_cases):
    cnnaudit.assert_mass_inside(cnnaudit_cases)
    cnnaudit.assert_sparsity_rises(cnnaudit_cases)

def test_fails(cnnaudit):
    cnnaudit.assert_avoids(STAMPED)
"""


@pytest.mark.every_backend
def test_no_warning_is_ours(suite):
    suite.write(ONE_OF_EACH)
    result = suite.run("-W", "error", "--strict-markers", "--strict-config", "-q")
    result.assert_outcomes(passed=1, failed=1)
    assert [outcome[1:] for outcome in suite.outcomes()] == [
        ("avoids", "failed"),
        ("mass_inside", "passed"),
        ("sparsity_rises", "passed"),
    ]


def test_junit_counts_what_did_not_pass(suite):
    suite.write(
        """
def test_passes(cnnaudit):
    cnnaudit.check("loss", 1, at_most=2)

def test_fails(cnnaudit):
    cnnaudit.check("loss", 3, at_most=2)

def test_inconclusive(cnnaudit):
    cnnaudit.assert_predicts([RED], mostly=0.9, confidence=0.95)

def test_no_cases(cnnaudit, cnnaudit_cases):
    pass
"""
    )
    suite.ini(cases=None)
    suite.run("--junitxml=junit.xml")
    counts = ElementTree.parse(suite.pytester.path / "junit.xml").find("testsuite").attrib
    assert (counts["tests"], counts["failures"], counts["errors"]) == ("4", "2", "1")
