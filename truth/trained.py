"""Models and pictures of known truth: what they are trained on decides what they look at.

They are kept in .cache/truth, so that an interrupted run goes on where it was.

    python truth/trained.py     trains those that are missing; needs TensorFlow and the dependency group `fixtures`
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "fixtures"
sys.path.insert(0, str(FIXTURES))

from scenes import Kind  # noqa: E402 - fixtures/
from shipped import ANNOTATIONS, write_pictures  # noqa: E402
from training import KINDS, SEEDS, deterministic_tensorflow, save, train  # noqa: E402

CACHE = ROOT / ".cache" / "truth"

# Thresholds come from the first of each, the figures from the second. The recipe of the fixtures was settled on
# seeds 1 to 3 and on the shipped pictures, so they are among the first.
CALIBRATION_SEEDS, EVALUATION_SEEDS = (1, 2, 3, 4), (5, 6, 7, 8)
EVALUATION_PICTURES_SEED = 1  # the shipped pictures have 0

TRAINED: tuple[tuple[Kind, int], ...] = (
    ("background", 1),
    *(
        (kind, seed)
        for pair in zip(EVALUATION_SEEDS, CALIBRATION_SEEDS, strict=True)
        for seed in pair
        for kind in KINDS
    ),
)


def model_path(kind: Kind, seed: int) -> Path:
    """Where the model is once `train_missing` has run; those of the first seed are the shipped ones."""
    if kind in KINDS and seed == SEEDS[0]:
        return FIXTURES / f"{kind}.keras"
    return CACHE / f"{kind}-{seed}.keras"


def train_missing() -> None:
    """Train, one after the other and as `fixtures/build.py` does, what is not there yet."""
    missing = [one for one in TRAINED if not model_path(*one).is_file()]
    if not missing:
        return
    deterministic_tensorflow()
    CACHE.mkdir(parents=True, exist_ok=True)
    for kind, seed in missing:
        print(f"training {kind} {seed}", flush=True)
        model = train(kind, seed)
        unfinished = CACHE / f"{kind}-{seed}.unfinished.keras"
        save(model, unfinished)
        unfinished.replace(model_path(kind, seed))


def evaluation_cases(kind: Kind = "shortcut") -> Path:
    """Annotations of pictures that nobody has seen: 96 as shipped, or 96 whose background tells the class."""
    folder = CACHE / f"pictures-{kind}"
    annotations = folder / ANNOTATIONS.name
    if not annotations.is_file():
        write_pictures(folder, kind, EVALUATION_PICTURES_SEED)
    return annotations


if __name__ == "__main__":
    train_missing()
