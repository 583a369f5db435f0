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


COUNTED = """
import pytest
from pytest_cnnaudit.engine.models.keras.model import KerasModel

passes = []

def counting(compute):
    def call(self, wanted, *args):
        inside = wanted.reductions or wanted.finite
        passes.append("explained" if wanted.gradients else "inside" if inside else "logits")
        return compute(self, wanted, *args)
    return call

@pytest.fixture(scope="session", autouse=True)
def counted():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KerasModel, "compute", counting(KerasModel.compute))
        yield
    print("passes:", *passes)
"""
THREE = """
BOTH = [RED, GREEN]

def test_accuracy(cnnaudit):
    cnnaudit.assert_predicts(BOTH)

def test_sparsity(cnnaudit):
    ask = lambda: cnnaudit.assert_no_dead_filters(BOTH, at_most=1)
    ask()

class TestInside:
    def test_finite(self, cnnaudit):
        cnnaudit.assert_finite(BOTH)
"""


def test_one_pass_gives_what_all_collected_tests_ask_for(suite):
    suite.pytester.makeconftest(COUNTED)
    suite.write(THREE)
    result = suite.run("-s")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*passes: explained"])


HIDDEN = """
import pytest
import checks
from checks import finite

BOTH = [RED, GREEN]

def accuracy(cnnaudit):
    cnnaudit.assert_predicts(BOTH)

def test_by_a_function_of_the_module(cnnaudit):
    accuracy(cnnaudit)

def test_by_one_that_is_imported(cnnaudit):
    finite(cnnaudit, BOTH)

@pytest.mark.parametrize("name", ["assert_no_dead_filters"])
def test_by_name(cnnaudit, name):
    getattr(cnnaudit, name)(BOTH, at_most=1)
"""
CHECKS = """
def finite(cnnaudit, cases):
    deeper(cnnaudit, cases)

def deeper(cnnaudit, cases):
    cnnaudit.assert_finite(cases)
"""


def test_what_is_asked_for_in_functions_that_tests_call_is_foreseen(suite):
    suite.pytester.makeconftest(COUNTED)
    suite.pytester.makepyfile(checks=CHECKS)
    suite.write(HIDDEN)
    result = suite.run("-s")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*passes: explained"])


def test_a_module_of_the_project_is_looked_into_and_a_method_of_the_tests_class(suite):
    suite.pytester.makeconftest(COUNTED)
    suite.pytester.makepyfile(checks=CHECKS)
    suite.write(
        """
import checks

class TestBoth:
    cases = [RED, GREEN]

    def accuracy(self, cnnaudit):
        cnnaudit.assert_predicts(self.cases)

    def test_accuracy(self, cnnaudit):
        self.accuracy(cnnaudit)

    def test_finite(self, cnnaudit):
        checks.finite(cnnaudit, self.cases)
"""
    )
    result = suite.run("-s")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*passes: explained"])


def test_a_function_of_a_library_is_not_looked_into(suite, monkeypatch):
    """What numpy or a test's helpers from PyPI name somewhere says nothing of this suite."""
    suite.pytester.makeconftest(COUNTED)
    for folder in ("site-packages", "../elsewhere"):
        path = (suite.pytester.path / folder).resolve()
        path.mkdir()
        (path / f"library_{path.name.replace('-', '_')}.py").write_text(
            "def unused(cnnaudit, cases):\n    return 0\n\n\n"
            "def check(cnnaudit, cases):\n    return lambda: cnnaudit.assert_finite(cases)\n"
        )
        monkeypatch.syspath_prepend(path)
    suite.write(
        """
import library_elsewhere
from library_site_packages import check

def test_accuracy(cnnaudit):
    check(cnnaudit, [RED, GREEN])
    library_elsewhere.check(cnnaudit, [RED, GREEN])
    cnnaudit.assert_predicts([RED, GREEN])

def test_the_other(cnnaudit):
    # Not named in this code: had it been foreseen, one pass would have given all.
    getattr(cnnaudit, "_".join(["assert", "finite"]))([RED, GREEN])
"""
    )
    result = suite.run("-s")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*passes: explained inside"])


def test_objects_that_do_work_when_they_are_asked_are_left_alone(suite):
    suite.write(
        """
from unittest.mock import Mock

class Lazy:
    @property
    def __class__(self):
        raise RuntimeError("too early")

def load():
    pass

lazy, loader = Lazy(), Mock(spec=load)

def test_one(cnnaudit):
    if cnnaudit is None:
        lazy(), loader()
    cnnaudit.assert_predicts([RED, GREEN])
"""
    )
    suite.run().assert_outcomes(passed=1)


def test_what_no_selected_test_asks_for_is_not_computed(suite):
    suite.pytester.makeconftest(COUNTED)
    suite.write(THREE)
    result = suite.run("-s", "-k", "test_finite or test_sparsity")
    result.assert_outcomes(passed=2, deselected=1)
    result.stdout.fnmatch_lines(["*passes: inside"])
