"""Transforms of signals."""
import numpy as np

from .builder import maker


@maker(17, 19)
def dft(b):
    v = b.input("float32", [b.int(1, 2), b.int(1, 20), b.int(1, 2)])
    onesided = b.int(0, 1) if v.shape[2] == 1 else 0
    b.node("DFT", [v], axis=1, onesided=onesided, inverse=0 if onesided else b.int(0, 1))


@maker(20)
def dft_20(b):
    v = b.input("float32", [b.int(1, 2), b.int(1, 9), b.int(1, 20), b.int(1, 2)])
    axis = b.pick([1, 2, -2, -3])
    onesided = b.int(0, 1) if v.shape[3] == 1 else 0
    length = b.int(1, 24)
    shape = [*v.shape[:3], 2]
    shape[axis] = length // 2 + 1 if onesided else length
    b.node("DFT", [v, b.scalar(length, "int64"), b.scalar(axis, "int64")], onesided=onesided,
           inverse=0 if onesided else b.int(0, 1), types=[("float32", shape)])


@maker(17)
def stft(b):
    length, frame, step = b.int(20, 60), b.pick([4, 8, 10, 16]), b.int(2, 9)
    v = b.input("float32", [b.int(1, 2), length, 1])
    onesided = b.int(0, 1)
    shape = [v.shape[0], (length - frame) // step + 1, frame // 2 + 1 if onesided else frame, 2]
    window = b.constant(b.rng.uniform(0, 1, frame).astype(np.float32)) if b.chance(0.7) else ""
    b.node("STFT", [v, b.scalar(step, "int64"), window, b.scalar(frame, "int64")], onesided=onesided,
           types=[("float32", shape)])


@maker(17)
def signal_window(b):
    # The symmetric window of one element is 0 / 0 in the standard; of two, zeros and rounding errors.
    size = b.int(3, 20)
    b.node(b.pick(["HannWindow", "HammingWindow", "BlackmanWindow"]), [b.scalar(size, "int64")], periodic=b.int(0, 1),
           types=[("float32", [size])])


@maker(17)
def mel_weights(b):
    bins, length = b.int(4, 10), b.pick([16, 32, 64])
    b.node("MelWeightMatrix", [b.scalar(bins, "int64"), b.scalar(length, "int64"), b.scalar(8192, "int64"),
                               b.scalar(0.0), b.scalar(4096.0)], types=[("float32", [length // 2 + 1, bins])])
