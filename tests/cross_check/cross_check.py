#!/usr/bin/python3
"""Runs models through Sluice and through ONNX Runtime on the same seeded inputs and compares what comes out.

    tests/cross_check/cross_check.py --graphs 2000           # random small graphs
    tests/cross_check/cross_check.py --draws 3 folder/       # models, three times as they are and three with the rows
                                                             # and columns of pictures open; open sizes are drawn
    tests/cross_check/cross_check.py --graphs 1 --seed 1234  # one graph again, its case kept

ONNX Runtime's results become ONNX test cases below build/cross_check. `sluice test` runs them without passes, with
one thread and with two, whose results must be the same bit by bit; the cases that differ or that Sluice does not run
stay there. Exit status: 0 where there are none, 1 otherwise, 77 where npm or node is missing.
Needs python3-numpy, python3-onnx, Node.js with npm and a build of the command.
"""
import argparse
import collections
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import onnx
from onnx import mapping, numpy_helper

import graphs
import ort

WAYS = {"passes off": ["--passes", "off"], "1 thread": ["--threads", "1"], "2 threads": ["--threads", "2"]}
# Where memory is filled with NaN before it is handed out, see tests/fill_malloc.cpp.
FILLED = ("passes off", "1 thread")


def random_inputs(model, generator):
    """For the graph's inputs without initializers: normal floats, small integers, sizes drawn where unknown.

    Unknown sizes are 1 to 3, those of pictures (from the third axis of four) 48 to 96: the windows of a network's
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
                drawn = generator.integers(48, 97) if picture else generator.integers(1, 4)
                size = symbols.setdefault(dim.dim_param or object(), int(drawn))
            shape.append(size)
        dtype = mapping.TENSOR_TYPE_TO_NP_TYPE[tensor.elem_type]
        if dtype.kind == "f":
            inputs[value.name] = generator.standard_normal(shape).astype(dtype)
        else:
            inputs[value.name] = generator.integers(0, 2 if dtype.kind == "b" else 10, shape).astype(dtype)
    return inputs


def with_open_pictures(model):
    """The model with rows and columns of its pictures left open; None where it has no pictures of fixed size."""
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    constants = {tensor.name for tensor in model.graph.initializer}
    changed = False
    for value in opened.graph.input:
        dims = value.type.tensor_type.shape.dim
        if value.name in constants or len(dims) != 4:
            continue
        for axis in (2, 3):
            changed |= dims[axis].dim_value > 1
            if dims[axis].dim_value > 1:
                dims[axis].dim_param = f"open_{value.name}_{axis}"
    # Sizes that follow from the picture's no longer hold.
    del opened.graph.value_info[:]
    for value in opened.graph.output:
        value.type.tensor_type.ClearField("shape")
    return opened if changed else None


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


def model_cases(paths, draws, runtime, work, seed):
    files = []
    for path in paths:
        if not path.exists():
            print(f"'{path}' is missing: its models are not compared")
            continue
        files += sorted(path.rglob("*.onnx")) if path.is_dir() else [path]
    for i, file in enumerate(files):
        model = onnx.load(str(file))
        for draw in range(draws):
            folder = work / f"model_{i}_{file.parent.name}_{draw}"
            folder.mkdir()
            inputs = random_inputs(model, np.random.default_rng([seed + i, draw]))
            yield str(file), folder, model, prepare(runtime, folder, file.resolve(), model, inputs)
        opened = with_open_pictures(model)
        for draw in range(draws if opened else 0):
            folder = work / f"model_{i}_{file.parent.name}_open_{draw}"
            folder.mkdir()
            onnx.save(opened, str(folder / "model.onnx"))
            inputs = random_inputs(opened, np.random.default_rng([seed + i, draw]))
            yield f"{file}, sizes open", folder, opened, prepare(runtime, folder, folder / "model.onnx", opened, inputs)


def graph_cases(count, runtime, work, seed):
    for i in range(seed, seed + count):
        model, inputs = graphs.random_model(i)
        folder = work / f"graph_{i}"
        folder.mkdir()
        onnx.save(model, str(folder / "model.onnx"))
        yield f"graph {i}", folder, model, prepare(runtime, folder, folder / "model.onnx", model, inputs)


def run_sluice(command, work, way, preload):
    """folder -> the result of its case."""
    filled = {"LD_PRELOAD": str(preload)} if preload and way in FILLED else {}
    report = work / "report.json"
    report.unlink(missing_ok=True)
    done = subprocess.run([str(command), "test", str(work), "--json", str(report), *WAYS[way]],
                          env=dict(os.environ, **filled), stdout=subprocess.DEVNULL)
    if not report.exists():
        raise SystemExit(f"'{command}' ended with {done.returncode}, {way}")
    return {case["case"]: case for case in json.loads(report.read_text())["cases"]}


def describe(model):
    opset = next(entry.version for entry in model.opset_import if not entry.domain)
    return f"opset {opset}: " + ", ".join(node.op_type for node in model.graph.node)[:200]


def problems(results, folder):
    """What is wrong with one case, as lines."""
    lines = [f"{way}: {result[folder]['result']}: {result[folder]['reason']}"
             for way, result in results.items() if result[folder]["result"] != "passed"]
    one, two = results["1 thread"][folder], results["2 threads"][folder]
    if not lines and one["digest"] != two["digest"]:
        lines.append(f"1 and 2 threads give different bits: {one['digest']}, {two['digest']}")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=pathlib.Path, help="files, or folders searched for *.onnx")
    parser.add_argument("--draws", type=int, default=1, help="inputs (and sizes) of each model (1)")
    parser.add_argument("--graphs", type=int, default=0, help="that many random graphs")
    parser.add_argument("--seed", type=int, default=1, help="of the first graph and of the models' inputs")
    parser.add_argument("--operators", action="store_true", help="prints how many graphs agree on each operator")
    parser.add_argument("--sluice", type=pathlib.Path, default=ort.ROOT / "build/release/tools/sluice")
    parser.add_argument("--preload", type=pathlib.Path, help="build/release/tests/libfill_malloc.so, to find reads of unwritten memory")
    parser.add_argument("--work", type=pathlib.Path, default=ort.ROOT / "build/cross_check")
    args = parser.parse_args()
    if not args.sluice.exists():
        raise SystemExit(f"'{args.sluice}' is missing: build first, or say --sluice")
    ort.install()
    shutil.rmtree(args.work, ignore_errors=True)
    args.work.mkdir(parents=True)
    runtime = ort.OnnxRuntime()

    cases, refusals = {}, collections.Counter()
    for name, folder, model, reason in [*model_cases(args.models, args.draws, runtime, args.work, args.seed),
                                        *graph_cases(args.graphs, runtime, args.work, args.seed)]:
        if reason:
            refusals[re.sub(r"\b[vcxls]\d+\b|\d+", "N", reason)[:160]] += 1
            shutil.rmtree(folder)
        else:
            cases[str(folder)] = name, describe(model), {node.op_type for node in model.graph.node}
    for reason, count in refusals.most_common():
        print(f"ONNX Runtime refuses {count}: {reason}")
    if not cases:
        raise SystemExit("nothing to compare")

    results = {way: run_sluice(args.sluice, args.work, way, args.preload) for way in WAYS}
    operators, bad, largest = collections.Counter(), 0, 0
    for folder, (name, text, ops) in cases.items():
        lines = problems(results, folder)
        if lines:
            bad += 1
            print(f"{name} in {folder}, {text}")
            for line in lines:
                print(f"    {line}")
            continue
        operators.update(ops)
        largest = max([largest] + [result[folder]["largest_error"] for result in results.values()])
        shutil.rmtree(folder)
    if args.operators:
        print(", ".join(f"{op} {count}" for op, count in sorted(operators.items())))
    print(f"{len(cases) - bad} of {len(cases)} agree in {len(WAYS)} ways (largest difference {largest:.2g}), "
          f"{bad} do not, {sum(refusals.values())} ONNX Runtime does not run; {len(operators)} operators")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
