#!/usr/bin/python3
"""PyTorch as a worker of compare.py; the protocol is described there.

A model becomes a trace of the calls that its nodes stand for, optimised for inference by torch.jit, or frozen alone
where that fails. Operators and attributes are those of bench/networks.py; others end the worker with an error that
names them.
"""
import warnings

import onnx
import torch
from onnx import helper, numpy_helper
from torch.nn import functional as F

import worker


def padding(x, pads, value=0.0):
    """x, padded where begin and end differ, and what is left to pad at both sides of each dimension."""
    half = len(pads) // 2
    if pads[:half] == pads[half:]:
        return x, pads[:half]
    sides = [side for begin, end in reversed(list(zip(pads[:half], pads[half:]))) for side in (begin, end)]
    return F.pad(x, sides, value=value), [0] * half


def conv(x, weight, bias=None, *, pads, kernel_shape, strides, dilations, group):
    x, pads = padding(x, pads)
    function = {1: F.conv1d, 2: F.conv2d}[len(kernel_shape)]
    return function(x, weight, bias, strides, pads, dilations, group)


def conv_transpose(x, weight, bias=None, *, pads, kernel_shape, strides):
    half = len(pads) // 2
    if pads[:half] != pads[half:]:
        raise NotImplementedError(f"ConvTranspose with pads {pads}")
    function = {1: F.conv_transpose1d, 2: F.conv_transpose2d}[len(kernel_shape)]
    return function(x, weight, bias, strides, pads[:half])


def max_pool(x, *, pads, kernel_shape, strides):
    x, pads = padding(x, pads, float("-inf"))
    return F.max_pool2d(x, kernel_shape, strides, pads)


def gemm(a, b, c, *, transB=0):
    return F.linear(a, b if transB else b.t(), c)


def resize(x, roi, scales, *, mode, nearest_mode, coordinate_transformation_mode):
    if (mode, nearest_mode, coordinate_transformation_mode) != (b"nearest", b"floor", b"asymmetric"):
        raise NotImplementedError(f"Resize {mode}, {nearest_mode}, {coordinate_transformation_mode}")
    return F.interpolate(x, scale_factor=scales.tolist()[2:], mode="nearest")


# Called with a node's inputs, None where one is left out, and its attributes.
OPERATORS = {
    "Add": torch.add,
    "BatchNormalization": lambda x, scale, shift, mean, variance, *, epsilon:
        F.batch_norm(x, mean, variance, scale, shift, eps=epsilon),
    "Clip": lambda x, low, high: F.hardtanh(x, low.item(), high.item()),
    "Concat": lambda *values, axis: torch.cat(values, axis),
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Div": torch.div,
    "Flatten": lambda x, *, axis: x.flatten(0, axis - 1).flatten(1),
    "Gemm": gemm,
    "GlobalAveragePool": lambda x: F.adaptive_avg_pool2d(x, 1),
    "InstanceNormalization": lambda x, scale, shift, *, epsilon:
        F.instance_norm(x, weight=scale, bias=shift, eps=epsilon),
    "LeakyRelu": lambda x, *, alpha: F.leaky_relu(x, alpha),
    "MaxPool": max_pool,
    "Mul": torch.mul,
    "Relu": F.relu,
    "Resize": resize,
    "Sigmoid": torch.sigmoid,
    "Split": lambda x, sizes, *, axis: torch.split(x, sizes.tolist(), axis),
    "Tanh": torch.tanh,
}


class Network(torch.nn.Module):
    """Takes the inputs and returns the outputs of an ONNX graph, in its order."""

    def __init__(self, graph):
        super().__init__()
        unknown = sorted({node.op_type for node in graph.node} - set(OPERATORS))
        if unknown:
            raise NotImplementedError(f"operators not known: {', '.join(unknown)}")
        self.constants = {t.name: torch.tensor(numpy_helper.to_array(t)) for t in graph.initializer}
        self.inputs = [value.name for value in graph.input if value.name not in self.constants]
        self.outputs = [value.name for value in graph.output]
        self.nodes = [(node.op_type, list(node.input), list(node.output),
                       {a.name: helper.get_attribute_value(a) for a in node.attribute}) for node in graph.node]

    def forward(self, *inputs):
        values = {"": None, **self.constants, **dict(zip(self.inputs, inputs))}
        for kind, takes, gives, attributes in self.nodes:
            try:
                result = OPERATORS[kind](*(values[name] for name in takes), **attributes)
            except TypeError as error:
                raise NotImplementedError(f"{kind}: {error}") from error
            values.update(zip(gives, result if isinstance(result, tuple) else [result]))
        return tuple(values[name] for name in self.outputs)


def load(model, threads, inputs):
    """The trace is not checked, which would run the network again."""
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    warnings.simplefilter("ignore", torch.jit.TracerWarning)  # of sizes and scales, which are constants
    with torch.no_grad():
        network = Network(onnx.load(model).graph).eval()
        given = [torch.from_numpy(inputs[name]) for name in network.inputs]
        trace = torch.jit.trace(network, given, check_trace=False)
        try:
            ready = torch.jit.optimize_for_inference(trace)
        except RuntimeError:
            ready = torch.jit.freeze(trace)
    return network.outputs, lambda: ready(*given)


with torch.inference_mode():
    worker.main(load, torch.__version__)
