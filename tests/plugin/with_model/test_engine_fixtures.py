"""The fixtures that the engine is made from: overridden in conftest.py, overruled by the command line."""

import os
import warnings

import numpy
import pytest

BACKENDS = ("tensorflow", "torch", "jax")


def test_every_fixture_can_be_overridden(suite):
    suite.pytester.makeconftest(
        f"""
        import pytest
        from pytest_cnnaudit import Case, Preprocessing, load_model

        @pytest.fixture(scope="session")
        def cnnaudit_model():
            return load_model({str(suite.kit.model)!r})

        @pytest.fixture(scope="session")
        def cnnaudit_preprocessing():
            return Preprocessing(scale=lambda pixels: pixels[..., ::-1])

        @pytest.fixture(scope="session")
        def cnnaudit_class_names():
            return ["first", "second", "third"]

        @pytest.fixture(scope="session")
        def cnnaudit_cases():
            return [Case({str(suite.kit.red)!r}, "third")]
        """
    )
    suite.ini(model="missing.keras", class_names="missing.txt", cases="missing.csv")
    # Red and blue changed places, so the model sees a blue square, which is neither red nor green.
    suite.write("def test_overridden(cnnaudit, cnnaudit_cases):\n    cnnaudit.assert_predicts(cnnaudit_cases)\n")
    suite.run().assert_outcomes(passed=1)
    assert suite.record["model"]["file"] is None


def test_the_model_on_the_command_line_wins_over_an_overridden_one(suite):
    suite.ini(model=None)
    suite.pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(scope="session")
        def cnnaudit_model():
            return "another.keras"
        """
    )
    suite.write("def test_candidate(cnnaudit):\n    cnnaudit.assert_predicts(RED)\n")
    suite.run(f"--cnnaudit-model={suite.kit.model}").assert_outcomes(passed=1)
    assert suite.record["model"]["file"] == "candidate.keras"
    result = suite.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*'another.keras' does not exist*"])


@pytest.fixture
def two_headed(suite):
    """A model with a picture and an age in, and a class and a score out."""
    import keras

    picture, age = keras.Input((32, 32, 3), name="picture"), keras.Input((1,), name="age")
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(3, 1, name="colours")(picture))
    both = keras.layers.Concatenate()([features, age])
    outputs = {"kind": keras.layers.Dense(3, name="kind")(both), "score": keras.layers.Dense(2, name="score")(both)}
    model = keras.Model([picture, age], outputs)
    model.get_layer("colours").set_weights([numpy.eye(3)[None, None], numpy.zeros(3)])
    # Red, then green, then whoever is older than 50.
    kernel = numpy.array([[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]])
    model.get_layer("kind").set_weights([kernel, numpy.array([0, 0, -50])])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        model.save(suite.kit.folder / "two_headed.keras")
    return suite.kit.folder / "two_headed.keras"


@pytest.mark.every_backend
def test_more_arguments_of_the_engine(suite, two_headed):
    suite.pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(scope="session")
        def cnnaudit_engine_options():
            return {"output": "kind", "other_inputs": {"age": lambda case: [case.group]}}
        """
    )
    suite.write(
        f"""
def test_young(cnnaudit):
    cnnaudit.assert_predicts(Case({str(suite.kit.red)!r}, "red", group=20))

def test_old(cnnaudit):
    cnnaudit.assert_predicts(Case({str(suite.kit.red)!r}, "none", group=900))
"""
    )
    suite.run(f"--cnnaudit-model={two_headed}").assert_outcomes(passed=2)


def test_an_argument_of_the_engine_that_is_an_option_too(suite):
    suite.pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(scope="session")
        def cnnaudit_engine_options():
            return {"seed": 3}
        """
    )
    suite.write("def test_it(cnnaudit):\n    cnnaudit.assert_predicts(RED)\n")
    result = suite.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*cnnaudit_engine_options gives 'seed', which has a fixture or option of its own*"])


DOUBLER = """
import keras

class Doubler(keras.layers.Layer):
    def call(self, x):
        return 2 * x
"""


@pytest.fixture
def custom_model(suite, monkeypatch):
    """The path of a model with a layer of a class that Keras does not know."""
    import keras

    namespace = {}
    exec(DOUBLER, namespace)
    picture = keras.Input((32, 32, 3))
    features = keras.layers.Conv2D(2, 1, activation="relu")(namespace["Doubler"]()(picture))
    model = keras.Model(picture, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(features)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        model.save(suite.pytester.path / "custom.keras")
    suite.ini(model="custom.keras")
    suite.write("def test_custom(cnnaudit):\n    assert cnnaudit.predict(RED).logits.shape == (1, 3)\n")
    monkeypatch.delitem(keras.saving.get_custom_objects(), "Doubler", raising=False)
    return model


def test_custom_objects_come_from_their_fixture(suite, custom_model):
    result = suite.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*--cnnaudit-import, or return it from the fixture cnnaudit_custom_objects*"])
    suite.pytester.makeconftest(
        DOUBLER + "import pytest\n@pytest.fixture(scope='session')\n"
        "def cnnaudit_custom_objects():\n    return {'Doubler': Doubler}\n"
    )
    suite.run().assert_outcomes(passed=1)


@pytest.mark.every_backend
def test_custom_objects_come_from_an_imported_module(suite, custom_model):
    suite.pytester.syspathinsert()
    suite.pytester.makepyfile(doublers=DOUBLER + "keras.saving.get_custom_objects()['Doubler'] = Doubler\n")
    suite.write(
        "def test_custom(cnnaudit):\n    from pytest_cnnaudit import Engine\n    engine = cnnaudit.engine\n"
        "    again = Engine.from_description(engine.description)\n"
        "    assert engine.description.imports == ('doublers',)\n"
        "    assert (again.predict(RED).logits == engine.predict(RED).logits).all()\n"
    )
    suite.run("--cnnaudit-import=doublers").assert_outcomes(passed=1)
    result = suite.run("--cnnaudit-import=triplers")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*--cnnaudit-import triplers: No module named 'triplers'*"])


def test_a_model_is_what_a_function_makes(suite):
    suite.pytester.syspathinsert()
    suite.pytester.makepyfile(
        makers=f"""
        import keras

        def candidate():
            return keras.saving.load_model({str(suite.kit.model)!r})
        """
    )
    suite.pytester.makeconftest(
        "import pytest\n\n@pytest.fixture(scope='session')\ndef cnnaudit_model():\n    return 'makers:candidate'\n"
    )
    suite.ini(model=None)
    suite.write(
        "def test_it(cnnaudit):\n    cnnaudit.assert_predicts(RED)\n"
        "    assert cnnaudit.engine.description.source == 'makers:candidate'\n"
    )
    suite.run().assert_outcomes(passed=1)
    assert suite.record["model"]["file"] is None


def test_what_is_missing_is_an_error_that_says_what_to_do(suite):
    suite.ini(model=None, class_names=None, cases=None)
    suite.write(
        """
def test_1_no_model(cnnaudit):
    cnnaudit.assert_predicts(RED)

def test_2_no_model(cnnaudit, cnnaudit_engine):
    pass

def test_3_no_cases(cnnaudit, cnnaudit_cases):
    pass

def test_4_no_audit(cnnaudit_engine):
    pass
"""
    )
    result = suite.run()
    result.assert_outcomes(failed=1, errors=3)
    # The session's fixture fails once; every test that needed it has its own finding nevertheless.
    assert [one["outcome"] for one in suite.findings] == ["error"] * 3
    text = result.stdout.str()
    assert text.count("There is no model to audit: give --cnnaudit-model PATH, set cnnaudit_model in the ini, or") >= 3
    assert "There are no cases: give --cnnaudit-cases PATH, set cnnaudit_cases in the ini, or" in text
    for file in ("plugin/__init__.py", "context.py", "fixtures.py", "_manager.py"):
        assert file not in text, "a traceback of ours buries the advice"


def test_full_tracebacks_are_shown_on_demand(suite):
    suite.ini(model=None)
    suite.write("def test_no_model(cnnaudit):\n    cnnaudit.assert_predicts(RED)\n")
    assert "plugin/fixtures.py" in suite.run("--full-trace").stdout.str()


@pytest.mark.every_backend
def test_a_backend_that_comes_too_late_is_refused(suite, backend, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    suite.write("def test_it(cnnaudit):\n    cnnaudit.check('loss', 1, at_most=2)\n")
    suite.run(f"--cnnaudit-backend={backend}").assert_outcomes(passed=1)
    other = next(name for name in BACKENDS if name != backend)
    result = suite.run(f"--cnnaudit-backend={other}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--cnnaudit-backend {other}: too late, *backend '{backend}'*KERAS_BACKEND={other}*"])
    assert os.environ["KERAS_BACKEND"] == backend


ANOTHER = {
    "cnnaudit_model": "keras.Sequential([keras.Input((32, 32, 3)), keras.layers.GlobalAveragePooling2D()])",
    "cnnaudit_preprocessing": "Preprocessing(scale=lambda pixels: pixels[..., ::-1])",
    "cnnaudit_class_names": "['green', 'red', 'none']",
    "cnnaudit_engine_options": "{'activation': 'sigmoid'}",
    "cnnaudit_engine": "Engine(keras.Sequential([keras.Input((32, 32, 3)), keras.layers.GlobalAveragePooling2D()]))",
}


@pytest.mark.parametrize("name", ANOTHER)
def test_a_folder_with_an_engine_of_its_own_is_never_judged_by_another_folders(suite, name):
    """pytest keeps the engine of the first folder, whose model would be judged twice and the other never."""
    for folder in ("first", "second"):
        suite.pytester.mkpydir(folder)
        (suite.pytester.path / folder / "test_it.py").write_text(
            suite.header + "def test_it(cnnaudit):\n    cnnaudit.assert_predicts(RED)\n"
        )
    (suite.pytester.path / "second" / "conftest.py").write_text(
        "import keras, pytest\nfrom pytest_cnnaudit import Engine, Preprocessing\n\n"
        f"@pytest.fixture(scope='session')\ndef {name}():\n    return {ANOTHER[name]}\n"
    )
    result = suite.run("first", "second")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines([f"*For this test the fixture {name} gives something else than for the tests before*"])
    assert [one["outcome"] for one in suite.record["findings"]] == ["passed", "error"]


def test_a_parametrized_model_is_not_judged_by_the_first_one(suite):
    suite.pytester.makeconftest(
        f"""
        import keras, pytest

        other = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.GlobalAveragePooling2D()])

        @pytest.fixture(scope="session", params=[{str(suite.kit.model)!r}, other])
        def cnnaudit_model(request):
            return request.param
        """
    )
    suite.write("def test_it(cnnaudit_model, cnnaudit):\n    cnnaudit.assert_predicts(RED)\n")
    result = suite.run()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*the fixture cnnaudit_model gives something else*"])


@pytest.mark.parametrize(("second", "outcomes"), [("none", {"passed": 2}), ("other", {"passed": 1, "failed": 1})])
def test_equal_values_of_several_folders_are_one_engine_and_others_are_not(suite, second, outcomes):
    for folder, last in (("first", "none"), ("second", second)):
        suite.pytester.mkpydir(folder)
        (suite.pytester.path / folder / "test_it.py").write_text(
            suite.header + "def test_it(cnnaudit):\n    cnnaudit.assert_predicts(RED)\n"
        )
        (suite.pytester.path / folder / "conftest.py").write_text(
            "import pytest\n\n@pytest.fixture(scope='session')\ndef cnnaudit_class_names():\n"
            f"    return ['red', 'green', {last!r}]\n"
        )
    suite.run("first", "second").assert_outcomes(**outcomes)
