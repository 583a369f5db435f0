"""Measures on heatmaps: numbers worked out by hand, then properties of every map and region."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.spatial.distance import jaccard

from pytest_cnnaudit import metrics

HEATMAP = np.array([[4.0, 2.0, 0.0], [2.0, 1.0, 1.0]])
COVERAGE = np.array([[0.5, 1.0, 0.0], [0.25, 0.5, 0.0]])
MEASURES = [metrics.mass_inside, metrics.pointing_hit, metrics.rank_accuracy, metrics.iou]
FLIPS = [np.fliplr, np.flipud, np.rot90, np.transpose]

shapes = st.tuples(st.integers(1, 6), st.integers(1, 6))


@st.composite
def maps_and_regions(draw):
    """A heatmap with some mass and a region with some coverage, in eighths, on the same grid."""
    shape = draw(shapes)
    heatmap = draw(arrays.arrays(np.float64, shape, elements=st.integers(0, 9).map(float)).filter(np.any))
    eighths = st.integers(0, 8).map(lambda part: part / 8)
    return heatmap, draw(arrays.arrays(np.float64, shape, elements=eighths).filter(np.any))


def test_mass_inside_by_hand():
    assert metrics.mass_inside(HEATMAP, COVERAGE) == pytest.approx((2 + 2 + 0.5 + 0.5) / 10, rel=1e-15)


def test_mass_inside_is_0_beside_and_1_within():
    assert metrics.mass_inside([[0, 3]], [[1, 0]]) == 0.0
    assert metrics.mass_inside([[0, 3]], [[0, 1]]) == 1.0


def test_chance_and_ceiling_by_hand():
    assert metrics.chance(COVERAGE) == 0.375
    assert metrics.ceiling(COVERAGE) == 1.0
    assert metrics.ceiling([[0.25, 0.0], [0.125, 0.0]]) == 0.25


@pytest.mark.parametrize(("mass", "chance", "excess"), [(0.5, 0.5, 0), (1, 0.75, 1), (0.5, 0.2, 0.375), (0, 0.5, -1)])
def test_excess_by_hand(mass, chance, excess):
    result = metrics.excess(mass, chance)
    assert isinstance(result, float)
    assert result == pytest.approx(excess, abs=1e-15)


def test_excess_of_a_population():
    np.testing.assert_allclose(metrics.excess([0.5, 1.0], [0.5, 0.2]), [0, 1])
    np.testing.assert_allclose(metrics.excess([0.5, 0.75], 0.5), [0, 0.5])


@pytest.mark.parametrize(
    ("mass", "chance"), [(0.5, 1), (1.1, 0.5), (np.nan, 0.5), (0.5, -0.1), ([0.5, 0.5], [0.1] * 3)]
)
def test_excess_refuses_what_has_no_answer(mass, chance):
    with pytest.raises(ValueError, match=r"chance is|mass is|mass has"):
        metrics.excess(mass, chance)


def test_pointing_hit_looks_at_the_maximum_only():
    assert metrics.pointing_hit(HEATMAP, [[True, False, False], [False, False, False]]) == 1.0
    assert metrics.pointing_hit(HEATMAP, [[False, True, True], [True, True, True]]) == 0.0


def test_tied_maxima_count_by_their_share_inside():
    assert metrics.pointing_hit([[5, 5], [5, 1]], [[1, 0], [1, 1]]) == pytest.approx(2 / 3)
    assert metrics.pointing_hit(np.ones((2, 2)), [[1, 0], [0, 0]]) == 0.25


def test_maxima_that_differ_by_float32_rounding_are_tied():
    heatmap = np.array([[1, np.nextafter(np.float32(1), np.float32(2))]], dtype=np.float32)
    assert metrics.pointing_hit(heatmap, [[1, 0]]) == 0.5
    assert metrics.pointing_hit([[1, 1.00001]], [[1, 0]]) == 0.0


def test_rank_accuracy_by_hand():
    whole = [[1, 1, 0], [0, 0, 0]]
    assert metrics.rank_accuracy([[9, 1, 8], [0, 2, 3]], whole) == 0.5
    assert metrics.rank_accuracy([[9, 8, 1], [0, 2, 3]], whole) == 1.0


def test_rank_accuracy_averages_ties():
    # K = 2: the best cell lies inside, the second place is shared by three cells of which one lies inside.
    assert metrics.rank_accuracy([[9, 3, 3], [0, 0, 3]], [[1, 1, 0], [0, 0, 0]]) == pytest.approx((1 + 1 / 3) / 2)


def test_rank_accuracy_takes_the_last_cell_in_part():
    # K = 1.5: all of the best cell (covered 0.5) and half of the second (covered 1).
    assert metrics.rank_accuracy([[3, 2, 1]], [[0.5, 1, 0]]) == pytest.approx((0.5 + 0.5) / 1.5)


def test_iou_by_hand():
    # Selected at 50 %: 4, 2 and 2; covered 0.5 + 1 + 0.25 of them; not selected but covered: 0.5.
    assert metrics.iou(HEATMAP, COVERAGE, threshold=0.5) == pytest.approx(1.75 / 3.5, rel=1e-15)
    assert metrics.iou([[1, 1], [0, 0]], [[1, 1], [0, 0]]) == 1.0
    assert metrics.iou([[1, 1], [0, 0]], [[0, 0], [1, 1]]) == 0.0


@pytest.mark.parametrize("scale", [1, 3, 7, 0.1, 1e-30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_iou_selects_the_cell_on_the_threshold_whatever_the_scale(scale, dtype):
    heatmap = np.array([[1.0, 0.15, 0.1499]], dtype=np.float64) * scale
    assert metrics.iou(heatmap.astype(dtype), [[1, 1, 0]], threshold=0.15) == 1.0


@given(maps_and_regions(), st.floats(0.01, 1))
def test_iou_of_whole_cells_is_scipys_jaccard_similarity(pair, threshold):
    heatmap, coverage = pair
    region = coverage >= np.max(coverage)
    selected = heatmap >= threshold * (1 - 1e-6) * heatmap.max()
    expected = 1 - jaccard(selected.ravel(), region.ravel())
    assert metrics.iou(heatmap, region, threshold) == pytest.approx(expected, abs=1e-12)


def test_iou_ceiling_by_hand():
    # Covered 1, 1/2, 1/2 and 1/4 of 2.25 in all: one cell gives 1/2.25, two 1.5/2.75, three 2/3.25, four 2.25/4.
    assert metrics.iou_ceiling([[0.25, 1.0], [0.5, 0.5]]) == pytest.approx(2 / 3.25)
    assert metrics.iou_ceiling([[1, 1], [0, 0]]) == 1.0
    np.testing.assert_allclose(metrics.iou_ceiling([[[0.25, 0]], [[0.5, 0.5]]]), [0.25, 0.5])


@given(maps_and_regions(), st.floats(0.01, 1))
def test_no_iou_exceeds_its_ceiling(pair, threshold):
    assert metrics.iou(*pair, threshold) <= metrics.iou_ceiling(pair[1]) + 1e-12


@given(arrays.arrays(np.float64, (2, 3), elements=st.integers(0, 8).map(lambda part: part / 8)).filter(np.any))
def test_the_iou_ceiling_is_that_of_the_best_of_all_maps(coverage):
    every = [np.array(list(f"{bits:06b}"), float).reshape(2, 3) for bits in range(1, 64)]
    assert metrics.iou_ceiling(coverage) == pytest.approx(max(metrics.iou(one, coverage) for one in every), rel=1e-12)


@pytest.mark.parametrize("threshold", [0, -0.1, 1.1, np.nan])
def test_iou_refuses_a_threshold_that_selects_all_or_nothing(threshold):
    with pytest.raises(ValueError, match="threshold is"):
        metrics.iou(HEATMAP, COVERAGE, threshold=threshold)


def test_grid_pointing_by_hand():
    heatmap = np.arange(16.0).reshape(4, 4)
    shares = [metrics.grid_pointing(heatmap, cell) for cell in range(4)]
    assert shares == pytest.approx([10 / 120, 18 / 120, 42 / 120, 50 / 120], rel=1e-14)
    assert type(shares[0]) is float


def test_grid_pointing_counts_a_cell_between_two_by_its_area():
    # Three cells on two: the middle one is half in each.
    assert metrics.grid_pointing(np.diag([1.0, 2.0, 4.0]), 0) == pytest.approx((1 + 0.25 * 2) / 7)
    # Two cells on three: the middle of the mosaic has half of each.
    assert metrics.grid_pointing([[1, 1], [1, 1]], 4, grid=3) == pytest.approx(1 / 9)
    assert metrics.cell_coverage((2, 2), 0, 3).tolist() == [[pytest.approx(4 / 9), 0], [0, 0]]
    assert metrics.cell_coverage((2, 2), 4, 3).tolist() == [[pytest.approx(1 / 9)] * 2] * 2


def test_grid_pointing_of_a_batch_takes_a_cell_for_each_map_or_one_for_all():
    heatmaps = np.arange(32.0).reshape(2, 4, 4)
    one_by_one = [metrics.grid_pointing(heatmap, cell) for heatmap, cell in zip(heatmaps, (3, 1), strict=True)]
    assert metrics.grid_pointing(heatmaps, [3, 1]).tolist() == one_by_one
    assert metrics.grid_pointing(heatmaps, 0).shape == (2,)


@given(maps_and_regions(), st.integers(2, 4))
def test_grid_pointing_shares_add_up_to_1_and_a_uniform_map_is_at_chance(pair, grid):
    heatmap, _ = pair
    every = range(grid**2)
    assert sum(metrics.grid_pointing(heatmap, cell, grid) for cell in every) == pytest.approx(1, abs=1e-12)
    uniform = np.ones(heatmap.shape)
    assert [metrics.grid_pointing(uniform, cell, grid) for cell in every] == pytest.approx([1 / grid**2] * grid**2)
    total = np.sum([metrics.cell_coverage(heatmap.shape, cell, grid) for cell in every], axis=0)
    np.testing.assert_allclose(total, 1, atol=1e-12)


@given(maps_and_regions(), st.integers(2, 4), st.data())
def test_grid_pointing_follows_a_mirrored_mosaic(pair, grid, data):
    heatmap, _ = pair
    row, column = data.draw(st.tuples(st.integers(0, grid - 1), st.integers(0, grid - 1)))
    mirrored = metrics.grid_pointing(heatmap[:, ::-1], grid * row + grid - 1 - column, grid)
    assert metrics.grid_pointing(heatmap, grid * row + column, grid) == pytest.approx(mirrored, abs=1e-12)


@pytest.mark.parametrize(
    ("cell", "grid", "message"),
    [
        (4, 2, "cell is 4; a mosaic of 2 × 2 has the cells 0 to 3"),
        (-1, 2, "cell is -1; a mosaic"),
        (0, 1, "grid is 1; give"),
        (0, 2.0, "grid is 2.0; give"),
        (0, True, "grid is True; give"),
        (0.0, 2, "cell is 0.0; give the number of a cell"),
        ([0, 1], 2, r"cell is \[0, 1\]; give the number of a cell"),
    ],
)
def test_grid_pointing_refuses_cells_that_are_not_there(cell, grid, message):
    with pytest.raises(ValueError, match=message):
        metrics.grid_pointing(np.ones((4, 4)), cell, grid)


def test_grid_pointing_of_an_empty_map_is_a_result_of_its_own():
    with pytest.raises(metrics.EmptyHeatmapError):
        metrics.grid_pointing(np.zeros((4, 4)), 0)


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_gini_of_a_constant_map_is_0_and_of_a_single_cell_1_less_a_share(count):
    assert metrics.gini(np.full((1, count), 0.3)) == pytest.approx(0, abs=1e-15)
    single = np.zeros((1, count))
    single[0, 0] = 7
    assert metrics.gini(single) == pytest.approx(1 - 1 / count, abs=1e-15)


@pytest.mark.parametrize("count", [2, 7, 100])
def test_gini_of_a_ramp(count):
    # Of 1, 2, …, n: Σ (2i − n − 1) i = n (n² − 1) / 6 and Σ i = n (n + 1) / 2.
    ramp = np.random.default_rng(0).permutation(np.arange(1.0, count + 1))[None]
    assert metrics.gini(ramp) == pytest.approx((count - 1) / (3 * count), rel=1e-12)


def test_gini_of_random_maps_is_a_third():
    maps = np.random.default_rng(0).random((50, 20, 20))
    assert metrics.gini(maps).mean() == pytest.approx(1 / 3, abs=0.01)


@given(maps_and_regions())
def test_gini_is_half_the_relative_mean_difference(pair):
    values = pair[0].ravel()
    difference = np.abs(values[:, None] - values[None, :]).mean()
    assert metrics.gini(pair[0]) == pytest.approx(difference / (2 * values.mean()), abs=1e-12)


@given(maps_and_regions(), st.floats(1e-300, 1e300), st.sampled_from(FLIPS))
def test_gini_sees_neither_scale_nor_place(pair, scale, flip):
    heatmap, _ = pair
    assert 0 <= metrics.gini(heatmap) <= 1 - 1 / heatmap.size + 1e-12
    assert metrics.gini(flip(heatmap) * scale) == pytest.approx(metrics.gini(heatmap), abs=1e-12)


@pytest.mark.parametrize("measure", [metrics.gini, lambda heatmap: metrics.grid_pointing(heatmap, 0)])
@pytest.mark.parametrize(
    ("heatmap", "message"),
    [
        (np.zeros((2, 2)), "heatmap 0 is zero everywhere"),
        (-np.ones((2, 2)), "heatmap 0 has negative values"),
        (np.full((2, 2), np.nan), "heatmap 0 has NaN or infinity"),
        (np.ones(4), r"heatmap has shape \(4,\)"),
    ],
)
def test_a_broken_map_has_neither_sparseness_nor_a_cell(measure, heatmap, message):
    with pytest.raises(ValueError, match=message):
        measure(heatmap)


@given(maps_and_regions())
def test_every_measure_lies_between_0_and_1(pair):
    for measure in MEASURES:
        assert 0 <= measure(*pair) <= 1


@given(maps_and_regions())
def test_no_mass_exceeds_the_ceiling_and_one_map_reaches_it(pair):
    heatmap, coverage = pair
    assert metrics.mass_inside(heatmap, coverage) <= metrics.ceiling(coverage) + 1e-15
    best = coverage == coverage.max()
    assert metrics.mass_inside(best, coverage) == pytest.approx(metrics.ceiling(coverage), rel=1e-15)


@given(maps_and_regions(), st.floats(1e-300, 1e300))
def test_the_scale_of_a_map_does_not_matter(pair, scale):
    heatmap, coverage = pair
    for measure in MEASURES:
        assert measure(heatmap * scale, coverage) == pytest.approx(measure(heatmap, coverage), rel=1e-12)


@given(maps_and_regions(), st.sampled_from(FLIPS))
def test_turning_map_and_region_together_changes_nothing(pair, flip):
    heatmap, coverage = pair
    for measure in MEASURES:
        assert measure(flip(heatmap), flip(coverage)) == pytest.approx(measure(heatmap, coverage), rel=1e-12)


@given(maps_and_regions())
def test_a_uniform_map_is_at_chance(pair):
    _, coverage = pair
    for measure in (metrics.mass_inside, metrics.pointing_hit, metrics.rank_accuracy):
        assert measure(np.full(coverage.shape, 0.3), coverage) == pytest.approx(metrics.chance(coverage), rel=1e-12)


@given(maps_and_regions(), st.integers(1, 9))
def test_mass_added_inside_raises_the_mass_inside(pair, more):
    heatmap, coverage = pair
    best = np.unravel_index(coverage.argmax(), coverage.shape)
    heavier = heatmap.copy()
    heavier[best] += more
    assert metrics.mass_inside(heavier, coverage) >= metrics.mass_inside(heatmap, coverage) - 1e-15


@given(maps_and_regions())
def test_mass_inside_and_outside_add_up_to_1(pair):
    heatmap, coverage = pair
    if coverage.min() < 1:
        outside = metrics.mass_inside(heatmap, 1 - coverage)
        assert metrics.mass_inside(heatmap, coverage) + outside == pytest.approx(1, abs=1e-12)


@given(maps_and_regions())
def test_rank_accuracy_of_the_coverage_itself_is_the_best(pair):
    heatmap, coverage = pair
    assert metrics.rank_accuracy(heatmap, coverage) <= metrics.rank_accuracy(coverage, coverage) + 1e-12


@pytest.mark.parametrize("measure", MEASURES)
def test_a_batch_gives_what_its_maps_give_one_by_one(measure):
    random = np.random.default_rng(0)
    heatmaps, coverages = random.random((5, 4, 3)), random.random((5, 4, 3))
    together = measure(heatmaps, coverages)
    assert together.shape == (5,)
    assert together.dtype == np.float64
    assert together.tolist() == [measure(*pair) for pair in zip(heatmaps, coverages, strict=True)]


@pytest.mark.parametrize("measure", MEASURES)
def test_one_map_gives_a_float_and_arguments_stay_as_they_were(measure):
    heatmap, coverage = HEATMAP.astype(np.float32), COVERAGE.copy()
    heatmap.flags.writeable = coverage.flags.writeable = False
    assert type(measure(heatmap, coverage)) is float


@pytest.mark.parametrize("measure", MEASURES)
def test_float16_is_summed_in_float64(measure):
    heatmap = np.full((300, 300), 60_000, dtype=np.float16)
    coverage = np.zeros((300, 300))
    coverage[:, :150] = 1
    assert measure(heatmap, coverage) == 0.5


@pytest.mark.parametrize("measure", MEASURES)
def test_an_empty_map_is_a_result_of_its_own(measure):
    with pytest.raises(metrics.EmptyHeatmapError, match="heatmap 0 is zero everywhere") as caught:
        measure(np.zeros((2, 3)), COVERAGE)
    assert caught.value.indices == (0,)
    heatmaps = np.stack([HEATMAP, 0 * HEATMAP, HEATMAP, 0 * HEATMAP])
    with pytest.raises(metrics.EmptyHeatmapError, match="heatmap 1, 3 is zero") as caught:
        measure(heatmaps, np.stack([COVERAGE] * 4))
    assert caught.value.indices == (1, 3)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_lost_region_is_an_error(measure):
    with pytest.raises(metrics.RegionLostError, match="region lost: coverage 0") as caught:
        measure(HEATMAP, np.zeros((2, 3)))
    assert caught.value.indices == (0,)
    with pytest.raises(metrics.RegionLostError) as caught:
        measure(np.stack([HEATMAP] * 2), np.stack([COVERAGE, 0 * COVERAGE]))
    assert caught.value.indices == (1,)


@pytest.mark.parametrize("measure", [metrics.chance, metrics.ceiling])
def test_a_lost_region_has_neither_chance_nor_ceiling(measure):
    with pytest.raises(metrics.RegionLostError):
        measure(np.zeros((2, 3)))


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (-1.0, "heatmap 0 has negative values"),
        (np.nan, "heatmap 0 has NaN or infinity"),
        (np.inf, "heatmap 0 has NaN or infinity"),
    ],
)
def test_a_broken_map_is_an_error(measure, wrong, message):
    heatmap = HEATMAP.copy()
    heatmap[1, 1] = wrong
    with pytest.raises(ValueError, match=message):
        measure(heatmap, COVERAGE)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("wrong", [-0.1, 1.1, np.nan])
def test_coverage_outside_0_and_1_is_an_error(measure, wrong):
    coverage = COVERAGE.copy()
    coverage[0, 0] = wrong
    with pytest.raises(ValueError, match=r"coverage 0 has values outside \[0, 1\]"):
        measure(HEATMAP, coverage)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(
    ("heatmap", "coverage", "message"),
    [
        (HEATMAP, COVERAGE.T, r"heatmap has shape \(2, 3\) and coverage \(3, 2\)"),
        (HEATMAP[None], COVERAGE, r"heatmap has shape \(1, 2, 3\) and coverage \(2, 3\)"),
        (HEATMAP[0], COVERAGE[0], r"heatmap has shape \(3,\); give one map"),
        (HEATMAP[:0], COVERAGE[:0], r"heatmap has shape \(0, 3\); give one map"),
        (HEATMAP + 1j, COVERAGE, "heatmap has dtype complex128"),
    ],
)
def test_shapes_and_types_that_do_not_fit_are_errors(measure, heatmap, coverage, message):
    with pytest.raises(ValueError, match=message):
        measure(heatmap, coverage)


def test_box_shuffle_null_by_hand():
    heatmaps = np.array([[[3.0, 1.0]], [[1.0, 1.0]], [[0.0, 5.0]]])
    coverages = np.array([[[1.0, 0.0]], [[0.0, 0.5]], [[0.0, 1.0]]])
    # map 0 in regions 1, 2: 0.125, 0.25; map 1 in 0, 2: 0.5, 0.5; map 2 in 0, 1: 0, 0.5
    assert metrics.box_shuffle_null(heatmaps, coverages) == pytest.approx(1.875 / 6, rel=1e-14)


@given(st.lists(maps_and_regions(), min_size=1, max_size=1), st.integers(2, 5), st.randoms())
def test_box_shuffle_null_is_the_mean_over_all_other_pairs(pairs, count, random):
    heatmap, coverage = pairs[0]
    heatmaps = np.stack([np.roll(heatmap, random.randrange(9)) for _ in range(count)])
    coverages = np.stack([np.roll(coverage, random.randrange(9)) for _ in range(count)])
    others = [metrics.mass_inside(heatmaps[i], coverages[j]) for i in range(count) for j in range(count) if i != j]
    assert metrics.box_shuffle_null(heatmaps, coverages) == pytest.approx(np.mean(others), abs=1e-12)


@pytest.mark.parametrize("measure", [metrics.pointing_hit, metrics.iou, metrics.rank_accuracy])
def test_box_shuffle_null_of_another_measure_is_its_mean_over_all_other_pairs(measure):
    random = np.random.default_rng(0)
    heatmaps, coverages = random.random((6, 4, 3)), random.random((6, 4, 3)).round()
    others = [measure(heatmaps[i], coverages[j]) for i in range(6) for j in range(6) if i != j]
    assert metrics.box_shuffle_null(heatmaps, coverages, measure) == pytest.approx(np.mean(others), abs=1e-12)


def test_box_shuffle_null_of_many_takes_50_others_for_each():
    calls = []

    def measure(heatmaps, coverages):
        calls.append(np.asarray(coverages)[:, 0, 0].argmax())  # where the marked one went: the shift
        return np.zeros(len(np.asarray(heatmaps)))

    coverages = np.full((200, 1, 2), 0.5)
    coverages[0] = 1
    assert metrics.box_shuffle_null(np.ones((200, 1, 2)), coverages, measure) == 0.0
    assert len(set(calls)) == len(calls) == 50
    assert (min(calls), max(calls)) == (1, 199)


def test_box_shuffle_null_of_disjoint_pairs_is_0_and_needs_a_pair():
    heatmaps = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    assert metrics.box_shuffle_null(heatmaps, heatmaps) == 0.0
    with pytest.raises(ValueError, match="at least 2 heatmaps"):
        metrics.box_shuffle_null(heatmaps[:1], heatmaps[:1])
    with pytest.raises(ValueError, match="at least 2 heatmaps"):
        metrics.box_shuffle_null(heatmaps[0], heatmaps[0])


def test_centre_prior_is_a_gaussian_in_the_middle():
    prior = metrics.centre_prior((3, 5))
    assert prior.shape == (3, 5)
    assert prior[1, 2] == 1.0
    assert prior[1, 3] == pytest.approx(np.exp(-0.5 * (0.2 / 0.25) ** 2), rel=1e-12)
    assert prior[0, 2] == pytest.approx(np.exp(-0.5 * (1 / 3 / 0.25) ** 2), rel=1e-12)
    np.testing.assert_allclose(prior, prior[::-1, ::-1])


@pytest.mark.parametrize(("shape", "sigma"), [((0, 3), 0.25), ((3, 3), 0), ((3, 3), np.nan), ((3, 3), np.inf)])
def test_centre_prior_refuses_what_is_no_gaussian(shape, sigma):
    with pytest.raises(ValueError, match="sigma is" if min(shape) else "shape is .*, both at least 1"):
        metrics.centre_prior(shape, sigma)
