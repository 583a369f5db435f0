"""Griffe extension: the assertions of `Audit` with their whole signatures, without importing the package."""

from __future__ import annotations

from typing import Any

import griffe

AUDIT = "audit.audit.Audit"
RULE = "audit.rule.Rule"


class WholeSignatures(griffe.Extension):
    """`Audit`'s attributes that are assertions become methods, with the rule's arguments and their defaults."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Once the whole package is read."""
        audit = pkg[AUDIT]
        rule = [_keyword(one) for one in pkg[RULE].attributes.values() if one.value is not None]
        for name, attribute in list(audit.attributes.items()):
            function = _function(audit, attribute)
            if function is not None:
                audit.set_member(name, _method(function, audit, attribute, rule))


def _function(audit: griffe.Class, attribute: griffe.Attribute) -> griffe.Function | None:
    """What an attribute such as `assert_x = family.assert_x` is."""
    if not isinstance(attribute.value, griffe.ExprAttribute):
        return None
    module, _, name = str(attribute.value).partition(".")
    found = audit.modules_collection[audit.module.resolve(module)].members.get(name)
    return found if isinstance(found, griffe.Function) else None


def _method(
    function: griffe.Function, audit: griffe.Class, attribute: griffe.Attribute, rule: list[griffe.Parameter]
) -> griffe.Function:
    context, *others = function.parameters
    parameters = [griffe.Parameter("self", kind=context.kind)]
    for one in others:
        takes_rule = one.kind is griffe.ParameterKind.var_keyword and "RuleArguments" in str(one.annotation)
        parameters += rule if takes_rule else [one]
    return griffe.Function(
        function.name,
        lineno=attribute.lineno,
        endlineno=attribute.endlineno,
        parameters=griffe.Parameters(*parameters),
        returns=function.returns,
        docstring=function.docstring,
        parent=audit,
    )


def _keyword(attribute: griffe.Attribute) -> griffe.Parameter:
    kind = griffe.ParameterKind.keyword_only
    return griffe.Parameter(attribute.name, annotation=attribute.annotation, kind=kind, default=attribute.value)
