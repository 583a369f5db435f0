"""What a run leaves behind: the folder's files, the record's shape, and what is never touched."""

import json

import pytest

OURS = {"record.json", "index.html", "summary.md"}
CHECKS = """
def test_passes(cnnaudit):
    cnnaudit.check("loss", 1, at_most=2)

def test_fails(cnnaudit):
    cnnaudit.check("loss", 3, at_most=2)
"""


def test_a_second_run_replaces_the_first_and_keeps_what_is_not_ours(suite):
    suite.write(CHECKS)
    suite.run()
    first = suite.files()
    (suite.report / "notes.txt").write_text("mine")
    (suite.report / "tests" / "mine.html").write_text("mine")
    suite.write("def test_other(cnnaudit):\n    cnnaudit.check('loss', 1, at_most=2)\n")
    suite.run()
    kept = {"notes.txt", "tests/mine.html"}
    pages = {path for path in suite.files() - kept if path.startswith("tests/")}
    assert suite.files() == OURS | kept | pages
    assert len(pages) == 1
    assert not pages & first


@pytest.mark.parametrize("name", ["index.html", "record.json", "summary.md"])
def test_a_file_of_somebody_else_is_not_overwritten(suite, name):
    suite.write(CHECKS)
    suite.report.mkdir()
    (suite.report / name).write_text("mine")
    result = suite.run()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines([f"the report was not written: *{name} exists and is not from cnnaudit", "*.parts*"])
    assert (suite.report / name).read_text() == "mine"
    [kept] = suite.report.glob(".parts/*")
    assert len(list(kept.glob("*test-*.json"))) == 2


def test_a_record_that_lies_deletes_nothing_outside(suite):
    suite.write(CHECKS)
    suite.run()
    outside = suite.pytester.makefile(".txt", outside="mine")
    record = suite.record
    record["files"] += ["../outside.txt", str(outside), 7]
    (suite.report / "record.json").write_text(json.dumps(record))
    suite.run()
    assert outside.read_text() == "mine"
    assert "../outside.txt" not in suite.record["files"]


@pytest.mark.parametrize(
    ("source", "arguments"),
    [
        ("import pytest\n@pytest.mark.skip\ndef test_gate(cnnaudit):\n    pass\n", ()),
        (CHECKS, ("-k", "nothing", "--cnnaudit-require")),
    ],
    ids=["skipped", "deselected"],
)
def test_an_earlier_verdict_never_stands_for_a_run_without_one(suite, source, arguments):
    suite.write(CHECKS)
    suite.run()
    assert (suite.report / "record.json").is_file()
    suite.write(source)
    suite.run(*arguments)
    assert not (suite.report / "record.json").exists()
    assert not (suite.report / "index.html").exists()


def test_an_earlier_verdict_never_stands_for_a_run_that_was_killed(suite):
    suite.write(CHECKS)
    suite.run()
    suite.write("def test_gate(cnnaudit):\n    import os, signal\n    os.kill(os.getpid(), signal.SIGKILL)\n")
    suite.run_apart()
    assert not (suite.report / "record.json").exists()
    assert not (suite.report / "index.html").exists()


def test_the_parts_of_a_run_that_goes_on_elsewhere_are_kept(suite):
    other = suite.report / ".parts" / "another"
    other.mkdir(parents=True)
    (other / "part.json").write_text("{}")
    suite.write(CHECKS)
    suite.run()
    assert {path for path in suite.files() if path.startswith(".parts")} == {".parts/another/part.json"}


@pytest.mark.parametrize(
    ("source", "arguments"),
    [
        ("def test_plain():\n    assert 1\n", ()),
        (CHECKS, ("--collect-only",)),
        (CHECKS, ("-k", "nothing")),
        ("@pytest.mark.skip\ndef test_skipped(cnnaudit):\n    pass\n", ()),
    ],
    ids=["no audit", "collect only", "all deselected", "all skipped"],
)
def test_nothing_is_created_when_no_audit_ran(suite, source, arguments):
    suite.write(source)
    suite.run(*arguments)
    assert not suite.report.exists()


def test_the_folder_may_lie_anywhere(suite):
    suite.write(CHECKS)
    suite.run("--cnnaudit-report=some/where deep")
    assert (suite.pytester.path / "some" / "where deep" / "index.html").is_file()
    assert not suite.report.exists()


PLAIN = "def test_plain():\n    assert 1\n"


@pytest.mark.parametrize(
    ("source", "arguments", "status"),
    [
        (PLAIN, (), 0),
        (PLAIN, ("--cnnaudit-require",), 1),
        (PLAIN, ("--cnnaudit-model=candidate.keras",), 1),
        ("", ("--cnnaudit-require",), 1),
        (CHECKS, ("--cnnaudit-require", "-k", "test_passes"), 0),
        (CHECKS, ("--cnnaudit-require", "-k", "nothing"), 1),
        (PLAIN, ("--cnnaudit-require", "--collect-only"), 0),
        ("def test_broken(:\n", ("--cnnaudit-require",), 2),
    ],
)
def test_a_required_audit_that_did_not_run_fails_the_run(suite, source, arguments, status):
    suite.write(source or "# nothing")
    result = suite.run(*arguments)
    assert result.ret == status
    if status == 1:
        result.stdout.fnmatch_lines(["an audit was required, but none was executed (--cnnaudit-require)"])


def test_an_audit_can_be_required_by_ini_and_environment(suite, monkeypatch):
    suite.write(PLAIN)
    suite.ini(require="true")
    assert suite.run().ret == 1
    suite.ini()
    assert suite.run().ret == 0
    monkeypatch.setenv("CNNAUDIT_REQUIRE", "1")
    assert suite.run().ret == 1
