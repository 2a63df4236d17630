"""Models for the tests, made with python3-onnx."""
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper


def build(nodes, inputs, outputs, constants=()):
    graph = helper.make_graph(nodes, "test", inputs, outputs, [numpy_helper.from_array(v, n) for n, v in constants])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, {"author": "nobody"})
    return model.SerializeToString()


def tensor(name, shape, dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


@pytest.fixture
def linear():
    """y = LeakyRelu(x @ w): x [n, 3], w [3, 2]."""
    w = np.array([[1, -1], [2, 0], [0, 3]], np.float32)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("LeakyRelu", ["m"], ["y"], alpha=0.5)]
    return build(nodes, [tensor("x", ["n", 3])], [tensor("y", ["n", 2])], [("w", w)])


@pytest.fixture
def two():
    """sum = a + b and copy = a, of one type."""

    def make(dtype):
        nodes = [helper.make_node("Add", ["a", "b"], ["sum"]), helper.make_node("Identity", ["a"], ["copy"])]
        return build(nodes, [tensor("a", [None], dtype), tensor("b", [None], dtype)],
                     [tensor("sum", [None], dtype), tensor("copy", [None], dtype)])

    return make


@pytest.fixture
def text():
    """y = x, strings."""
    return build([helper.make_node("Identity", ["x"], ["y"])], [tensor("x", [None, 2], TensorProto.STRING)],
                 [tensor("y", [None, 2], TensorProto.STRING)])


@pytest.fixture
def sequence():
    """items = [a, a + a] of sequences; length of a given one."""
    nodes = [
        helper.make_node("SequenceLength", ["s"], ["length"]),
        helper.make_node("SequenceAt", ["s", "zero"], ["first"]),
        helper.make_node("SequenceConstruct", ["first", "first"], ["twice"]),
    ]
    s = helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, None)
    twice = helper.make_tensor_sequence_value_info("twice", TensorProto.FLOAT, None)
    return build(nodes, [s], [tensor("length", [], TensorProto.INT64), twice], [("zero", np.array(0, np.int64))])
