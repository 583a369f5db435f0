"""What a model file holds, found out by reading alone: nothing of it is imported, unpickled or executed.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from pytest_cnnaudit.engine.errors import ModelError

Config: TypeAlias = Mapping[str, Any]

_HDF5 = b"\x89HDF\r\n\x1a\n"
_SUFFIXES = {".keras": "a Keras 3 archive", ".h5": "an HDF5 file", ".hdf5": "an HDF5 file"}
_CONFIG, _WEIGHTS = "config.json", ("model.weights.h5", "model.weights.npz")
_UNSAFE = {
    "Lambda": "a Lambda layer made of Python code",
    "TFSMLayer": "a TFSMLayer, which runs a SavedModel",
    "TorchModuleWrapper": "a TorchModuleWrapper, which unpickles Python objects",
}


def read_config(file: Path) -> Config:
    """The architecture that a `.keras` or `.h5` file describes.

    Raises `ModelError` for a file that is missing, empty, cut short, damaged, of another kind, without an
    architecture or without weights.
    """
    _check_kind(file)
    text = _archived_config(file) if file.suffix == ".keras" else _hdf5_config(file)
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{_named(file)} is damaged: its architecture is no JSON ({error})") from error
    if not isinstance(config, dict) or not isinstance(config.get("class_name"), str):
        raise ModelError(f"{_named(file)} does not describe a Keras model: its architecture has no class")
    return config


def _named(file: Path) -> str:
    return f"The model file {str(file)!r}"


def _check_kind(file: Path) -> None:
    if file.is_dir():
        raise ModelError(f"The model {str(file)!r} is a folder{_kind_of_folder(file)}; give a .keras or .h5 file")
    if not file.is_file():
        raise ModelError(f"{_named(file)} does not exist (looked in {Path.cwd()})")
    if file.suffix not in _SUFFIXES:
        raise ModelError(f"{_named(file)} must end in .keras or .h5, not {file.suffix!r}")
    try:
        kind = _kind(file)
    except OSError as error:
        raise ModelError(f"{_named(file)} can't be read: {error}") from error
    if kind != _SUFFIXES[file.suffix]:
        size = file.stat().st_size
        raise ModelError(f"{_named(file)} ({size} bytes) is not {_SUFFIXES[file.suffix]}: it is {kind}")


def _kind_of_folder(folder: Path) -> str:
    if (folder / "saved_model.pb").exists():
        return " with a TensorFlow SavedModel, which Keras 3 can't load: save the model again with model.save"
    return " with an unpacked model: pack it with zip" if (folder / _CONFIG).exists() else ""


def _kind(file: Path) -> str:
    """What a file is, by its first bytes."""
    with file.open("rb") as opened:
        start = opened.read(64)
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer (get the file itself with git lfs pull)"
    if start.startswith(b"PK"):
        return "a Keras 3 archive" if not _is_torch(file) else "a file of PyTorch"
    if start.startswith(_HDF5):
        return "an HDF5 file"
    if len(start) > 1 and start[0] == 0x80 and start[1] in range(2, 6):
        return "a Python pickle, or a file of PyTorch"
    return "something else" if start else "empty"


def _is_torch(file: Path) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def _archived_config(file: Path) -> bytes:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            if _CONFIG not in names:
                raise ModelError(f"{_named(file)} holds no {_CONFIG}, so it is no Keras model; it holds {_few(names)}")
            if not any(name in names for name in _WEIGHTS):
                raise ModelError(f"{_named(file)} holds no weights ({' or '.join(_WEIGHTS)}), only an architecture")
            broken = archive.testzip()
            if broken is not None:
                raise ModelError(f"{_named(file)} is damaged: the checksum of {broken} in it is wrong")
            return archive.read(_CONFIG)
    except (zipfile.BadZipFile, OSError, EOFError, zlib.error, NotImplementedError) as error:
        size = file.stat().st_size
        raise ModelError(f"{_named(file)} ({size} bytes) is cut short or damaged: {error}") from error


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") if names else "nothing"


def _hdf5_config(file: Path) -> str | bytes:
    import h5py

    try:
        with h5py.File(file, "r") as opened:
            config = opened.attrs.get("model_config")
    except OSError as error:
        raise ModelError(f"{_named(file)} is cut short or damaged: {error}") from error
    if not isinstance(config, (str, bytes)):
        raise ModelError(
            f"{_named(file)} has no architecture, so it holds weights only: save the whole model with "
            "model.save('model.keras')"
        )
    return config


def unsafe_parts(config: Config) -> list[str]:
    """Layers that run code which is not Keras' own, at any depth, each with where it is."""
    found = []
    for path, part in _parts(config):
        kind = _unsafe_kind(part)
        if kind is not None:
            found.append(f"{_UNSAFE[kind]}, at {'/'.join(path) or 'its top'}")
    return found


def _unsafe_kind(part: Config) -> str | None:
    name, inner = part.get("class_name"), part.get("config")
    if name == "__lambda__":
        return "Lambda"
    if name == "Lambda" and isinstance(inner, Mapping):
        # HDF5 files of old hold (code, defaults, closure) instead of the name of a function.
        is_code = inner.get("function_type") in ("lambda", "raw") or isinstance(inner.get("function"), (list, tuple))
        return "Lambda" if is_code else None
    return name if isinstance(name, str) and name in _UNSAFE else None


def unknown_classes(config: Config, known: Mapping[str, Any]) -> dict[str, str]:
    """Classes and functions by name that neither Keras has nor somebody registered, with the module each was in."""
    found: dict[str, str] = {}
    for _, part in _parts(config):
        module, name = part.get("module"), part.get("class_name")
        if name == "function":
            name = part.get("config")
        registered = part.get("registered_name") or name
        if not isinstance(name, str) or "class_name" not in part or name.startswith("__"):
            continue
        is_keras = module == "keras" or str(module).startswith("keras.")
        is_activation = module == "builtins" and part["class_name"] == "function"
        if "module" in part and not (is_keras or is_activation or name in known or registered in known):
            found.setdefault(name, "" if module is None else str(module))
    return found


def _parts(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Config]]:
    """Every mapping inside, with the names of the models and layers around it."""
    pending = [(path, value)]
    while pending:  # not recursive: a hostile file may be nested deeper than Python's stack
        around, here = pending.pop()
        if isinstance(here, Mapping):
            inner = here.get("config")
            name = inner.get("name") if isinstance(inner, Mapping) else None
            inside = (*around, name) if isinstance(name, str) and around[-1:] != (name,) else around
            yield inside, here
            pending.extend((inside, child) for child in reversed(list(here.values())))
        elif isinstance(here, (list, tuple)):
            pending.extend((around, child) for child in reversed(here))
