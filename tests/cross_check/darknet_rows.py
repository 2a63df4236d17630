"""Heads of Darknet detectors as OpenCV's reader gives them."""
import numpy as np


def sections(text):
    """[(name, {key: value})] of a configuration."""
    found = []
    for line in text.splitlines():
        line = line.split("#")[0].replace(" ", "")
        if line.startswith("["):
            found.append((line[1:-1], {}))
        elif "=" in line:
            key, value = line.split("=", 1)
            found[-1][1][key] = value
    return found


def rows_of(head, keys, kind, width, height):
    """OpenCV's rows [x, y, w, h, objectness, scores] of one picture from a head's output [channels, h, w]."""
    numbers = [float(x) for x in keys["anchors"].split(",") if x]
    anchors = np.array(numbers).reshape(-1, 2)
    if kind == "yolo":
        anchors = anchors[[int(i) for i in keys["mask"].split(",")]] / [width, height]
    entries = head.reshape(len(anchors), -1, *head.shape[1:])
    h, w = head.shape[1:]
    if kind == "region":
        anchors = anchors / [w, h]
    ys, xs = np.mgrid[0:h, 0:w]
    grow = (lambda x: 4 * x * x) if int(keys.get("new_coords", 0)) else np.exp
    rows = np.stack([(entries[:, 0] + xs) / w, (entries[:, 1] + ys) / h,
                     grow(entries[:, 2]) * anchors[:, 0, None, None],
                     grow(entries[:, 3]) * anchors[:, 1, None, None], entries[:, 4]], axis=1)
    rows = np.concatenate([rows, entries[:, 5:] * entries[:, 4:5]], axis=1)
    return rows.transpose(2, 3, 0, 1).reshape(h * w * len(anchors), -1)
