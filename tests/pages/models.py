"""Models for the tests of pages: one of 2,000 nodes, one whose texts would break a careless page, pairs that differ."""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HOSTILE = "</script><img src=x onerror=\"document.title='broken'\"><!--\u2028$&${1}"


def save(path, nodes, weights, outputs, size=8, doc=""):
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 8, size, size])
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", "c", "h", "w"]) for name in outputs]
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "graph", [image], results, constants, doc_string=doc)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def conv(weights, name, source, channels=8, kernel=1):
    draw = np.random.default_rng(len(weights))
    weights[f"{name}.weight"] = draw.normal(size=(channels, channels, kernel, kernel)).astype(np.float32) / 8
    return helper.make_node("Conv", [source, f"{name}.weight"], [f"{name}.out"], name=name, pads=[kernel // 2] * 4)


def large(path, wanted=2000):
    """Blocks of four branches with skips, some over many blocks, as searched architectures have them."""
    nodes, weights, skips = [], {}, ["image"]
    last = "image"
    for block in range(10 ** 6):
        if len(nodes) >= wanted - 20:
            break
        joined = []
        for branch in range(4):
            at = last
            for i in range(1 + branch):
                name = f"block{block}/branch{branch}/conv{i}"
                nodes.append(conv(weights, name, at, kernel=3 if i % 2 else 1))
                nodes.append(helper.make_node("LeakyRelu", [f"{name}.out"], [f"{name}.act"], name=f"{name}/act", alpha=0.1))
                at = f"{name}.act"
            joined.append(at)
        name = f"block{block}"
        nodes.append(helper.make_node("Sum", joined, [f"{name}.sum"], name=f"{name}/sum"))
        far = skips[max(0, len(skips) - (30 if block % 5 == 0 else 2))]
        nodes.append(helper.make_node("Add", [f"{name}.sum", far], [f"{name}.skip"], name=f"{name}/skip"))
        last = f"{name}.skip"
        skips.append(last)
    while len(nodes) < wanted:
        nodes.append(helper.make_node("Tanh", [last], [f"{last}t"], name=f"tail{len(nodes)}"))
        last += "t"
    save(path, nodes, weights, [last])


def hostile(path):
    weights = {HOSTILE + "w": np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8, 1, 1)}
    nodes = [helper.make_node("Conv", ["image", HOSTILE + "w"], [HOSTILE], name=HOSTILE, doc_string=HOSTILE),
             helper.make_node("Relu", [HOSTILE], [HOSTILE + "relu"], name="__proto__"),
             helper.make_node("Concat", [HOSTILE, HOSTILE + "relu"], ["out"], name="constructor", axis=1)]
    save(path, nodes, weights, ["out"], doc=HOSTILE)


def small(path, alpha=0.1, scale=1.0, extra=False):
    weights = {}
    nodes = [conv(weights, "stem", "image", kernel=3),
             helper.make_node("LeakyRelu", ["stem.out"], ["stem.act"], name="stem/act", alpha=alpha),
             conv(weights, "left", "stem.act"), conv(weights, "right", "stem.act"),
             helper.make_node("Add", ["left.out", "right.out"], ["sum"], name="join")]
    weights["right.weight"] = weights["right.weight"] * np.float32(scale)
    last = "sum"
    if extra:
        nodes.append(helper.make_node("Sigmoid", ["sum"], ["gate"], name="gate"))
        last = "gate"
    nodes.append(helper.make_node("Identity", [last], ["out"], name="last"))
    save(path, nodes, weights, ["out"])
