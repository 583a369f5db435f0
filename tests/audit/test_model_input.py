"""An array (N, H, W, C), which is model input: judged as pictures are, and never preprocessed."""

import base64
import hashlib
import io
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
from colours import CLASSES, colour_model, evidence_of, halves, judged, message_of, picture, refused
from keras import layers
from PIL import Image
from scipy import integrate, ndimage

from pytest_cnnaudit import Case, Engine, Preprocessing, metrics
from pytest_cnnaudit.cases import InputRow, case_digest, picture_key
from pytest_cnnaudit.engine.cache import Cache

GENERATOR = np.random.default_rng(0)
PICTURES = GENERATOR.integers(0, 12, (4, 4, 4, 3), np.uint8)
INPUTS = PICTURES.astype(np.float32)
RISING = np.arange(16).reshape(4, 4) * 10
# Limits that every one of these keeps to, so that the values are what is compared.
ALL = [
    ("assert_class_discriminative", ("second",), {"correlation_at_most": 1}),
    ("assert_faithful", (), {"gain_at_least": -2}),
    ("assert_stable", (), {"change_at_most": 9}),
    ("assert_follows", (), {"correlation_at_least": 0.8}),
    ("assert_responds_to_weights", (), {"correlation_at_most": 1}),
]
SAME = [one for one in ALL if one[0] != "assert_faithful"]
each = pytest.mark.parametrize(("name", "arguments", "options"), ALL)


def values(finding):
    return [result.value for result in finding.cases]


def grid_model(side, channels=3):
    """A model with a 1 × 1 convolution that gives the first three channels, for input of any number of them."""
    image = keras.Input((side, side, channels))
    convolution = layers.Conv2D(3, 1, use_bias=False, activation="relu", name="colour")
    head = layers.Dense(3, use_bias=False, name="head")
    model = keras.Model(image, head(layers.GlobalAveragePooling2D(name="pool")(convolution(image))))
    convolution.set_weights([np.eye(channels, 3, dtype=np.float32)[None, None]])
    head.set_weights([np.eye(3, dtype=np.float32)])
    return model


@pytest.mark.parametrize(("name", "arguments", "options"), SAME)
def test_the_values_are_those_of_the_same_pixels_as_pictures(audit, name, arguments, options):
    assertion = partial(getattr(audit, name), **options)
    pictures = assertion([Case(one) for one in PICTURES], *arguments)
    inputs = assertion(INPUTS, *arguments)
    assert values(inputs) == pytest.approx(values(pictures), abs=1e-6)
    assert [result.outcome for result in inputs.cases] == [result.outcome for result in pictures.cases]
    assert (inputs.target, inputs.layer) == (pictures.target, pictures.layer) == ("predicted", "colour")


def test_faithful_differs_by_the_rounding_of_edits_only(audit_of):
    audit = audit_of(grid_model(16))
    one = GENERATOR.integers(0, 30, (16, 16, 3), np.uint8)
    one[:8, :8, 0] += 20
    found = [judged(audit.assert_faithful, given, gain_at_least=-2) for given in ([Case(one)], one[None])]
    # The random orders are drawn by the content, so they are others; Pillow's blur is nearly a Gaussian, in integers.
    own = [float(line_of(finding, "insertion − deletion: ").split()[3]) for finding in found]
    assert own[1] == pytest.approx(own[0], abs=0.02)
    assert abs(own[0]) > 0.1


def line_of(finding, start):
    [line] = [line.strip() for line in finding.message.split("\n") if line.strip().startswith(start)]
    return line


def test_faithful_blurs_and_averages_the_numbers_themselves(audit_of):
    side, steps = 16, 5
    one = GENERATOR.normal(0, 1, (side, side, 5)).astype(np.float32)  # negative numbers, and no picture's channels
    one[:8, :8, 0] += 2
    audit = audit_of(grid_model(side, channels=5))
    blurred, mean = ndimage.gaussian_filter(one, (0.8, 0.8, 0), mode="nearest"), one.mean(axis=(0, 1))
    content = hashlib.sha256(f"0 order {one.shape}".encode() + one.tobytes())
    orders = [
        np.argsort(-np.maximum(one[..., 0], 0).ravel(), kind="stable"),
        np.random.default_rng(list(content.digest())).permutation(side * side),
    ]
    areas = []
    counts = np.rint(np.linspace(0, 256, steps + 1)).astype(int)
    for order in orders:
        differences = []
        for count in counts:
            taken = np.isin(np.arange(256), order[:count]).reshape(side, side, 1)
            insertion, deletion = (
                np.exp(np.maximum(edit[..., :3], 0).mean(axis=(0, 1)).astype(np.float64))
                for edit in (np.where(taken, one, blurred), np.where(taken, mean, one))
            )
            differences.append(insertion[0] / insertion.sum() - deletion[0] / deletion.sum())
        areas.append(integrate.trapezoid(differences, counts / 256))
    finding = judged(audit.assert_faithful, one[None], target="red", steps=steps, gain_at_least=-2)
    assert values(finding) == [pytest.approx(areas[0] - areas[1], abs=1e-5)]
    assert abs(areas[0]) > 0.03


@pytest.mark.parametrize("transform", ["mirror", "flip", "rotate90"])
def test_follows_moves_the_array_as_it_moves_pictures(audit, transform):
    inputs = audit.assert_follows(INPUTS, transform)
    assert values(inputs) == pytest.approx([1] * 4)
    assert inputs.chance == pytest.approx(audit.assert_follows([Case(one) for one in PICTURES], transform).chance)
    assert inputs.chance < 0.5


@pytest.mark.parametrize("channels", [1, 2, 5])
@each
def test_any_number_of_channels_will_do(audit_of, channels, name, arguments, options):
    # No picture has 2 or 5, so there is no preprocessing that could be asked for anything.
    audit = audit_of(grid_model(4, channels), artifacts="all")
    inputs = np.random.default_rng(1).uniform(0.5, 12, (2, 4, 4, channels))
    finding = judged(getattr(audit, name), inputs, *arguments, **options, target="red")
    assert (finding.n, len(evidence_of(finding))) == (2, 2)
    if channels > 1 and name != "assert_faithful":
        assert finding.unscorable == 0


@each
def test_it_is_never_preprocessed(audit_of, results, name, arguments, options):
    def refuse(pixels):
        raise AssertionError(pixels)

    audit = audit_of(colour_model(), preprocessing=Preprocessing(9, scale=refuse, color="rgb"))
    expected = values(judged(getattr(audit_of(results), name), INPUTS, *arguments, **options))
    assert values(judged(getattr(audit, name), INPUTS, *arguments, **options)) == pytest.approx(expected, abs=1e-6)


def test_black_is_zeros_whatever_a_preprocessing_makes_of_it(audit_of):
    scaled = Preprocessing(scale=lambda pixels: pixels / 127.5 - 1)
    found = [
        values(audit_of(colour_model(), preprocessing=one).assert_stable(INPUTS, method="integrated-gradients"))
        for one in (None, scaled)
    ]
    assert found[0] == found[1]


def test_one_array_is_explained_once_and_another_by_itself(audit_of, monkeypatch):
    engine, asked = Engine(colour_model(), class_names=CLASSES), []
    heatmaps = engine.heatmaps

    def counted(images, **options):
        images = list(images)
        asked.append(len(images))
        return heatmaps(images, **options)

    audit = audit_of(Cache(engine))
    audit.assert_class_discriminative(INPUTS, "second", correlation_at_most=1)
    monkeypatch.setattr(engine, "heatmaps", counted)
    again = audit.assert_class_discriminative(INPUTS.astype(np.float64), "second", correlation_at_most=1)
    assert asked == []
    changed = INPUTS.copy()
    changed[1] = changed[1, ::-1]
    other = audit.assert_class_discriminative(changed, "second", correlation_at_most=1)
    assert asked == [1, 1]  # of the one that is new, for both classes
    assert values(other)[0] == values(again)[0]
    assert len(other.cases) == 4


def test_the_same_numbers_as_picture_and_as_input_are_two_things(audit_of):
    audit = audit_of(colour_model(), preprocessing=Preprocessing(scale=lambda pixels: pixels[:, ::-1]))
    one = picture(red=halves(10, 90))
    assert np.argmax(audit.heatmaps([Case(one)], target="red").maps[0, 0]) == 0
    audit.assert_stable(one[None])
    assert picture_key(Case(one)) != picture_key(InputRow(one))
    assert np.argmax(audit.heatmaps([InputRow(one)], target="red").maps[0, 0]) == 2


def test_the_record_knows_of_its_content(audit, recorder):
    audit.assert_stable(INPUTS)
    audit.assert_follows(INPUTS.copy())
    assert len(recorder.digests) == 4
    assert recorder.digests[InputRow(INPUTS[0])] == case_digest(InputRow(INPUTS[0]))


class TestMessages:
    def test_it_is_called_a_case_by_its_place(self, audit):
        inputs = np.stack([picture(red=RISING, blue=RISING.T), picture(red=RISING, blue=RISING)])
        finding = refused(audit.assert_class_discriminative, inputs, "blue", target="red", correlation_at_most=0.9)
        assert [result.id for result in finding.cases] == ["case 0", "case 1"]
        assert "worst: case 1 1.000" in finding.message

    @each
    def test_nan_is_an_error_that_says_where(self, audit, name, arguments, options):
        inputs = INPUTS.copy()
        inputs[2, 1, 1, 0] = np.nan
        assert "The input of case 2 holds NaN" in message_of(
            ValueError, getattr(audit, name), inputs, *arguments, **options
        )

    @each
    @pytest.mark.parametrize(
        ("inputs", "error", "match"),
        [
            (INPUTS[None], ValueError, "cases is an array (1, 4, 4, 4, 3); a picture has 3 dimensions"),
            (INPUTS[:0], ValueError, "cases is empty"),
            (INPUTS[:, :3], ValueError, "the model takes (N, 4, 4, 3)"),
            (INPUTS[:, :0], ValueError, "the model takes (N, 4, 4, 3)"),
            (INPUTS[..., :2], ValueError, "the model takes (N, 4, 4, 3)"),
            (INPUTS > 3, ValueError, "the dtype bool"),
            (INPUTS.astype("U3"), ValueError, "numbers are expected"),
            (INPUTS.astype(object), ValueError, "numbers are expected"),
            (INPUTS.astype(np.float64) * 1e300, ValueError, "too large for float32"),
            ({"image": INPUTS}, TypeError, "cases is a mapping"),
        ],
        ids=["5-D", "empty", "size", "no rows", "channels", "bool", "text", "objects", "too large", "mapping"],
    )
    def test_what_can_t_be_used_is_an_error(self, audit, inputs, error, match, name, arguments, options):
        assert match in message_of(error, getattr(audit, name), inputs, *arguments, **options)

    def test_one_picture_of_floats_has_no_known_range(self, audit):
        with pytest.raises(ValueError, match=r"or model input as \(N, H, W, C\)"):
            audit.assert_stable(INPUTS[0])

    def test_a_function_of_pictures_can_t_transform_it(self, audit):
        pair = (lambda image: image.rotate(180), lambda heatmap: heatmap[::-1, ::-1])
        message = message_of(TypeError, audit.assert_follows, INPUTS, pair)
        assert message.startswith("transform is a pair of functions of which the first takes a PIL.Image")

    def test_a_patch_needs_pictures(self, audit):
        message = message_of(TypeError, audit.assert_ignores_patch, INPUTS, PICTURES[0])
        assert "model input, and the pictures themselves are needed here, since they are edited" in message

    @pytest.mark.parametrize("by", ["label", "group"])
    def test_it_has_neither_label_nor_group(self, audit, by):
        assert f"case 0 has no {by}" in message_of(ValueError, audit.assert_stable, INPUTS, by=by)

    def test_a_function_of_the_case_has_no_case(self, audit_of):
        image, gain = keras.Input((4, 4, 3), name="image"), keras.Input((1,), name="gain")
        colours = layers.Conv2D(3, 1, use_bias=False, activation="relu", name="colour")(image)
        model = keras.Model([image, gain], layers.GlobalAveragePooling2D(name="pool")(colours) * gain)
        one_for_each = Engine(model, class_names=CLASSES, other_inputs={"gain": lambda case: [len(case.id)]})
        message = message_of(ValueError, audit_of(Cache(one_for_each)).assert_stable, INPUTS)
        assert "other_inputs['gain'] is a function of the Case, but image 0 is no Case" in message
        for_all = Engine(model, class_names=CLASSES, other_inputs={"gain": [2.0]})
        assert judged(audit_of(Cache(for_all)).assert_stable, INPUTS, change_at_most=9, target=1).n == 4


class TestPage:
    @each
    def test_it_is_shown_from_its_minimum_to_its_maximum(self, audit_of, results, name, arguments, options):
        inputs = (INPUTS - 5)[:1] / 4
        audit = audit_of(results, artifacts="all")
        [shown] = evidence_of(judged(getattr(audit, name), inputs, *arguments, **options, target="red"))
        low, high = float(inputs.min()), float(inputs.max())
        expected = np.rint(255 * (inputs[0] - low) / (high - low))
        np.testing.assert_allclose(pixels(shown["picture"]), expected, atol=1)
        caption = f"Model input, stretched from its minimum {low:.4g} to its maximum {high:.4g}"
        assert shown["picture"]["caption"] == caption

    def test_an_edit_of_it_is_stretched_as_it_is(self, audit_of, results):
        audit = audit_of(results, artifacts="all")
        [shown] = evidence_of(judged(audit.assert_follows, INPUTS[:1]))
        mirrored = pixels(shown["views"][0]["picture"])
        np.testing.assert_array_equal(mirrored, pixels(shown["picture"])[:, ::-1])
        [shown] = evidence_of(judged(audit.assert_faithful, INPUTS[:1], gain_at_least=-2))
        inserted = pixels(shown["views"][0]["picture"])
        assert np.isclose(inserted, pixels(shown["picture"]), atol=1).all(axis=-1).sum() >= 8  # half of the pixels
        # The brightest are deleted; the others are not drawn brighter for that.
        brightest = np.arange(48.0).reshape(1, 4, 4, 3)
        [shown] = evidence_of(judged(audit.assert_faithful, brightest, gain_at_least=-2, target="red"))
        deleted = pixels(shown["views"][1]["picture"])
        np.testing.assert_allclose(deleted[:2], pixels(shown["picture"])[:2], atol=1)

    @pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "L"), (3, "RGB"), (5, "L")])
    def test_only_three_channels_are_colours(self, audit_of, channels, mode):
        audit = audit_of(grid_model(4, channels), artifacts="all")
        [shown] = evidence_of(judged(audit.assert_stable, np.arange(16.0 * channels).reshape(1, 4, 4, channels)))
        assert ("mean of its" in shown["picture"]["caption"]) == (channels in (2, 5))
        image = Image.open(io.BytesIO(base64.b64decode(shown["picture"]["src"].split(",")[1])))
        assert (len(set(image.convert("RGB").getpixel((1, 0)))) == 1) == (mode == "L")

    def test_pictures_of_patients_stay_out(self, audit_of, results):
        audit = audit_of(results, artifacts="all", pictures="none")
        [shown] = evidence_of(audit.assert_stable(INPUTS[:1], change_at_most=9))
        assert shown["picture"]["src"] is None


def pixels(shown):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(shown["src"].split(",")[1]))), float)


FORMS = {
    "array": lambda _: INPUTS,
    "integers": lambda _: PICTURES,
    "list": lambda _: list(PICTURES),
    "iterator": lambda _: iter(PICTURES),
    "generator": lambda _: (Case(one) for one in PICTURES),
    "one picture": lambda _: PICTURES[0],
    "grey": lambda _: PICTURES[0, ..., 0],
    "PIL": lambda _: Image.fromarray(PICTURES[0]),
    "path": lambda folder: saved(folder),
    "paths": lambda folder: [str(saved(folder)), saved(folder)],
    "mapping": lambda _: {"image": INPUTS},
    "mapping of pictures": lambda _: {"image": list(PICTURES)},
}


def saved(folder):
    Image.fromarray(PICTURES[0]).save(folder / "one.png")
    return Path(folder / "one.png")


@pytest.fixture(scope="module")
def deep(backend):
    """Three layers, of which each halves what is above 4 less than the one before."""
    image = x = keras.Input((4, 4, 3), name="image")
    for index in range(3):
        x = layers.ReLU(name=f"relu_{index}")(x - 2.0)
    model = keras.Model(image, layers.GlobalAveragePooling2D(name="pool")(x))
    return Cache(Engine(model, class_names=CLASSES))


@pytest.mark.parametrize("form", FORMS)
class TestInside:
    """Assertions on what happens inside take everything that the engine takes."""

    def test_sparsity_rises(self, audit_of, deep, tmp_path, form):
        finding = audit_of(deep).assert_sparsity_rises(FORMS[form](tmp_path))
        assert finding.value == 1
        assert finding.n == counted(form)

    def test_no_dead_filters(self, audit_of, deep, tmp_path, form):
        finding = audit_of(deep).assert_no_dead_filters(FORMS[form](tmp_path), at_most=1)
        assert finding.n == counted(form)

    def test_finite(self, audit_of, deep, tmp_path, form):
        finding = audit_of(deep).assert_finite(FORMS[form](tmp_path))
        assert (finding.outcome, finding.n) == ("passed", counted(form))


def counted(form):
    return 1 if form in ("one picture", "grey", "PIL", "path") else 2 if form == "paths" else 4


@pytest.mark.parametrize("name", ["assert_sparsity_rises", "assert_no_dead_filters", "assert_finite"])
@pytest.mark.parametrize(
    ("images", "match"),
    [
        (np.array(3.0), "this one has ()"),
        (np.zeros(3), "this one has (3,)"),
        (INPUTS[None], "this one has (1, 4, 4, 4, 3)"),
        (INPUTS[:0], "cases is empty"),
        (iter(()), "There are no images"),
        ({}, "has no 'image'"),
        ({"image": INPUTS, "age": INPUTS}, "no input 'age'"),
    ],
    ids=["0-D", "1-D", "5-D", "no rows", "no items", "no inputs", "unknown input"],
)
def test_what_the_engine_refuses_is_an_error(audit_of, deep, name, images, match):
    assert match in message_of(ValueError, getattr(audit_of(deep), name), images)


def test_the_value_of_a_map_is_that_of_the_measure(audit):
    """On the numbers themselves: the map for red is the red channel."""
    finding = audit.assert_class_discriminative(INPUTS, "blue", target="red", correlation_at_most=1)
    expected = [metrics.rank_correlation(one[..., 0], one[..., 2]) for one in INPUTS]
    assert values(finding) == pytest.approx(expected)
