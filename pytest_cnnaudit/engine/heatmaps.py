"""What a call of `Engine.heatmaps` gives back.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pytest_cnnaudit import metrics
from pytest_cnnaudit.cases import Region, as_regions
from pytest_cnnaudit.engine.resampling import bilinear
from pytest_cnnaudit.preprocessing import Geometry

Floats: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Heatmaps:
    """Heatmaps of N pictures on the layer's own grid, or on the picture's for a method that needs no layer.

    `layer` is then the name of the model's input. `signed` `(N, h, w)` float32 is the map before the ReLU,
    `targets` `(N,)` the class each explains, `scores` `(N,)` that class' score, `logits` `(N, classes)` all.
    """

    signed: Floats
    targets: npt.NDArray[np.intp]
    scores: Floats
    layer: str
    method: str
    logits: Floats = field(repr=False)
    geometries: tuple[Geometry, ...] = field(repr=False)
    regions: tuple[tuple[Region, ...], ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.signed)

    @cached_property
    def maps(self) -> Floats:
        """The positive evidence, ReLU of `signed`: `(N, h, w)`, raw scale, read-only."""
        maps = np.maximum(self.signed, 0)
        maps.flags.writeable = False
        return maps

    @cached_property
    def empty(self) -> npt.NDArray[np.bool_]:
        """Where there is no positive evidence at all for the class at this layer, `(N,)`."""
        empty = np.asarray(~(self.signed > 0).any(axis=(1, 2)))
        empty.flags.writeable = False
        return empty

    @cached_property
    def negative_share(self) -> npt.NDArray[np.float64]:
        """Σ ReLU(−S) / Σ|S| of each signed map S, `(N,)`; 0 for a map that is zero everywhere."""
        signed = self.signed.astype(np.float64)
        total = np.abs(signed).sum(axis=(1, 2))
        negative = np.maximum(-signed, 0).sum(axis=(1, 2))
        share: npt.NDArray[np.float64] = np.divide(negative, total, out=np.zeros_like(total), where=total > 0)
        share.flags.writeable = False
        return share

    def normalized(self) -> Floats:
        """Each map divided by its own maximum; an empty map stays zero. Never min-max, which moves mass."""
        maps = self.maps
        peak = maps.max(axis=(1, 2), keepdims=True)
        return np.asarray(np.divide(maps, peak, out=np.zeros_like(maps), where=peak > 0))

    def resized(self, size: tuple[int, int]) -> Floats:
        """The maps at `(height, width)`, bilinear with half-pixel centres: for looking, not for measuring."""
        if len(size) != 2 or any(int(side) != side or side < 1 for side in size):
            raise ValueError(f"size is {size!r}; two positive integers (height, width) are expected")
        rows, columns = (bilinear(have, int(want)) for have, want in zip(self.signed.shape[1:], size, strict=True))
        return np.asarray(np.einsum("Hh,nhw,Ww->nHW", rows, self.maps, columns, optimize=True), np.float32)

    def mass_inside(self, region: Region | Sequence[Region] | None = None) -> npt.NDArray[np.float64]:
        """Share of each map's mass inside the region, `(N,)`; see `metrics.mass_inside`.

        `region=None` is each case's own; one region or the union of a sequence is for all. Raises
        `EmptyHeatmapError` where a map is empty and `ValueError` where a picture has no region.
        """
        return np.asarray(metrics.mass_inside(self.maps, self.coverage(region)))

    def pointing_hit(
        self, region: Region | Sequence[Region] | None = None, tolerance: float = 0.0
    ) -> npt.NDArray[np.float64]:
        """1 where the map's maximum lies in the region (by the cell's centre), 0 where not; ties share.

        `tolerance`, in pixels of the original picture: how far from the region the centre may be.
        """
        return np.asarray(metrics.pointing_hit(self.maps, self.centres(region, tolerance)))

    def rank_accuracy(self, region: Region | Sequence[Region] | None = None) -> npt.NDArray[np.float64]:
        """Share of the strongest cells, as many as the region has, that lies in it; see `metrics.rank_accuracy`."""
        return np.asarray(metrics.rank_accuracy(self.maps, self.coverage(region)))

    def iou(self, region: Region | Sequence[Region] | None = None, threshold: float = 0.15) -> npt.NDArray[np.float64]:
        """Intersection over union of the region and the cells at or above `threshold`·maximum, `(N,)`."""
        return np.asarray(metrics.iou(self.maps, self.coverage(region), threshold))

    def coverage(self, region: Region | Sequence[Region] | None = None) -> npt.NDArray[np.float64]:
        """The exact share of each grid cell that the region covers, `(N, h, w)`."""
        grid = (self.signed.shape[1], self.signed.shape[2])
        pairs = zip(self.geometries, self._regions(region), strict=True)
        return np.stack([geometry.coverage(regions, grid) for geometry, regions in pairs])

    def centres(self, region: Region | Sequence[Region] | None = None, tolerance: float = 0.0) -> npt.NDArray[np.bool_]:
        """Whether each grid cell's centre lies in the region, or within `tolerance` pixels of it, `(N, h, w)`."""
        grid = (self.signed.shape[1], self.signed.shape[2])
        pairs = zip(self.geometries, self._regions(region), strict=True)
        return np.stack([geometry.centres_inside(regions, grid, tolerance) for geometry, regions in pairs])

    def _regions(self, region: Region | Sequence[Region] | None) -> Sequence[Sequence[Region]]:
        if region is not None:
            return [as_regions(region)] * len(self)
        missing = [index for index, regions in enumerate(self.regions) if not regions]
        if missing:
            raise ValueError(
                f"No region for image {missing[0]} ({len(missing)} of {len(self)} have none): give the Case a "
                "region, or hand one over"
            )
        return self.regions
