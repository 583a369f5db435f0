"""Whether a model is as it was."""

import hashlib
from typing import Any

import keras
import numpy as np
from keras import ops
from keras.src import backend as keras_backend


def operations_of(model: keras.Model) -> list[keras.Operation]:
    inside = [model, *model._flatten_layers(include_self=False)]
    return inside + [operation for operation in getattr(model, "operations", []) if operation not in inside]


def snapshot(model: keras.Model) -> dict[str, Any]:
    """All that an engine could leave behind in a model or in Keras."""
    operations = operations_of(model)
    return {
        "weights": [digest(variable) for variable in model.variables],
        "trainable": [(layer.name, layer.trainable) for layer in operations if hasattr(layer, "trainable")],
        "trainable variables": [variable.trainable for variable in model.variables],
        "nodes": [(len(one._inbound_nodes), len(one._outbound_nodes)) for one in operations],
        "attributes": [sorted(one.__dict__) for one in operations],
        "losses": len(model.losses),
        "optimizer": [digest(variable) for variable in optimizer_variables(model)],
        "policies": [layer.dtype_policy.name for layer in operations if hasattr(layer, "dtype_policy")],
        "training mode": [getattr(layer, "training", None) for layer in operations],
        "policy": keras.config.dtype_policy().name,
        "softmax": keras_backend.nn.softmax,
        "sigmoid": keras_backend.nn.sigmoid,
        "gradients": [v.value.grad is None for v in model.variables] if keras.backend.backend() == "torch" else [],
        "requires gradients": (
            [v.value.requires_grad for v in model.variables] if keras.backend.backend() == "torch" else []
        ),
    }


def digest(variable: keras.Variable) -> str:
    """Of a variable's values: a large model's own would be held twice."""
    return hashlib.sha256(np.ascontiguousarray(ops.convert_to_numpy(variable))).hexdigest()


def optimizer_variables(model: keras.Model) -> list[keras.Variable]:
    return model.optimizer.variables if getattr(model, "optimizer", None) is not None else []


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What of a snapshot is another in a later one."""
    return [key for key in before if after[key] != before[key]]
