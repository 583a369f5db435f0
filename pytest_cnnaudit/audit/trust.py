"""Assertions on the explanations themselves: whether they deserve the trust that the other assertions put in them.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from pytest_cnnaudit import metrics
from pytest_cnnaudit.audit import exhibits
from pytest_cnnaudit.audit.base import Base, Images, Target, audited
from pytest_cnnaudit.audit.judging import (
    EXCESS,
    Judged,
    Rule,
    Score,
    as_limits,
    as_population,
    holds,
    no_evidence,
    where,
    with_line,
)
from pytest_cnnaudit.audit.perturbing import MapMove, PictureMove, as_heatmap, as_move
from pytest_cnnaudit.cases import Case, Sample
from pytest_cnnaudit.checks import integer, number
from pytest_cnnaudit.findings import Finding, Threshold

if TYPE_CHECKING:
    from pytest_cnnaudit.engine import Heatmaps
    from pytest_cnnaudit.engine.methods import MethodFunction

Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Views: TypeAlias = Sequence[Mapping[str, Any]]

CORRELATION = "rank correlation"
MAGNITUDE = "magnitude of the rank correlation"
SECOND = "second"
# What is held in memory at once: the noisy copies of so many cases.
_CASES_AT_ONCE = 16
# A heatmap that correlates with its own transform by all but so much is symmetric.
_ALIKE = 0.01


class Trust(Base):
    """Explanation quality."""

    @audited
    def assert_class_discriminative(
        self,
        cases: Images,
        other: str | int | Sequence[str | int],
        *,
        correlation_at_most: float = 0.5,
        target: Target = None,
        method: str | MethodFunction = "grad-cam",
        layer: str | None = None,
        mostly: float = 1.0,
        confidence: float | None = None,
        min_n: int | None = None,
        by: Literal["label", "group"] | None = None,
    ) -> Finding:
        """The heatmaps for two classes differ: their rank correlation is at most `correlation_at_most`.

        `other` is the second class: a name or an index, a sequence of these (one for each case), or `"second"`,
        each case's most probable class but the target. A method that draws the same map for every class, as
        guided backpropagation does (Adebayo 2018, arXiv:1810.03292), explains the picture, not the decision. Where
        nothing speaks for the other class, what speaks against it is compared: its map before ReLU. A case whose own
        heatmap is empty, or either the same in all cells, is unscorable and counts as not passed.
        """
        population = as_population(cases, inputs=True)
        limit = Threshold(CORRELATION, number(correlation_at_most, "correlation_at_most", -1, 1), "at_most")
        maps, aim = self._explain(population, target, method, layer)
        classes = self._other_classes(other, population, maps)
        others = self._results.heatmaps(
            population, targets=classes, method=method, layer=layer, seed=self._settings.seed
        )
        names = [self._class_name(index) for index in classes]
        scores = []
        for index, name in enumerate(names):
            score = _correlation(maps, index, _evidence(others, index), 0.0, f"for {name!r}")
            if others.empty[index] and score.value is not None:
                score = replace(score, note=f"nothing speaks for {name!r}: compared with its map before ReLU")
            scores.append(score)

        def views(index: int) -> Views:
            return [self._view(f"for {names[index]!r}", population[index], others, index, scores[index])]

        judged = Judged("class_discriminative", population, scores, (limit,), isinstance(cases, Case), CORRELATION)
        finding = judged.finding(Rule(mostly, confidence, min_n, by), self._page)
        finding = with_line(finding, _width_of_chance(maps))
        return self._with_cases(finding, judged, maps, None, "inside", aim, views=views)

    @audited
    def assert_stable(
        self,
        cases: Images,
        *,
        change_at_most: float = 0.2,
        noise: float = 0.02,
        samples: int = 10,
        target: Target = None,
        method: str | MethodFunction = "grad-cam",
        layer: str | None = None,
        mostly: float = 1.0,
        confidence: float | None = None,
        min_n: int | None = None,
        by: Literal["label", "group"] | None = None,
    ) -> Finding:
        """Noise that nobody sees hardly changes the heatmap: max-sensitivity is at most `change_at_most`.

        The largest ‖L(x + δ) − L(x)‖ / ‖L(x)‖ over `samples` copies (Yeh 2019, arXiv:1901.09392). δ is added to
        the model's input, uniform within ± `noise` · (max x − min x), the same for every case, by the seed. All
        maps are of the class of the untouched picture. A case whose heatmap is empty, or whose picture has one
        colour only, is unscorable and counts as not passed.
        """
        population = as_population(cases, inputs=True)
        limit = Threshold("change", number(change_at_most, "change_at_most", 0), "at_most")
        noise = number(noise, "noise", 0, 1)
        if not noise:
            raise ValueError("noise is 0: without noise every map is stable")
        samples = integer(samples, "samples", 1)
        maps, aim = self._explain(population, target, method, layer)
        noisy = self._noisy_maps(population, maps, noise, samples, method, layer)
        scores = [_sensitivity(maps, index, signed) for index, signed in enumerate(noisy)]

        def views(index: int) -> Views:
            if scores[index].value is None:
                return []
            distances = np.linalg.norm(np.maximum(noisy[index], 0) - maps.maps[index], axis=(1, 2))
            changed = _with_map(maps, index, noisy[index][int(np.argmax(distances))])
            return [self._view("with the noise that changed it most", population[index], changed, index)]

        judged = Judged("stable", population, scores, (limit,), isinstance(cases, Case), "change")
        finding = judged.finding(Rule(mostly, confidence, min_n, by), self._page)
        return self._with_cases(finding, judged, maps, None, "inside", aim, views=views)

    @audited
    def assert_follows(
        self,
        cases: Images,
        transform: str | tuple[PictureMove, MapMove] = "mirror",
        *,
        correlation_at_least: float | None = 0.8,
        excess_at_least: float | None = None,
        target: Target = None,
        method: str | MethodFunction = "grad-cam",
        layer: str | None = None,
        mostly: float = 1.0,
        confidence: float | None = None,
        min_n: int | None = None,
        by: Literal["label", "group"] | None = None,
    ) -> Finding:
        """The heatmap moves with the picture: that of the transformed picture, taken back, correlates with the first.

        `transform` is `"mirror"` (left and right), `"flip"` (up and down), `"rotate90"`, or a pair of functions:
        one from a `PIL.Image` to another, one that takes a map `(h, w)` of the transformed picture back; for model
        input only the names. Both maps are of the class of the untouched picture. Chance a is what a heatmap that
        stays in its place, whatever the picture, would reach: 1 for one that is symmetric. `excess_at_least` demands
        (r − a) / (1 − a) above it, a negative a counting as 0; None drops a limit. A case whose chance passes and
        whose value is not clearly above (less than half of the way to 1) proves nothing: it is unscorable and counts
        as not passed, as is one of which either heatmap is empty, or the same in all cells.
        """
        population = as_population(cases, inputs=True)
        limits = as_limits(
            (CORRELATION, correlation_at_least, "at_least", "correlation_at_least"),
            (EXCESS, excess_at_least, "at_least", "excess_at_least"),
            low=-1,
        )
        move = as_move(transform)
        move.check_cases(population)
        maps, aim = self._explain(population, target, method, layer)
        move.check_grid(*maps.signed.shape[1:])
        moved = self.engine.heatmaps(
            (move.case(case) for case in population),
            target=maps.targets.tolist(),
            method=method,
            layer=layer,
            seed=self._settings.seed,
        )
        scores = []
        for index, heatmap in enumerate(maps.maps):
            returned = as_heatmap(move.back(moved.maps[index]), heatmap)
            stayed = as_heatmap(move.back(heatmap), heatmap)
            chance = None if unranked(maps, index) else _ranked(heatmap, stayed)
            score = _correlation(maps, index, returned, chance, "in the transformed picture")
            if score.value is not None and _stays(score, limits[0]):
                why = f"a heatmap that stays in its place would reach {chance:.2f} too: try another transform"
                score = Score(None, chance, why)
            scores.append(score)

        def views(index: int) -> Views:
            return [self._view(move.name, move.case(population[index]), moved, index, scores[index])]

        judged = Judged("follows", population, scores, limits, isinstance(cases, Case), CORRELATION)
        finding = judged.finding(Rule(mostly, confidence, min_n, by), self._page)
        return self._with_cases(finding, judged, maps, None, "inside", aim, views=views)

    @audited
    def assert_responds_to_weights(
        self,
        cases: Images,
        *,
        correlation_at_most: float = 0.5,
        samples: int = 6,
        target: Target = None,
        method: str | MethodFunction = "grad-cam",
        layer: str | None = None,
        mostly: float = 1.0,
        confidence: float | None = None,
        min_n: int | None = None,
        by: Literal["label", "group"] | None = None,
    ) -> Finding:
        """With random weights the map becomes another one: |rank correlation| is at most `correlation_at_most`.

        Model-parameter randomisation (Adebayo 2018, arXiv:1810.03292): every layer from the output down to and
        including the explained one gets random weights (`Engine.reinitialized`; the model itself is not touched),
        `samples` times, and the correlations of the map before with those after are averaged. With random weights a
        class is as likely to be against activity as for it, so of a map after and its negative the one that is less
        like the map before counts (`metrics.randomisation_correlation`); an empty map counts as 0. The value is never
        below the least |rank correlation| of the signed maps: maps that are the same, or their negative, after every
        re-initialisation have not responded. A method whose maps hardly change shows the picture's edges, not what
        the network learned.

        Chance is that of unrelated maps of so many independent cells, and more for smooth ones. A case whose own
        heatmap is empty, or the same in all cells, is unscorable and counts as not passed.
        """
        population = as_population(cases, inputs=True)
        limit = Threshold(MAGNITUDE, number(correlation_at_most, "correlation_at_most", 0, 1), "at_most")
        samples = integer(samples, "samples", 1)
        maps, aim = self._explain(population, target, method, layer)
        # A method on the picture itself has the input for a layer: then all of them are re-initialised.
        path = maps.layer if maps.layer in [one.path for one in self.layers] else None
        seed, fresh = self._settings.seed, []
        for draw in range(samples):
            engine = self.engine.reinitialized(path, seed=seed * samples + draw)
            target_classes = maps.targets.tolist()
            fresh.append(engine.heatmaps(population, target=target_classes, method=method, layer=layer, seed=seed))
        single, chance, scores = isinstance(cases, Case), _chance_of_magnitude(maps), []
        for index, signed in enumerate(maps.signed):
            problem = unranked(maps, index)
            if problem:
                scores.append(Score(None, chance, problem))
                continue
            after = np.stack([one.signed[index] for one in fresh])
            each = [abs(_ranked(signed, one)) for one in after]
            note = f"of the signed maps from {np.min(each):.2f} to {np.max(each):.2f} over {samples} re-initialisations"
            scores.append(noted(metrics.randomisation_correlation(signed, after), note, limit, single, chance))

        def views(index: int) -> Views:
            return [self._view("with random weights", population[index], fresh[0], index)]

        judged = Judged("responds_to_weights", population, scores, (limit,), single, MAGNITUDE)
        finding = judged.finding(Rule(mostly, confidence, min_n, by), self._page)
        return self._with_cases(finding, judged, maps, None, "inside", aim, views=views)

    # The other class

    def _other_classes(self, other: Any, cases: Sequence[Sample], maps: Heatmaps) -> list[int]:
        """The second class of each case, which must not be the first one."""
        if isinstance(other, (str, int, np.integer)):
            each: list[Any] = [other] * len(cases)
        elif isinstance(other, (Sequence, np.ndarray)):
            each = list(other)
            if len(each) != len(cases):
                raise ValueError(f"other has {len(each)} entries for {len(cases)} cases")
        else:
            raise TypeError(f"other is {other!r}; a class' name or index, {SECOND!r}, or a sequence is expected")
        classes = []
        for index, (one, case) in enumerate(zip(each, cases, strict=True)):
            target = int(maps.targets[index])
            second = one == SECOND and isinstance(one, str)
            found = _runner_up(maps.logits[index], target) if second else self.engine.class_index(one)
            if found == target:
                raise ValueError(
                    f"{where(case, index)}: other is {one!r}, the class whose heatmap it is compared with: name "
                    f"another, or {SECOND!r} for each case's most probable other class"
                )
            classes.append(found)
        return classes

    # Noise

    def _noisy_maps(
        self,
        cases: Sequence[Sample],
        maps: Heatmaps,
        noise: float,
        samples: int,
        method: str | MethodFunction,
        layer: str | None,
    ) -> list[Floats]:
        """Signed maps `(samples, h, w)` of each case with noise; none where the picture has one colour only."""
        found: list[Floats] = []
        for start in range(0, len(cases), _CASES_AT_ONCE):
            part = slice(start, start + _CASES_AT_ONCE)
            inputs = self.engine.inputs(cases[part])
            picture = next(iter(inputs))
            spans = np.ptp(inputs[picture], axis=(1, 2, 3))
            shape = (samples, *inputs[picture].shape[1:])
            drawn = np.random.default_rng(self._settings.seed).uniform(-noise, noise, shape).astype(np.float32)
            for name, array in inputs.items():
                inputs[name] = np.repeat(array, samples, axis=0)
            inputs[picture] = inputs[picture] + np.concatenate([span * drawn for span in spans])
            signed = self.engine.heatmaps(
                inputs,
                target=np.repeat(maps.targets[part], samples).tolist(),
                method=method,
                layer=layer,
                seed=self._settings.seed,
            ).signed.reshape(-1, samples, *maps.signed.shape[1:])
            found.extend(one if span else one[:0] for one, span in zip(signed, spans, strict=True))
        return found

    # The page

    def _view(
        self, title: str, case: Sample, maps: Heatmaps, index: int, score: Score | None = None
    ) -> Mapping[str, Any]:
        """A case's picture with a second heatmap over it."""
        value = "" if score is None or score.value is None else f"{CORRELATION} with the first {score.value:.2f}"
        return {
            "title": title,
            "picture": exhibits.further_case(case, embed=self._settings.pictures == "embed"),
            "heatmap": exhibits.heatmap(maps, index),
            "note": "no positive evidence" if maps.empty[index] else value,
        }


def unranked(maps: Heatmaps, index: int) -> str:
    """Why nothing can be compared with a case's heatmap; empty where it can."""
    if maps.empty[index]:
        return no_evidence(maps.negative_share[index])
    if metrics.is_constant(maps.maps[index]):
        return "the heatmap is the same in all cells: there is nothing to compare"
    return ""


def _correlation(maps: Heatmaps, index: int, second: Floats, chance: float | None, whose: str) -> Score:
    """Of a case's heatmap with a second one, unless one of them says nothing of places."""
    problem = unranked(maps, index)
    if not problem and metrics.is_constant(second):
        problem = f"{'the same evidence everywhere' if second.any() else 'no positive evidence'} {whose}"
    return Score(None, chance, problem) if problem else Score(_ranked(maps.maps[index], second), chance)


def _stays(score: Score, limit: Threshold) -> bool:
    """Whether a value says no more than that the heatmap looks much the same transformed."""
    value, chance = score.value or 0.0, score.chance or 0.0
    if 1 - chance < _ALIKE:
        return True
    if limit.name == EXCESS:  # no correlation is demanded, so only what equals chance is none
        return chance > 0 and abs(value - chance) <= _ALIKE * (1 - chance)
    return holds(chance, limit) and value - chance <= (1 - chance) / 2


def _evidence(maps: Heatmaps, index: int) -> Floats:
    """One heatmap, or before ReLU where it is empty."""
    evidence: Floats = maps.signed[index] if maps.empty[index] else maps.maps[index]
    return evidence


def noted(value: float, note: str, limit: Threshold, single: bool, chance: float = 0.0) -> Score:
    """A score with its details where these are looked at."""
    return Score(value, chance, note=note if single or not holds(value, limit) else "")


def _ranked(first: Floats, second: Floats) -> float:
    return float(metrics.rank_correlation(first, second, constant=0.0))


def _sensitivity(maps: Heatmaps, index: int, noisy: Floats) -> Score:
    if maps.empty[index]:
        return Score(None, None, no_evidence(maps.negative_share[index]))
    if not len(noisy):
        return Score(None, None, "the picture has one colour only: noise in proportion to its range is none")
    return Score(metrics.max_sensitivity(maps.maps[index], np.maximum(noisy, 0)))


def _runner_up(logits: Floats, target: int) -> int:
    """The most probable class but this one."""
    rest = logits.astype(np.float64)
    rest[target] = -np.inf
    return int(np.argmax(rest))


def _with_map(maps: Heatmaps, index: int, signed: Floats) -> Heatmaps:
    """The heatmaps with another one in a case's place."""
    changed = maps.signed.copy()
    changed[index] = signed
    return replace(maps, signed=changed)


def _chance_of_magnitude(maps: Heatmaps) -> float:
    """The mean of |r| for unrelated maps of n independent cells: r is about normal, of variance 1 / (n − 1)."""
    cells = maps.signed.shape[1] * maps.signed.shape[2]
    return min(1.0, float(np.sqrt(2 / (np.pi * max(1, cells - 1)))))


def _width_of_chance(maps: Heatmaps) -> str:
    cells = maps.signed.shape[1] * maps.signed.shape[2]
    if cells < 3:
        return ""
    return (
        f"chance is wide: ±{min(1.0, 2 / np.sqrt(cells - 1)):.2f} for unrelated maps of {cells} cells, more for smooth"
    )
