"""Every test of the engine is a test of one backend: the one this process was started for."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _on_the_requested_backend(backend):
    return backend


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """The files of one model, by suffix."""
    import networks

    folder = tmp_path_factory.mktemp("saved")
    paths = {suffix: folder / f"model{suffix}" for suffix in (".keras", ".h5", ".weights.h5")}
    model = networks.build("functional")
    model.save(paths[".keras"])
    model.save(paths[".h5"])
    model.save_weights(paths[".weights.h5"])
    return paths


@pytest.fixture
def rows():
    """How many images each `networks.Listening` was called with, by name."""
    import networks

    networks.ROWS.clear()
    return networks.ROWS


@pytest.fixture(scope="session")
def trunk():
    import networks

    return networks.separable()


@pytest.fixture(scope="session")
def trunk_engine(trunk):
    from pytest_cnnaudit import Engine

    return Engine(trunk)
