"""Reductions, and what goes along an axis."""
import numpy as np

from .builder import INTS, Misfit, maker

REDUCTIONS = ["Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "SumSquare"]


@maker()
def reduce(b):
    v = b.find(("float32", "float64", "int32", "int64"), ranks=(1, 2, 3, 4, 5))
    op = b.pick(REDUCTIONS)
    if v.dtype == "float32" and v.exact and b.chance(0.2):
        op = b.pick(["LogSumExp", "LogSum"])
    axes = [int(i) for i in b.rng.permutation(v.rank)[:b.int(1, v.rank)]]
    # "Reduction over an empty set of values yields 0" and the like, and axes go as keepdims says; ONNX Runtime gives
    # the result of nothing the shape of the input.
    if v.elems == 0:
        raise Misfit("empty")
    # A product that overflows is undefined.
    if v.dtype in INTS and op == "Prod":
        op = "Max"
    # What should be 0 is any small number after sums of inexact values.
    if not v.exact and op in ("Sum", "Mean"):
        op = "L1"
    keep = b.int(0, 1)
    shape = [1 if i in axes else size for i, size in enumerate(v.shape) if keep or i not in axes]
    if b.opset >= 11:
        axes = [a - v.rank if b.chance(0.3) else a for a in axes]
    how = {"keepdims": keep, "types": [(v.dtype, shape)]}
    # The logarithm of a negative sum is not a number.
    how["exact"] = "final" if op == "LogSum" else False
    if b.opset < (13 if op == "Sum" else 18):
        b.node("Reduce" + op, [v], axes=axes, **how)
    else:
        b.node("Reduce" + op, [v, b.ints(axes)], **how)


@maker()
def reduce_all(b):
    v = b.find(("float32",), ranks=(1, 2, 3), least=1)
    op, keep = b.pick(REDUCTIONS if v.exact else REDUCTIONS[2:]), b.int(0, 1)
    by_input = b.opset >= (13 if op == "Sum" else 18)
    if by_input and b.chance(0.5):
        b.node("Reduce" + op, [v, b.ints([])], keepdims=keep, noop_with_empty_axes=1, types=[(v.dtype, v.shape)])
    else:
        b.node("Reduce" + op, [v], keepdims=keep, types=[(v.dtype, [1] * v.rank * keep)])


@maker()
def arg_reduce(b):
    v = b.find(("float32", "int32", "float64"), ranks=(1, 2, 3, 4), exact=True, least=1)
    last = b.int(0, 1) if b.opset >= 12 else None
    b.node(b.pick(["ArgMax", "ArgMin"]), [v], axis=b.axis(v), keepdims=b.int(0, 1), exact=True,
           select_last_index=last)


@maker(11)
def cumsum(b):
    v = b.find(("float32", "int64", "float64", "int32"), ranks=(1, 2, 3))
    b.node("CumSum", [v, b.constant(np.array(b.axis(v), b.pick(INTS)))], exclusive=b.int(0, 1), reverse=b.int(0, 1))


@maker(12)
def loss(b):
    """Of logarithms of probabilities, or of scores."""
    n, classes = b.int(1, 4), b.int(2, 5)
    rest = [b.int(1, 3)] * b.int(0, 1)
    labels = b.rng.integers(0, classes, [n, *rest])
    reduction = b.pick(["none", "mean", "sum"])
    parts = [b.input("float32", [n, classes, *rest]), b.constant(labels)]
    if b.chance(0.4):
        parts.append(b.constant(np.abs(b.array("float32", [classes])) + np.float32(0.5)))
    b.node(b.pick(["NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"]), parts, reduction=reduction,
           ignore_index=b.int(0, classes) if b.chance(0.3) else None,
           types=[("float32", [n, *rest] if reduction == "none" else [])])


@maker()
def softmax(b):
    v = b.find(("float32", "float64"), ranks=(1, 2, 3, 4), least=1)
    ops = ["Softmax", "LogSoftmax"] + (["Hardmax"] if v.exact and v.dtype == "float32" else [])
    b.node(b.pick(ops), [v], axis=b.axis(v))
