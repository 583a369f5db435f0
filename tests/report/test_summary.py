import re

from pytest_cnnaudit.report import render

HOSTILE = "t.py::test[a|b`c`<img src=x>\n# x @all www.evil.example [x](y) *b* _i_ \\]"


def summary_of(directory, record, parts, **changes):
    render(record(parts, **changes), parts, directory)
    return (directory / "summary.md").read_text("utf-8")


def test_verdict_table_and_messages(tmp_path, record, part, finding):
    text = summary_of(tmp_path, record, [part(finding())])
    assert text.startswith("## ❌ Blocked: 1 of 1 audit failed\n")
    assert "| ❌ failed | Looks at the object | 0.12 | at least 0.50 |" in text
    assert "<pre>mass inside 0.12, at least 0.5 asked\n  chance 0.24</pre>" in text
    assert re.search(r"Page: `tests/[a-z0-9-]+\.html`", text)


def test_an_incomplete_run_says_so(tmp_path, record, part, finding):
    text = summary_of(tmp_path, record, [part(finding(outcome="passed"))], complete=False)
    assert text.startswith("## ✅ Not released: all 1 audit passed\n")
    assert "**Incomplete run:**" in text


def test_hostile_names_stay_one_table_cell_of_plain_text(tmp_path, record, part, finding):
    text = summary_of(tmp_path, record, [part(finding(test=HOSTILE, name=HOSTILE))])
    row = next(line for line in text.splitlines() if line.startswith("| ❌"))
    assert row.count("|") == 6
    names = "".join(row.split("|")[2:3] + row.split("|")[5:6])
    assert not re.search(r"[`*_\[\]@\\]|<(?!/?code>)|#(?!\d+;)|www\.", names)


def test_hostile_messages_cannot_leave_their_block(tmp_path, record, part, finding):
    message = "</pre><script>alert(1)</script>\n\n# no heading\n![x](data:image/png;base64,AAAA)"
    text = summary_of(tmp_path, record, [part(finding(message=message))])
    assert text.count("</pre>") == 1
    assert "<script" not in text
    assert "data:image" not in text


def test_no_run_comes_near_githubs_limit(tmp_path, record, part, finding):
    long = "猫|<" * 5000
    parts = [part(finding(test=f"{i}{long}", name=long, message=long)) for i in range(300)]
    text = summary_of(tmp_path, record, parts)
    assert len(text.encode()) < 512 * 1024
    assert "… and 200 more, in `index.html`." in text
    assert "… and 280 more that block, in `index.html`." in text


def test_numbers_that_are_none_or_nan_are_dashes(tmp_path, record, part, finding):
    text = summary_of(tmp_path, record, [part(finding(value=float("nan"), threshold=None, thresholds=[], message=""))])
    assert "| – | – |" in text
    assert "nan" not in text.lower()
