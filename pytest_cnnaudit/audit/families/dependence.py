"""Assertions on what a prediction depends on: the image is edited, and the model asked again.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any, Unpack

import numpy as np
from PIL import Image

from pytest_cnnaudit import edits, metrics
from pytest_cnnaudit.audit.assertions import assertion
from pytest_cnnaudit.audit.case_findings import case_finding
from pytest_cnnaudit.audit.context import Context
from pytest_cnnaudit.audit.edited_cases import (
    UNCHANGED,
    Check,
    ask_about_edits,
    is_changed,
    patch_problem,
    region_problem,
    views_of_edits,
)
from pytest_cnnaudit.audit.judged_cases import Judged, Score
from pytest_cnnaudit.audit.limits import EXCESS, as_limits, listed
from pytest_cnnaudit.audit.populations import Images, as_population, check_have_regions
from pytest_cnnaudit.audit.rule import Rule, RuleArguments
from pytest_cnnaudit.audit.targets import Target, check_labels_of, classes_of
from pytest_cnnaudit.cases import Box, Case, CaseError, Picture, Region, given_regions, on_white, open_picture
from pytest_cnnaudit.checks import number
from pytest_cnnaudit.edits import CORNERS, Alone, Edit, Fill, Patch, Place, hidden_and_controls, on_backgrounds, patched
from pytest_cnnaudit.engine.passes import class_evidence
from pytest_cnnaudit.findings import Finding, Threshold


@assertion(
    title="Depends on the object",
    quantity="drop of the class's probability when the object is hidden",
    measured=(
        "The marked object is hidden, and the model asked again. As much is hidden at three other places, and what "
        "that costs is taken off: the rest is the drop that is due to the object. Chance is 0: it makes no difference "
        "whether the object is hidden or something else."
    ),
    reading=(
        "A low value means that the model says the same without the object: it decides by something else in the "
        "picture. Where the probability was low to begin with, it can't drop."
    ),
    about="what it depends on",
    needs=(class_evidence,),
)
def assert_object_matters(
    context: Context,
    cases: Case | Sequence[Case],
    *,
    drop_at_least: float = 0.2,
    fill: Fill = "blur",
    region: Region | Sequence[Region] | None = None,
    target: Target = None,
    **rule: Unpack[RuleArguments],
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

    changed = hidden_and_controls(fill)
    return _depends(context, cases, limits, Rule(**rule), region, target, changed, score, chance=0.0)


@assertion(
    title="The object is enough",
    quantity="probability of the class with only the object left",
    measured="Everything but the marked object is hidden, and the model asked again. Chance is what guessing gives.",
    reading=(
        "A low value means that the model needs something beside the object. It can also mean that it has never seen "
        "a picture like the edited one: compare with another fill."
    ),
    about="what it depends on",
    needs=(class_evidence,),
)
def assert_object_suffices(
    context: Context,
    cases: Case | Sequence[Case],
    *,
    keep_at_least: float | None = 0.5,
    excess_at_least: float | None = None,
    fill: Fill = "blur",
    region: Region | Sequence[Region] | None = None,
    target: Target = None,
    **rule: Unpack[RuleArguments],
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

    exclusive = context.engine.activation == "softmax" or context.engine.num_classes == 2
    chance = 1 / context.engine.num_classes if exclusive else None
    if chance is None and excess_at_least is not None:
        raise ValueError(
            f"excess_at_least is {excess_at_least!r}, but {context.engine.num_classes} classes that do not exclude "
            "each other have no chance level: leave it to keep_at_least"
        )
    return _depends(context, cases, limits, Rule(**rule), region, target, [Alone(fill)], score, chance=chance)


@assertion(
    title="Is not moved by a patch",
    quantity="share of places at which the patch changes nothing",
    measured=(
        "A small picture that must not matter, such as a logo or a stamp, is pasted over the picture at each of the "
        "places, and the class that the model predicts must stay the same. A picture that looks the same with it "
        "proves nothing."
    ),
    reading=(
        "Where it changes, the model takes the patch for evidence: a shortcut, and an easy way to fool it. A patch "
        "that covers the object changes the class for a better reason."
    ),
    about="what it depends on",
    settings=("patch", "where", "size"),
    needs=(class_evidence,),
)
def assert_ignores_patch(
    context: Context,
    cases: Images,
    patch: Picture,
    *,
    where: Place = "corners",
    size: float | None = None,
    **rule: Unpack[RuleArguments],
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
    shown, place = _not_clear(_picture(patch, "patch")), _place(where)
    pasted = Patch(shown, _size(size, where))
    check = functools.partial(patch_problem, patch=pasted, place=place)
    limits = (Threshold("share of places that keep the class", 1.0, "at_least"),)
    return _keeps(context, cases, limits, Rule(**rule), None, patched(pasted, place), check)


@assertion(
    title="Is not moved by the background",
    quantity="share of backgrounds on which the class stays",
    measured=(
        "Everything outside the marked object is exchanged for other backgrounds, and the class that the model "
        "predicts must stay the same."
    ),
    reading=(
        "Where it changes, the model reads the class from the surroundings. The cut-out itself can disturb it too: "
        "look at whether the edited pictures could be real."
    ),
    about="what it depends on",
    settings=("backgrounds",),
    needs=(class_evidence,),
)
def assert_ignores_background(
    context: Context,
    cases: Case | Sequence[Case],
    backgrounds: Picture | Sequence[Picture],
    *,
    at_least: float = 1.0,
    region: Region | Sequence[Region] | None = None,
    **rule: Unpack[RuleArguments],
) -> Finding:
    """The predicted class stays the same with the object on other backgrounds.

    `backgrounds` are one or several of path, `PIL.Image` and uint8 array; of each the largest centred part of
    the picture's proportions is resized to it, and stands for everything outside the region. A case's value is
    the share of backgrounds on which the class stays. `region` and what is unscorable: see
    `assert_object_matters`; so is a case that no background changes.
    """
    grounds = [on_white(_picture(ground, name)) for ground, name in _named_pictures(backgrounds, "backgrounds")]
    limits = (Threshold("share of backgrounds that keep the class", number(at_least, "at_least", 0, 1), "at_least"),)
    given = given_regions(region)
    check_have_regions(as_population(cases), given)
    check = functools.partial(region_problem, single=isinstance(cases, Case))
    return _keeps(context, cases, limits, Rule(**rule), given, on_backgrounds(grounds), check)


def _depends(
    context: Context,
    cases: Case | Sequence[Case],
    limits: tuple[Threshold, ...],
    rule: Rule,
    region: Region | Sequence[Region] | None,
    target: Target,
    changed: Sequence[Edit],
    score: Callable[[float, list[float]], Score],
    *,
    chance: float | None,
) -> Finding:
    """Judges each case by its target's probabilities, that of the untouched picture and those of the edited."""
    population, given = as_population(cases), given_regions(region)
    check_have_regions(population, given)
    targets, aim = classes_of(context, population, target)
    before = context.cache.predictions(population).probabilities
    check = functools.partial(region_problem, single=isinstance(cases, Case))
    asked = ask_about_edits(context, population, given, changed, check)
    scores = []
    for whole, logits, problem, one in zip(before, asked.logits, asked.problems, targets, strict=True):
        edited = context.engine.predictions(logits).probabilities[:, one].tolist()
        scored = Score(None, unscorable=problem) if problem else score(float(whole[one]), edited)
        scores.append(replace(scored, chance=chance))
    judged = Judged(population, scores, limits, isinstance(cases, Case), limits[0].name).without_notes_of_passed()
    views = views_of_edits(context, asked, targets)
    return case_finding(context, judged, rule, target=aim, given=given, lines=(f"target: {aim}",), views=views)


def _keeps(
    context: Context,
    cases: Images,
    limits: tuple[Threshold, ...],
    rule: Rule,
    given: tuple[Region, ...] | None,
    changed: Sequence[Edit],
    check: Check,
) -> Finding:
    """Judges in how many of each case's edited pictures the predicted class stays the same."""
    population = as_population(cases, pictures=True)
    check_labels_of(context, population)
    predicted = context.cache.predictions(population)
    asked = ask_about_edits(context, population, given, changed, check)
    scores = []
    for index, (before, logits) in enumerate(zip(predicted.logits, asked.logits, strict=True)):
        problem = asked.problems[index]
        if problem or not is_changed(context, asked, index, before):
            scores.append(Score(None, unscorable=problem or UNCHANGED))
            continue
        top, others = int(np.argmax(before)), dict.fromkeys(np.argmax(logits, axis=1).tolist())
        names = [predicted.name(other) for other in others if other != top]
        note = f"{predicted.name(top)} becomes {listed(names)}" if names else ""
        scores.append(Score(float(metrics.top_class_kept(before, logits)), note=note))
    judged = Judged(population, scores, limits, isinstance(cases, Case), limits[0].name).without_notes_of_passed()
    views = views_of_edits(context, asked, predicted.classes.tolist())
    return case_finding(context, judged, rule, target="predicted", given=given, views=views)


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
