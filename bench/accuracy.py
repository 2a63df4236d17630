#!/usr/bin/python3
"""Errors of the benchmark networks against a reference in float64, for each setting of --accuracy.

    bench/accuracy.py [--only yolov3 ...] [--json FILE]

The reference is the same network with double weights and inputs, run without passes: sums in double, nothing fused.
An error is the largest difference over all outputs, as a share of the output's largest value. Needs python3-numpy,
python3-onnx (Debian packages) and a release build (tools/setup.sh release).
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bench"))
import networks  # noqa: E402

SLUICE = ROOT / "build" / "release" / "tools" / "sluice"
SETTINGS = ["strict", "default", "fast"]


def to_double(model):
    """The model with double instead of float, in place."""
    graph = model.graph
    # Scales and sizes of Resize stay float: the standard has no double for them.
    kept = {name for node in graph.node if node.op_type == "Resize" for name in node.input[1:]}
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and tensor.name not in kept:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))
    for value in [*graph.input, *graph.output, *graph.value_info]:
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            value.type.tensor_type.elem_type = TensorProto.DOUBLE
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value" and attribute.t.data_type == TensorProto.FLOAT \
                    and node.output[0] not in kept:
                attribute.t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(attribute.t).astype(np.float64)))
    return model


def run(model, inputs, folder, arguments):
    """The outputs by name."""
    given = [part for name, path in inputs.items() for part in ("--input", f"{name}={path}")]
    subprocess.run([SLUICE, "run", str(model), *given, "--output", str(folder), *arguments], check=True,
                   stdout=subprocess.DEVNULL)
    return {path.stem: np.load(path) for path in sorted(pathlib.Path(folder).glob("*.npy"))}


def error(got, want):
    return max(float(np.max(np.abs(got[name] - want[name])) / np.max(np.abs(want[name]))) for name in want)


def measure(name, work):
    model = work / f"{name}.onnx"
    subprocess.run([sys.executable, str(ROOT / "bench" / "networks.py"), "--output", str(work), "--only", name],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    random = np.random.default_rng(1)
    inputs, doubles = {}, {}
    for input_name, shape in networks.NETWORKS[name][1].items():
        values = random.random(shape, dtype=np.float32)
        inputs[input_name], doubles[input_name] = work / f"{input_name}.npy", work / f"{input_name}_double.npy"
        np.save(inputs[input_name], values)
        np.save(doubles[input_name], values.astype(np.float64))
    reference = work / f"{name}_double.onnx"
    onnx.save(to_double(onnx.load(model)), reference)
    want = run(reference, doubles, work / "want", ["--passes", "off"])
    errors = {}
    for setting in SETTINGS:
        errors[setting] = error(run(model, inputs, work / setting, ["--accuracy", setting]), want)
    return errors


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=sorted(networks.NETWORKS), help="these networks alone")
    parser.add_argument("--json", help="file for the figures")
    options = parser.parse_args()
    figures = {}
    print(f"{'network':20} " + " ".join(f"{setting:>8}" for setting in SETTINGS), flush=True)
    for name in options.only or networks.NETWORKS:
        with tempfile.TemporaryDirectory() as work:
            figures[name] = measure(name, pathlib.Path(work))
        print(f"{name:20} " + " ".join(f"{figures[name][s]:8.1e}" for s in SETTINGS), flush=True)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
