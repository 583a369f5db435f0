"""`assert_faithful`: known curves, and orders that are better or worse than a random one."""

import hashlib

import numpy as np
import pytest
from colours import blank_case, evidence_of, judged, message_of, refused
from explained import CASES, RISING, UNSCORABLE, case
from PIL import Image

from pytest_cnnaudit.edits import Curves, as_pixels
from pytest_cnnaudit.preprocessing import Geometry, open_picture


class TestFaithful:
    def test_the_value_is_the_difference_of_the_areas_step_by_step(self, audit, results):
        one = case(red=RISING + 20, green=60, blue=100)
        engine, steps = results.engine, 5
        image, grey = Image.fromarray(one.image), np.rint(one.image.reshape(-1, 3).mean(axis=0)).astype(np.uint8)
        curves = Curves(pixels(one), Geometry.identity(4, 4), (4, 4))
        blurred = np.asarray(curves.blurred)
        orders = [np.argsort(-one.image[..., 0].ravel(), kind="stable"), _random_order(one)]
        areas = []
        for order in orders:
            values = []
            for count in (0, 3, 6, 10, 13, 16):  # fifths of 16 cells, rounded
                taken = np.isin(np.arange(16), order[:count]).reshape(4, 4, 1)
                edits = [np.where(taken, one.image, blurred), np.where(taken, grey, one.image)]
                values.append([engine.predict(Image.fromarray(edit)).probabilities[0, 0] for edit in edits])
            x, (insertion, deletion) = np.array([0, 3, 6, 10, 13, 16]) / 16, np.transpose(values)
            areas.append(sum((x[1:] - x[:-1]) * ((insertion - deletion)[1:] + (insertion - deletion)[:-1]) / 2))
        finding = audit.assert_faithful(one, steps=steps, gain_at_least=-2)
        assert finding.value == pytest.approx(areas[0] - areas[1], abs=1e-6)
        assert finding.chance == 0
        assert f"= {areas[0]:.2f}, in random order {areas[1]:.2f}" in finding.message
        # Of several the means over those that can be judged: a picture of one colour moves nothing.
        flat = case("flat", red=np.full((4, 4), 60) + np.eye(4, dtype=int))
        several = audit.assert_faithful([one, flat], steps=steps, gain_at_least=-2, mostly=0.1)
        assert [result.outcome for result in several.cases] == ["passed", "unscorable"]
        assert f"insertion − deletion: {areas[0]:.3f} by the heatmaps, {areas[1]:.3f} at random" in several.message
        assert image.size == (4, 4)

    def test_the_points_of_the_chart_are_what_the_model_says_of_the_edited_pictures(self, audit_of, results):
        one = case(red=RISING + 20, green=60, blue=100)
        [shown] = evidence_of(
            judged(audit_of(results, artifacts="all").assert_faithful, one, steps=4, gain_at_least=-2)
        )
        inserted, deleted, view = shown["views"]
        assert (view["chart"]["up"], view["chart"]["across"]) == ("P(red)", "share of pixels inserted or deleted")
        mean, blurred = np.rint(one.image.mean(axis=(0, 1))).astype(np.uint8), Curves(*grid_of(one)).blurred
        orders = [np.argsort(-one.image[..., 0].ravel(), kind="stable"), _random_order(one)]
        expected = []
        for order in orders:
            taken = [np.isin(np.arange(16), order[:count]).reshape(4, 4, 1) for count in (0, 4, 8, 12, 16)]
            for over, under in ((one.image, blurred), (mean, one.image)):
                edits = [np.where(mask, over, under) for mask in taken]
                expected.append(results.engine.predict(edits).probabilities[:, 0].tolist())
        lines = view["chart"]["lines"]
        assert [line["name"] for line in lines] == [
            *("inserted, the most relevant first", "deleted, the most relevant first"),
            *("inserted, in random order", "deleted, in random order"),
        ]
        for line, values in zip(lines, expected, strict=True):
            assert [x for x, _ in line["points"]] == [0, 0.25, 0.5, 0.75, 1]
            assert [y for _, y in line["points"]] == pytest.approx(values, abs=1e-6)
            area = (values[0] / 2 + sum(values[1:4]) + values[4] / 2) / 4
            assert line["note"] == f"area {area:.3f}"
        assert (inserted["note"], deleted["note"]) == tuple(f"P(red) {values[2]:.3f}" for values in expected[:2])

    def test_the_evidence_first_gains_and_last_loses(self, audit):
        one = case(red=RISING // 10, green=8)
        assert audit.assert_faithful(one).value > 0.1

        def upside_down(activations, gradients, scores):
            found = (activations * gradients).sum(axis=-1)
            return found.max() - found

        finding = refused(audit.assert_faithful, one, method=upside_down)
        assert finding.value < -0.1
        assert "in random order" in finding.message

    def test_a_constant_map_and_an_empty_one_have_no_order(self, audit):
        for one, why in UNSCORABLE:
            finding = refused(audit.assert_faithful, one)
            assert why in finding.message
        finding = refused(audit.assert_faithful, [CASES[0], blank_case("blank"), CASES[1]], gain_at_least=-2)
        assert (finding.passed, finding.unscorable, finding.n) == (2, 1, 3)

    def test_each_picture_has_a_random_order_of_its_own(self, audit, results, monkeypatch):
        orders = []
        ranks = Curves.ranks

        def watched(self, order):
            orders.append(tuple(order))
            return ranks(self, order)

        monkeypatch.setattr(Curves, "ranks", watched)
        audit.assert_faithful(CASES, gain_at_least=-2)
        assert len(set(orders[1 : 2 * len(CASES) : 2])) == len(CASES)

    def test_a_prediction_that_never_moves_has_no_order_either(self, audit):
        finding = refused(audit.assert_faithful, case(red=RISING + 100), gain_at_least=-2)
        assert finding.unscorable == 1
        assert "P(target) stays between 1.000 and 1.000 whatever is covered" in finding.message

    @pytest.mark.parametrize(
        ("options", "match"), [({"steps": 1}, "steps is 1"), ({"gain_at_least": 3}, "gain_at_least is 3")]
    )
    def test_wrong_numbers_are_errors(self, audit, options, match):
        assert match in message_of(ValueError, audit.assert_faithful, CASES, **options)


def _random_order(one, seed=0):
    """By the seed and the picture."""
    content = hashlib.sha256(f"{seed} order {one.image.shape}".encode() + one.image.tobytes())
    return np.random.default_rng(list(content.digest())).permutation(16)


def pixels(one):
    return as_pixels(open_picture(one))


def grid_of(one):
    return pixels(one), Geometry.identity(4, 4), (4, 4)
