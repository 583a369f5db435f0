"""A recorder that keeps findings in memory, where the next room's would write them to disk."""

import json
from pathlib import Path

from pytest_cnnaudit.findings import to_json


class Kept:
    def __init__(self):
        self.findings = []
        self.digests = {}

    def add(self, finding):
        self.findings.append(finding)

    def saw(self, cases, digest_of):
        for case in cases:
            if case not in self.digests:
                self.digests[case] = digest_of(case)

    def page(self, test):
        return Path("cnnaudit-report") / "tests" / f"{test.rpartition('::')[2]}.html"

    def written(self):
        """The findings as they come back from disk."""
        return json.loads(json.dumps(to_json(self.findings), allow_nan=False))
