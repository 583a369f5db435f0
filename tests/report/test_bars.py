from pytest_cnnaudit.report.bars import Bar, bars


def test_bars_start_at_zero_on_a_common_scale():
    rows = [{"layer": "a", "value": 0.5}, {"layer": "b", "value": None, "note": "no ReLU"}]
    assert bars(rows) == [
        Bar("a", "0.50", "", 1.0, 49.0),
        Bar("b", "–", "no ReLU", 1.0, 0.0),
    ]
