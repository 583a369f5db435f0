"""`cnnaudit verdict`: what is printed, and the exit code."""

import json
import subprocess
import sys

import pytest

from pytest_cnnaudit.cli import main


def record(verdict, *outcomes, complete=True, **changes):
    findings = [{"outcome": outcome, "waived": None} for outcome in outcomes]
    return {"schema": 1, "verdict": verdict, "complete": complete, "findings": findings, **changes}


@pytest.fixture
def report(tmp_path):
    def write(content):
        (tmp_path / "record.json").write_text(content if isinstance(content, str) else json.dumps(content))
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("verdict", "outcomes", "printed", "code"),
    [
        ("passed", ["passed", "passed"], "passed (2 passed)", 0),
        ("failed", ["passed", "failed"], "failed (1 failed, 1 passed)", 1),
        ("inconclusive", ["inconclusive"], "inconclusive (1 inconclusive)", 2),
        ("error", ["passed", "error"], "error (1 error, 1 passed)", 3),
    ],
)
def test_the_verdict_is_printed_and_is_the_exit_code(report, capsys, verdict, outcomes, printed, code):
    folder = report(record(verdict, *outcomes))
    for path in (folder, folder / "record.json"):
        assert main(["verdict", str(path)]) == code
        assert capsys.readouterr() == (printed + "\n", "")


def test_a_waived_finding_counts_as_waived(report, capsys):
    content = record("passed", "passed", "failed")
    content["findings"][1]["waived"] = "known"
    assert main(["verdict", str(report(content))]) == 0
    assert capsys.readouterr().out == "passed (1 passed, 1 waived)\n"


def test_a_run_that_was_not_complete_is_told_on_stderr(report, capsys):
    assert main(["verdict", str(report(record("passed", "passed", complete=False)))]) == 0
    told = "not complete: audits were deselected, skipped or cut short\n"
    assert capsys.readouterr() == ("passed (1 passed)\n", told)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "Expecting property name"),
        ("[]", "not a record of schema 1"),
        (record("passed", schema=2), "not a record of schema 1"),
        (record("great"), "no verdict, no findings or no word on whether it is complete"),
        ({"schema": 1, "verdict": "passed", "findings": []}, "no verdict, no findings or no word on whether"),
        (record("passed", findings={}), "no verdict, no findings or no word on whether"),
        (record("passed", "great"), "a finding of the record has no outcome"),
        (record("passed", findings=[3]), "a finding of the record has no outcome"),
    ],
)
def test_what_is_no_record_is_an_error_never_a_pass(report, capsys, content, reason):
    folder = report(content)
    assert main(["verdict", str(folder)]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {folder / 'record.json'}: ")
    assert reason in err


def test_a_report_that_is_not_there_is_an_error(tmp_path, capsys):
    assert main(["verdict", str(tmp_path / "nowhere")]) == 3
    assert "nowhere" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["verdct", "x"], ["verdict"]])
def test_a_wrong_command_says_what_there_is(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: cnnaudit ")


def test_the_help_lists_every_command(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "print a report's verdict" in capsys.readouterr().out


def test_nothing_heavy_is_imported(report):
    """A release script asks for the verdict in an environment that may have nothing else."""
    folder = report(record("failed", "failed"))
    source = (
        "import sys\nfrom pytest_cnnaudit.cli import main\n"
        f"code = main(['verdict', {str(folder)!r}])\n"
        "print(sorted({'keras', 'numpy', 'PIL', 'scipy', 'jinja2', 'pytest'} & set(sys.modules)))\nsys.exit(code)"
    )
    result = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "failed (1 failed)\n[]\n")


def test_the_package_runs_as_a_module(report):
    folder = report(record("inconclusive", "inconclusive"))
    command = [sys.executable, "-m", "pytest_cnnaudit.cli", "verdict", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "inconclusive (1 inconclusive)\n")
