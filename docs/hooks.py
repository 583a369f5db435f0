"""MkDocs hooks: what exists once, in the code: options, heatmap methods, and assertions with their signatures."""

from __future__ import annotations

import ast
import html
import json
import re
from collections.abc import Iterator
from typing import Any

from pytest_cnnaudit.audit import ASSERTIONS, Assertion, Audit
from pytest_cnnaudit.audit.rule import ARGUMENTS
from pytest_cnnaudit.engine.methods import METHODS
from pytest_cnnaudit.plugin.options import OPTIONS, Option

OPTIONS_PLACE = "<!-- options -->"
ASSERTIONS_PLACE = "<!-- assertions -->"
METHODS_PLACE = "<!-- methods -->"
REFERENCE_PLACE = "<!-- reference of the assertions -->"
REFERENCE = "api/assertions.md"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the placeholders in a page's Markdown."""
    return (
        markdown.replace(OPTIONS_PLACE, options_table())
        .replace(ASSERTIONS_PLACE, assertions_table())
        .replace(REFERENCE_PLACE, assertions_reference())
        .replace(METHODS_PLACE, methods_table())
    )


def on_page_content(content: str, page: Any, **_: Any) -> str:
    """Drop the word by which a module keeps pytest from rewriting its asserts; see that every assertion is there."""
    if page.file.src_uri == REFERENCE:
        problems = [problem for one in ASSERTIONS.values() for problem in missing(one, content)]
        if problems:
            raise ValueError(f"{REFERENCE} is not what the code says: {'; '.join(problems)}")
    return content.replace("PYTEST_DONT_REWRITE", "")


def options_table() -> str:
    """Give the options as a Markdown table."""
    lines = ["| option | takes | default | |", "|---|---|---|---|"]
    return "\n".join([*lines, *map(_option, OPTIONS)])


def _option(option: Option) -> str:
    takes = ", ".join(f"`{choice}`" for choice in option.choices) or option.metavar or "–"
    default = "off" if option.default is False else "" if option.default is None else f"`{option.default}`"
    return f"| `{option.flag}` | {takes} | {default} | {option.help} |"


def families() -> dict[str, list[Assertion]]:
    """The assertions by what they are about, in the order of the fixture's methods."""
    found: dict[str, list[Assertion]] = {}
    order = list(vars(Audit))
    for one in sorted(ASSERTIONS.values(), key=lambda one: order.index(one.function.__name__)):
        found.setdefault(one.about, []).append(one)
    return found


def assertions_table() -> str:
    """Give the assertions as a Markdown table; the rule's arguments, which have a section, are left out."""
    lines = ["| about | assertion | measures |", "|---|---|---|"]
    for about, members in families().items():
        for rank, one in enumerate(members):
            lines.append(f"| {'' if rank else about} | `{called(one)}` | {one.texts.quantity} |")
    return "\n".join(lines)


def called(assertion: Assertion) -> str:
    """How an assertion is called: its arguments with their defaults."""
    parts, keyword = [], False
    for one in list(assertion.signature.parameters.values())[1:]:
        if one.name in ARGUMENTS:
            continue
        if one.kind is one.KEYWORD_ONLY and not keyword:
            keyword = True
            parts.append("*")
        default = one.default
        prefix = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
        shown = json.dumps(default, ensure_ascii=False) if isinstance(default, str) else repr(default)
        parts.append(f"{prefix}{one.name}" if default is one.empty else f"{one.name}={shown}")
    return f"{assertion.function.__name__}({', '.join(parts)})"


def assertions_reference() -> str:
    """Give the place of each assertion's signature and docstring, which mkdocstrings fills, by family."""
    lines = []
    for about, members in families().items():
        lines += [f"## {about[0].upper()}{about[1:]}", ""]
        for one in members:
            lines += [f"::: {address(one)}", "    options:", "      heading_level: 3", ""]
    return "\n".join(lines)


def methods_table() -> str:
    """Give the heatmap methods as a Markdown table, each with the first line of its function's docstring."""
    lines = ["| method | map |", "|---|---|"]
    rows = (f"| `{name}` | {(one.function.__doc__ or '–').splitlines()[0]} |" for name, one in METHODS.items())
    return "\n".join([*lines, *rows])


def address(assertion: Assertion) -> str:
    """Where an assertion is defined."""
    return f"{assertion.function.__module__}.{assertion.function.__name__}"


def missing(assertion: Assertion, content: str) -> Iterator[str]:
    """What a page's HTML does not show of an assertion: its signature, and in it each argument with its default."""
    name = assertion.function.__name__
    _, _, after = content.partition(f'id="{address(assertion)}"')
    block = re.search(r'<div class="[^"]*doc-signature[^"]*">(.*?)</div>', after, re.DOTALL)
    if block is None:
        yield f"{name} has no signature"
        return
    shown = html.unescape(re.sub(r"<[^>]+>", "", block[1])).strip()
    try:
        written = defaults(ast.parse(f"def {shown}: ...").body[0])
    except SyntaxError:
        yield f"{name} has a signature that is not Python: {shown}"
        return
    for one in list(assertion.signature.parameters.values())[1:]:
        if one.name not in written:
            yield f"{name} is shown without {one.name}"
        elif written[one.name] != ("" if one.default is one.empty else repr(one.default)):
            yield f"{name} is shown with {one.name}={written[one.name]}, not {one.default!r}"


def defaults(function: Any) -> dict[str, str]:
    """Each argument of a parsed function with its default, as Python writes it; empty where there is none."""
    arguments: ast.arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    given = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    pairs = [*zip(positional, given, strict=True), *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    collecting = {one.arg: "" for one in (arguments.vararg, arguments.kwarg) if one is not None}
    return collecting | {one.arg: "" if default is None else repr(ast.literal_eval(default)) for one, default in pairs}
