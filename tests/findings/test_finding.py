"""A finding, and the failure that carries it."""

from pytest_cnnaudit.findings import AuditFailure, Finding


def test_a_failed_audit_carries_its_finding():
    failure = AuditFailure(Finding("test_pets.py::test_looks", "x", "failed", message="x: failed"))
    assert isinstance(failure, AssertionError)
    assert (str(failure), failure.finding.name) == ("x: failed", "x")
