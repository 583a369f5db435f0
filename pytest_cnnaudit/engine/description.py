"""What describes an engine, so that another process can build the same.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

from pytest_cnnaudit.engine.inputs import OtherInput
from pytest_cnnaudit.engine.outputs import Activation
from pytest_cnnaudit.preprocessing import Preprocessing


@dataclass(frozen=True)
class EngineDescription:
    """The arguments of an `Engine`, for `Engine.from_description`; it can be pickled where they can.

    `source` is the path of a model file or `"MODULE:CALLABLE"`, where the callable gives the model. `custom_objects`
    are classes and functions of the file that are not registered, `imports` modules that register some, imported first.

    Examples:
        >>> EngineDescription("model.keras", batch_size=8).source
        'model.keras'
    """

    source: str | PathLike[str]
    preprocessing: Preprocessing | None = None
    class_names: Sequence[str] | str | PathLike[str] | None = None
    output: str | None = None
    activation: Activation | None = None
    batch_size: int | None = None
    seed: int = 0
    picture: str | None = None
    other_inputs: Mapping[str, OtherInput] | None = None
    progress: bool | None = None
    custom_objects: Mapping[str, Any] = field(default_factory=dict)
    imports: tuple[str, ...] = ()

    @property
    def arguments(self) -> dict[str, Any]:
        """Those of `Engine`, apart from the model."""
        return {
            name: value for name, value in vars(self).items() if name not in ("source", "custom_objects", "imports")
        }
