"""What the `cnnaudit` fixture is: assertions, each an engine call, a measure, a verdict and its evidence.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from os import PathLike
from typing import Any

import numpy as np
from PIL import Image

from pytest_cnnaudit.audit import exhibits
from pytest_cnnaudit.audit.base import InconclusiveWarning, Settings, audited
from pytest_cnnaudit.audit.dependence import Dependence
from pytest_cnnaudit.audit.faithfulness import Faithfulness
from pytest_cnnaudit.audit.inside import Inside
from pytest_cnnaudit.audit.judging import as_limits, compared, holds
from pytest_cnnaudit.audit.localisation import Localisation
from pytest_cnnaudit.audit.mosaics import Mosaics
from pytest_cnnaudit.audit.patterns import Patterns
from pytest_cnnaudit.audit.predicting import Predicting
from pytest_cnnaudit.audit.trust import Trust
from pytest_cnnaudit.cases import Case
from pytest_cnnaudit.checks import number
from pytest_cnnaudit.findings import Finding

__all__ = ["Audit", "InconclusiveWarning", "Settings"]


class Audit(Localisation, Mosaics, Dependence, Trust, Faithfulness, Inside, Patterns, Predicting):
    """The engine's methods and the assertions, for one test.

    The engine is asked for when it is first needed, so `check` works without a model. Every assertion
    records a `Finding`, returns it where it passed, and raises `AuditFailure` where it did not.
    """

    @audited
    def check(
        self,
        name: str,
        value: float,
        *,
        at_least: float | None = None,
        at_most: float | None = None,
        chance: float | None = None,
        evidence: Sequence[Any] = (),
    ) -> Finding:
        """Holds the user's own figure against limits, and records and shows it like ours. Needs no model.

        `evidence` is a sequence of texts, `Case`s, pictures or paths of pictures for the page.
        """
        if not isinstance(name, str) or not name.strip():
            raise TypeError(f"name must be a text that is not empty, not {name!r}")
        measured = number(value, f"value of {name!r}")
        limits = as_limits(
            ("at least", at_least, "at_least", "at_least"),
            ("at most", at_most, "at_most", "at_most"),
            low=-math.inf,
            high=math.inf,
        )
        if chance is not None:
            chance = number(chance, f"chance of {name!r}")
        if not isinstance(evidence, (Iterable, Case, PathLike, Image.Image)):
            expected = "a sequence of texts, Cases, pictures or paths of pictures"
            raise TypeError(f"evidence is {evidence!r}; {expected} is expected")
        items = [evidence] if isinstance(evidence, (str, Case, PathLike, Image.Image, np.ndarray)) else list(evidence)
        limits = tuple(sorted(limits, key=lambda limit: holds(measured, limit, exact=True)))  # a missed one first
        missed, decisive = not holds(measured, limits[0], exact=True), limits[0]
        lines = [compared(measured, limit, exact=True) for limit in limits]
        if chance is not None:
            lines.append(f"chance {chance:.4g}")
        return Finding(
            self._test,
            name,
            "failed" if missed else "passed",
            value=measured,
            threshold=decisive.value,
            direction=decisive.direction,
            chance=chance,
            n=1,
            passed=int(not missed),
            thresholds=limits,
            message=self._message(" ".join(name.split()), not missed, lines),
            evidence=tuple(exhibits.user_evidence(item, embed=self._settings.pictures == "embed") for item in items),
        )
