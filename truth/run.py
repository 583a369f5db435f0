"""Hold the assertions against models of known truth, and write what came out into docs/planted-faults.md.

    python truth/run.py         trains what .cache/truth lacks, judges everything, writes the tables: `tox -e truth`

Training needs TensorFlow and the dependency group `fixtures`; judging runs on whichever backend Keras has. The exit
status is 1 where a fault is missed, an honest model blocked or a cheating one let through.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import trained
from catalogue import Test, default_suite, existing, judge
from faults import PLANTED, TRAINED, engine_of, honest
from scenes import Kind
from shipped import ANNOTATIONS, CLASS_NAMES
from thresholds import between, meets, strictest
from training import KINDS

from pytest_cnnaudit import Case, Engine, PreprocessingWarning, load_cases
from pytest_cnnaudit.findings import Finding

PAGE = trained.ROOT / "docs" / "planted-faults.md"
TABLE_END = "<!-- end of table -->"

Findings: TypeAlias = Mapping[str, Finding]


@dataclass(frozen=True)
class Half:
    """Four honest and four cheating models on pictures of their own, each with what was found."""

    seeds: Sequence[int]
    honest: tuple[Findings, ...]
    cheating: tuple[Findings, ...]

    def __iter__(self) -> Iterator[tuple[Findings, ...]]:
        return iter((self.honest, self.cheating))

    def only(self, tests: Mapping[str, Test]) -> Half:
        """What these tests found."""
        honest, cheating = (tuple({name: found[name] for name in tests} for found in models) for models in self)
        return Half(self.seeds, honest, cheating)


@dataclass(frozen=True)
class Column:
    """A faulty model in the table, and the assertions that must notice it."""

    name: str
    found: Findings
    caught_by: tuple[str, ...]

    def cell(self, name: str) -> str:
        """What the assertion made of it."""
        word = {"passed": "", "failed": "caught", "inconclusive": "caught", "error": "error"}[self.found[name].outcome]
        return f"**{word}**" if word and name in self.caught_by else word

    def missed(self) -> list[str]:
        """Those of them that exist and did not."""
        return [name for name in self.caught_by if name in self.found and self.found[name].outcome == "passed"]


# Judging


def judged(name: str, engine: Engine, cases: Sequence[Case], tests: Mapping[str, Test]) -> Findings:
    """What the tests find."""
    print(f"judging {name}", flush=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PreprocessingWarning)  # wrong preprocessing is one of the faults
        return judge(engine, cases, tests)


def trained_engine(kind: Kind, seed: int) -> Engine:
    """A trained model, ready to be judged."""
    return Engine(trained.model_path(kind, seed), class_names=CLASS_NAMES)


def half(seeds: Sequence[int], cases: Sequence[Case], tests: Mapping[str, Test]) -> Half:
    """Judge the models of these seeds."""
    honest, cheating = (
        tuple(judged(f"{kind} {seed}", trained_engine(kind, seed), cases, tests) for seed in seeds) for kind in KINDS
    )
    return Half(seeds, honest, cheating)


def faulty(cases: Sequence[Case], tied: Sequence[Case]) -> list[Column]:
    """Judge a model for each fault, with the whole catalogue."""
    tests = existing()
    planted = [Column(one.name, judged(one.name, one.engine(), cases, tests), one.caught_by) for one in PLANTED]
    stamp = judged("stamp", trained_engine("shortcut", 1), cases, tests)
    background = judged("background", trained_engine("background", 1), tied, tests)
    learned = [Column(name, found, TRAINED[name]) for name, found in (("stamp", stamp), ("background", background))]
    return [*learned, *planted]


# Tables


def fault_table(reference: Findings, tied: Findings, columns: Sequence[Column]) -> list[str]:
    """Assertions down, models across; bold what must notice a fault."""
    names = ["honest", "honest, backgrounds as collected", *(column.name for column in columns)]
    lines = [f"| assertion | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for name in existing():
        good = ["passes" if one[name].outcome == "passed" else f"**{one[name].outcome}**" for one in (reference, tied)]
        bad = [column.cell(name) for column in columns]
        lines.append(f"| `{name}` | {' | '.join([*good, *bad])} |")
    return lines


def threshold_table(first: Half, second: Half) -> list[str]:
    """The strictest thresholds that models pass, and how many of the second half pass with which threshold."""
    seeds = [f"{half.seeds[0]} to {half.seeds[-1]}" for half in (first, second)]
    names = ["assertion", "threshold", *(f"{kind} {seeds[0]}" for kind in KINDS), "middle"]
    names += [f"{kind} {seeds[1]}" for kind in KINDS]
    names += ["of these pass with the threshold", "with the middle"]
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for name, finding in first.honest[0].items():
        if not finding.thresholds:  # it could not be judged
            continue
        limit = finding.thresholds[0]
        reached = [[strictest(found[name]) for found in models] for half in (first, second) for models in half]
        middle = between(reached[0], reached[1], limit.direction)
        share = "" if finding.mostly is None else f" in {finding.mostly:.0%}"
        sign = "≥" if limit.direction == "at_least" else "≤"
        cells = [f"{sign} {limit.value:g}{share}", span(reached[0]), span(reached[1])]
        cells += ["none" if middle is None else f"{middle:.2f}", span(reached[2]), span(reached[3])]
        cells += [counts([[found[name].outcome == "passed" for found in models] for models in second])]
        cells += [
            ""
            if middle is None
            else counts([[meets(value, middle, limit.direction) for value in values] for values in reached[2:]])
        ]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return lines


def counts(passed: Sequence[Sequence[bool]]) -> str:
    """How many of the honest and of the cheating models pass."""
    return ", ".join(f"{sum(one)} {kind}" for kind, one in zip(KINDS, passed, strict=True))


def span(values: Sequence[float | None]) -> str:
    """From the lowest to the highest, and how many pass with no threshold."""
    numbers = [f"{value:.2f}" for value in sorted(value for value in values if value is not None)]
    lost = len(values) - len(numbers)
    parts = [" to ".join(dict.fromkeys((numbers[0], numbers[-1])))] if numbers else []
    return ", ".join([*parts, *([f"{lost} × none"] if lost else [])])


def suite_table(models: Half) -> list[str]:
    """The default suite's verdict on each model."""
    names = [name.removeprefix("test_").replace("_", " ") for name in models.honest[0]]
    lines = [f"| model | {' | '.join(names)} | verdict |", "|---" * (len(names) + 2) + "|"]
    for kind, found in (("honest", models.honest), ("shortcut", models.cheating)):
        for seed, one in zip(models.seeds, found, strict=True):
            cells = [cell(finding) for finding in one.values()]
            verdict = "**blocked**" if blocked(one) else "passes"
            lines.append(f"| {kind} {seed} | {' | '.join(cells)} | {verdict} |")
    return lines


def cell(finding: Finding) -> str:
    """How many pictures pass, or the value, in bold where that was not enough."""
    text = f"{finding.value:.2f}" if finding.mostly is None and finding.value is not None else f"{finding.passed}"
    return text if finding.outcome == "passed" else f"**{text}**"


def blocked(found: Findings) -> bool:
    """Whether any test is red."""
    return any(finding.outcome != "passed" for finding in found.values())


# The run


def problems(suite: Half, reference: Sequence[tuple[str, Findings]], columns: Sequence[Column]) -> list[str]:
    """Where the assertions are wrong about a model."""
    found = [f"the default suite blocks an honest model: {worst(one)}" for one in suite.honest if blocked(one)]
    found += ["the default suite lets a cheating model through" for one in suite.cheating if not blocked(one)]
    found += [f"{name}: {worst(one)}" for name, one in reference if blocked(one)]
    return found + [
        f"{column.name}: not noticed by {', '.join(column.missed())}" for column in columns if column.missed()
    ]


def worst(found: Findings) -> str:
    """The messages of red tests."""
    return "\n  ".join(f"{name}: {one.message}" for name, one in found.items() if one.outcome != "passed")


def main() -> int:
    """Train, judge, write."""
    trained.train_missing()
    shipped, fresh, tied = (
        load_cases(path) for path in (ANNOTATIONS, trained.evaluation_cases(), trained.evaluation_cases("background"))
    )
    suite, catalogue = default_suite(), existing()
    calibration = half(trained.CALIBRATION_SEEDS, shipped, suite | catalogue)
    evaluation = half(trained.EVALUATION_SEEDS, fresh, suite | catalogue)
    reference = judged("honest", engine_of(honest()), fresh, catalogue)
    on_tied = judged("honest, backgrounds as collected", engine_of(honest()), tied, catalogue)
    columns = faulty(fresh, tied)
    write(
        fault_table(reference, on_tied, columns),
        suite_table(evaluation.only(suite)),
        threshold_table(calibration.only(suite), evaluation.only(suite)),
        threshold_table(calibration.only(catalogue), evaluation.only(catalogue)),
    )
    named = [("honest", reference), ("honest, backgrounds as collected", on_tied)]
    named += zip((f"honest {seed}" for seed in evaluation.seeds), evaluation.only(catalogue).honest, strict=True)
    found = problems(evaluation.only(suite), named, columns)
    print("\n".join(found) or "Every fault is noticed, no honest model is blocked.")
    return 1 if found else 0


def write(*tables: Sequence[str]) -> None:
    """Put each table between its marks on the page."""
    text = PAGE.read_text(encoding="utf-8")
    for number, table in enumerate(tables, start=1):
        start = f"<!-- table {number}: written by tox -e truth -->"
        before, _, rest = text.partition(start)
        _, end, after = rest.partition(TABLE_END)
        text = "".join([before, start, "\n\n", "\n".join(table), "\n\n", end, after])
    PAGE.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    sys.exit(main())
