"""Which class each case is explained for, and the heatmaps of these classes.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from pytest_cnnaudit.audit.context import Context
from pytest_cnnaudit.audit.populations import where
from pytest_cnnaudit.cases import Sample
from pytest_cnnaudit.engine.passes import PREDICTED

if TYPE_CHECKING:
    from pytest_cnnaudit.engine import Heatmaps
    from pytest_cnnaudit.engine.methods import MethodFunction

Target: TypeAlias = str | int | Sequence[str | int] | None


def explain(
    context: Context, cases: Sequence[Sample], target: Target, method: str | MethodFunction, layer: str | None
) -> tuple[Heatmaps, str]:
    """The cases' heatmaps for their targets, and what the targets are called in the finding."""
    check_labels_of(context, cases)
    classes, aim = targets_of(context, cases, target)
    return context.cache.heatmaps(cases, targets=classes, method=method, layer=layer, seed=context.seed), aim


def check_labels_of(context: Context, cases: Sequence[Sample]) -> None:
    """`CaseError` naming the case for the first label that is not a class of the model."""
    context.engine.classes.check_labels(cases)


def targets_of(context: Context, cases: Sequence[Sample], target: Target) -> tuple[list[int | None], str]:
    """Class indices (None: the predicted one), and what they are called in the finding."""
    if target is None:
        labelled = [case.label is not None for case in cases]
        each: list[Any] = ["label" if has else "predicted" for has in labelled]
        aim = "label" if all(labelled) else "label where given, else predicted" if any(labelled) else "predicted"
    elif isinstance(target, (str, int, np.integer)):
        each, aim = [target] * len(cases), str(target)
    elif isinstance(target, (Sequence, np.ndarray)):
        each, aim = list(target), "as given"
        if len(each) != len(cases):
            raise ValueError(f"target has {len(each)} entries for {len(cases)} cases")
    else:
        raise TypeError(f"target is {target!r}; a class' name or index, or a sequence of these is expected")
    check_labels_of(context, [case for case, one in zip(cases, each, strict=True) if str(one) == "label"])
    classes = context.engine.classes
    found = [
        classes.target(one, case, partial(_unlabeled, where(case, index)))
        for index, (one, case) in enumerate(zip(each, cases, strict=True))
    ]
    return [None if one == PREDICTED else one for one in found], aim


def _unlabeled(name: str, labels: tuple[str | int, ...]) -> ValueError:
    return ValueError(f"{name} {'has several labels: name the class as target=' if labels else 'has no label'}")


def classes_of(context: Context, cases: Sequence[Sample], target: Target) -> tuple[list[int], str]:
    """Class indices, those of predicted classes included, and what they are called in the finding."""
    check_labels_of(context, cases)
    targets, aim = targets_of(context, cases, target)
    predicted = context.cache.predictions(cases).classes.tolist() if None in targets else []
    return [predicted[at] if one is None else one for at, one in enumerate(targets)], aim
