"""What of a forward pass assertions need, by name, so that the session can take it all from one pass.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import Any, TypeAlias

Wanted: TypeAlias = Any


def class_evidence(model: Any) -> Any:
    """Logits, and gradients of the class' score at the default layer."""
    raise NotImplementedError


def sparsity(model: Any) -> Any:
    """Reductions of the ReLU-like layers' activations."""
    raise NotImplementedError


def finiteness(model: Any) -> Any:
    """Whether the activations of all layers are finite."""
    raise NotImplementedError
