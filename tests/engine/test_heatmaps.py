"""Grad-CAM by numbers: worked examples, the identities of a pooled head, and what `Heatmaps` does with a map.

The worked example (`networks.one_conv`): the picture [[1, 2], [−1, 0]] gives A₀ = [[1, 2], [0, 0]] and
A₁ = [[0, 0], [1, 0]], pooled to (3/4, 1/4), so the logits are (1.25, −0.5). With α_k = W_k / 4 the signed
maps are Σ_k α_k A_k.
"""

import functools

import keras
import networks
import numpy as np
import pytest
from distances import close
from networks import BIAS, KERNEL, PICTURE, one_conv
from PIL import Image

from pytest_cnnaudit import Box, Case, CaseError, EmptyHeatmapError, Engine

CLASS_0 = np.array([[0.5, 1.0], [-0.75, 0.0]], np.float32)
CLASS_1 = np.array([[-0.25, -0.5], [0.25, 0.0]], np.float32)


def hires_cam(activations, gradients, scores):
    return (activations * gradients).sum(axis=-1)


@pytest.mark.parametrize("head", networks.HEADS)
def test_worked_example_with_every_way_to_write_a_softmax(head):
    engine = networks.worked_example(head)
    heatmaps = engine.heatmaps(np.repeat(PICTURE, 2, axis=0), target=[0, 1])
    close(heatmaps.signed, [CLASS_0, CLASS_1])
    close(heatmaps.maps, [[[0.5, 1], [0, 0]], [[0, 0], [0.25, 0]]])
    close(heatmaps.logits, [[1.25, -0.5]] * 2)
    close(heatmaps.scores, [1.25, -0.5])
    assert heatmaps.targets.tolist() == [0, 1]
    assert (heatmaps.layer, heatmaps.method) == ("conv", "grad-cam")
    assert heatmaps.maps.dtype == heatmaps.signed.dtype == np.float32


def test_predicted_class_is_the_default_target():
    heatmaps = networks.worked_example("dense").heatmaps(PICTURE)
    assert heatmaps.targets.tolist() == [0]
    close(heatmaps.signed, [CLASS_0])


def test_share_of_negative_evidence():
    heatmaps = networks.worked_example().heatmaps(np.repeat(PICTURE, 2, axis=0), target=[0, 1])
    close(heatmaps.negative_share, [0.75 / 2.25, 0.75 / 1.0])


def test_negative_weights_give_an_empty_map():
    heatmaps = Engine(one_conv(kernel=-np.abs(KERNEL))).heatmaps(PICTURE, target=0)
    assert heatmaps.empty.tolist() == [True]
    close(heatmaps.negative_share, [1.0])
    assert not heatmaps.maps.any()
    assert not heatmaps.normalized().any()
    with pytest.raises(EmptyHeatmapError):
        heatmaps.mass_inside(Box(0, 0, 1, 1))


def test_a_map_that_is_zero_everywhere_has_no_negative_share():
    heatmaps = networks.worked_example().heatmaps(np.zeros_like(PICTURE), target=0)
    assert heatmaps.empty.tolist() == [True]
    close(heatmaps.negative_share, [0.0])


@pytest.mark.parametrize("head", ["dense", "activation", "operation"])
def test_one_sigmoid_output_is_two_classes(head):
    engine = Engine(one_conv(head, kernel=[[2], [-3]], bias=[0.5], squash="sigmoid"))
    heatmaps = engine.heatmaps(np.repeat(PICTURE, 2, axis=0), target=[0, 1])
    close(heatmaps.signed, [-CLASS_0, CLASS_0])
    close(heatmaps.logits, [[-1.25, 1.25]] * 2)
    close(heatmaps.scores, [-1.25, 1.25])


def test_one_linear_output_is_two_classes():
    engine = Engine(one_conv(kernel=[[2], [-3]], bias=[0.5]))
    close(engine.heatmaps(PICTURE, target=0).signed, [-CLASS_0])
    assert engine.num_classes == 2


def test_probability_of_a_binary_output():
    p = 1 / (1 + np.exp(-1.25))
    engine = Engine(one_conv("dense", kernel=[[2], [-3]], bias=[0.5], squash="sigmoid"))
    heatmaps = engine.heatmaps(np.repeat(PICTURE, 2, axis=0), target=[0, 1], score="probability")
    close(heatmaps.signed, [-p * (1 - p) * CLASS_0, p * (1 - p) * CLASS_0])
    close(heatmaps.scores, [1 - p, p])


def test_probability_of_a_softmax():
    p = 1 / (1 + np.exp(-1.75))
    heatmaps = networks.worked_example("dense").heatmaps(PICTURE, target=0, score="probability")
    close(heatmaps.signed, [p * (1 - p) * (CLASS_0 - CLASS_1)])
    close(heatmaps.scores, [p])


def test_probability_of_a_multi_label_sigmoid():
    p = 1 / (1 + np.exp(0.5))
    heatmaps = Engine(one_conv("dense", squash="sigmoid")).heatmaps(PICTURE, target=1, score="probability")
    close(heatmaps.signed, [p * (1 - p) * CLASS_1])
    close(heatmaps.scores, [p])


def test_margin_of_forty_where_the_softmax_has_no_gradient_left():
    """Logits 34 and −6: the probability is exactly 1 in float32, the logit's map is what it is."""
    engine = Engine(one_conv("dense", kernel=[[48, -8], [-8, 0]], bias=[0, 0]))
    heatmaps = engine.heatmaps(PICTURE, target=0)
    close(heatmaps.logits, [[34, -6]], 1e-5)
    close(heatmaps.signed, [[[12, 24], [-2, 0]]], 1e-5)
    assert engine.predict(PICTURE).probabilities[0, 0] == 1
    assert np.abs(engine.heatmaps(PICTURE, target=0, score="probability").signed).max() < 1e-15


@pytest.mark.parametrize("name", ["functional", "nested", "sequential", "subclassed_plain"])
def test_identities_of_a_pooled_linear_head(name):
    """grad-cam = CAM / Z, and Σ hires-cam + bias = the logit."""
    engine, images = networks.engine(name), networks.pictures(5)
    kernel, bias = engine.model.layers[-1].get_weights()
    for target in range(3):
        gradient_cam = engine.heatmaps(images, target=target)
        activations = engine.activations(images, engine.default_layer)[gradient_cam.layer]
        cam = activations @ kernel[:, target]
        close(gradient_cam.signed, cam / cam[0].size, 1e-6)
        exact = engine.heatmaps(images, target=target, method=hires_cam)
        close(exact.signed.sum(axis=(1, 2)) + bias[target], exact.scores, 1e-5)
        close(exact.signed, gradient_cam.signed, 1e-6)
        assert exact.method == "hires_cam"


def test_callable_gets_activations_gradients_and_scores():
    seen = {}

    def method(activations, gradients, scores):
        seen.update(activations=activations, gradients=gradients, scores=scores)
        return activations[..., 0]

    networks.worked_example().heatmaps(PICTURE, target=1, method=method)
    close(seen["activations"][0, :, :, 1], [[0, 0], [1, 0]])
    close(seen["gradients"], np.broadcast_to(KERNEL[:, 1] / 4, (1, 2, 2, 2)))
    close(seen["scores"], [-0.5])


def test_callable_that_gives_the_wrong_shape():
    with pytest.raises(ValueError, match=r"'<lambda>' gave maps of shape \(1, 2, 2, 2\); expected \(1, 2, 2\)"):
        networks.worked_example().heatmaps(PICTURE, method=lambda activations, gradients, scores: activations)


# Targets

NAMES = ("cat", "dog")


def cases(*labels):
    return [Case(np.full((2, 2, 3), 10 * index, np.uint8), label=label) for index, label in enumerate(labels)]


@functools.cache
def three_channels(*names):
    """An engine of the worked example's head behind a convolution that takes colour pictures."""
    picture = keras.Input((2, 2, 3))
    x = keras.layers.Conv2D(2, 1, use_bias=False, name="conv")(picture)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(picture, keras.layers.Dense(2, name="head")(x))
    model.set_weights([np.ones((1, 1, 3, 2), np.float32), KERNEL, BIAS])
    return Engine(model, class_names=names or None)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("cat", [0, 0, 0]),
        ("dog", [1, 1, 1]),
        (1, [1, 1, 1]),
        (np.int64(1), [1, 1, 1]),
        ("label", [1, 0, 1]),
        (["cat", 1, "label"], [0, 1, 1]),
        (np.array([0, 1, 0]), [0, 1, 0]),
        ("predicted", [0, 1, 1]),
    ],
)
def test_targets(target, expected):
    engine = three_channels(*NAMES)
    assert engine.heatmaps(cases("dog", 0, "dog"), target=target).targets.tolist() == expected


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("target", "error", "words"),
    [
        ("bird", ValueError, "There is no class 'bird' among the 2 classes; nearest: "),
        (2, ValueError, "class index 2 is out of range: the model has 2 classes"),
        (-1, ValueError, "class index -1 is out of range"),
        (True, TypeError, "not True"),
        (0.5, TypeError, "0.5"),
        ([0, 1.5], TypeError, "1.5"),
        (b"dog", TypeError, "not b'dog'"),
        (np.array([0, 5]), ValueError, "class index 5 is out of range"),
        (np.array(2), ValueError, "class index 2 is out of range"),
        ([0], ValueError, "target has 1 entries"),
        ([0, 1, 0], ValueError, "target has 3 entries for 2 images"),
        ("label", CaseError, "image 1 has no label"),
    ],
)
def test_target_errors(target, error, words):
    with pytest.raises(error, match=words):
        three_channels(*NAMES).heatmaps(cases("cat", None), target=target)


@pytest.mark.one_backend
def test_case_with_several_labels_needs_a_target():
    with pytest.raises(CaseError, match=r"image 0 has several labels \('cat', 'dog'\)"):
        three_channels(*NAMES).heatmaps(cases(("cat", "dog")), target="label")


@pytest.mark.one_backend
def test_class_by_name_without_class_names():
    with pytest.raises(ValueError, match="'cat' is given by name, but the engine has no class names"):
        three_channels().heatmaps(cases(0), target="cat")


@pytest.mark.one_backend
def test_array_has_no_labels():
    with pytest.raises(CaseError, match="image 0 has no label"):
        networks.worked_example().heatmaps(PICTURE, target="label")


# What a Heatmaps does


def test_normalized_divides_by_the_maximum_and_keeps_the_shares():
    heatmaps = networks.worked_example().heatmaps(np.repeat(PICTURE, 2, axis=0), target=[0, 1])
    close(heatmaps.normalized(), [[[0.5, 1], [0, 0]], [[0, 0], [1, 0]]])


def test_mass_inside_in_input_pixels():
    heatmaps = networks.worked_example().heatmaps(PICTURE, target=0)
    close(heatmaps.mass_inside(Box(1, 0, 2, 1)), [1 / 1.5])
    close(heatmaps.mass_inside(Box(0.5, 0, 2, 1)), [1.25 / 1.5])
    close(heatmaps.mass_inside([Box(0, 0, 1, 2), Box(0, 0, 0.5, 0.5)]), [0.5 / 1.5])
    close(heatmaps.iou(Box(0, 0, 1, 1)), [1 / 2])
    close(heatmaps.iou(Box(1, 0, 2, 1), threshold=0.6), [1])


def test_pointing_hit_in_input_pixels():
    heatmaps = networks.worked_example().heatmaps(PICTURE, target=0)
    close(heatmaps.pointing_hit(Box(1, 0, 2, 1)), [1])
    close(heatmaps.pointing_hit(Box(0, 0, 1, 2)), [0])
    close(heatmaps.pointing_hit(Box(0, 0, 1, 2), tolerance=0.5), [1])


def test_rank_accuracy_in_input_pixels():
    """The map is 0.5, 1 over 0, 0: of the two strongest cells one lies in the left half."""
    heatmaps = networks.worked_example().heatmaps(PICTURE, target=0)
    close(heatmaps.rank_accuracy(Box(0, 0, 1, 2)), [0.5])
    close(heatmaps.rank_accuracy(Box(0, 0, 2, 1)), [1])


def test_each_case_has_its_own_region_in_its_own_pixels():
    """A 4 × 4 picture stretched to 2 × 2: its left half is the model's left column."""
    left, right = (Case(np.zeros((4, 4, 3), np.uint8), region=Box(x, 0, x + 2, 4)) for x in (0, 2))
    fixed = np.array([[0, 3], [1, 0]])
    heatmaps = three_channels().heatmaps([left, right], method=lambda a, g, s: np.stack([fixed] * len(a)))
    close(heatmaps.mass_inside(), [0.25, 0.75])


def test_measure_without_a_region():
    with pytest.raises(ValueError, match=r"No region for image 0 \(1 of 1 have none\)"):
        networks.worked_example().heatmaps(PICTURE, target=0).mass_inside()


def test_resized_has_half_pixel_centres():
    heatmaps = networks.engine("functional").heatmaps(networks.pictures(2), target=[0, 1])
    expected = [
        np.asarray(Image.fromarray(heatmap).resize((31, 17), Image.Resampling.BILINEAR)) for heatmap in heatmaps.maps
    ]
    assert max(heatmap.max() for heatmap in expected) > 0
    close(heatmaps.resized((17, 31)), expected, 1e-5)
    close(heatmaps.resized(heatmaps.maps.shape[1:]), heatmaps.maps)


@pytest.mark.one_backend
@pytest.mark.parametrize("size", [(0, 4), (2.5, 4), (4,)])
def test_resized_to_no_size(size):
    with pytest.raises(ValueError, match="two positive integers"):
        networks.worked_example().heatmaps(PICTURE).resized(size)


# Errors


@pytest.mark.one_backend
def test_unknown_method_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"no method 'gradcam'; known: grad-cam"):
        networks.worked_example().heatmaps(PICTURE, method="gradcam")


@pytest.mark.one_backend
def test_unknown_score():
    with pytest.raises(ValueError, match="score is 'prob'; known: 'logit', 'probability'"):
        networks.worked_example().heatmaps(PICTURE, score="prob")


def test_layer_that_is_not_spatial():
    with pytest.raises(ValueError, match=r"'pool' has outputs of shape \(None, 2\); .*such as 'conv'"):
        networks.worked_example().heatmaps(PICTURE, layer="pool")


def test_layer_the_score_does_not_depend_on():
    picture = keras.Input((4, 4, 3))
    used = keras.layers.Conv2D(2, 1, name="used")(picture)
    aside = keras.layers.Conv2D(2, 1, name="aside")(picture)
    outputs = [keras.layers.Dense(2, name=name)(keras.layers.GlobalAveragePooling2D()(x)) for name, x in
               (("main", used), ("other", aside))]  # fmt: skip
    model = keras.Model(picture, outputs)
    with pytest.raises(ValueError, match="does not depend on the layer 'aside'"):
        Engine(model, output="main").heatmaps(networks.pictures(1, 4, 4), layer="aside")
