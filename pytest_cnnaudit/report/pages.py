"""The HTML pages: rendered from templates, each a file that needs nothing beside it.

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

from pytest_cnnaudit.record.files import write_text
from pytest_cnnaudit.report.audited_tests import gather
from pytest_cnnaudit.report.bars import bars
from pytest_cnnaudit.report.case_view import Embedded, case_view
from pytest_cnnaudit.report.number_text import number, show
from pytest_cnnaudit.report.record_facts import facts, identity
from pytest_cnnaudit.report.recorded import LISTED
from pytest_cnnaudit.report.stage import data_image
from pytest_cnnaudit.report.summary import summary
from pytest_cnnaudit.report.verdict import verdict


def render(record: Mapping[str, Any], parts: Sequence[Mapping[str, Any]], directory: Path) -> list[Path]:
    """Write `index.html`, a page for each test and `summary.md` into `directory`; gives the files written.

    `record` is the content of `record.json`; `parts` are the tests' part files, whose findings carry the
    evidence. Each file replaces an older one in one step, so a reader never sees half a page. Nothing is
    deleted.
    """
    tests = gather(record, parts)
    rows = [row for test in tests for row in test.rows]
    told = verdict(record, [row.finding for row in rows])
    written = [write_text(directory / "tests" / f"{test.page}.html", _page("test", test=test)) for test in tests]
    index = _page(
        "index",
        verdict=told,
        rows=sorted(rows, key=lambda row: LISTED.index(row.outcome)),
        facts=facts(record),
        identity=identity(record),
    )
    written.append(write_text(directory / "index.html", index))
    written.append(write_text(directory / "summary.md", summary(told, rows, identity(record))))
    return written


def _page(template: str, **context: Any) -> str:
    style, script = _static("report.css"), _static("report.js")
    page = _environment().get_template(f"{template}.html.j2")
    return page.render(css=style, js=script, policy=_content_policy(), embedded=Embedded(), **context)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pytest_cnnaudit.report"),
        autoescape=True,
        undefined=ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "allow_nan": False}
    environment.filters["breakable"] = _breakable
    environment.globals.update(number=number, show=show, bars=bars, data_image=data_image, case_view=case_view)
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
