"""Pools."""
import numpy as np

from .builder import Misfit, maker
from .convolution import window


@maker()
def pool(b):
    v = b.image()
    op = b.pick(["MaxPool", "AveragePool", "LpPool"])
    since = {"MaxPool": 10, "AveragePool": 19, "LpPool": 18}[op]
    how = window(b, v, dilated=b.opset >= since)
    if op == "AveragePool":
        how["count_include_pad"] = b.int(0, 1)
    if op == "LpPool":
        how["p"] = b.int(1, 3)
    if b.opset >= (18 if op == "LpPool" else 10) and "auto_pad" not in how:
        how["ceil_mode"] = b.int(0, 1)
    newer = b.opset > 17 and op != "MaxPool"
    b.node(op, [v], types=[("float32", pooled(v.shape, how))] if newer else None, **how)


def pooled(shape, how):
    """The standard's sizes of a pool's output."""
    sizes = list(shape[:2])
    for i, kernel in enumerate(how["kernel_shape"]):
        size, stride = shape[i + 2], how["strides"][i]
        span = (kernel - 1) * how.get("dilations", [1] * 8)[i] + 1
        axes = len(how["kernel_shape"])
        pads = how.get("pads", [0] * 2 * axes)
        if how.get("auto_pad", "").startswith("SAME"):
            sizes.append(-(-size // stride))
            continue
        room = size + pads[i] + pads[i + axes] - span
        count = (-(-room // stride) if how.get("ceil_mode") else room // stride) + 1
        # No window begins in the padding after the input.
        if how.get("ceil_mode") and (count - 1) * stride >= size + pads[i]:
            count -= 1
        sizes.append(count)
    return sizes


@maker(8)
def max_pool_indices(b):
    v = b.image((3, 4, 5))
    how = window(b, v, dilated=b.opset >= 10)
    b.nodes_of("MaxPool", [v], 2, storage_order=b.int(0, 1) if v.rank == 4 else 0, **how)


@maker(12)
def max_pool_of_bytes(b):
    v = b.input(b.pick(["int8", "uint8"]), [1, b.int(1, 4), b.int(4, 9), b.int(4, 9)])
    b.node("MaxPool", [v], exact=True, **window(b, v))


@maker(11)
def max_unpool(b):
    v = b.input_of(b.rng.permutation(2 * 3 * 6 * 4).reshape(2, 3, 6, 4).astype(np.float32))
    values, places = b.nodes_of("MaxPool", [v], 2, kernel_shape=[2, 2], strides=[2, 2], exact=True)
    # Without output_shape: its places count in the tensor that MaxPool had, which "infer[s] a size" less
    # (test_maxunpool_export_with_output_shape); ONNX Runtime takes them as places of the larger output.
    b.node("MaxUnpool", [values, places], kernel_shape=[2, 2], strides=[2, 2], exact=True,
           types=[("float32", [2, 3, 6, 4])])


@maker()
def global_pool(b):
    b.node(b.pick(["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"]), [b.image()])


@maker()
def max_roi_pool(b):
    v = b.image((4,))
    if v.shape[2] < 3 or v.shape[3] < 3:
        raise Misfit("size")
    corners = b.rng.integers(0, 3, [2, 2])
    ends = corners + b.rng.integers(0, 3, [2, 2])
    batch = b.rng.integers(0, v.shape[0], [2, 1])
    rois = np.concatenate([batch, corners, ends], 1).astype(np.float32)
    b.node("MaxRoiPool", [v, b.constant(rois)], pooled_shape=[b.int(1, 2), b.int(1, 2)], spatial_scale=1.0)
