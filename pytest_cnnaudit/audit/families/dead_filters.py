"""Whether there are channels that never fire.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_cnnaudit import metrics
from pytest_cnnaudit.audit.assertions import assertion
from pytest_cnnaudit.audit.context import Context
from pytest_cnnaudit.audit.layers import chosen_layers, statistics
from pytest_cnnaudit.audit.limits import compared, holds, listed
from pytest_cnnaudit.audit.one_value import value_finding
from pytest_cnnaudit.audit.populations import check_images
from pytest_cnnaudit.checks import number
from pytest_cnnaudit.engine.passes import sparsity
from pytest_cnnaudit.findings import BarChart, Finding, LayerBar, Threshold

if TYPE_CHECKING:
    pass


@assertion(
    title="Filters are alive",
    quantity="share of filters that never fire, in the worst layer",
    measured=(
        "A filter that stays silent on every picture adds cost and carries nothing. This audit counts in each layer "
        "the filters without a single positive response on these pictures."
    ),
    reading=(
        "Many dead filters point to a learning rate that was too high, a bad initialisation or a layer that is too "
        "wide. A rare filter may only need more pictures to show itself."
    ),
    about="inside the network",
    needs=(sparsity,),
    unit="pictures",
)
def assert_no_dead_filters(
    context: Context, cases: Any, *, layers: Sequence[str] | None = None, at_most: float = 0.1
) -> Finding:
    """In no layer is the share of channels that never fire above `at_most`; the value is the worst layer's.

    A channel is dead where its maximum over all pictures and positions is ≤ 0 (ReLU-like layers), or
    where it is constant. `layers` default to the ReLU-like ones.
    """
    limit = Threshold("dead channels in a layer", number(at_most, "at_most", 0, 1), "at_most")
    check_images(cases)
    chosen = chosen_layers(context, layers, "dead filters on: name the layers")
    stats = statistics(context, cases, chosen)
    shares = {layer.path: stats[layer.path].dead_fraction for layer in chosen}
    worst = max(shares, key=lambda path: shares[path])
    value = shares[worst]
    n = len(stats[worst].sparsity_per_image)
    missed = metrics.missed_rate(n)
    rare = f"; a channel that fires in fewer than {missed:.1%} of pictures may have been missed (95 %)"
    dead = {path: np.flatnonzero(stats[path].dead) for path in shares}
    passed = holds(value, limit)
    above = [path for path, share in shares.items() if not holds(share, limit)]
    share = f"{len(dead[worst])} of {stats[worst].dead.size}"
    lines = [
        f"worst layer {worst!r}: {share} channels never fire, {compared(value, limit)}",
        f"layers above the limit: {listed(above)}" if above else "",
        f"dead channels there: {listed(map(str, dead[worst]))}" if above else "",
        f"over {n} pictures" + (rare if n < 300 else ""),
    ]
    bars = (
        LayerBar(path, share, f"{len(dead[path])} of {stats[path].dead.size} dead") for path, share in shares.items()
    )
    chart = BarChart("Dead channels by layer", "share of channels", tuple(bars))
    return value_finding(value, limit, n=n, passed=n if passed else 0, lines=lines, evidence=[chart], layer=worst)
