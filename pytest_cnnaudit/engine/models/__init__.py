"""What the engine asks of a model, whatever it is made of, and how what a user hands over becomes one.

A model of another framework is a class with the attributes and the two methods of `Model`; what it can do beyond that
is said by the small protocols after it, and asked for with a message where it can't.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Protocol, TypeGuard, runtime_checkable

from pytest_cnnaudit.engine.ascent import Ascent, Climber
from pytest_cnnaudit.engine.inputs import Inputs
from pytest_cnnaudit.engine.kernels import Kernels
from pytest_cnnaudit.engine.layers import Layer
from pytest_cnnaudit.engine.outputs import Activation
from pytest_cnnaudit.engine.passes import Array, Arrays, Computed, Pass
from pytest_cnnaudit.engine.ranges import Expectation

_CALLABLE = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_][\w.]*)")


class Model(Protocol):
    """All that the engine asks of any model; images are NumPy arrays `(N, H, W, C)`, channels last.

    `layers` are in the order of execution, `default_layer` is the path of the one that is explained unless another
    is named (None where no output has a grid), `outputs` how many numbers come out for an image, `activation` what
    the model, or whoever handed it over, says makes probabilities of them (None: nobody does), `expects` the values
    it was trained on as far as it tells.
    """

    @property
    def name(self) -> str:
        """What messages call it."""

    @property
    def inputs(self) -> Inputs:
        """The explained image and the other inputs."""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """In the order of execution."""

    @property
    def default_layer(self) -> str | None:
        """Path of the layer that is explained unless another is named."""

    @property
    def outputs(self) -> int:
        """How many numbers come out for an image."""

    @property
    def activation(self) -> Activation | None:
        """How logits become probabilities; None where nobody says."""

    @property
    def expects(self) -> Expectation:
        """The values it was trained on, as far as it tells."""

    def compute(self, wanted: Pass, arrays: Arrays, targets: Array | None = None) -> Computed:
        """What is wanted of one forward pass over `arrays`, the explained image's first.

        `targets` `(N,)` int32 are the classes whose score is differentiated, −1 for the predicted one. Raises
        `ValueError` for a layer on which the score does not depend, and for one that has not one row an image.
        """

    def identity(self) -> Mapping[str, Any]:
        """For the record: `weights_sha256`, `architecture_sha256` (None where it can't be told), `parameters`."""


@runtime_checkable
class Ablates(Protocol):
    """Computes what comes after a layer again for variants of its output, and that alone."""

    def ablated(self, arrays: Arrays, layer: str, index: int, score: str) -> tuple[Array, Array]:
        """Activations `(1, h, w, K)` of one image, and the drop of a class' score without each channel, `(K,)`."""


@runtime_checkable
class ChecksDependence(Protocol):
    """Knows without computing anything whether a score depends on a layer."""

    def check_dependence(self, layer: str) -> None:
        """`ValueError` where no class' score depends on the layer."""


@runtime_checkable
class Reinitializes(Protocol):
    """Can be computed with other weights."""

    def reinitialized(self, layer: str | None, seed: int, *, negated: bool) -> Model:
        """The same model with fresh weights from the output down to a layer, or in all; see `Engine.reinitialized`."""


@runtime_checkable
class HasKernels(Protocol):
    """Has filters whose weights can be compared."""

    def kernels(self, layers: Sequence[str] | None) -> dict[str, Kernels]:
        """By path, a shared layer once; by default of every convolution."""


@runtime_checkable
class Climbs(Protocol):
    """A model that filters of a layer can be looked at in: images `(N, H, W, C)` of any size that the layers take."""

    def climber(self, ascent: Ascent) -> Climber:
        """The same one for an equal ascent as long as it is kept, so that its paces are.

        Raises `ValueError` where the layer can't be computed for images of this size, `ModelError` for a model
        without gradients.
        """

    def filter_count(self, layer: str) -> int:
        """Number of a layer's filters (channels); 0 where it depends on the input."""

    def filter_outputs(self, images: Array, layer: str, index: int) -> Array:
        """One channel of the layer's output, `(N, h, w)` or `(N,)`."""


def backend_in_use() -> dict[str, str | None]:
    """For the record: backend, version and device where Keras is in use, else nothing."""
    if "keras" not in sys.modules:
        return {"backend": None, "backend_version": None, "device": None}
    from pytest_cnnaudit.engine.models.keras.backends import described

    return described()


def names_callable(source: object) -> bool:
    """Whether it is `MODULE:CALLABLE` and not the path of a file."""
    return isinstance(source, str) and _CALLABLE.fullmatch(source) is not None and not Path(source).exists()


def is_model(source: object) -> TypeGuard[Model]:
    """Whether this is a `Model` already."""
    return all(callable(getattr(type(source), name, None)) for name in ("compute", "identity"))


def opened(source: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """What a path or `MODULE:CALLABLE` stands for; anything else as it is."""
    if not isinstance(source, (str, PathLike)):
        return source
    named = _CALLABLE.fullmatch(fspath(source)) if isinstance(source, str) and not Path(source).exists() else None
    if named is not None:
        return _called(source, *named.groups())
    from pytest_cnnaudit.engine.models.keras.loading import load_model

    return load_model(source, custom_objects)


def _called(source: Any, module: str, name: str) -> Any:
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"The model {source!r} can't be made: {error}") from error
    if not callable(found):
        raise TypeError(f"The model {source!r} is a {type(found).__name__}; MODULE:CALLABLE is expected")
    return found()


def as_model(
    source: Any,
    *,
    output: str | None = None,
    picture: str | None = None,
    activation: Activation | None = None,
    probe_size: tuple[int, int] = (224, 224),
) -> Model:
    """A `Model` as it is, anything else as one of Keras; a path or `MODULE:CALLABLE` is opened first.

    `output`, `picture` and `activation` are as in `Engine`; a `Model` says them itself. `probe_size` is (height,
    width) for recording a model of Keras that takes any size.
    """
    source = opened(source)
    if is_model(source):
        given = {"output": output, "picture": picture, "activation": activation}
        wrong = next((name for name, value in given.items() if value is not None), None)
        if wrong is not None:
            raise ValueError(f"{wrong} is {given[wrong]!r}, but the model {source.name!r} says that itself")
        return source
    from pytest_cnnaudit.engine.models.keras.model import KerasModel

    return KerasModel(source, output=output, picture=picture, activation=activation, probe_size=probe_size)
