"""Every test of the engine is a test of one backend: the one this process was started for."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _on_the_requested_backend(backend):
    return backend
