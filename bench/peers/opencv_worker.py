#!/usr/bin/python3
"""OpenCV's dnn module as a worker of compare.py; the protocol is described there."""
import json
import pathlib
import re
import sys
import time

import cv2
import numpy as np


def reply(**values):
    print(json.dumps(values), flush=True)


def main():
    model, threads, *given = sys.argv[1:]
    cv2.setNumThreads(int(threads))
    inputs = {}
    for text in given:
        name, shape, file = text.split("=")
        inputs[name] = np.fromfile(file, np.float32).reshape([int(size) for size in shape.split("x")])
    begin = time.perf_counter()
    net = cv2.dnn.readNetFromONNX(model)
    net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    reply(load_ms=1000 * (time.perf_counter() - begin), version=cv2.__version__)
    names = net.getUnconnectedOutLayersNames()

    def run():
        for name, value in inputs.items():
            net.setInput(value, name)
        return net.forward(names)

    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        if command == "run":
            times = []
            for _ in range(int(argument)):
                start = time.perf_counter()
                run()
                times.append(1000 * (time.perf_counter() - start))
            reply(ms=times)
        elif command == "outputs":
            shapes = {}
            for i, (name, value) in enumerate(zip(names, run())):
                value.astype(np.float32).tofile(pathlib.Path(argument) / f"{i}.f32")
                shapes[name] = list(value.shape)
            reply(shapes=shapes)
        elif command == "memory":
            status = pathlib.Path("/proc/self/status").read_text()
            reply(peak_rss_bytes=1024 * int(re.search(r"VmHWM:\s+(\d+)", status)[1]))


try:
    main()
except Exception as error:  # whatever the library throws, the table says
    reply(error=" ".join(str(error).split()))
    sys.exit(1)
