"""The examples in the documentation run as they stand, from a clone, and give what their comments say."""

import ast
import re
from pathlib import Path

import keras
import numpy as np
import pytest

from pytest_cnnaudit.engine.methods import METHODS

ROOT = Path(__file__).resolve().parents[2]
# What a backend may not have, as channels first, is on the last page.
PAGES = {
    "heatmaps.md": pytest.mark.one_backend,
    "filter-patterns.md": pytest.mark.one_backend,
    "inputs-and-outputs.md": pytest.mark.every_backend,
}


def examples(page):
    text = (ROOT / "docs" / page).read_text("utf-8")
    source = "".join(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    return source.replace("masks=4000", "masks=40")  # the one example that is slow on purpose


def said(line):
    """The value in a line's comment, up to a colon; None where the comment is words."""
    comment = line.rpartition("  # ")[2].partition(":")[0]
    try:
        return ast.literal_eval(comment)
    except (SyntaxError, ValueError):
        return None


@pytest.fixture
def keras_as_it_was():
    policy, order = keras.config.dtype_policy(), keras.config.image_data_format()
    yield
    keras.config.set_dtype_policy(policy)
    keras.config.set_image_data_format(order)


@pytest.mark.parametrize("page", [pytest.param(page, marks=mark) for page, mark in PAGES.items()])
@pytest.mark.usefixtures("keras_as_it_was")
def test_examples_run_and_give_what_their_comments_say(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    source, names, compared = examples(page), {}, 0
    for node in ast.parse(source).body:
        if not isinstance(node, ast.Expr):
            exec(compile(ast.Module([node], []), page, "exec"), names)
            continue
        value = eval(compile(ast.Expression(node.value), page, "eval"), names)
        expected = said(source.splitlines()[node.end_lineno - 1])
        if expected is not None:
            compared += 1
            given = value.tolist() if isinstance(value, np.ndarray) else value
            assert given == expected, ast.unparse(node)
    assert compared >= 5


@pytest.mark.one_backend
def test_every_table_of_methods_has_a_row_for_each():
    text = (ROOT / "docs" / "heatmaps.md").read_text("utf-8")
    tables = [re.findall(r"^\| `([a-z+-]+)` \|", part, re.MULTILINE) for part in text.split("\n\n")]
    assert [rows for rows in tables if "grad-cam" in rows] == [list(METHODS)] * 3
