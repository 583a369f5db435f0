"""Facts about a run's model, data and environment.

PYTEST_DONT_REWRITE
"""

from collections.abc import Iterator, Mapping
from typing import Any


def facts(record: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Give the record's facts about model, data, environment and run, as titled lists of names and values."""
    run = {key: record.get(key) for key in ("started", "finished", "seed", "baseline", "policy_sha256", "schema")}
    groups = [
        ("Model", record.get("model")),
        ("Data", record.get("data")),
        ("Environment", record.get("environment")),
        ("Run", run),
    ]
    return [(title, listed) for title, group in groups if (listed := list(_flat(group)))]


def _flat(value: object, prefix: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, f"{prefix} {key}".strip())
    elif isinstance(value, (list, tuple)):
        yield prefix, ", ".join(map(str, value))
    elif value is not None:
        yield prefix.replace("_", " "), f"{value:,}" if type(value) is int else str(value)


def identity(record: Mapping[str, Any]) -> list[str]:
    """Give the few facts that tell one run from another, for the line under the verdict."""
    model, data, environment = (record.get(key) or {} for key in ("model", "data", "environment"))
    name = model.get("name") or model.get("path") or model.get("file")
    digest = str(model.get("weights_sha256") or model.get("file_sha256") or "")[:12]
    label = " ".join(part for part in (str(name or ""), f"({digest})" if digest and name else digest) if part)
    parameters, cases = model.get("parameters"), data.get("cases")
    keras, backend = environment.get("keras"), environment.get("backend")
    listed = [
        f"model {label}" if label else "",
        f"{parameters:,} parameters" if isinstance(parameters, int) else "",
        f"{cases:,} cases" if isinstance(cases, int) else "",
        f"Keras {keras} on {backend}" if keras and backend else "",
        str(record.get("finished") or record.get("started") or ""),
    ]
    return [text for text in listed if text]
