"""Writes the trained model as ONNX, and tensors as ONNX test data."""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from network import ALPHA, ANCHOR, BLOCKS, GRID, STRIDE, grid_offsets
from pictures import LABELS, SIZE


def export(model, path, metadata):
    """Convolutions, normalizations and activations stay separate nodes; the graph decodes the boxes."""
    nodes, weights = [], []

    def constant(name, value):
        weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(op, inputs, outputs, **attributes):
        outputs = [outputs] if isinstance(outputs, str) else outputs
        nodes.append(helper.make_node(op, inputs, outputs, name=outputs[0], **attributes))
        return outputs[0]

    def array(tensor):
        return tensor.detach().numpy().astype(np.float32)

    value = "image"
    for i, (_, stride) in enumerate(BLOCKS):
        conv, norm = model.body[3 * i], model.body[3 * i + 1]
        weight = constant(f"block{i}.conv.weight", array(conv.weight))
        value = add("Conv", [value, weight], f"block{i}.conv", kernel_shape=[3, 3], pads=[1, 1, 1, 1],
                    strides=[stride, stride])
        parameters = [constant(f"block{i}.norm.{name}", array(getattr(norm, name)))
                      for name in ("weight", "bias", "running_mean", "running_var")]
        value = add("BatchNormalization", [value] + parameters, f"block{i}.norm", epsilon=norm.eps)
        value = add("LeakyRelu", [value], f"block{i}.leaky", alpha=ALPHA)
    head = [constant("head.weight", array(model.head.weight)), constant("head.bias", array(model.head.bias))]
    value = add("Conv", [value] + head, "head", kernel_shape=[1, 1])
    value = add("Transpose", [value], "cells", perm=[0, 2, 3, 1])
    rows = constant("rows", np.array([0, GRID * GRID, 5 + len(LABELS)], np.int64))
    value = add("Reshape", [value, rows], "logits")
    value = add("Sigmoid", [value], "probabilities")
    add("Split", [value, constant("parts", np.array([2, 2, 1, len(LABELS)], np.int64))],
        ["xy", "wh", "objectness", "classes"], axis=2)
    two = constant("two", np.array(2, np.float32))
    value = add("Mul", ["xy", two], "xy_twice")
    value = add("Add", [value, constant("grid", grid_offsets() - np.float32(0.5))], "xy_cells")
    center = add("Mul", [value, constant("stride", np.array(STRIDE, np.float32))], "center")
    value = add("Mul", ["wh", two], "wh_twice")
    value = add("Mul", [value, value], "wh_square")
    half = add("Mul", [value, constant("half_anchor", np.array(ANCHOR / 2, np.float32))], "half")
    corners = [add("Sub", [center, half], "top_left"), add("Add", [center, half], "bottom_right")]
    add("Concat", corners, "boxes", axis=2)
    add("Mul", ["objectness", "classes"], "scores")

    def info(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes, "shapes", [info("image", ["N", 3, SIZE, SIZE])],
        [info("boxes", ["N", GRID * GRID, 4]), info("scores", ["N", GRID * GRID, len(LABELS)])], weights)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)],
                              producer_name="train_shapes")
    proto.ir_version = 7
    helper.set_model_props(proto, metadata)
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, path)


def write_tensor(path, array, name):
    with open(path, "wb") as file:
        file.write(numpy_helper.from_array(np.ascontiguousarray(array), name).SerializeToString())
