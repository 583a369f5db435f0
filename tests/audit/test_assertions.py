"""The table: what every assertion does around its measure, and what its entry says."""

import pytest
from colours import half_case, message_of, refused

from pytest_cnnaudit.audit import ASSERTIONS, Audit, assertions, needed_by
from pytest_cnnaudit.audit.assertions import assertion
from pytest_cnnaudit.engine.passes import class_evidence, finiteness, sparsity
from pytest_cnnaudit.findings import Finding, Texts


class TestMisspelt:
    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("assert_mas_inside", "assert_mass_inside"),
            ("assert_no_dead_filter", "assert_no_dead_filters"),
        ],
    )
    def test_an_assertion_names_the_nearest(self, audit, written, meant):
        message = message_of(AttributeError, getattr, audit, written)
        assert message == f"There is no assertion '{written}' (did you mean '{meant}'?)"

    def test_any_other_attribute_is_an_ordinary_error(self, audit):
        assert message_of(AttributeError, getattr, audit, "engin") == "'Audit' object has no attribute 'engin'"
        assert not hasattr(audit, "assert_zzz")

    def test_an_error_in_a_property_comes_through(self):
        def broken():
            raise AttributeError("no fixture")

        audit = Audit("test", None, broken)
        assert message_of(AttributeError, getattr, audit, "layers") == "no fixture"

    @pytest.mark.parametrize(
        ("argument", "hint"),
        [("at_lest", " (did you mean 'at_least'?)"), ("mostli", " (did you mean 'mostly'?)"), ("zzz", "")],
    )
    def test_an_argument_names_the_nearest_and_is_on_record(self, audit, recorded, argument, hint):
        message = message_of(TypeError, audit.assert_mass_inside, half_case(90), **{argument: 0.5})
        expected = f"cnnaudit.assert_mass_inside: got an unexpected keyword argument {argument!r}{hint}"
        assert message == expected
        [finding] = recorded()
        assert (finding["name"], finding["outcome"], finding["message"]) == ("mass_inside", "error", expected)


class TestFindings:
    def test_say_what_kind_of_value_they_have(self, audit):
        assert audit.assert_mass_inside(half_case(90)).kind == "case"
        assert audit.assert_mass_inside([half_case(90)]).kind == "share"
        assert audit.assert_finite([half_case(90)]).kind == "value"
        assert audit.check("figure", 1, at_least=0).kind == "value"

    def test_have_the_entrys_texts_also_where_they_are_errors(self, audit, recorded):
        texts = ASSERTIONS["mass_inside"].texts
        assert texts.title == "Looks at the object"
        assert audit.assert_mass_inside(half_case(90)).texts == texts
        message_of(ValueError, audit.assert_mass_inside, half_case(90), at_least=2)
        assert [finding["texts"]["title"] for finding in recorded()] == ["Looks at the object"] * 2

    def test_a_figure_of_the_suites_own_is_called_what_it_is(self, audit):
        texts = audit.check("top-5", 1, at_least=0).texts
        assert texts == Texts("top-5", measured="A figure that this suite measures and judges itself.")

    def test_show_the_settings_of_the_measure_and_no_limits(self, audit, recorded):
        finding = audit.assert_iou(half_case(90), at_least=0.4, threshold=0.5)
        assert finding.settings == "threshold 0.5"
        assert finding.message.endswith("\n  settings: threshold 0.5")
        message_of(ValueError, audit.assert_iou, half_case(90), threshold=0.5, mostly=2)
        assert recorded()[-1]["settings"] == "threshold 0.5"
        assert audit.assert_mass_inside(half_case(90)).settings == ""

    def test_tell_an_excess_from_a_value(self, audit):
        finding = audit.assert_mass_inside(half_case(90))
        assert [limit.is_excess for limit in finding.thresholds] == [False, True]

    def test_name_the_page_only_where_they_did_not_pass(self, audit, page):
        assert audit.assert_mass_inside(half_case(90)).page == ""
        assert refused(audit.assert_mass_inside, half_case(10)).page == page


class TestTable:
    def test_every_entry_says_what_it_is_about(self):
        for name, entry in ASSERTIONS.items():
            assert entry.name == name
            assert entry.texts.title or name == "check"
            assert entry.texts.measured, name
            assert entry.about, name

    def test_these_say_only_yes_or_no(self):
        assert {name for name, entry in ASSERTIONS.items() if entry.texts.yes_no} == {"predicts", "points_at"}

    def test_what_is_needed_of_a_pass_comes_from_the_names_in_the_tests(self):
        assert needed_by(["assert_mass_inside", "assert_predicts", "print"]) == (class_evidence,)
        assert needed_by(["predict"]) == (class_evidence,)
        assert set(needed_by(["assert_finite", "assert_no_dead_filters"])) == {finiteness, sparsity}
        assert needed_by(["mass_inside", "check"]) == ()

    def test_a_setting_that_is_not_an_argument_is_an_error(self):
        def assert_new(context, cases, *, limit=1) -> Finding: ...

        message = message_of(ValueError, assertion(title="New", settings=["limits"]), assert_new)
        assert message == "settings of assert_new: there is no argument 'limits'"
        assert "new" not in ASSERTIONS

    def test_a_name_that_is_taken_is_an_error(self):
        def assert_iou(context, cases) -> Finding: ...

        message = message_of(ValueError, assertion(title="New"), assert_iou)
        assert message.startswith("There is an assertion 'iou' already, in ")
        assert message.endswith("localization.py")

    def test_two_files_of_the_same_module_name_are_two(self, tmp_path):
        """As the conftest.py of two folders."""
        source = "def assert_twice(context, cases) -> None: ..."
        first, second = ({"__name__": "conftest"} for _ in range(2))
        for place, names in (("a", first), ("b", second)):
            exec(compile(source, str(tmp_path / place / "conftest.py"), "exec"), names)
        try:
            assertion(title="First")(first["assert_twice"])
            assertion(title="The same, imported again")(first["assert_twice"])
            message = message_of(ValueError, assertion(title="Second"), second["assert_twice"])
            assert message == f"There is an assertion 'twice' already, in {tmp_path / 'a' / 'conftest.py'}"
            assert ASSERTIONS["twice"].texts.title == "The same, imported again"
        finally:
            assertions.forget("twice")
        assert not hasattr(Audit, "assert_twice")

    @pytest.mark.parametrize("name", ["context", "predict", "heatmaps", "is_new"])
    def test_nothing_else_of_the_fixture_is_replaced(self, name):
        namespace = {}
        exec(f"def {name}(context, cases): ...", namespace)
        message = message_of(ValueError, assertion(title="New"), namespace[name])
        assert message == f"'{name}' is registered as an assertion; its name has to begin with 'assert_'"

    def test_what_can_t_be_an_assertion_is_named(self):
        def assert_nothing() -> Finding: ...

        assert "takes no arguments" in message_of(TypeError, assertion(title="New"), assert_nothing)
        assert "settings is 'limit'" in message_of(TypeError, assertion, title="New", settings="limit")
