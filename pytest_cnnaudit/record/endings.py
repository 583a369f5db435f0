"""How a test ended, as a finding: what its own assertions said, or that it never got there.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from pytest_cnnaudit.findings import Finding, Texts

OWN_ASSERTIONS = Texts("The test's own assertions", measured="What this test asserts beside its audits.")
TEST_ITSELF = Texts("The test itself", measured="The test ended otherwise than by an audit's verdict.")


def own_assertions_hold(test: str) -> Finding:
    """A test without an audit that passed."""
    return Finding(test, "assertion", "passed", message="The test's own assertions hold.", texts=OWN_ASSERTIONS)


def own_assertion_failed(test: str, message: str) -> Finding:
    """A plain assert that failed."""
    return Finding(test, "assertion", "failed", message=message, texts=OWN_ASSERTIONS)


def crashed(test: str, message: str) -> Finding:
    """A test that ended otherwise than by an assertion."""
    return Finding(test, "error", "error", message=message, texts=TEST_ITSELF)


def lost(test: str) -> Finding:
    """A test that never ended."""
    message = "The test did not finish: it was interrupted, or the worker that ran it was lost."
    return crashed(test, message)
