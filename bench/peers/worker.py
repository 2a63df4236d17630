"""What the workers of compare.py that are written in Python share; the protocol is described there."""
import json
import pathlib
import re
import sys
import time

import numpy as np


def reply(**values):
    print(json.dumps(values), flush=True)


def serve(names, run):
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
                array = np.asarray(value, np.float32)
                array.tofile(pathlib.Path(argument) / f"{i}.f32")
                shapes[name] = list(array.shape)
            reply(shapes=shapes)
        elif command == "memory":
            status = pathlib.Path("/proc/self/status").read_text()
            reply(peak_rss_bytes=1024 * int(re.search(r"VmHWM:\s+(\d+)", status)[1]))


def main(load, version):
    """load(model, threads, {name: array}) gives the names of the outputs and a function that computes them."""
    try:
        model, threads, *given = sys.argv[1:]
        inputs = {}
        for text in given:
            name, shape, file = text.split("=")
            inputs[name] = np.fromfile(file, np.float32).reshape([int(size) for size in shape.split("x")])
        begin = time.perf_counter()
        names, run = load(model, int(threads), inputs)
        reply(load_ms=1000 * (time.perf_counter() - begin), version=version)
        serve(names, run)
    except Exception as error:  # whatever the library throws, the table says
        reply(error=" ".join(str(error).split()))
        sys.exit(1)
