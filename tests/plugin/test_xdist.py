"""With workers nothing is lost and nothing is doubled."""

import pytest

pytest.importorskip("xdist")


def test_a_lost_worker_is_an_error_and_the_others_are_kept(suite):
    suite.write(
        """
@pytest.mark.parametrize("figure", range(6))
def test_figure(cnnaudit, figure):
    cnnaudit.check("figure", figure, at_most=9)
    if figure == 3:
        os._exit(1)
"""
    )
    result = suite.run_apart("-n2")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    findings = {(one["test"], one["name"], one["outcome"]) for one in suite.findings}
    names = [f"test_suite.py::test_figure[{figure}]" for figure in range(6)]
    assert findings == {*((name, "figure", "passed") for name in names), (names[3], "error", "error")}
    assert len(suite.findings) == 7
    assert (suite.record["verdict"], suite.record["complete"]) == ("error", False)


def test_a_worker_refuses_a_wrong_marker_test_by_test(suite):
    suite.write("@pytest.mark.cnnaudit(artefacts='all')\ndef test_it(cnnaudit):\n    pass\n")
    result = suite.run_apart("-n1")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*takes artifacts, inconclusive, seed by name, not 'artefacts'"])
    assert suite.outcomes() == [("test_it", "error", "error")]
