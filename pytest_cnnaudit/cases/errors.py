"""What is wrong with input, and what is used but not as it was written.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations


class CaseError(ValueError):
    """Bad input: the message names the file, the field and the value, and says what to do."""


class CaseWarning(UserWarning):
    """Input that is used, but not as it was written, such as a box clipped to its picture."""
