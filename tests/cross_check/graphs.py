"""Random small ONNX graphs: the same seed gives the same graph and the same inputs.

A maker adds one node to a Builder, choosing among the values made so far; it returns nothing where none fits.
Values remember whether they are exact: results of arithmetic differ in the last bits between runtimes, so steps
(Floor, ArgMax, comparisons, Cast to integers) take exact values only.
"""
import numpy as np
from onnx import TensorProto, checker, helper, mapping, numpy_helper, shape_inference

MAKERS = []  # (function, least opset, greatest opset)

FLOATS = ("float32", "float64")
INTS = ("int32", "int64")
FINAL = "final"  # in the place of `exact`: no other node takes the value


def maker(since=1, until=99):
    def register(function):
        MAKERS.append((function, since, until))
        return function
    return register


class Value:
    def __init__(self, name, dtype, shape, exact):
        self.name, self.dtype, self.shape, self.exact = name, dtype, tuple(shape), exact

    @property
    def rank(self):
        return len(self.shape)

    @property
    def elems(self):
        return int(np.prod(self.shape, dtype=np.int64))


class Builder:
    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.opset = int(self.rng.integers(8, 18))
        self.nodes, self.initializers, self.values, self.dynamic = [], [], [], []
        self.inputs = {}
        self.count = 0

    def name(self, prefix):
        self.count += 1
        return f"{prefix}{self.count}"

    def chance(self, p):
        return self.rng.random() < p

    def int(self, low, high):
        """In [low, high]."""
        return int(self.rng.integers(low, high + 1))

    def pick(self, options):
        return options[self.int(0, len(options) - 1)]

    def array(self, dtype, shape):
        if dtype in FLOATS + ("float16",):
            return self.rng.standard_normal(shape).astype(dtype)
        return self.rng.integers(0 if dtype[0] in "bu" else -5, 2 if dtype == "bool" else 9, shape).astype(dtype)

    def input(self, dtype, shape):
        name = self.name("x")
        self.inputs[name] = self.array(dtype, shape)
        self.values.append(Value(name, dtype, shape, True))
        return self.values[-1]

    def constant(self, array):
        array = np.asarray(array)
        name = self.name("c")
        # Some parameters come as inputs, whose elements no plan knows.
        if self.chance(0.85):
            self.initializers.append(numpy_helper.from_array(array, name))
        else:
            self.inputs[name] = array
        return name

    def ints(self, values):
        return self.constant(np.array(values, np.int64))

    def find(self, dtypes=None, ranks=None, exact=False, least=0):
        """A value that fits; None where there is none."""
        fits = [v for v in self.values
                if (dtypes is None or v.dtype in dtypes) and (ranks is None or v.rank in ranks)
                and (v.exact or not exact) and v.elems >= least]
        return self.pick(fits) if fits else None

    def image(self, ranks=(3, 4, 5)):
        """A float value [n, c, spatial...] without empty axes; a new input where there is none."""
        value = self.find(("float32",), ranks, least=1)
        if value is None or self.chance(0.3):
            rank = self.pick(ranks)
            value = self.input("float32", [self.int(1, 2), self.pick([1, 2, 3, 4, 8, 16])] +
                               [self.int(4, 12) for _ in range(rank - 2)])
        return value

    def node(self, op, inputs, outputs=1, exact=False, **attributes):
        names = [self.name("v") for _ in range(outputs)]
        inputs = [i.name if isinstance(i, Value) else i for i in inputs]
        node = helper.make_node(op, inputs, names, **attributes)
        self.nodes.append((node, exact))
        return node

    def partner(self, value):
        """Something that broadcasts with `value`: an operand for a binary operator, and whether it is exact."""
        others = [v for v in self.values if v.dtype == value.dtype and broadcasts(v.shape, value.shape)]
        if others and self.chance(0.5):
            other = self.pick(others)
            return other.name, other.exact
        shape = [1 if self.chance(0.4) else size for size in value.shape]
        return self.constant(self.array(value.dtype, shape[self.int(0, len(shape)):])), True

    def model(self, known):
        """With value types from shape inference; `known` are the nodes taken so far."""
        def info(name, array):
            return helper.make_tensor_value_info(name, mapping.NP_TYPE_TO_TENSOR_TYPE[array.dtype], array.shape)
        graph = helper.make_graph([node for node, _ in known], "random",
                                  [info(n, a) for n, a in self.inputs.items()], [], self.initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        return shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)


def broadcasts(a, b):
    return all(x == y or 1 in (x, y) for x, y in zip(reversed(a), reversed(b)))


def unary(ops, since=1, exact=False, dtypes=FLOATS, steps=False, final=False):
    @maker(since)
    def make(b):
        value = b.find(dtypes, exact=steps)
        return value and b.node(b.pick(ops), [value], exact=FINAL if final else exact and value.exact)


unary(["Abs", "Neg"], exact=True, dtypes=FLOATS + INTS)
unary(["Relu", "Identity", "Relu"], exact=True)
unary(["Sign"], 9, exact=True, steps=True)
unary(["Exp", "Tanh", "Sigmoid", "Softplus", "Softsign", "Sin", "Cos", "Atan", "Elu", "Selu", "HardSigmoid"])
unary(["Erf", "Sinh", "Asinh"], 9)
unary(["HardSwish"], 14)
unary(["Celu"], 12)
# Nothing goes on from NaN: the standard does not say what a maximum or a weight of 0 makes of it.
unary(["Sqrt", "Log", "Reciprocal"], steps=True, final=True)
unary(["Floor", "Ceil"], exact=True, steps=True)
unary(["Round"], 11, exact=True, steps=True)
unary(["ThresholdedRelu"], 10, exact=True, steps=True)
unary(["IsNaN"], 9, exact=True)
unary(["Not"], exact=True, dtypes=("bool",))


@maker()
def leaky(b):
    value = b.find(("float32",))
    return value and b.node("LeakyRelu", [value], alpha=b.pick([0.0, 0.01, 0.1, 0.2, 1.5, -0.3]))


@maker()
def arithmetic(b):
    value = b.find(FLOATS + INTS)
    if value is None:
        return None
    other, _ = b.partner(value)
    return b.node(b.pick(["Add", "Sub", "Mul"]), [value, other] if b.chance(0.5) else [other, value])


@maker()
def divide(b):
    value = b.find(FLOATS + INTS)
    if value is None:
        return None
    divisor = np.abs(b.array(value.dtype, value.shape[b.int(0, value.rank):])) + 1
    return b.node("Div", [value, b.constant(divisor.astype(value.dtype))])


@maker(8)
def variadic(b):
    value = b.find(FLOATS)
    if value is None:
        return None
    op = b.pick(["Max", "Min", "Sum", "Mean"])
    others = [b.partner(value)[0] for _ in range(b.int(0, 2))]
    return b.node(op, [value, *others])


@maker(9)
def compare(b):
    value = b.find(FLOATS + INTS, exact=True)
    if value is None:
        return None
    other, exact = b.partner(value)
    ops = ["Greater", "Less"] + (["GreaterOrEqual", "LessOrEqual"] if b.opset >= 12 else [])
    ops += ["Equal"] if b.opset >= 11 or value.dtype in INTS else []
    return b.node(b.pick(ops), [value, other], exact=True) if exact else None


@maker(7)
def logic(b):
    value = b.find(("bool",))
    return value and b.node(b.pick(["And", "Or", "Xor"]), [value, b.partner(value)[0]], exact=True)


@maker(7)
def power(b):
    value = b.find(("float32",))
    return value and b.node("Pow", [value, b.constant(np.float32(b.pick([0, 1, 2, 3])))])


@maker(10)
def modulo(b):
    value = b.find(INTS)
    if value is None:
        return None
    return b.node("Mod", [value, b.constant(np.array(b.pick([-7, -3, 2, 5]), value.dtype))], exact=value.exact,
                  fmod=b.int(0, 1))


@maker(9)
def where(b):
    value, other = b.find(("bool",)), b.find(FLOATS + INTS)
    if value is None or other is None or not broadcasts(value.shape, other.shape):
        return None
    return b.node("Where", [value, other, b.partner(other)[0]])


@maker(6)
def clip(b):
    value = b.find(("float32",))
    if value is None:
        return None
    low, high = b.pick([(-1.0, 1.0), (0.0, 6.0), (-0.5, 0.25)])
    if b.opset < 11:
        return b.node("Clip", [value], min=low, max=high)
    bounds = [b.constant(np.float32(low)) if b.chance(0.8) else "", b.constant(np.float32(high))]
    return b.node("Clip", [value, *bounds])


@maker(9)
def cast(b):
    value = b.find(exact=True)
    if value is None:
        return None
    # A negative float as an unsigned integer is undefined.
    to = b.pick(["float32", "float64", "int32", "int64", "bool"])
    return b.node("Cast", [value], to=mapping.NP_TYPE_TO_TENSOR_TYPE[np.dtype(to)], exact=True)


@maker(7)
def prelu(b):
    value = b.image()
    shape = b.pick([(1,), (value.shape[1],) + (1,) * (value.rank - 2)])
    return b.node("PRelu", [value, b.constant(b.array("float32", shape))])


def move(since=1, until=99, least=0, ranks=(1, 2, 3, 4, 5)):
    """The maker gets any value; what it does keeps exact values exact."""
    def register(function):
        @maker(since, until)
        def make(b):
            value = b.find(ranks=ranks, least=least)
            return value and function(b, value, {"exact": value.exact})
        return function
    return register


@move()
def transpose(b, v, keep):
    if b.chance(0.2):
        return b.node("Transpose", [v], **keep)
    return b.node("Transpose", [v], perm=[int(i) for i in b.rng.permutation(v.rank)], **keep)


@move(least=1)
def reshape(b, v, keep):
    shape, rest = [], v.elems
    for _ in range(b.int(0, 3)):
        divisors = [d for d in range(1, rest + 1) if rest % d == 0]
        shape.append(b.pick(divisors))
        rest //= shape[-1]
    shape.append(rest)
    if b.chance(0.5):
        shape[b.int(0, len(shape) - 1)] = -1
    return b.node("Reshape", [v, b.ints(shape)], **keep)


@move(9)
def flatten(b, v, keep):
    return b.node("Flatten", [v], axis=b.int(0, v.rank), **keep)


def with_axes(b, op, v, axes, since, **attributes):
    """Axes are an attribute before version `since`, afterwards an input."""
    if b.opset < since:
        return b.node(op, [v], axes=axes, **attributes)
    return b.node(op, [v, b.ints(axes)], **attributes)


@move()
def squeeze(b, v, keep):
    axes = [i for i, size in enumerate(v.shape) if size == 1 and b.chance(0.7)]
    return with_axes(b, "Squeeze", v, axes, 13, **keep) if axes else None


@move(ranks=(1, 2, 3))
def unsqueeze(b, v, keep):
    return with_axes(b, "Unsqueeze", v, sorted({b.int(0, v.rank) for _ in range(b.int(1, 2))}), 13, **keep)


@move(4)
def concat(b, v, keep):
    others = [o for o in b.values if o.dtype == v.dtype and o.shape == v.shape]
    parts = [v, *[b.pick(others) for _ in range(b.int(0, 2))]]
    axis = b.int(-v.rank if b.opset >= 11 else 0, v.rank - 1)
    return b.node("Concat", parts, axis=axis, exact=all(p.exact for p in parts))


@move(2, least=2)
def split(b, v, keep):
    axis = b.int(0, v.rank - 1)
    size = v.shape[axis]
    if size < 2:
        return None
    first = b.int(1, size - 1)
    if b.opset < 13:
        return b.node("Split", [v], 2, axis=axis, split=[first, size - first], **keep)
    return b.node("Split", [v, b.ints([first, size - first])], 2, axis=axis, **keep)


@move()
def slice_(b, v, keep):
    axes = [int(i) for i in b.rng.permutation(v.rank)[:b.int(1, v.rank)]]
    starts = [b.int(-v.shape[a] - 1, v.shape[a]) for a in axes]
    ends = [b.int(-v.shape[a] - 1, v.shape[a] + 2) for a in axes]
    if b.opset < 10:
        return b.node("Slice", [v], axes=axes, starts=starts, ends=ends, **keep)
    steps = [b.pick([1, 1, 2, -1, -2]) for _ in axes]
    return b.node("Slice", [v, *map(b.ints, (starts, ends, axes, steps))], **keep)


@move(least=1)
def pad(b, v, keep):
    if v.dtype not in FLOATS + (INTS if b.opset >= 11 else ()):
        return None
    mode = b.pick(["constant", "reflect", "edge"])
    most = [min(2, size - 1) if mode == "reflect" else 2 for size in v.shape]
    pads = [b.int(0, m) for m in most] + [b.int(0, m) for m in most]
    if b.opset < 11:
        return b.node("Pad", [v], mode=mode, pads=pads, value=0.5, **keep)
    inputs = [v, b.ints(pads)] + ([b.constant(np.array(2, v.dtype))] if b.chance(0.5) else [])
    return b.node("Pad", inputs, mode=mode, **keep)


@move(least=1)
def gather(b, v, keep):
    axis = b.int(0, v.rank - 1)
    low = -v.shape[axis] if b.opset >= 11 else 0
    shape = [b.int(1, 3) for _ in range(b.int(0, 2))]
    indices = b.constant(b.rng.integers(low, v.shape[axis], shape).astype(b.pick(INTS)))
    return b.node("Gather", [v, indices], axis=axis, **keep)


@move(11, least=1)
def gather_elements(b, v, keep):
    axis = b.int(0, v.rank - 1)
    shape = [b.int(1, size) for size in v.shape]
    indices = b.constant(b.rng.integers(-v.shape[axis], v.shape[axis], shape))
    return b.node("GatherElements", [v, indices], axis=axis, **keep)


@move(11, least=1)
def gather_nd(b, v, keep):
    depth = b.int(1, v.rank)
    indices = np.stack([b.rng.integers(-s, s, [2, 2]) for s in v.shape[:depth]], -1)
    return b.node("GatherND", [v, b.constant(indices)], **keep)


@move(11, least=1)
def scatter_elements(b, v, keep):
    axis = b.int(0, v.rank - 1)
    shape = [size if i == axis else b.int(1, size) for i, size in enumerate(v.shape)]
    shape[axis] = b.int(1, v.shape[axis])
    order = np.argsort(b.rng.random(v.shape), axis)  # no index twice
    indices = order[tuple(slice(0, s) for s in shape)]
    return b.node("ScatterElements", [v, b.constant(indices.astype(np.int64)), b.constant(b.array(v.dtype, shape))],
                  axis=axis, **keep)


@move(6, least=1)
def tile(b, v, keep):
    return b.node("Tile", [v, b.ints([b.int(0, 2) if b.chance(0.2) else b.int(1, 2) for _ in v.shape])], **keep)


@move(8)
def expand(b, v, keep):
    shape = [b.int(1, 3) if size == 1 else b.pick([1, size]) for size in v.shape]
    return b.node("Expand", [v, b.ints([b.int(1, 2)] * b.int(0, 1) + shape)], **keep)


@move(14, ranks=(2, 3, 4))
def trilu(b, v, keep):
    return b.node("Trilu", [v, b.constant(np.array(b.int(-2, 2)))], upper=b.int(0, 1), **keep)


@move(9, least=1)
def compress(b, v, keep):
    axis = b.int(0, v.rank - 1)
    return b.node("Compress", [v, b.constant(b.rng.random(v.shape[axis]) < 0.6)], axis=axis, **keep)


@maker(9)
def nonzero(b):
    v = b.find(exact=True, ranks=(1, 2, 3, 4))
    return v and b.node("NonZero", [v], exact=True)


@maker()
def shape(b):
    v = b.find()
    return b.node(b.pick(["Shape", "Size"]), [v], exact=True)


@maker()
def depth_to_space(b):
    v = b.image((4,))
    if v.shape[1] % 4 == 0:
        mode = {"mode": b.pick(["DCR", "CRD"])} if b.opset >= 11 else {}
        return b.node("DepthToSpace", [v], blocksize=2, **mode)
    if v.shape[2] % 2 == 0 and v.shape[3] % 2 == 0:
        return b.node("SpaceToDepth", [v], blocksize=2)
    return None


@maker(10)
def resize(b):
    v = b.image((4,))
    mode = b.pick(["nearest", "linear"] + (["cubic"] if b.opset >= 11 else []))
    scales = [1, 1, b.pick([0.5, 1.5, 2, 3]), b.pick([0.75, 1, 2])]
    whole = all(size * scale == int(size * scale) for size, scale in zip(v.shape, scales))
    if b.opset == 10:
        return b.node("Resize", [v, b.constant(np.array(scales, np.float32))], mode=mode)
    coordinates = b.pick(["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"])
    attributes = {"mode": mode, "coordinate_transformation_mode": coordinates}
    if mode == "nearest":
        attributes["nearest_mode"] = b.pick(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
    roi = b.constant(np.array([], np.float32)) if b.opset < 13 else ""
    # With corners aligned, ONNX Runtime takes the output's size for length_resized; the standard's own cases
    # (test_resize_downsample_scales_linear_align_corners) take scale * size, which may be no whole number.
    if b.chance(0.5) and (whole or coordinates != "align_corners"):
        return b.node("Resize", [v, roi, b.constant(np.array(scales, np.float32))], **attributes)
    sizes = [*v.shape[:2], b.int(1, 14), b.int(1, 14)]
    empty = b.constant(np.array([], np.float32)) if b.opset < 13 else ""
    return b.node("Resize", [v, roi, empty, b.ints(sizes)], **attributes)


@maker(7, 9)
def upsample(b):
    v = b.image((4,))
    scales, mode = [1.0, 1.0, b.pick([1.0, 2.0]), b.pick([2.0, 3.0])], b.pick(["nearest", "linear"])
    if b.opset < 9:
        return b.node("Upsample", [v], scales=scales, mode=mode)
    return b.node("Upsample", [v, b.constant(np.array(scales, np.float32))], mode=mode)


@maker()
def reduce(b):
    v = b.find(("float32", "int32"), ranks=(1, 2, 3, 4), least=1)
    if v is None:
        return None
    op = b.pick(["Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "SumSquare"])
    if v.dtype == "float32" and v.exact and b.chance(0.2):
        op = "LogSumExp"
    axes = [int(i) for i in b.rng.permutation(v.rank)[:b.int(1, v.rank)]]
    if b.opset >= 11:
        axes = [a - v.rank if b.chance(0.3) else a for a in axes]
    return with_axes(b, "Reduce" + op, v, axes, 13 if op == "Sum" else 18, keepdims=b.int(0, 1))


@maker()
def arg_reduce(b):
    v = b.find(("float32",), ranks=(1, 2, 3, 4), exact=True, least=1)
    if v is None:
        return None
    last = {"select_last_index": b.int(0, 1)} if b.opset >= 12 else {}
    return b.node(b.pick(["ArgMax", "ArgMin"]), [v], axis=b.int(0, v.rank - 1), keepdims=b.int(0, 1), exact=True,
                  **last)


@maker(11)
def cumsum(b):
    v = b.find(("float32", "int64"), ranks=(1, 2, 3))
    return v and b.node("CumSum", [v, b.constant(np.array(b.int(0, v.rank - 1)))], exclusive=b.int(0, 1),
                        reverse=b.int(0, 1))


@maker(10)
def top_k(b):
    v = b.find(("float32",), ranks=(1, 2, 3), exact=True, least=1)
    if v is None:
        return None
    axis = b.int(0, v.rank - 1)
    largest = {"largest": b.int(0, 1), "sorted": 1} if b.opset >= 11 else {}
    return b.node("TopK", [v, b.ints([b.int(1, v.shape[axis])])], 2, axis=axis, exact=True, **largest)


@maker()
def softmax(b):
    v = b.find(("float32",), ranks=(1, 2, 3, 4), least=1)
    if v is None:
        return None
    axis = b.int(-v.rank if b.opset >= 11 else 0, v.rank - 1)
    ops = ["Softmax", "LogSoftmax"] + (["Hardmax"] if v.exact else [])
    return b.node(b.pick(ops), [v], axis=axis)


def window(b, v, dilated=True):
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
    return attributes


@maker()
def conv(b):
    v = b.image()
    channels = v.shape[1]
    groups = b.pick([g for g in range(1, channels + 1) if channels % g == 0])
    attributes = window(b, v)
    oc = groups * b.int(1, 4)
    weights = b.array("float32", [oc, channels // groups, *attributes["kernel_shape"]])
    bias = [b.constant(b.array("float32", [oc]))] if b.chance(0.5) else []
    return b.node("Conv", [v, b.constant(weights), *bias], group=groups, **attributes)


@maker()
def conv_transpose(b):
    v = b.image((3, 4))
    attributes = window(b, v)
    attributes.pop("auto_pad", None)
    weights = b.array("float32", [v.shape[1], b.int(1, 4), *attributes["kernel_shape"]])
    return b.node("ConvTranspose", [v, b.constant(weights)], **attributes)


@maker()
def pool(b):
    v = b.image()
    op = b.pick(["MaxPool", "AveragePool", "LpPool"])
    attributes = window(b, v, dilated=op == "MaxPool" and b.opset >= 10)
    if op == "AveragePool":
        attributes["count_include_pad"] = b.int(0, 1)
    if op != "LpPool" and b.opset >= 10 and "auto_pad" not in attributes:
        attributes["ceil_mode"] = b.int(0, 1)
    return b.node(op, [v], **attributes)


@maker()
def global_pool(b):
    return b.node(b.pick(["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"]), [b.image()])


@maker(9)
def batch_normalization(b):
    v = b.image()
    c = v.shape[1]
    parts = [b.array("float32", [c]) for _ in range(3)] + [np.abs(b.array("float32", [c])) + 0.1]
    return b.node("BatchNormalization", [v, *map(b.constant, parts)], epsilon=1e-3)


@maker()
def normalise(b):
    v = b.image((4,))
    if b.chance(0.5):
        return b.node("LRN", [v], size=b.pick([1, 3, 5]), alpha=0.01)
    c = v.shape[1]
    return b.node("InstanceNormalization", [v, *(b.constant(b.array("float32", [c])) for _ in range(2))])


@maker(17)
def layer_normalization(b):
    v = b.find(("float32",), ranks=(2, 3, 4), least=8)
    if v is None:
        return None
    axis = b.int(1, v.rank - 1)
    return b.node("LayerNormalization", [v, *(b.constant(b.array("float32", v.shape[axis:])) for _ in range(2))],
                  axis=axis)


@maker()
def matmul(b):
    v = b.find(FLOATS, ranks=(1, 2, 3, 4), least=1)
    if v is None:
        return None
    k, n = v.shape[-1], b.int(1, 20)
    return b.node("MatMul", [v, b.constant(b.array(v.dtype, b.pick([[k], [k, n], [1, k, n]])))])


@maker(7)
def gemm(b):
    v = b.find(("float32",), ranks=(2,), least=1)
    if v is None:
        return None
    trans_a, trans_b, n = b.int(0, 1), b.int(0, 1), b.int(1, 20)
    m, k = v.shape[::-1] if trans_a else v.shape
    weights = b.array("float32", [n, k] if trans_b else [k, n])
    bias = b.array("float32", b.pick([[], [n], [m, 1], [m, n]]))
    return b.node("Gemm", [v, b.constant(weights), b.constant(bias)], alpha=0.5, beta=b.pick([0.0, 1.0, 2.0]),
                  transA=trans_a, transB=trans_b)


@maker(10)
def quantize(b):
    v = b.find(("float32",), exact=True, least=1)
    if v is None:
        return None
    kind = b.pick(["int8", "uint8"])
    return b.node("QuantizeLinear", [v, b.constant(np.float32(0.037)), b.constant(np.array(b.int(0, 9), kind))],
                  exact=True)


@maker(10)
def dequantize(b):
    v = b.find(("int8", "uint8"))
    return v and b.node("DequantizeLinear", [v, b.constant(np.float32(0.25)), b.constant(np.array(3, v.dtype))],
                        exact=True)


@maker(7)
def recurrent(b):
    x = b.input("float32", [b.int(1, 4), b.int(1, 3), b.int(1, 5)])
    op, gates = b.pick([("RNN", 1), ("GRU", 3), ("LSTM", 4)])
    direction, hidden = b.pick(["forward", "reverse", "bidirectional"]), b.int(1, 5)
    count = 2 if direction == "bidirectional" else 1
    parts = [[count, gates * hidden, x.shape[2]], [count, gates * hidden, hidden], [count, 2 * gates * hidden]]
    reset = {"linear_before_reset": b.int(0, 1)} if op == "GRU" else {}
    return b.node(op, [x, *(b.constant(b.array("float32", p)) for p in parts)], 2, hidden_size=hidden,
                  direction=direction, **reset)


@maker(16)
def grid_sample(b):
    v = b.image((4,))
    grid = b.rng.uniform(-1.3, 1.3, [v.shape[0], b.int(1, 5), b.int(1, 5), 2]).astype(np.float32)
    return b.node("GridSample", [v, b.constant(grid)], mode=b.pick(["bilinear", "bicubic"]),
                  padding_mode=b.pick(["zeros", "border", "reflection"]), align_corners=b.int(0, 1))


@maker(10)
def roi_align(b):
    v = b.image((4,))
    corners = b.rng.uniform(0, 6, [3, 2])
    rois = np.concatenate([corners, corners + b.rng.uniform(0.5, 6, [3, 2])], 1).astype(np.float32)
    indices = b.rng.integers(0, v.shape[0], 3)
    return b.node("RoiAlign", [v, b.constant(rois), b.constant(indices)], output_height=b.int(1, 3),
                  output_width=b.int(1, 3), sampling_ratio=b.int(0, 2), mode=b.pick(["avg", "max"]))


@maker(11)
def one_hot(b):
    indices = b.constant(b.rng.integers(-4, 4, [b.int(1, 3)]))
    return b.node("OneHot", [indices, b.ints([4]), b.constant(np.array([0.5, 2], np.float32))], axis=b.int(-1, 1))


@maker(17)
def dft(b):
    v = b.input("float32", [b.int(1, 2), b.int(1, 20), b.int(1, 2)])
    onesided = b.int(0, 1) if v.shape[2] == 1 else 0
    return b.node("DFT", [v], axis=1, onesided=onesided, inverse=0 if onesided else b.int(0, 1))


def try_node(b, make):
    """Adds a node and its outputs' types; leaves everything as it was where it does not fit."""
    before = len(b.nodes), len(b.initializers), dict(b.inputs), len(b.values)
    made = make(b)
    if made is not None:
        try:
            model = b.model(b.nodes)
        except (shape_inference.InferenceError, checker.ValidationError):
            made = None
    if made is None:
        del b.nodes[before[0]:], b.initializers[before[1]:], b.values[before[3]:]
        b.inputs = before[2]
        return
    exact = b.nodes[-1][1]
    types = {info.name: info.type.tensor_type for info in model.graph.value_info}
    for name in made.output:
        info = types.get(name)
        dims = [d.dim_value if d.HasField("dim_value") else -1 for d in info.shape.dim] if info else [-1]
        if exact == FINAL or info is None or not info.HasField("shape") or -1 in dims or np.prod(dims) > 20000:
            b.dynamic.append((name, info.elem_type if info else TensorProto.UNDEFINED))
        else:
            b.values.append(Value(name, str(mapping.TENSOR_TYPE_TO_NP_TYPE[info.elem_type]), dims, exact))


def random_model(seed):
    """An ONNX model of 1 to 8 nodes and its inputs, name -> array."""
    b = Builder(seed)
    for _ in range(b.int(1, 2)):
        dtype = b.pick(["float32"] * 6 + ["float64", "int32", "int64", "bool"])
        b.input(dtype, [b.int(1, 6) if b.chance(0.97) else 0 for _ in range(b.int(0, 4))])
    makers = [make for make, since, until in MAKERS if since <= b.opset <= until]
    wanted = b.int(1, 8)
    for _ in range(100):
        if len(b.nodes) < wanted:
            try_node(b, b.pick(makers))
    if not b.nodes:
        return random_model(seed + 1_000_003)
    nodes = [node for node, _ in b.nodes]
    used = {name for node in nodes for name in node.input}
    made = {name for node in nodes for name in node.output}
    results = [helper.make_tensor_value_info(v.name, mapping.NP_TYPE_TO_TENSOR_TYPE[np.dtype(v.dtype)], v.shape)
               for v in b.values if v.name in made and (v.name not in used or b.chance(0.2))]
    results += [helper.make_tensor_value_info(name, kind, None) for name, kind in b.dynamic if kind]
    if not results:
        return random_model(seed + 1_000_003)
    inputs = {name: array for name, array in b.inputs.items() if name in used}
    model = b.model(b.nodes)
    del model.graph.value_info[:]
    model.graph.output.extend(results)
    unused = [value for value in model.graph.input if value.name not in inputs]
    for value in unused:
        model.graph.input.remove(value)
    return model, inputs
