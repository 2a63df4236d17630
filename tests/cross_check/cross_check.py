#!/usr/bin/python3
"""Runs models through Sluice and through ONNX Runtime on the same seeded inputs and compares what comes out.

    tests/cross_check/cross_check.py --graphs 2000           # random small graphs
    tests/cross_check/cross_check.py model.onnx folder/      # models; sizes that they leave open are drawn
    tests/cross_check/cross_check.py --graphs 1 --seed 1234  # one graph again, its case kept

ONNX Runtime's results become ONNX test cases below build/cross_check, which `sluice test` runs; the cases that
differ stay there. Exit status: 0 where nothing differs, 1 otherwise, 77 where npm or node is missing.
Needs python3-numpy, python3-onnx, Node.js with npm and a build of the command.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import onnx
from onnx import helper, mapping, numpy_helper

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MODULES = ROOT / "build" / "peers" / "node_modules"
SKIPPED = 77

sys.path.insert(0, str(HERE))
import graphs  # noqa: E402


def install_onnxruntime():
    """The package that bench/peers uses; its install script only fetches GPU libraries, so it is not run."""
    if not (shutil.which("node") and shutil.which("npm")):
        print("skipped: Node.js with npm is missing")
        sys.exit(SKIPPED)
    if (MODULES / "onnxruntime-node").exists():
        return
    MODULES.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "bench" / "peers" / "package.json", MODULES.parent)
    command = ["npm", "install", "--ignore-scripts", "--silent", "--prefix", str(MODULES.parent)]
    if subprocess.run(command).returncode != 0:
        print("skipped: npm cannot install onnxruntime-node")
        sys.exit(SKIPPED)


class OnnxRuntime:
    def __init__(self):
        environment = dict(os.environ, ORT_DISABLE_TELEMETRY="1", SLUICE_PEERS_MODULES=str(MODULES))
        self.process = subprocess.Popen(["node", str(HERE / "ort_worker.js")], env=environment, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self, model, inputs, folder):
        """name -> array of the outputs; throws RuntimeError with the message where ONNX Runtime refuses."""
        request = {"model": str(model), "inputs": [], "output": str(folder)}
        for i, (name, array) in enumerate(inputs.items()):
            file = folder / f"input_{i}.bin"
            array.tofile(file)
            request["inputs"].append(
                {"name": name, "type": str(array.dtype), "dims": array.shape, "file": str(file)})
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("ONNX Runtime ended")
        reply = json.loads(line)
        if "error" in reply:
            raise RuntimeError(reply["error"])
        return {output["name"]: np.fromfile(output["file"], output["type"]).reshape(output["dims"])
                for output in reply["outputs"]}


def random_inputs(model, generator):
    """For the graph's inputs without initializers: normal floats, small integers, sizes drawn where unknown.

    Unknown sizes are 1 to 3, those of pictures (from the third axis of four) 32 to 96: the windows of a network's
    last layers must still fit. Where one does not, floor((size - span) / stride) + 1 of the standard is 0 and Sluice
    refuses; ONNX Runtime rounds the negative quotient towards zero and computes one window.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    symbols = {}
    inputs = {}
    for value in model.graph.input:
        if value.name in constants:
            continue
        tensor = value.type.tensor_type
        shape = []
        for axis, dim in enumerate(tensor.shape.dim):
            size = dim.dim_value
            if not dim.HasField("dim_value") or size <= 0:
                picture = axis >= 2 and len(tensor.shape.dim) >= 4
                drawn = generator.integers(32, 97) if picture else generator.integers(1, 4)
                size = symbols.setdefault(dim.dim_param or object(), int(drawn))
            shape.append(size)
        dtype = mapping.TENSOR_TYPE_TO_NP_TYPE[tensor.elem_type]
        if dtype.kind == "f":
            inputs[value.name] = generator.standard_normal(shape).astype(dtype)
        else:
            inputs[value.name] = generator.integers(0, 2 if dtype.kind == "b" else 10, shape).astype(dtype)
    return inputs


def write_case(folder, model_file, inputs, outputs, names):
    data = folder / "test_data_set_0"
    data.mkdir()
    if model_file != folder / "model.onnx":
        (folder / "model.onnx").symlink_to(model_file)
    for i, array in enumerate(inputs.values()):
        (data / f"input_{i}.pb").write_bytes(numpy_helper.from_array(array).SerializeToString())
    for i, name in enumerate(names):
        (data / f"output_{i}.pb").write_bytes(numpy_helper.from_array(outputs[name]).SerializeToString())


def prepare(runtime, folder, model_file, model, inputs):
    """Writes the test case; the reason where ONNX Runtime does not run the model."""
    scratch = folder / "scratch"
    scratch.mkdir()
    try:
        outputs = runtime.run(model_file, inputs, scratch)
    except RuntimeError as error:
        return " ".join(str(error).split())
    finally:
        shutil.rmtree(scratch)
    write_case(folder, model_file, inputs, outputs, [value.name for value in model.graph.output])
    return None


def model_cases(paths, runtime, work, seed):
    files = []
    for path in paths:
        if not path.exists():
            print(f"'{path}' is missing: its models are not compared")
            continue
        files += sorted(path.rglob("*.onnx")) if path.is_dir() else [path]
    for i, file in enumerate(files):
        model = onnx.load(str(file))
        folder = work / f"model_{i}_{file.parent.name}"
        folder.mkdir()
        inputs = random_inputs(model, np.random.default_rng(seed + i))
        yield str(file), folder, prepare(runtime, folder, file.resolve(), model, inputs)


def graph_cases(count, runtime, work, seed):
    for i in range(seed, seed + count):
        model, inputs = graphs.random_model(i)
        folder = work / f"graph_{i}"
        folder.mkdir()
        onnx.save(model, str(folder / "model.onnx"))
        yield f"graph {i}", folder, prepare(runtime, folder, folder / "model.onnx", model, inputs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=pathlib.Path, help="files, or folders searched for *.onnx")
    parser.add_argument("--graphs", type=int, default=0, help="that many random graphs")
    parser.add_argument("--seed", type=int, default=1, help="of the first graph and of the models' inputs")
    parser.add_argument("--sluice", type=pathlib.Path, default=ROOT / "build/release/tools/sluice")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build/cross_check")
    args = parser.parse_args()
    if not args.sluice.exists():
        raise SystemExit(f"'{args.sluice}' is missing: build first, or say --sluice")
    install_onnxruntime()
    shutil.rmtree(args.work, ignore_errors=True)
    args.work.mkdir(parents=True)
    runtime = OnnxRuntime()
    refused = 0
    cases = [*model_cases(args.models, runtime, args.work, args.seed),
             *graph_cases(args.graphs, runtime, args.work, args.seed)]
    for name, folder, reason in cases:
        if reason:
            refused += 1
            print(f"ONNX Runtime refuses {name}: {reason[:300]}")
            shutil.rmtree(folder)
    if refused == len(cases):
        raise SystemExit("nothing to compare")
    report = args.work / "report.json"
    subprocess.run([str(args.sluice), "test", str(args.work), "--json", str(report)], stdout=subprocess.DEVNULL)
    result = json.loads(report.read_text())
    largest = 0
    for case in result["cases"]:
        if case["result"] == "passed":
            largest = max(largest, case["largest_error"])
        else:
            print(f"{case['result']} {case['case']}: {case['reason']}")
        if case["result"] != "failed":
            shutil.rmtree(case["case"])
    print(f"{result['passed']} of {len(cases)} agree (largest difference {largest:.2g}), {result['failed']} differ, "
          f"{result['skipped']} Sluice does not run, {refused} ONNX Runtime does not run")
    return 0 if result["failed"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
