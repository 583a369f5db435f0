"""Small real networks with weights written out or drawn by NumPy, the same on every backend."""

import contextlib
import functools

import keras
import numpy as np
from keras import layers, ops

from pytest_cnnaudit import Engine

# The worked example: A = (ReLU(x), ReLU(−x)), pooled to (3/4, 1/4) for this picture; see `one_conv`.
PICTURE = np.array([[1.0, 2.0], [-1.0, 0.0]], np.float32)[None, :, :, None]
KERNEL = np.array([[2.0, -1.0], [-3.0, 1.0]], np.float32)
BIAS = np.array([0.5, 0.0], np.float32)


@keras.saving.register_keras_serializable("tests")
class SoftmaxInCall(layers.Layer):
    """A softmax written as an operation inside a layer's own `call`."""

    def call(self, x):
        return ops.softmax(x)


class SubclassedSoftmax(keras.Model):
    """The worked example as a subclassed model that ends in `keras.ops.softmax`."""

    def __init__(self):
        super().__init__(name="subclassed")
        self.conv = _mirror_convolution()
        self.pool = layers.GlobalAveragePooling2D(name="pool")
        self.head = layers.Dense(2, name="head")

    def call(self, x):
        return ops.softmax(self.head(self.pool(self.conv(x))))


def _mirror_convolution():
    return layers.Conv2D(2, 1, use_bias=False, activation="relu", name="conv")


HEADS = ("linear", "dense", "activation", "layer", "operation", "inside a layer", "subclassed")


def one_conv(head="linear", kernel=KERNEL, bias=BIAS, squash="softmax"):
    """Convolution with the kernels (1, −1) and ReLU → global average pooling → dense; `head` says how it ends."""
    kernel, bias = np.asarray(kernel, np.float32), np.asarray(bias, np.float32)
    if head == "subclassed":
        model = SubclassedSoftmax()
        model.build((None, 2, 2, 1))
        model(np.zeros((1, 2, 2, 1), np.float32))
        convolution, dense = model.conv, model.head
    else:
        convolution = _mirror_convolution()
        dense = layers.Dense(kernel.shape[1], activation=squash if head == "dense" else None, name="head")
        picture = keras.Input((2, 2, 1))
        x = dense(layers.GlobalAveragePooling2D(name="pool")(convolution(picture)))
        endings = {
            "linear": lambda x: x,
            "dense": lambda x: x,
            "activation": layers.Activation(squash, name="probabilities"),
            "layer": layers.Softmax(name="probabilities"),
            "operation": getattr(ops, squash),
            "inside a layer": SoftmaxInCall(name="probabilities"),
        }
        model = keras.Model(picture, endings[head](x), name="one_conv")
    convolution.set_weights([np.array([1.0, -1.0], np.float32).reshape(1, 1, 1, 2)])
    dense.set_weights([kernel, bias])
    return model


def assign_weights(model, seed=0):
    """Variance-preserving weights from NumPy, the same for the same architecture on every backend."""
    generator = np.random.default_rng(seed)
    for variable in model.variables:
        if keras.backend.is_float_dtype(variable.dtype):
            variable.assign(_values(variable.name, tuple(variable.shape), generator))
    return model


def _values(name, shape, generator):
    noise = generator.standard_normal(shape)
    if "variance" in name:
        return np.exp(0.2 * noise)
    if "gamma" in name:
        return 1 + 0.1 * noise
    if "kernel" in name:
        fan_in = np.prod(shape[:2]) if "depthwise" in name else np.prod(shape[:-1])
        return noise * np.sqrt(2 / fan_in)
    return 0.1 * noise


def pictures(count, height=8, width=8, channels=3, seed=1, low=-1.0, high=1.0):
    """Model input with the same values in every process."""
    return np.random.default_rng(seed).uniform(low, high, (count, height, width, channels)).astype(np.float32)


def trunk(size=(8, 8), name="backbone"):
    """Convolution, pooling, convolution: `(N, 3, 3, 5)` for 8 × 8 pictures."""
    picture = keras.Input((*size, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="conv1")(picture)
    x = layers.MaxPooling2D(name="pool1")(x)
    x = layers.Conv2D(5, 3, padding="same", activation="relu", name="conv2")(x)
    return keras.Model(picture, x, name=name)


def sequential():
    """Convolution, pooling, convolution, global pooling, dense, one after the other."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, activation="relu", name="conv1"),
            layers.MaxPooling2D(name="pool1"),
            layers.Conv2D(5, 3, padding="same", activation="relu", name="conv2"),
            layers.GlobalAveragePooling2D(name="gap"),
            layers.Dense(3, name="logits"),
        ],
        name="sequential",
    )


def functional():
    """The layers of `sequential` as a graph."""
    backbone = trunk()
    x = layers.GlobalAveragePooling2D(name="gap")(backbone.output)
    return keras.Model(backbone.input, layers.Dense(3, name="logits")(x), name="functional")


def nested(size=(8, 8)):
    """A backbone inside a trunk inside the model."""
    picture = keras.Input((*size, 3))
    middle = keras.Model(picture, trunk(size)(picture), name="trunk")
    x = layers.GlobalAveragePooling2D(name="gap")(middle(picture))
    return keras.Model(picture, layers.Dense(3, name="logits")(x), name="nested")


def nested_sequential():
    """A functional backbone as the first layer of a Sequential model."""
    model = keras.Sequential([trunk(), layers.GlobalAveragePooling2D(name="gap"), layers.Dense(3, name="logits")])
    model.build((None, 8, 8, 3))
    return model


def shared():
    """One convolution called twice."""
    picture = keras.Input((8, 8, 3))
    convolution = layers.Conv2D(3, 3, padding="same", activation="relu", name="twice")
    x = layers.GlobalAveragePooling2D(name="gap")(convolution(convolution(picture)))
    return keras.Model(picture, layers.Dense(3, name="logits")(x), name="shared")


def bare_operations():
    """Ends in a bare addition, like ConvNeXt."""
    picture = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", name="conv1")(picture)
    y = ops.relu(layers.Conv2D(4, 3, padding="same", name="conv2")(x))
    pooled = layers.GlobalAveragePooling2D(name="gap")(x + y)
    return keras.Model(picture, layers.Dense(3, name="logits")(pooled), name="bare")


def flat():
    """A convolution into a flatten, as in VGG."""
    picture = keras.Input((8, 8, 3))
    x = layers.MaxPooling2D(name="pool1")(layers.Conv2D(4, 3, activation="relu", name="conv1")(picture))
    x = layers.Dense(6, activation="relu", name="hidden")(layers.Flatten(name="flatten")(x))
    return keras.Model(picture, layers.Dense(3, name="logits")(x), name="flat")


def squeeze_and_excite(pooled=False):
    """Global pooling inside a block whose output is spatial again, then a flatten (or a second pooling)."""
    picture = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="conv1")(picture)
    gate = layers.GlobalAveragePooling2D(name="squeeze")(x)
    gate = layers.Reshape((1, 1, 4), name="reshape")(layers.Dense(4, activation="sigmoid", name="excite")(gate))
    x = layers.Multiply(name="scaled")([x, gate])
    collapse = layers.GlobalMaxPooling2D(name="gap") if pooled else layers.Flatten(name="flatten")
    return keras.Model(picture, layers.Dense(3, name="logits")(collapse(x)), name="squeeze")


class Block(layers.Layer):
    """A composite layer: its convolution is nobody's but its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.convolution = layers.Conv2D(4, 3, activation="relu", name="inner")
        self.normalization = layers.BatchNormalization(name="norm")

    def build(self, shape):
        self.convolution.build(shape)
        self.normalization.build(self.convolution.compute_output_shape(shape))

    def call(self, x):
        return self.normalization(self.convolution(x))


def composite():
    """A composite layer inside a functional model."""
    picture = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D(name="gap")(Block(name="block")(picture))
    return keras.Model(picture, layers.Dense(3, name="logits")(x), name="composite")


class Subclassed(keras.Model):
    """A subclassed model with dropout and batch normalization, told when it trains."""

    def __init__(self):
        super().__init__(name="subclassed")
        self.block = Block(name="block")
        self.dropout = layers.Dropout(0.5, seed=3, name="dropout")
        self.pool = layers.GlobalAveragePooling2D(name="gap")
        self.head = layers.Dense(3, name="logits")

    def call(self, x, training=False):
        return self.head(self.pool(self.dropout(self.block(x), training=training)))


class SubclassedPlain(keras.Model):
    """A subclassed model whose `call` has no `training` argument and whose layers are in a list."""

    def __init__(self):
        super().__init__(name="plain")
        self.steps = [layers.Conv2D(4, 3, activation="relu", name="conv1"), layers.Dropout(0.5, name="dropout")]
        self.pool = layers.GlobalAveragePooling2D(name="gap")
        self.head = layers.Dense(3, name="logits")

    def call(self, x):
        for step in self.steps:
            x = step(x)
        return self.head(self.pool(x))


def _built(model):
    model.build((None, 8, 8, 3))
    model(np.zeros((1, 8, 8, 3), np.float32))
    return model


def subclassed():
    """A subclassed model with a `training` argument."""
    return _built(Subclassed())


def subclassed_plain():
    """A subclassed model without a `training` argument."""
    return _built(SubclassedPlain())


def regularized():
    """Dropout, batch normalization and an activity regularizer, compiled with an optimizer that has state."""
    picture = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, activity_regularizer="l2", name="conv1")(picture)
    x = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(x))
    x = layers.GlobalAveragePooling2D(name="gap")(layers.Dropout(0.5, seed=7, name="dropout")(x))
    model = keras.Model(picture, layers.Dense(3, activation="softmax", name="probabilities")(x), name="regularized")
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


BUILDERS = {
    builder.__name__: builder
    for builder in (
        sequential,
        functional,
        nested,
        nested_sequential,
        shared,
        bare_operations,
        flat,
        squeeze_and_excite,
        composite,
        subclassed,
        subclassed_plain,
        regularized,
    )
}


def build(name, seed=0):
    """The named network with its NumPy weights."""
    return assign_weights(BUILDERS[name](), seed)


@functools.cache
def engine(name, **options):
    """The engine of the named network that tests share: they leave its model as it is."""
    return Engine(build(name), **options)


@functools.cache
def worked_example(head="linear"):
    """The engine of `one_conv` that tests share."""
    return Engine(one_conv(head))


@contextlib.contextmanager
def dtype_policy(name):
    """Layers made inside have this policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def value_and_gradient(function):
    """`gradient` and the value as a function of NumPy arrays, compiled once where the framework compiles."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        @tf.function
        def both(tensor):
            with tf.GradientTape() as tape:
                tape.watch(tensor)
                value = function(tensor)
            return value, tape.gradient(value, tensor)

        return lambda at: [one.numpy() for one in both(tf.constant(at))]
    if backend == "torch":
        import torch

        def eager(at):
            tensor = torch.from_numpy(at).requires_grad_()
            value = function(tensor)
            return value.item(), torch.autograd.grad(value, tensor)[0].numpy()

        return eager
    import jax

    jitted = jax.jit(jax.value_and_grad(function))
    return lambda at: [np.asarray(one) for one in jitted(at)]


def gradient(function, at):
    """∂function/∂at in the framework's own words: `function` takes one tensor and gives a scalar."""
    backend = keras.backend.backend()
    tensor = ops.convert_to_tensor(at)
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(tensor)
            value = function(tensor)
        return tape.gradient(value, tensor).numpy()
    if backend == "torch":
        import torch

        tensor = tensor.detach().requires_grad_()
        return torch.autograd.grad(function(tensor), tensor)[0].cpu().numpy()
    import jax

    return np.asarray(jax.jit(jax.grad(function))(tensor))


def separable():
    """A small trunk in the manner of Xception: separable convolutions, a residual, batch normalization; any size."""
    picture = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 3, strides=2, use_bias=False, name="conv1")(picture)
    x = layers.Activation("relu", name="conv1_act")(layers.BatchNormalization(name="conv1_bn")(x))
    residual = layers.Conv2D(12, 1, strides=2, padding="same", use_bias=False, name="residual")(x)
    x = layers.SeparableConv2D(12, 3, padding="same", use_bias=False, name="sepconv1")(x)
    x = layers.SeparableConv2D(12, 3, padding="same", use_bias=False, name="sepconv2")(layers.ReLU(name="act1")(x))
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="pool")(x)
    x = layers.Add(name="add")([x, residual])
    x = layers.SeparableConv2D(10, 3, padding="same", use_bias=False, name="sepconv3")(layers.ReLU(name="act")(x))
    return assign_weights(keras.Model(picture, x, name="separable"))


KERNEL_OF_COLORS = np.array([[3.0, 0.0, 1.0], [4.0, 0.0, 0.0], [0.0, 0.0, 0.0]], np.float32)


def linear(first=None, **options):
    """Filters (3, 4, 0), nothing, (1, 0, 0) on the colors of a pixel."""
    picture = keras.Input((12, 12, 3))
    x = picture if first is None else first(picture)
    model = keras.Model(picture, layers.Conv2D(3, 1, use_bias=False, name="conv", **options)(x))
    model.get_layer("conv").set_weights([KERNEL_OF_COLORS[None, None]])
    return model


ROWS: dict[str, list[int]] = {}


class Listening(layers.Layer):
    """Passes its input on and remembers how many pictures it was called with."""

    def call(self, x):
        ROWS.setdefault(self.name, []).append(x.shape[0])
        return x
