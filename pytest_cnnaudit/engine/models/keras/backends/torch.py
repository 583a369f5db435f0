"""PyTorch: eager, with gradients switched on from the watched tensor on.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import keras
import torch

from pytest_cnnaudit.engine.models.keras.backends.interface import Array, Loop, Spec, Tensor, Watch, widened
from pytest_cnnaudit.engine.models.keras.private import spatial_inputs_as_views

_CACHE_BYTES = 2**22


def compiled(program: Callable[..., Any], model: keras.Model) -> Callable[..., Any]:  # noqa: ARG001 - the modules hold the variables
    """See `Backend.compiled`. PyTorch runs eagerly, so there is nothing to compile."""

    def call(*arrays: Array) -> Any:
        with torch.no_grad(), keras.StatelessScope(), _channels_last_memory():
            outputs = program(*map(keras.ops.convert_to_tensor, arrays))
        return keras.tree.map_structure(_to_numpy, outputs)

    return call


def looped(loop: Loop, model: keras.Model) -> Callable[..., Any]:
    """See `Backend.looped`."""

    def program(count: Tensor, *tensors: Tensor) -> Any:
        state, fixed = loop.prepare(*tensors)
        for index in torch.arange(count, device=count.device):
            state = loop.step(index, state, fixed)
        return loop.finish(count, state, fixed)

    return compiled(program, model)


def _channels_last_memory() -> AbstractContextManager[None]:
    """Convolutions and poolings take a channels-last tensor as it lies in memory.

    Keras copies it to channels first before each of them, and for a convolution back again: on the CPU a third of
    a model's time. PyTorch's kernels take either, so that a view of the axes will do.
    """
    return spatial_inputs_as_views(_channels_first_view)


def _channels_first_view(tensor: Tensor) -> Tensor:
    return tensor.movedim(-1, 1)


def _to_numpy(tensor: Tensor) -> Array:
    # NumPy has no bfloat16, so half precision is widened before.
    return widened((tensor.float() if tensor.is_floating_point() else tensor).detach().cpu().numpy())


def abstract(run: Callable[..., Any], model: keras.Model, specs: Sequence[Spec]) -> None:  # noqa: ARG001 - see `compiled`
    """See `Backend.abstract`: one real pass, since not every operation of Keras knows PyTorch's meta device."""
    with torch.no_grad(), keras.StatelessScope():
        run(*(keras.ops.zeros(shape, dtype) for shape, dtype in specs))


def gradients(
    run: Callable[[Watch], tuple[Tensor, Any]],
) -> tuple[Any, Sequence[Tensor], Sequence[Tensor | None]]:
    """See `Backend.gradients`; `.grad` of the weights stays as it was."""
    watched: list[Tensor] = []

    def watch(tensor: Tensor) -> Tensor:
        if not tensor.requires_grad:
            tensor = tensor.detach().requires_grad_()
        torch.set_grad_enabled(True)
        watched.append(tensor)
        return tensor

    with torch.no_grad():
        objective, auxiliary = run(watch)
        grads: Sequence[Tensor | None] = [None] * len(watched)
        if objective.requires_grad:
            grads = torch.autograd.grad(objective, watched, allow_unused=True)
    return auxiliary, watched, grads


def reductions(activation: Tensor) -> dict[str, Tensor]:
    """See `Backend.reductions`; picture by picture where a pass then finds in the cache what the last one read."""
    parts = activation.split(1) if activation.nbytes > _CACHE_BYTES else [activation]
    reduced = [_reductions(part) for part in parts]
    return {name: torch.cat([one[name] for one in reduced]) for name in reduced[0]}


def _reductions(activation: Tensor) -> dict[str, Tensor]:
    # The plainest operations: aminmax, count_nonzero and vector_norm are several times slower on the CPU.
    smallest, total = activation.amin(dim=1), activation.sum(dim=1)
    return {
        "zeros": torch.eq(activation, 0, out=torch.empty_like(activation)).sum(dim=1),
        "sum": total,
        "norm": activation.square().sum(dim=1).sqrt(),
        "absolute": total if bool((smallest >= 0).all()) else activation.abs().sum(dim=1),
        "min": smallest,
        "max": activation.amax(dim=1),
    }


def finite(rows: Tensor) -> Tensor:
    """See `Backend.finite`; a sum is finite only where all values are, and much cheaper than looking at each."""
    known = rows.sum(dim=1).isfinite()
    return known if bool(known.all()) else rows.isfinite().all(dim=1)


def device() -> str:
    """See `Backend.device`."""
    placed = keras.ops.zeros(()).device
    return torch.cuda.get_device_name(placed) if placed.type == "cuda" else str(placed)
