"""`Audit`: what the `cnnaudit` fixture is.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from pytest_cnnaudit.audit.assertions import has_assertions, nearest_assertion, needs_of
from pytest_cnnaudit.audit.context import Context, Recorder, Settings
from pytest_cnnaudit.audit.families import (
    class_discrimination,
    dead_filters,
    dependence,
    duplicate_filters,
    faithfulness,
    figures,
    filter_patterns,
    finiteness,
    localization,
    mosaics,
    predictions,
    randomization,
    robustness,
    sparsity,
)
from pytest_cnnaudit.audit.populations import as_cases
from pytest_cnnaudit.audit.targets import targets_of
from pytest_cnnaudit.engine.methods import lists_methods
from pytest_cnnaudit.engine.passes import Wanted, class_evidence

if TYPE_CHECKING:
    from pytest_cnnaudit.engine import Engine, FilterPatterns, Layer, LayerStats, Predictions
    from pytest_cnnaudit.engine.cache import Cache
    from pytest_cnnaudit.engine.engine import SeveralLayers, SeveralMethods
    from pytest_cnnaudit.engine.methods import MethodFunction


@has_assertions
class Audit:
    """The engine's methods and the assertions, for one test.

    The engine is asked for when it is first needed, so `check` works without a model. Every assertion
    records a `Finding`, returns it where it passed, and raises `AuditFailure` where it did not.

    Those that judge cases one by one take the rule on the population: the share of cases that must pass (`mostly`),
    how surely that must be shown (`confidence`), how many cases there must be (`min_n`), and whether it must hold in
    each label's cases, or in each group's (`by`).
    """

    def __init__(
        self, test: str, recorder: Recorder, results: Callable[[], Cache], settings: Settings | None = None
    ) -> None:
        self._context = Context(test, recorder, results, settings)

    # For type checkers and readers: the table gives these and any other.
    assert_predicts = predictions.assert_predicts
    assert_mass_inside = localization.assert_mass_inside
    assert_points_at = localization.assert_points_at
    assert_iou = localization.assert_iou
    assert_avoids = localization.assert_avoids
    assert_grid_pointing = mosaics.assert_grid_pointing
    assert_object_matters = dependence.assert_object_matters
    assert_object_suffices = dependence.assert_object_suffices
    assert_ignores_patch = dependence.assert_ignores_patch
    assert_ignores_background = dependence.assert_ignores_background
    assert_class_discriminative = class_discrimination.assert_class_discriminative
    assert_faithful = faithfulness.assert_faithful
    assert_stable = robustness.assert_stable
    assert_follows = robustness.assert_follows
    assert_responds_to_weights = randomization.assert_responds_to_weights
    assert_sparsity_rises = sparsity.assert_sparsity_rises
    assert_no_dead_filters = dead_filters.assert_no_dead_filters
    assert_no_duplicate_filters = duplicate_filters.assert_no_duplicate_filters
    assert_finite = finiteness.assert_finite
    assert_filters_respond = filter_patterns.assert_filters_respond
    assert_filters_distinct = filter_patterns.assert_filters_distinct
    check = figures.check

    if not TYPE_CHECKING:  # for whom it would mean that there is every attribute

        def __getattr__(self, name: str) -> Any:
            __tracebackhide__ = True
            if name.startswith("assert_"):
                raise AttributeError(f"There is no assertion {name!r}{nearest_assertion(name)}")
            return object.__getattribute__(self, name)

    @property
    def context(self) -> Context:
        """What assertions are made with."""
        return self._context

    @property
    def engine(self) -> Engine:
        """The session's engine."""
        return self._context.engine

    @property
    def layers(self) -> tuple[Layer, ...]:
        """See `Engine.layers`."""
        return self.engine.layers

    @property
    def default_layer(self) -> str:
        """See `Engine.default_layer`."""
        return self.engine.default_layer

    def predict(self, images: Any) -> Predictions:
        """See `Engine.predict`; predictions of cases are shared by the session's tests."""
        cases = as_cases(images)
        return self.engine.predict(images) if cases is None else self._context.cache.predictions(cases)

    def activations(self, images: Any, layers: str | Sequence[str] | None = None) -> dict[str, Any]:
        """See `Engine.activations`."""
        return self.engine.activations(images, layers)

    def activation_stats(self, images: Any, layers: str | Sequence[str] | None = None) -> dict[str, LayerStats]:
        """See `Engine.activation_stats`."""
        return self.engine.activation_stats(images, layers)

    @lists_methods
    def heatmaps(
        self,
        images: Any,
        *,
        target: str | int | Sequence[str | int] = "predicted",
        method: str | MethodFunction | SeveralMethods = "grad-cam",
        layer: str | SeveralLayers | None = None,
        score: str = "logit",
        seed: int | None = None,
    ) -> Any:
        """See `Engine.heatmaps`; heatmaps of cases by one method at one layer are shared by the session's tests."""
        cases = as_cases(images)
        seed = self._context.seed if seed is None else seed
        if cases is None or isinstance(method, (list, tuple)) or isinstance(layer, (list, tuple)):
            return self.engine.heatmaps(images, target=target, method=method, layer=layer, score=score, seed=seed)
        classes, _ = targets_of(self._context, cases, target)
        return self._context.cache.heatmaps(cases, targets=classes, method=method, layer=layer, score=score, seed=seed)

    def filter_patterns(self, layer: str, filters: int | Sequence[int] | None = None, **options: Any) -> FilterPatterns:
        """See `Engine.filter_patterns`, whose options these are."""
        return self.engine.filter_patterns(layer, filters, **{"seed": self._context.seed, **options})


def needed_by(names: Collection[str]) -> tuple[Wanted, ...]:
    """What of a forward pass is needed by the methods of `Audit` among these names."""
    own = (class_evidence,) if "predict" in names else ()
    return tuple(dict.fromkeys((*own, *needs_of(names))))
