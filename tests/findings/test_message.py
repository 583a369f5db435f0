"""A finding's message: what it is made of, and what is left out where there is too much."""

from dataclasses import replace

from pytest_cnnaudit.findings import Finding


def finding(*lines, **about):
    return Finding("t", "n", "failed", lines=lines, **about)


def test_is_name_outcome_and_the_lines():
    assert finding("a", "b").message == "n: failed: a\n  b"


def test_leaves_out_empty_lines_also_the_first():
    assert finding("", "a", "", "b").message == "n: failed: a\n  b"


def test_ends_with_settings_and_page():
    assert finding("a", settings="steps 4", page="p").message == "n: failed: a\n  settings: steps 4\n  page: p"


def test_is_of_twelve_lines_at_most_the_page_the_last_of_them():
    many = [str(index) for index in range(20)]
    assert finding(*many).message.split("\n  ") == ["n: failed: 0", *many[1:12]]
    assert finding(*many, settings="s", page="p").message.split("\n  ") == ["n: failed: 0", *many[1:11], "page: p"]


def test_follows_what_it_is_made_of():
    assert replace(finding("a"), name="two\n words", outcome="passed").message == "two words: passed: a"


def test_is_as_given_where_there_are_no_lines():
    given = Finding("t", "n", "error", message="What was wrong.\nAnd more.", settings="s", page="p")
    assert given.message == "What was wrong.\nAnd more."
    assert replace(given, waived="known").message == given.message
