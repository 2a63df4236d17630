"""Chains of nodes that passes rewrite, and near misses: now and then something else takes a value from inside."""
import numpy as np

from .builder import Misfit, maker
from .convolution import convolve, transposed_window, window
from .normalisation import statistics
from .spellings import LEAKY, activate


def batch_norm(b, v):
    return b.node("BatchNormalization", [v, *statistics(b, v.shape[1])], epsilon=1e-3)


def affine(b, v):
    """Mul or Add (Sub, Div) by a constant, of one element or one a channel."""
    shape = b.pick([(), (1,), (v.shape[1], *[1] * (v.rank - 2)), (1, v.shape[1], *[1] * (v.rank - 2))])
    numbers = np.abs(b.array("float32", shape)) + np.float32(0.5)
    return b.node(b.pick(["Mul", "Add", "Sub", "Div"]), [v, b.constant(numbers.astype(np.float32), always=True)])


@maker()
def conv_chain(b):
    v = b.image((3, 4, 4, 4, 5))
    values = [convolve(b, v)]
    for _ in range(b.int(1, 4)):
        step = b.pick([batch_norm, affine, activate, activate])
        values.append(step(b, values[-1]))
    b.hide(*values[:-1])


@maker()
def stem(b):
    """The first layers of a network for pictures."""
    v = b.input("float32", [b.int(1, 2), b.pick([1, 3, 3, 4]), b.int(16, 40), b.int(16, 40)])
    size = b.pick([3, 3, 5, 7])
    values = [convolve(b, v, 1, b.pick([8, 12, 16, 24, 32]), kernel_shape=[size, size], pads=[size // 2] * 4,
                       strides=[b.int(1, 2)] * 2)]
    for step in ([batch_norm] if b.chance(0.5) else []) + [activate]:
        values.append(step(b, values[-1]))
    if b.chance(0.5):
        values.append(b.node("MaxPool", [values[-1]], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]))
    else:
        values.append(convolve(b, values[-1], 1, 16, kernel_shape=[3, 3], pads=[1, 1, 1, 1]))
    b.hide(*values[:-1])


@maker()
def conv_residual(b):
    """Conv + Add + activation; the other summand is an input, the source or a second convolution."""
    v = b.image((4,), (4, 8, 16))
    same = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    y = convolve(b, v, 1, v.shape[1], **same)
    kind = b.int(0, 3)
    other = v
    if kind == 1:
        other = b.input("float32", y.shape)
    elif kind == 2:
        other = convolve(b, v, 1, v.shape[1], kernel_shape=[1, 1])
    if b.chance(0.3):
        y = batch_norm(b, y)
    if b.chance(0.3):
        y = activate(b, y)
    total = b.node("Add", [y, other] if b.chance(0.5) else [other, y])
    if b.chance(0.8):
        activate(b, total)
        b.hide(total)
    b.hide(y)


@maker()
def concat_of_convs(b):
    v = b.image((4,), (4, 8, 16, 32))
    parts = []
    for _ in range(b.int(2, 3)):
        part = convolve(b, v, 1, b.pick([4, 8, 12, 16, 32]), kernel_shape=[1, 1])
        parts.append(activate(b, part) if b.chance(0.6) else part)
    if b.chance(0.2):
        parts.append(parts[0])
    y = b.node("Concat", parts, axis=1)
    z = activate(b, y) if b.chance(0.5) else y
    if b.chance(0.6):
        convolve(b, z, 1, 8, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    b.hide(*parts, y, z)


@maker()
def split_of_conv(b):
    v = b.image((4,), (8, 16))
    y = convolve(b, v, 1, 16, kernel_shape=[1, 1])
    z = activate(b, y) if b.chance(0.5) else y
    first = b.pick([4, 8, 5])
    shapes = [("float32", [z.shape[0], size, *z.shape[2:]]) for size in (first, 16 - first)]
    if b.opset < 13:
        left, right = b.nodes_of("Split", [z], 2, axis=1, split=[first, 16 - first], types=shapes)
    else:
        left, right = b.nodes_of("Split", [z, b.ints([first, 16 - first])], 2, axis=1, types=shapes)
    done = activate(b, left)
    b.node("Concat", [right, done] if b.chance(0.5) else [done, right], axis=1)
    b.hide(y, z, left, right, done)


@maker()
def pad_conv(b):
    v = b.image((4,), (3, 4, 8))
    pads = [0, 0, b.int(0, 2), b.int(0, 2), 0, 0, b.int(0, 2), b.int(0, 2)]
    mode = b.pick(["constant", "constant", "reflect", "edge"])
    if b.opset < 11:
        y = b.node("Pad", [v], mode=mode, pads=pads, value=b.pick([0.0, 0.0, 1.0]))
    else:
        value = [b.scalar(b.pick([0.0, 0.0, 1.0]))] if b.chance(0.5) else []
        y = b.node("Pad", [v, b.ints(pads), *value], mode=mode,
                   types=[("float32", [size + pads[i] + pads[i + 4] for i, size in enumerate(v.shape)])])
    b.hide(y)
    if b.chance(0.8):
        z = convolve(b, y)
        activate(b, z)
        b.hide(z)
    else:
        b.node(b.pick(["MaxPool", "AveragePool"]), [y], kernel_shape=[2, 2], strides=[2, 2])


@maker()
def transposes(b):
    """What TensorFlow exporters leave: channels last outside, channels first inside."""
    v = b.input("float32", [b.int(1, 2), b.int(3, 9), b.int(3, 9), b.pick([3, 4, 8])])
    values = [b.node("Transpose", [v], perm=[0, 3, 1, 2])]
    values.append(convolve(b, values[-1]))
    if b.chance(0.5):
        values.append(activate(b, values[-1]))
    values.append(b.node("Transpose", [values[-1]], perm=[0, 2, 3, 1]))
    if b.chance(0.7):
        bias = b.constant(b.array("float32", [values[-1].shape[3]]))
        values.append(b.node(b.pick(["Add", "Mul"]), [values[-1], bias]))
        values.append(activate(b, values[-1]))
        values.append(b.node("Transpose", [values[-1]], perm=[0, 3, 1, 2]))
        values.append(convolve(b, values[-1]))
    b.hide(*values[:-1])


@maker()
def leaky_pool(b):
    """LeakyRelu commutes with MaxPool where its slope is positive."""
    v = b.image((4,))
    y = activate(b, convolve(b, v) if b.chance(0.7) else v, LEAKY)
    if min(y.shape[2:]) < 3:
        raise Misfit("size")
    z = b.node(b.pick(["MaxPool", "MaxPool", "AveragePool"]), [y], kernel_shape=[b.int(2, 3)] * 2,
               strides=[b.int(1, 2)] * 2)
    if b.chance(0.5):
        activate(b, z, LEAKY)
    b.hide(y, z)


@maker()
def deconv_chain(b):
    v = b.image((3, 4), (2, 4, 8, 16))
    how = transposed_window(b, v)
    weights = b.array("float32", [v.shape[1], b.pick([1, 4, 8]), *how["kernel_shape"]])
    values = [b.node("ConvTranspose", [v, b.constant(weights)], **how)]
    for step in ([batch_norm] if b.chance(0.7) else []) + [activate]:
        values.append(step(b, values[-1]))
    b.hide(*values[:-1])


@maker()
def dense_chain(b):
    rows, k, n = b.int(1, 9), b.int(1, 40), b.int(1, 40)
    x = b.input("float32", [*[2] * b.int(0, 1), rows, k])
    weights = b.constant(b.array("float32", [k, n]))
    if x.rank == 2 and b.chance(0.5):
        y = b.node("Gemm", [x, weights, b.constant(b.array("float32", [n]))])
    else:
        product = b.node("MatMul", [x, weights])
        bias = b.constant(b.array("float32", b.pick([[n], [1, n], []])))
        y = b.node("Add", [product, bias] if b.chance(0.5) else [bias, product])
        b.hide(product)
    z = activate(b, y)
    b.hide(y)
    if b.chance(0.4):
        b.node("MatMul", [z, b.constant(b.array("float32", [n, b.int(1, 20)]))])


@maker()
def normalise_chain(b):
    v = b.image((4,))
    parts = [b.constant(b.array("float32", [v.shape[1]])) for _ in range(2)]
    y = b.node("InstanceNormalization", [v, *parts], epsilon=1e-2)
    activate(b, y, LEAKY)
    b.hide(y)


@maker()
def layer_norm_spelled(b):
    """LayerNormalization as exporters wrote it before opset 17."""
    v = b.input("float32", [b.int(1, 3), b.int(1, 5), b.int(4, 20)])

    def mean(x):
        types = [("float32", [*v.shape[:2], 1])]
        if b.opset < 18:
            return b.node("ReduceMean", [x], axes=[-1 if b.opset >= 11 else 2], keepdims=1, types=types)
        return b.node("ReduceMean", [x, b.ints([-1])], keepdims=1, types=types)
    first = mean(v)
    centred = b.node("Sub", [v, first])
    squared = b.node("Pow", [centred, b.scalar(2.0)]) if b.chance(0.6) else b.node("Mul", [centred, centred])
    variance = mean(squared)
    shifted = b.node("Add", [variance, b.scalar(1e-2)])
    deviation = b.node("Sqrt", [shifted])
    normal = b.node("Div", [centred, deviation])
    scaled = b.node("Mul", [normal, b.constant(b.array("float32", [v.shape[2]]))])
    b.node("Add", [scaled, b.constant(b.array("float32", [v.shape[2]]))])
    b.hide(first, centred, squared, variance, shifted, deviation, normal, scaled)


@maker()
def squeeze_excite(b):
    v = b.image((4,), (4, 8, 16))
    pooled = b.node("GlobalAveragePool", [v])
    small = convolve(b, pooled, 1, 4, kernel_shape=[1, 1])
    inner = activate(b, small)
    wide = convolve(b, inner, 1, v.shape[1], kernel_shape=[1, 1])
    gate = b.node(b.pick(["Sigmoid", "HardSigmoid"]), [wide])
    b.node("Mul", [v, gate] if b.chance(0.5) else [gate, v])
    b.hide(pooled, small, inner, wide, gate)


@maker()
def channel_shuffle(b):
    v = b.image((4,), (4, 8, 16))
    n, c, h, w = v.shape
    if c % 2:
        raise Misfit("channels")
    apart = b.node("Reshape", [v, b.ints([n, 2, c // 2, h, w])])
    turned = b.node("Transpose", [apart], perm=[0, 2, 1, 3, 4])
    back = b.node("Reshape", [turned, b.ints([n, c, h, w])])
    convolve(b, back, c, c, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    b.hide(apart, turned, back)


@maker()
def norm_then_conv(b):
    """Normalisation and activation before the convolution, as in DenseNet."""
    v = b.image((4,))
    y = batch_norm(b, v)
    z = activate(b, y)
    same = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]} if b.chance(0.7) else window(b, z)
    w = convolve(b, z, 1, 4, **same)
    if w.shape[2:] == v.shape[2:]:
        b.node("Concat", [v, w], axis=1)
    b.hide(y, z)
