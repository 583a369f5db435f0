"""Model files and class names, read so that a wrong file is an error that says what is wrong with it.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import keras

from pytest_cnnaudit.engine.outputs import NonFiniteError


class ModelError(ValueError):
    """A model that can't be loaded or can't be explained; the message says which and what to do."""


def load_model(path: str | PathLike[str], custom_objects: Mapping[str, Any] | None = None) -> keras.Model:
    """A model from a `.keras` or `.h5` file, with `safe_mode` on: code in the file is never executed.

    Raises `ModelError` for a missing, truncated or foreign file, for one that needs unsafe code (a Lambda
    layer), and for one whose custom layers are not among `custom_objects`.
    """
    file = Path(path)
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "does not exist"
        raise ModelError(f"The model file {str(path)!r} {what} (looked in {Path.cwd()})")
    if file.suffix not in {".keras", ".h5", ".hdf5"}:
        raise ModelError(f"The model file {str(path)!r} must end in .keras or .h5, not {file.suffix!r}")
    if file.suffix == ".keras" and not zipfile.is_zipfile(file):
        raise ModelError(
            f"The model file {str(path)!r} ({file.stat().st_size} bytes) is not a Keras 3 archive, or it is cut short"
        )
    try:
        return keras.saving.load_model(file, custom_objects=dict(custom_objects or {}), compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever it met inside the file; all of it means the same here
        raise ModelError(_reason(str(path), error)) from error


def check_model(model: Any) -> None:
    """`TypeError` for what is no model, `ModelError` for one that is not built, an error for NaN in its weights."""
    if not isinstance(model, keras.Model):
        raise TypeError(f"model must be a keras.Model or the path of a model file, not {type(model).__name__}")
    if not model.built:
        raise ModelError(
            f"The model {model.name!r} is not built: call it once on a batch, or give its first layer an input shape"
        )
    if not isinstance(model, (keras.Sequential, keras.Function)):
        unbuilt = next((layer for layer in model._flatten_layers() if not layer.built), None)
        if unbuilt is not None:
            raise ModelError(
                f"The layer {unbuilt.name!r} of the model {model.name!r} is not built: call the model once on a batch"
            )
    for variable in model.variables:
        # Looked for here and not in what comes out: TensorFlow's fused convolution and ReLU make NaN 0.
        if keras.backend.is_float_dtype(variable.dtype) and not keras.ops.all(keras.ops.isfinite(variable.value)):
            raise NonFiniteError(f"The weight {variable.path!r} of the model {model.name!r} holds NaN or infinity")


def _reason(path: str, error: Exception) -> str:
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    if "safe_mode" in str(error) or "unsafe" in str(error).lower():
        return (
            f"The model file {path!r} holds Python code (a Lambda layer), which is never executed here. "
            f"Replace the Lambda by a registered layer. Keras says: {first}"
        )
    if "custom_objects" in str(error) or "Could not locate" in str(error):
        return (
            f"The model file {path!r} uses a class that is not known here. Import the module that registers it "
            "with --cnnaudit-import, or return it from the fixture cnnaudit_custom_objects. "
            f"Keras says: {first}"
        )
    return f"The model file {path!r} can't be loaded: {type(error).__name__}: {first}"


def read_class_names(source: str | PathLike[str] | Sequence[str]) -> tuple[str, ...]:
    """Class names from a text file, one a line in the order of the outputs, or as given."""
    if isinstance(source, (str, PathLike)):
        try:
            text = Path(source).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"The class names {str(source)!r} can't be read: {error}") from error
        names = tuple(line.strip() for line in text.splitlines() if line.strip())
    else:
        names = tuple(source)
    if not names:
        raise ValueError(f"The class names {str(source)!r} are empty; one name a line is expected")
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        raise TypeError(f"A class name must be a str, not {wrong[0]!r}")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"The class name {twice!r} stands twice in the class names")
    return names
