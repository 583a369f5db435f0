"""Where a chart's points go, and what its table and its words say."""

import re

import pytest

from pytest_cnnaudit.report import charts, render


def line(points, **about):
    drawn = charts.chart({"up": "P", "across": "share", "lines": [{"name": "a", "points": points, **about}]})
    return drawn and drawn.lines[0]


def test_points_are_where_their_numbers_are():
    # 9 % of the width and 2 % at the right are left free, and 10 of 180 pixels above.
    assert line([[0, 0], [0.5, 0.25], [1, 1]]).points == ((9.0, 180.0), (53.5, 137.5), (98.0, 10.0))
    assert line([[0, 0], [0.5, 0.25], [1, 1]]).path == "9,180 53.5,137.5 98,10"


def test_ticks_are_on_the_same_scales(chart):
    drawn = charts.chart(chart())
    assert [(tick.x, tick.text) for tick in drawn.rows] == [(180.0, "0"), (95.0, "0.5"), (10.0, "1")]
    assert [(tick.x, tick.text) for tick in drawn.columns][::2] == [
        (9.0, "0\u00a0%"),
        (53.5, "50\u00a0%"),
        (98, "100\u00a0%"),
    ]


def test_the_table_has_the_values_between_the_points():
    shares = ("0.000", "0.050", "0.125", "0.250", "0.625", "1.000")
    assert line([[0, 0], [0.5, 0.25], [1, 1]]).values == shares


def test_where_two_points_are_one_above_the_other_the_first_counts():
    assert line([[0, 1], [0.5, 0.5], [0.5, 0.25], [1, 0]]).values[3] == "0.500"


@pytest.mark.parametrize("bad", [None, float("nan"), float("inf"), "0.5", True])
def test_what_is_no_number_is_left_out(bad):
    assert line([[0, 0], [0.5, bad], [1, 1]]).points == ((9.0, 180.0), (98.0, 10.0))
    assert line([[bad, 0.5]]) is None


def test_beyond_the_axes_is_drawn_at_their_ends():
    assert line([[-1, -1], [2, 2]]).points == ((9.0, 180.0), (98.0, 10.0))


@pytest.mark.parametrize("given", [None, {}, {"lines": []}, {"up": "P", "lines": [{"name": "a", "points": []}]}])
def test_nothing_to_draw_is_no_chart(given):
    assert charts.chart(given) is None


def test_there_are_no_more_lines_than_styles(chart):
    assert len(charts.chart(chart(lines=[{"name": str(n), "points": [[0, n / 9]]} for n in range(9)])).lines) == 4


def test_in_words_it_is_all_there(chart):
    said = charts.chart(chart()).description
    assert said.startswith("P(cat) over the share of pixels. inserted: 0.000 at 0\u00a0%, 0.100 at 10\u00a0%, ")
    assert "; deleted at random: 1.000 at 0\u00a0%, 0.900 at 10\u00a0%, " in said


@pytest.fixture
def page(tmp_path, record, part, finding, case, chart):
    def drawn(**about):
        views = [{"title": "Step by step", "note": "", "chart": chart(**about)}]
        parts = [part(finding(evidence=[case(views=views)]))]
        [path] = [one for one in render(record(parts), parts, tmp_path) if one.parent.name == "tests"]
        return path.read_text("utf-8")

    return drawn


def test_the_page_draws_the_points(page, chart):
    text = page()
    found = [re.findall(r"([\d.]+),([\d.]+)", path) for path in re.findall(r'<polyline [^>]*points="([^"]+)"', text)]
    for points, given in zip(found, chart()["lines"], strict=True):
        shares = [((float(x) - 9) / 89, (180 - float(y)) / 170) for x, y in points]
        assert [list(pair) for pair in shares] == [pytest.approx(point, abs=1e-4) for point in given["points"]]
    assert text.count('class="mark-1"') == 2 + 1  # each point of the first line, and in the legend
    assert re.findall(r'class="mark-1" cx="([\d.]+)%" cy="([\d.]+)"', text) == [("9.0", "180.0"), ("98.0", "10.0")]


def test_lines_differ_by_more_than_colour(page):
    text = page()
    dashes = re.findall(r"\.curve-([34]) \{ stroke-dasharray: ([^;}]+)", text)
    assert len(dashes) == len({pattern for _, pattern in dashes}) == 2  # the other two are solid, with marks
    assert ("<circle" in text, '<svg class="mark-2"' in text) == (True, True)


def test_the_page_has_words_and_a_table(page):
    text = page()
    assert 'role="img" aria-label="P(cat) over the share of pixels. inserted: 0.000 at' in text
    assert '<th scope="col">deleted at random</th>' in text
    assert '<th scope="row">25\u00a0%</th><td class="figure">0.250</td><td class="figure">0.750</td>' in text
    assert "deleted at random (area of deleted at random)" in text


def test_names_are_text(page, chart):
    evil = "<script>alert(1)</script>"
    text = page(up=evil, across=evil, lines=[chart()["lines"][0] | {"name": evil, "note": evil}])
    assert "<script>alert" not in text
    assert text.count("&lt;script&gt;alert(1)") >= 4
