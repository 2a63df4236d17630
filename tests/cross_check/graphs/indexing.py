"""Operators that take or write elements at places given by other elements."""
import numpy as np

from .builder import INTS, REALS, maker, move


@move(least=1)
def gather(b, v, keep):
    axis = b.int(0, v.rank - 1)
    low = -v.shape[axis] if b.opset >= 11 else 0
    shape = [b.int(1, 3) if b.chance(0.95) else 0 for _ in range(b.int(0, 2))]
    indices = b.constant(np.asarray(b.rng.integers(low, v.shape[axis], shape)).astype(b.pick(INTS)))
    b.node("Gather", [v, indices], axis=axis, **keep)


@move(11, least=1)
def gather_elements(b, v, keep):
    axis = b.int(0, v.rank - 1)
    shape = [b.int(1, size) for size in v.shape]
    indices = b.constant(b.rng.integers(-v.shape[axis], v.shape[axis], shape))
    b.node("GatherElements", [v, indices], axis=axis, **keep)


@move(11, least=1)
def gather_nd(b, v, keep):
    batch = b.int(0, v.rank - 1) if b.opset >= 12 and b.chance(0.5) else 0
    depth = b.int(1, v.rank - batch)
    taken = v.shape[batch:batch + depth]
    indices = np.stack([b.rng.integers(-s, s, [*v.shape[:batch], 2, 2]) for s in taken], -1)
    b.node("GatherND", [v, b.constant(indices)], batch_dims=batch or None, **keep)


def reduction(b, since, dtype):
    """What becomes of the element that is there; None: it is replaced."""
    if b.opset < since or dtype not in REALS[:2] + INTS or b.chance(0.4):
        return None
    return b.pick(["add", "mul"] + (["max", "min"] if b.opset >= 18 else []))


@move(9, least=1)
def scatter_elements(b, v, keep):
    axis = b.int(0, v.rank - 1)
    how = reduction(b, 16, v.dtype)
    shape = [size if i == axis else b.int(1, size) for i, size in enumerate(v.shape)]
    shape[axis] = b.int(1, v.shape[axis])
    order = np.argsort(b.rng.random(v.shape), axis)  # no index twice
    indices = order[tuple(slice(0, s) for s in shape)]
    if how:
        indices = b.rng.integers(-v.shape[axis], v.shape[axis], shape)
    op = "ScatterElements" if b.opset >= 11 else "Scatter"
    b.node(op, [v, b.constant(indices.astype(np.int64)), b.constant(b.array(v.dtype, shape))], axis=axis,
           reduction=how, exact=v.exact and not how, types=[(v.dtype, v.shape)])


@move(11, least=1)
def scatter_nd(b, v, keep):
    how = reduction(b, 16, v.dtype)
    depth = b.int(1, v.rank)
    taken = v.shape[:depth]
    count = b.int(1, min(4, int(np.prod(taken))))
    places = b.rng.choice(int(np.prod(taken)), count, replace=bool(how))
    indices = np.stack(np.unravel_index(places, taken), -1).astype(np.int64)
    updates = b.array(v.dtype, [count, *v.shape[depth:]])
    b.node("ScatterND", [v, b.constant(indices), b.constant(updates)], reduction=how, exact=v.exact and not how,
           types=[(v.dtype, v.shape)])


@move(9, least=1)
def compress(b, v, keep):
    if b.chance(0.3):
        b.node("Compress", [v, b.constant(b.rng.random(v.elems) < 0.6)], **keep)
        return
    axis = b.int(0, v.rank - 1)
    b.node("Compress", [v, b.constant(b.rng.random(v.shape[axis]) < 0.6)], axis=axis, **keep)


@maker(9)
def nonzero(b):
    b.node("NonZero", [b.find(exact=True, ranks=(1, 2, 3, 4),
                              dtypes=("float32", "int32", "int64", "bool", "uint8"))], exact=True)


@maker(11)
def unique(b):
    v = b.find(("int64", "float32", "int8", "float64"), exact=True, ranks=(1, 2, 3), least=1)
    axis = b.axis(v) if b.chance(0.5) else None
    b.nodes_of("Unique", [v], b.int(1, 4), axis=axis, sorted=1, exact=True)


@maker(9)
def one_hot(b):
    depth = b.int(1, 5)
    indices = b.rng.integers(-depth if b.opset >= 11 else 0, depth, [b.int(1, 3) for _ in range(b.int(1, 2))])
    values = b.pick([np.array([0.5, 2], np.float32), np.array([1, 7], np.int64)])
    kind, depth_kind = b.pick([("int64", "int64"), ("int32", "int32"), ("float32", "int64")])
    if values.dtype == np.int64:
        kind = depth_kind = "int64"
    b.node("OneHot", [b.constant(indices.astype(kind)), b.scalar(depth, depth_kind), b.constant(values)],
           axis=b.int(-1, 1), exact=True)


@maker()
def top_k(b):
    dtypes = ("float32", "float64", "int64", "int32") if b.opset >= 11 else ("float32",)
    v = b.find(dtypes, ranks=(1, 2, 3), exact=True, least=1)
    axis = b.axis(v)
    k = b.int(1, v.shape[axis])
    how = {"largest": b.int(0, 1), "sorted": 1} if b.opset >= 11 else {}
    if b.opset < 10:
        b.nodes_of("TopK", [v], 2, axis=axis, k=k, exact=True)
    else:
        b.nodes_of("TopK", [v, b.ints([k])], 2, axis=axis, exact=True, **how)


@maker(11)
def non_max_suppression(b):
    boxes = b.rng.uniform(0, 1, [1, 6, 4]).astype(np.float32)
    boxes[..., 2:] += boxes[..., :2]
    scores = b.rng.uniform(0, 1, [1, b.int(1, 2), 6]).astype(np.float32)
    b.node("NonMaxSuppression", [b.constant(boxes), b.constant(scores), b.scalar(b.int(1, 4), "int64"),
                                 b.scalar(0.4), b.scalar(b.pick([0.0, 0.3]))], center_point_box=b.int(0, 1),
           exact=True)
