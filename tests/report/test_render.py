import base64
import hashlib
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import pytest_cnnaudit.report as report
from pytest_cnnaudit.record.page_names import page_name
from pytest_cnnaudit.report import render

HOSTILE = "t.py::test[</script><script>alert(1)</script>\"'&]]>\u2028<!--\u202e</title>\ud800]"
CONTRAST = 4.5  # WCAG AA for text


class Elements(HTMLParser):
    """Collects tags, their attributes and the text of scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.scripts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.cdata_elem == "script":
            self.scripts[-1] += data


def pages(directory: Path) -> list[Path]:
    return sorted(directory.rglob("*.html"))


def test_writes_and_names_every_file(tmp_path, record, every_kind):
    written = render(record(every_kind), every_kind, tmp_path)
    expected = {tmp_path / "tests" / f"{page_name(part['test'])}.html" for part in every_kind}
    assert set(written) == expected | {tmp_path / "index.html", tmp_path / "summary.md"}
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == set(written)


def test_same_input_same_bytes(tmp_path, record, every_kind):
    render(record(every_kind), every_kind, tmp_path / "one")
    render(record(every_kind), every_kind, tmp_path / "two")
    for one in pages(tmp_path / "one"):
        assert one.read_bytes() == (tmp_path / "two" / one.relative_to(tmp_path / "one")).read_bytes()


def test_input_is_not_changed(tmp_path, record, every_kind):
    run = record(every_kind)
    before = json.dumps([run, every_kind])
    render(run, every_kind, tmp_path)
    assert json.dumps([run, every_kind]) == before


def test_pages_show_verdict_numbers_and_links(tmp_path, record, every_kind):
    render(record(every_kind), every_kind, tmp_path)
    index = (tmp_path / "index.html").read_text("utf-8")
    assert "Blocked: 5 of 10 audits failed, 2 could not be carried out" in index
    assert "known until the next data set (outcome: failed)" in index
    assert "Incomplete run" not in index
    for target in re.findall(r'href="(tests/[^"#]+)#finding-1"', index):
        assert (tmp_path / target).is_file()
    single = (tmp_path / "tests" / f"{page_name('tests/test_pets.py::test_single')}.html").read_text("utf-8")
    assert "Looks at the object: failed" in single
    assert "−0.16 (at least 0.20)" in single
    assert "93.0\u00a0%" in single


def test_a_picture_says_where_its_colours_come_from(tmp_path, record, part, finding, case):
    about = case(picture={"src": None, "width": 4, "height": 4, "caption": "Model input, stretched from −1 to <2>"})
    parts = [part(finding(evidence=[about]))]
    [page] = [path for path in render(record(parts), parts, tmp_path) if path.parent.name == "tests"]
    text = page.read_text("utf-8")
    assert "<figcaption>Model input, stretched from −1 to &lt;2&gt;</figcaption>" in text
    assert "<figcaption>Picture</figcaption>" not in text


def test_an_incomplete_run_is_loud(tmp_path, record, part, finding):
    parts = [part(finding(outcome="passed"))]
    render(record(parts, complete=False), parts, tmp_path)
    index = (tmp_path / "index.html").read_text("utf-8")
    assert "Not released: all 1 audit passed" in index
    assert "Incomplete run." in index


def test_hostile_names_stay_text(tmp_path, record, part, finding, case):
    evil = case(
        id=HOSTILE,
        label=HOSTILE,
        target=HOSTILE,
        note=HOSTILE,
        predictions=[{"name": HOSTILE, "probability": 0.5}],
        picture={"src": f'data:image/png;base64,"{HOSTILE}', "width": 20, "height": 10},
        views=[{"title": HOSTILE, "note": HOSTILE, "picture": {"src": HOSTILE, "width": 20, "height": 10}}],
    )
    cases = [{"id": HOSTILE, "value": 0.1, "outcome": HOSTILE, "note": HOSTILE}] * 2
    hostile = finding(
        test=HOSTILE,
        name=HOSTILE,
        message=HOSTILE,
        layer=HOSTILE,
        method=HOSTILE,
        cases=cases,
        evidence=[evil],
    )
    parts = [part(hostile, failure=HOSTILE)]
    run = record(parts, environment={HOSTILE: HOSTILE}, model={"name": HOSTILE})
    render(run, parts, tmp_path)
    harmless = [part(finding(evidence=[case(note="x")], cases=[cases[0] | {"outcome": "failed"}] * 2), failure="x")]
    render(record(harmless, environment={"a": "b"}, model={"name": "x"}), harmless, tmp_path / "harmless")
    for page in pages(tmp_path):
        elements = Elements(page.read_text("utf-8"))
        assert len(elements.scripts) == 2
        assert "alert" not in "".join(elements.scripts)
        assert not [name for name, _ in elements.attributes if name.startswith("on") or name == "style"]
        assert not set(elements.tags) & {"iframe", "object", "embed", "base"}


def test_data_for_the_script_cannot_end_it(tmp_path, record, part, finding, case, heatmap):
    grid = heatmap([[255]], [0, 0, 200, 100]) | {"values": "</script>&\u2028\u2029"}
    parts = [part(finding(evidence=[case(heatmap=grid)]))]
    render(record(parts), parts, tmp_path)
    for page in pages(tmp_path):
        text = page.read_text("utf-8")
        data = re.search(r'<script type="application/json" id="heatmaps">(.*?)</script>', text).group(1)
        assert not set(data) & set("<>&\u2028\u2029")
        assert json.loads(data)["heatmap-1"]["values"] == "</script>&\u2028\u2029"


def test_policy_allows_exactly_the_pages_own_style_and_script(tmp_path, record, every_kind):
    render(record(every_kind), every_kind, tmp_path)
    for page in pages(tmp_path):
        text = page.read_text("utf-8")
        policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text).group(1)
        assert "default-src &#39;none&#39;; img-src data:;" in policy
        assert "unsafe" not in policy
        for kind, block in (("style", r"<style>(.*?)</style>"), ("script", r"<script>(.*?)</script>")):
            content = re.search(block, text, re.S).group(1)
            digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
            assert f"{kind}-src &#39;sha256-{digest}&#39;" in policy


def test_pages_ask_for_nothing_from_outside(tmp_path, record, every_kind):
    render(record(every_kind), every_kind, tmp_path)
    for page in pages(tmp_path):
        for name, value in Elements(page.read_text("utf-8")).attributes:
            if name in ("src", "href"):
                assert re.match(r"data:|#|\.\./index\.html$|tests/[a-z0-9-]+\.html#finding-\d+$", value)


def test_a_picture_is_embedded_once(tmp_path, record, part, finding, case):
    parts = [part(finding(evidence=[case(id="one"), case(id="two")]), finding(name="avoids"))]
    render(record(parts), parts, tmp_path)
    page = next((tmp_path / "tests").glob("*.html")).read_text("utf-8")
    assert page.count(case()["picture"]["src"]) == 1
    assert page.count('href="#picture-1"') == 6


def test_further_views_stand_beside_the_untouched_picture(tmp_path, record, part, finding, case, view):
    views = [view(), view(title="control 1", note="")]
    parts = [part(finding(evidence=[case(heatmap=None, views=views)]))]
    render(record(parts), parts, tmp_path)
    page = next((tmp_path / "tests").glob("*.html")).read_text("utf-8")
    further = page[page.index('<div class="further"') : page.index("</ol>")]
    assert re.findall(r"<figcaption>(.*?)</figcaption>", further) == ["untouched", "object hidden (blur)", "control 1"]
    assert re.findall(r'<td class="figure">(.*?)</td>', further) == [
        *("93.0\u00a0%", "7.0\u00a0%"),
        *("81.0\u00a0%", "19.0\u00a0%") * 2,
    ]
    assert re.findall(r'<p class="note">(.*?)</p>', further) == ["P(cat) 0.19"]
    # Two pictures, four times shown: the untouched one above and here, the edited one twice.
    assert page.count("<image href=") == 2
    assert re.findall(r'<use href="#(.*?)"', further) == ["picture-1", "picture-2", "picture-2"]


def test_tools_for_heatmaps_are_there_where_a_heatmap_is(tmp_path, record, part, finding, case, view, heatmap):
    grid = heatmap([[0, 255]], [0, 0, 200, 100])
    for name, shown in (
        ("none", case(heatmap=None, views=[view()])),
        ("of the case", case()),
        ("of a view", case(heatmap=None, views=[view(heatmap=grid)])),
    ):
        parts = [part(finding(method=None, evidence=[shown]))]
        render(record(parts), parts, tmp_path / name)
        page = next((tmp_path / name / "tests").glob("*.html")).read_text("utf-8")
        for piece in ('name="opacity"', 'class="ramp"', "<noscript>"):
            assert (piece in page) == (name != "none"), (name, piece)
        assert 'name="regions"' in page


def test_a_case_without_further_views_has_no_place_for_them(tmp_path, record, part, finding, case):
    parts = [part(finding(evidence=[case(views=[])]))]
    render(record(parts), parts, tmp_path)
    assert 'class="further"' not in next((tmp_path / "tests").glob("*.html")).read_text("utf-8")


def test_a_view_without_a_picture_shows_its_heatmap_over_the_cases(tmp_path, record, part, finding, case, heatmap):
    noisy = {"title": "with noise", "heatmap": heatmap([[0, 255]], [0, 0, 200, 100])}
    parts = [part(finding(evidence=[case(views=[noisy, {"title": "numbers only", "note": "0.3"}])]))]
    render(record(parts), parts, tmp_path)
    page = next((tmp_path / "tests").glob("*.html")).read_text("utf-8")
    further = page[page.index('<div class="further"') : page.index("</ol>")]
    assert re.findall(r'<use href="#(.*?)"', further) == ["picture-1", "picture-1"]
    # The untouched heatmap is entered once and shown twice.
    assert re.findall(r'<canvas data-heatmap="(.*?)"', further) == ["heatmap-1", "heatmap-2"]
    assert "numbers only" in further


def test_a_withheld_view_says_so_and_keeps_its_numbers(tmp_path, record, part, finding, case, view):
    nothing = {"src": None, "width": 200, "height": 100}
    parts = [part(finding(evidence=[case(picture=nothing, heatmap=None, views=[view(picture=nothing)])]))]
    render(record(parts), parts, tmp_path)
    page = next((tmp_path / "tests").glob("*.html")).read_text("utf-8")
    further = page[page.index('<div class="further"') : page.index("</ol>")]
    assert further.count("picture withheld") == 2
    assert "P(cat) 0.19" in further
    assert "data:image" not in page


def test_few_predictions_are_repeated_and_the_label_always(tmp_path, record, part, finding, case, view):
    predictions = [{"name": f"class {i}", "probability": 0.5 - 0.1 * i} for i in range(5)]
    shown = case(
        label="class 4", target=None, heatmap=None, predictions=predictions, views=[view(predictions=predictions)]
    )
    parts = [part(finding(evidence=[shown]))]
    render(record(parts), parts, tmp_path)
    page = next((tmp_path / "tests").glob("*.html")).read_text("utf-8")
    further = page[page.index('<div class="further"') : page.index("</ol>")]
    assert re.findall(r'<span class="name">(.*?)</span>', further) == ["class 0", "class 1", "class 2", "class 4"] * 2


def test_pictures_from_elsewhere_are_left_out(tmp_path, record, part, finding, case):
    outside = case(picture={"src": "https://example.org/cat.png", "width": 200, "height": 100})
    parts = [part(finding(evidence=[outside]))]
    render(record(parts), parts, tmp_path)
    for page in pages(tmp_path):
        assert "example.org" not in page.read_text("utf-8")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_nan_and_infinity_never_appear(tmp_path, record, part, finding, case, value):
    broken = case(value=value, chance=value, predictions=[{"name": "cat", "probability": value}])
    layers = {
        "kind": "layers",
        "title": "t",
        "unit": "u",
        "rows": [{"layer": "a", "value": value, "note": ""}],
    }
    parts = [
        part(
            finding(
                value=value,
                threshold=value,
                chance=value,
                interval=[value, value],
                seconds=value,
                cases=[{"id": "a", "value": value, "outcome": "failed", "note": ""}] * 6,
                evidence=[broken, layers],
            )
        )
    ]
    for path in render(record(parts), parts, tmp_path):
        shown = re.sub(r"<(script|style)>.*?</\1>", "", path.read_text("utf-8"), flags=re.S)
        assert not re.search(r"\b(nan|inf|infinity)\b", shown, re.IGNORECASE)


def test_an_empty_heatmap_says_so(tmp_path, record, part, finding, case):
    parts = [part(finding(evidence=[case(heatmap=None)]))]
    render(record(parts), parts, tmp_path)
    page = next((tmp_path / "tests").glob("*.html")).read_text("utf-8")
    assert "No positive evidence" in page
    assert "<canvas data-heatmap" not in page


def test_a_withheld_picture_keeps_regions_and_heatmap(tmp_path, record, part, finding, case):
    parts = [part(finding(evidence=[case(picture={"src": None, "width": 200, "height": 100})]))]
    render(record(parts), parts, tmp_path)
    page = next((tmp_path / "tests").glob("*.html")).read_text("utf-8")
    assert "picture withheld" in page
    assert '<rect class="outline" x="100.0" y="20.0" width="80.0" height="60.0"/>' in page
    assert "<canvas data-heatmap" in page


def test_a_lost_test_is_an_error(tmp_path, record, part):
    parts = [part(state="running")]
    render(record([], verdict="error"), parts, tmp_path)
    assert "could not be carried out" in (tmp_path / "index.html").read_text("utf-8")
    assert "did not finish" in next((tmp_path / "tests").glob("*.html")).read_text("utf-8")


def test_a_failure_after_passed_findings_still_blocks(tmp_path, record, part, finding):
    parts = [part(finding(outcome="passed"), failure="assert 1 == 2")]
    render(record(parts), parts, tmp_path)
    assert "Blocked: 1 of 2 audits failed" in (tmp_path / "index.html").read_text("utf-8")


def test_a_waived_test_waives_its_findings(tmp_path, record, part, finding):
    parts = [part(finding(), waived="known")]
    render(record(parts, verdict="passed"), parts, tmp_path)
    index = (tmp_path / "index.html").read_text("utf-8")
    assert "Released: 0 of 1 audit passed" in index
    assert "1 waived." in index


def test_a_record_without_part_files_still_renders_with_general_texts(tmp_path, record, part, finding, population):
    test = finding()["test"]
    render(record([part(finding(name="calibration"), population(test=test))]), [], tmp_path)
    page = next((tmp_path / "tests").glob("*.html")).read_text("utf-8")
    assert "calibration</h2>" in page
    assert "The measured value is 0.12; at least 0.50 is asked for." in page
    assert "3 of 10 pictures pass" in page


def test_a_part_completes_the_finding_of_its_name_and_place_alone(tmp_path, record, part, finding):
    run = record([part(finding(), finding(name="calibration"))])
    render(run, [part(finding(settings="noise 0.02"), finding(name="avoids", settings="patch logo.png"))], tmp_path)
    page = next((tmp_path / "tests").glob("*.html")).read_text("utf-8")
    assert "Looks at the object</h2>" in page
    assert "<dt>Settings</dt><dd>noise 0.02</dd>" in page
    assert "calibration</h2>" in page
    assert "patch logo.png" not in page


def test_what_the_record_says_wins_over_the_part(tmp_path, record, part, finding):
    """But for what the part alone knows."""
    render(record([part(finding(value=0.34))]), [part(finding(value=0.12, outcome="passed"))], tmp_path)
    page = next((tmp_path / "tests").glob("*.html")).read_text("utf-8")
    assert "Looks at the object: failed" in page
    assert "is 0.34; at least 0.50" in page


def test_long_lists_are_cut_with_a_word_and_keep_what_failed(tmp_path, record, part, finding):
    cases = [{"id": f"{i}.png", "value": 0.9, "outcome": "passed", "note": ""} for i in range(1200)]
    cases.append({"id": "last.png", "value": 0.1, "outcome": "failed", "note": ""})
    parts = [part(finding(n=1201, passed=1200, cases=cases, evidence=[]))]
    render(record(parts), parts, tmp_path)
    page = next((tmp_path / "tests").glob("*.html")).read_text("utf-8")
    assert "last.png" in page
    assert "201 more are in record.json." in page


def test_a_page_is_replaced_whole_or_not_at_all(tmp_path, record, part, finding, monkeypatch):
    parts = [part(finding())]
    render(record(parts), parts, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def disk_full(self, data):
        os.close(os.open(self, os.O_CREAT | os.O_WRONLY))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", disk_full)
    with pytest.raises(OSError, match="No space"):
        render(record(parts, complete=False), parts, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_have_enough_contrast(scheme):
    css = (Path(report.__file__).parent / "static" / "report.css").read_text("utf-8")
    block = re.findall(r":root \{(.*?)\}", css, re.S)[scheme]
    colour = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))
    outcomes = ("passed", "failed", "error", "inconclusive", "waived")
    pairs = [(text, ground) for text in ("ink", "soft", "link") for ground in ("ground", "paper", "sunk")]
    pairs += [(text, f"{outcome}-tint") for outcome in outcomes for text in (outcome, "ink", "soft", "link")]
    for text, ground in pairs:
        light, dark = sorted((luminance(colour[text]), luminance(colour[ground])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= CONTRAST, (text, ground)


def test_what_is_counted_has_its_name_where_it_is_no_pictures(tmp_path, record, part, finding):
    parts = [part(finding(name="no_duplicate_filters", mostly=None, n=6, unit="layers", evidence=[]))]
    render(record(parts), parts, tmp_path)
    page = next((tmp_path / "tests").glob("*.html")).read_text("utf-8")
    assert "<dt>Layers</dt><dd>6</dd>" in page
    assert "<dt>Pictures</dt>" not in page
    assert "6 layers" in (tmp_path / "index.html").read_text("utf-8")


def test_filters_are_counted_as_filters_whatever_the_audit_is_called(tmp_path, record, part, finding):
    parts = [part(finding(name="an audit of one's own", mostly=None, n=6, unit="filters", evidence=[]))]
    render(record(parts), parts, tmp_path)
    assert "<dt>Filters</dt><dd>6</dd>" in next((tmp_path / "tests").glob("*.html")).read_text("utf-8")
    assert "6 filters" in (tmp_path / "index.html").read_text("utf-8")


def test_a_measure_is_no_heatmaps_method(tmp_path, record, part, finding):
    """Without a class that was explained there is no heatmap to be careful about."""
    shown = finding(name="sparsity_rises", method="zero_fraction", target=None, layer=None, cases=[], evidence=[])
    parts = [part(shown)]
    render(record(parts), parts, tmp_path)
    page = next((tmp_path / "tests").glob("*.html")).read_text("utf-8")
    assert "<dt>Measure</dt><dd>zero fraction</dd>" in page
    assert "<dt>Method</dt>" not in page
    assert "heatmap cannot prove" not in page


def test_what_a_measure_was_set_to_is_a_fact_and_the_chance_of_a_population(tmp_path, record, part, finding):
    parts = [part(finding(settings="threshold 0.15, where corners", mean=0.7, chance=0.25))]
    render(record(parts), parts, tmp_path)
    page = next((tmp_path / "tests").glob("*.html")).read_text("utf-8")
    assert "<dt>Settings</dt><dd>threshold 0.15, where corners</dd>" in page
    assert "<dt>Chance</dt><dd>0.25</dd>" in page


def test_a_heatmaps_method_is_named_as_it_is(tmp_path, record, part, finding):
    parts = [part(finding(method="my_own_method"))]
    render(record(parts), parts, tmp_path)
    page = next((tmp_path / "tests").glob("*.html")).read_text("utf-8")
    assert "<dt>Method</dt><dd>my_own_method</dd>" in page
    assert "<dt>Measure</dt>" not in page
    assert "heatmap cannot prove" in page


@pytest.mark.parametrize("unit", ["pictures", "cases"])
def test_pictures_are_counted_by_their_number_alone(tmp_path, record, part, finding, unit):
    parts = [part(finding(name="no_dead_filters", mostly=None, n=6, unit=unit, evidence=[]))]
    render(record(parts), parts, tmp_path)
    assert ">6</td>" in (tmp_path / "index.html").read_text("utf-8")
