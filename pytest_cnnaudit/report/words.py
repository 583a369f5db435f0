"""Plain words for findings: titles, what was measured, how to read it, and the verdict in one line.

PYTEST_DONT_REWRITE
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Worst first; a waived finding blocks nothing, but is never shown as passed.
SEVERITY = ("error", "failed", "inconclusive", "waived", "passed")
# As listed: a failure tells more about the model than an audit that could not be carried out.
LISTED = ("failed", "error", "inconclusive", "waived", "passed")


@dataclass(frozen=True)
class Explanation:
    """What the page says about one kind of audit: its title, the measured quantity, and two paragraphs.

    `yes_no` says that a single picture's value is only 1 or 0.
    """

    title: str
    quantity: str
    measured: str
    reading: str = ""
    yes_no: bool = False


EXPLANATIONS = {
    "mass_inside": Explanation(
        "Looks at the object",
        "share of the heatmap inside the marked region",
        "The heatmap shows which places of the picture raised the score of the class. This audit adds up "
        "the heatmap inside the marked region and divides by the whole: 1 means that all of it lies inside. "
        "Chance is the region's share of the picture's area, what a heatmap spread evenly would reach.",
        "A low value means that the model decides by something beside the object. "
        "Look at what lies under the brightest cells.",
    ),
    "avoids": Explanation(
        "Keeps off the forbidden region",
        "share of the heatmap on the forbidden region",
        "The forbidden region is a place that must not matter, such as a watermark or a ruler. This audit "
        "adds up the heatmap on it and divides by the whole: 0 is best. Chance is the region's share of the "
        "picture's area.",
        "A value far above chance means that the model reads the class from this region: a shortcut that "
        "will be missing, or misleading, in other pictures.",
    ),
    "points_at": Explanation(
        "Points at the object",
        "share of pictures whose heatmap has its maximum in the marked region",
        "The heatmap's strongest cell must have its centre in the marked region, or as near to it as the "
        "tolerance allows. Chance is the share of cells that count: how often a cell picked at random would hit.",
        "A miss means that the strongest evidence lies beside the object. This looks at one cell only: see the "
        "whole heatmap for how much else there is.",
        yes_no=True,
    ),
    "iou": Explanation(
        "Covers the object",
        "overlap of the heatmap's strong cells with the marked region",
        "The cells above a share of the heatmap's maximum are held against the marked region: the area that both "
        "have in common, divided by the area that either has. 1 means that they are the same. Chance is what a "
        "heatmap spread evenly would reach, which selects every cell.",
        "A low value means that the heatmap marks another place, or only a part of the object, or much more than "
        "it: networks often need only a part, such as a face.",
    ),
    "grid_pointing": Explanation(
        "Finds each class in a mosaic",
        "share of the heatmap in the right cell of a mosaic",
        "Pictures of several classes are put side by side, and the heatmap for one class is added up in the cell "
        "that shows it and divided by the whole: 1 means that all of it lies there. Chance is the cell's share of "
        "the mosaic. No regions are needed.",
        "A value near chance means that the heatmap does not tell the classes apart: it shows edges or objects in "
        "general, or the model does not recognise the pictures at this size.",
    ),
    "object_matters": Explanation(
        "Depends on the object",
        "drop of the class's probability when the object is hidden",
        "The marked object is hidden, and the model asked again. As much is hidden at three other places, and what "
        "that costs is taken off: the rest is the drop that is due to the object. Chance is 0: it makes no "
        "difference whether the object is hidden or something else.",
        "A low value means that the model says the same without the object: it decides by something else in the "
        "picture. Where the probability was low to begin with, it can't drop.",
    ),
    "object_suffices": Explanation(
        "The object is enough",
        "probability of the class with only the object left",
        "Everything but the marked object is hidden, and the model asked again. Chance is what guessing gives.",
        "A low value means that the model needs something beside the object. It can also mean that it has never "
        "seen a picture like the edited one: compare with another fill.",
    ),
    "ignores_patch": Explanation(
        "Is not moved by a patch",
        "share of places at which the patch changes nothing",
        "A small picture that must not matter, such as a logo or a stamp, is pasted over the picture at each of the "
        "places, and the class that the model predicts must stay the same. A picture that looks the same with it "
        "proves nothing.",
        "Where it changes, the model takes the patch for evidence: a shortcut, and an easy way to fool it. A patch "
        "that covers the object changes the class for a better reason.",
    ),
    "ignores_background": Explanation(
        "Is not moved by the background",
        "share of backgrounds on which the class stays",
        "Everything outside the marked object is exchanged for other backgrounds, and the class that the model "
        "predicts must stay the same.",
        "Where it changes, the model reads the class from the surroundings. The cut-out itself can disturb it too: "
        "look at whether the edited pictures could be real.",
    ),
    "class_discriminative": Explanation(
        "Heatmaps tell classes apart",
        "rank correlation of the heatmaps of two classes",
        "The heatmap of a class should show what speaks for this class. This audit draws the heatmaps for two classes "
        "of the same picture and compares which cells they rank high: 1 means that both show the same, 0 that they "
        "have nothing in common, −1 that one is high where the other is low.",
        "A value near 1 means that the heatmap shows what catches the eye in the picture, whichever class is asked "
        "for. It says nothing of why this class was predicted.",
    ),
    "faithful": Explanation(
        "Heatmaps show what the prediction uses",
        "gain of the heatmap's order over a random one",
        "Cells of the picture are revealed over a blurred copy, and covered with the mean colour, those first that the "
        "heatmap calls most relevant. Where they matter, the class's probability rises early and falls early. The "
        "number is how much more so than in a random order, which is drawn beside it: 0 is chance.",
        "A value below 0 means that cells taken at random move the prediction more than those that the heatmap shows. "
        "A prediction that hardly moves at all, whatever is covered, tells nothing of the heatmap.",
    ),
    "stable": Explanation(
        "Heatmaps bear noise",
        "largest change of the heatmap under small noise",
        "Noise that nobody would see is added to the model's input, several times. The number is how far the heatmap "
        "moved at most, as a share of its own size: 0 means not at all.",
        "A heatmap that changes with invisible noise would have been another one a moment later: whatever it shows "
        "here is a coincidence.",
    ),
    "follows": Explanation(
        "Heatmaps move with the picture",
        "rank correlation with the transformed picture's heatmap, taken back",
        "The picture is transformed, by default mirrored, and its heatmap is taken back: it should be the first one "
        "again, a correlation of 1. Chance is what a heatmap would reach that stays in its place whatever the "
        "picture.",
        "A low value means that the heatmap depends on where things are, not only on what they are. If chance is as "
        "high as the value, the picture is too symmetric to tell.",
    ),
    "responds_to_weights": Explanation(
        "Heatmaps depend on what was learned",
        "rank correlation with heatmaps of random weights",
        "The layers from the output down to the explained one get random weights, several times, and the heatmap is "
        "drawn again: of what the network learned there, nothing is left. The number is the mean correlation with the "
        "heatmap of the trained network: 0 means that nothing of it survived.",
        "A value near 1 means that the method draws the same map for a network that learned nothing. It shows the "
        "picture, its edges or its middle, and can't show what a model does with it.",
    ),
    "predicts": Explanation(
        "Predicts the right class",
        "share of pictures classified as labelled",
        "The label of each picture is compared with the class that the model gives the highest score.",
        "This audit says how often the model is right, not why: it can be right for a wrong reason.",
        yes_no=True,
    ),
    "sparsity_rises": Explanation(
        "Activations get sparser with depth",
        "trend of sparsity over depth (Kendall's τ)",
        "In a trained network early layers respond to edges nearly everywhere, deep layers only to what they "
        "have specialised in, so activations get sparser from layer to layer. The number is the rank "
        "correlation of depth and sparsity: 1 means that every layer is sparser than the one before, 0 that "
        "there is no trend, −1 that sparsity falls.",
        "A flat or falling profile suggests that the deep layers have not specialised: too little training, "
        "or more layers than the task needs.",
    ),
    "no_dead_filters": Explanation(
        "Filters are alive",
        "share of filters that never fire, in the worst layer",
        "A filter that stays silent on every picture adds cost and carries nothing. This audit counts "
        "in each layer the filters without a single positive response on these pictures.",
        "Many dead filters point to a learning rate that was too high, a bad initialisation or a layer that "
        "is too wide. A rare filter may only need more pictures to show itself.",
    ),
    "no_duplicate_filters": Explanation(
        "Filters differ from each other",
        "share of filters that repeat another, in the worst layer",
        "Two filters whose weights point in the same direction compute the same thing twice. This audit takes the "
        "filters of each layer in their order, and counts those whose weights (the bias is one of them) are nearly "
        "parallel to an earlier filter's: of three equal filters two are redundant. It looks at weights alone, and "
        "needs no pictures.",
        "Many redundant filters point to a layer that is too wide, to an initialisation that made filters alike, or "
        "to weights that were copied. A normalisation after the layer can still tell two such filters apart.",
    ),
    "filters_respond": Explanation(
        "Filters respond to their patterns",
        "gain of the filter that responds the least",
        "A filter's pattern is the picture that excites it the most, found step by step from noise. This audit "
        "compares the filter's activation on it with that on noise which is equally far from the start: the gain is "
        "the rise in standard deviations of what noise gives. 0 means that the pattern is no better than noise.",
        "A gain near 0 means a filter without a preference: dead, never trained, or silent at the start, as many are "
        "behind a ReLU. Filter patterns illustrate; they are no proof of what a filter does on photographs.",
    ),
    "filters_distinct": Explanation(
        "Filters have patterns of their own",
        "similarity of the two patterns that are most alike",
        "All patterns are grown from the same noise, so that only the filter makes them differ. This audit compares "
        "what was added to the noise for each pair of filters: 1 means the same picture, 0 pictures that have nothing "
        "in common.",
        "Two filters with the same pattern look for the same thing: one of them carries nothing of its own. In the "
        "last layers of a model with few classes patterns are alike by nature.",
    ),
    "finite": Explanation(
        "All activations are finite",
        "share of pictures with NaN or infinity in an activation",
        "Every layer's output is looked at for values that are not numbers (NaN) or infinite, and so is what a layer "
        "hands to its own activation, which can hide them.",
        "The first layer in order is where to look: weights that grew too large in training, a division or logarithm "
        "of zero, or numbers too large for half precision. What comes after it is usually only what follows from it.",
    ),
    "assertion": Explanation(
        "The test's own assertions", "measured value", "What this test asserts beside its audits."
    ),
    "error": Explanation("The test itself", "measured value", "The test ended otherwise than by an audit's verdict."),
}

CAVEAT = (
    "What a heatmap cannot prove: it shows where evidence was found, not what it was. It misses artefacts "
    "that nobody marked, and a model can be trained to fool it. Read it together with audits of what the "
    "prediction depends on."
)


def explanation(finding: Mapping[str, Any]) -> Explanation:
    """Give the texts for a finding; a figure of the suite's own gets its name and a general text."""
    name = str(finding.get("name") or "audit")
    return EXPLANATIONS.get(name) or Explanation(
        name, "measured value", "A figure that this suite measures and judges itself."
    )


def number(value: object) -> float | None:
    """Give a finite number as float, anything else (None, NaN, infinity, text) as None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def show(value: object, beside: object = None, *, share: bool = False) -> str:
    """Write a number short, a `share` as per cent.

    A number gets as many decimals as tell it from the one `beside` it.
    """
    figure, other = number(value), number(beside)
    if figure is None:
        return "–"
    if share:
        return percent(figure)
    if abs(figure) > 1 and figure.is_integer() and abs(figure) < 1e9:
        return f"{figure:.0f}".replace("-", "−")
    if abs(figure) >= 10_000 or 0 < abs(figure) < 0.001:
        return f"{figure:.3g}".replace("-", "−")
    for decimals in (2, 3, 4, 6):
        text = f"{figure:.{decimals}f}"
        if other is None or other == figure or text != f"{other:.{decimals}f}":
            break
    return text.replace("-", "−")


def percent(share: float) -> str:
    """Write a share as per cent, with decimals only where it has some."""
    return f"{100 * share:.4g}\u00a0%"


def outcome(finding: Mapping[str, Any]) -> str:
    """Give the outcome to show: a waived finding that did not pass is `waived`."""
    actual = str(finding.get("outcome") or "error")
    if finding.get("waived") and actual != "passed":
        return "waived"
    return actual if actual in SEVERITY else "error"


def judges_cases(finding: Mapping[str, Any]) -> bool:
    """Tell whether the finding's value is the share of cases that pass, not the measured quantity itself."""
    value, n = number(finding.get("value")), int(finding.get("n") or 0)
    if value is None or n < 1 or finding.get("mostly") is None:
        return False
    return math.isclose(value, int(finding.get("passed") or 0) / n, abs_tol=1e-6)


@dataclass(frozen=True)
class Limit:
    """What a value is held against; `why` says where it comes from, if not from the suite itself."""

    value: float
    direction: str
    why: str = ""

    def text(self, beside: object = None, *, share: bool = False) -> str:
        """Write it: `at least 0.50`."""
        asked = "at most" if self.direction == "at_most" else "at least"
        return f"{asked} {show(self.value, beside, share=share)}"


def limits(finding: Mapping[str, Any]) -> tuple[Limit, ...]:
    """Give what the finding's value is held against."""
    if not judges_cases(finding):
        own = case_limits(finding, finding.get("chance"))
        if own:
            return own
    threshold = number(finding.get("threshold"))
    return () if threshold is None else (Limit(threshold, str(finding.get("direction"))),)


def case_limits(finding: Mapping[str, Any], chance: object) -> tuple[Limit, ...]:
    """Give what a single value is held against.

    An excess over chance is turned into the value it demands, and stands alone where that is the stricter one.
    """
    plain: list[Limit] = []
    demanded: Limit | None = None
    guess = number(chance)
    for item in finding.get("thresholds") or ():
        value = number(item.get("value"))
        if value is None:
            continue
        if not is_excess(item):
            plain.append(Limit(value, str(item.get("direction"))))
        elif guess is not None:
            why = f"{show(value)} of the way from chance, {show(guess)}, to 1"
            demanded = Limit(guess + value * (1 - guess), "at_least", why)
    if demanded is None or any(one.direction == "at_least" and one.value >= demanded.value for one in plain):
        return tuple(plain)
    return (*(one for one in plain if one.direction == "at_most"), demanded)


def is_excess(item: Mapping[str, Any]) -> bool:
    """Tell whether a threshold is held against the excess over chance, not against the value."""
    return str(item.get("name")).startswith("excess")


def first_line(text: object) -> str:
    """Give the first line that is not blank."""
    return next((line.strip() for line in str(text or "").splitlines() if line.strip()), "")


def sentence(finding: Mapping[str, Any]) -> str:
    """Say in one or two sentences what was found and what was asked for."""
    if outcome(finding) == "error" or number(finding.get("value")) is None:
        return first_line(finding.get("message")) or "This audit gave no number."
    if judges_cases(finding):
        return _about_cases(finding)
    if explanation(finding).yes_no:
        return _about_one(finding)
    value, asked = finding.get("value"), limits(finding)
    text = f"The {explanation(finding).quantity} is {show(value, nearest(asked, value))}"
    if asked:
        verb = "is" if len(asked) == 1 else "are"
        text += f"; {' and '.join(one.text(value) for one in asked)} {verb} asked for"
    why = "".join(f", {one.why}" for one in asked if one.why)
    chance = "" if why or number(finding.get("chance")) is None else f" Chance is {show(finding['chance'])}."
    return f"{text}{why}.{chance}"


def nearest(asked: Sequence[Limit], value: object) -> float | None:
    """Give the limit nearest to a value, from which the value must stay distinguishable in print."""
    figure = number(value)
    if figure is None:
        return None
    return min((one.value for one in asked), key=lambda limit: abs(limit - figure), default=None)


def _about_one(finding: Mapping[str, Any]) -> str:
    if finding.get("outcome") == "passed":
        return "The picture passes."
    note = next((str(case["note"]) for case in finding.get("cases") or () if case.get("note")), "")
    return f"The picture does not pass{f': {note}' if note else ''}."


def _about_cases(finding: Mapping[str, Any]) -> str:
    n, passed, unscorable = (int(finding.get(key) or 0) for key in ("n", "passed", "unscorable"))
    mostly, confidence = float(finding["mostly"]), number(finding.get("confidence"))
    asked = "all must" if mostly >= 1 else f"at least {percent(mostly)} must"
    if confidence is not None:
        asked += f", shown with {percent(confidence)} confidence"
    text = f"{_part(finding)}{passed} of {n} {counted(finding)} pass ({percent(passed / n)}); {asked}."
    if unscorable:
        verb = "counts" if unscorable == 1 else "count"
        text += f" {unscorable} could not be scored and {verb} as not passed."
    return text


def _part(finding: Mapping[str, Any]) -> str:
    """Name the class or group that the numbers are about, where the verdict was taken in each."""
    parts = finding.get("parts") or ()
    return f"The worst of {len(parts)} {finding.get('by')}s is {parts[0].get('name')}: " if parts else ""


def counted(finding: Mapping[str, Any]) -> str:
    """Name what `n` counts; a case is a picture."""
    unit = str(finding.get("unit") or "cases")
    return "pictures" if unit == "cases" else unit


def axis(finding: Mapping[str, Any]) -> str:
    """Name what the finding's number line shows."""
    return f"share of {counted(finding)} that pass" if judges_cases(finding) else explanation(finding).quantity


def case_rule(finding: Mapping[str, Any]) -> str:
    """Say when a single picture passes; empty where no thresholds are recorded."""
    yes_no = explanation(finding).yes_no
    return " and ".join(
        _rule(item, yes_no) for item in finding.get("thresholds") or () if number(item.get("value")) is not None
    )


def _rule(item: Mapping[str, Any], yes_no: bool) -> str:
    name = str(item.get("name")).replace("_", " ")
    if yes_no:
        return name
    asked = Limit(float(item["value"]), str(item.get("direction"))).text()
    if is_excess(item):
        return f"{asked} of the way from chance to 1"
    return asked if asked.startswith(name) else f"{name} {asked}"


@dataclass(frozen=True)
class Verdict:
    """The banner: `tone` is one of SEVERITY and picks colour and icon."""

    tone: str
    headline: str
    detail: str
    complete: bool


def verdict(record: Mapping[str, Any], findings: Sequence[Mapping[str, Any]]) -> Verdict:
    """Put the record's verdict in plain words; anything but a recorded pass blocks."""
    outcomes = Counter(outcome(finding) for finding in findings)
    recorded = str(record.get("verdict") or "error")
    complete = record.get("complete") is True
    tone = recorded if recorded in ("failed", "inconclusive", "passed") else "error"
    if tone == "passed" and (outcomes["failed"] or outcomes["error"]):
        tone = "error"  # never a green banner above red rows
    return Verdict(tone, _headline(tone, outcomes, complete), _detail(tone, outcomes), complete)


def _headline(tone: str, outcomes: Counter[str], complete: bool) -> str:
    total = outcomes.total()
    audits = f"{total} audit{'' if total == 1 else 's'}"
    if tone == "passed":
        passed = outcomes["passed"]
        count = f"all {audits}" if passed == total else f"{passed} of {audits}"
        return f"{'Released' if complete else 'Not released'}: {count} passed"
    if tone == "inconclusive":
        return f"Not released: {outcomes['inconclusive']} of {audits} inconclusive"
    counts = [
        f"{outcomes[name]}{of} {words}"
        for name, words, of in (
            ("failed", "failed", f" of {audits}"),
            ("error", "could not be carried out", "" if outcomes["failed"] else f" of {audits}"),
        )
        if outcomes[name]
    ]
    return f"Blocked: {', '.join(counts) or 'the run ended in an error'}"


def _detail(tone: str, outcomes: Counter[str]) -> str:
    words = {
        "failed": "failed",
        "error": "could not be carried out",
        "inconclusive": "inconclusive",
        "waived": "waived",
        "passed": "passed",
    }
    listed = ", ".join(f"{outcomes[name]} {words[name]}" for name in LISTED if outcomes[name])
    if tone == "inconclusive":
        return f"{listed}. There are too few cases to decide; more cases can."
    return f"{listed}." if listed else ""
