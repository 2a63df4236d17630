"""Operators that read images between their elements."""
import numpy as np

from .builder import Misfit, maker

EMPTY = np.array([], np.float32)


@maker(10, 10)
def resize_10(b):
    v = b.image((4,))
    scales = [1, 1, b.pick([0.5, 1.5, 2, 3]), b.pick([0.75, 1, 2])]
    b.node("Resize", [v, b.constant(np.array(scales, np.float32))], mode=b.pick(["nearest", "linear"]))


@maker(11)
def resize(b):
    mode = b.pick(["nearest", "linear", "cubic"])
    # ONNX Runtime has no linear mode of one or more than three moving axes of other places than these.
    v = b.image((4,) if mode == "cubic" else (4, 5) if mode == "linear" else (3, 4, 5))
    spatial = v.rank - 2
    scales = [1, 1] + [b.pick([0.5, 0.75, 1, 1.5, 2, 3]) for _ in range(spatial)]
    whole = all(size * scale == int(size * scale) for size, scale in zip(v.shape, scales))
    coordinates = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]
    if b.opset >= 19:
        coordinates.append("half_pixel_symmetric")
    how = {"mode": mode, "coordinate_transformation_mode": b.pick(coordinates)}
    if mode == "nearest":
        how["nearest_mode"] = b.pick(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
    if mode == "cubic":
        how["cubic_coeff_a"] = b.pick([-0.75, -0.5])
        how["exclude_outside"] = b.int(0, 1)
    roi = b.constant(EMPTY) if b.opset < 13 else ""
    # With corners aligned, ONNX Runtime takes the output's size for length_resized; the standard's own cases
    # (test_resize_downsample_scales_linear_align_corners) take scale * size, which may be no whole number.
    if b.chance(0.5) and (whole or how["coordinate_transformation_mode"] in ("half_pixel", "asymmetric")):
        shape = [int(size * scale) for size, scale in zip(v.shape, scales)]
        if min(shape) < 1:
            raise Misfit("nothing left")
        b.node("Resize", [v, roi, b.constant(np.array(scales, np.float32))], types=[("float32", shape)], **how)
        return
    sizes = [*v.shape[:2], *(b.int(1, 14) for _ in range(spatial))]
    empty = b.constant(EMPTY) if b.opset < 13 else ""
    b.node("Resize", [v, roi, empty, b.ints(sizes)], types=[("float32", sizes)], **how)


@maker(11)
def resize_crop(b):
    v = b.image((4,))
    begins = [0, 0, *b.rng.uniform(-0.2, 0.4, 2)]
    ends = [1, 1, *b.rng.uniform(0.6, 1.2, 2)]
    # Where an axis keeps its size, ONNX Runtime leaves its part of the region out of account; the standard has
    # start * (length_original - 1) + ... whatever the sizes.
    sizes = [*v.shape[:2], *(b.pick([size for size in range(2, 10) if size != old]) for old in v.shape[2:])]
    empty = b.constant(EMPTY) if b.opset < 13 else ""
    b.node("Resize", [v, b.constant(np.array(begins + ends, np.float32)), empty, b.ints(sizes)],
           mode=b.pick(["nearest", "linear"]), coordinate_transformation_mode="tf_crop_and_resize",
           extrapolation_value=b.pick([0.0, 10.0]), types=[("float32", sizes)])


@maker(18)
def resize_18(b):
    """antialias, axes and keep_aspect_ratio_policy."""
    v = b.image((4,))
    h, w = v.shape[2:]
    how, sizes = {"mode": b.pick(["linear", "cubic"])}, [b.int(1, 14), b.int(1, 14)]
    if b.chance(0.6):
        how["antialias"] = 1
    else:
        policy = b.pick(["stretch", "not_larger", "not_smaller"])
        how["keep_aspect_ratio_policy"] = policy
        if policy != "stretch":
            scale = (min if policy == "not_larger" else max)(sizes[0] / h, sizes[1] / w)
            made = [int(np.floor(scale * h + 0.5)), int(np.floor(scale * w + 0.5))]
            b.node("Resize", [v, "", "", b.ints(sizes)], axes=[2, 3], types=[("float32", [*v.shape[:2], *made])],
                   **how)
            return
    b.node("Resize", [v, "", "", b.ints(sizes)], axes=[2, 3], types=[("float32", [*v.shape[:2], *sizes])], **how)


@maker(7, 9)
def upsample(b):
    v = b.image((4,))
    scales, mode = [1.0, 1.0, b.pick([1.0, 2.0]), b.pick([2.0, 3.0])], b.pick(["nearest", "linear"])
    if b.opset < 9:
        b.node("Upsample", [v], scales=scales, mode=mode)
    else:
        b.node("Upsample", [v, b.constant(np.array(scales, np.float32))], mode=mode)


@maker(16)
def grid_sample(b):
    v = b.image((4,))
    grid = b.rng.uniform(-1.3, 1.3, [v.shape[0], b.int(1, 5), b.int(1, 5), 2]).astype(np.float32)
    modes = ["linear", "cubic"] if b.opset >= 20 else ["bilinear", "bicubic"]
    b.node("GridSample", [v, b.constant(grid)], mode=b.pick(modes),
           padding_mode=b.pick(["zeros", "border", "reflection"]), align_corners=b.int(0, 1),
           types=[("float32", [*v.shape[:2], *grid.shape[1:3]])])


@maker(20)
def grid_sample_volume(b):
    v = b.image((5,))
    grid = b.rng.uniform(-1.3, 1.3, [v.shape[0], b.int(1, 4), b.int(1, 4), b.int(1, 4), 3]).astype(np.float32)
    b.node("GridSample", [v, b.constant(grid)], mode="linear", padding_mode=b.pick(["zeros", "border", "reflection"]),
           align_corners=b.int(0, 1), types=[("float32", [*v.shape[:2], *grid.shape[1:4]])])


@maker(20)
def affine_grid(b):
    flat = b.chance(0.5)
    # With corners aligned the standard divides by size - 1.
    size = [b.int(1, 2), b.int(1, 3), *(b.int(2, 5) for _ in range(2 if flat else 3))]
    theta = b.array("float32", [size[0], 2, 3] if flat else [size[0], 3, 4])
    b.node("AffineGrid", [b.constant(theta), b.ints(size)], align_corners=b.int(0, 1),
           types=[("float32", [size[0], *size[2:], 2 if flat else 3])])


@maker(10)
def roi_align(b):
    v = b.image((4,))
    corners = b.rng.uniform(0, 6, [3, 2])
    rois = np.concatenate([corners, corners + b.rng.uniform(0.5, 6, [3, 2])], 1).astype(np.float32)
    indices = b.rng.integers(0, v.shape[0], 3)
    mode = b.pick(["half_pixel", "output_half_pixel"]) if b.opset >= 16 else None
    b.node("RoiAlign", [v, b.constant(rois), b.constant(indices)], output_height=b.int(1, 3),
           output_width=b.int(1, 3), sampling_ratio=b.int(0, 2), mode=b.pick(["avg", "max"]),
           spatial_scale=b.pick([0.5, 1.0]), coordinate_transformation_mode=mode)
