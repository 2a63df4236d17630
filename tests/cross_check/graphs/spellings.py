"""The ways in which exporters spell activations, and graphs of one of them."""
import numpy as np
from onnx import helper

from .builder import Misfit, maker


class Speller:
    """Writes the nodes of one activation of `v`; what lies between is hidden from other nodes."""

    def __init__(self, b, v):
        self.b, self.v, self.between = b, v, []

    def node(self, op, *inputs, **attributes):
        value = self.b.node(op, list(inputs), **attributes)
        self.between.append(value)
        return value

    def either(self, op, left, right):
        """Of a commutative operator: the order of the operands is drawn."""
        return self.node(op, left, right) if self.b.chance(0.5) else self.node(op, right, left)

    def number(self, value):
        """A constant of one element, as an initializer or as a node, with or without axes."""
        array = np.full(self.b.pick([(), (), (1,), (1,) * self.v.rank]), value, self.v.dtype)
        if self.b.chance(0.8):
            return self.b.constant(array, always=True)
        return self.node("Constant", value=helper.make_tensor("value", 1, array.shape, array.ravel()))

    def scaled(self, value, factor):
        return self.either("Mul", value, self.number(factor))

    def zero(self):
        return self.number(0)

    def clip(self, value, low, high):
        if self.b.opset >= 11:
            bounds = [self.b.scalar(bound) if bound is not None else "" for bound in (low, high)]
            return self.node("Clip", value, *bounds)
        return self.node("Clip", value, min=low, max=high)


def slope(s):
    return s.b.pick([0.1, 0.01, 0.2, 0.3, 0.0])


def leaky(s):
    return s.node("LeakyRelu", s.v, alpha=s.b.pick([0.1, 0.01, 0.2, 0.0, 1.5, -0.2]))


def prelu(s):
    channels = s.v.shape[1] if s.v.rank > 2 else None
    shape = s.b.pick([(1,), (channels, *[1] * (s.v.rank - 2)) if channels else (1,)])
    return s.node("PRelu", s.v, s.b.constant(s.b.array("float32", shape), always=True))


def leaky_max(s):
    return s.either("Max", s.v, s.scaled(s.v, slope(s)))


def leaky_where(s):
    if s.b.opset < 9:
        return leaky(s)
    op = s.b.pick(["Greater", "Less"] + (["GreaterOrEqual", "LessOrEqual"] if s.b.opset >= 12 else []))
    small = s.scaled(s.v, s.b.pick([0.1, 0.2, -0.3]))
    mirrored = s.b.chance(0.3)
    condition = s.node(op, *((s.zero(), s.v) if mirrored else (s.v, s.zero())))
    positive = op.startswith("Greater") != mirrored
    return s.node("Where", condition, *((s.v, small) if positive else (small, s.v)))


def leaky_relus(s):
    negative = s.node("Neg", s.v) if s.b.chance(0.6) else s.scaled(s.v, -1)
    left, right = s.node("Relu", s.v), s.node("Relu", negative)
    alpha, kind = slope(s), s.b.int(0, 2)
    if kind == 0:
        return s.node("Sub", left, s.scaled(right, alpha))
    if kind == 1:
        return s.either("Add", left, s.scaled(right, -alpha))
    return s.either("Add", left, s.node("Neg", s.scaled(right, alpha)))


def leaky_abs(s):
    alpha = s.b.pick([0.1, 0.2])
    return s.either("Add", s.scaled(s.v, (1 + alpha) / 2), s.scaled(s.node("Abs", s.v), (1 - alpha) / 2))


def leaky_clips(s):
    return s.either("Add", s.clip(s.v, 0.0, None), s.scaled(s.clip(s.v, None, 0.0), slope(s)))


def leaky_extremes(s):
    if s.b.opset < 8:  # Max and Min do not broadcast yet
        return leaky(s)
    return s.either("Add", s.either("Max", s.v, s.zero()), s.scaled(s.either("Min", s.v, s.zero()), slope(s)))


def leaky_relu_and_rest(s):
    """x - Relu(x) is the negative part."""
    relu = s.node("Relu", s.v)
    return s.either("Add", relu, s.scaled(s.node("Sub", s.v, relu), slope(s)))


def clipped(s):
    low, high = s.b.pick([(0.0, 6.0), (0.0, 1.0), (-1.0, 1.0)])
    return s.clip(s.v, low, high)


def named(s):
    ops = ["Relu", "Sigmoid", "Tanh", "Elu", "HardSigmoid", "Softplus", "Selu", "Softsign"]
    return s.node(s.b.pick(ops + (["HardSwish"] if s.b.opset >= 14 else [])), s.v)


def silu(s):
    return s.either("Mul", s.v, s.node("Sigmoid", s.v))


def hard_swish(s):
    if s.b.chance(0.5):
        return s.either("Mul", s.v, s.node("HardSigmoid", s.v, alpha=1 / 6, beta=0.5))
    gate = s.clip(s.either("Add", s.v, s.number(3)), 0.0, 6.0)
    if s.b.chance(0.5):
        return s.node("Div", s.either("Mul", s.v, gate), s.number(6))
    return s.either("Mul", s.v, s.scaled(gate, 1 / 6))


def mish(s):
    return s.either("Mul", s.v, s.node("Tanh", s.node("Softplus", s.v)))


def gelu_erf(s):
    if s.b.opset < 9:
        return silu(s)
    inner = s.node("Div", s.v, s.number(2 ** 0.5)) if s.b.chance(0.5) else s.scaled(s.v, 2 ** -0.5)
    gate = s.either("Add", s.node("Erf", inner), s.number(1))
    if s.b.chance(0.5):
        return s.either("Mul", s.scaled(s.v, 0.5), gate)
    return s.scaled(s.either("Mul", s.v, gate), 0.5)


def gelu_tanh(s):
    if s.b.chance(0.5):
        cube = s.node("Pow", s.v, s.b.scalar(3.0))
    else:
        cube = s.either("Mul", s.v, s.node("Mul", s.v, s.v))
    inner = s.scaled(s.either("Add", s.v, s.scaled(cube, 0.044715)), (2 / np.pi) ** 0.5)
    gate = s.either("Add", s.node("Tanh", inner), s.number(1))
    if s.b.chance(0.5):
        return s.either("Mul", s.scaled(s.v, 0.5), gate)
    return s.scaled(s.either("Mul", s.v, gate), 0.5)


LEAKY = [leaky, prelu, leaky_max, leaky_where, leaky_relus, leaky_abs, leaky_clips, leaky_extremes,
         leaky_relu_and_rest]
OTHER = [clipped, named, silu, hard_swish, mish, gelu_erf, gelu_tanh]


def activate(b, v, spellings=None):
    """One activation of the float value `v`; its value."""
    if v.dtype != "float32":
        raise Misfit("type")
    s = Speller(b, v)
    result = b.pick(spellings or (LEAKY if b.chance(0.5) else OTHER))(s)
    b.hide(*[between for between in s.between if between is not result])
    return result


@maker()
def activation(b):
    activate(b, b.find(("float32",), ranks=(2, 3, 4), least=1))
