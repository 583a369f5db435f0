import pytest

from pytest_cnnaudit.report.stage import data_image, stage


def test_a_region_and_its_labels_place(case):
    shown = stage(case())
    assert shown.view == (0.0, 0.0, 200.0, 100.0)
    assert shown.regions[0].box == (100.0, 20.0, 180.0, 80.0)
    assert shown.regions[0].label == "allowed"
    assert shown.regions[0].label_y == 16.0  # letters are 10 pixels high: above the box
    assert not shown.cropped


@pytest.mark.parametrize(
    ("box", "y", "anchor"),
    [
        ([0, 0, 50, 30], 41.5, "start"),  # no room above: below
        ([150, 0, 200, 30], 41.5, "end"),  # no room to the right either
        ([0, 0, 50, 100], 11.5, "start"),  # full height: inside
    ],
)
def test_labels_stay_in_the_picture(case, box, y, anchor):
    region = stage(case(regions=[{"role": "forbidden", "box": box}])).regions[0]
    assert (region.label_y, region.label_anchor) == (y, anchor)


def test_padding_widens_the_view_and_cropping_dims_the_rim(case, heatmap):
    padded = stage(case(heatmap=heatmap([[1]], [0, -50, 200, 150])))
    assert padded.view == (0.0, -50.0, 200.0, 200.0)
    assert padded.canvas == [0.0, 0.0, 1.0, 1.0]
    assert not padded.cropped
    cropped = stage(case(heatmap=heatmap([[1]], [50, 0, 150, 100])))
    assert cropped.view == (0.0, 0.0, 200.0, 100.0)
    assert cropped.canvas == [0.25, 0.0, 0.5, 1.0]
    assert cropped.cropped


@pytest.mark.parametrize(
    "src",
    [
        "https://example.org/x.png",
        "javascript:alert(1)",
        "data:text/html;base64,AA",
        "data:image/svg+xml;x",
        7,
    ],
)
def test_only_embedded_bitmaps_are_pictures(src):
    assert data_image(src) is None
