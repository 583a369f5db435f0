"""Gates two models that are equally accurate; one of them reads the photographer's stamp instead of the picture.

Exits with 0 where the honest model passes and the other one is blocked by what it looks at.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent.parent / "fixtures"
REPORTS = Path.cwd() / "cnnaudit-report-demo"


def gate(name: str) -> tuple[int, dict[str, Any]]:
    """Runs the suite on a model: pytest's exit code and the record."""
    report = REPORTS / name
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += [f"--cnnaudit-model={FIXTURES / name}.keras", f"--cnnaudit-report={report}"]
    shutil.rmtree(report, ignore_errors=True)
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    run = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, check=False)
    record = report / "record.json"
    if not record.is_file():
        print(run.stdout, run.stderr, sep="\n", file=sys.stderr)
        sys.exit(f"{name}: no record was written (pytest exited with {run.returncode})")
    return run.returncode, json.loads(record.read_text(encoding="utf-8"))


def outcomes(record: dict[str, Any]) -> dict[str, str]:
    """The outcome of each audit, by its name."""
    return {finding["name"]: finding["outcome"] for finding in record["findings"]}


def tell(name: str, record: dict[str, Any]) -> None:
    """One line an audit, and the verdict."""
    verdict = "may be released" if record["verdict"] == "passed" else "BLOCKED"
    print(f"\n{name}.keras: {verdict}")
    for finding in record["findings"]:
        value = f"{finding['passed']:>2} of {finding['n']} pictures" if finding["mostly"] else f"{finding['value']:.2f}"
        print(f"  {finding['outcome']:>6}  {finding['name']:<16} {value}")
    print(f"  report  {(REPORTS / name / 'index.html').as_uri()}")


def main() -> int:
    """Gates both models and checks that what should happen is what happened."""
    code, honest = gate("honest")
    blocked_code, shortcut = gate("shortcut")
    tell("honest", honest)
    tell("shortcut", shortcut)
    found = outcomes(shortcut)
    looks = {name for name in ("mass_inside", "avoids") if found.get(name) == "failed"}
    others = {name for name, outcome in found.items() if outcome != "passed"} - {"mass_inside", "avoids"}
    as_expected = (
        (code, honest["verdict"], len(honest["findings"])) == (0, "passed", 5)
        and (blocked_code, shortcut["verdict"], len(shortcut["findings"])) == (1, "failed", 5)
        and looks == {"mass_inside", "avoids"}
        and not others
        and found["predicts"] == "passed"
    )
    if not as_expected:
        print("\nNot what should have happened: the honest model passes, the other is blocked by what it looks at.")
        return 1
    print("\nBoth models are accurate. The second one reads the photographer's stamp, and the gate blocks it:")
    page = next((REPORTS / "shortcut" / "tests").glob("*avoids-the-stamp*.html"))
    print(f"  see     {page.as_uri()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
