"""The table of assertions: what each is called, says, shows and needs; and what all of them do around their measure.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike, fspath
from types import MappingProxyType
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast, get_args

import numpy as np
from PIL import Image

from pytest_cnnaudit.audit.context import Context, InconclusiveWarning
from pytest_cnnaudit.audit.populations import check_parts
from pytest_cnnaudit.audit.rule import ARGUMENTS, Rule, RuleArguments
from pytest_cnnaudit.cases import nearest
from pytest_cnnaudit.checks import defined_at
from pytest_cnnaudit.engine.passes import Wanted
from pytest_cnnaudit.findings import AuditFailure, Finding, Texts, Unit

P = ParamSpec("P")
C = TypeVar("C", bound=type)

MEASURED = ("self", "cases", "name", "value", "chance", "evidence")
"""Arguments that say what is measured; all others say what is required of it."""


class HasContext(Protocol):
    """What has assertions for methods: the `cnnaudit` fixture."""

    @property
    def context(self) -> Context:
        """What its assertions are made with."""


@dataclass(frozen=True)
class Assertion:
    """An entry of the table.

    `function` is a method of `Audit`, with the rule's arguments in its signature; `about` is the family; `settings` are
    the arguments that say what was measured, where neither the measure's name nor a threshold does; `unit` is what
    is counted where one value is judged.
    """

    name: str
    function: Callable[..., Finding]
    texts: Texts
    about: str
    settings: tuple[str, ...] = ()
    needs: tuple[Wanted, ...] = ()
    unit: Unit = "cases"

    @property
    def signature(self) -> inspect.Signature:
        """That of the method, whose first argument is the `Audit`."""
        return inspect.signature(self.function)


_TABLE: dict[str, Assertion] = {}
_OWNERS: list[type] = []
ASSERTIONS: Mapping[str, Assertion] = MappingProxyType(_TABLE)
"""Every assertion by the name that its findings have."""


def assertion(
    *,
    title: str,
    quantity: str = "measured value",
    measured: str = "",
    reading: str = "",
    about: str = "of your own",
    settings: Sequence[str] = (),
    needs: Sequence[Wanted] = (),
    unit: Unit = "cases",
    yes_no: bool = False,
) -> Callable[[Callable[Concatenate[Context, P], Finding]], Callable[Concatenate[HasContext, P], Finding]]:
    """Make a function `assert_x(context, …) -> Finding` an assertion: an entry of the table and a method of `Audit`.

    The method checks its arguments, records what the function finds, or the error that kept it from finding anything,
    and raises `AuditFailure` where that did not pass. A function that judges cases one by one takes the rule's
    arguments as `**rule: Unpack[RuleArguments]`; they are checked before it is called.

    Args:
        title: What the page calls the audit.
        quantity: The measured quantity, as in "The share of … is 0.31".
        measured: A paragraph on what is measured.
        reading: A paragraph on how to read a value that did not pass.
        about: The family: what the assertion is about.
        settings: Names of arguments that say what was measured, to be shown with the finding.
        needs: What of a forward pass it needs.
        unit: What is counted where one value is judged.
        yes_no: Whether a single case's value is only 1 or 0.
    """
    texts = Texts(title, quantity, measured, reading, yes_no)
    if isinstance(settings, str):
        raise TypeError(f"settings is {settings!r}; a sequence of arguments' names is expected")

    def register(
        function: Callable[Concatenate[Context, P], Finding],
    ) -> Callable[Concatenate[HasContext, P], Finding]:
        name = _name_of(function)
        signature = _expanded(function)
        unknown = [one for one in settings if one not in signature.parameters]
        if unknown:
            raise ValueError(f"settings of {function.__name__}: there is no argument {unknown[0]!r}")
        entry = Assertion(name, function, texts, about, tuple(settings), tuple(needs), unit)
        method = _method(function, signature, entry)
        _TABLE[name] = replace(entry, function=method)
        for owner in _OWNERS:
            setattr(owner, function.__name__, method)
        return cast(Callable[Concatenate[HasContext, P], Finding], method)

    return register


def has_assertions(owner: C) -> C:
    """Give a class every assertion as a method, those that are registered later as well."""
    _OWNERS.append(owner)
    for entry in _TABLE.values():
        setattr(owner, entry.function.__name__, entry.function)
    return owner


def forget(name: str) -> None:
    """Take an assertion that was registered out of the table again."""
    entry = _TABLE.pop(name)
    for owner in _OWNERS:
        delattr(owner, entry.function.__name__)


def needs_of(names: Collection[str]) -> Iterator[Wanted]:
    """What the assertions with these methods' names need."""
    return (need for entry in _TABLE.values() if entry.function.__name__ in names for need in entry.needs)


def nearest_assertion(name: str) -> str:
    """A hint for a name that no assertion has."""
    return nearest(name, [entry.function.__name__ for entry in _TABLE.values()])


def _name_of(function: Callable[..., Finding]) -> str:
    """What findings of the assertion are called; a `ValueError` where another function has the name."""
    method = function.__name__
    if not method.startswith("assert_") and method != "check":
        raise ValueError(f"{method!r} is registered as an assertion; its name has to begin with 'assert_'")
    name = method.removeprefix("assert_")
    known = _TABLE.get(name)
    if known is not None and defined_at(known.function) != defined_at(function):
        raise ValueError(f"There is an assertion {name!r} already, in {defined_at(known.function)[0]}")
    return name


# The signature


def _expanded(function: Callable[..., Finding]) -> inspect.Signature:
    """That of the method: `self` for the context, and the rule's arguments where the function takes a rule."""
    signature = inspect.signature(function)
    if not signature.parameters:
        raise TypeError(f"{function.__name__} takes no arguments; an assertion's first one is its Context")
    first, *others = signature.parameters.values()
    parameters = [first.replace(name="self", annotation=inspect.Parameter.empty)]
    for one in others:
        parameters += _rule_parameters() if _takes_rule(one, function) else [one]
    return signature.replace(parameters=parameters)


def _takes_rule(parameter: inspect.Parameter, function: Callable[..., Finding]) -> bool:
    """Whether it is `**rule: Unpack[RuleArguments]`."""
    if parameter.kind is not parameter.VAR_KEYWORD:
        return False
    annotation = parameter.annotation
    if isinstance(annotation, str):
        try:
            annotation = eval(annotation, function.__globals__)
        except NameError:  # of a name that only type checkers know, which the rule's arguments are not
            return False
    return get_args(annotation) == (RuleArguments,)


def _rule_parameters() -> Iterator[inspect.Parameter]:
    for name, (annotation, default) in ARGUMENTS.items():
        yield inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _bound(assertion: str, signature: inspect.Signature, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """The arguments by name, defaults included; a `TypeError` where they don't fit, which names the nearest."""
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        known = [one.name for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
        unknown = next((name for name in kwargs if name not in known), None)
        hint = "" if unknown is None else nearest(unknown, known)
        raise TypeError(f"cnnaudit.{assertion}: {error}{hint}") from None
    bound.apply_defaults()
    return bound.arguments


# The call


def _method(function: Callable[..., Finding], signature: inspect.Signature, entry: Assertion) -> Callable[..., Finding]:
    """The method that checks, times, records and concludes what a function finds."""
    takes_rule = ARGUMENTS.keys() <= signature.parameters.keys()

    @functools.wraps(function)
    def method(self: HasContext, /, *args: Any, **kwargs: Any) -> Finding:
        __tracebackhide__ = True
        start = time.perf_counter()
        context, demands = self.context, {}
        try:
            arguments = _bound(function.__name__, signature, self, *args, **kwargs)
            demands = _demands(arguments)
            if takes_rule:
                Rule(**{name: arguments[name] for name in ARGUMENTS})
                check_parts(arguments.get("cases"), arguments["by"])
            finding = function(context, *args, **kwargs)
        except Exception as error:
            failed = Finding(context.test, entry.name, "error", message=str(error))
            context.recorder.add(_completed(failed, entry, demands, start))
            error.recorded_by_cnnaudit = True  # type: ignore[attr-defined]
            raise
        finding = replace(finding, test=context.test, name=finding.name or entry.name)
        if finding.kind == "value":
            finding = replace(finding, unit=entry.unit)
        if finding.outcome != "passed":
            finding = replace(finding, page=context.page)
        return _conclude(context, _completed(finding, entry, demands, start))

    method.__signature__ = signature  # type: ignore[attr-defined]
    method.__annotations__ = {
        name: one.annotation for name, one in signature.parameters.items() if one.annotation is not one.empty
    } | {"return": signature.return_annotation}
    return method


def _completed(finding: Finding, entry: Assertion, demands: Mapping[str, Any], start: float) -> Finding:
    """The finding with what every assertion's has."""
    texts = entry.texts if entry.texts.title else replace(entry.texts, title=finding.name)
    settings = _settings(entry.settings, demands)
    seconds = time.perf_counter() - start
    return replace(finding, seconds=seconds, demands=demands, texts=texts, settings=settings)


def _conclude(context: Context, finding: Finding) -> Finding:
    __tracebackhide__ = True
    context.recorder.add(finding if context.keeps_evidence(finding) else replace(finding, evidence=()))
    if finding.outcome == "passed":
        return finding
    if finding.outcome == "inconclusive" and context.settings.inconclusive == "warn":
        context.warn(finding.message, InconclusiveWarning)
        return finding
    raise AuditFailure(finding)


# What was required


def _demands(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments apart from what is measured, as JSON."""
    return {name: _plain(value) for name, value in arguments.items() if name not in MEASURED}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, (np.number, np.bool_)):
        return value.item()
    if isinstance(value, PathLike):
        return fspath(value)
    if isinstance(value, (Image.Image, np.ndarray)):  # what it shows, not where it lies in memory
        pixels = np.ascontiguousarray(value)
        return f"picture {hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).hexdigest()[:12]}"
    return getattr(value, "__name__", repr(value))


def _settings(names: Sequence[str], demands: Mapping[str, Any]) -> str:
    """The arguments that say what was measured."""
    given = ((name, demands.get(name)) for name in names)
    return ", ".join(f"{name} {_short(value)}" for name, value in given if value is not None)


def _short(value: Any) -> str:
    if not isinstance(value, list):
        return str(value)
    more = f" and {len(value) - 3} more" if len(value) > 3 else ""
    return ", ".join(map(str, value[:3])) + more
