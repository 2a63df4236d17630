#!/usr/bin/python3
"""Converts small Darknet detectors with --decode and compares boxes, scores and classes with Darknet's own.

    tests/cross_check/darknet_boxes.py

Before suppression, of the first, the second and the third YOLO. Exit status: 0 where nothing differs, 1 otherwise, 77
where Debian's package `darknet` is missing. Needs python3-numpy and a build of the command.
"""
import argparse
import ctypes
import pathlib
import sys
import tempfile

import numpy as np

from darknet_check import LIBRARY, ROOT, SKIPPED, Darknet, Net, Quiet, Sluice

HEIGHT, WIDTH = 64, 96
THRESHOLD = 0.2


class Box(ctypes.Structure):
    _fields_ = [(name, ctypes.c_float) for name in "xywh"]


class Detection(ctypes.Structure):
    _fields_ = [("box", Box), ("classes", ctypes.c_int), ("scores", ctypes.POINTER(ctypes.c_float)),
                ("mask", ctypes.POINTER(ctypes.c_float)), ("objectness", ctypes.c_float), ("label", ctypes.c_int)]


def detectors():
    """(name, network, classes, whether Darknet gives sizes as fractions of the picture)"""
    yield "first", Net(48, height=HEIGHT, width=WIDTH).connected(9 * (4 + 10)).section(
        "detection", classes=4, coords=4, num=2, side=3, softmax=1, sqrt=1), 4, False
    yield "second", Net(47, height=HEIGHT, width=WIDTH).conv(16, 3, stride=16).section(
        "region", anchors="1,2,3,4", classes=3, num=2, softmax=1), 3, True
    yield "third", Net(49, height=HEIGHT, width=WIDTH).conv(16, 3, stride=16).section(
        "yolo", anchors="10,20,30,40,50,60", mask="0,2", classes=3, num=3), 3, True


def darknet_rows(library, folder, image, classes, fractions):
    """[label, score, left, top, right, bottom] of all above the threshold, cut at the borders."""
    library.get_network_boxes.restype = ctypes.POINTER(Detection)
    library.get_network_boxes.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_float, ctypes.c_float,
                                          ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_int)]
    network = library.load_network(bytes(folder / "net.cfg"), bytes(folder / "net.weights"), 0)
    library.network_predict(network, image.ctypes.data_as(ctypes.POINTER(ctypes.c_float)))
    count = ctypes.c_int()
    found = library.get_network_boxes(network, WIDTH, HEIGHT, THRESHOLD, THRESHOLD, None, 1, ctypes.byref(count))
    rows = []
    for detection in found[:count.value]:
        box = detection.box
        w, h = (WIDTH, HEIGHT) if fractions else (1, 1)
        corners = [(box.x - box.w / 2) * w, (box.y - box.h / 2) * h, (box.x + box.w / 2) * w, (box.y + box.h / 2) * h]
        corners = np.clip(corners, 0, [WIDTH, HEIGHT, WIDTH, HEIGHT])
        rows += [[label, detection.scores[label], *corners] for label in range(classes)
                 if detection.scores[label] > THRESHOLD]
    return rows


def sluice_rows(sluice, folder, image):
    sluice.call("convert", folder / "net.cfg", folder / "net.weights", "-o", folder / "net.onnx", "--decode", "--nms", 1,
                "--threshold", THRESHOLD)
    np.save(folder / "x.npy", image)
    sluice.call("run", folder / "net.onnx", "--input", f"image={folder / 'x.npy'}", "--output", folder / "out")
    boxes, scores, classes = (np.load(folder / "out" / f"{name}.npy") for name in ("boxes", "scores", "classes"))
    return [[label, score, *box] for label, score, box in zip(classes, scores, boxes)]


def in_order(rows):
    """Rows of equal scores to a few digits may come in any order, so these are rounded before sorting."""
    return np.array(sorted([int(row[0]), *(round(float(number), 3) for number in row[1:])] for row in rows))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sluice", type=pathlib.Path, default=ROOT / "build/release/tools/sluice")
    args = parser.parse_args()
    if not pathlib.Path(LIBRARY).exists():
        print("skipped: Debian's package darknet is not installed")
        return SKIPPED
    library, sluice, failed = Darknet().library, Sluice(args.sluice), 0
    for name, net, classes, fractions in detectors():
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary)
            net.write(folder)
            image = np.random.default_rng(1).standard_normal((1, 3, HEIGHT, WIDTH)).astype(np.float32)
            with Quiet():
                want = in_order(darknet_rows(library, folder, image, classes, fractions))
            got = in_order(sluice_rows(sluice, folder, image))
            same = len(want) > 0 and got.shape == want.shape and np.abs(got - want).max() < 0.02
            failed += not same
            print(f"{name} YOLO: {len(want)} boxes, {'equal' if same else f'but {len(got)} or others from Sluice'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
