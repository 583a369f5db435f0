"""What the `cnnaudit` fixture is: assertions, each an engine call, a measure, a verdict and its evidence.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import functools
import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from os import PathLike
from typing import Any, Concatenate, ParamSpec, TypeAlias

import numpy as np
from PIL import Image

from pytest_cnnaudit import evidence, gate, metrics
from pytest_cnnaudit.cases import Box, Case, Mask, check_labels
from pytest_cnnaudit.engine import Engine, Heatmaps, Layer, LayerStats, Predictions
from pytest_cnnaudit.engine.heatmaps import Method
from pytest_cnnaudit.provenance import case_digest
from pytest_cnnaudit.record import AuditFailure, CaseResult, Finding, Recorder, Threshold
from pytest_cnnaudit.results import Results

P = ParamSpec("P")
Region: TypeAlias = Box | Mask
Target: TypeAlias = str | int | Sequence[str | int] | None

MOST_EVIDENCE = 12
LARGEST_ALLOWED_REGION = 0.8
MOST_LINES = 12


@dataclass(frozen=True)
class Settings:
    """What of the options concerns a single test."""

    artifacts: str = "failed"
    inconclusive: str = "fail"
    seed: int = 0
    pictures: str = "embed"


class InconclusiveWarning(UserWarning):
    """An audit that neither passed nor failed, under `--cnnaudit-inconclusive warn`."""


@dataclass(frozen=True)
class Score:
    """One case's value, its chance level, and why it can't be scored if it can't."""

    value: float | None
    chance: float | None = None
    unscorable: str = ""
    note: str = ""


def audited(
    assertion: Callable[Concatenate[Audit, P], Finding],
) -> Callable[Concatenate[Audit, P], Finding]:
    """Records what an assertion finds, or that it could not find anything, and raises unless it passed."""
    name = assertion.__name__.removeprefix("assert_")

    @functools.wraps(assertion)
    def wrapper(self: Audit, *args: P.args, **kwargs: P.kwargs) -> Finding:
        __tracebackhide__ = True
        start = time.perf_counter()
        try:
            finding = assertion(self, *args, **kwargs)
        except Exception as error:
            seconds = time.perf_counter() - start
            self._recorder.add(Finding(self._test, name, "error", seconds=seconds, message=str(error)))
            error.recorded_by_cnnaudit = True  # type: ignore[attr-defined]
            raise
        finding = replace(finding, test=self._test, seconds=time.perf_counter() - start)
        return self._conclude(finding)

    return wrapper


class Audit:
    """The engine's methods and the assertions, for one test.

    The engine is asked for when it is first needed, so `check` works without a model. Every assertion
    records a `Finding`, returns it where it passed, and raises `AuditFailure` where it did not.
    """

    def __init__(
        self, test: str, recorder: Recorder, results: Callable[[], Results], settings: Settings | None = None
    ) -> None:
        self._test = test
        self._recorder = recorder
        self._get_results = results
        self._settings = Settings() if settings is None else settings

    # The engine's methods

    @property
    def engine(self) -> Engine:
        """The session's engine."""
        return self._results.engine

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
        cases = _as_cases(images)
        return self.engine.predict(images) if cases is None else self._results.predictions(cases)

    def activations(self, images: Any, layers: str | Sequence[str] | None = None) -> dict[str, Any]:
        """See `Engine.activations`."""
        return self.engine.activations(images, layers)

    def activation_stats(self, images: Any, layers: str | Sequence[str] | None = None) -> dict[str, LayerStats]:
        """See `Engine.activation_stats`."""
        return self.engine.activation_stats(images, layers)

    def heatmaps(
        self,
        images: Any,
        *,
        target: str | int | Sequence[str | int] = "predicted",
        method: str | Method = "grad-cam",
        layer: str | None = None,
        score: str = "logit",
    ) -> Heatmaps:
        """See `Engine.heatmaps`; heatmaps of cases are shared by the session's tests."""
        cases = _as_cases(images)
        if cases is None:
            return self.engine.heatmaps(images, target=target, method=method, layer=layer, score=score)
        targets, _ = self._targets(cases, target)
        return self._results.heatmaps(cases, targets=targets, method=method, layer=layer, score=score)

    # Where it looks

    @audited
    def assert_mass_inside(
        self,
        cases: Case | Sequence[Case],
        *,
        at_least: float | None = 0.5,
        excess_at_least: float | None = 0.2,
        region: Region | Sequence[Region] | None = None,
        target: Target = None,
        method: str | Method = "grad-cam",
        layer: str | None = None,
        mostly: float = 1.0,
        confidence: float | None = None,
        min_n: int | None = None,
    ) -> Finding:
        """The share of the heatmap's mass inside the region is at least `at_least`, and clearly above chance.

        The energy-based pointing game (Wang 2020, arXiv:1910.01279 §4.3). `excess_at_least` demands
        (m − a) / (1 − a) for a region of area share a, which a large region can't give away; None drops a
        limit. `region` stands for the cases' own. A case whose heatmap is empty, or whose region was lost
        in preprocessing, is unscorable and counts as not passed.
        """
        population = self._population(cases)
        limits = _limits(
            ("mass inside", at_least, "at_least", "at_least"), ("excess", excess_at_least, "at_least", "excess_at_least")
        )
        maps, aim = self._explain(population, target, method, layer)
        given = _given_regions(region)
        scores = []
        for index, case in enumerate(population):
            inside = case.regions if given is None else given
            if not inside:
                raise ValueError(f"{case.where} has no region: give the Case one, or hand one over as region=")
            score = _mass(maps, index, inside)
            scores.append(_too_easy(score, maps, index, inside, at_least, single=isinstance(cases, Case)))

        def passes(score: Score) -> bool:
            mass, chance = score.value or 0.0, score.chance or 0.0
            enough = at_least is None or mass >= at_least
            return enough and (excess_at_least is None or metrics.excess(mass, chance) >= excess_at_least)

        judged = _Judged("mass_inside", population, scores, passes, limits, isinstance(cases, Case), "mass inside")
        finding = judged.finding(mostly, confidence, min_n, self._page)
        finding = _with_null(finding, maps, population, given)
        return self._with_cases(finding, judged, maps, given, "inside", aim)

    @audited
    def assert_avoids(
        self,
        cases: Case | Sequence[Case],
        *,
        at_most: float = 0.1,
        region: Region | Sequence[Region] | None = None,
        target: Target = None,
        method: str | Method = "grad-cam",
        layer: str | None = None,
        mostly: float = 1.0,
        confidence: float | None = None,
        min_n: int | None = None,
    ) -> Finding:
        """The share of the heatmap's mass in the forbidden region is at most `at_most`.

        `region` stands for the cases' own forbidden regions. A case whose heatmap is empty is unscorable and
        counts as not passed: a map that shows nothing avoids nothing.
        """
        population = self._population(cases)
        limits = _limits(("mass in the forbidden region", at_most, "at_most", "at_most"))
        maps, aim = self._explain(population, target, method, layer)
        given = _given_regions(region)
        scores = []
        for index, case in enumerate(population):
            forbidden = case.forbidden_regions if given is None else given
            if not forbidden:
                raise ValueError(
                    f"{case.where} has no forbidden region: give the Case one as forbidden=, or hand one over as region="
                )
            scores.append(_mass(maps, index, forbidden))

        def passes(score: Score) -> bool:
            return score.value is not None and score.value <= at_most

        name = "mass in the forbidden region"
        judged = _Judged("avoids", population, scores, passes, limits, isinstance(cases, Case), name)
        finding = judged.finding(mostly, confidence, min_n, self._page)
        return self._with_cases(finding, judged, maps, given, "forbidden", aim)

    # Inside the network

    @audited
    def assert_sparsity_rises(
        self,
        cases: Any,
        *,
        layers: Sequence[str] | None = None,
        measure: str = "auto",
        trend_at_least: float = 0.5,
    ) -> Finding:
        """Activations get sparser with depth: the mean over pictures of Kendall's τ-b is at least `trend_at_least`.

        `layers` (in the order of execution) default to the ReLU-like ones. `measure` is `"zero_fraction"`,
        `"hoyer"`, or `"auto"`: the zero fraction where all layers are ReLU-like, else Hoyer's. A picture with
        the same sparsity in all layers has no trend and counts as 0. Judges one value of the population.
        """
        limit = _number(trend_at_least, "trend_at_least", -1, 1)
        chosen = self._relu_like(layers, "sparsity")
        if len(chosen) < 3:
            raise ValueError(f"A trend over depth needs at least 3 layers; there are {len(chosen)}: {_paths(chosen)}")
        stats = self._stats(cases, chosen)
        measure = _sparsity_measure(measure, chosen, stats)
        profiles = np.stack([_sparsity(stats[layer.path], measure) for layer in chosen], axis=1)
        trend = metrics.trend_per_image(profiles)
        taus = np.where(trend.unscorable, 0.0, trend.taus)
        value, n = float(taus.mean()), len(taus)
        interval = metrics.mean_interval(taus, seed=self._settings.seed)
        flat = int(trend.unscorable.sum())
        page = metrics.page_trend(profiles)
        means = profiles.mean(axis=0)
        passed = value >= limit and flat < n
        lines = [
            f"mean of Kendall's τ-b over {n} pictures {_compared(value, limit, 'at_least')}, chance 0",
            "" if interval is None else f"95 % bootstrap interval [{interval[0]:.3f}, {interval[1]:.3f}]",
            "" if page is None else f"Page's trend test p = {page:.2g} (reported, not judged)",
            f"{measure} of {len(chosen)} layers: first {chosen[0].path!r} {means[0]:.3f}, last {chosen[-1].path!r} {means[-1]:.3f}",
            f"{flat} of {n} pictures have the same sparsity in all layers and count as 0" if flat else "",
        ]
        rows = [{"layer": layer.path, "value": float(mean), "note": ""} for layer, mean in zip(chosen, means, strict=True)]
        chart = {"kind": "layers", "title": "Activation sparsity over depth", "unit": measure.replace("_", " "), "rows": rows}
        return Finding(
            self._test,
            "sparsity_rises",
            "passed" if passed else "failed",
            value=value,
            threshold=limit,
            direction="at_least",
            chance=0.0,
            interval=interval,
            n=n,
            passed=int(np.count_nonzero(taus >= limit)),
            unscorable=flat,
            thresholds=(Threshold("mean trend", limit, "at_least"),),
            message=self._message("sparsity_rises", passed, lines),
            cases=_picture_results(cases, taus, trend.unscorable, limit),
            evidence=(chart,),
        )

    @audited
    def assert_no_dead_filters(
        self, cases: Any, *, layers: Sequence[str] | None = None, at_most: float = 0.1
    ) -> Finding:
        """In no layer is the share of channels that never fire above `at_most`; the value is the worst layer's.

        A channel is dead where its maximum over all pictures and positions is ≤ 0 (ReLU-like layers), or
        where it is constant. `layers` default to the ReLU-like ones.
        """
        limit = _number(at_most, "at_most", 0, 1)
        chosen = self._relu_like(layers, "dead filters")
        stats = self._stats(cases, chosen)
        shares = {layer.path: stats[layer.path].dead_fraction for layer in chosen}
        worst = max(shares, key=lambda path: shares[path])
        value = shares[worst]
        n = len(stats[worst].sparsity_per_image)
        dead = {path: np.flatnonzero(stats[path].dead) for path in shares}
        passed = value <= limit
        above = [path for path, share in shares.items() if share > limit]
        lines = [
            f"worst layer {worst!r}: {len(dead[worst])} of {stats[worst].dead.size} channels never fire, "
            f"{_compared(value, limit, 'at_most')}",
            f"layers above the limit: {_listed(above)}" if above else "",
            f"dead channels there: {_listed(map(str, dead[worst]))}" if above else "",
            f"over {n} pictures" + (f"; a firing rate below {3 / n:.1%} would have been missed (95 %)" if n < 300 else ""),
        ]
        rows = [
            {"layer": path, "value": share, "note": f"{len(dead[path])} of {stats[path].dead.size} dead"}
            for path, share in shares.items()
        ]
        chart = {"kind": "layers", "title": "Dead channels by layer", "unit": "share of channels", "rows": rows}
        return Finding(
            self._test,
            "no_dead_filters",
            "passed" if passed else "failed",
            value=value,
            threshold=limit,
            direction="at_most",
            n=n,
            passed=n if passed else 0,
            layer=worst,
            thresholds=(Threshold("dead channels in a layer", limit, "at_most"),),
            message=self._message("no_dead_filters", passed, lines),
            evidence=(chart,),
        )

    # Predictions

    @audited
    def assert_predicts(
        self,
        cases: Case | Sequence[Case],
        *,
        top: int = 1,
        mostly: float = 1.0,
        confidence: float | None = None,
        min_n: int | None = None,
    ) -> Finding:
        """The label is among the `top` most probable classes; of several labels, one is enough."""
        population = self._population(cases)
        if isinstance(top, bool) or not isinstance(top, int) or not 1 <= top < self.engine.num_classes:
            raise ValueError(f"top is {top!r}; give 1 to {self.engine.num_classes - 1}, the number of classes less one")
        check_labels(population, self.engine.class_names)
        predicted = self._results.predictions(population)
        order = np.argsort(-predicted.logits, axis=1, kind="stable")[:, :top]
        scores = []
        for case, best in zip(population, order, strict=True):
            if not case.labels:
                raise ValueError(f"{case.where} has no label: give the Case one")
            hit = any(self.engine.class_index(label) in best for label in case.labels)
            note = "" if hit else f"predicted {predicted.name(int(best[0]))}"
            scores.append(Score(float(hit), top / self.engine.num_classes, note=note))
        limits = (Threshold("label among the top " + str(top), 1.0, "at_least"),)
        judged = _Judged(
            "predicts", population, scores, lambda score: score.value == 1.0, limits, isinstance(cases, Case), "accuracy"
        )
        finding = judged.finding(mostly, confidence, min_n, self._page)
        return self._with_cases(finding, judged, None, None, "inside", "label")

    # Anything

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
        if not isinstance(name, str) or not name:
            raise TypeError(f"name must be a text that is not empty, not {name!r}")
        measured = _number(value, "value")
        limits = _limits(("at least", at_least, "at_least", "at_least"), ("at most", at_most, "at_most", "at_most"))
        if chance is not None:
            chance = _number(chance, "chance")
        items = [evidence] if isinstance(evidence, (str, Case, PathLike, Image.Image)) else list(evidence)
        missed = [limit for limit in limits if not _holds(measured, limit)]
        decisive = (missed or list(limits))[0]
        lines = [_compared(measured, limit.value, limit.direction) for limit in limits]
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
            message=self._message(name, not missed, lines),
            evidence=tuple(_user_evidence(items, self._settings)),
        )

    # How

    @property
    def _results(self) -> Results:
        return self._get_results()

    @property
    def _page(self) -> str:
        return "" if self._settings.artifacts == "off" else f"page: {self._recorder.page(self._test)}"

    def _conclude(self, finding: Finding) -> Finding:
        __tracebackhide__ = True
        keep = self._settings.artifacts == "all" or (self._settings.artifacts == "failed" and finding.outcome != "passed")
        self._recorder.add(finding if keep else replace(finding, evidence=()))
        if finding.outcome == "passed":
            return finding
        if finding.outcome == "inconclusive" and self._settings.inconclusive == "warn":
            warnings.warn(finding.message, InconclusiveWarning, stacklevel=3)
            return finding
        raise AuditFailure(finding)

    def _message(self, name: str, passed: bool, lines: Sequence[str]) -> str:
        return _text(name, "passed" if passed else "failed", [*lines, "" if passed else self._page])

    def _population(self, cases: Case | Sequence[Case]) -> list[Case]:
        population = _population(cases)
        self._recorder.saw(population, case_digest)
        return population

    def _explain(
        self, cases: Sequence[Case], target: Target, method: str | Method, layer: str | None
    ) -> tuple[Heatmaps, str]:
        check_labels(cases, self.engine.class_names)
        targets, aim = self._targets(cases, target)
        return self._results.heatmaps(cases, targets=targets, method=method, layer=layer), aim

    def _targets(self, cases: Sequence[Case], target: Target) -> tuple[list[int | None], str]:
        """Class indices (None: the predicted one), and what they are called in the finding."""
        if target is None:
            labelled = [case.label is not None for case in cases]
            each: list[Any] = ["label" if has else "predicted" for has in labelled]
            aim = "label" if all(labelled) else "label where given, else predicted" if any(labelled) else "predicted"
        elif isinstance(target, (str, int, np.integer)):
            each, aim = [target] * len(cases), str(target)
        else:
            each, aim = list(target), "as given"
            if len(each) != len(cases):
                raise ValueError(f"target has {len(each)} entries for {len(cases)} cases")
        return [self._target(one, case) for one, case in zip(each, cases, strict=True)], aim

    def _target(self, target: str | int, case: Case) -> int | None:
        if target == "predicted":
            return None
        if target != "label":
            return self.engine.class_index(target)
        if len(case.labels) != 1:
            problem = "has several labels: name the class as target=" if case.labels else "has no label"
            raise ValueError(f"{case.where} {problem}")
        return self.engine.class_index(case.labels[0])

    def _relu_like(self, layers: Sequence[str] | None, what: str) -> list[Layer]:
        if isinstance(layers, str):
            raise TypeError(f"layers must be a sequence of layer names, not the str {layers!r}")
        if layers is None:
            chosen = [layer for layer in self.engine.layers if layer.is_relu_like]
            if not chosen:
                raise ValueError(
                    f"The model has no ReLU-like layer to judge {what} on: name the layers, and measure='hoyer' for sparsity"
                )
            return chosen
        wanted = {self.engine.layer(name).path for name in layers}
        if not wanted:
            raise ValueError("layers is empty: name at least one layer, or leave it out")
        return [layer for layer in self.engine.layers if layer.path in wanted]

    def _stats(self, cases: Any, layers: Sequence[Layer]) -> dict[str, LayerStats]:
        paths = [layer.path for layer in layers]
        images = _as_cases(cases)
        self._recorder.saw(images or (), case_digest)
        stats = dict(self._results.stats(cases if images is None else images, paths))
        for path, one in stats.items():
            if not (np.isfinite(one.mean).all() and np.isfinite(one.max).all()):
                raise ValueError(f"The activations of {path!r} hold NaN or infinity: nothing about them can be judged")
        return stats

    def _with_cases(
        self,
        finding: Finding,
        judged: _Judged,
        maps: Heatmaps | None,
        given: Sequence[Region] | None,
        role: str,
        aim: str,
    ) -> Finding:
        """Adds what the heatmaps tell of a finding, and the worst cases as evidence."""
        if maps is not None:
            finding = replace(finding, method=maps.method, layer=maps.layer)
        finding = replace(finding, target=aim)
        if self._settings.artifacts == "off" or (self._settings.artifacts == "failed" and finding.outcome == "passed"):
            return finding
        predicted = self._results.predictions(judged.cases)
        embed = self._settings.pictures == "embed"
        shown = []
        for index in judged.worst_first()[:MOST_EVIDENCE]:
            case, result = judged.cases[index], judged.results[index]
            target = None if maps is None else predicted.name(int(maps.targets[index]))
            label = ", ".join(str(name) for name in case.labels) or None
            shown.append(
                {
                    "kind": "case",
                    "id": result.id,
                    "value": result.value,
                    "outcome": result.outcome,
                    "note": result.note,
                    "label": label,
                    "target": target,
                    "chance": judged.scores[index].chance,
                    "picture": evidence.case_picture(case, embed=embed),
                    "regions": evidence.regions(case, given, role),
                    "heatmap": None if maps is None else evidence.heatmap(maps, index),
                    "predictions": evidence.predictions(predicted, index),
                }
            )
        return replace(finding, evidence=tuple(shown))


@dataclass(frozen=True)
class _Judged:
    """A population whose cases are judged one by one."""

    name: str
    cases: Sequence[Case]
    scores: Sequence[Score]
    passes: Callable[[Score], bool]
    limits: tuple[Threshold, ...]
    single: bool
    measure: str

    @functools.cached_property
    def results(self) -> tuple[CaseResult, ...]:
        """Each case's result, in the order of the cases."""
        return tuple(
            CaseResult(_case_id(case, index), score.value, self._outcome(score), score.unscorable or score.note)
            for index, (case, score) in enumerate(zip(self.cases, self.scores, strict=True))
        )

    def _outcome(self, score: Score) -> Any:
        if score.unscorable or score.value is None:
            return "unscorable"
        return "passed" if self.passes(score) else "failed"

    def worst_first(self) -> list[int]:
        """Positions of the cases: unscorable ones, then from the worst value to the best."""
        sign = 1 if self.limits[0].direction == "at_least" else -1
        return sorted(
            range(len(self.cases)),
            key=lambda index: (
                ("failed", "unscorable", "passed").index(self.results[index].outcome),
                sign * (self.scores[index].value or 0.0),
            ),
        )

    def finding(self, mostly: float, confidence: float | None, min_n: int | None, page: str) -> Finding:
        """The finding, without what heatmaps add."""
        passed = sum(result.outcome == "passed" for result in self.results)
        verdict = gate.judge(passed, len(self.results), mostly=mostly, confidence=confidence, min_n=min_n)
        unscorable = sum(result.outcome == "unscorable" for result in self.results)
        chances = [score.chance for score in self.scores if score.chance is not None]
        chance = float(np.mean(chances)) if chances else None
        values = [score.value for score in self.scores if score.value is not None]
        mean = float(np.mean(values)) if values else None
        limit = self.limits[0]
        finding = Finding(
            test="",
            name=self.name,
            outcome=verdict.outcome,
            value=self.scores[0].value if self.single else verdict.value,
            threshold=limit.value if self.single else verdict.threshold,
            direction=limit.direction if self.single else "at_least",
            chance=chance,
            interval=None if self.single else verdict.interval,
            n=len(self.results),
            passed=passed,
            unscorable=unscorable,
            mean=mean,
            mostly=None if self.single else mostly,
            confidence=confidence,
            thresholds=self.limits,
            cases=self.results,
        )
        lines = self._single_lines(chance) if self.single else self._lines(verdict.reason, mean, chance)
        return replace(finding, message=_text(self.name, finding.outcome, [*lines, "" if passed == finding.n else page]))

    def _single_lines(self, chance: float | None) -> list[str]:
        score, result = self.scores[0], self.results[0]
        if result.outcome == "unscorable":
            return [f"{result.id}: unscorable, {result.note}"]
        lines = [f"{result.id}: {self.measure} {_compared(score.value or 0.0, self.limits[0].value, self.limits[0].direction)}"]
        if chance is not None:
            lines[0] += f", chance {chance:.3f}"
        for limit in self.limits[1:]:
            excess = float(metrics.excess(score.value or 0.0, chance or 0.0))
            lines.append(f"{limit.name} {_compared(excess, limit.value, limit.direction)}, chance 0")
        return [*lines, result.note]

    def _lines(self, reason: str, mean: float | None, chance: float | None) -> list[str]:
        limits = " and ".join(f"{limit.name} {_SIGN[limit.direction]} {limit.value:g}" for limit in self.limits)
        numbers = "" if mean is None else f"; mean {mean:.3f}"
        numbers += "" if chance is None else f", chance {chance:.3f}"
        worst = [index for index in self.worst_first() if self.results[index].outcome == "failed"]
        unscorable = [result for result in self.results if result.outcome == "unscorable"]
        return [
            reason,
            f"a case passes with {limits}{numbers}",
            "worst: " + _listed(_brief(self.results[index]) for index in worst) if worst else "",
            f"{len(unscorable)} unscorable: {unscorable[0].id}: {unscorable[0].note}" if unscorable else "",
        ]


_SIGN = {"at_least": "≥", "at_most": "≤"}


def _text(name: str, outcome: str, lines: Sequence[str]) -> str:
    head, *rest = [line for line in lines if line]
    return "\n  ".join([f"{name}: {outcome}: {head}", *rest][:MOST_LINES])


def _compared(value: float, limit: float, direction: str) -> str:
    """`0.312 < 0.5 (margin −0.188)`: a negative margin misses the limit."""
    margin = value - limit if direction == "at_least" else limit - value
    holds = margin >= 0
    sign = {("at_least", True): "≥", ("at_least", False): "<", ("at_most", True): "≤", ("at_most", False): ">"}
    return f"{value:.4g} {sign[direction, holds]} {limit:g} (margin {margin:+.3g})"


def _holds(value: float, limit: Threshold) -> bool:
    return value >= limit.value if limit.direction == "at_least" else value <= limit.value


def _brief(result: CaseResult) -> str:
    return f"{result.id} {result.value:.3f}" if result.value is not None else result.id


def _listed(items: Any, most: int = 5) -> str:
    every = list(items)
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")


def _paths(layers: Sequence[Layer]) -> str:
    return _listed(layer.path for layer in layers)


def _as_cases(images: Any) -> list[Case] | None:
    """The images as cases where they are one or several; None for anything else, which the engine reads."""
    if isinstance(images, Case):
        return [images]
    if isinstance(images, Sequence) and len(images) and all(isinstance(image, Case) for image in images):
        return list(images)
    return None


def _population(cases: Case | Sequence[Case]) -> list[Case]:
    if not isinstance(cases, Case) and (isinstance(cases, str) or not isinstance(cases, Sequence)):
        raise TypeError(f"cases must be a Case or a sequence of Cases, not {type(cases).__name__}")
    population = [cases] if isinstance(cases, Case) else list(cases)
    if not population:
        raise ValueError("cases is empty: there is nothing to judge")
    wrong = next((case for case in population if not isinstance(case, Case)), None)
    if wrong is not None:
        raise TypeError(f"cases must hold Cases only, not {type(wrong).__name__}")
    names = [_case_id(case, index) for index, case in enumerate(population)]
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise ValueError(f"cases holds {twice!r} twice: give each case an id of its own")
    return population


def _case_id(case: Case, index: int) -> str:
    return f"case {index}" if case.name == "case" and case.id is None else case.name


def _given_regions(region: Region | Sequence[Region] | None) -> tuple[Region, ...] | None:
    if region is None:
        return None
    given = (region,) if isinstance(region, (Box, Mask)) else tuple(region)
    if not given or not all(isinstance(one, (Box, Mask)) for one in given):
        raise TypeError(f"region must be a Box, a Mask or a sequence of these, not {region!r}")
    return given


def _number(value: Any, name: str, low: float = -math.inf, high: float = math.inf) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (Real, np.number)):
        raise TypeError(f"{name} is {value!r}; a number is expected")
    if not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}; a finite number is expected")
    if not low <= value <= high:
        raise ValueError(f"{name} is {value!r}; a number from {low:g} to {high:g} is expected")
    return float(value)


def _limits(*limits: tuple[str, float | None, Any, str]) -> tuple[Threshold, ...]:
    """Thresholds from (name, value, direction, argument); an excess or share lies in [−1, 1]."""
    bounded = any(argument == "excess_at_least" or "mass" in name for name, _, _, argument in limits)
    low, high = (-1.0, 1.0) if bounded else (-math.inf, math.inf)
    given = tuple(
        Threshold(name, _number(value, argument, low, high), direction)
        for name, value, direction, argument in limits
        if value is not None
    )
    if not given:
        raise ValueError(f"No threshold: give {' or '.join(argument for *_, argument in limits)}")
    return given


def _mass(maps: Heatmaps, index: int, regions: Sequence[Region]) -> Score:
    """Mass of one map in the union of regions, with its chance level."""
    coverage = _coverage(maps, index, regions)
    if not coverage.any():
        return Score(None, None, "the region was lost in preprocessing")
    chance = float(metrics.chance(coverage))
    if maps.empty[index]:
        negative = maps.negative_share[index]
        return Score(
            None,
            chance,
            "no positive evidence for this class at this layer (empty heatmap, "
            f"{negative:.0%} of the evidence is negative)",
        )
    return Score(float(metrics.mass_inside(maps.maps[index], coverage)), chance, note=_ceiling_note(coverage))


def _ceiling_note(coverage: Any) -> str:
    ceiling = float(metrics.ceiling(coverage))
    return f"smaller than a grid cell: no map can reach more than {ceiling:.3f}" if ceiling < 1 - 1e-9 else ""


def _too_easy(
    score: Score, maps: Heatmaps, index: int, regions: Sequence[Region], at_least: float | None, *, single: bool
) -> Score:
    """A case that can't fail or can't pass is no test: an error for a single case, else unscorable."""
    if score.chance is None:
        return score
    ceiling = float(metrics.ceiling(_coverage(maps, index, regions)))
    problem = ""
    if score.chance > LARGEST_ALLOWED_REGION:
        problem = f"the region covers {score.chance:.0%} of the picture, more than {LARGEST_ALLOWED_REGION:.0%}"
    elif at_least is not None and at_least > ceiling + 1e-9:
        problem = f"at_least is {at_least:g}, but no map on this grid can reach more than {ceiling:.3f} for this region"
    if problem and single:
        raise ValueError(problem[0].upper() + problem[1:])
    return replace(score, value=None, unscorable=problem) if problem else score


def _coverage(maps: Heatmaps, index: int, regions: Sequence[Region]) -> Any:
    return maps.geometries[index].coverage(regions, (maps.signed.shape[1], maps.signed.shape[2]))


def _with_null(finding: Finding, maps: Heatmaps, cases: Sequence[Case], given: Sequence[Region] | None) -> Finding:
    """Adds the controls of a population: heatmap i in region j, and a map that is a blob in the middle."""
    usable = [index for index in range(len(cases)) if finding.cases[index].value is not None]
    if len(usable) < 2 or finding.outcome == "passed":
        return finding
    coverages = np.stack([_coverage(maps, index, given or cases[index].regions) for index in usable])
    shuffled = metrics.box_shuffle_null(maps.maps[usable], coverages)
    centre = metrics.centre_prior((maps.signed.shape[1], maps.signed.shape[2]))
    prior = float(np.mean(metrics.mass_inside(np.broadcast_to(centre, coverages.shape), coverages)))
    line = f"controls: other cases' regions {shuffled:.3f}, a blob in the middle {prior:.3f}"
    head, *rest = finding.message.split("\n  ")
    return replace(finding, message="\n  ".join([head, *rest[:1], line, *rest[1:]][:MOST_LINES]))


def _sparsity_measure(measure: str, layers: Sequence[Layer], stats: dict[str, LayerStats]) -> str:
    if measure not in {"auto", "zero_fraction", "hoyer"}:
        raise ValueError(f"measure is {measure!r}; known: 'auto', 'zero_fraction', 'hoyer'")
    if measure == "auto":
        return "zero_fraction" if all(layer.is_relu_like for layer in layers) else "hoyer"
    never = [layer.path for layer in layers if not layer.is_relu_like and not stats[layer.path].zeros.any()]
    if measure == "zero_fraction" and never:
        raise ValueError(f"The layer {never[0]!r} never gives an exact 0, so its zero fraction says nothing: use measure='hoyer'")
    return measure


def _sparsity(stats: LayerStats, measure: str) -> Any:
    return stats.sparsity_per_image if measure == "zero_fraction" else stats.hoyer_per_image


def _picture_results(cases: Any, taus: Any, unscorable: Any, limit: float) -> tuple[CaseResult, ...]:
    known = _as_cases(cases)
    return tuple(
        CaseResult(
            f"picture {index}" if known is None else _case_id(known[index], index),
            float(tau),
            "unscorable" if flat else "passed" if tau >= limit else "failed",
            "the same sparsity in all layers" if flat else "",
        )
        for index, (tau, flat) in enumerate(zip(taus, unscorable, strict=True))
    )


def _user_evidence(items: Sequence[Any], settings: Settings) -> list[dict[str, Any]]:
    return [evidence.user_evidence(item, embed=settings.pictures == "embed") for item in items]
