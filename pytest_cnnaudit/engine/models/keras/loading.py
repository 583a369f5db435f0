"""Model files and class names, read so that a wrong file is an error that says what is wrong with it.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import re
import sys
import traceback
import warnings
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import keras

from pytest_cnnaudit.engine.errors import ModelError, NonFiniteError
from pytest_cnnaudit.engine.models.keras.model_files import Config, read_config, unknown_classes, unsafe_parts
from pytest_cnnaudit.engine.models.keras.private import SafeModeScope, all_layers, direct_layers

_LONGEST_REASON = 300
_RANDOM = "freshly-initialized weights"
_UNLOCATED = re.compile(r"(?:Could not locate (?:class|function)|Unknown (?:layer|activation function)):? '?([\w>.]+)")
_HUBS = {"keras_hub", "keras_cv", "keras_nlp"}


def load_model(path: str | PathLike[str], custom_objects: Mapping[str, Any] | None = None) -> keras.Model:
    """A model from a `.keras` or `.h5` file. Code in the file is never executed, whatever Keras is set to.

    Raises `ModelError` for a missing, truncated or foreign file, for one that needs unsafe code (a Lambda
    layer), for one whose custom layers are not among `custom_objects`, and for one whose weights are missing
    or don't fit.
    """
    file, known = Path(path), dict(custom_objects or {})
    config = read_config(file)
    unsafe = unsafe_parts(config)
    if unsafe:
        raise ModelError(
            f"The model file {str(path)!r} holds code, which is never executed here: {'; '.join(unsafe[:3])}. "
            "Replace it by a registered layer"
        )
    try:
        # `enable_unsafe_deserialization` of Keras beats its argument `safe_mode`, and this scope beats both.
        with SafeModeScope(True), warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            model = keras.saving.load_model(file, custom_objects=known, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever it met inside the file; all of it means the same here
        raise ModelError(f"The model file {str(path)!r} {_reason(error, config, known)}") from error
    for warning in warned:
        if _RANDOM in str(warning.message):
            raise ModelError(f"The model file {str(path)!r} lacks weights. Keras says: {warning.message}")
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    if not isinstance(model, keras.Model):
        raise ModelError(f"The model file {str(path)!r} holds a {type(model).__name__}, not a keras.Model")
    return model


def check_model(model: Any) -> None:
    """`TypeError` for what is no model, `ModelError` for one that is not built, an error for NaN in its weights."""
    if not isinstance(model, keras.Model):
        raise TypeError(f"model must be a keras.Model or the path of a model file, not {type(model).__name__}")
    if not model.built:
        raise ModelError(
            f"The model {model.name!r} is not built: call it once on a batch, or give its first layer an input shape"
        )
    if not isinstance(model, (keras.Sequential, keras.Function)):
        unbuilt = next((layer for layer in all_layers(model) if not layer.built), None)
        if unbuilt is not None:
            raise ModelError(
                f"The layer {unbuilt.name!r} of the model {model.name!r} is not built: call the model once on a batch"
            )
    for variable in model.variables:
        # Looked for here and not in what comes out: TensorFlow's fused convolution and ReLU make NaN 0.
        if keras.backend.is_float_dtype(variable.dtype) and not keras.ops.all(keras.ops.isfinite(variable.value)):
            raise NonFiniteError(
                f"The weight {variable.path!r} of the model {model.name!r} holds NaN or infinity",
                _layer_with(variable, model),
            )


def _layer_with(variable: keras.Variable, container: keras.Layer) -> str | None:
    """Path of the layer whose weight it is, as `Layer.path`: the weight's own path may lack the models around it."""
    inside = container.layers if isinstance(container, keras.Model) else direct_layers(container)
    layer = next((one for one in inside if any(variable is weight for weight in one.variables)), None)
    if layer is None:
        return None
    within = _layer_with(variable, layer)
    return layer.name if within is None else f"{layer.name}/{within}"


def _reason(error: Exception, config: Config, custom_objects: Mapping[str, Any]) -> str:
    text = str(error)
    # Keras wraps an error once for each model around it.
    first = (text.rsplit("Exception encountered: ", 1)[-1].strip() or type(error).__name__).splitlines()[0]
    says = f"Keras says: {first[:_LONGEST_REASON]}"
    unknown = unknown_classes(config, {**keras.saving.get_custom_objects(), **custom_objects})
    unknown = {name: module for name, module in unknown.items() if name in text}
    unlocated = _UNLOCATED.search(text)
    if unknown or unlocated:
        return _unknown(unknown or {unlocated[1] if unlocated else "": ""}) + says.split(". ")[0]
    if "modeling function" in text or "not a KerasSaveable" in text:
        return f"refers to something that is no part of a model; it is never called here. {says}"
    if "could not be loaded" in text or "Layer count mismatch" in text or "weight" in first:
        lines = " ".join(line for line in text.splitlines()[:3] if line)
        return f"holds weights that don't fit its architecture. Keras says: {lines[:_LONGEST_REASON]}"
    if isinstance(error, OSError):
        return f"holds damaged weights: {first[:_LONGEST_REASON]}"
    if "safe_mode" in text:
        return f"needs code to be executed, which never happens here. {says}"
    return f"can't be loaded: {first[:_LONGEST_REASON]} ({_raised(error)})"


def _raised(error: BaseException) -> str:
    """The first error's type, and the line of a custom class where it is one of those."""
    while error.__context__ is not None:
        error = error.__context__
    foreign = [
        f"{frame.f_code.co_name}, line {line} of {frame.f_code.co_filename}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__", "").split(".")[0] not in ("keras", "pytest_cnnaudit")
    ]
    return type(error).__name__ + (f" in {foreign[0]}" if foreign else "")


def _unknown(unknown: Mapping[str, str]) -> str:
    """What to do about classes and functions, by name with the module each was in."""
    names = ", ".join(repr(name) for name in list(unknown)[:5])
    modules = {module for module in unknown.values() if module not in ("", "builtins", "__main__")}
    roots = {module.split(".")[0] for module in modules}
    foreign = roots & sys.stdlib_module_names
    if foreign:
        return (
            f"refers to {names} of {', '.join(sorted(foreign))}, which is no part of a model; it is never called here. "
        )
    if roots and roots <= _HUBS:
        package = min(roots)
        return (
            f"uses {names} of {package}: install {package.replace('_', '-')}, and import it with "
            f"--cnnaudit-import {package} or before the model is loaded. "
        )
    return (
        f"uses {names}, which is not known here. Import the module that registers it with --cnnaudit-import"
        + (f" (when the model was saved, that was {', '.join(sorted(modules))})" if modules else "")
        + ", or return it from the fixture cnnaudit_custom_objects. "
    )
