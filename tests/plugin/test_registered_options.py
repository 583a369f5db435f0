"""An option that a project adds: one entry, found on the command line, in environment, ini, help, docs and policy."""

import importlib.util
from pathlib import Path

import pytest

from pytest_cnnaudit.plugin import options
from pytest_cnnaudit.plugin.options import Option

HOOKS = Path(__file__).resolve().parents[2] / "docs" / "hooks.py"
SITE = Option("clinic-site", "the clinic whose pictures these are", default="all", metavar="NAME")
CONFTEST = """
from pytest_cnnaudit.plugin import options

options.register(
    options.Option("clinic-site", "the clinic whose pictures these are", default="all", metavar="NAME"{more})
)
"""
GATE = """
from pytest_cnnaudit.plugin import options

def test_gate(cnnaudit, pytestconfig):
    cnnaudit.check("loss", 1, at_most=2)
    print("SITE", options.value(pytestconfig, "clinic-site"))
"""


@pytest.fixture(autouse=True)
def _same_table_afterwards(monkeypatch):
    monkeypatch.delenv("CNNAUDIT_CLINIC_SITE", raising=False)
    before = dict(options.BY_NAME)
    yield
    options.BY_NAME.clear()
    options.BY_NAME.update(before)


def _site(result):
    [line] = [line for line in result.outlines if "SITE" in line]
    return line.split("SITE ")[1]


def test_its_value_comes_from_where_every_options_value_comes_from(suite, monkeypatch):
    suite.pytester.makeconftest(CONFTEST.format(more=""))
    suite.write(GATE)
    assert _site(suite.run("-s")) == "all"
    suite.ini(clinic_site="Bergen")
    assert _site(suite.run("-s")) == "Bergen"
    monkeypatch.setenv("CNNAUDIT_CLINIC_SITE", "Aarhus")
    assert _site(suite.run("-s")) == "Aarhus"
    assert _site(suite.run("-s", "--cnnaudit-clinic-site=Turku")) == "Turku"


def test_a_process_of_its_own_and_workers_know_it(suite):
    pytest.importorskip("xdist")
    suite.pytester.makeconftest(CONFTEST.format(more=""))
    suite.write(
        "from pytest_cnnaudit.plugin import options\n"
        "def test_gate(cnnaudit, pytestconfig):\n"
        "    cnnaudit.check(options.value(pytestconfig, 'clinic-site'), 1, at_most=2)\n"
    )
    suite.run_apart("-n1", "--cnnaudit-clinic-site", "Turku").assert_outcomes(passed=1)
    assert suite.outcomes() == [("test_gate", "Turku", "passed")]


def test_the_help_shows_it(pytester):
    pytester.makeconftest(CONFTEST.format(more=""))
    text = " ".join(" ".join(pytester.runpytest_inprocess("--help").outlines).split())
    for words in (SITE.flag, f"[{SITE.variable}, ini {SITE.key}]", f"{SITE.key} (string): {SITE.help}"):
        assert words in text


def test_the_documentations_table_has_its_row():
    options.register(SITE)
    spec = importlib.util.spec_from_file_location("hooks", HOOKS)
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    row = "| `--cnnaudit-clinic-site` | NAME | `all` | the clinic whose pictures these are |"
    assert hooks.options_table().splitlines()[-1] == row


@pytest.mark.parametrize(("more", "kinds"), [("", 1), (", in_policy=True", 2)], ids=["not in", "in"])
def test_it_is_in_the_records_policy_only_if_told_so(suite, more, kinds):
    suite.pytester.makeconftest(CONFTEST.format(more=more))
    suite.write(GATE)
    policies = set()
    for site in ("Bergen", "Turku"):
        suite.run(f"--cnnaudit-clinic-site={site}").assert_outcomes(passed=1)
        policies.add(suite.record["policy_sha256"])
    assert len(policies) == kinds


def test_a_flag_a_choice_and_a_number_are_checked_as_ours_are(pytester):
    options.register(Option("dry", "look only", default=False))
    options.register(Option("eye", "which eye", default="left", choices=("left", "right")))
    options.register(Option("readers", "how many read a picture", default=2, metavar="N", least=1))
    config = pytester.parseconfigure("--cnnaudit-dry", "--cnnaudit-eye=right", "--cnnaudit-readers=3")
    assert [options.value(config, name) for name in ("dry", "eye", "readers")] == [True, "right", 3]
    with pytest.raises(pytest.UsageError, match="--cnnaudit-readers: '0' is not a whole number of at least 1"):
        pytester.parseconfigure("--cnnaudit-readers=0")


def test_registering_the_same_again_changes_nothing_and_another_of_the_name_is_refused():
    options.register(SITE)
    options.register(Option(SITE.name, SITE.help, default="all", metavar="NAME"))
    assert list(options.OPTIONS).count(SITE) == 1
    with pytest.raises(ValueError, match="another option --cnnaudit-clinic-site already: the clinic whose"):
        options.register(Option(SITE.name, SITE.help, default="none", metavar="NAME"))
    with pytest.raises(ValueError, match="another option --cnnaudit-seed already"):
        options.register(Option("seed", "mine"))


@pytest.mark.parametrize("name", ["", "Site", "clinic_site", "--cnnaudit-site", "site-", "a b", "site2"])
def test_a_name_that_can_not_be_one_is_refused(name):
    with pytest.raises(ValueError, match="lower-case words joined by hyphens"):
        options.register(Option(name, "wrong"))
    assert name not in options.BY_NAME


def test_one_that_is_registered_too_late_says_where_it_belongs(suite):
    below = suite.pytester.mkdir("below")
    (below / "conftest.py").write_text(CONFTEST.format(more=""))
    (below / "test_late.py").write_text(GATE)
    result = suite.run("-s")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*--cnnaudit-clinic-site was registered when pytest had read the command line: *"])
