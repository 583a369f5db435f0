"""What was computed once is shared by all of a session's tests."""


def test_the_same_pictures_are_preprocessed_once(suite):
    """Counted in the preprocessing: every picture that goes into the model passes through there."""
    suite.pytester.makeconftest(
        """
        import pytest
        from pytest_cnnaudit import Preprocessing

        def scale(pixels):
            scale.pictures += 1 if pixels.ndim == 3 else len(pixels)
            return pixels

        @pytest.fixture(scope="session")
        def cnnaudit_preprocessing():
            return Preprocessing(scale=scale)

        @pytest.fixture
        def pictures():
            scale.pictures = 0
            return lambda: scale.pictures
        """
    )
    suite.write(
        """
BOTH = [RED, GREEN]

def test_1_a_heatmap_brings_the_prediction(cnnaudit, pictures):
    cnnaudit.assert_mass_inside(BOTH)
    assert pictures() == 2
    cnnaudit.assert_avoids(BOTH)
    cnnaudit.assert_predicts(BOTH)
    assert pictures() == 2

def test_2_in_another_test(cnnaudit, pictures):
    cnnaudit.assert_mass_inside(BOTH)
    cnnaudit.assert_mass_inside(GREEN, region=Box(8, 8, 20, 20))
    cnnaudit.heatmaps(BOTH, target="predicted")
    cnnaudit.heatmaps(Case(RED.image), target=0)
    assert pictures() == 0

def test_3_another_target_or_layer_or_picture(cnnaudit, pictures):
    cnnaudit.heatmaps(RED, target="green")
    cnnaudit.heatmaps(RED, target="red", layer="cells")
    assert pictures() == 0
    cnnaudit.heatmaps([*BOTH, STAMPED], target="label")
    assert pictures() == 1

def test_4_activations(cnnaudit, pictures):
    cnnaudit.assert_sparsity_rises(BOTH)
    cnnaudit.assert_no_dead_filters(BOTH)
    cnnaudit.assert_finite(BOTH)
    assert pictures() == 0
"""
    )
    suite.run().assert_outcomes(passed=4)
