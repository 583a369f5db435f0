"""What becomes of a test's audits, its own asserts, and its end: the findings."""

from functools import partial

import pytest

HYPOTHESIS = "no:hypothesispytest"
OWN_ENDS = """
import warnings

@pytest.fixture
def broken_teardown():
    yield
    raise OSError("the disk is full")

@pytest.fixture
def broken_setup():
    raise OSError("no disk")

def test_01_assert(cnnaudit):
    assert 1 + 1 == 3

def test_02_crash(cnnaudit):
    {}["missing"]

def test_03_fail(cnnaudit):
    pytest.fail("enough")

def test_04_plain(cnnaudit):
    assert 1 + 1 == 2

def test_05_after_an_audit(cnnaudit):
    cnnaudit.check("loss", 1, at_most=2)
    assert 1 + 1 == 3

def test_06_caught(cnnaudit):
    with pytest.raises(AssertionError, match="loss"):
        cnnaudit.check("loss", 3, at_most=2)

def test_07_teardown(cnnaudit, broken_teardown):
    cnnaudit.check("loss", 3, at_most=2)

def test_08_setup(cnnaudit, broken_setup):
    pass

def test_09_wrong_use(cnnaudit):
    cnnaudit.check("loss", "low", at_most=2)

def test_10_nan(cnnaudit):
    cnnaudit.check("loss", float("nan"), at_most=2)

def test_11_no_audit():
    assert 1 + 1 == 3

def test_12_by_name(request):
    request.getfixturevalue("cnnaudit").check("loss", 3, at_most=2)
"""


def test_every_end_of_a_test_that_audits_is_a_finding(suite):
    suite.write(OWN_ENDS)
    suite.run().assert_outcomes(passed=2, failed=9, errors=2)
    assert suite.outcomes() == [
        ("test_01_assert", "assertion", "failed"),
        ("test_02_crash", "error", "error"),
        ("test_03_fail", "assertion", "failed"),
        ("test_04_plain", "assertion", "passed"),
        ("test_05_after_an_audit", "loss", "passed"),
        ("test_05_after_an_audit", "assertion", "failed"),
        ("test_06_caught", "loss", "failed"),
        ("test_07_teardown", "loss", "failed"),
        ("test_07_teardown", "error", "error"),
        ("test_08_setup", "error", "error"),
        ("test_09_wrong_use", "check", "error"),
        ("test_10_nan", "check", "error"),
        ("test_12_by_name", "loss", "failed"),
    ]
    messages = [one["message"] for one in suite.findings]
    assert "assert (1 + 1) == 3" in messages[0]
    assert "missing" in messages[1]
    assert messages[2] == "enough"
    assert messages[8] == "the disk is full"
    assert (suite.record["verdict"], suite.record["complete"]) == ("error", True)


def test_an_expected_failure_is_waived_with_its_reason(suite):
    suite.write(
        """
@pytest.mark.xfail(reason="known until 2.0")
def test_1_waived(cnnaudit):
    cnnaudit.check("loss", 3, at_most=2)

@pytest.mark.xfail(run=False, reason="crashes the driver")
def test_2_not_run(cnnaudit):
    raise SystemError

@pytest.mark.xfail(strict=True, reason="known until 3.0")
def test_3_no_longer(cnnaudit):
    cnnaudit.check("loss", 1, at_most=2)

def test_4_called(cnnaudit):
    pytest.xfail("not today")

def test_5_passes(cnnaudit):
    cnnaudit.check("loss", 1, at_most=2)
"""
    )
    suite.run().assert_outcomes(passed=1, failed=1, xfailed=3)
    waived = {one["test"].split("::")[1]: one["waived"] for one in suite.findings if one["waived"]}
    assert set(waived) == {"test_1_waived", "test_2_not_run", "test_4_called"}
    assert waived["test_1_waived"] == "known until 2.0"
    assert "crashes the driver" in waived["test_2_not_run"]
    assert "not today" in waived["test_4_called"]
    assert ("test_3_no_longer", "assertion", "failed") in suite.outcomes()
    assert (suite.record["verdict"], suite.record["complete"]) == ("failed", True)
    assert "known until 2.0" in suite.page("test_suite.py::test_1_waived")


def test_a_waived_failure_alone_does_not_spoil_the_verdict(suite):
    suite.write(
        """
@pytest.mark.xfail(reason="known")
def test_waived(cnnaudit):
    cnnaudit.check("loss", 3, at_most=2)

def test_passes(cnnaudit):
    cnnaudit.check("loss", 1, at_most=2)
"""
    )
    suite.run().stdout.fnmatch_lines(["verdict: passed (1 passed, 1 waived)"])
    assert suite.record["verdict"] == "passed"


SELECTABLE = """
@pytest.mark.slow
def test_a(cnnaudit):
    cnnaudit.check("loss", 1, at_most=2)

def test_b(cnnaudit):
    cnnaudit.check("loss", 1, at_most=2)
"""


@pytest.mark.parametrize(
    ("arguments", "complete"),
    [
        ((), True),
        (("-k", "test_"), True),
        (("-k", "test_a"), False),
        (("-m", "not slow"), False),
        (("--deselect=test_suite.py::test_b",), False),
        (("test_suite.py",), True),
        (("test_suite.py::test_a",), False),
    ],
)
def test_a_run_that_left_audits_out_is_not_complete(suite, arguments, complete):
    suite.pytester.makeconftest("def pytest_configure(config): config.addinivalue_line('markers', 'slow')")
    suite.write(SELECTABLE)
    result = suite.run(*arguments)
    assert result.ret == 0
    assert suite.record["complete"] is complete
    assert ("not complete: audits were deselected, skipped or cut short" in result.outlines) is not complete


PASSES = "def test_passes(cnnaudit):\n    cnnaudit.check('loss', 1, at_most=2)\n"


@pytest.mark.parametrize(
    ("source", "arguments"),
    [
        ("@pytest.mark.skip\ndef test_skipped(cnnaudit):\n    pass\n", ()),
        ("def test_skipped(cnnaudit):\n    pytest.skip('not now')\n", ()),
        ("pytest.importorskip('a_module_that_nobody_has')\n", ()),
        ("import a_module_that_nobody_has\n", ("--continue-on-collection-errors",)),
        ("def test_0(cnnaudit):\n    assert False\ndef test_1(cnnaudit):\n    pass\n", ("-x",)),
    ],
    ids=["skip mark", "skip call", "skipped file", "broken file", "stopped"],
)
def test_a_run_that_was_cut_short_is_not_complete(suite, source, arguments):
    suite.write(test_1_passes=PASSES, test_2_cut=source)
    suite.run(*arguments)
    assert ("test_passes", "loss", "passed") in suite.outcomes()
    assert suite.record["complete"] is False


def test_a_skipped_test_without_audits_leaves_the_run_complete(suite):
    suite.write(PASSES + "@pytest.mark.skip\ndef test_other():\n    pass\n")
    suite.run().assert_outcomes(passed=1, skipped=1)
    assert suite.record["complete"] is True


def test_a_rerun_of_the_last_failures_is_not_complete(suite):
    """Files in which nothing failed aren't even opened, so nothing in them counts as deselected."""
    suite.write(test_1_passes=PASSES, test_2_fails="def test_fails(cnnaudit):\n    assert 0\n")
    run = partial(suite.pytester.runpytest_inprocess, "-p", HYPOTHESIS)
    run()
    assert suite.record["complete"] is True
    suite.write(test_2_fails="def test_fails(cnnaudit):\n    assert 1\n")
    run("--lf").assert_outcomes(passed=1)
    assert suite.outcomes() == [("test_fails", "assertion", "passed")]
    assert suite.record["complete"] is False
    # Nothing failed last: --lf runs everything.
    run("--lf").assert_outcomes(passed=2)
    assert suite.record["complete"] is True


@pytest.mark.parametrize(("stop", "status"), [("raise KeyboardInterrupt", 2), ("pytest.exit('enough')", 2)])
def test_an_interrupted_run_keeps_its_findings(suite, stop, status):
    suite.write(
        f"""
def test_1(cnnaudit):
    cnnaudit.check("loss", 1, at_most=2)

def test_2(cnnaudit):
    cnnaudit.check("loss", 1, at_most=2)
    {stop}

def test_3(cnnaudit):
    pass
"""
    )
    result = suite.run()
    assert result.ret == status
    assert suite.outcomes() == [
        ("test_1", "loss", "passed"),
        ("test_2", "loss", "passed"),
        ("test_2", "error", "error"),
    ]
    assert "did not finish" in suite.findings[-1]["message"]
    assert (suite.record["verdict"], suite.record["complete"]) == ("error", False)
    assert (suite.report / "index.html").is_file()
