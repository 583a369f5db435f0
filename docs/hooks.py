"""MkDocs hook: writes the table of options, which exists once, in the code, where a page asks for it."""

from __future__ import annotations

from typing import Any

from pytest_cnnaudit.options import OPTIONS, Option

PLACE = "<!-- options -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the place holder in a page's Markdown."""
    return markdown.replace(PLACE, options_table())


def options_table() -> str:
    """Give the options as a Markdown table."""
    lines = ["| command line | ini | default | |", "|---|---|---|---|"]
    return "\n".join([*lines, *map(_row, OPTIONS)])


def _row(option: Option) -> str:
    value = "|".join(option.choices) or option.metavar
    flag = f"{option.flag} {value}" if value else option.flag
    default = "off" if option.default is False else "none" if option.default is None else f"`{option.default}`"
    cells = (f"`{flag}`", f"`{option.key}`", default, option.help)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
