import pytest

from pytest_cnnaudit.report.verdict import verdict


@pytest.mark.parametrize(
    ("recorded", "complete", "outcomes", "tone", "headline"),
    [
        ("failed", True, ["failed", "failed", "passed"], "failed", "Blocked: 2 of 3 audits failed"),
        ("passed", True, ["passed", "passed"], "passed", "Released: all 2 audits passed"),
        ("passed", False, ["passed"], "passed", "Not released: all 1 audit passed"),
        ("passed", True, ["passed", "failed"], "error", "Blocked: 1 of 2 audits failed"),
        ("inconclusive", True, ["inconclusive"], "inconclusive", "Not released: 1 of 1 audit inconclusive"),
        ("error", True, ["error", "passed"], "error", "Blocked: 1 of 2 audits could not be carried out"),
        (
            "error",
            True,
            ["error", "failed"],
            "error",
            "Blocked: 1 of 2 audits failed, 1 could not be carried out",
        ),
        ("error", True, [], "error", "Blocked: the run ended in an error"),
        (None, True, ["passed"], "error", "Blocked: the run ended in an error"),
    ],
)
def test_verdict_fails_closed(finding, recorded, complete, outcomes, tone, headline):
    told = verdict({"verdict": recorded, "complete": complete}, [finding(outcome=outcome) for outcome in outcomes])
    assert (told.tone, told.headline) == (tone, headline)


def test_a_record_that_does_not_say_complete_is_incomplete(finding):
    assert not verdict({"verdict": "passed"}, [finding(outcome="passed")]).complete
