"""Convolutions of all kinds."""
import numpy as np

from .builder import Misfit, maker


def window(b, v, dilated=True):
    """Attributes of a sliding window over the image `v`."""
    axes = v.rank - 2
    attributes = {"kernel_shape": [b.int(1, 3) for _ in range(axes)], "strides": [b.int(1, 2) for _ in range(axes)]}
    if dilated:
        attributes["dilations"] = [b.int(1, 2) if b.chance(0.3) else 1 for _ in range(axes)]
    if b.chance(0.25):
        attributes["auto_pad"] = b.pick(["SAME_UPPER", "SAME_LOWER", "VALID"])
        # ONNX Runtime refuses dilated convolutions with it and forgets the dilation of pools.
        attributes.pop("dilations", None)
    else:
        attributes["pads"] = [b.int(0, k - 1) for k in attributes["kernel_shape"] * 2]
    # Where a window does not fit, floor((size - span) / stride) + 1 of the standard is 0 and Sluice refuses;
    # ONNX Runtime rounds the negative quotient towards zero and computes one window.
    pads = attributes.get("pads", [0] * 2 * axes)
    dilations = attributes.get("dilations", [1] * axes)
    for i, kernel in enumerate(attributes["kernel_shape"]):
        if (kernel - 1) * dilations[i] + 1 > v.shape[i + 2] + pads[i] + pads[i + axes]:
            attributes["kernel_shape"][i] = 1
            if "pads" in attributes:
                pads[i] = pads[i + axes] = 0
    return attributes


def convolve(b, v, groups=None, oc=None, bias=None, op="Conv", **attributes):
    """A convolution of an image; its value."""
    channels = v.shape[1]
    groups = groups or b.pick([g for g in range(1, channels + 1) if channels % g == 0])
    attributes = attributes or window(b, v)
    oc = oc or groups * b.int(1, 4)
    weights = b.array("float32", [oc, channels // groups, *attributes["kernel_shape"]])
    bias = b.chance(0.5) if bias is None else bias
    parts = [b.constant(weights)] + ([b.constant(b.array("float32", [oc]))] if bias else [])
    return b.node(op, [v, *parts], group=groups, **attributes)


@maker()
def conv(b):
    convolve(b, b.image())


@maker()
def conv_of_many_channels(b):
    """Wide enough for blocked layouts, Winograd and tiles."""
    c = b.pick([16, 20, 32, 33, 48, 64])
    v = b.input("float32", [b.int(1, 2), c, b.int(5, 17), b.int(5, 17)])
    size = b.pick([1, 3, 3, 5])
    convolve(b, v, b.pick([1, 1, c]), b.pick([1, 2]) * c, kernel_shape=[size, size],
             pads=[size // 2] * 4, strides=[b.int(1, 2)] * 2)


@maker()
def no_images(b):
    """A batch of 0 through what takes images."""
    v = b.input("float32", [0, 4, b.int(4, 9), b.int(4, 9)])
    values = [convolve(b, v), b.node("GlobalAveragePool", [v])]
    values.append(b.node("MaxPool", [values[0]], kernel_shape=[1, 1]))
    b.node("LeakyRelu", [values[-1]], alpha=0.1)


@maker()
def depthwise(b):
    v = b.image((3, 4), (4, 8, 16, 24))
    convolve(b, v, v.shape[1], v.shape[1] * b.int(1, 2))


def transposed_window(b, v):
    axes = v.rank - 2
    how = {"kernel_shape": [b.int(1, 4) for _ in range(axes)], "strides": [b.int(1, 3) for _ in range(axes)]}
    if b.chance(0.3):
        how["dilations"] = [b.int(1, 2) for _ in range(axes)]
    if b.chance(0.3):
        how["output_padding"] = [b.int(0, s - 1) for s in how["strides"]]
    kind = b.int(0, 3)
    if kind == 0:
        how["auto_pad"] = b.pick(["SAME_UPPER", "SAME_LOWER", "VALID"])
        how.pop("output_padding", None)
        # A kernel below the stride cannot make stride * size elements of its own.
        how["kernel_shape"] = [max(k, s) for k, s in zip(how["kernel_shape"], how["strides"])]
    elif kind == 1:
        spans = [(k - 1) * d + 1 for k, d in zip(how["kernel_shape"], how.get("dilations", [1] * axes))]
        full = [(size - 1) * s + span for size, s, span in zip(v.shape[2:], how["strides"], spans)]
        how["output_shape"] = [max(1, f - b.int(0, min(2, span - 1))) for f, span in zip(full, spans)]
        how.pop("output_padding", None)
    else:
        how["pads"] = [b.int(0, (k - 1) // 2) for k in how["kernel_shape"] * 2]
    return how


@maker()
def conv_transpose(b):
    v = b.image((3, 4, 5))
    how = transposed_window(b, v)
    groups = b.pick([g for g in (1, 1, 2, 4, v.shape[1]) if v.shape[1] % g == 0])
    oc = b.int(1, 4)
    weights = b.array("float32", [v.shape[1], oc, *how["kernel_shape"]])
    bias = [b.constant(b.array("float32", [oc * groups]))] if b.chance(0.5) else []
    b.node("ConvTranspose", [v, b.constant(weights), *bias], group=groups, **how)


@maker(19)
def deform_conv(b):
    v = b.image((4,), (2, 4, 8))
    kernel, oc = [b.int(1, 3), b.int(1, 3)], b.int(1, 3) * 2
    groups, offset_groups = b.int(1, 2), b.int(1, 2)
    pads, strides = [b.int(0, 1) for _ in range(4)], [b.int(1, 2), b.int(1, 2)]
    sizes = [(v.shape[2 + i] + pads[i] + pads[2 + i] - kernel[i]) // strides[i] + 1 for i in range(2)]
    if min(sizes) < 1 or v.shape[1] % 2:
        raise Misfit("window")
    n, taps = v.shape[0], kernel[0] * kernel[1]
    offsets = b.rng.uniform(-1.5, 1.5, [n, offset_groups * taps * 2, *sizes]).astype(np.float32)
    parts = [b.constant(b.array("float32", [oc, v.shape[1] // groups, *kernel])), b.constant(offsets)]
    if b.chance(0.5):
        parts.append(b.constant(b.array("float32", [oc])))
        parts.append(b.constant(b.rng.uniform(0, 1, [n, offset_groups * taps, *sizes]).astype(np.float32)))
    b.node("DeformConv", [v, *parts], group=groups, offset_group=offset_groups, kernel_shape=kernel, pads=pads,
           strides=strides, types=[("float32", [n, oc, *sizes])])
