"""Quantised operators.

Scales are powers of two: sums and products are exact, and so are the ties that rounding meets.
"""
import numpy as np

from .builder import Misfit, maker
from .convolution import window

BYTES = ("int8", "uint8")


def scale(b):
    return b.scalar(b.pick([0.125, 0.25, 0.5]))


def zero(b, kind):
    return b.scalar(b.int(0, 9), kind)


@maker(10)
def quantize(b):
    v = b.find(("float32",), exact=True, least=1)
    kind = b.pick(BYTES + (("int16", "uint16") if b.opset >= 21 else ()))
    b.node("QuantizeLinear", [v, b.scalar(b.pick([0.037, 0.25])), zero(b, kind)], exact=True,
           types=[(kind, v.shape)])


@maker(13)
def quantize_axis(b):
    v = b.find(("float32",), ranks=(2, 3, 4), exact=True, least=1)
    axis, kind = b.int(-v.rank, v.rank - 1), b.pick(BYTES)
    scales = b.rng.uniform(0.01, 0.5, v.shape[axis]).astype(np.float32)
    q = b.node("QuantizeLinear", [v, b.constant(scales), b.constant(b.rng.integers(0, 9, v.shape[axis]).astype(kind))],
               axis=axis, exact=True)
    if b.chance(0.5):
        b.node("DequantizeLinear", [q, b.constant(scales)], axis=axis, exact=True)


@maker(21)
def quantize_blocks(b):
    v = b.input("float32", [b.int(1, 3), 8, b.int(1, 4)])
    kind, block = b.pick(BYTES), b.pick([2, 4])
    scales = b.rng.uniform(0.01, 0.5, [v.shape[0], 8 // block, v.shape[2]]).astype(np.float32)
    zeros = b.rng.integers(0, 9, scales.shape).astype(kind)
    q = b.node("QuantizeLinear", [v, b.constant(scales), b.constant(zeros)], axis=1, block_size=block, exact=True,
               types=[(kind, v.shape)])
    b.node("DequantizeLinear", [q, b.constant(scales), b.constant(zeros)], axis=1, block_size=block, exact=True,
           types=[("float32", v.shape)])


@maker(10)
def dequantize(b):
    v = b.find(BYTES)
    b.node("DequantizeLinear", [v, b.scalar(0.25), b.scalar(3, v.dtype)], exact=True)


@maker(10)
def dequantize_sums(b):
    b.node("DequantizeLinear", [b.find(("int32",)), b.scalar(0.25)], exact=True)


@maker(11)
def dynamic_quantize(b):
    b.nodes_of("DynamicQuantizeLinear", [b.find(("float32",), exact=True, least=1)], 3, exact=True)


@maker(10)
def matmul_integer(b):
    m, k, n = b.int(1, 9), b.int(1, 40), b.int(1, 20)
    left, right = b.pick([("uint8", "uint8"), ("uint8", "int8"), ("int8", "int8")])
    zeros = [zero(b, left), zero(b, right)] if b.chance(0.7) else []
    b.node("MatMulInteger", [b.input(left, [*[2] * b.int(0, 1), m, k]), b.constant(b.array(right, [k, n])), *zeros],
           exact=True)


@maker(10)
def qlinear_matmul(b):
    m, k, n = b.int(1, 9), b.int(1, 40), b.int(1, 20)
    left, right = b.pick([("uint8", "uint8"), ("uint8", "int8"), ("int8", "int8")])
    b.node("QLinearMatMul", [b.input(left, [m, k]), scale(b), zero(b, left), b.constant(b.array(right, [k, n])),
                             scale(b), zero(b, right), scale(b), zero(b, left)], exact=True)


def byte_image(b, kind):
    return b.input(kind, [b.int(1, 2), b.pick([1, 2, 4, 8]), b.int(4, 10), b.int(4, 10)])


@maker(10)
def qlinear_conv(b):
    kind, weights_kind = b.pick([("uint8", "uint8"), ("uint8", "int8"), ("int8", "int8")])
    v = byte_image(b, kind)
    how = window(b, v)
    groups = b.pick([1, 1, v.shape[1]])
    oc = groups * b.int(1, 4)
    weights = b.array(weights_kind, [oc, v.shape[1] // groups, *how["kernel_shape"]])
    scales = b.constant(np.array([b.pick([0.125, 0.25, 0.5]) for _ in range(oc)], np.float32), always=True)
    # ONNX Runtime wants one zero point for all channels of the weights.
    zeros = b.constant(np.full(oc, b.int(0, 5), weights_kind), always=True)
    if b.chance(0.5):
        scales, zeros = scale(b), zero(b, weights_kind)
    bias = [b.constant(b.array("int32", [oc]))] if b.chance(0.5) else []
    b.node("QLinearConv", [v, scale(b), zero(b, kind), b.constant(weights), scales, zeros, scale(b), zero(b, kind),
                           *bias], group=groups, exact=True, **how)


@maker(10)
def conv_integer(b):
    # ONNX Runtime has it for uint8 images alone.
    v = byte_image(b, "uint8")
    how = window(b, v)
    kind = b.pick(BYTES)
    weights = b.array(kind, [b.int(1, 6), v.shape[1], *how["kernel_shape"]])
    zeros = [zero(b, "uint8")] if b.chance(0.7) else []
    b.node("ConvInteger", [v, b.constant(weights), *zeros], exact=True, **how)


@maker(13)
def quantised_layer(b):
    """DequantizeLinear, Conv or MatMul, activation, QuantizeLinear: what quantising exporters write."""
    kind = b.pick(BYTES)
    v = byte_image(b, kind)
    x = b.node("DequantizeLinear", [v, scale(b), zero(b, kind)])
    weights = b.array("int8", [b.int(1, 8), v.shape[1], 3, 3])
    w = b.node("DequantizeLinear", [b.constant(weights, always=True), scale(b), b.scalar(0, "int8")])
    y = b.node("Conv", [x, w], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    z = b.node("Relu", [y]) if b.chance(0.7) else y
    if z.rank != 4:
        raise Misfit("rank")
    # Powers of two: every sum is exact, so both round the same number.
    b.node("QuantizeLinear", [z, scale(b), zero(b, kind)], exact=True)
    b.hide(x, w, y, z)
