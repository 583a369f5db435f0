"""What was found, in one or two sentences.

PYTEST_DONT_REWRITE
"""

from pytest_cnnaudit.report.limits import limits, nearest
from pytest_cnnaudit.report.number_text import number, percent, show
from pytest_cnnaudit.report.recorded import Finding, counted, is_share, outcome, texts


def sentence(finding: Finding) -> str:
    """Say in one or two sentences what was found and what was required."""
    if outcome(finding) == "error" or number(finding.get("value")) is None:
        return first_line(finding.get("message")) or "This audit gave no number."
    if is_share(finding):
        return _about_cases(finding)
    if texts(finding).yes_no:
        return _about_one(finding)
    value, required = finding.get("value"), limits(finding)
    text = f"The {texts(finding).quantity} is {show(value, nearest(required, value))}"
    if required:
        verb = "is" if len(required) == 1 else "are"
        text += f"; {' and '.join(one.text(value) for one in required)} {verb} asked for"
    why = "".join(f", {one.why}" for one in required if one.why)
    chance = "" if why or number(finding.get("chance")) is None else f" Chance is {show(finding['chance'])}."
    return f"{text}{why}.{chance}"


def axis(finding: Finding) -> str:
    """Name what the finding's number line shows."""
    return f"share of {counted(finding)} that pass" if is_share(finding) else texts(finding).quantity


def first_line(text: object) -> str:
    """Give the first line that is not blank."""
    return next((line.strip() for line in str(text or "").splitlines() if line.strip()), "")


def _about_one(finding: Finding) -> str:
    if finding.get("outcome") == "passed":
        return "The picture passes."
    note = next((str(case["note"]) for case in finding.get("cases") or () if case.get("note")), "")
    return f"The picture does not pass{f': {note}' if note else ''}."


def _about_cases(finding: Finding) -> str:
    n, passed, unscorable = (int(finding.get(key) or 0) for key in ("n", "passed", "unscorable"))
    mostly, confidence = float(finding["mostly"]), number(finding.get("confidence"))
    required = "all must" if mostly >= 1 else f"at least {percent(mostly)} must"
    if confidence is not None:
        required += f", shown with {percent(confidence)} confidence"
    text = f"{_part(finding)}{passed} of {n} {counted(finding)} pass ({percent(passed / n)}); {required}."
    if unscorable:
        verb = "counts" if unscorable == 1 else "count"
        text += f" {unscorable} could not be scored and {verb} as not passed."
    return text


def _part(finding: Finding) -> str:
    """Name the class or group that the numbers are about, where the verdict was taken in each."""
    parts = finding.get("parts") or ()
    return f"The worst of {len(parts)} {finding.get('by')}s is {parts[0].get('name')}: " if parts else ""
