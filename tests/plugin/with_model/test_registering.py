"""An assertion, a heatmap method and an option that a suite adds itself are found wherever ours are."""

import json
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

CONFTEST = """
from typing import Unpack

import numpy as np

from pytest_cnnaudit.audit import (
    Context, Judged, Rule, RuleArguments, Score, as_limits, as_population, assertion, case_finding
)
from pytest_cnnaudit.engine.methods import Method, register
from pytest_cnnaudit.engine.passes import class_evidence
from pytest_cnnaudit.findings import Finding
from pytest_cnnaudit.plugin import options

options.register(options.Option("site", "the clinic whose pictures these are", metavar="NAME"))

def corner_cam(activations, gradients, scores):
    "The corner of the picture, whatever is there."
    maps = np.zeros(activations.shape[:3], np.float32)
    maps[:, :2, :2] = 1
    return maps

register(Method("corner-cam", corner_cam))

@assertion(
    title="Is sure of its answer",
    quantity="probability of the predicted class at a temperature",
    measured="The scores are divided by the temperature before they become probabilities.",
    reading="A model that is not sure needs more pictures.",
    about="calibration",
    settings=("temperature",),
    needs=(class_evidence,),
)
def assert_is_sure(
    context: Context, cases, *, at_least: float = 0.5, temperature: float = 1.0, **rule: Unpack[RuleArguments]
) -> Finding:
    "The predicted class has a probability of at least `at_least` at a temperature."
    population = as_population(cases)
    limits = as_limits(("probability", at_least, "at_least", "at_least"))
    logits = context.cache.predictions(population).logits / temperature
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores = [Score(float(value)) for value in (odds / odds.sum(axis=1, keepdims=True)).max(axis=1)]
    judged = Judged(population, scores, limits, single=False, measure="probability")
    return case_finding(context, judged, Rule(**rule), target="predicted")
"""
SUITE = """
import pydoc, importlib.util
from pathlib import Path

def test_sure(cnnaudit, cnnaudit_cases):
    cnnaudit.assert_is_sure(cnnaudit_cases, temperature=1000.0, mostly=0.5)

def test_corner(cnnaudit, cnnaudit_cases):
    cnnaudit.assert_mass_inside(cnnaudit_cases, at_least=0.9, method="corner-cam")

def test_what_help_and_docs_say(cnnaudit, pytestconfig):
    from pytest_cnnaudit.plugin import options
    assert options.value(pytestconfig, "site") == "north"
    Path("help.txt").write_text(pydoc.render_doc(type(cnnaudit), renderer=pydoc.plaintext))
    spec = importlib.util.spec_from_file_location("hooks", {hooks!r})
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    Path("docs.md").write_text(
        hooks.on_page_markdown("<!-- assertions -->\\n\\n<!-- methods -->\\n\\n<!-- options -->")
    )

def test_option(cnnaudit, pytestconfig):
    from pytest_cnnaudit.plugin import options
    cnnaudit.check(f"images from {options.value(pytestconfig, 'site')}", 0, at_least=1)

def test_typo(cnnaudit, cnnaudit_cases):
    cnnaudit.assert_is_sure(cnnaudit_cases, temprature=2)
"""


@pytest.fixture(scope="module")
def ran(kit, tmp_path_factory, request):
    """What a run of the suite left: its output, its folder, and what `pytest --help` says there."""
    folder = tmp_path_factory.mktemp("registering")
    (folder / "conftest.py").write_text(CONFTEST, "utf-8")
    (folder / "test_suite.py").write_text(
        SUITE.replace("{hooks!r}", repr(str(request.config.rootpath / "docs" / "hooks.py"))), "utf-8"
    )
    names = {"model": kit.model, "class_names": kit.class_names, "cases": kit.cases, "site": "north"}
    lines = [f"cnnaudit_{name} = {value}" for name, value in names.items()]
    (folder / "pytest.ini").write_text("\n".join(["[pytest]", *lines]), "utf-8")

    def run(*arguments):
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", *arguments]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout

    return run("--junitxml", "junit.xml"), folder, run("--help")


def page(folder, test):
    [path] = (folder / "cnnaudit-report" / "tests").glob(f"*{test}*.html")
    return path.read_text("utf-8")


def test_the_terminal_says_what_was_found(ran):
    output, _, _ = ran
    assert "4 failed, 1 passed" in output
    assert "is_sure: failed: 0 of 2 cases pass (0.0 %); 50 % required (margin -0.5)" in output
    assert "a case passes with probability ≥ 0.5; mean 0.3" in output
    assert "settings: temperature 1000.0" in output
    assert "heatmaps: corner-cam at 'inner', target: label" in output
    assert "images from north: failed: 0 < 1" in output
    assert "unexpected keyword argument 'temprature' (did you mean 'temperature'?)" in output


def test_the_record_has_the_finding_and_the_method(ran):
    demands = {"at_least": 0.5, "temperature": 1000.0, "mostly": 0.5, "confidence": None, "min_n": None, "by": None}
    record = json.loads((ran[1] / "cnnaudit-report" / "record.json").read_text("utf-8"))
    [corner] = [one for one in record["findings"] if one["name"] == "mass_inside"]
    # The one with the typo comes last: it is an error of the same assertion, without demands.
    [sure, typo] = [one for one in record["findings"] if one["name"] == "is_sure"]
    assert (sure["outcome"], sure["n"], sure["passed"], sure["demands"]) == ("failed", 2, 0, demands)
    assert (typo["outcome"], typo["demands"]) == ("error", {})
    assert (corner["method"], corner["layer"]) == ("corner-cam", "inner")
    assert "images from north" in [one["name"] for one in record["findings"]]


def test_the_page_has_its_texts_and_settings(ran):
    text = page(ran[1], "test-sure")
    assert "Is sure of its answer" in text
    assert "The scores are divided by the temperature before they become probabilities." in text
    assert "A model that is not sure needs more pictures." in text
    assert "temperature 1000.0" in text
    assert "corner-cam" in page(ran[1], "test-corner")
    assert "images from north" in page(ran[1], "test-option")


def test_junit_has_the_message(ran):
    cases = ElementTree.parse(ran[1] / "junit.xml").getroot().iter("testcase")
    failures = {case.get("name"): case.find("failure") for case in cases}
    assert "is_sure: failed: 0 of 2 cases pass" in failures["test_sure"].get("message")
    assert "heatmaps: corner-cam" in failures["test_corner"].get("message")
    assert "images from north: failed" in failures["test_option"].get("message")


def test_help_has_each(ran):
    _, folder, help_of_pytest = ran
    text = (folder / "help.txt").read_text("utf-8")
    assert "assert_is_sure(self, cases, *, at_least: " in text
    assert "The predicted class has a probability of at least `at_least` at a temperature." in text
    assert re.search(r"Methods: grad-cam, .*, corner-cam\.", text)
    assert re.search(r"--cnnaudit-site=NAME\s+the clinic whose\s+pictures these\s+are", help_of_pytest)


def test_the_docs_tables_have_each(ran):
    text = (ran[1] / "docs.md").read_text("utf-8")
    assert (
        "| calibration | `assert_is_sure(cases, *, at_least=0.5, temperature=1.0)` "
        "| probability of the predicted class at a temperature |" in text
    )
    assert "| `corner-cam` | The corner of the picture, whatever is there. |" in text
    assert "| `--cnnaudit-site` | NAME |  | the clinic whose pictures these are |" in text


def test_the_documentations_assertion_is_one(suite, request):
    page = (request.config.rootpath / "docs" / "writing-tests.md").read_text("utf-8")
    [conftest] = re.findall(r"^```python\n(# conftest\.py\nfrom typing .*?)^```", page, re.DOTALL | re.MULTILINE)
    suite.pytester.makeconftest(conftest)
    suite.write(
        """
def test_population(cnnaudit, cnnaudit_cases):
    assert cnnaudit.assert_is_sure(cnnaudit_cases, at_least=0.9, mostly=0.5).mean > 0.99

def test_single(cnnaudit):
    cnnaudit.assert_is_sure(RED, at_least=1.5)
"""
    )
    result = suite.run_apart()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["E*at_least is 1.5; a number from 0 to 1 is expected*"])
