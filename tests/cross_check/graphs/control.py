"""Operators with graphs inside, and sequences."""
import numpy as np
from onnx import TensorProto, helper

from .builder import Misfit, maker, tensor_type


def info(name, dtype, shape):
    return helper.make_tensor_value_info(name, tensor_type(dtype), shape)


@maker()
def if_(b):
    v = b.find(("float32",), least=1)
    branches = []
    for op in b.pick([("Relu", "Neg"), ("Sigmoid", "Tanh"), ("Identity", "Abs")]):
        name = b.name("branch")
        nodes = [helper.make_node(op, [v.name], [name])]
        branches.append(helper.make_graph(nodes, op, [], [info(name, v.dtype, v.shape)]))
    condition = b.constant(np.array(b.chance(0.5)))
    b.node("If", [condition], then_branch=branches[0], else_branch=branches[1], types=[(v.dtype, v.shape)])
    keep(b, v)


def keep(b, *outer):
    """A value that a nested graph reads is used, though no input of a node says so."""
    b.captured.update(v.name for v in outer)


@maker()
def if_of_shapes(b):
    """Branches whose results have different sizes."""
    v = b.find(("float32",), ranks=(2,), least=1)
    branches = []
    for op in ("Transpose", "Identity"):
        name = b.name("branch")
        branches.append(helper.make_graph([helper.make_node(op, [v.name], [name])], op, [],
                                          [info(name, v.dtype, [None, None])]))
    b.node("If", [b.constant(np.array(b.chance(0.5)))], then_branch=branches[0], else_branch=branches[1],
           types=[(v.dtype, None)])
    keep(b, v)


@maker(11)
def loop(b):
    v = b.find(("float32",), ranks=(0, 1, 2, 3), least=1)
    count = b.int(0, 4)
    i, go, state, go_on, after, seen, sign = (b.name("l") for _ in range(7))
    step = b.constant(b.array("float32", []))
    nodes = [helper.make_node("Identity", [go], [go_on]), helper.make_node("Mul", [state, step], [sign]),
             helper.make_node("Add", [sign, v.name], [after]), helper.make_node("Relu", [after], [seen])]
    body = helper.make_graph(nodes, "body", [info(i, "int64", []), info(go, "bool", []), info(state, v.dtype, v.shape)],
                             [info(go_on, "bool", []), info(after, v.dtype, v.shape), info(seen, v.dtype, v.shape)])
    b.nodes_of("Loop", [b.scalar(count, "int64"), "", v], 2, body=body,
               types=[(v.dtype, v.shape), (v.dtype, [count, *v.shape])])
    b.captured.add(step)
    keep(b, v)


@maker(11)
def loop_while(b):
    """Counts up to a limit that the condition states."""
    limit = b.scalar(b.int(0, 5), "int64")
    i, go, total, go_on, after, one = (b.name("l") for _ in range(6))
    nodes = [helper.make_node("Constant", [], [one], value=helper.make_tensor(one, TensorProto.INT64, [], [1])),
             helper.make_node("Add", [total, one], [after]), helper.make_node("Less", [after, limit], [go_on])]
    body = helper.make_graph(nodes, "body", [info(i, "int64", []), info(go, "bool", []), info(total, "int64", [])],
                             [info(go_on, "bool", []), info(after, "int64", [])])
    b.node("Loop", [b.scalar(10, "int64"), b.constant(np.array(True)), b.scalar(b.int(-2, 2), "int64")], body=body,
           types=[("int64", [])], exact=True)
    b.captured.add(limit)


@maker(9)
def scan(b):
    steps, size = b.int(1, 5), b.int(1, 4)
    axis, direction = b.int(0, 1), b.int(0, 1)
    x = b.input("float32", [size, steps] if axis else [steps, size])
    state, x_in, sums, squares, decayed = (b.name("s") for _ in range(5))
    factor = b.constant(np.float32(0.5))
    nodes = [helper.make_node("Mul", [state, factor], [decayed]), helper.make_node("Add", [decayed, x_in], [sums]),
             helper.make_node("Mul", [sums, sums], [squares])]
    body = helper.make_graph(nodes, "body", [info(state, "float32", [size]), info(x_in, "float32", [size])],
                             [info(sums, "float32", [size]), info(squares, "float32", [size])])
    b.nodes_of("Scan", [b.constant(b.array("float32", [size])), x], 2, body=body, num_scan_inputs=1,
               scan_input_axes=[axis], scan_input_directions=[direction], scan_output_directions=[b.int(0, 1)],
               types=[("float32", [size]), ("float32", [steps, size])])
    b.captured.add(factor)


@maker(11)
def sequence(b):
    v = b.find(("float32", "int64"), ranks=(1, 2, 3), least=2)
    axis = b.int(0, v.rank - 1)
    size = v.shape[axis]
    if size < 2:
        raise Misfit("one element")
    exact = v.exact
    cut = b.int(1, size - 1)
    opaque = [(v.dtype, None)]
    parts = b.node("SplitToSequence", [v, b.ints([cut, size - cut])], axis=axis, types=opaque)
    kind = b.int(0, 3)
    if kind == 0:
        last = [*v.shape[:axis], size - cut, *v.shape[axis + 1:]]
        b.node("SequenceAt", [parts, b.scalar(-1, "int64")], types=[(v.dtype, last)], exact=exact)
    elif kind == 1:
        b.node("ConcatFromSequence", [parts], axis=axis, types=[(v.dtype, v.shape)], exact=exact)
    elif kind == 2:
        longer = b.node("SequenceInsert", [parts, v, b.scalar(b.int(0, 1), "int64")], types=opaque)
        b.node("ConcatFromSequence", [longer], axis=axis, exact=exact,
               types=[(v.dtype, [*v.shape[:axis], 2 * size, *v.shape[axis + 1:]])])
    else:
        shorter = b.node("SequenceErase", [parts, b.scalar(0, "int64")], types=opaque)
        b.node("SequenceLength", [shorter], types=[("int64", [])], exact=True)


@maker(11)
def sequence_of_values(b):
    v = b.find(("float32",), ranks=(1, 2, 3), least=1)
    other = b.constant(b.array(v.dtype, v.shape))
    items = b.node("SequenceConstruct", [v, other], types=[(v.dtype, None)])
    axis = b.int(0, v.rank)
    b.node("ConcatFromSequence", [items], axis=axis, new_axis=1, exact=v.exact,
           types=[(v.dtype, [*v.shape[:axis], 2, *v.shape[axis:]])])
