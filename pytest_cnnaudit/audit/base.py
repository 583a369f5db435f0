"""What every assertion is made of: the engine, its shared results, and how a finding is concluded.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt
from PIL import Image

from pytest_cnnaudit import gate
from pytest_cnnaudit.audit import exhibits
from pytest_cnnaudit.audit.judging import PAGE, Judged, check_rule, text, where, with_line
from pytest_cnnaudit.cases import Box, Case, Mask, Picture
from pytest_cnnaudit.findings import AuditFailure, Finding
from pytest_cnnaudit.preprocessing import PreprocessingWarning
from pytest_cnnaudit.record import Recorder, settings_of
from pytest_cnnaudit.record.provenance import case_digest

if TYPE_CHECKING:  # `check` needs neither a model nor a backend, so nothing here imports the engine
    from pytest_cnnaudit.engine import Engine, FilterPatterns, Heatmaps, Layer, LayerStats, Predictions
    from pytest_cnnaudit.engine.cache import Cache
    from pytest_cnnaudit.engine.engine import SeveralLayers, SeveralMethods
    from pytest_cnnaudit.engine.methods import MethodFunction

P = ParamSpec("P")
A = TypeVar("A", bound="Base")
Region: TypeAlias = Box | Mask
Target: TypeAlias = str | int | Sequence[str | int] | None
Images: TypeAlias = "Case | PathLike[str] | Image.Image | npt.NDArray[Any] | Iterable[Case | Picture]"
"""What assertions take that need neither region nor label; an array of four dimensions is model input."""

MOST_EVIDENCE = 12


@dataclass(frozen=True)
class Settings:
    """What of the options concerns a single test."""

    artifacts: str = "failed"
    inconclusive: str = "fail"
    seed: int = 0
    pictures: str = "embed"


class InconclusiveWarning(UserWarning):
    """An audit that neither passed nor failed, under `--cnnaudit-inconclusive warn`."""

    recorded_by_cnnaudit = True


def audited(
    assertion: Callable[Concatenate[A, P], Finding],
) -> Callable[Concatenate[A, P], Finding]:
    """Records what an assertion finds, or that it could not find anything, and raises unless it passed."""
    name = assertion.__name__.removeprefix("assert_")
    signature = inspect.signature(assertion)

    @functools.wraps(assertion)
    def wrapper(self: A, *args: P.args, **kwargs: P.kwargs) -> Finding:
        __tracebackhide__ = True
        start = time.perf_counter()
        demands: dict[str, Any] = {}
        try:
            arguments = _bound(assertion.__name__, signature, self, *args, **kwargs)
            demands = _demands(arguments)
            check_rule(arguments)
            finding = assertion(self, *args, **kwargs)
        except Exception as error:
            seconds = time.perf_counter() - start
            failed = Finding(self._test, name, "error", seconds=seconds, demands=demands, message=str(error))
            self._recorder.add(failed)
            error.recorded_by_cnnaudit = True  # type: ignore[attr-defined]
            raise
        finding = replace(finding, test=self._test, seconds=time.perf_counter() - start, demands=demands)
        settings = settings_of(demands)
        return self._conclude(with_line(finding, f"settings: {settings}") if settings else finding)

    return cast(Callable[Concatenate[A, P], Finding], wrapper)


def _bound(assertion: str, signature: inspect.Signature, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """The arguments by name, defaults included; a `TypeError` where they don't fit."""
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"cnnaudit.{assertion}: {error}") from None
    bound.apply_defaults()
    return bound.arguments


def _demands(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments apart from what is measured, as JSON."""
    measured = ("self", "cases", "name", "value", "chance", "evidence")
    return {name: _plain(value) for name, value in arguments.items() if name not in measured}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, (np.number, np.bool_)):
        return value.item()
    if isinstance(value, PathLike):
        return fspath(value)
    if isinstance(value, (Image.Image, np.ndarray)):  # what it shows, not where it lies in memory
        pixels = np.ascontiguousarray(value)
        return f"picture {hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).hexdigest()[:12]}"
    return getattr(value, "__name__", repr(value))


class Base:
    """The engine's methods, and what the assertions share."""

    def __init__(
        self, test: str, recorder: Recorder, results: Callable[[], Cache], settings: Settings | None = None
    ) -> None:
        self._test = test
        self._recorder = recorder
        self._get_results = results
        self._settings = Settings() if settings is None else settings

    # The engine's methods

    @property
    def engine(self) -> Engine:
        """The session's engine."""
        return self._results.engine

    @property
    def layers(self) -> tuple[Layer, ...]:
        """See `Engine.layers`."""
        return self.engine.layers

    @property
    def default_layer(self) -> str:
        """See `Engine.default_layer`."""
        return self.engine.default_layer

    def predict(self, images: Any) -> Predictions:
        """See `Engine.predict`; predictions of cases are shared by the session's tests."""
        cases = as_cases(images)
        return self.engine.predict(images) if cases is None else self._results.predictions(cases)

    def activations(self, images: Any, layers: str | Sequence[str] | None = None) -> dict[str, Any]:
        """See `Engine.activations`."""
        return self.engine.activations(images, layers)

    def activation_stats(self, images: Any, layers: str | Sequence[str] | None = None) -> dict[str, LayerStats]:
        """See `Engine.activation_stats`."""
        return self.engine.activation_stats(images, layers)

    def heatmaps(
        self,
        images: Any,
        *,
        target: str | int | Sequence[str | int] = "predicted",
        method: str | MethodFunction | SeveralMethods = "grad-cam",
        layer: str | SeveralLayers | None = None,
        score: str = "logit",
        seed: int | None = None,
    ) -> Any:
        """See `Engine.heatmaps`; heatmaps of cases by one method at one layer are shared by the session's tests."""
        cases = as_cases(images)
        seed = self._settings.seed if seed is None else seed
        if cases is None or isinstance(method, (list, tuple)) or isinstance(layer, (list, tuple)):
            return self.engine.heatmaps(images, target=target, method=method, layer=layer, score=score, seed=seed)
        targets, _ = self._targets(cases, target)
        return self._results.heatmaps(cases, targets=targets, method=method, layer=layer, score=score, seed=seed)

    def filter_patterns(self, layer: str, filters: int | Sequence[int] | None = None, **options: Any) -> FilterPatterns:
        """See `Engine.filter_patterns`, whose options these are."""
        return self.engine.filter_patterns(layer, filters, **{"seed": self._settings.seed, **options})

    @property
    def _results(self) -> Cache:
        return self._get_results()

    @property
    def _page(self) -> str:
        return "" if self._settings.artifacts == "off" else f"{PAGE}{self._recorder.page(self._test)}"

    def _conclude(self, finding: Finding) -> Finding:
        __tracebackhide__ = True
        keep = self._settings.artifacts == "all" or (
            self._settings.artifacts == "failed" and finding.outcome != "passed"
        )
        self._recorder.add(finding if keep else replace(finding, evidence=()))
        if finding.outcome == "passed":
            return finding
        if finding.outcome == "inconclusive" and self._settings.inconclusive == "warn":
            warnings.warn(finding.message, InconclusiveWarning, stacklevel=3)
            return finding
        raise AuditFailure(finding)

    def _message(self, name: str, passed: bool, lines: Sequence[str]) -> str:
        return text(name, "passed" if passed else "failed", [*lines, "" if passed else self._page])

    def _explain(
        self, cases: Sequence[Case], target: Target, method: str | MethodFunction, layer: str | None
    ) -> tuple[Heatmaps, str]:
        self._check_labels(cases)
        targets, aim = self._targets(cases, target)
        seed = self._settings.seed
        return self._results.heatmaps(cases, targets=targets, method=method, layer=layer, seed=seed), aim

    def _check_labels(self, cases: Sequence[Case]) -> None:
        """`CaseError` naming the case for the first label that is no class of the model."""
        self.engine.classes.check_labels(cases)

    def _targets(self, cases: Sequence[Case], target: Target) -> tuple[list[int | None], str]:
        """Class indices (None: the predicted one), and what they are called in the finding."""
        from pytest_cnnaudit.engine.targets import targets_of_cases

        return targets_of_cases(target, cases, self.engine.classes, where)

    def _class_name(self, index: int) -> str:
        return self.engine.classes.name(index)

    def _with_cases(
        self,
        finding: Finding,
        judged: Judged,
        maps: Heatmaps | None,
        given: Sequence[Region] | None,
        role: str,
        aim: str,
        views: Callable[[int], Sequence[Mapping[str, Any]]] = lambda _: (),
        pictured: Sequence[Case] | None = None,
    ) -> Finding:
        """Adds what the heatmaps tell of a finding, and the worst cases as evidence.

        `pictured` are the pictures that the model saw, where these were made from the cases.

        `views(index)` are further pictures of a shown case, such as the edited ones: each a mapping with `title`,
        and any of `picture`, `heatmap` and `predictions` as `exhibits` makes them, and `note`.
        """
        self._recorder.saw(judged.cases, case_digest)
        if maps is not None:
            finding = replace(finding, method=maps.method, layer=maps.layer)
            finding = with_line(finding, f"heatmaps: {maps.method} at {maps.layer!r}, target: {aim}")
        asked = maps.logits if maps is not None and pictured is None else self._results.predictions(judged.cases).logits
        finding = self._compared_with_guessing(replace(finding, target=aim), judged.cases, asked)
        if self._settings.artifacts == "off" or (self._settings.artifacts == "failed" and finding.outcome == "passed"):
            return finding
        seen = judged.cases if pictured is None else pictured
        predicted = self._results.predictions(seen)
        embed = self._settings.pictures == "embed"
        shown = []
        for index in judged.worst_first()[:MOST_EVIDENCE]:
            case, result = seen[index], judged.results[index]
            target = None if maps is None else predicted.name(int(maps.targets[index]))
            label = ", ".join(str(name) for name in case.labels) or None
            shown.append(
                {
                    "kind": "case",
                    "id": result.id,
                    "value": result.value,
                    "outcome": result.outcome,
                    "note": result.note,
                    "label": label,
                    "target": target,
                    "chance": judged.scores[index].chance,
                    "picture": exhibits.case_picture(case, embed=embed),
                    "regions": exhibits.regions(case, given, role, embed=embed),
                    "heatmap": None if maps is None else exhibits.heatmap(maps, index),
                    "predictions": exhibits.predictions(predicted, index),
                    "views": list(views(index)),
                }
            )
        return replace(finding, evidence=(*finding.evidence, *shown))

    def _compared_with_guessing(self, finding: Finding, cases: Sequence[Case], logits: Any) -> Finding:
        """Says in the finding, and warns once a session, where the labels are predicted no better than by chance.

        Only for classes that exclude each other: of a sigmoid's several classes the first is no answer.
        """
        labelled = [index for index, case in enumerate(cases) if len(case.labels) == 1]
        classes = self.engine.num_classes
        if len(labelled) < 2 or (self.engine.activation == "sigmoid" and classes > 2):
            return finding
        labels = [self.engine.class_index(cases[index].labels[0]) for index in labelled]
        right = int(np.sum(np.argmax(logits[labelled], axis=1) == labels))
        if not gate.is_near_chance(right, len(labelled), 1 / classes):
            return finding
        note = (
            f"near chance: the label is predicted for {right} of {len(labelled)} cases, and guessing gives 1 of "
            f"{classes}: is the preprocessing that of training, and are the class names in the outputs' order?"
        )
        if not self._results.warned_of_chance:
            warnings.warn(note, PreprocessingWarning, stacklevel=5)
            self._results.warned_of_chance = True
        return with_line(finding, note)


def as_cases(images: Any) -> list[Case] | None:
    """The images as cases where they are one or several; None for anything else, which the engine reads."""
    if isinstance(images, Case):
        return [images]
    if isinstance(images, Sequence) and len(images) and all(isinstance(image, Case) for image in images):
        return list(images)
    return None
