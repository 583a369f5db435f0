"""Texts, kinds and excesses by an assertion's name, for findings that don't hold them yet. Temporary.

PYTEST_DONT_REWRITE
"""

from typing import Any

from pytest_cnnaudit.findings import Texts
from pytest_cnnaudit.record import settings_of
from pytest_cnnaudit.report.recorded import Finding

EXPLANATIONS = {
    "mass_inside": Texts(
        "Looks at the object",
        "share of the heatmap inside the marked region",
        "The heatmap shows which places of the picture raised the score of the class. This audit adds up "
        "the heatmap inside the marked region and divides by the whole: 1 means that all of it lies inside. "
        "Chance is the region's share of the picture's area, what a heatmap spread evenly would reach.",
        "A low value means that the model decides by something beside the object. "
        "Look at what lies under the brightest cells.",
    ),
    "avoids": Texts(
        "Keeps off the forbidden region",
        "share of the heatmap on the forbidden region",
        "The forbidden region is a place that must not matter, such as a watermark or a ruler. This audit "
        "adds up the heatmap on it and divides by the whole: 0 is best. Chance is the region's share of the "
        "picture's area.",
        "A value far above chance means that the model reads the class from this region: a shortcut that "
        "will be missing, or misleading, in other pictures.",
    ),
    "points_at": Texts(
        "Points at the object",
        "share of pictures whose heatmap has its maximum in the marked region",
        "The heatmap's strongest cell must have its centre in the marked region, or as near to it as the "
        "tolerance allows. Chance is the share of cells that count: how often a cell picked at random would hit.",
        "A miss means that the strongest evidence lies beside the object. This looks at one cell only: see the "
        "whole heatmap for how much else there is.",
        yes_no=True,
    ),
    "iou": Texts(
        "Covers the object",
        "overlap of the heatmap's strong cells with the marked region",
        "The cells above a share of the heatmap's maximum are held against the marked region: the area that both "
        "have in common, divided by the area that either has. 1 means that they are the same. Chance is what a "
        "heatmap spread evenly would reach, which selects every cell.",
        "A low value means that the heatmap marks another place, or only a part of the object, or much more than "
        "it: networks often need only a part, such as a face.",
    ),
    "grid_pointing": Texts(
        "Finds each class in a mosaic",
        "share of the heatmap in the right cell of a mosaic",
        "Pictures of several classes are put side by side, and the heatmap for one class is added up in the cell "
        "that shows it and divided by the whole: 1 means that all of it lies there. Chance is the cell's share of "
        "the mosaic. No regions are needed.",
        "A value near chance means that the heatmap does not tell the classes apart: it shows edges or objects in "
        "general, or the model does not recognise the pictures at this size.",
    ),
    "object_matters": Texts(
        "Depends on the object",
        "drop of the class's probability when the object is hidden",
        "The marked object is hidden, and the model asked again. As much is hidden at three other places, and what "
        "that costs is taken off: the rest is the drop that is due to the object. Chance is 0: it makes no "
        "difference whether the object is hidden or something else.",
        "A low value means that the model says the same without the object: it decides by something else in the "
        "picture. Where the probability was low to begin with, it can't drop.",
    ),
    "object_suffices": Texts(
        "The object is enough",
        "probability of the class with only the object left",
        "Everything but the marked object is hidden, and the model asked again. Chance is what guessing gives.",
        "A low value means that the model needs something beside the object. It can also mean that it has never "
        "seen a picture like the edited one: compare with another fill.",
    ),
    "ignores_patch": Texts(
        "Is not moved by a patch",
        "share of places at which the patch changes nothing",
        "A small picture that must not matter, such as a logo or a stamp, is pasted over the picture at each of the "
        "places, and the class that the model predicts must stay the same. A picture that looks the same with it "
        "proves nothing.",
        "Where it changes, the model takes the patch for evidence: a shortcut, and an easy way to fool it. A patch "
        "that covers the object changes the class for a better reason.",
    ),
    "ignores_background": Texts(
        "Is not moved by the background",
        "share of backgrounds on which the class stays",
        "Everything outside the marked object is exchanged for other backgrounds, and the class that the model "
        "predicts must stay the same.",
        "Where it changes, the model reads the class from the surroundings. The cut-out itself can disturb it too: "
        "look at whether the edited pictures could be real.",
    ),
    "class_discriminative": Texts(
        "Heatmaps tell classes apart",
        "rank correlation of the heatmaps of two classes",
        "The heatmap of a class should show what speaks for this class. This audit draws the heatmaps for two classes "
        "of the same picture and compares which cells they rank high: 1 means that both show the same, 0 that they "
        "have nothing in common, −1 that one is high where the other is low.",
        "A value near 1 means that the heatmap shows what catches the eye in the picture, whichever class is asked "
        "for. It says nothing of why this class was predicted.",
    ),
    "faithful": Texts(
        "Heatmaps show what the prediction uses",
        "gain of the heatmap's order over a random one",
        "Cells of the picture are revealed over a blurred copy, and covered with the mean colour, those first that the "
        "heatmap calls most relevant. Where they matter, the class's probability rises early and falls early. The "
        "number is how much more so than in a random order, which is drawn beside it: 0 is chance.",
        "A value below 0 means that cells taken at random move the prediction more than those that the heatmap shows. "
        "A prediction that hardly moves at all, whatever is covered, tells nothing of the heatmap.",
    ),
    "stable": Texts(
        "Heatmaps bear noise",
        "largest change of the heatmap under small noise",
        "Noise that nobody would see is added to the model's input, several times. The number is how far the heatmap "
        "moved at most, as a share of its own size: 0 means not at all.",
        "A heatmap that changes with invisible noise would have been another one a moment later: whatever it shows "
        "here is a coincidence.",
    ),
    "follows": Texts(
        "Heatmaps move with the picture",
        "rank correlation with the transformed picture's heatmap, taken back",
        "The picture is transformed, by default mirrored, and its heatmap is taken back: it should be the first one "
        "again, a correlation of 1. Chance is what a heatmap would reach that stays in its place whatever the "
        "picture.",
        "A low value means that the heatmap depends on where things are, not only on what they are. If chance is as "
        "high as the value, the picture is too symmetric to tell.",
    ),
    "responds_to_weights": Texts(
        "Heatmaps depend on what was learned",
        "rank correlation with heatmaps of random weights",
        "The layers from the output down to the explained one get random weights, several times, and the heatmap is "
        "drawn again: of what the network learned there, nothing is left. The number is the mean correlation with the "
        "heatmap of the trained network: 0 means that nothing of it survived.",
        "A value near 1 means that the method draws the same map for a network that learned nothing. It shows the "
        "picture, its edges or its middle, and can't show what a model does with it.",
    ),
    "predicts": Texts(
        "Predicts the right class",
        "share of pictures classified as labelled",
        "The label of each picture is compared with the class that the model gives the highest score.",
        "This audit says how often the model is right, not why: it can be right for a wrong reason.",
        yes_no=True,
    ),
    "sparsity_rises": Texts(
        "Activations get sparser with depth",
        "trend of sparsity over depth (Kendall's τ)",
        "In a trained network early layers respond to edges nearly everywhere, deep layers only to what they "
        "have specialised in, so activations get sparser from layer to layer. The number is the rank "
        "correlation of depth and sparsity: 1 means that every layer is sparser than the one before, 0 that "
        "there is no trend, −1 that sparsity falls.",
        "A flat or falling profile suggests that the deep layers have not specialised: too little training, "
        "or more layers than the task needs.",
    ),
    "no_dead_filters": Texts(
        "Filters are alive",
        "share of filters that never fire, in the worst layer",
        "A filter that stays silent on every picture adds cost and carries nothing. This audit counts "
        "in each layer the filters without a single positive response on these pictures.",
        "Many dead filters point to a learning rate that was too high, a bad initialisation or a layer that "
        "is too wide. A rare filter may only need more pictures to show itself.",
    ),
    "no_duplicate_filters": Texts(
        "Filters differ from each other",
        "share of filters that repeat another, in the worst layer",
        "Two filters whose weights point in the same direction compute the same thing twice. This audit takes the "
        "filters of each layer in their order, and counts those whose weights (the bias is one of them) are nearly "
        "parallel to an earlier filter's: of three equal filters two are redundant. It looks at weights alone, and "
        "needs no pictures.",
        "Many redundant filters point to a layer that is too wide, to an initialisation that made filters alike, or "
        "to weights that were copied. A normalisation after the layer can still tell two such filters apart.",
    ),
    "filters_respond": Texts(
        "Filters respond to their patterns",
        "gain of the filter that responds the least",
        "A filter's pattern is the picture that excites it the most, found step by step from noise. This audit "
        "compares the filter's activation on it with that on noise which is equally far from the start: the gain is "
        "the rise in standard deviations of what noise gives. 0 means that the pattern is no better than noise.",
        "A gain near 0 means a filter without a preference: dead, never trained, or silent at the start, as many are "
        "behind a ReLU. Filter patterns illustrate; they are no proof of what a filter does on photographs.",
    ),
    "filters_distinct": Texts(
        "Filters have patterns of their own",
        "similarity of the two patterns that are most alike",
        "All patterns are grown from the same noise, so that only the filter makes them differ. This audit compares "
        "what was added to the noise for each pair of filters: 1 means the same picture, 0 pictures that have nothing "
        "in common.",
        "Two filters with the same pattern look for the same thing: one of them carries nothing of its own. In the "
        "last layers of a model with few classes patterns are alike by nature.",
    ),
    "finite": Texts(
        "All activations are finite",
        "share of pictures with NaN or infinity in an activation",
        "Every layer's output is looked at for values that are not numbers (NaN) or infinite, and so is what a layer "
        "hands to its own activation, which can hide them.",
        "The first layer in order is where to look: weights that grew too large in training, a division or logarithm "
        "of zero, or numbers too large for half precision. What comes after it is usually only what follows from it.",
    ),
    "assertion": Texts("The test's own assertions", "measured value", "What this test asserts beside its audits."),
    "error": Texts("The test itself", "measured value", "The test ended otherwise than by an audit's verdict."),
}


def with_texts(finding: Finding) -> Finding:
    """Complete a finding that holds none."""
    if finding.get("texts") or not finding.get("name"):
        return finding
    known = EXPLANATIONS.get(str(finding["name"]))
    filled: dict[str, Any] = {
        "texts": known and vars(known),
        "settings": settings_of(finding.get("demands") or {}),
        "thresholds": [
            {**item, "is_excess": str(item.get("name")).startswith("excess")}
            for item in finding.get("thresholds") or ()
        ],
    }
    return {**{key: value for key, value in finding.items() if key != "kind"}, **filled}
