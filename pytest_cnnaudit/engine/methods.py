"""The heatmap methods: one function each, NumPy arrays in, signed maps out, and the table of their names.

Three kinds, by what a function asks for:

- `method(activations, gradients, scores)`, `(N, h, w, K)`, `(N, h, w, K)`, `(N,)` → `(N, h, w)`: a CAM. A
  user's callable is one of these.
- `method(probe, layer)` → `(N, h, w)` on the layer's grid, from what it asks the `Probe` to compute.
- `method(probe)` → `(N, H, W)` on the picture's own grid.

Keyword arguments are a method's parameters: `functools.partial(rise, masks=4000)` is a method too.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from pytest_cnnaudit.checks import called, check_call, choice, defined_at, integer
from pytest_cnnaudit.engine.probing import Probe
from pytest_cnnaudit.engine.resampling import bilinear

Floats: TypeAlias = npt.NDArray[np.float32]
MethodFunction: TypeAlias = Callable[..., npt.NDArray[Any]]
Kind: TypeAlias = Literal["cam", "layer", "picture"]
F = TypeVar("F", bound=Callable[..., Any])


# From a layer's activations A and the gradients g of the class' score with respect to them


def grad_cam(activations: Floats, gradients: Floats, scores: Floats) -> Floats:  # noqa: ARG001 - the interface
    """Σ_k α_k A_k with α_k the mean gradient of channel k (Selvaraju 2017, arXiv:1610.02391)."""
    return _weighted(activations, gradients.mean(axis=(1, 2), dtype=np.float64))


def grad_cam_plus_plus(activations: Floats, gradients: Floats, scores: Floats) -> Floats:  # noqa: ARG001
    """Σ_k w_k A_k with w_k = Σ_ij ReLU(g) / (2 + g Σ_ij A) (Chattopadhay 2018, arXiv:1710.11063, eq. 19).

    The simplified form, which holds for an exponential of the score; a term is 0 where its denominator is.
    """
    g = gradients.astype(np.float64)
    denominator = 2 + g * activations.sum(axis=(1, 2), keepdims=True, dtype=np.float64)
    terms = np.divide(np.maximum(g, 0), denominator, out=np.zeros_like(g), where=denominator != 0)
    return _weighted(activations, terms.sum(axis=(1, 2)))


def xgrad_cam(activations: Floats, gradients: Floats, scores: Floats) -> Floats:  # noqa: ARG001
    """Σ_k α_k A_k with α_k = Σ_ij g A / Σ_ij A, 0 where Σ_ij A is (Fu 2020, arXiv:2008.02312)."""
    total = activations.sum(axis=(1, 2), dtype=np.float64)
    products = np.einsum("nhwk,nhwk->nk", gradients, activations, dtype=np.float64)
    return _weighted(activations, np.divide(products, total, out=np.zeros_like(total), where=total != 0))


def layer_cam(activations: Floats, gradients: Floats, scores: Floats) -> Floats:  # noqa: ARG001
    """Σ_k ReLU(g_k) A_k, cell by cell (Jiang 2021, IEEE TIP 30)."""
    return np.asarray(np.einsum("nhwk,nhwk->nhw", np.maximum(gradients, 0), activations))


def hires_cam(activations: Floats, gradients: Floats, scores: Floats) -> Floats:  # noqa: ARG001
    """Σ_k g_k A_k, cell by cell (Draelos & Carin 2020, arXiv:2011.08891)."""
    return np.asarray(np.einsum("nhwk,nhwk->nhw", gradients, activations))


def _weighted(activations: Floats, weights: npt.NDArray[np.floating[Any]]) -> Floats:
    """Σ_k w_k A_k."""
    return np.asarray(np.einsum("nhwk,nk->nhw", activations, weights.astype(np.float32), optimize=True))


# From a layer's activations, and the model where it has to be asked again


def eigen_cam(probe: Probe, layer: str) -> Floats:
    """A projected on its first right singular vector (Muhammad 2020, arXiv:2008.00299).

    Of the two signs the one whose map has a sum ≥ 0. The map is of the picture, not of a class.
    """
    activations = probe.activations(layer)
    return np.stack([_first_component(one) for one in activations.astype(np.float64)]).astype(np.float32)


def _first_component(activation: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    cells = activation.reshape(-1, activation.shape[-1])
    # The eigenvectors of the smaller of AAᵀ and AᵀA: a layer has few cells or few channels.
    if len(cells) <= cells.shape[1]:
        values, vectors = np.linalg.eigh(cells @ cells.T)
        projected = vectors[:, -1] * np.sqrt(max(values[-1], 0))
    else:
        projected = cells @ np.linalg.eigh(cells.T @ cells)[1][:, -1]
    return np.asarray(projected if projected.sum() >= 0 else -projected).reshape(activation.shape[:2])


def score_cam(probe: Probe, layer: str) -> Floats:
    """Σ_k w_k A_k, w = softmax_k(y(X ∘ s(up(A_k))) − y(0)) (Wang 2020, arXiv:1910.01279).

    s scales a channel to [0, 1]; a constant channel has no weight. y(0) is the same for all channels, so the
    softmax does without it. One forward pass a channel.
    """
    activations = probe.activations(layer)
    height, width = probe.pictures.shape[1:3]
    rows, columns = (bilinear(*sizes) for sizes in zip(activations.shape[1:3], (height, width), strict=True))
    maps = []
    for index, activation in enumerate(activations):
        lowest, highest = activation.min(axis=(0, 1)), activation.max(axis=(0, 1))
        varying = np.flatnonzero(highest > lowest)

        def masked(part: slice, index: int = index, some: Floats = activation[..., varying]) -> Floats:
            up = np.einsum("Hh,hwk,Ww->kHW", rows, some[..., part], columns, optimize=True)
            low, high = (edge(up, axis=(1, 2), keepdims=True) for edge in (np.min, np.max))
            return np.asarray(probe.pictures[index] * ((up - low) / (high - low))[..., None], np.float32)

        if not len(varying):
            maps.append(np.zeros(activation.shape[:2], np.float32))
            continue
        weights = softmax(probe.scores(index, len(varying), masked).astype(np.float64))
        maps.append(np.asarray(activation[..., varying] @ weights, np.float32))
    return np.stack(maps)


def ablation_cam(probe: Probe, layer: str) -> Floats:
    """Σ_k w_k A_k with w_k the drop of the score without channel k (Desai 2020, WACV), not divided by the score.

    Only the head is computed again, once a channel.
    """
    activations, drops = probe.ablated(layer)
    return _weighted(activations, drops)


# From the picture


def saliency(probe: Probe) -> Floats:
    """max over the colours of |∂y/∂X| (Simonyan 2013, arXiv:1312.6034)."""
    return np.asarray(np.abs(probe.gradients()).max(axis=-1))


def gradient_x_input(probe: Probe) -> Floats:
    """Σ over the colours of X ∂y/∂X (Shrikumar 2016, arXiv:1605.01713)."""
    return np.asarray((probe.pictures * probe.gradients()).sum(axis=-1))


def smoothgrad(probe: Probe, *, samples: int = 25, noise: float = 0.15) -> Floats:
    """|mean of ∂y/∂X over noisy copies|, max over the colours (Smilkov 2017, arXiv:1706.03825).

    The noise's σ is `noise`·(max X − min X); the last of the `samples` copies is without noise.
    """
    _check_counts(samples=samples)
    if isinstance(noise, bool) or not isinstance(noise, (int, float)) or not 0 < noise < np.inf:
        raise ValueError(f"noise is {noise!r}; a positive number is expected")

    def copies(picture: Floats) -> Callable[[slice], Floats]:
        generator, deviation = probe.generator(), np.float32(noise) * np.ptp(picture)

        def drawn(part: slice) -> Floats:
            values = generator.standard_normal((part.stop - part.start, *picture.shape), np.float32)
            if part.stop == samples:
                values[-1] = 0
            return np.asarray(picture + deviation * values, np.float32)

        return drawn

    return np.asarray(np.abs(probe.summed_gradients(copies, np.full(samples, 1 / samples))).max(axis=-1))


def integrated_gradients(probe: Probe, *, steps: int = 50) -> Floats:
    """Σ over the colours of (X − X′) ∘ ∫ ∂y/∂X along the way from X′ to X (Sundararajan 2017, arXiv:1703.01365).

    X′ is what a black picture becomes (zeros where the pictures are model input already); the integral is a
    Gauss–Legendre sum of `steps` gradients, so that Σ map = y(X) − y(X′) closely.
    """
    _check_counts(steps=steps)
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    black = probe.black

    def path(picture: Floats) -> Callable[[slice], Floats]:
        shares = ((nodes + 1) / 2).astype(np.float32)[:, None, None, None]
        return lambda part: np.asarray(black + shares[part] * (picture - black))

    return np.asarray(((probe.pictures - black) * probe.summed_gradients(path, weights / 2)).sum(axis=-1))


def occlusion(probe: Probe, *, patch: int | None = None, stride: int | None = None) -> Floats:
    """y(X) − y(X with a patch hidden), averaged over the patches that cover a pixel (Zeiler & Fergus 2014).

    The patch is `patch` pixels wide and high (default: an eighth of the shorter side), moves by `stride`
    (default: half a patch), always reaches the edges, and shows what a black picture becomes.
    """
    height, width = probe.pictures.shape[1:3]
    patch = max(1, min(height, width) // 8) if patch is None else patch
    stride = max(1, patch // 2) if stride is None else stride
    _check_counts(patch=patch, stride=stride)
    if patch > min(height, width):
        raise ValueError(f"patch is {patch}, larger than the model's input of {height} × {width}")
    tops, lefts = (sorted({*range(0, side - patch, stride), side - patch}) for side in (height, width))
    windows = [(slice(top, top + patch), slice(left, left + patch)) for top in tops for left in lefts]
    covers = np.zeros((height, width))
    for window in windows:
        covers[window] += 1
    # The last variant hides nothing: computed as the others are, it differs from them by nothing else.
    nothing = (slice(0), slice(0))
    maps = np.zeros(probe.pictures.shape[:3])
    for index, picture in enumerate(probe.pictures):

        def hidden(part: slice, picture: Floats = picture) -> Floats:
            chosen = [*windows, nothing][part]
            copies = np.repeat(picture[None], len(chosen), axis=0)
            for copy, window in zip(copies, chosen, strict=True):
                copy[window] = probe.black[window]
            return copies

        *scores, untouched = probe.scores(index, len(windows) + 1, hidden)
        for score, window in zip(scores, windows, strict=True):
            maps[index][window] += untouched - score
    return np.asarray(maps / np.maximum(covers, 1), np.float32)


def rise(probe: Probe, *, masks: int = 1000, cells: int = 7, keep: float = 0.5) -> Floats:
    """mean over random masks m of (y(X ∘ m) − ȳ) m / E[m] (Petsiuk 2018, arXiv:1806.07421).

    A mask is a grid of `cells` × `cells`, each kept with the probability `keep` = E[m], enlarged with
    bilinear interpolation and shifted by less than a cell. Without ȳ, the mean of the y(X ∘ m), all that a
    map would show is an offset. The masks are the same for every picture.
    """
    _check_counts(masks=masks, cells=cells)
    if not 0 < keep < 1:
        raise ValueError(f"keep is {keep!r}; a probability between 0 and 1 is expected")
    height, width = probe.pictures.shape[1:3]
    generator = probe.generator()
    grids = (generator.random((masks, cells + 1, cells + 1)) < keep).astype(np.float32)
    steps = [-(-side // cells) for side in (height, width)]
    shifts = np.stack([generator.integers(0, step, masks) for step in steps], axis=1)
    rows, columns = (bilinear(cells + 1, (cells + 1) * step) for step in steps)

    def drawn(part: slice) -> npt.NDArray[np.float64]:
        return np.stack(
            [
                rows[top : top + height] @ grid @ columns[left : left + width].T
                for grid, (top, left) in zip(grids[part], shifts[part], strict=True)
            ]
        )

    maps = np.zeros(probe.pictures.shape[:3])
    for index, picture in enumerate(probe.pictures):

        def masked(part: slice, picture: Floats = picture) -> Floats:
            return np.asarray(picture * drawn(part)[..., None], np.float32)

        scores = probe.scores(index, masks, masked)
        weights = (scores - scores.mean(dtype=np.float64)) / (masks * keep)
        for start in range(0, masks, 32):
            part = slice(start, start + 32)
            maps[index] += np.tensordot(weights[part], drawn(part), axes=1)
    return np.asarray(maps, np.float32)


def _check_counts(**parameters: int) -> None:
    for name, value in parameters.items():
        integer(value, name, 1)


# The table


@dataclass(frozen=True)
class Method:
    """A method by its name: its function, what the function asks for, whether it draws random numbers, and whether
    its maps are of a class' score."""

    name: str
    function: MethodFunction
    kind: Kind = "cam"
    is_random: bool = False
    is_of_class: bool = True


_TABLE = {
    method.name: method
    for method in (
        Method("grad-cam", grad_cam),
        Method("grad-cam++", grad_cam_plus_plus),
        Method("xgrad-cam", xgrad_cam),
        Method("layer-cam", layer_cam),
        Method("hires-cam", hires_cam),
        Method("score-cam", score_cam, "layer"),
        Method("ablation-cam", ablation_cam, "layer"),
        Method("eigen-cam", eigen_cam, "layer", is_of_class=False),
        Method("saliency", saliency, "picture"),
        Method("gradient-x-input", gradient_x_input, "picture"),
        Method("smoothgrad", smoothgrad, "picture", is_random=True),
        Method("integrated-gradients", integrated_gradients, "picture"),
        Method("occlusion", occlusion, "picture"),
        Method("rise", rise, "picture", is_random=True),
    )
}
METHODS: Mapping[str, Method] = MappingProxyType(_TABLE)
"""Every method by its name, those that are registered later as well."""


TAKES: Mapping[Kind, tuple[str, ...]] = {
    "cam": ("activations", "gradients", "scores"),
    "layer": ("probe", "layer"),
    "picture": ("probe",),
}
"""What a method's function is called with."""
OWN_METHOD = (
    "a function of three arrays, the layer's activations (N, h, w, K), the gradients of the scores with respect to "
    "them and the scores (N,), that returns maps (N, h, w)"
)


def register(method: Method) -> None:
    """Add a method, which `heatmaps` and every assertion on heatmaps then find by its name.

    Raises `ValueError` for a name that another function has and for an unknown kind, `TypeError` for what can't be
    called with what its kind of method gets.
    """
    choice(method.kind, f"kind of the method {method.name!r}", TAKES)
    if not callable(method.function):
        raise TypeError(f"function of the method {method.name!r} is {method.function!r}; a function is expected")
    known = _TABLE.get(method.name)
    if known is not None and defined_at(known.function) != defined_at(method.function):
        raise ValueError(f"There is a method {method.name!r} already, in {defined_at(known.function)[0]}")
    check_call(method.function, f"method {method.name!r}", TAKES[method.kind], f"a method of the kind {method.kind!r}")
    _TABLE[method.name] = method
    for function, text in _LISTS.items():
        function.__doc__ = f"{text}\n\n    Methods: {', '.join(_TABLE)}."


def lists_methods(function: F) -> F:
    """End a function's docstring with the names of all methods, those that are registered later as well."""
    text = (function.__doc__ or "").rstrip()
    _LISTS[function] = text
    function.__doc__ = f"{text}\n\n    Methods: {', '.join(_TABLE)}."
    return function


_LISTS: dict[Callable[..., Any], str] = {}


def find_method(method: str | MethodFunction) -> Method:
    """The method with this name; a callable is its own, with the parameters of a `functools.partial`.

    Raises `ValueError` for an unknown name and `TypeError` for a callable that can't be called with what a method
    gets.
    """
    if callable(method):
        plain = method.func if isinstance(method, partial) else method
        found = next((known for known in METHODS.values() if known.function is plain), Method(called(method), method))
        expected = f"{found.name!r} with parameters of its own" if found.name in METHODS else OWN_METHOD
        check_call(method, "method", TAKES[found.kind], expected)
        return replace(found, function=method)
    if not isinstance(method, str) or method not in METHODS:
        raise ValueError(f"There is no method {method!r}; known: {', '.join(METHODS)}, or a callable")
    return METHODS[method]
