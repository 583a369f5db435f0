"""The run as a GitHub job summary: Markdown, small, with every foreign name made harmless.

PYTEST_DONT_REWRITE
"""

import html
import re
from collections.abc import Sequence

from pytest_cnnaudit.report.limits import limits, nearest
from pytest_cnnaudit.report.number_text import show
from pytest_cnnaudit.report.recorded import LISTED
from pytest_cnnaudit.report.rows import Row
from pytest_cnnaudit.report.verdict import Verdict

# GitHub refuses a summary above 1024 kB; these limits keep the worst case below half of that.
ROWS = 100
MESSAGES = 20
NAME_LETTERS = 120
MESSAGE_LETTERS = 2000
ICONS = {"passed": "✅", "failed": "❌", "inconclusive": "❔", "error": "💥", "waived": "⏸️"}


def summary(verdict: Verdict, rows: Sequence[Row], identity: Sequence[str]) -> str:
    """Write the verdict, a table of the audits and the messages of those that block."""
    ordered = sorted(rows, key=lambda row: LISTED.index(row.outcome))
    lines = [f"## {ICONS[verdict.tone]} {verdict.headline}", ""]
    if not verdict.complete:
        lines += [
            "> **Incomplete run:** tests were deselected, skipped or cut short. This releases nothing.",
            "",
        ]
    lines += [f"{verdict.detail}  ", " · ".join(map(_code, identity)), ""]
    lines += ["| Outcome | Audit | Measured | Asked | Test |", "|---|---|---|---|---|"]
    lines += [_row(row) for row in ordered[:ROWS]]
    if len(ordered) > ROWS:
        lines += ["", f"… and {len(ordered) - ROWS} more, in `index.html`."]
    blocking = [row for row in ordered if row.blocking]
    for row in blocking[:MESSAGES]:
        lines += ["", f"### {ICONS[row.outcome]} {_plain(row.texts.title)}: {row.outcome}", ""]
        lines += [f"<pre>{_message(row.finding.get('message'))}</pre>", "", f"Page: `tests/{row.page}.html`"]
    if len(blocking) > MESSAGES:
        lines += ["", f"… and {len(blocking) - MESSAGES} more that block, in `index.html`."]
    return "\n".join(lines) + "\n"


def _row(row: Row) -> str:
    finding, value = row.finding, row.finding.get("value")
    required = limits(finding)
    measured = show(value, nearest(required, value), share=row.is_share)
    if row.is_share:
        measured += f" ({finding.get('passed')} of {finding.get('n')})"
    asked = " and ".join(limit.text(value, share=row.is_share) for limit in required) or "–"
    cells = (
        f"{ICONS[row.outcome]} {row.outcome}",
        _plain(row.texts.title),
        measured,
        asked,
        _code(row.test),
    )
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """Write text so that neither Markdown nor HTML finds anything in it; line breaks become spaces."""
    short = text if len(text) <= NAME_LETTERS else f"{text[: NAME_LETTERS - 1]}…"
    spaced = " ".join("".join(letter if letter.isprintable() else " " for letter in short).split())
    return re.sub(r"""[!"#$&'*.:;<>?@\[\\\]^_`{|}~]""", lambda match: f"&#{ord(match[0])};", spaced)


def _code(text: str) -> str:
    return f"<code>{_plain(text)}</code>" if text else ""


def _message(message: object) -> str:
    """Write a message for a `<pre>` block: no embedded pictures, limited in length."""
    text = re.sub(r"data:image/[^\s\"')>]*", "[picture]", str(message or ""))
    short = text if len(text) <= MESSAGE_LETTERS else f"{text[: MESSAGE_LETTERS - 1]}…"
    return html.escape(short.strip())
