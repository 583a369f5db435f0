"""MkDocs hooks: the table of options, which exists once, in the code; and docstrings without their notes to pytest."""

from __future__ import annotations

from typing import Any

from pytest_cnnaudit.plugin.options import OPTIONS, Option

PLACE = "<!-- options -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the place holder in a page's Markdown."""
    return markdown.replace(PLACE, options_table())


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
