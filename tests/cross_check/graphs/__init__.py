"""Random small ONNX graphs: the same seed gives the same graph and the same inputs.

One module a family of operators; each registers makers, which builder.py explains.
"""
from onnx import helper

from . import arithmetic, attention, classical, control, convolution, fusions, indexing, movement  # noqa: F401
from . import normalisation, pooling, products, quantised, recurrent, reduction  # noqa: F401
from . import resampling, signal, spellings  # noqa: F401
from .builder import INTS, MAKERS, Builder, tensor_type

__all__ = ["random_model"]


def random_model(seed):
    """An ONNX model of 1 to 10 nodes or a few more and its inputs, name -> array."""
    b = Builder(seed)
    for _ in range(b.int(1, 2)):
        dtype = b.pick(["float32"] * 6 + ["float64", "float16", "bool", "int8", "uint8"] + list(INTS))
        b.input(dtype, [b.int(1, 6) if b.chance(0.92) else 0 for _ in range(b.int(0, 4))])
    makers = [make for make, since, until in MAKERS if since <= b.opset <= until]
    wanted = b.int(1, 10)
    for _ in range(100):
        if len(b.nodes) < wanted:
            b.attempt(b.pick(makers))
    if not b.nodes:
        return random_model(seed + 1_000_003)
    used = {name for node in b.nodes for name in node.input} | b.captured
    results = [v for v in b.made if v.name not in used or (v in b.values and b.chance(0.2))]
    inputs = {name: array for name, array in b.inputs.items() if name in used}
    graph = helper.make_graph(
        b.nodes, "random",
        [helper.make_tensor_value_info(name, tensor_type(a.dtype), a.shape) for name, a in inputs.items()],
        [helper.make_tensor_value_info(v.name, tensor_type(v.dtype), v.shape if v.known else None) for v in results],
        [c for c in b.initializers if c.name in used])
    # Readers accept an IR version above the one that came with the opset.
    opsets = [helper.make_opsetid("", b.opset)]
    if any(node.domain == "ai.onnx.ml" for node in b.nodes):
        opsets.append(helper.make_opsetid("ai.onnx.ml", b.int(2, 3)))
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return model, inputs
