"""A griffe extension: assertions have the signature by which they are called, with the rule's arguments in it."""

from __future__ import annotations

import ast
import inspect
from typing import Any

from griffe import Extension, Function, Parameter, ParameterKind, Parameters, safe_get_annotation

from pytest_cnnaudit.audit import ASSERTIONS

KINDS = {kind: ParameterKind(kind.description) for kind in type(inspect.Parameter.KEYWORD_ONLY)}


class Signatures(Extension):
    """Replaces what the source says of an assertion's arguments by the signature that `help()` shows."""

    def on_function(self, *, func: Function, **_: Any) -> None:
        """Where a function is an assertion."""
        entry = ASSERTIONS.get(func.name.removeprefix("assert_"))
        if entry is None or func.path != f"{entry.function.__module__}.{entry.function.__name__}":
            return
        func.parameters = Parameters(
            *(
                Parameter(
                    one.name,
                    annotation=annotation(one, func),
                    kind=KINDS[one.kind],
                    default=None if one.default is one.empty else repr(one.default),
                )
                for one in list(entry.signature.parameters.values())[1:]
            )
        )


def annotation(parameter: inspect.Parameter, function: Function) -> Any:
    """An argument's type, with links to what it names."""
    if parameter.annotation is parameter.empty:
        return None
    text = parameter.annotation if isinstance(parameter.annotation, str) else repr(parameter.annotation)
    return safe_get_annotation(ast.parse(text, mode="eval").body, parent=function)
