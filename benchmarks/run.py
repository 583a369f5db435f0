"""Speed and memory as ratios of measurements made side by side in one run: `python benchmarks/run.py`.

Each measurement of each backend runs in a process of its own. Rivals take turns (A B A B …) and the ratio is that
of their medians, so that what else the machine does falls on both alike.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from timing import CLOCKS, Row, ratio

BACKENDS = ("tensorflow", "torch", "jax")
PICTURES, FEW_PICTURES = 512, 64
MEASUREMENTS = {
    "heatmaps": "measure_heatmaps",
    "peers": "measure_peers",
    "statistics": "measure_statistics",
    "peak": "measure_statistics",
    "small": "measure_heatmaps",
    "growth": "measure_heatmaps",
    "patterns": "measure_patterns",
    "suite": "measure_suite",
}
"""Each is the function `measure_NAME` of this module."""


def in_a_process(backend: str, measurement: str, arguments: list[str]) -> list[Row]:
    """Runs one measurement with `KERAS_BACKEND` set and reads its rows from the last line it prints."""
    root = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, __file__, "--measure", measurement, *arguments]
    finished = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=False, text=True)
    if finished.returncode:
        return [{"name": f"{measurement}: failed, see above", "missing": "result", "holds": False}]
    rows: list[Row] = json.loads(finished.stdout.splitlines()[-1])
    return rows


def peak_rows(backend: str, options: argparse.Namespace, arguments: list[str]) -> list[Row]:
    """Peak memory of many pictures against few, each in a fresh process."""
    measured = []
    for count in (options.pictures, FEW_PICTURES):
        (row,) = in_a_process(backend, "peak", [*arguments, "--count", str(count)])
        if "missing" in row:
            return [row]
        measured.append(row["mebibytes"])
    name = f"peak memory (MiB), {options.pictures} / {FEW_PICTURES} pictures"
    return [ratio(name, *measured, "at most", 1.10)]


def report(backend: str, rows: list[Row]) -> None:
    """Prints the rows."""
    for one in rows:
        if "missing" in one:
            print(f"{backend:<11} {one['name']:<58} no {one['missing']}", flush=True)
            continue
        print(
            f"{backend:<11} {one['name']:<58} {one['first']:>9.3f} {one['second']:>9.3f} {one['value']:>7.2f}  "
            f"{one['direction']} {one['limit']:.2f}  {'ok' if one['holds'] else 'MISSED'}",
            flush=True,
        )


def parsed(arguments: list[str]) -> argparse.Namespace:
    """The options; fewer rounds and pictures make a quick, rougher run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", choices=BACKENDS, action="append", help="only this one; may be repeated")
    parser.add_argument("--only", choices=MEASUREMENTS, action="append", help="only this measurement; may be repeated")
    parser.add_argument("--rounds", type=int, default=9, help="turns of the heatmaps and the forward pass")
    parser.add_argument("--peer-rounds", type=int, default=3, help="turns of the peers and Grad-CAM")
    parser.add_argument("--statistics-rounds", type=int, default=3, help="turns of statistics and the forward pass")
    parser.add_argument("--patterns-rounds", type=int, default=3, help="turns of patterns, passes and the loop")
    parser.add_argument("--filters", type=int, default=64, help="filters for the patterns")
    parser.add_argument("--steps", type=int, default=30, help="steps of the patterns")
    parser.add_argument("--pictures", type=int, default=PICTURES, help="pictures for the statistics")
    parser.add_argument("--suite-pictures", type=int, default=500, help="pictures for the suite of assertions")
    parser.add_argument("--suite-rounds", type=int, default=5, help="turns of the suite and the forward pass")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu where others keep the machine busy")
    parser.add_argument("--json", type=Path, help="also write all rows to this file")
    parser.add_argument("--measure", choices=MEASUREMENTS, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Exit status 0 where all limits hold, 1 where one is missed."""
    options = parsed(arguments)
    if options.measure:
        module = importlib.import_module(MEASUREMENTS[options.measure])
        print(json.dumps(getattr(module, f"measure_{options.measure}")(options)))
        return 0
    found: list[Row] = []
    print(f"{'backend':<11} {'what':<58} {'first':>9} {'second':>9} {'value':>7}  limit")
    for backend in options.backend or BACKENDS:
        if find_spec(backend) is None:
            print(f"{backend:<11} not installed")
            continue
        for measurement in options.only or MEASUREMENTS:
            rows = (
                peak_rows(backend, options, arguments)
                if measurement == "peak"
                else in_a_process(backend, measurement, arguments)
            )
            report(backend, rows)
            found += [{"backend": backend, "measurement": measurement, **row} for row in rows]
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0 if all(row["holds"] for row in found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
