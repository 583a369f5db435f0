"""MkDocs hooks: tables of options and assertions, which exist once, in the code; docstrings without notes to pytest."""

from __future__ import annotations

from typing import Any

from pytest_cnnaudit.audit import ASSERTIONS, Assertion
from pytest_cnnaudit.engine.methods import METHODS
from pytest_cnnaudit.options import OPTIONS, Option

PLACE = "<!-- options -->"
PLACE_OF_ASSERTIONS = "<!-- assertions -->"
PLACE_OF_METHODS = "<!-- methods -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the place holders in a page's Markdown."""
    tables = {PLACE: options_table, PLACE_OF_ASSERTIONS: assertions_table, PLACE_OF_METHODS: methods_table}
    for place, table in tables.items():
        markdown = markdown.replace(place, table())
    return markdown


def on_page_content(html: str, **_: Any) -> str:
    """Drop the word by which a module keeps pytest from rewriting its asserts."""
    return html.replace("PYTEST_DONT_REWRITE", "")


def options_table() -> str:
    """Give the options as a Markdown table."""
    lines = ["| option | takes | default | |", "|---|---|---|---|"]
    return "\n".join([*lines, *map(_row, OPTIONS)])


def _row(option: Option) -> str:
    takes = ", ".join(f"`{choice}`" for choice in option.choices) or option.metavar or "–"
    default = "off" if option.default is False else "" if option.default is None else f"`{option.default}`"
    return f"| `{option.flag}` | {takes} | {default} | {option.help} |"


def assertions_table() -> str:
    """Give the assertions as a Markdown table, family by family."""
    lines = ["| assertion | is about | reports |", "|---|---|---|"]
    families = dict.fromkeys(entry.about for entry in ASSERTIONS.values())
    ordered = (entry for family in families for entry in ASSERTIONS.values() if entry.about == family)
    return "\n".join([*lines, *map(_assertion_row, ordered)])


def _assertion_row(entry: Assertion) -> str:
    name = entry.function.__name__
    return f"| [`{name}`](#pytest_cnnaudit.audit.Audit.{name}) | {entry.about} | {entry.texts.quantity} |"


def methods_table() -> str:
    """Give the heatmap methods as a Markdown table, each with the first line of its function."""
    lines = ["| method | map |", "|---|---|"]
    rows = (f"| `{name}` | {(method.function.__doc__ or '–').splitlines()[0]} |" for name, method in METHODS.items())
    return "\n".join([*lines, *rows])
