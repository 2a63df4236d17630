"""Operators that work element by element."""
import numpy as np
from onnx import helper

from .builder import ALL_INTS, FINAL, FLOATS, INTS, REALS, Misfit, broadcasts, maker, tensor_type


def unary(ops, since=1, exact=False, dtypes=FLOATS, steps=False, final=False, typed=False):
    """`typed`: definitions newer than shape inference knows, which keep type and shape."""
    @maker(since)
    def make(b):
        value = b.find(dtypes, exact=steps)
        b.node(b.pick(ops), [value], exact=FINAL if final else exact and value.exact,
               types=[(value.dtype, value.shape)] if typed else None)


unary(["Abs", "Neg"], exact=True, dtypes=REALS + INTS + ("int8",))
unary(["Relu", "Identity", "Relu"], exact=True, dtypes=REALS)
unary(["Sign"], 9, exact=True, steps=True, dtypes=REALS + ALL_INTS)
unary(["Exp", "Tanh", "Sigmoid", "Softplus", "Softsign", "Sin", "Cos", "Atan", "Elu", "Selu", "HardSigmoid"])
unary(["Exp", "Tanh", "Sigmoid"], dtypes=("float16",))
unary(["Erf", "Sinh", "Asinh", "Cosh"], 9, dtypes=("float32",))
unary(["HardSwish"], 14)
unary(["Mish", "Gelu"], 20, dtypes=("float32",), typed=True)
# Nothing goes on from NaN: the standard does not say what a maximum or a weight of 0 makes of it.
unary(["Sqrt", "Log", "Reciprocal", "Tan", "Asin", "Acos"], steps=True, final=True, dtypes=("float32",))
unary(["Acosh", "Atanh"], 9, steps=True, final=True, dtypes=("float32",))
unary(["Floor", "Ceil"], exact=True, steps=True, dtypes=REALS)
unary(["Round"], 11, exact=True, steps=True, dtypes=REALS)
unary(["ThresholdedRelu"], 10, exact=True, steps=True, dtypes=("float32",))
unary(["IsNaN"], 9, exact=True, dtypes=REALS)
unary(["IsInf"], 10, exact=True)
unary(["Not"], exact=True, dtypes=("bool",))


@maker()
def leaky(b):
    b.node("LeakyRelu", [b.find(("float32", "float16"))], alpha=b.pick([0.0, 0.01, 0.1, 0.2, 1.5, -0.3]))


@maker(12)
def celu(b):
    b.node("Celu", [b.find(("float32",))], alpha=b.pick([0.5, 1.0, 2.0]))


@maker(20)
def gelu_tanh(b):
    v = b.find(("float32",))
    b.node("Gelu", [v], approximate=b.pick(["none", "tanh"]), types=[(v.dtype, v.shape)])


@maker(24)
def swish(b):
    v = b.find(("float32",))
    b.node("Swish", [v], alpha=b.pick([0.5, 1.0, 1.7]), types=[(v.dtype, v.shape)])


@maker(9)
def shrink(b):
    v = b.find(("float32", "int32", "int8"), exact=True)
    b.node("Shrink", [v], bias=b.pick([0.0, 1.0]), lambd=b.pick([0.5, 1.0]), exact=True)


@maker()
def arithmetic(b):
    value = b.find(REALS + INTS)
    other, _ = b.partner(value)
    b.node(b.pick(["Add", "Sub", "Mul"]), [value, other] if b.chance(0.5) else [other, value])


@maker(14)
def arithmetic_of_bytes(b):
    value = b.find(("int8", "uint8", "int16", "uint16", "uint32", "uint64"))
    b.node(b.pick(["Add", "Sub", "Mul"]), [value, b.partner(value)[0]], exact=True)


@maker()
def divide(b):
    value = b.find(REALS + INTS)
    divisor = np.abs(b.array(value.dtype, value.shape[b.int(0, value.rank):])) + 1
    b.node("Div", [value, b.constant(divisor.astype(value.dtype))])


@maker(8)
def variadic(b):
    value = b.find(REALS)
    op = b.pick(["Max", "Min", "Sum", "Mean"])
    b.node(op, [value, *[b.partner(value)[0] for _ in range(b.int(0, 2))]])


@maker(12)
def extreme_of_ints(b):
    value = b.find(("int32", "int64", "uint32", "uint64", "int8", "uint8"))
    b.node(b.pick(["Max", "Min"]), [value, b.partner(value)[0]], exact=value.exact)


@maker(9)
def compare(b):
    value = b.find(FLOATS + INTS, exact=True)
    other, exact = b.partner(value)
    ops = ["Greater", "Less"] + (["GreaterOrEqual", "LessOrEqual"] if b.opset >= 12 else [])
    ops += ["Equal"] if b.opset >= 11 or value.dtype in INTS else []
    if not exact:
        raise Misfit("not exact")
    b.node(b.pick(ops), [value, other], exact=True)


@maker()
def logic(b):
    value = b.find(("bool",))
    b.node(b.pick(["And", "Or", "Xor"]), [value, b.partner(value)[0]], exact=True)


@maker(18)
def bitwise(b):
    value = b.find(ALL_INTS, exact=True)
    if b.chance(0.3):
        b.node("BitwiseNot", [value], exact=True, types=[(value.dtype, value.shape)])
        return
    other = b.constant(b.array(value.dtype, value.shape[b.int(0, value.rank):]))
    b.node(b.pick(["BitwiseAnd", "BitwiseOr", "BitwiseXor"]), [value, other], exact=True,
           types=[(value.dtype, value.shape)])


@maker(11)
def bit_shift(b):
    value = b.find(("uint8", "uint32", "uint64"), exact=True)
    amounts = b.rng.integers(0, 7, value.shape[b.int(0, value.rank):]).astype(value.dtype)
    b.node("BitShift", [value, b.constant(amounts)], direction=b.pick(["LEFT", "RIGHT"]), exact=True)


@maker(7)
def power(b):
    value = b.find(("float32", "float64"))
    kind = b.pick(["float32", "int64", "int32"]) if b.opset >= 12 else value.dtype
    b.node("Pow", [value, b.scalar(b.pick([0, 1, 2, 3]), kind)])


@maker(10)
def modulo(b):
    value = b.find(ALL_INTS)
    divisors = [2, 5] if value.dtype[0] == "u" else [-7, -3, 2, 5]
    b.node("Mod", [value, b.scalar(b.pick(divisors), value.dtype)], exact=value.exact, fmod=b.int(0, 1))


@maker(10)
def modulo_of_floats(b):
    value = b.find(FLOATS, exact=True)
    b.node("Mod", [value, b.scalar(b.pick([-0.75, 0.5, 2]), value.dtype)], fmod=1)


@maker(9)
def where(b):
    value = b.find(("bool",))
    other = b.find(REALS + INTS + ("uint8",))
    if not broadcasts(value.shape, other.shape):
        raise Misfit("shapes")
    b.node("Where", [value, other, b.partner(other)[0]])


@maker()
def clip(b):
    dtypes = ("float32",) if b.opset < 12 else ("float32", "float64", "int8", "uint8", "int64")
    value = b.find(dtypes)
    low, high = b.pick([(-1.0, 1.0), (0.0, 6.0), (-0.5, 0.25)] if value.dtype in FLOATS else [(0, 5), (1, 3)])
    if b.opset < 11:
        b.node("Clip", [value], min=low, max=high)
        return
    low = b.scalar(low, value.dtype) if b.chance(0.8) else ""
    b.node("Clip", [value, low] + ([b.scalar(high, value.dtype)] if b.chance(0.8) else []))


@maker(9)
def cast(b):
    value = b.find(exact=True)
    # A float out of the range of an integer is undefined.
    to = b.pick(["float32", "float64", "float16", "int32", "int64", "bool"] +
                (["int8", "int16", "uint8", "uint32"] if value.dtype in ALL_INTS + ("bool",) else []))
    b.node("Cast", [value], to=tensor_type(to), exact=True)


@maker(15)
def cast_like(b):
    value, other = b.find(exact=True), b.find(FLOATS + INTS)
    b.node("CastLike", [value, other], exact=True)


@maker(7)
def prelu(b):
    value = b.image()
    shape = b.pick([(1,), (value.shape[1],) + (1,) * (value.rank - 2)])
    b.node("PRelu", [value, b.constant(b.array("float32", shape))])


@maker()
def dropout(b):
    v = b.find(("float32",))
    if b.opset < 12:
        b.node("Dropout", [v], ratio=0.25, exact=v.exact)
    else:
        b.nodes_of("Dropout", [v], outputs=b.int(1, 2), exact=v.exact)


@maker(9)
def constant_of_shape(b):
    dtype, number = b.pick([("float32", 0.5), ("int64", -3), ("bool", 1), ("uint8", 7)])
    tensor = helper.make_tensor("value", tensor_type(dtype), [1], [number])
    b.node("ConstantOfShape", [b.ints([b.int(1, 3) for _ in range(b.int(1, 3))])], value=tensor, exact=True)


@maker(9)
def eye_like(b):
    v = b.find(ranks=(2,))
    b.node("EyeLike", [v], k=b.int(-2, 2), dtype=tensor_type(b.pick(["float32", "int64", "int32"])), exact=True)


@maker(11)
def range_(b):
    dtype = b.pick(["float32", "float64", "int32", "int64", "int16"])
    step = b.pick([-2, 1, 3]) if dtype not in FLOATS else b.pick([-0.5, 0.25, 1])
    b.node("Range", [b.scalar(b.int(-3, 3), dtype), b.scalar(b.int(-3, 6), dtype), b.scalar(step, dtype)], exact=True)
