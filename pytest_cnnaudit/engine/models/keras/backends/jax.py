"""JAX: jitted pure functions; a zero added to the watched tensor is what is differentiated.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from pytest_cnnaudit.engine.models.keras.backends.interface import Array, Loop, Spec, Tensor, Watch, widened


def compiled(program: Callable[..., Any], model: keras.Model) -> Callable[..., Any]:
    """See `Backend.compiled`.

    The variables' values are arguments, fetched at each call: `fit` and `predict` donate their buffers, and
    a kept one would be deleted under us.
    """

    jitted = _jitted(program, model)

    def call(*arrays: Array) -> Any:
        return _to_numpy(jitted(_values(model), *arrays))

    return call


def _jitted(program: Callable[..., Any], model: keras.Model) -> Callable[..., Any]:
    """`program` with the variables' values as another first argument."""

    def pure(values: Sequence[Tensor], *tensors: Any) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(model.variables, values, strict=True))):
            return program(*tensors)

    jitted: Callable[..., Any] = jax.jit(pure)
    return jitted


def _values(model: keras.Model) -> list[Tensor]:
    return [variable.value for variable in model.variables]


def _to_numpy(tensors: Any) -> Any:
    return keras.tree.map_structure(lambda tensor: widened(np.asarray(tensor)), tensors)


def looped(loop: Loop, model: keras.Model) -> Callable[..., Any]:
    """See `Backend.looped`.

    On the CPU the step is what is compiled, and called so many times without leaving JAX: a convolution in the
    body of an XLA loop falls back to a kernel many times slower there (jax-ml/jax#12868).
    """
    if jax.default_backend() != "cpu":

        def program(count: Tensor, *tensors: Tensor) -> Any:
            state, fixed = loop.prepare(*tensors)
            state = jax.lax.fori_loop(0, count, lambda index, state: loop.step(index, state, fixed), state)
            return loop.finish(count, state, fixed)

        return compiled(program, model)
    prepare, step, finish = (_jitted(part, model) for part in (loop.prepare, loop.step, loop.finish))

    def call(count: Array, *arrays: Array) -> Any:
        values = _values(model)
        state, fixed = prepare(values, *arrays)
        for index in np.arange(int(count), dtype=np.int32):
            state = step(values, index, state, fixed)
        return _to_numpy(finish(values, count, state, fixed))

    return _side_by_side(call)


def _side_by_side(call: Callable[..., Any]) -> Callable[..., Any]:
    """`call(count, *arrays)` with the rows shared out to as many threads as the process has processors.

    XLA computes most convolutions with groups, and their gradients, on a single one.
    """
    compiled_for: set[int] = set()

    def shared_out(count: Array, *arrays: Array) -> Any:
        rows = len(arrays[0])
        lanes = max(number for number in range(1, _processors() + 1) if rows % number == 0)
        parts = [[array[first::lanes] for array in arrays] for first in range(lanes)]
        if rows // lanes not in compiled_for:
            # Here and not in the threads: whoever traces holds a lock.
            call(np.int32(1), *parts[0])
            compiled_for.add(rows // lanes)
        with ThreadPoolExecutor(lanes) as pool:
            results = list(pool.map(lambda part: call(count, *part), parts))
        return keras.tree.map_structure(lambda *each: np.stack(each, axis=1).reshape(-1, *each[0].shape[1:]), *results)

    return shared_out


def _processors() -> int:
    """How many this process may run on, which in a container or on a cluster is fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def abstract(run: Callable[..., Any], model: keras.Model, specs: Sequence[Spec]) -> None:
    """See `Backend.abstract`."""

    def program(values: Sequence[Tensor], *tensors: Tensor) -> None:
        with keras.StatelessScope(state_mapping=list(zip(model.variables, values, strict=True))):
            run(*tensors)

    shapes = (jax.ShapeDtypeStruct(tuple(shape), dtype) for shape, dtype in specs)
    jax.eval_shape(program, _values(model), *shapes)


def gradients(
    run: Callable[[Watch], tuple[Tensor, Any]],
) -> tuple[Any, Sequence[Tensor], Sequence[Tensor | None]]:
    """See `Backend.gradients`."""

    def dry_run() -> tuple[Tensor, list[Tensor]]:
        seen: list[Tensor] = []

        def look(tensor: Tensor) -> Tensor:
            seen.append(tensor)
            return tensor

        return run(look)[0], seen

    def perturbed(offsets: Sequence[Tensor]) -> tuple[Tensor, tuple[Any, list[Tensor]]]:
        watched: list[Tensor] = []

        def watch(tensor: Tensor) -> Tensor:
            watched.append(tensor + offsets[len(watched)])
            return watched[-1]

        objective, auxiliary = run(watch)
        return objective, (auxiliary, watched)

    recorded = jax.make_jaxpr(dry_run)()
    offsets = [jnp.zeros(spec.shape, spec.dtype) for spec in recorded.out_avals[1:]]
    (_, (auxiliary, watched)), grads = jax.value_and_grad(perturbed, has_aux=True)(offsets)
    objective, *variables = recorded.jaxpr.outvars
    used = [_depends(recorded.jaxpr, objective, variable) for variable in variables]
    return auxiliary, watched, [gradient if is_used else None for gradient, is_used in zip(grads, used, strict=True)]


def _depends(jaxpr: Any, outcome: Any, source: Any) -> bool:
    """Whether `outcome` is computed from `source`: a gradient of JAX is zero, never None, where it is not."""
    reached = {id(source)}
    for equation in jaxpr.eqns:
        if any(id(variable) in reached for variable in equation.invars):
            reached.update(map(id, equation.outvars))
    return id(outcome) in reached


def reductions(activation: Tensor) -> dict[str, Tensor]:
    """See `Backend.reductions`; XLA fuses the elementwise parts into the sums."""
    return {
        "zeros": jnp.sum(activation == 0, axis=1, dtype=jnp.float32),
        "sum": jnp.sum(activation, axis=1),
        "norm": jnp.sqrt(jnp.sum(jnp.square(activation), axis=1)),
        "absolute": jnp.sum(jnp.abs(activation), axis=1),
        "min": jnp.min(activation, axis=1),
        "max": jnp.max(activation, axis=1),
    }


def finite(rows: Tensor) -> Tensor:
    """See `Backend.finite`; a maximum, which hands NaN on, costs a fifth of looking at each value."""
    return jnp.max(jnp.abs(rows), axis=1) < jnp.inf


def device() -> str:
    """See `Backend.device`."""
    return ", ".join(f"{device.device_kind}:{device.id}" for device in jax.devices())
