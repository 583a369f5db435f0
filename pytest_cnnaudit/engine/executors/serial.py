"""One batch after the other, in this process.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from pytest_cnnaudit.engine.collectors import Collector
from pytest_cnnaudit.engine.images import Batch
from pytest_cnnaudit.engine.models import Model
from pytest_cnnaudit.engine.outputs import check_finite
from pytest_cnnaudit.engine.passes import Computed, united
from pytest_cnnaudit.engine.targets import Targets


def run(model: Model, batches: Iterable[Batch], collectors: Sequence[Collector], targets: Targets | None = None) -> int:
    """Answers what the collectors want in one pass over each batch; gives the number of images.

    Raises `NonFiniteError` for logits that are not finite, where they are wanted.
    """
    wanted, count = united(collector.wanted for collector in collectors), 0
    for batch in batches:
        rows = None
        if targets is not None:
            chosen = targets.of(batch.start, batch.cases)
            batch = replace(batch, targets=tuple(chosen))
            rows = np.full(len(batch.inputs), chosen[-1], np.int32)
            rows[: batch.count] = chosen
        computed = model.compute(wanted, batch.arrays, rows) if wanted else Computed()
        if computed.logits is not None:
            check_finite(computed.logits[: batch.count], "logits", batch.name)
        for collector in collectors:
            collector.add(batch, computed)
        count += batch.count
    return count
