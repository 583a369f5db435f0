"""`assert_grid_pointing`: how mosaics are drawn and made, exact masses in them, and what can't be a mosaic."""

import base64

import keras
import numpy as np
import pytest
from colours import CLASSES, colour_model, evidence_of, half_case, judged, message_of, picture, refused
from hypothesis import given
from hypothesis import strategies as st
from keras import layers
from PIL import Image

from pytest_cnnaudit import Box, Case, CaseError, Preprocessing
from pytest_cnnaudit.audit.families.mosaics import draw_mosaics
from pytest_cnnaudit.cases import picture_digest
from pytest_cnnaudit.engine.errors import NonFiniteError

MIX = {"red": (90, 10, 0), "green": (30, 60, 10), "blue": (0, 20, 80)}


def case_of(label, index=0, levels=None, **about):
    """A picture of one colour, which has something of the other labels' too."""
    return Case(picture(*(MIX[label] if levels is None else levels)), label=label, id=f"{label} {index}", **about)


def population(each=4):
    return [case_of(label, index, np.add(MIX[label], 3 * index)) for label in MIX for index in range(each)]


class TestDraw:
    CLASSES = (0, 0, 0, 1, 1, 2, 2, 2, 2)
    KEYS = "cabfedihg"

    @pytest.mark.parametrize("grid", [2, 3])
    def test_each_case_is_in_its_own_cell_among_other_classes(self, grid):
        for index, (members, cell) in enumerate(draw_mosaics(self.CLASSES, self.KEYS, grid, 0)):
            assert len(members) == grid**2
            assert members[cell] == index
            others = [self.CLASSES[member] for place, member in enumerate(members) if place != cell]
            assert self.CLASSES[index] not in others

    def test_the_other_classes_take_turns(self):
        for index, (members, cell) in enumerate(draw_mosaics(self.CLASSES, self.KEYS, 2, 0)):
            others = [self.CLASSES[member] for place, member in enumerate(members) if place != cell]
            assert sorted(others.count(one) for one in {0, 1, 2} - {self.CLASSES[index]}) == [1, 2]

    def test_the_seed_decides(self):
        assert draw_mosaics(self.CLASSES, self.KEYS, 2, 1) == draw_mosaics(self.CLASSES, self.KEYS, 2, 1)
        assert draw_mosaics(self.CLASSES, self.KEYS, 2, 1) != draw_mosaics(self.CLASSES, self.KEYS, 2, 2)

    @given(order=st.permutations(range(9)), seed=st.integers(0, 99))
    def test_the_order_of_the_cases_does_not(self, order, seed):
        classes, keys = [self.CLASSES[at] for at in order], [self.KEYS[at] for at in order]
        expected = draw_mosaics(self.CLASSES, self.KEYS, 2, seed)
        for at, (members, cell) in zip(order, draw_mosaics(classes, keys, 2, seed), strict=True):
            assert (tuple(order[member] for member in members), cell) == expected[at]

    def test_the_cells_are_all_used(self):
        drawn = draw_mosaics([0, 1] * 200, [str(index) for index in range(400)], 2, 0)
        counts = np.bincount([cell for _, cell in drawn], minlength=4)
        assert counts.min() > 70


def keys_of(cases):
    return [picture_digest(case) for case in cases]


def mosaic_mass(cases, index, seed=0, grid=2):
    """The mass of a case's colour in its own cell, from how the mosaics are drawn."""
    classes = [CLASSES.index(case.label) for case in cases]
    members, cell = draw_mosaics(classes, keys_of(cases), grid, seed)[index]
    amounts = [float(cases[member].image[0, 0, classes[index]]) for member in members]
    return amounts[cell] / sum(amounts)


def test_the_value_is_the_mass_in_the_right_cell(audit):
    cases = population()
    finding = audit.assert_grid_pointing(cases)
    assert (finding.name, finding.outcome, finding.chance, finding.n) == ("grid_pointing", "passed", 0.25, 12)
    expected = [mosaic_mass(cases, index) for index in range(12)]
    assert [result.value for result in finding.cases] == pytest.approx(expected)
    assert 0.4 < min(expected) < max(expected) < 1
    assert [(limit.name, limit.value) for limit in finding.thresholds] == [("excess", 0.2)]
    assert finding.message == (
        "grid_pointing: passed: 12 of 12 cases pass (100.0 %); 100 % required (margin +0)"
        ", 95 % interval 73.5 to 100.0 %\n"
        f"  a case passes with excess ≥ 0.2; mean {np.mean(expected):.3f}, chance 0.250\n"
        "  heatmaps: grad-cam at 'colour', target: label\n"
        "  settings: grid 2"
    )


def test_grey_pictures_are_at_chance(audit, page):
    cases = [case_of(label, index, (50, 50, 50)) for label in MIX for index in range(2)]
    finding = refused(audit.assert_grid_pointing, cases)
    assert [result.value for result in finding.cases] == pytest.approx([0.25] * 6)
    assert (finding.passed, finding.chance) == (0, 0.25)
    assert finding.message.endswith(f"page: {page}")


def test_at_least_stands_beside_the_excess(audit):
    cases = population()
    values = [result.value for result in audit.assert_grid_pointing(cases).cases]
    finding = refused(audit.assert_grid_pointing, cases, at_least=0.99, excess_at_least=0.2)
    assert [(limit.name, limit.value) for limit in finding.thresholds] == [
        ("mass in the right cell", 0.99),
        ("excess", 0.2),
    ]
    assert audit.assert_grid_pointing(cases, at_least=min(values)).passed == 12


def test_the_default_asks_for_a_fifth_of_the_way_from_chance(audit):
    # 40 of 100 in the own cell and 20 in each other is an excess of 0.2 exactly.
    cases = [case_of("red", 0, (40, 0, 0)), *(case_of("green", index, (20, 99, 0)) for index in range(3))]
    finding = audit.assert_grid_pointing(cases, mostly=0.25)
    assert (finding.cases[0].value, finding.cases[0].outcome) == (pytest.approx(0.4), "passed")
    cases[0] = case_of("red", 0, (39, 0, 0))
    assert refused(audit.assert_grid_pointing, cases).cases[0].outcome == "failed"


def colour_model_of(side, size=1):
    """The colour model on squares of another size, without a rim where the convolution has one."""
    image = keras.Input((side, side, 3))
    convolution = layers.Conv2D(3, size, use_bias=False, activation="relu", name="colour")
    head = layers.Dense(3, use_bias=False)
    model = keras.Model(image, head(layers.GlobalAveragePooling2D()(convolution(image))))
    middle = np.arange(size**2).reshape(size, size, 1, 1) == size**2 // 2
    convolution.set_weights([(middle * np.eye(3)).astype(np.float32)])
    head.set_weights([np.eye(3, dtype=np.float32)])
    return model


@pytest.mark.parametrize(("side", "grid"), [(9, 3), (6, 3), (8, 4)])
def test_other_grids(audit_of, side, grid):
    audit = audit_of(colour_model_of(side))
    cases = [case_of(label, index, (50, 50, 50)) for label in MIX for index in range(2)]
    finding = refused(audit.assert_grid_pointing, cases, grid=grid)
    assert finding.chance == pytest.approx(1 / grid**2)
    assert [result.value for result in finding.cases] == pytest.approx([1 / grid**2] * 6)


@pytest.mark.parametrize(("side", "grid", "widths"), [(7, 2, (4, 3)), (16, 3, (5, 6, 5))])
class TestSizeThatTheGridDoesNotDivide:
    def test_a_model_that_sees_each_class_in_its_place_has_all_the_mass_there(self, audit_of, side, grid, widths):
        cases = [case_of(label, 0, 90 * np.eye(3)[at]) for at, label in enumerate(MIX)]
        for seed in range(3):
            finding = audit_of(colour_model_of(side), seed=seed).assert_grid_pointing(cases, grid=grid, at_least=1)
            assert [result.value for result in finding.cases] == pytest.approx([1.0] * 3)

    def test_chance_is_the_share_of_the_cell_as_it_was_pasted(self, audit_of, side, grid, widths):
        cases, model, shares = [case_of(label, 0, (50, 50, 50)) for label in MIX], colour_model_of(side), set()
        for seed in range(5):
            finding = judged(audit_of(model, seed=seed).assert_grid_pointing, cases, grid=grid)
            _, cell = draw_mosaics([0, 1, 2], keys_of(cases), grid, seed)[0]
            row, column = divmod(cell, grid)
            shares.add(widths[row] * widths[column] / side**2)
            assert finding.cases[0].value == pytest.approx(widths[row] * widths[column] / side**2)
            assert finding.chance == pytest.approx(finding.mean)
        assert len(shares) > 1


def test_the_order_of_the_cases_changes_no_value(audit):
    cases = population()
    values = {one.id: one.value for one in audit.assert_grid_pointing(cases).cases}
    turned = {one.id: one.value for one in audit.assert_grid_pointing(cases[::-1]).cases}
    assert turned == pytest.approx(values, rel=1e-6)
    assert len(set(values.values())) > 3


class TestMosaic:
    def evidence(self, audit_of, cases, preprocessing=None, **options):
        audit = audit_of(colour_model(), preprocessing=preprocessing, artifacts="all")
        finding = audit.assert_grid_pointing(cases, mostly=0.01, excess_at_least=-1, **options)
        return {item["id"]: item for item in evidence_of(finding) if item["kind"] == "case"}

    def test_is_shown_with_its_cell_and_the_map_over_it(self, audit_of):
        cases = population(1)
        shown = self.evidence(audit_of, cases)["red 0"]
        _, cell = draw_mosaics([0, 1, 2], keys_of(cases), 2, 0)[0]
        row, column = divmod(cell, 2)
        assert (shown["picture"]["width"], shown["picture"]["height"]) == (4, 4)
        assert shown["regions"] == [
            {"role": "inside", "box": [2.0 * column, 2.0 * row, 2.0 * column + 2, 2.0 * row + 2]}
        ]
        assert shown["target"] == "red"
        assert shown["heatmap"]["width"] == 4

    def test_holds_whole_pictures_shrunk_to_cells(self, audit_of):
        red = np.zeros((8, 8), np.uint8)
        red[:, 4:] = 100
        cases = [Case(picture(red=red, height=8, width=8), label="red", id="half"), case_of("green", 0, (0, 100, 0))]
        shown = self.evidence(audit_of, cases)["half"]
        heatmap = np.frombuffer(base64.b64decode(shown["heatmap"]["values"]), np.uint8).reshape(4, 4)
        shrunk = np.asarray(Image.fromarray(red).resize((2, 2), Image.Resampling.BILINEAR)).astype(float)
        row, column = divmod(draw_mosaics([0, 1], keys_of(cases), 2, 0)[0][1], 2)
        expected = np.zeros((4, 4))
        expected[2 * row : 2 * row + 2, 2 * column : 2 * column + 2] = shrunk / shrunk.max() * 255
        np.testing.assert_array_equal(heatmap, np.rint(expected))

    def test_is_preprocessed_once_after_it_was_made(self, audit_of):
        # Were the cells scaled before, twice 1/100 would leave nothing of the 8-bit picture.
        audit = audit_of(colour_model(), preprocessing=Preprocessing(scale=lambda pixels: pixels / 100))
        cases = population(2)
        expected = [mosaic_mass(cases, index) for index in range(6)]
        assert [one.value for one in audit.assert_grid_pointing(cases).cases] == pytest.approx(expected, rel=1e-5)

    def test_of_bgr_models_keep_their_colours(self, audit_of):
        # The model sees blue first, so its class "red" is the picture's blue.
        audit = audit_of(colour_model(), preprocessing=Preprocessing(color="bgr"))
        cases = [case_of("red", 0, (0, 10, 90)), case_of("blue", 0, (90, 10, 0))]
        assert [one.value for one in audit.assert_grid_pointing(cases).cases] == pytest.approx([1.0, 1.0])

    def test_regions_and_groups_stay_those_of_the_cases(self, audit):
        cases = [case_of(label, index, region=Box(0, 0, 2, 2), group=index) for label in MIX for index in range(2)]
        assert audit.assert_grid_pointing(cases, by="group").parts[0].n == 3


def test_an_empty_map_is_unscorable_and_stays_in_the_denominator(audit):
    # There is no blue anywhere, not even in the picture that is labelled so.
    cases = [case_of("red", 0, (90, 10, 0)), case_of("green", 0, (10, 90, 0)), case_of("blue", 0, (50, 50, 0))]
    finding = refused(audit.assert_grid_pointing, cases)
    assert (finding.n, finding.passed, finding.unscorable) == (3, 2, 1)
    assert finding.cases[2].value is None
    assert finding.cases[2].note.startswith("no positive evidence for this class at this layer (empty heatmap")


class TestMisuse:
    @pytest.mark.parametrize("grid", [1, 0, -2, 2.0, "2", True, None])
    def test_grid_is_a_whole_number_from_2(self, audit, grid):
        message = message_of(ValueError, audit.assert_grid_pointing, population(), grid=grid)
        assert message == f"grid is {grid!r}; give the number of cells along each side, 2 or more"

    def test_a_case_without_a_label_is_named(self, audit):
        cases = [*population(), Case(picture(red=1), id="bare")]
        message = message_of(ValueError, audit.assert_grid_pointing, cases)
        assert message == "case 'bare' has no label: a cell of a mosaic shows one class"

    def test_a_case_of_several_labels_is_named(self, audit):
        cases = [*population(), Case(picture(red=1), label=("red", "blue"), id="both")]
        message = message_of(ValueError, audit.assert_grid_pointing, cases)
        assert message == "case 'both' has several labels: a cell of a mosaic shows one class"

    @pytest.mark.parametrize("cases", [[half_case(90, id="a"), half_case(90, id="b")], half_case(90)])
    def test_one_class_is_too_few(self, audit, cases):
        message = message_of(ValueError, audit.assert_grid_pointing, cases)
        assert message == "cases has pictures of one class only, but the other cells of a mosaic need another one"

    def test_a_name_and_its_index_are_one_class(self, audit):
        cases = [half_case(90, id="a", label="red"), half_case(90, id="b", label=0)]
        assert "one class only" in message_of(ValueError, audit.assert_grid_pointing, cases)

    def test_an_input_with_fewer_pixels_than_cells(self, audit):
        message = message_of(ValueError, audit.assert_grid_pointing, population(), grid=5)
        assert message == "grid is 5, but the model's input of 4 × 4 pixels has no room for it"

    def test_a_layer_whose_grid_is_too_coarse(self, audit_of):
        image = keras.Input((4, 4, 3))
        x = layers.Conv2D(3, 4, activation="relu", name="coarse")(image)
        audit = audit_of(keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x))))
        message = message_of(ValueError, audit.assert_grid_pointing, population())
        assert message == (
            "grid is 2, but no map on the 1 × 1 grid of 'coarse' can have more than 0.250 of its mass in the cell "
            "Box(0, 0, 2, 2) of the mosaic: demand less, or explain a layer with a finer grid"
        )

    def test_a_layer_whose_grid_is_too_coarse_for_a_cell_in_the_middle(self, audit_of):
        # Cells of 2 pixels on a map's of 1.5: a corner covers one, the middle 2/3 × 2/3 of each of four.
        audit = audit_of(colour_model_of(6, size=3))
        message = message_of(ValueError, audit.assert_grid_pointing, population(), grid=3, at_least=0.5)
        assert (
            "no map on the 4 × 4 grid of 'colour' can have more than 0.444 of its mass in the cell Box(2, 2," in message
        )
        assert judged(audit.assert_grid_pointing, population(), grid=3, at_least=0.44).n == 12

    @pytest.mark.parametrize("cases", ["pictures", None, 3, np.zeros((2, 4, 4, 3), np.uint8)])
    def test_another_type_is_a_type_error(self, audit, cases):
        message = message_of(TypeError, audit.assert_grid_pointing, cases)
        assert message == f"cases must be a Case or a sequence of Cases, not {type(cases).__name__}"

    def test_an_empty_population_is_an_error(self, audit):
        assert message_of(ValueError, audit.assert_grid_pointing, []) == "cases is empty: there is nothing to judge"

    def test_a_label_that_is_no_class_is_a_case_error(self, audit):
        cases = [*population(), Case(picture(red=1), label="gren", id="wrong")]
        assert "did you mean 'green'?" in message_of(CaseError, audit.assert_grid_pointing, cases)

    def test_a_missing_file_is_a_case_error(self, audit):
        cases = [*population(), Case("no/such.jpg", label="red")]
        assert "no such file" in message_of(CaseError, audit.assert_grid_pointing, cases)

    @pytest.mark.every_backend
    def test_weights_that_are_no_numbers_are_an_error_never_a_verdict(self, audit_of, recorded):
        audit = audit_of(colour_model(np.full((3, 3), np.nan)))
        assert "NaN or infinity" in message_of(NonFiniteError, audit.assert_grid_pointing, population())
        assert recorded()[0]["outcome"] == "error"

    def test_limits_are_checked(self, audit):
        assert "at_least is 1.2" in message_of(ValueError, audit.assert_grid_pointing, population(), at_least=1.2)
