"""`record.json`, schema 1: what a run found, under which policy, of which model and data.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pytest_cnnaudit.findings import digest
from pytest_cnnaudit.gate import worst

SCHEMA = 1
FINDING = (
    *("test", "name", "outcome", "value", "threshold", "direction", "chance", "interval", "n", "passed"),
    *("unscorable", "method", "layer", "seconds", "target", "mean", "mostly", "confidence", "thresholds", "unit"),
    *("by", "parts", "controls", "demands", "message", "waived", "cases"),
)
"""What schema 1 holds of a finding, in this order; evidence and texts are for the pages alone."""
THRESHOLD = ("name", "value", "direction")
PART = ("name", "outcome", "value", "threshold", "interval", "n", "passed", "mean", "chance")
CASE = ("id", "value", "outcome", "note")
LISTS = {"thresholds": THRESHOLD, "parts": PART, "cases": CASE}
"""What schema 1 holds of each entry of a finding's lists, in this order."""


def now() -> str:
    """The time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def make_record(
    parts: Sequence[Mapping[str, Any]],
    about: Sequence[Mapping[str, Any]],
    *,
    complete: bool,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """The record of a run: `record.json`, without the evidence."""
    findings = [_recorded(finding) for part in parts for finding in part["findings"]]
    cases = {(name, digest) for one in about for name, digest in one.get("cases", ())}
    judged = [finding["outcome"] for finding in findings if not finding["waived"]]
    first: dict[str, Any] = next((dict(one) for one in about if one.get("model")), dict(about[0]) if about else {})
    return {
        "schema": SCHEMA,
        "verdict": worst(judged) if judged else "error",
        "complete": complete and all(part["state"] == "finished" for part in parts),
        "started": min((one["started"] for one in about if one.get("started")), default=None),
        "finished": now(),
        "model": first.get("model"),
        "data": {"cases": len(cases), "sha256": digest(sorted(case for _, case in cases))} if cases else None,
        "environment": first.get("environment"),
        "seed": options.get("seed"),
        "baseline": None,
        "policy_sha256": digest([policy(findings), dict(options)]),
        "findings": findings,
    }


def _recorded(finding: Mapping[str, Any]) -> dict[str, Any]:
    """A finding as schema 1 has it."""
    kept = {key: finding[key] for key in FINDING}
    return kept | {name: [{key: one[key] for key in keys} for one in finding[name]] for name, keys in LISTS.items()}


def is_complete(parts: Sequence[Mapping[str, Any]], about: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every audit of the suite ran to its end: none deselected, skipped, or cut short."""
    tests = {
        name: {test for one in about for test in one.get(name, ())} for name in ("collected", "deselected", "skipped")
    }
    finished = {part["test"] for part in parts if part["state"] == "finished"}
    whole = not any(one.get("partial") for one in about)
    return whole and not tests["deselected"] and not tests["skipped"] and tests["collected"] <= finished


def policy(findings: Sequence[Mapping[str, Any]]) -> list[Any]:
    """What was demanded, apart from what came out."""
    rows = [[finding["test"], finding["name"], finding["demands"]] for finding in findings]
    return sorted(rows, key=json.dumps)
