"""The pages are made from what is on disk: no Keras, no backend, no engine."""

import json
import subprocess
import sys

SCRIPT = """
import json, sys
from pathlib import Path

LEFT_OUT = ("keras", "tensorflow", "torch", "jax", "pytest_cnnaudit.engine", "pytest_cnnaudit.audit")


class Refusal:
    def find_spec(self, name, path=None, target=None):
        if name in LEFT_OUT:
            raise ImportError(f"{name} is imported")


sys.meta_path.insert(0, Refusal())
from pytest_cnnaudit.report import render

record, parts = json.load(sys.stdin)
print(len(render(record, parts, Path(sys.argv[1]))))
"""


def test_rendering_imports_neither_keras_nor_a_backend_nor_the_engine(tmp_path, record, every_kind):
    given = json.dumps([record(every_kind), every_kind])
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], input=given, capture_output=True, text=True, check=False
    )
    assert run.stderr == ""
    assert int(run.stdout) == len(every_kind) + 2
