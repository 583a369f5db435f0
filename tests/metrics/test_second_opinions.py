"""Measures against scikit-learn, scikit-image and SciPy, where they compute the same thing by other means.

A measure that counts cells by their coverage is one of classification with weighted samples: the covered part of a
cell is positive and the rest of it negative. Comparisons that are as well made with SciPy alone stand with the other
tests of the measure.
"""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import optimize, stats
from scipy.spatial import distance
from skimage.measure import pearson_corr_coeff
from skimage.metrics import normalized_root_mse
from skimage.transform import AffineTransform, downscale_local_mean, rotate, warp
from sklearn.feature_selection import VarianceThreshold
from sklearn.metrics import (
    auc,
    balanced_accuracy_score,
    jaccard_score,
    precision_score,
    roc_auc_score,
    roc_curve,
    top_k_accuracy_score,
)
from sklearn.metrics.pairwise import cosine_similarity, rbf_kernel
from sklearn.preprocessing import StandardScaler, normalize
from sklearn.utils.extmath import density

from pytest_cnnaudit import metrics

EXACT = 1e-12
WHOLE = st.integers(0, 9).map(float)
EIGHTHS = st.integers(0, 8).map(lambda part: part / 8)
SIDES = st.integers(1, 6)
SHAPES = st.tuples(SIDES, SIDES)


def grids(shape, elements=WHOLE):
    return arrays.arrays(np.float64, shape, elements=elements)


@st.composite
def maps_and_regions(draw):
    """A map with some mass, cells often tied, and the coverage of a region on its grid."""
    shape = draw(SHAPES)
    return draw(grids(shape).filter(np.any)), draw(grids(shape, EIGHTHS).filter(np.any))


def parts(coverage):
    """Each cell as two samples, covered and not: whether positive, and its weight."""
    return np.repeat([1, 0], coverage.size), np.concatenate([coverage.ravel(), 1 - coverage.ravel()])


# --- Where a map looks -----------------------------------------------------------------------------------


@given(maps_and_regions())
def test_mass_inside_is_the_precision_of_samples_that_weigh_as_much_as_the_map(pair):
    heatmap, coverage = pair
    positive, weights = parts(coverage)
    expected = precision_score(positive, np.ones_like(positive), sample_weight=weights * np.tile(heatmap.ravel(), 2))
    assert metrics.mass_inside(heatmap, coverage) == pytest.approx(expected, abs=EXACT)


@given(maps_and_regions())
def test_a_pointing_hit_is_the_precision_of_the_maxima(pair):
    heatmap, coverage = pair
    positive, weights = parts(coverage)
    maxima = np.tile(heatmap.ravel() == heatmap.max(), 2)
    expected = precision_score(positive, maxima, sample_weight=weights)
    assert metrics.pointing_hit(heatmap, coverage) == pytest.approx(expected, abs=EXACT)


@given(maps_and_regions())
def test_rank_accuracy_is_where_the_roc_curve_has_taken_the_regions_area(pair):
    heatmap, coverage = pair
    assume(coverage.min() < 1)  # without a negative there is no such curve
    positive, weights = parts(coverage)
    false, true, _ = roc_curve(positive, np.tile(heatmap.ravel(), 2), sample_weight=weights, drop_intermediate=False)
    inside, area = true * coverage.sum(), coverage.sum()
    # Tied cells are one straight piece of the curve, so that taking them in part gives their mean.
    expected = np.interp(area, inside + false * (1 - coverage).sum(), inside) / area
    assert metrics.rank_accuracy(heatmap, coverage) == pytest.approx(expected, abs=1e-9)


@given(maps_and_regions(), st.floats(0.01, 1))
def test_iou_is_the_jaccard_score_of_weighted_samples(pair, threshold):
    heatmap, coverage = pair
    positive, weights = parts(coverage)
    selected = np.tile(heatmap.ravel() >= threshold * (1 - 1e-6) * heatmap.max(), 2)
    expected = jaccard_score(positive, selected, sample_weight=weights)
    assert metrics.iou(heatmap, coverage, threshold) == pytest.approx(expected, abs=EXACT)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_excess_is_what_adjusts_an_accuracy_for_chance(pairs):
    labels, predicted = [[0, 1, 2, 3, *one] for one in zip(*pairs, strict=True)]
    plain, adjusted = (balanced_accuracy_score(labels, predicted, adjusted=adjust) for adjust in (False, True))
    assert metrics.excess(plain, 1 / 4) == pytest.approx(adjusted, abs=EXACT)


@given(grids(SHAPES).filter(np.any), st.integers(2, 4))
def test_grid_pointing_is_what_a_finer_map_has_in_each_tile(heatmap, grid):
    # Where each cell is grid × grid pixels, a tile of the mosaic is as many pixels as the map has cells.
    shares = downscale_local_mean(np.kron(heatmap, np.ones((grid, grid))), heatmap.shape)
    found = [metrics.grid_pointing(heatmap, cell, grid) for cell in range(grid**2)]
    assert found == pytest.approx((shares / shares.sum()).ravel(), abs=EXACT)


@given(SHAPES, st.integers(2, 4), st.data())
def test_cell_coverage_is_the_local_mean_of_a_finer_tile(shape, grid, data):
    cell = data.draw(st.integers(0, grid**2 - 1))
    tiles = np.arange(grid**2).reshape(grid, grid) == cell
    expected = downscale_local_mean(np.kron(tiles, np.ones(shape)), (grid, grid))
    np.testing.assert_allclose(metrics.cell_coverage(shape, cell, grid), expected, atol=EXACT)


@given(grids(SHAPES).filter(np.any))
def test_gini_is_twice_the_area_between_the_lorenz_curve_and_the_diagonal(heatmap):
    shares = np.concatenate([[0], np.sort(heatmap.ravel()).cumsum()]) / heatmap.sum()
    assert metrics.gini(heatmap) == pytest.approx(1 - 2 * auc(np.linspace(0, 1, len(shares)), shares), abs=EXACT)


@given(SHAPES, st.floats(0.05, 2))
def test_the_centre_prior_is_a_radial_basis_function_of_the_middle(shape, sigma):
    rows, columns = ((np.arange(side) + 0.5) / side for side in shape)
    places = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
    expected = rbf_kernel(places, [[0.5, 0.5]], gamma=1 / (2 * sigma**2)).reshape(shape)
    np.testing.assert_allclose(metrics.centre_prior(shape, sigma), expected, atol=EXACT)


# --- Whether it deserves trust ---------------------------------------------------------------------------


@given(st.data())
def test_curve_area_is_scikit_learns(data):
    steps = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=8))
    fractions = np.concatenate([[0], np.cumsum(steps)]) / sum(steps)
    values = data.draw(grids(len(fractions), st.floats(0, 1)))
    assert metrics.curve_area(fractions, values) == pytest.approx(auc(fractions, values), abs=EXACT)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=20))
def test_the_area_under_a_roc_curve_is_that_of_the_scores(pairs):
    labels, scores = zip(*pairs, strict=True)
    assume(0 < sum(labels) < len(labels))
    false, true, _ = roc_curve(labels, scores)
    assert metrics.curve_area(false, true) == pytest.approx(roc_auc_score(labels, scores), abs=EXACT)


@given(grids((2, 3)).filter(np.any), grids((4, 2, 3)))
def test_max_sensitivity_is_the_largest_normalised_root_mean_square_error(heatmap, perturbed):
    expected = max(normalized_root_mse(heatmap, one, normalization="euclidean") for one in perturbed)
    assert metrics.max_sensitivity(heatmap, perturbed) == pytest.approx(expected, abs=EXACT)


@given(grids((3, 4), st.integers(-4, 9).map(float)), grids((3, 3, 4), st.integers(-9, 9).map(float)))
def test_randomisation_correlation_is_pearsons_of_ranks_with_the_part_that_is_less_alike(before, after):
    evidence = np.maximum(before, 0)
    assume(np.ptp(evidence) > 0)

    def alike(one, other=evidence):
        return abs(pearson_corr_coeff(stats.rankdata(other), stats.rankdata(one))[0]) if np.ptp(one) > 0 else 0

    both = [[part for part in (np.maximum(one, 0), np.maximum(-one, 0)) if np.ptp(part) > 0] for one in after]
    of_parts = np.mean([min(map(alike, telling), default=0) for telling in both])
    expected = max(of_parts, min(alike(one, before) for one in after))
    assert metrics.randomisation_correlation(before, after) == pytest.approx(expected, abs=1e-9)


@given(grids(st.tuples(st.integers(2, 6), st.integers(2, 6))))
def test_maps_are_moved_as_scikit_image_moves_pictures(heatmap):
    height, width = heatmap.shape
    nearest = {"order": 0, "preserve_range": True}
    mirrored = warp(heatmap, AffineTransform(scale=(-1, 1), translation=(width - 1, 0)), **nearest)
    flipped = warp(heatmap, AffineTransform(scale=(1, -1), translation=(0, height - 1)), **nearest)
    np.testing.assert_array_equal(metrics.moved(heatmap, "mirror"), mirrored)
    np.testing.assert_array_equal(metrics.moved(heatmap, "flip"), flipped)
    np.testing.assert_array_equal(metrics.moved(heatmap, "rotate90"), rotate(heatmap, 90, resize=True, **nearest))


# --- What a prediction depends on ------------------------------------------------------------------------


@given(st.integers(3, 6).flatmap(lambda classes: grids((5, classes), st.integers(0, 3).map(float))))
def test_the_share_that_keeps_its_top_class_is_the_top_1_accuracy(scores):
    backwards = scores[:, ::-1]  # of equal scores scikit-learn takes the last class
    top = backwards.shape[1] - 1 - scores[0].argmax()
    expected = top_k_accuracy_score([top] * 4, backwards[1:], k=1, labels=range(scores.shape[1]))
    assert metrics.top_class_kept(scores[0], scores[1:]) == pytest.approx(expected, abs=EXACT)


# --- What is inside --------------------------------------------------------------------------------------

ROWS = st.tuples(st.integers(2, 8), st.integers(1, 4))
ACTIVATIONS = grids(ROWS, st.integers(-3, 3).map(float))


@given(ACTIVATIONS.map(lambda rows: rows + 0.25), st.floats(-1, 1))  # rows of zeros have no direction
def test_of_duplicates_one_is_kept_that_scikit_learns_cosines_hold_against_none_before(kernels, limit):
    cosines = cosine_similarity(kernels)
    assume(np.abs(cosines - limit).min() > 1e-8)
    found = metrics.duplicate_filters(kernels, limit)
    above = np.tril(cosines > limit, -1) & ~found.redundant
    assert found.redundant.tolist() == above.any(axis=1).tolist()
    for row in np.flatnonzero(found.redundant):
        assert found.similarity[row] == pytest.approx(cosines[row, : row + 1][above[row, : row + 1]].max(), abs=EXACT)
        assert cosines[row, found.original[row]] == pytest.approx(found.similarity[row], abs=EXACT)


@given(ACTIVATIONS)
def test_dead_filters_are_features_without_variance(activations):
    kept = VarianceThreshold().fit(np.column_stack([activations, np.arange(len(activations))]))
    assert metrics.dead_filters(activations, relu_like=False).tolist() == (~kept.get_support()[:-1]).tolist()
    fired = np.maximum(activations, 0)  # what is silent is constant after a ReLU
    kept = VarianceThreshold().fit(np.column_stack([fired, np.arange(len(fired))]))
    assert metrics.dead_filters(activations).tolist() == (~kept.get_support()[:-1]).tolist()


@given(st.integers(1, 2000), st.floats(0.5, 0.999))
def test_the_missed_rate_is_the_exact_upper_bound_of_none_in_n(n, confidence):
    interval = stats.binomtest(0, n, alternative="less").proportion_ci(confidence)
    assert metrics.missed_rate(n, confidence) == pytest.approx(interval.high, rel=1e-9)


@given(grids((3, 4), st.integers(-4, 4).map(float)), grids((3, 6), st.integers(-4, 4).map(float)))
def test_gain_is_the_mean_standard_score_where_noise_sets_the_standard(pattern, noise):
    assume(np.ptp(noise, axis=1).all())
    expected = StandardScaler().fit(noise.T).transform(pattern.T).mean(axis=0)
    np.testing.assert_allclose(metrics.pattern_gain(pattern, noise), expected, atol=1e-9)


MEANS = grids(5, st.floats(-10, 10))


@given(MEANS, MEANS, grids(5, st.floats(0.5, 2)))
def test_drift_is_the_standardised_euclidean_distance_of_a_channel(now, before, deviation):
    expected = distance.seuclidean(now, before, deviation**2) / np.sqrt(5)
    assert metrics.drift(now, before, deviation) == pytest.approx(expected, abs=EXACT)


@given(MEANS, MEANS)
def test_retrained_channels_of_one_deviation_are_paired_so_that_they_drift_least(now, before):
    squares = np.subtract.outer(now, before) ** 2
    expected = np.sqrt(squares[optimize.linear_sum_assignment(squares)].mean())
    assert metrics.drift(now, before, np.ones(5), retrained=True) == pytest.approx(expected, abs=1e-9)


@given(ACTIVATIONS)
def test_zero_fraction_is_what_density_leaves(activations):
    expected = [1 - density(row) for row in activations]
    assert metrics.zero_fraction(activations) == pytest.approx(expected, abs=EXACT)


@given(grids(st.tuples(st.integers(1, 4), st.integers(2, 6)), st.integers(-5, 5).map(float)))
def test_hoyers_ratio_is_the_sum_of_a_normalised_row(activations):
    assume(activations.any(axis=1).all())
    root = np.sqrt(activations.shape[1])
    expected = (root - np.abs(normalize(activations)).sum(axis=1)) / (root - 1)
    assert metrics.hoyer_sparsity(activations) == pytest.approx(expected, abs=EXACT)
