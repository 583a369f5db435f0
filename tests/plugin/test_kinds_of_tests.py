"""Every kind of test and of run that pytest knows: classes, parameters, subtests, doctest, unittest, reruns, orders."""

import pytest


def test_names_of_every_kind_have_pages_of_their_own(suite):
    names = ["a/b", "a_b", "A_B", "<script>alert(1)</script>", "a|b", 'say "hi"', "con", "..", "猫" * 150, "#?&%"]
    suite.ini(model=None)
    with (suite.pytester.path / "tox.ini").open("a") as file:
        file.write("\ndisable_test_id_escaping_and_forfeit_all_rights_to_community_support = true\n")
    suite.write(
        f"""
@pytest.mark.parametrize("name", {names!r}, ids=str)
class TestNames:
    @pytest.mark.cnnaudit(artifacts="all")
    def test_it(self, cnnaudit, name):
        cnnaudit.check(name, 3, at_most=2, evidence="seen: " + name)
"""
    )
    suite.run().assert_outcomes(failed=len(names))
    assert [one["name"] for one in suite.findings] == [test[test.index("[") + 1 : -1] for test in _tests(suite)]
    assert sorted(one["name"] for one in suite.findings) == sorted(names)
    pages = list(suite.report.glob("tests/*"))
    assert len(pages) == len(names)
    assert all(len(page.name.encode()) <= 100 and page.name.isascii() for page in pages)
    for name in ("a/b", "a_b"):
        assert f"seen: {name}" in suite.page(f"test_suite.py::TestNames::test_it[{name}]")
    for page in (*pages, suite.report / "index.html", suite.report / "summary.md"):
        assert "<script>alert" not in page.read_text("utf-8")
    rows = [line for line in (suite.report / "summary.md").read_text("utf-8").splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {6}


def _tests(suite):
    return [one["test"] for one in suite.findings]


def test_subtests_each_have_their_finding(suite):
    if pytest.version_tuple < (9,):
        pytest.skip("subtests came with pytest 9")
    suite.write(
        """
def test_it(cnnaudit, subtests):
    for figure in (1, 3, 4):
        with subtests.test(figure=figure):
            cnnaudit.check(f"figure {figure}", figure, at_most=2)
    with subtests.test("own assert"):
        assert 1 + 1 == 3
    with subtests.test("crash"):
        {}["missing"]
"""
    )
    suite.run()
    assert [outcome[1:] for outcome in suite.outcomes()] == [
        ("figure 1", "passed"),
        ("figure 3", "failed"),
        ("figure 4", "failed"),
        ("assertion", "failed"),
        ("error", "error"),
    ]
    assert suite.record["complete"] is True


def test_doctest_and_unittest_live_beside_audits(suite):
    suite.write(
        """
import unittest

def double(x):
    '''
    >>> double(2)
    4
    >>> getfixture("cnnaudit").check("loss", 1, at_most=2).outcome
    'passed'
    '''
    return 2 * x

class TestOld(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def _audit(self, cnnaudit):
        self.cnnaudit = cnnaudit

    def test_passes(self):
        self.cnnaudit.check("loss", 1, at_most=2)

    def test_fails(self):
        self.cnnaudit.check("loss", 3, at_most=2)

    def test_differs(self):
        self.assertEqual(1, 2)

    @unittest.expectedFailure
    def test_expected(self):
        self.cnnaudit.check("loss", 3, at_most=2)

    @unittest.skip("not now")
    def test_skipped(self):
        pass

class TestPlain(unittest.TestCase):
    def test_plain(self):
        self.assertEqual(1, 1)
"""
    )
    suite.run("--doctest-modules").assert_outcomes(passed=3, failed=2, xfailed=1, skipped=1)
    found = {(test.rpartition("::")[2], name, outcome) for test, name, outcome in suite.outcomes()}
    assert found == {
        ("test_suite.double", "loss", "passed"),
        ("test_passes", "loss", "passed"),
        ("test_fails", "loss", "failed"),
        ("test_differs", "assertion", "failed"),
        ("test_expected", "loss", "failed"),
    }
    assert [one["test"] for one in suite.findings if one["waived"]] == ["test_suite.py::TestOld::test_expected"]
    assert suite.record["complete"] is False


def test_only_the_last_attempt_of_a_rerun_test_counts(suite):
    pytest.importorskip("pytest_rerunfailures")
    suite.write(
        """
attempts = []

@pytest.mark.flaky(reruns=2)
def test_it(cnnaudit):
    attempts.append(1)
    cnnaudit.check("attempt", len(attempts), at_least=3)
"""
    )
    suite.run().stdout.fnmatch_lines(["*1 passed, 2 rerun*"])
    assert [(one["name"], one["outcome"], one["value"]) for one in suite.findings] == [("attempt", "passed", 3.0)]
    assert (suite.record["verdict"], suite.record["complete"]) == ("passed", True)


def test_the_order_of_the_tests_changes_nothing(suite):
    suite.write(
        """
@pytest.mark.parametrize("figure", range(5))
def test_it(cnnaudit, figure):
    cnnaudit.check("figure", figure, at_most=2)
"""
    )
    suite.run().assert_outcomes(passed=3, failed=2)
    forwards = _timeless(suite.record)
    suite.pytester.makeconftest("def pytest_collection_modifyitems(items): items.reverse()\n")
    suite.run().assert_outcomes(passed=3, failed=2)
    assert _timeless(suite.record) == forwards


def _timeless(record):
    findings = [{**one, "seconds": None} for one in record["findings"]]
    return {**record, "started": None, "finished": None, "findings": findings}


def test_without_a_terminal_the_report_is_the_same(suite):
    suite.write("def test_fails(cnnaudit):\n    cnnaudit.check('loss', 3, at_most=2)\n")
    assert suite.run("-p", "no:terminal").ret == pytest.ExitCode.TESTS_FAILED
    assert suite.outcomes() == [("test_fails", "loss", "failed")]


@pytest.mark.parametrize(
    ("marker", "problem"),
    [
        ("artefacts='all'", "takes artifacts, inconclusive, seed by name, not 'artefacts'"),
        ("'all'", "takes artifacts, inconclusive, seed by name, not 'all'"),
        ("artifacts='some'", "artifacts='some' is not one of failed, all, off"),
        ("inconclusive=True", "inconclusive=True is not one of fail, warn"),
        ("seed=-1", "seed=-1 is not a whole number"),
        ("seed='1'", "seed='1' is not a whole number"),
    ],
)
def test_a_wrong_marker_is_refused_before_anything_runs(suite, marker, problem):
    suite.write(f"@pytest.mark.cnnaudit({marker})\ndef test_it(cnnaudit):\n    print('RAN')\n")
    result = suite.run("-s")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*test_suite.py::test_it: *{problem}"])
    assert "RAN" not in result.stdout.str()
    assert not suite.report.exists()


def test_the_marker_beats_the_command_line(suite):
    suite.write(
        """
def test_1(cnnaudit):
    assert cnnaudit.context.settings.seed == 5

@pytest.mark.cnnaudit(seed=6)
class TestMarked:
    def test_2(self, cnnaudit):
        assert cnnaudit.context.settings.seed == 6

    @pytest.mark.cnnaudit(seed=7)
    def test_3(self, cnnaudit):
        assert cnnaudit.context.settings.seed == 7
"""
    )
    suite.run("--cnnaudit-seed=5").assert_outcomes(passed=3)
    assert suite.record["seed"] == 5
