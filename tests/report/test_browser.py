"""The pages in a real Chromium: what a reader sees, without network, by keyboard, in the dark, on a phone."""

import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pytest_cnnaudit.record.page_names import page_name
from pytest_cnnaudit.report import render

COLDEST, HOTTEST = (68, 1, 84), (253, 231, 37)  # the ends of viridis
GREY = (128, 128, 128)  # the fixtures' picture
OUTLINE = (127, 227, 255)
SINGLE, KINDS = "tests/test_pets.py::test_single", "tests/test_pets.py::test_kinds"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--force-color-profile=srgb"]


def unavailable(reason: str) -> None:
    """A machine that must run these tests fails; a developer's may lack the browser."""
    if os.environ.get("CI"):
        pytest.fail(f"browser tests cannot run: {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        unavailable("playwright is not installed")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        try:
            running = playwright.chromium.launch(executable_path=found, args=FLAGS)
        except Error as error:
            unavailable(f"Chromium does not start: {str(error).splitlines()[0]}")
        yield running
        running.close()


@pytest.fixture
def report(tmp_path, record, every_kind) -> Path:
    render(record(every_kind), every_kind, tmp_path)
    return tmp_path


@pytest.fixture
def visit(browser) -> Iterator[Callable[..., Any]]:
    """Open a page; at the end of the test it must have complained of nothing and asked for nothing."""
    complaints: list[str] = []
    contexts = []

    def open_page(path: Path, *, width: int = 1200, **settings: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, **settings)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog {dialog.message}"))
        page.on("request", lambda request: is_inside(request) or complaints.append(request.url))
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def is_inside(request: Any) -> bool:
    """Whether a request is the page itself or a picture embedded in it."""
    return request.url.startswith("data:") or request.is_navigation_request()


def page_of(report: Path, test: str) -> Path:
    return report / "tests" / f"{page_name(test)}.html"


def pixel(locator: Any, x: float, y: float) -> tuple[int, ...]:
    """The colour on the screen at a share of an element's width and height."""
    picture = shot(locator)
    return picture.getpixel((int(x * picture.width), int(y * picture.height)))


def shot(locator: Any) -> Image.Image:
    return Image.open(io.BytesIO(locator.screenshot())).convert("RGB")


def near(one: tuple[int, ...], other: tuple[int, ...], tolerance: int = 3) -> bool:
    return all(abs(a - b) <= tolerance for a, b in zip(one, other, strict=True))


def mixed(colour: tuple[int, ...], share: float) -> tuple[int, ...]:
    return tuple(round(share * c + (1 - share) * g) for c, g in zip(colour, GREY, strict=True))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_opens_from_a_file_without_error_or_request(report, visit, scheme):
    page = visit(report / "index.html", color_scheme=scheme)
    for path in report.glob("tests/*.html"):
        page.goto(path.as_uri())
        assert page.locator("h1").inner_text()


def test_hostile_names_run_nothing(tmp_path, visit, record, part, finding, case):
    evil = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    cases = [{"id": evil, "value": 0.1, "outcome": "failed", "note": evil}] * 2
    hostile = finding(test=evil, name=evil, message=evil, cases=cases, evidence=[case(id=evil, label=evil)])
    parts = [part(hostile, failure=evil)]
    render(record(parts), parts, tmp_path)
    for path in tmp_path.rglob("*.html"):
        page = visit(path)
        assert page.title() != "owned"
        assert evil in page.locator("main").inner_text()


def test_the_heatmap_is_coloured_by_its_values(report, visit):
    page = visit(page_of(report, SINGLE))
    cells = page.locator("canvas[data-heatmap]").evaluate(
        """canvas => {
            const { width, height } = canvas;
            const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
            const at = (x, y) => (y * height * width + x * width) * 4;
            return [[0.125, 0.25], [0.625, 0.75]].map(([x, y]) => [...pixels.slice(at(x, y), at(x, y) + 4)]);
        }"""
    )
    assert cells[0] == [*HOTTEST, 255]
    assert near(cells[1], (*COLDEST, 90))


def test_the_heatmap_lies_over_the_photo(report, visit):
    page = visit(page_of(report, SINGLE))
    photo, overlay = page.locator(".stage").all()
    assert near(pixel(photo, 0.125, 0.25), GREY)
    assert near(pixel(overlay, 0.125, 0.25), mixed(HOTTEST, 0.8))
    assert near(pixel(overlay, 0.125, 0.75), mixed(COLDEST, 0.8 * 90 / 255))


def test_the_opacity_slider_works_by_keyboard(report, visit):
    page = visit(page_of(report, SINGLE))
    overlay = page.locator(".stage").nth(1)
    page.get_by_label("Opacity").focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator("output").inner_text() == "75 %"
    assert near(pixel(overlay, 0.125, 0.25), mixed(HOTTEST, 0.75))
    page.keyboard.press("Home")
    assert near(pixel(overlay, 0.125, 0.25), GREY)


def test_cells_and_smooth_differ_between_cells(report, visit):
    page = visit(page_of(report, SINGLE))
    overlay = page.locator(".stage").nth(1)
    cold = mixed(COLDEST, 0.8 * 90 / 255)
    assert near(pixel(overlay, 0.27, 0.25), cold)
    page.get_by_label("smooth").check()
    # 0.27 of the width lies 0.58 of the way from the first cell's centre to the second's: level 107 of 255.
    assert near(pixel(overlay, 0.27, 0.25), mixed((39, 123, 142), 0.8 * 159 / 255), tolerance=6)


def test_colour_maps_switch(report, visit):
    page = visit(page_of(report, SINGLE))
    page.get_by_label("jet").check()
    overlay = page.locator(".stage").nth(1)
    assert near(pixel(overlay, 0.125, 0.25), mixed((127, 0, 0), 0.8))


def test_the_outline_lies_on_the_region(report, visit):
    page = visit(page_of(report, SINGLE))
    overlay = page.locator(".stage").nth(1)
    picture = shot(overlay)
    width, height = picture.size
    # The region is 100 to 180 of 200 pixels wide and 20 to 80 of 100 high.
    across = [x for x in range(width) if near(picture.getpixel((x, height // 2)), OUTLINE, 40)]
    # To the right of the region's name, however wide the machine's font is.
    down = [y for y in range(height) if near(picture.getpixel((int(0.86 * width), y)), OUTLINE, 40)]
    for found, side, expected in ((across, width, (0.5, 0.9)), (down, height, (0.2, 0.8))):
        middle = side * sum(expected) / 2
        edges = [[at for at in found if at < middle], [at for at in found if at > middle]]
        for edge, share in zip(edges, expected, strict=True):
            assert sum(edge) / len(edge) + 0.5 == pytest.approx(share * side, abs=1)


def test_regions_can_be_hidden(report, visit):
    page = visit(page_of(report, SINGLE))
    outline = page.locator(".stage .outline").first
    assert outline.is_visible()
    page.get_by_label("regions").uncheck()
    assert not outline.is_visible()


def test_a_cropped_frame_puts_the_heatmap_where_the_model_looked(report, visit):
    page = visit(page_of(report, KINDS))
    stage = page.locator("li.case", has_text="cropped.png").locator(".stage").nth(1)
    outer, inner = stage.bounding_box(), stage.locator("canvas").bounding_box()
    assert inner["x"] - outer["x"] == pytest.approx(0.25 * outer["width"], abs=1)
    assert inner["width"] == pytest.approx(0.5 * outer["width"], abs=1)
    assert inner["height"] == pytest.approx(outer["height"], abs=1)


def test_masks_are_hatched_and_outlined(report, visit):
    page = visit(page_of(report, KINDS))
    picture = shot(page.locator("li.case", has_text="masked.png").locator(".stage").nth(1))
    width, height = picture.size
    area = picture.crop((int(0.25 * width), int(0.55 * height), int(0.4 * width), int(0.75 * height)))
    hatched = [colour for colour in area.get_flattened_data() if colour[2] > 180]
    assert 0.05 < len(hatched) / (area.width * area.height) < 0.5
    row = [picture.getpixel((x, int(0.65 * height))) for x in range(int(0.15 * width), int(0.22 * width))]
    assert any(near(colour, OUTLINE, 40) for colour in row)


def test_everything_is_reached_by_tab_and_shows_the_focus(report, visit):
    page = visit(page_of(report, "tests/test_pets.py::test_population"))
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(
            """() => {
                const element = document.activeElement;
                const name = `${element.tagName} ${element.name || element.innerText || ""}`;
                return [name.trim().split("\\n")[0], getComputedStyle(element).outlineStyle];
            }"""
        )
        if name.startswith("BODY"):
            break
        assert outline != "none", name
        reached.append(name)
    for wanted in (
        "A ← All audits",
        "INPUT grid",
        "INPUT colours",
        "INPUT opacity",
        "INPUT regions",
        "BUTTON Value",
        "SUMMARY All 10 pictures",
    ):
        assert wanted in reached


def test_radios_move_by_arrow_keys(report, visit):
    page = visit(page_of(report, SINGLE))
    page.get_by_label("grid cells").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_label("smooth").is_checked()


def test_the_table_sorts_by_number_both_ways(report, visit):
    page = visit(page_of(report, "tests/test_pets.py::test_population"))
    first = page.locator(".sortable tbody td.figure").first
    page.get_by_role("button", name="Value").focus()
    page.keyboard.press("Enter")
    assert first.inner_text() == "0.05"
    page.keyboard.press("Enter")
    assert first.inner_text() == "0.86"
    assert page.locator('th[aria-sort="descending"]').inner_text().startswith("Value")


def test_dark_and_light_follow_the_system(report, visit):
    for scheme, expected in (("light", (246, 247, 249)), ("dark", (18, 22, 28))):
        page = visit(report / "index.html", color_scheme=scheme)
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == f"rgb{expected}"


def test_no_page_scrolls_sideways_on_a_phone(report, visit):
    page = visit(report / "index.html", width=360)
    for path in [report / "index.html", *report.glob("tests/*.html")]:
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == 360, path.name


def test_the_words_of_bars_have_room_on_a_phone(report, visit):
    """A cell beside bars on 360 pixels would have one letter a line."""
    page = visit(report / "index.html", width=360)
    seen = 0
    for path in report.glob("tests/*.html"):
        page.goto(path.as_uri())
        for words in page.locator(".bars caption, .bars .note:not(:empty)").all():
            seen += 1
            assert words.bounding_box()["width"] > 200, (path.name, words.inner_text())
    assert seen


def test_without_script_photo_numbers_and_tables_are_there(report, visit):
    page = visit(page_of(report, SINGLE), java_script_enabled=False)
    assert near(pixel(page.locator(".stage").first, 0.5, 0.5), GREY)
    assert page.locator("noscript").is_visible()
    assert not page.locator(".tools").is_visible()
    text = page.locator("main").inner_text()
    assert "is 0.12; at least 0.50 is asked for" in text
    assert "93.0\u00a0%" in text


def test_untouched_and_edited_picture_lie_side_by_side_with_words(report, visit):
    page = visit(page_of(report, KINDS))
    stages = page.locator("li.case", has_text="edited.png").locator(".further .stage")
    boxes = [stage.bounding_box() for stage in stages.all()]
    assert len({box["y"] for box in boxes}) == 1
    assert boxes[0]["x"] + boxes[0]["width"] < boxes[1]["x"]
    assert near(pixel(stages.nth(0), 0.2, 0.5), GREY)
    assert near(pixel(stages.nth(1), 0.2, 0.5), (0, 0, 0))
    assert [stage.get_attribute("aria-label") for stage in stages.all()] == [
        "Photo: edited.png, untouched",
        "Photo: edited.png, object hidden (blur)",
        "Photo: edited.png, control 1",
    ]


def test_a_further_heatmap_is_coloured_too(report, visit):
    page = visit(page_of(report, KINDS))
    stages = page.locator("li.case", has_text="remade.png").locator(".further .stage")
    assert near(pixel(stages.nth(0), 0.125, 0.25), mixed(HOTTEST, 0.8))
    assert near(pixel(stages.nth(1), 0.875, 0.25), mixed(HOTTEST, 0.8))
    assert near(pixel(stages.nth(1), 0.125, 0.25), mixed(COLDEST, 0.8 * 90 / 255))


@pytest.mark.parametrize("width", [360, 1200])
def test_a_charts_marks_lie_on_its_lines_at_any_width(report, visit, width):
    page = visit(page_of(report, KINDS), width=width)
    chart = page.locator(".curves")
    outer = chart.bounding_box()
    for mark, (x, y) in zip(chart.locator(".mark-1").all(), [(0.09, 180), (0.98, 10)], strict=True):
        box = mark.bounding_box()
        assert box["x"] + box["width"] / 2 - outer["x"] == pytest.approx(x * outer["width"], abs=0.6)
        assert box["y"] + box["height"] / 2 - outer["y"] == pytest.approx(y, abs=0.6)
    line = chart.locator(".curve-1").bounding_box()
    assert line["x"] - outer["x"] == pytest.approx(0.09 * outer["width"], abs=2)
    assert line["x"] + line["width"] - outer["x"] == pytest.approx(0.98 * outer["width"], abs=2)
    assert (line["y"] - outer["y"], line["height"]) == pytest.approx((10, 170), abs=3)


def test_a_charts_numbers_open_by_keyboard(report, visit):
    page = visit(page_of(report, KINDS))
    table = page.locator(".chart table")
    assert not table.is_visible()
    page.locator(".chart summary").focus()
    page.keyboard.press("Enter")
    assert table.is_visible()
    assert table.locator("tbody tr").nth(3).inner_text().split() == ["50", "%", "0.500", "0.500", "0.250", "0.500"]


def test_pictures_have_words(report, visit):
    page = visit(page_of(report, SINGLE))
    labels = [stage.get_attribute("aria-label") for stage in page.locator(".stage").all()]
    assert labels == [
        "Photo: cat.png",
        "Heatmap over cat.png; allowed region from (100, 20) to (180, 80); value 0.12",
    ]
    for image in page.locator("svg[role=img]").all():
        assert image.get_attribute("aria-label")
