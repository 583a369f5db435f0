"""Turns a run's record and its tests' part files into pages and a job summary.

PYTEST_DONT_REWRITE
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import ChainableUndefined, Environment, PackageLoader
from markupsafe import Markup, escape

from pytest_cnnaudit.record import write_text
from pytest_cnnaudit.report import drawing, views, words
from pytest_cnnaudit.report.summary import summary

__all__ = ["render"]


def render(record: Mapping[str, Any], parts: Sequence[Mapping[str, Any]], directory: Path) -> list[Path]:
    """Write `index.html`, a page for each test and `summary.md` into `directory`; gives the files written.

    `record` is the content of `record.json`; `parts` are the tests' part files, whose findings carry the
    evidence. Each file replaces an older one in one step, so a reader never sees half a page. Nothing is
    deleted.
    """
    tests = views.gather(record, parts)
    rows = [row for test in tests for row in test.rows]
    verdict = words.verdict(record, [row.finding for row in rows])
    written = [
        write_text(directory / "tests" / f"{test.page}.html", _page("test", test=test, exhibits=views.Exhibits()))
        for test in tests
    ]
    index = _page(
        "index",
        verdict=verdict,
        rows=sorted(rows, key=lambda row: words.LISTED.index(row.outcome)),
        facts=views.facts(record),
        identity=views.identity(record),
        exhibits=views.Exhibits(),
    )
    written.append(write_text(directory / "index.html", index))
    written.append(write_text(directory / "summary.md", summary(verdict, rows, views.identity(record))))
    return written


def _page(template: str, **context: Any) -> str:
    style, script = _static("report.css"), _static("report.js")
    page = _environment().get_template(f"{template}.html.j2")
    return page.render(css=style, js=script, policy=_content_policy(), **context)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__name__),
        autoescape=True,
        undefined=ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "allow_nan": False}
    environment.filters["breakable"] = _breakable
    environment.globals.update(words=words, drawing=drawing, case_view=views.case_view)
    return environment


def _breakable(test: str) -> Markup:
    """Let a node id break after its separators, and nowhere else where that is enough."""
    return Markup(re.sub(r"(::|[/_])", r"\1<wbr>", str(escape(test))))


@cache
def _static(name: str) -> Markup:
    return Markup((Path(__file__).parent / "static" / name).read_text("utf-8"))


@cache
def _content_policy() -> str:
    """Allow this page's own style and script by hash, embedded pictures, and nothing else."""
    return "; ".join(
        (
            "default-src 'none'",
            "img-src data:",
            f"style-src {_source_hash(_static('report.css'))}",
            f"script-src {_source_hash(_static('report.js'))}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _source_hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
