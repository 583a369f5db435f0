"""What is known of a model's layers, whatever the model is made of, and how one is found by its name.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar


@dataclass(frozen=True)
class Layer:
    """One call of a layer, or of a bare operation such as an addition, in a model.

    `path` is unique: names joined by `/` through nested models. A layer called several times is listed once
    a call; its last call has the plain path, the earlier ones are `path#1`, `path#2`, … `output_shape` is
    `(None, H, W, C)` or `(None, C)` as the model computes it (channels first in a channels-first model).
    """

    path: str
    type: str
    output_shape: tuple[int | None, ...]
    is_spatial: bool
    is_relu_like: bool = False


AnyLayer = TypeVar("AnyLayer", bound=Layer)


def find_layer(layers: Sequence[AnyLayer], name: str) -> AnyLayer:
    """The layer with this path, or with this bare name where only one has it.

    Raises a `ValueError` that offers the nearest paths for an unknown name, and all candidates for an
    ambiguous one.
    """
    if not isinstance(name, str):
        raise TypeError(f"A layer is named by a str, not {name!r}")
    by_path = {layer.path: layer for layer in layers}
    if name in by_path:
        return by_path[name]
    matching = [layer for layer in layers if layer.path.rsplit("/", 1)[-1] == name]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise ValueError(
            f"The layer name {name!r} is ambiguous; write one of the paths "
            + ", ".join(repr(layer.path) for layer in matching)
        )
    bare = {path.rsplit("/", 1)[-1]: path for path in by_path}
    near = difflib.get_close_matches(name, [*by_path, *bare], n=3, cutoff=0.5)
    nearest = list(dict.fromkeys(bare.get(match, match) for match in near)) or list(by_path)[-3:]
    raise ValueError(
        f"The model has no layer {name!r}; nearest: {', '.join(map(repr, nearest))}. Engine.layers lists all of them."
    )
