"""The fixtures: overridden in conftest.py, overruled by the command line, and what they say when something lacks."""


def test_a_preprocessing_or_a_scale_is_found_by_name(suite):
    suite.pytester.syspathinsert()
    suite.pytester.makepyfile(
        ways="""
        from pytest_cnnaudit import Preprocessing

        def halved(pixels):
            return pixels / 2

        class Ways:
            padded = Preprocessing(resize="pad")
        """
    )
    suite.write("def test_it(cnnaudit_preprocessing):\n    print('FOUND', cnnaudit_preprocessing)\n")
    suite.run("-s", "--cnnaudit-preprocessing=ways:Ways.padded").stdout.fnmatch_lines(["*FOUND*resize='pad'*"])
    suite.run("-s", "--cnnaudit-preprocessing=ways:halved").stdout.fnmatch_lines(["*FOUND*scale=<function halved*"])
    wrong = {
        "nowhere:it": "No module named 'nowhere'",
        "ways": "expected MODULE:OBJECT",
        "ways:third": "no attribute 'third'",
        "ways:__name__": "neither a Preprocessing nor a callable, but 'ways'",
    }
    for name, message in wrong.items():
        result = suite.run(f"--cnnaudit-preprocessing={name}")
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines([f"*--cnnaudit-preprocessing *{name}*{message}*"])


def test_an_iterator_of_cases_is_refused(suite):
    suite.pytester.makeconftest(
        """
        import pytest
        from pytest_cnnaudit import Case

        @pytest.fixture(scope="session")
        def cnnaudit_cases():
            return (Case(name) for name in ["a.png"])
        """
    )
    suite.write(
        "def test_first(cnnaudit, cnnaudit_cases):\n    cnnaudit.check('loss', 1, at_most=2)\n"
        "def test_second(cnnaudit, cnnaudit_cases):\n    cnnaudit.check('loss', 1, at_most=2)\n"
    )
    result = suite.run()
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        ["TypeError: cnnaudit_cases gave <generator*, an iterator: the second test would find*"]
    )
    assert [one["outcome"] for one in suite.findings] == ["error", "error"]


def test_an_error_inside_the_users_own_code_keeps_its_traceback(suite):
    suite.pytester.makeconftest(
        """
        import pytest
        from pytest_cnnaudit import Preprocessing

        def scale(pixels):
            return float("many")

        @pytest.fixture(scope="session")
        def cnnaudit_cases():
            raise ValueError("an error of mine")
        """
    )
    suite.write("def test_it(cnnaudit, cnnaudit_cases):\n    pass\n")
    result = suite.run()
    result.stdout.fnmatch_lines(["*def cnnaudit_cases*", "E*ValueError: an error of mine"])


def test_check_needs_neither_a_model_nor_keras_nor_a_backend(suite, monkeypatch):
    """And what does need a backend says which one is missing."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    suite.pytester.makeconftest("import sys\nsys.modules['jax'] = None\n")
    suite.write(
        """
import sys

def test_1_check(cnnaudit):
    cnnaudit.check("calibration error", 0.03, at_most=0.05)
    assert not {"keras", "tensorflow", "torch"}.intersection(sys.modules)

def test_2_predict(cnnaudit):
    cnnaudit.assert_predicts(RED)
"""
    )
    result = suite.run_apart()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["E*Keras can't start with the backend jax: *pip install 'pytest-cnnaudit?jax?'*"])
    assert suite.outcomes() == [
        ("test_1_check", "calibration error", "passed"),
        ("test_2_predict", "predicts", "error"),
    ]
