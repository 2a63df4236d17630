"""Normalisations."""
import numpy as np

from .builder import FINAL, maker


def statistics(b, channels):
    """Names of scale, bias, mean and variance of a BatchNormalization."""
    parts = [b.array("float32", [channels]) for _ in range(3)]
    return [b.constant(p) for p in parts + [np.abs(b.array("float32", [channels])) + 0.1]]


@maker()
def batch_normalization(b):
    v = b.image()
    b.node("BatchNormalization", [v, *statistics(b, v.shape[1])], epsilon=1e-3)


@maker()
def lrn(b):
    # ONNX Runtime has it for four axes and odd sizes.
    b.node("LRN", [b.image((4,))], size=b.pick([1, 3, 5]), alpha=0.05, beta=b.pick([0.5, 0.75]),
           bias=b.pick([1.0, 2.0]))


@maker()
def instance_normalization(b):
    v = b.image()
    b.node("InstanceNormalization", [v, *(b.constant(b.array("float32", [v.shape[1]])) for _ in range(2))],
           epsilon=1e-2)


@maker()
def lp_normalization(b):
    v = b.find(("float32", "float64"), ranks=(1, 2, 3, 4), exact=True, least=1)
    b.node("LpNormalization", [v], axis=b.int(-v.rank, v.rank - 1), p=b.int(1, 2))


@maker(9)
def mean_variance_normalization(b):
    # No other node takes it, whose sums would be rounding errors alone. Of values that vary: E[x^2] - E[x]^2 of
    # equal ones may be below 0.
    v = b.input("float32", [b.int(1, 2), b.int(1, 4), b.int(2, 9), b.int(2, 9)])
    b.node("MeanVarianceNormalization", [v], axes=b.pick([[0, 2, 3], [2, 3], [1, 2, 3]]),
           exact=FINAL)


@maker(17)
def layer_normalization(b):
    v = b.find(("float32",), ranks=(2, 3, 4), exact=True, least=8)
    axis = b.int(-v.rank, v.rank - 1)
    shape = v.shape[axis:]
    parts = [b.constant(b.array("float32", shape)) for _ in range(b.int(1, 2))]
    count = b.pick([1, 1, 3])
    kept = [*v.shape[:axis], *[1] * len(shape)]
    b.nodes_of("LayerNormalization", [v, *parts], count, axis=axis, epsilon=1e-3,
               types=[("float32", v.shape), ("float32", kept), ("float32", kept)][:count])


@maker(23)
def rms_normalization(b):
    v = b.find(("float32",), ranks=(2, 3, 4), exact=True, least=1)
    axis = b.int(-v.rank, v.rank - 1)
    b.node("RMSNormalization", [v, b.constant(b.array("float32", v.shape[axis:]))], axis=axis, epsilon=1e-3,
           types=[("float32", v.shape)])


@maker(21)
def group_normalization(b):
    v = b.image((3, 4, 5), (4, 8, 16))
    groups = b.pick([g for g in range(1, v.shape[1] + 1) if v.shape[1] % g == 0])
    b.node("GroupNormalization", [v, *(b.constant(b.array("float32", [v.shape[1]])) for _ in range(2))],
           num_groups=groups, epsilon=1e-2, types=[("float32", v.shape)])
