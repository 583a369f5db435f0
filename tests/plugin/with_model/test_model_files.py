"""Model files that can't be used, through the plugin: the test fails with a reason, and nothing of them is executed."""

import sys
import warnings

import pytest

LAYERS = """
import os
import keras

class Tripler(keras.layers.Layer):
    def build(self, shape):
        if "CNNAUDIT_TEST_BROKEN" in os.environ:
            raise RuntimeError("no licence for this layer")
        self.factor = self.add_weight(shape=(), initializer="ones", name="factor")

    def call(self, x):
        return 3 * x * self.factor

def tripled(x):
    return 3 * x
"""


@pytest.fixture
def saved(suite, monkeypatch):
    """Writes a model with this layer or activation, and a test that needs it."""
    import keras

    namespace = {}
    exec(LAYERS, namespace)
    # Defining a class registers nothing; a test before this one may have.
    monkeypatch.setattr(keras.src.saving.object_registration, "GLOBAL_CUSTOM_OBJECTS", {})

    def save(layer=None, activation=None):
        picture = keras.Input((32, 32, 3))
        x = keras.layers.Conv2D(2, 1, activation=namespace.get(activation))(picture)
        x = {"Tripler": namespace["Tripler"], "Lambda": _lambda}[layer]()(x) if layer else x
        model = keras.Model(picture, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            model.save(suite.pytester.path / "custom.keras")
        suite.ini(model="custom.keras")
        suite.write("def test_custom(cnnaudit):\n    assert cnnaudit.predict(RED).logits.shape == (1, 3)\n")

    return save


def _lambda():
    import keras

    return keras.layers.Lambda(lambda x: __import__("pathlib").Path("executed").touch() or x, output_shape=(32, 32, 2))


def failed(suite, *lines, arguments=()):
    """Runs a suite that must fail with these lines, on the terminal and on record."""
    result = suite.run(*arguments)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(list(lines))
    assert [one["outcome"] for one in suite.findings] == ["error"]
    assert "site-packages" not in result.stdout.str(), "a traceback of ours or of Keras buries the reason"


UNKNOWN = "E*custom.keras' uses '{}', which is not known here.*--cnnaudit-import*fixture cnnaudit_custom_objects*"


@pytest.mark.parametrize(("use", "name"), [("layer", "Tripler"), ("activation", "tripled")])
def test_a_missing_class_or_function_is_named_with_both_ways_to_give_it(suite, saved, use, name):
    saved(**{use: name})
    failed(suite, UNKNOWN.format(name))
    suite.pytester.makeconftest(
        LAYERS + "import pytest\n@pytest.fixture(scope='session')\n"
        f"def cnnaudit_custom_objects():\n    return {{'{name}': {name}}}\n"
    )
    suite.run().assert_outcomes(passed=1)


@pytest.mark.parametrize(("use", "name"), [("layer", "Tripler"), ("activation", "tripled")])
def test_a_module_that_registers_them_is_imported(suite, saved, monkeypatch, use, name):
    saved(**{use: name})
    suite.pytester.syspathinsert()
    monkeypatch.delitem(sys.modules, "triplers", raising=False)
    # It was saved under its bare name, so that is the name to register.
    suite.pytester.makepyfile(triplers=LAYERS + f"keras.saving.get_custom_objects()['{name}'] = {name}\n")
    suite.run("--cnnaudit-import=triplers").assert_outcomes(passed=1)


@pytest.mark.every_backend
def test_a_custom_layer_that_raises_is_shown_with_its_own_line(suite, saved, monkeypatch):
    saved(layer="Tripler")
    suite.pytester.syspathinsert()
    monkeypatch.delitem(sys.modules, "breakers", raising=False)
    suite.pytester.makepyfile(breakers=LAYERS + "keras.saving.get_custom_objects()['Tripler'] = Tripler\n")
    monkeypatch.setenv("CNNAUDIT_TEST_BROKEN", "1")
    line = "E*can't be loaded: no licence for this layer (RuntimeError in build, line 7 of *breakers.py)*"
    failed(suite, line, arguments=["--cnnaudit-import=breakers"])


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (None, "No module named 'broken_module'"),
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("def (", "SyntaxError: *"),
        ("import nowhere_at_all", "No module named 'nowhere_at_all'"),
    ],
    ids=["missing", "raises", "no Python", "lacks another"],
)
def test_a_module_that_can_not_be_imported(suite, monkeypatch, source, reason):
    suite.pytester.syspathinsert()
    monkeypatch.delitem(sys.modules, "broken_module", raising=False)
    if source is not None:
        suite.pytester.makepyfile(broken_module=source)
    suite.write("def test_custom(cnnaudit):\n    cnnaudit.assert_predicts(RED)\n")
    failed(suite, f"*--cnnaudit-import broken_module: {reason}", arguments=["--cnnaudit-import=broken_module"])


def test_code_in_the_file_is_named_and_not_executed(suite, saved):
    saved(layer="Lambda")
    marker = suite.pytester.path / "executed"
    marker.unlink(missing_ok=True)
    failed(suite, "E*custom.keras' holds code, which is never executed here: a Lambda layer*, at functional*/lambda*")
    assert not marker.exists()


def test_a_file_cut_short(suite):
    (suite.pytester.path / "cut.keras").write_bytes(suite.kit.model.read_bytes()[:5000])
    suite.ini(model="cut.keras")
    suite.write("def test_cut(cnnaudit):\n    cnnaudit.assert_predicts(RED)\n")
    failed(suite, "E*cut.keras' (5000 bytes) is cut short or damaged: *")


@pytest.fixture
def wrong_range(suite):
    """Two tests whose pictures get values that no pixel has."""
    suite.pytester.makeconftest(
        """
        import pytest
        from pytest_cnnaudit import Preprocessing

        @pytest.fixture(scope="session")
        def cnnaudit_preprocessing():
            return Preprocessing(scale=lambda pixels: pixels * 257)
        """
    )
    suite.write(
        "def test_1(cnnaudit):\n    cnnaudit.predict(RED)\n\ndef test_2(cnnaudit):\n    cnnaudit.predict(GREEN)\n"
    )


def test_a_wrong_range_is_a_warning_in_the_summary(suite, wrong_range):
    # What this project's own tests ignore counts in the run inside of theirs as well.
    result = suite.run("-Walways:The model:UserWarning")
    result.assert_outcomes(passed=2, warnings=1)
    result.stdout.fnmatch_lines(
        ["*PreprocessingWarning: The model 'candidate' is handed values from 0 to 6.554e+04, but 8-bit pixels end at*"]
    )


def test_a_gate_can_make_it_an_error_in_every_test(suite, wrong_range):
    result = suite.run("-Werror::pytest_cnnaudit.PreprocessingWarning")
    result.assert_outcomes(failed=2)
    assert [one["outcome"] for one in suite.findings] == ["error", "error"]
    result.stdout.fnmatch_lines(["E*PreprocessingWarning: The model 'candidate' is handed values from 0 to 6.554e+04*"])
    assert "ranges.py" not in result.stdout.str(), "a traceback of ours buries the advice"
