"""Operators that move elements without looking at them."""
import numpy as np

from .builder import ALL_INTS, REALS, Misfit, maker, move, with_axes


@move()
def transpose(b, v, keep):
    if b.chance(0.2):
        b.node("Transpose", [v], **keep)
    else:
        b.node("Transpose", [v], perm=[int(i) for i in b.rng.permutation(v.rank)], **keep)


@move(least=1, ranks=(0, 1, 2, 3, 4, 5))
def reshape(b, v, keep):
    shape, rest = [], v.elems
    for _ in range(b.int(0, 3)):
        divisors = [d for d in range(1, rest + 1) if rest % d == 0]
        shape.append(b.pick(divisors))
        rest //= shape[-1]
    shape.append(rest)
    if b.chance(0.5):
        shape[b.int(0, len(shape) - 1)] = -1
    b.node("Reshape", [v, b.ints(shape)], **keep)


@move(14)
def reshape_empty(b, v, keep):
    if v.elems == 0:
        b.node("Reshape", [v, b.ints(v.shape[::-1])], allowzero=1, **keep)


@move(9)
def flatten(b, v, keep):
    b.node("Flatten", [v], axis=b.int(0, v.rank), **keep)


@move()
def squeeze(b, v, keep):
    axes = [i for i, size in enumerate(v.shape) if size == 1 and b.chance(0.7)]
    if axes:
        with_axes(b, "Squeeze", v, axes, 13, **keep)


@move(ranks=(0, 1, 2, 3))
def unsqueeze(b, v, keep):
    with_axes(b, "Unsqueeze", v, sorted({b.int(0, v.rank) for _ in range(b.int(1, 2))}), 13, **keep)


@move()
def concat(b, v, keep):
    others = [o for o in b.values if o.dtype == v.dtype and o.shape == v.shape]
    parts = [v, *[b.pick(others) for _ in range(b.int(0, 2))]]
    b.node("Concat", parts, axis=b.axis(v), exact=all(p.exact for p in parts))


@move(least=2)
def split(b, v, keep):
    axis = b.int(0, v.rank - 1)
    size = v.shape[axis]
    if size < 2:
        raise Misfit("one element")
    first = b.int(1, size - 1)
    parts = [[*v.shape[:axis], part, *v.shape[axis + 1:]] for part in (first, size - first)]
    types = [(v.dtype, part) for part in parts]
    if b.opset < 13:
        b.nodes_of("Split", [v], 2, axis=axis, split=[first, size - first], **keep)
    elif b.opset < 18 or b.chance(0.5):
        b.nodes_of("Split", [v, b.ints([first, size - first])], 2, axis=axis, types=types, **keep)
    else:
        count = b.int(1, min(3, size))
        each = -(-size // count)
        sizes = [each] * (size // each) + ([size % each] if size % each else [])
        if len(sizes) == count:
            b.nodes_of("Split", [v], count, axis=axis, num_outputs=count, **keep,
                       types=[(v.dtype, [*v.shape[:axis], part, *v.shape[axis + 1:]]) for part in sizes])


@move()
def slice_(b, v, keep):
    axes = [int(i) for i in b.rng.permutation(v.rank)[:b.int(1, v.rank)]]
    starts = [b.int(-v.shape[a] - 1, v.shape[a]) for a in axes]
    ends = [b.int(-v.shape[a] - 1, v.shape[a] + 2) for a in axes]
    if b.opset < 10:
        b.node("Slice", [v], axes=axes, starts=starts, ends=ends, **keep)
        return
    steps = [b.pick([1, 1, 2, -1, -2]) for _ in axes]
    kind = b.pick([np.int32, np.int64])
    b.node("Slice", [v, *(b.constant(np.array(part, kind)) for part in (starts, ends, axes, steps))], **keep)


@move(least=1)
def pad(b, v, keep):
    if v.dtype not in REALS[:2] + (ALL_INTS[:4] if b.opset >= 13 else ()):
        raise Misfit("type")
    modes = ["constant", "reflect", "edge"] + (["wrap"] if b.opset >= 19 else [])
    mode = b.pick(modes)
    least = -1 if mode == "constant" and min(v.shape) > 2 and b.chance(0.3) else 0
    axes = list(range(v.rank))
    if b.opset >= 18 and b.chance(0.4):
        axes = [int(i) for i in b.rng.permutation(v.rank)[:b.int(1, v.rank)]]
    most = [min(2, v.shape[a] - 1) if mode in ("reflect", "wrap") else 2 for a in axes]
    pads = [b.int(least, m) for m in most] + [b.int(least, m) for m in most]
    if b.opset < 11:
        b.node("Pad", [v], mode=mode, pads=pads, value=0.5, **keep)
        return
    inputs = [v, b.ints(pads)] + ([b.scalar(2, v.dtype)] if b.chance(0.5) else [])
    if len(axes) < v.rank or b.opset >= 18:
        shape = list(v.shape)
        for i, axis in enumerate(axes):
            shape[axis] += pads[i] + pads[i + len(axes)]
        inputs += [""] if len(inputs) == 2 else []
        b.node("Pad", [*inputs, b.ints(axes)], mode=mode, types=[(v.dtype, shape)], **keep)
    else:
        b.node("Pad", inputs, mode=mode, **keep)


@move(6, least=1)
def tile(b, v, keep):
    b.node("Tile", [v, b.ints([b.int(0, 2) if b.chance(0.2) else b.int(1, 2) for _ in v.shape])], **keep)


@move(8)
def expand(b, v, keep):
    shape = [b.int(1, 3) if size == 1 else b.pick([1, size]) for size in v.shape]
    b.node("Expand", [v, b.ints([b.int(1, 2)] * b.int(0, 1) + shape)], **keep)


@move(14, ranks=(2, 3, 4))
def trilu(b, v, keep):
    b.node("Trilu", [v, b.constant(np.array(b.int(-2, 2)))], upper=b.int(0, 1), **keep)


@move(10, least=1, ranks=(2, 3, 4))
def reverse_sequence(b, v, keep):
    time = b.int(0, 1)
    lengths = b.rng.integers(0, v.shape[time] + 1, v.shape[1 - time])
    b.node("ReverseSequence", [v, b.constant(lengths)], time_axis=time, batch_axis=1 - time, **keep)


@maker()
def shape(b):
    b.node(b.pick(["Shape", "Size"]), [b.find()], exact=True)


@maker(15)
def shape_part(b):
    v = b.find()
    b.node("Shape", [v], start=b.int(-v.rank - 1, v.rank), end=b.int(-v.rank - 1, v.rank + 1), exact=True)


@maker()
def depth_to_space(b):
    v = b.image((4,), (4, 8, 12))
    if v.shape[1] % 4 == 0 and b.chance(0.7):
        b.node("DepthToSpace", [v], blocksize=2, mode=b.pick(["DCR", "CRD"]) if b.opset >= 11 else None)
    elif v.shape[2] % 2 == 0 and v.shape[3] % 2 == 0:
        b.node("SpaceToDepth", [v], blocksize=2)


@move(18, ranks=(2, 3, 4), least=1)
def center_crop_pad(b, v, keep):
    axes = [int(i) for i in b.rng.permutation(v.rank)[:b.int(1, v.rank)]]
    sizes = [b.int(1, 9) for _ in axes]
    shape = list(v.shape)
    for axis, size in zip(axes, sizes):
        shape[axis] = size
    b.node("CenterCropPad", [v, b.ints(sizes)], axes=axes, types=[(v.dtype, shape)], **keep)


@maker(18)
def col2im(b):
    image, block = [b.int(3, 7), b.int(3, 7)], [b.int(1, 3), b.int(1, 3)]
    strides, pads = [b.int(1, 2), b.int(1, 2)], [b.int(0, 1) for _ in range(4)]
    places = [(image[i] + pads[i] + pads[i + 2] - block[i]) // strides[i] + 1 for i in range(2)]
    n, c = b.int(1, 2), b.int(1, 3)
    v = b.input("float32", [n, c * block[0] * block[1], places[0] * places[1]])
    b.node("Col2Im", [v, b.ints(image), b.ints(block)], strides=strides, pads=pads,
           types=[("float32", [n, c, *image])])
