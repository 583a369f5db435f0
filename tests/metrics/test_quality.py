"""Measures of heatmaps' quality: closed forms, transcriptions of the definitions, properties, and each edge."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from pytest_cnnaudit import metrics

WHOLE = st.integers(0, 9).map(float)
grids = st.tuples(st.integers(1, 4), st.integers(2, 4))
varied = grids.flatmap(
    lambda shape: arrays.arrays(np.float64, (2, *shape), elements=WHOLE).filter(
        lambda pair: all(np.ptp(one) > 0 for one in pair)
    )
)
maps = grids.flatmap(lambda shape: arrays.arrays(np.float64, shape, elements=WHOLE).filter(np.any))


def pearson_of_mean_ranks(first, second):
    """Spearman's correlation as its definition says, tie by tie."""
    ranks = []
    for values in (first.ravel(), second.ravel()):
        below = (values[:, None] > values).sum(axis=1)
        tied = (values[:, None] == values).sum(axis=1)
        ranks.append(below + (tied + 1) / 2)
    return np.corrcoef(*ranks)[0, 1]


class TestRankCorrelation:
    def test_the_same_order_is_1_and_the_opposite_one_minus_1(self):
        heatmap = np.array([[0.0, 1.0], [4.0, 9.0]])
        assert metrics.rank_correlation(heatmap, np.sqrt(heatmap)) == pytest.approx(1)
        assert metrics.rank_correlation(heatmap, -heatmap) == pytest.approx(-1)

    def test_four_cells_by_hand(self):
        # Ranks 1 2 3 4 against 2 1 4 3: 1 − 6 · (1 + 1 + 1 + 1) / (4 · 15).
        assert metrics.rank_correlation([[1, 2], [3, 4]], [[2, 1], [4, 3]]) == pytest.approx(0.6)

    def test_a_batch_gives_one_for_each_pair(self):
        first = np.array([[[1.0, 2.0]], [[1.0, 2.0]]])
        second = np.array([[[3.0, 4.0]], [[4.0, 3.0]]])
        assert metrics.rank_correlation(first, second) == pytest.approx([1, -1])

    @given(varied)
    def test_it_is_pearsons_of_the_mean_ranks(self, pair):
        assert metrics.rank_correlation(*pair) == pytest.approx(pearson_of_mean_ranks(*pair))

    @given(varied)
    def test_scipy_agrees(self, pair):
        assert metrics.rank_correlation(*pair) == pytest.approx(stats.spearmanr(*map(np.ravel, pair)).statistic)

    @given(varied, st.floats(1e-6, 1e6))
    def test_scaling_a_map_changes_nothing(self, pair, scale):
        first, second = pair
        assert metrics.rank_correlation(first * scale, second) == pytest.approx(metrics.rank_correlation(first, second))

    @given(varied, st.sampled_from(["mirror", "flip", "rotate90"]))
    def test_moving_both_changes_nothing(self, pair, transform):
        moved = metrics.moved(pair, transform)
        assert metrics.rank_correlation(*moved) == pytest.approx(metrics.rank_correlation(*pair))

    @given(varied)
    def test_it_lies_between_minus_1_and_1_and_knows_no_order(self, pair):
        value = metrics.rank_correlation(*pair)
        assert -1 - 1e-12 <= value <= 1 + 1e-12
        assert metrics.rank_correlation(*pair[::-1]) == pytest.approx(value)

    def test_rounding_is_no_order(self):
        first = np.array([[1.0, 1.0 + 1e-8, 5.0]])
        assert metrics.rank_correlation(first, [[1.0, 1.0, 5.0]]) == pytest.approx(1)

    @pytest.mark.parametrize("flat", [0.0, 0.3])
    def test_a_map_without_an_order_is_an_error_unless_said_what_it_counts_as(self, flat):
        heatmap, constant = np.array([[1.0, 2.0]]), np.full((1, 2), flat)
        for pair in ((heatmap, constant), (constant, heatmap)):
            with pytest.raises(metrics.ConstantHeatmapError, match="the same in all cells"):
                metrics.rank_correlation(*pair)
            assert metrics.rank_correlation(*pair, constant=0.0) == 0

    def test_the_error_says_which_of_a_batch(self):
        first = np.array([[[1.0, 2.0]], [[3.0, 3.0]]])
        with pytest.raises(metrics.ConstantHeatmapError) as caught:
            metrics.rank_correlation(first, first)
        assert caught.value.indices == (1,)

    def test_other_shapes_and_nan_are_errors(self):
        with pytest.raises(ValueError, match="of one grid"):
            metrics.rank_correlation(np.ones((2, 2)), np.ones((2, 3)))
        with pytest.raises(ValueError, match="second 0 has NaN"):
            metrics.rank_correlation([[1.0, 2.0]], [[1.0, np.nan]])


def test_constant_maps_are_told_from_others_whatever_their_scale():
    batch = np.array([[[0.0, 0.0]], [[1e-30, 1e-30]], [[1e-30, 2e-30]], [[1e9, 1e9 * (1 + 1e-9)]]])
    assert metrics.is_constant(batch).tolist() == [True, True, False, True]
    assert metrics.is_constant(batch[0]) is True


class TestRandomisation:
    def test_the_mean_over_the_networks_where_an_empty_map_is_0(self):
        before = np.array([[1.0, 2.0], [3.0, 4.0]])
        after = np.stack([before, -before, np.zeros((2, 2)), [[2, 1], [4, 3]]])
        assert metrics.randomisation_correlation(before, after) == pytest.approx((1 + 1 + 0 + 0.6) / 4)
        assert metrics.randomisation_correlation(before, np.zeros((3, 2, 2))) == 0

    def test_of_both_parts_of_a_signed_map_the_less_alike_counts(self):
        before, after = np.array([[4.0, 3.0], [-1.0, 0.0]]), np.array([[4.0, -3.0], [-2.0, 1.0]])
        both = [stats.spearmanr([4, 3, 0, 0], part).statistic for part in ([4, 0, 0, 1], [0, 3, 2, 0])]
        assert abs(both[0]) != pytest.approx(abs(both[1]))
        # Of a second network the map is empty: 0, which leaves half of the first one's.
        found = metrics.randomisation_correlation(before, np.stack([after, np.zeros((2, 2))]))
        assert found == pytest.approx(min(map(abs, both)) / 2)

    def test_a_signed_map_that_is_the_same_or_its_negative_every_time_scores_1(self):
        # The positive part is like neither part of the negative, so parts alone would call it another map.
        ring = np.zeros((9, 9))
        ring[2:7, 2:7], ring[3:6, 3:6] = -1 - np.arange(25).reshape(5, 5) / 50, 1 + np.arange(9).reshape(3, 3) / 9
        for after in ([ring, ring], [ring, -2 * ring], [-ring, -ring]):
            assert metrics.randomisation_correlation(ring, np.stack(after)) == pytest.approx(1)
        # One network of which the map is another one tells that the others were luck.
        assert metrics.randomisation_correlation(ring, np.stack([ring, -ring, np.zeros((9, 9))])) < 0.2

    def test_a_map_that_ignores_the_weights_scores_1(self):
        blob = metrics.centre_prior((5, 5))
        assert metrics.randomisation_correlation(blob, np.stack([blob, 3 * blob])) == pytest.approx(1)

    def test_without_a_map_before_there_is_nothing_to_compare(self):
        with pytest.raises(metrics.ConstantHeatmapError):
            metrics.randomisation_correlation(np.zeros((2, 2)), np.ones((3, 2, 2)))

    def test_unrelated_maps_are_at_chance_with_the_stated_width(self):
        drawn = np.random.default_rng(0).random((401, 6, 6))
        values = metrics.rank_correlation(np.broadcast_to(drawn[0], (400, 6, 6)), drawn[1:])
        assert abs(values.mean()) < 0.03
        assert values.std() == pytest.approx(1 / np.sqrt(35), rel=0.15)


class TestOrder:
    def test_most_relevant_first_and_ties_in_reading_order(self):
        assert metrics.relevance_order([[1.0, 5.0, 1.0], [5.0, 9.0, 0.0]]).tolist() == [4, 1, 3, 0, 2, 5]

    def test_rounding_is_no_order(self):
        assert metrics.relevance_order([[1.0, 1.0 + 1e-9, 2.0]]).tolist() == [2, 0, 1]

    @given(maps)
    def test_it_is_a_permutation_that_never_rises(self, heatmap):
        order = metrics.relevance_order(heatmap)
        assert sorted(order) == list(range(heatmap.size))
        assert (np.diff(heatmap.ravel()[order]) <= 0).all()

    def test_a_batch_is_an_error(self):
        with pytest.raises(ValueError, match="one map"):
            metrics.relevance_order(np.ones((2, 2, 2)))


class TestCurveArea:
    @pytest.mark.parametrize(
        ("fractions", "values", "area"),
        [
            ([0, 1], [0, 1], 0.5),
            ([0, 1], [0.3, 0.3], 0.3),
            ([0, 0.5, 1], [0, 1, 1], 0.75),
            # Steps of unequal width: 0.1 · 0.5 + 0.9 · 1, not the mean of three values.
            ([0, 0.1, 1], [0, 1, 1], 0.95),
            ([0, 0, 1], [5, 1, 1], 1.0),
        ],
    )
    def test_closed_forms(self, fractions, values, area):
        assert metrics.curve_area(fractions, values) == pytest.approx(area)

    @given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 8)), min_size=1, max_size=8))
    def test_it_is_the_sum_of_the_trapezia_in_exact_numbers(self, steps):
        widths, heights = [width for width, _ in steps], [0, *(height for _, height in steps)]
        positions = [Fraction(sum(widths[:index]), sum(widths)) for index in range(len(steps) + 1)]
        exact = sum(
            (right - left) * Fraction(first + second, 2)
            for left, right, first, second in zip(positions, positions[1:], heights, heights[1:], strict=False)
        )
        assert metrics.curve_area([float(one) for one in positions], heights) == pytest.approx(float(exact))

    @given(arrays.arrays(np.float64, 7, elements=st.floats(0, 1)))
    def test_it_lies_within_the_values_and_is_the_same_backwards(self, values):
        fractions = np.linspace(0, 1, 7)
        area = metrics.curve_area(fractions, values)
        assert values.min() - 1e-9 <= area <= values.max() + 1e-9
        assert metrics.curve_area(fractions, values[::-1]) == pytest.approx(area)

    @pytest.mark.parametrize(
        ("fractions", "values", "match"),
        [
            ([0, 0.5], [1, 1], "rise from 0 to 1"),
            ([0.1, 1], [1, 1], "rise from 0 to 1"),
            ([0, 0.6, 0.5, 1], [1, 1, 1, 1], "rise from 0 to 1"),
            ([0, 1], [1, 1, 1], "two or more of both"),
            ([0], [1], "two or more of both"),
            ([0, 1], [1, np.nan], "NaN"),
        ],
    )
    def test_what_is_no_curve_is_an_error(self, fractions, values, match):
        with pytest.raises(ValueError, match=match):
            metrics.curve_area(fractions, values)


class TestMaxSensitivity:
    def test_the_largest_of_the_relative_distances(self):
        heatmap = [[3.0, 4.0]]
        assert metrics.max_sensitivity(heatmap, [[[3.0, 4.0]]]) == 0
        assert metrics.max_sensitivity(heatmap, [[[3.0, 4.0]], [[3.0, 3.0]], [[0.0, 0.0]]]) == pytest.approx(1)
        assert metrics.max_sensitivity(heatmap, [[[3.0, 3.0]]]) == pytest.approx(0.2)

    @given(maps, st.floats(0.01, 100), st.integers(0, 9))
    def test_scale_does_not_matter_and_more_samples_never_lower_it(self, heatmap, scale, seed):
        noisy = np.random.default_rng(seed).random((4, *heatmap.shape))
        value = metrics.max_sensitivity(heatmap, noisy)
        assert metrics.max_sensitivity(scale * heatmap, scale * noisy) == pytest.approx(value)
        assert metrics.max_sensitivity(heatmap, noisy[:2]) <= value
        by_hand = [np.sqrt(((one - heatmap) ** 2).sum() / (heatmap**2).sum()) for one in noisy]
        assert value == pytest.approx(max(by_hand))

    def test_an_empty_map_has_none(self):
        with pytest.raises(metrics.EmptyHeatmapError):
            metrics.max_sensitivity(np.zeros((2, 2)), np.ones((1, 2, 2)))

    def test_other_shapes_are_an_error(self):
        for perturbed in (np.ones((1, 2, 3)), np.ones((0, 2, 2))):
            with pytest.raises(ValueError, match="perturbed"):
                metrics.max_sensitivity(np.ones((2, 2)), perturbed)


class TestMoved:
    def test_each_transform_by_hand(self):
        heatmap = np.array([[1, 2, 3], [4, 5, 6]])
        assert metrics.moved(heatmap, "mirror").tolist() == [[3, 2, 1], [6, 5, 4]]
        assert metrics.moved(heatmap, "flip").tolist() == [[4, 5, 6], [1, 2, 3]]
        assert metrics.moved(heatmap, "rotate90").tolist() == [[3, 6], [2, 5], [1, 4]]

    @given(maps, st.sampled_from(["mirror", "flip", "rotate90"]))
    def test_back_undoes_it(self, heatmap, transform):
        there = metrics.moved(heatmap, transform)
        np.testing.assert_array_equal(metrics.moved(there, transform, back=True), heatmap)

    def test_the_callers_map_is_not_changed(self):
        heatmap = np.ones((2, 2))
        metrics.moved(heatmap, "mirror")[:] = 7
        assert (heatmap == 1).all()

    def test_an_unknown_one_is_an_error_that_lists_the_known(self):
        with pytest.raises(ValueError, match="known: 'mirror', 'flip', 'rotate90'"):
            metrics.moved(np.ones((2, 2)), "shear")
