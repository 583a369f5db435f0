"""How a test ended is a finding with texts of its own, as an audit is."""

import pytest

from pytest_cnnaudit.record import Course, Failure, Recorder, read_parts

TEST = "test_gate.py::test_own"


@pytest.fixture
def ended(tmp_path):
    """The one finding of a test that went so, as its part file holds it."""

    def record(course):
        recorder = Recorder(tmp_path, "run")
        recorder.start(TEST)
        if course is not None:
            recorder.finish(TEST, course)
        [part], _ = read_parts(recorder.folder)
        [finding] = part["findings"]
        return finding

    return record


@pytest.mark.parametrize(
    ("course", "name", "outcome", "title"),
    [
        (Course(), "assertion", "passed", "The test's own assertions"),
        (Course(failed=True, failures=[Failure("assert 1 == 2")]), "assertion", "failed", "The test's own assertions"),
        (Course(failed=True, failures=[Failure("KeyError", crashed=True)]), "error", "error", "The test itself"),
        (None, "error", "error", "The test itself"),
    ],
)
def test_the_end_of_a_test_has_a_title(ended, course, name, outcome, title):
    finding = ended(course)
    assert (finding["name"], finding["outcome"], finding["texts"]["title"]) == (name, outcome, title)
    assert finding["texts"]["measured"]
