"""Assertions on what a prediction depends on: the picture is edited, and the model asked again.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from pytest_cnnaudit import edits, metrics
from pytest_cnnaudit.audit import exhibits
from pytest_cnnaudit.audit.base import Base, Images, Region, Target, audited
from pytest_cnnaudit.audit.editing import (
    CORNERS,
    Edit,
    Place,
    Subject,
    hidden_and_controls,
    object_alone,
    on_backgrounds,
    patched,
)
from pytest_cnnaudit.audit.judging import (
    EXCESS,
    ROUNDING,
    Judged,
    Rule,
    Score,
    as_limits,
    as_population,
    listed,
    where,
    with_line,
)
from pytest_cnnaudit.audit.localisation import LARGEST_ALLOWED_REGION
from pytest_cnnaudit.audit.perturbing import with_picture
from pytest_cnnaudit.cases import Box, Case, CaseError, Picture, Sample, as_regions, check_region, check_regions
from pytest_cnnaudit.checks import number
from pytest_cnnaudit.edits import Fill
from pytest_cnnaudit.findings import Finding, Threshold
from pytest_cnnaudit.preprocessing import on_white, open_picture

Logits: TypeAlias = npt.NDArray[np.float32]

LOST = "was lost in preprocessing"
UNCHANGED = "the edit leaves every pixel of the picture as it is, so it proves nothing"


Edits: TypeAlias = Callable[[Subject], Iterable[Edit]]
Check: TypeAlias = Callable[[Subject], str]


@dataclass(frozen=True)
class Asked:
    """Logits `(K, classes)` of each case's K edited pictures, K = 0 where `problems` says why; `again` makes these.

    `changed`: whether any of them differs from the untouched picture where the model sees it.
    """

    logits: Sequence[Logits]
    problems: Sequence[str]
    changed: Sequence[bool]
    again: Callable[[int], Iterable[Edit]]


class Dependence(Base):
    """What it depends on."""

    @audited
    def assert_object_matters(
        self,
        cases: Case | Sequence[Case],
        *,
        drop_at_least: float = 0.2,
        fill: Fill = "blur",
        region: Region | Sequence[Region] | None = None,
        target: Target = None,
        mostly: float = 1.0,
        confidence: float | None = None,
        min_n: int | None = None,
        by: Literal["label", "group"] | None = None,
    ) -> Finding:
        """Hiding the object lowers the target's probability by `drop_at_least` more than hiding as much elsewhere.

        The drop is P(x) − P(hidden) − mean over 3 controls of (P(x) − P(control)), see `metrics.probability_drop`;
        a control hides the same shape at a random place off the region or, where it fits nowhere, as many pixels in
        blocks. `fill` is `"blur"` (Gaussian, 5 % of the longer side), `"mean"` (the picture's mean colour),
        `"noise"` or `"inpaint"` (smooth continuation of what is around). `region` stands for the cases' own. The
        pictures are edited before preprocessing. A case whose region was lost in preprocessing, or covers over 80 %
        of the picture, is unscorable and counts as not passed.
        """
        edits.check_fill(fill)
        limits = (Threshold(f"drop of P ({fill})", number(drop_at_least, "drop_at_least", 0, 1), "at_least"),)

        def score(whole: float, edited: list[float]) -> Score:
            hidden, *controls = edited
            drop = float(metrics.probability_drop(whole, hidden, controls))
            return Score(drop, note=f"P {whole:.3f}, hidden {hidden:.3f}, controls {np.mean(controls):.3f}")

        make = functools.partial(hidden_and_controls, fill=fill)
        rule = Rule(mostly, confidence, min_n, by)
        return self._depends("object_matters", cases, limits, rule, region, target, make, score, chance=0.0)

    @audited
    def assert_object_suffices(
        self,
        cases: Case | Sequence[Case],
        *,
        keep_at_least: float | None = 0.5,
        excess_at_least: float | None = None,
        fill: Fill = "blur",
        region: Region | Sequence[Region] | None = None,
        target: Target = None,
        mostly: float = 1.0,
        confidence: float | None = None,
        min_n: int | None = None,
        by: Literal["label", "group"] | None = None,
    ) -> Finding:
        """The target's probability is at least `keep_at_least` where everything but the object is hidden.

        `fill`, `region` and what is unscorable: see `assert_object_matters`. Chance a is 1 / classes for classes that
        exclude each other, and `excess_at_least` demands (P − a) / (1 − a) above it, which means the same for any
        number of classes. None drops a limit.
        """
        edits.check_fill(fill)
        limits = as_limits(
            (f"P of the object alone ({fill})", keep_at_least, "at_least", "keep_at_least"),
            (EXCESS, excess_at_least, "at_least", "excess_at_least"),
        )

        def score(whole: float, edited: list[float]) -> Score:
            return Score(edited[0], note=f"P {whole:.3f} of the whole picture")

        exclusive = self.engine.activation == "softmax" or self.engine.num_classes == 2
        chance = 1 / self.engine.num_classes if exclusive else None
        if chance is None and excess_at_least is not None:
            raise ValueError(
                f"excess_at_least is {excess_at_least!r}, but {self.engine.num_classes} classes that do not exclude "
                "each other have no chance level: leave it to keep_at_least"
            )
        make = functools.partial(object_alone, fill=fill)
        rule = Rule(mostly, confidence, min_n, by)
        return self._depends("object_suffices", cases, limits, rule, region, target, make, score, chance=chance)

    @audited
    def assert_ignores_patch(
        self,
        cases: Images,
        patch: Picture,
        *,
        where: Place = "corners",
        size: float | None = None,
        mostly: float = 1.0,
        confidence: float | None = None,
        min_n: int | None = None,
        by: Literal["label", "group"] | None = None,
    ) -> Finding:
        """The predicted class stays the same with a patch pasted over the picture.

        `patch` is a path, a `PIL.Image` or a uint8 array; its transparency is honoured. `where` is `"corners"`
        (each of the four in turn), one of them such as `"top-left"`, `"center"`, `"random"` (one place, the same for
        the same picture and seed), or a `Box` that the patch is resized to: all pixels that it touches. Places are in
        the part of the picture that the model sees. The patch is pasted pixel for pixel, or with its longer side
        `size` times the picture's shorter one. A case's value is the share of the places at which the class stays; it
        passes with all. A case that the patch leaves as it is, since it shows the same already, is unscorable and
        counts as not passed.
        """
        shown = _not_clear(_picture(patch, "patch"))
        make = functools.partial(patched, patch=shown, place=_place(where), size=_size(size, where))
        check = functools.partial(_patch_problem, place=where)
        limits = (Threshold("share of places that keep the class", 1.0, "at_least"),)
        rule = Rule(mostly, confidence, min_n, by)
        return self._keeps("ignores_patch", cases, limits, rule, None, make, check)

    @audited
    def assert_ignores_background(
        self,
        cases: Case | Sequence[Case],
        backgrounds: Picture | Sequence[Picture],
        *,
        at_least: float = 1.0,
        region: Region | Sequence[Region] | None = None,
        mostly: float = 1.0,
        confidence: float | None = None,
        min_n: int | None = None,
        by: Literal["label", "group"] | None = None,
    ) -> Finding:
        """The predicted class stays the same with the object on other backgrounds.

        `backgrounds` are one or several of path, `PIL.Image` and uint8 array; of each the largest centred part of
        the picture's proportions is resized to it, and stands for everything outside the region. A case's value is
        the share of backgrounds on which the class stays. `region` and what is unscorable: see
        `assert_object_matters`; so is a case that no background changes.
        """
        grounds = [on_white(_picture(ground, name)) for ground, name in _named_pictures(backgrounds, "backgrounds")]
        limits = (
            Threshold("share of backgrounds that keep the class", number(at_least, "at_least", 0, 1), "at_least"),
        )
        given = _given_regions(region)
        _check_regions_given(as_population(cases), given)
        make = functools.partial(on_backgrounds, grounds=grounds)
        check = functools.partial(_region_problem, single=isinstance(cases, Case))
        rule = Rule(mostly, confidence, min_n, by)
        return self._keeps("ignores_background", cases, limits, rule, given, make, check)

    def _depends(
        self,
        name: str,
        cases: Case | Sequence[Case],
        limits: tuple[Threshold, ...],
        rule: Rule,
        region: Region | Sequence[Region] | None,
        target: Target,
        make: Edits,
        score: Callable[[float, list[float]], Score],
        *,
        chance: float | None,
    ) -> Finding:
        """Judges each case by its target's probabilities, that of the untouched picture and those of the edited."""
        population, given = as_population(cases), _given_regions(region)
        _check_regions_given(population, given)
        targets, aim = self._aim(population, target)
        before = self._results.predictions(population).probabilities
        asked = self._ask(population, given, make, functools.partial(_region_problem, single=isinstance(cases, Case)))
        scores = []
        for whole, logits, problem, one in zip(before, asked.logits, asked.problems, targets, strict=True):
            edited = self.engine.predictions(logits).probabilities[:, one].tolist()
            scored = Score(None, unscorable=problem) if problem else score(float(whole[one]), edited)
            scores.append(replace(scored, chance=chance))
        judged = _judged(name, cases, population, scores, limits)
        finding = with_line(judged.finding(rule, self._page), f"target: {aim}")
        return self._with_cases(finding, judged, None, given, "inside", aim, views=self._views(asked, targets))

    def _keeps(
        self,
        name: str,
        cases: Images,
        limits: tuple[Threshold, ...],
        rule: Rule,
        given: tuple[Region, ...] | None,
        make: Edits,
        check: Check,
    ) -> Finding:
        """Judges in how many of each case's edited pictures the predicted class stays the same."""
        population = as_population(cases, pictures=True)
        self._check_labels(population)
        predicted = self._results.predictions(population)
        asked = self._ask(population, given, make, check)
        scores = []
        for index, (before, logits) in enumerate(zip(predicted.logits, asked.logits, strict=True)):
            problem = asked.problems[index]
            if problem or not asked.changed[index]:
                scores.append(Score(None, unscorable=problem or UNCHANGED))
                continue
            top, others = int(np.argmax(before)), dict.fromkeys(np.argmax(logits, axis=1).tolist())
            names = [predicted.name(other) for other in others if other != top]
            note = f"{predicted.name(top)} becomes {listed(names)}" if names else ""
            scores.append(Score(float(metrics.top_class_kept(before, logits)), note=note))
        judged = _judged(name, cases, population, scores, limits)
        finding = judged.finding(rule, self._page)
        views = self._views(asked, predicted.classes.tolist())
        return self._with_cases(finding, judged, None, given, "inside", "predicted", views=views)

    def _aim(self, cases: Sequence[Case], target: Target) -> tuple[list[int], str]:
        """Class indices, those of predicted classes included, and what they are called in the finding."""
        self._check_labels(cases)
        targets, aim = self._targets(cases, target)
        predicted = self._results.predictions(cases).classes.tolist() if None in targets else []
        return [predicted[at] if one is None else one for at, one in enumerate(targets)], aim

    def _ask(self, population: Sequence[Case], given: tuple[Region, ...] | None, make: Edits, check: Check) -> Asked:
        """Asks the model about all edited pictures in one stream of batches; each is made when its batch is."""
        counts, problems, changed = [0] * len(population), [""] * len(population), [False] * len(population)

        def stream() -> Iterator[Sample]:
            for index, case in enumerate(population):
                subject = self._subject(case, index, given)
                width, height = subject.geometry.source_width, subject.geometry.source_height
                check_regions(case, width, height)
                for one in given or ():
                    check_region(one, width, height, f"{subject.name}: region")
                problems[index] = check(subject)
                for edit in () if problems[index] else make(subject):
                    counts[index] += 1
                    changed[index] = changed[index] or subject.differs_from(edit.pixels)
                    yield with_picture(case, edit.pixels)

        pictures = stream()
        first = next(pictures, None)
        if first is None:
            logits = np.empty((0, self.engine.num_classes), np.float32)
        else:
            logits = self.engine.predict(itertools.chain([first], pictures)).logits
        parts = np.split(logits, np.cumsum(counts)[:-1])
        return Asked(parts, problems, changed, lambda index: make(self._subject(population[index], index, given)))

    def _subject(self, case: Case, index: int, given: tuple[Region, ...] | None) -> Subject:
        bound = self.engine.preprocessing.bound(self.engine.input_shape)
        picture = open_picture(case)
        if bound.color != "rgba":
            picture = on_white(picture)  # as the preprocessing does it, so that it is edited as it is seen
        regions = case.regions if given is None else given
        geometry = bound.geometry(*picture.size)
        return Subject(where(case, index), edits.as_pixels(picture), regions, geometry, self._settings.seed)

    def _views(self, asked: Asked, targets: Sequence[int]) -> Callable[[int], list[dict[str, Any]]]:
        """For the page: a case's edited pictures, made again, with what the model said of each."""
        embed = self._settings.pictures == "embed"

        def views(index: int) -> list[dict[str, Any]]:
            if asked.problems[index]:
                return []
            predicted, target = self.engine.predictions(asked.logits[index]), targets[index]
            return [
                {
                    "title": edit.title,
                    "picture": exhibits.further_picture(edits.as_picture(edit.pixels), embed=embed),
                    "heatmap": None,
                    "predictions": exhibits.predictions(predicted, row),
                    "note": f"P({predicted.name(target)}) {predicted.probabilities[row, target]:.3f}",
                }
                for row, edit in enumerate(asked.again(index))
            ]

        return views


def _check_regions_given(population: Sequence[Case], given: Sequence[Region] | None) -> None:
    for index, case in enumerate(population):
        if not (case.regions if given is None else given):
            raise ValueError(
                f"{where(case, index)} has no region: give the Case one as region=, or hand one over as region="
            )


def _region_problem(subject: Subject, *, single: bool) -> str:
    """Why a case can't be scored by hiding its region or all else, if it can't."""
    share = subject.share(subject.regions)
    if not share:
        return f"the region {LOST}"
    if share > LARGEST_ALLOWED_REGION * (1 + ROUNDING):
        problem = f"covers {share:.0%} of the picture, more than {LARGEST_ALLOWED_REGION:.0%}"
    elif share > 0.25 and subject.coverage.all():  # of a picture of a few pixels, each in part
        problem = "covers a part of every pixel"
    else:
        return ""
    problem = f"the region {problem}: there is hardly anything else to compare it with, so give a smaller region"
    if single:
        raise ValueError(f"{subject.name}: {problem}")
    return problem


def _patch_problem(subject: Subject, *, place: Place) -> str:
    if not isinstance(place, Box):
        return ""
    check_region(place, subject.geometry.source_width, subject.geometry.source_height, f"{subject.name}: where")
    return "" if subject.share(place) else f"the patch {LOST}"


def _judged(
    name: str, cases: Images, population: Sequence[Case], scores: Sequence[Score], limits: tuple[Threshold, ...]
) -> Judged:
    """Of many cases, only those that fail keep their notes: the others' would crowd the message."""
    judged = Judged(name, population, scores, limits, isinstance(cases, Case), limits[0].name)
    if judged.single:
        return judged
    kept = [
        replace(score, note="") if result.outcome == "passed" else score
        for score, result in zip(scores, judged.results, strict=True)
    ]
    return replace(judged, scores=kept)


def _given_regions(region: Region | Sequence[Region] | None) -> tuple[Region, ...] | None:
    try:
        return None if region is None else as_regions(region)
    except CaseError as error:
        raise TypeError(str(error)) from None


def _named_pictures(value: Any, name: str) -> list[tuple[Any, str]]:
    if isinstance(value, (str, PathLike, Image.Image, np.ndarray)):
        return [(value, name)]
    if not isinstance(value, Sequence):
        raise TypeError(f"{name} is {value!r}; one or several of path, PIL image and uint8 array are expected")
    if not value:
        raise ValueError(f"{name} is empty: there is nothing to put the object on")
    return [(one, f"{name}[{position}]") for position, one in enumerate(value)]


def _picture(value: Any, name: str) -> Image.Image:
    if not isinstance(value, (str, PathLike, Image.Image, np.ndarray)):
        raise TypeError(f"{name} is {value!r}; a path, a PIL image or a uint8 array is expected")
    try:
        return open_picture(value)
    except CaseError as error:
        raise CaseError(f"{name}: {error}") from error


def _not_clear(patch: Image.Image) -> Image.Image:
    if not patch.convert("RGBA").getchannel("A").getbbox():
        raise ValueError("patch is wholly transparent: nothing would be pasted")
    return patch


def _place(place: Any) -> Place:
    known = ("corners", *CORNERS, "center", "random")
    if not isinstance(place, Box) and not (isinstance(place, str) and place in known):
        raise ValueError(f"where is {place!r}; known: {', '.join(repr(name) for name in known)}, or a Box")
    return place  # type: ignore[return-value]


def _size(size: Any, place: Any) -> float | None:
    if size is None:
        return None
    if isinstance(place, Box):
        raise ValueError("size is given, and a Box as where=, which says the size already: leave one out")
    share = number(size, "size", 0, 1)
    if not share:
        raise ValueError("size is 0: nothing would be pasted")
    return share
