"""Every option: where its value comes from, and which values are refused."""

from pathlib import Path

import pytest

from pytest_cnnaudit.plugin import options

NATIVE = pytest.mark.skipif(pytest.version_tuple < (9,), reason="[tool.pytest] came with pytest 9")


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    for option in options.OPTIONS:
        monkeypatch.delenv(option.variable, raising=False)


def test_the_table_is_the_one_promised():
    assert {option.flag: option.default for option in options.OPTIONS} == {
        "--cnnaudit-model": None,
        "--cnnaudit-cases": None,
        "--cnnaudit-class-names": None,
        "--cnnaudit-preprocessing": None,
        "--cnnaudit-backend": None,
        "--cnnaudit-report": "cnnaudit-report",
        "--cnnaudit-artifacts": "failed",
        "--cnnaudit-batch-size": None,
        "--cnnaudit-seed": 0,
        "--cnnaudit-inconclusive": "fail",
        "--cnnaudit-require": False,
        "--cnnaudit-pictures": "embed",
        "--cnnaudit-import": None,
    }


def test_without_any_setting_the_defaults_hold(pytester):
    config = pytester.parseconfigure()
    values = {option.name: options.value(config, option.name) for option in options.OPTIONS}
    defaults = {option.name: option.default for option in options.OPTIONS}
    assert values == {**defaults, "report": pytester.path / "cnnaudit-report"}


INI = {"seed": "3", "artifacts": "all", "require": "true", "import": "of_the_ini"}
ENVIRONMENT = {"seed": "4", "artifacts": "off", "require": "no", "import": "of_the_environment"}
COMMAND_LINE = ("--cnnaudit-seed=5", "--cnnaudit-artifacts=failed", "--cnnaudit-require", "--cnnaudit-import=of_here")


def _values(config):
    return {name: options.value(config, name) for name in INI}


def test_the_command_line_beats_the_environment_which_beats_the_ini(pytester, monkeypatch):
    pytester.makeini("[pytest]\n" + "\n".join(f"cnnaudit_{name} = {value}" for name, value in INI.items()))
    of_the_ini = {"seed": 3, "artifacts": "all", "require": True, "import": "of_the_ini"}
    assert _values(pytester.parseconfigure()) == of_the_ini
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(f"CNNAUDIT_{name.upper()}", value)
    of_the_environment = {"seed": 4, "artifacts": "off", "require": False, "import": "of_the_environment"}
    assert _values(pytester.parseconfigure()) == of_the_environment
    of_the_command_line = {"seed": 5, "artifacts": "failed", "require": True, "import": "of_here"}
    assert _values(pytester.parseconfigure(*COMMAND_LINE)) == of_the_command_line


def test_an_empty_environment_variable_says_nothing(pytester, monkeypatch):
    monkeypatch.setenv("CNNAUDIT_SEED", "")
    assert options.value(pytester.parseconfigure(), "seed") == 0


TABLES = {
    "pytest.ini": "[pytest]\ncnnaudit_model = models/pets.keras\ncnnaudit_batch_size = 7\ncnnaudit_require = true\n",
    "tox.ini": "[pytest]\ncnnaudit_model = models/pets.keras\ncnnaudit_batch_size = 7\ncnnaudit_require = true\n",
    "pyproject.toml": """
        [tool.pytest.ini_options]
        cnnaudit_model = "models/pets.keras"
        cnnaudit_batch_size = "7"
        cnnaudit_require = true
    """,
    "native pyproject.toml": """
        [tool.pytest]
        cnnaudit_model = "models/pets.keras"
        cnnaudit_batch_size = 7
        cnnaudit_require = true
    """,
}


@pytest.mark.parametrize("name", [pytest.param(name, marks=NATIVE if "native" in name else ()) for name in TABLES])
def test_every_kind_of_ini_is_read_and_its_paths_are_relative_to_it(pytester, monkeypatch, name):
    (pytester.path / name.removeprefix("native ")).write_text(TABLES[name].replace("\n        ", "\n"))
    monkeypatch.chdir(pytester.mkdir("below"))
    config = pytester.parseconfigure()
    assert options.value(config, "model") == pytester.path / "models" / "pets.keras"
    assert options.value(config, "batch-size") == 7
    assert options.value(config, "require") is True


def test_other_paths_are_relative_to_the_working_directory(pytester, monkeypatch):
    pytester.makeini("[pytest]\n")
    below = pytester.mkdir("below")
    monkeypatch.chdir(below)
    monkeypatch.setenv("CNNAUDIT_CASES", "data/validation.json")
    config = pytester.parseconfigure("--cnnaudit-model=../candidate.keras", "--cnnaudit-class-names=~/names.txt")
    assert options.value(config, "model") == below / ".." / "candidate.keras"
    assert options.value(config, "cases") == below / "data" / "validation.json"
    assert options.value(config, "class-names") == Path.home() / "names.txt"
    assert options.value(config, "report") == below / "cnnaudit-report"


@pytest.mark.parametrize(
    ("name", "text", "wrong"),
    [
        ("seed", "x", "'x' is not a whole number"),
        ("seed", "-1", "'-1' is not a whole number of at least 0"),
        ("seed", "1.5", "'1.5' is not a whole number"),
        ("batch-size", "0", "'0' is not a whole number of at least 1"),
        ("artifacts", "some", "'some' is not one of failed, all, off"),
        ("inconclusive", "pass", "'pass' is not one of fail, warn"),
        ("pictures", "yes", "'yes' is not one of embed, none"),
        ("require", "maybe", "'maybe' is neither true nor false"),
        ("backend", "theano", "'theano' is not one of tensorflow, torch, jax"),
    ],
)
def test_a_wrong_value_is_refused_before_anything_runs(pytester, monkeypatch, name, text, wrong):
    monkeypatch.setenv(options.BY_NAME[name].variable, text)
    with pytest.raises(pytest.UsageError, match=wrong) as caught:
        pytester.parseconfigure()
    assert name.replace("-", "_") in str(caught.value).replace("-", "_").lower()


@pytest.mark.parametrize(
    "ini", ["cnnaudit_seed = x", "cnnaudit_require = maybe", "cnnaudit_artifacts = some", "cnnaudit_batch_size = 0"]
)
def test_a_wrong_value_in_the_ini_names_its_key(pytester, ini):
    pytester.makeini(f"[pytest]\n{ini}\n")
    with pytest.raises(pytest.UsageError, match=ini.partition(" ")[0]):
        pytester.parseconfigure()


@NATIVE
@pytest.mark.parametrize("line", ["cnnaudit_seed = '3'", "cnnaudit_model = 3", "cnnaudit_require = 'true'"])
def test_a_wrong_type_in_a_native_table_names_its_key(pytester, line):
    pytester.makefile(".toml", pyproject=f"[tool.pytest]\n{line}\n")
    with pytest.raises(pytest.UsageError, match=line.partition(" ")[0]):
        pytester.parseconfigure()


@pytest.mark.parametrize("argument", ["--cnnaudit-seed=x", "--cnnaudit-artifacts=some", "--cnnaudit-batch-size=0"])
def test_a_wrong_value_on_the_command_line_ends_the_run(pytester, argument):
    result = pytester.runpytest_inprocess(argument)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    flag, value = argument.split("=")
    assert any(flag in line and value in line for line in result.errlines)


def test_a_report_that_is_a_file_is_refused(pytester):
    pytester.makefile(".txt", notes="mine")
    with pytest.raises(pytest.UsageError, match=r"notes\.txt is no folder"):
        pytester.parseconfigure("--cnnaudit-report=notes.txt")


@pytest.fixture
def elsewhere(pytester, monkeypatch):
    """The working directory has an ini; the model lies outside of it."""
    project = pytester.mkdir("project")
    (project / "pytest.ini").write_text("[pytest]\ncnnaudit_artifacts = all\n")
    model = pytester.mkdir("elsewhere") / "candidate.keras"
    model.touch()
    monkeypatch.chdir(project)
    return model


def test_a_path_that_hides_the_ini_from_pytest_is_refused_with_advice(pytester, elsewhere):
    with pytest.raises(pytest.UsageError, match="write --cnnaudit-model=PATH") as caught:
        pytester.parseconfigure("--cnnaudit-model", elsewhere)
    assert str(Path("project", "pytest.ini")) in str(caught.value)


def test_the_advice_helps(pytester, elsewhere):
    config = pytester.parseconfigure(f"--cnnaudit-model={elsewhere}")
    assert options.value(config, "artifacts") == "all"


def test_a_path_inside_the_project_hides_nothing(pytester, elsewhere):
    inside = Path.cwd() / "candidate.keras"
    inside.touch()
    config = pytester.parseconfigure("--cnnaudit-model", inside)
    assert (options.value(config, "artifacts"), options.value(config, "model")) == ("all", inside)


def test_a_project_without_an_ini_has_nothing_to_hide(pytester, elsewhere):
    Path("pytest.ini").unlink()
    config = pytester.parseconfigure("--cnnaudit-model", elsewhere)
    assert (config.inipath, options.value(config, "model")) == (None, elsewhere)


def test_an_ini_beside_the_model_is_not_the_tests(pytester, elsewhere, monkeypatch):
    elsewhere.with_name("pytest.ini").write_text("[pytest]\n")
    monkeypatch.chdir(pytester.path)
    wrong, right = Path("elsewhere", "pytest.ini"), Path("project", "pytest.ini")
    with pytest.raises(pytest.UsageError, match=rf"read .*{wrong} instead of .*{right}: write --cnnaudit-model=PATH"):
        pytester.parseconfigure("--cnnaudit-model", elsewhere, "project")
    # pytest looks at one path after the other.
    config = pytester.parseconfigure("project", "--cnnaudit-model", elsewhere)
    assert config.inipath == pytester.path / right


def test_a_named_ini_is_read_wherever_the_model_is(pytester, elsewhere):
    config = pytester.parseconfigure("-c", "pytest.ini", "--cnnaudit-model", elsewhere)
    assert options.value(config, "artifacts") == "all"


def test_asking_pytest_for_its_ini_makes_no_plugin_act_twice_and_changes_nothing(pytester, elsewhere, monkeypatch):
    """A coverage that starts twice, say, would measure nothing."""
    monkeypatch.chdir(pytester.path)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "")
    pytester.syspathinsert()
    pytester.makepyfile(
        acts="def pytest_load_initial_conftests():\n    print('ACTS')\n",
        test_it="import os\n\ndef test_it():\n    assert os.environ['PYTEST_DISABLE_PLUGIN_AUTOLOAD'] == ''\n",
    )
    pytester.makeconftest("print('CONFTEST')")
    pytester.makeini("[pytest]\nrequired_plugins = pytest-cnnaudit\naddopts = --strict-markers\n")
    elsewhere.rename("candidate.keras")
    result = pytester.runpytest_inprocess("-s", "-p", "acts", "--cnnaudit-model", "candidate.keras")
    result.assert_outcomes(passed=1)
    assert result.outlines.count("ACTS") == 1
    assert result.outlines.count("CONFTEST") == 1
