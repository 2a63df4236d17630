#!/usr/bin/python3
"""Converts models by `sluice convert` and compares what ONNX Runtime makes of the original and of each result on the
same seeded inputs; where python3-onnx knows the opset, its checker and shape inference must take the result too.

    tests/cross_check/convert_check.py model.onnx folder/                       # several conversions of each
    tests/cross_check/convert_check.py --sample 150 /usr/share/libonnx-testdata/data
    tests/cross_check/convert_check.py --options "--opset 9 --strip" model.onnx # one

Exit status: 0 where all agree, 1 otherwise, 77 where npm or node is missing. Needs what cross_check.py needs.
"""
import argparse
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import onnx

import cross_check
import ort

# What opset 17 of Debian's python3-onnx knows, and ONNX Runtime.
CHECKED_OPSET, RUN_OPSET = 17, 23
OPTIONS = ["", "--optimize", "--optimize --opset 9", "--opset 8", "--opset 11", "--opset 13", "--opset 17", "--opset 18",
           "--opset 21", "--optimize --opset 20 --strip", "--leaky --external-data", "--fp16-weights --opset 13"]


def close(got, want, rounded):
    """Whether `got` is `want`, within 1e-4 of its largest number, or of what rounded weights give."""
    if got.dtype != want.dtype or got.shape != want.shape:
        return f"{got.dtype} {got.shape} instead of {want.dtype} {want.shape}"
    if got.dtype.kind != "f" or got.size == 0:
        return None if rounded or np.array_equal(got, want) else "integers differ"
    limit = 0.05 if rounded else 2e-3 if want.dtype == np.float16 else 1e-4
    got, want = got.astype(np.float64), want.astype(np.float64)
    if not np.array_equal(np.isnan(got), np.isnan(want)):
        return "NaN elsewhere"
    finite = np.isfinite(want)
    if not np.array_equal(got[~finite & ~np.isnan(want)], want[~finite & ~np.isnan(want)]):
        return "infinities differ"
    scale = max(np.abs(want[finite]).max(initial=0), 1e-30)
    error = np.abs(got - want)[finite].max(initial=0) / scale
    return None if error <= limit else f"differs by {error:.2g} of the largest"


def inputs_for(file, model, seed):
    """Those of the model's own test case where there are some, random ones otherwise."""
    constants = {tensor.name for tensor in model.graph.initializer}
    names = [value.name for value in model.graph.input if value.name not in constants]
    cases = file.parent / "test_data_set_0"
    if all((cases / f"input_{i}.pb").exists() for i in range(len(names))) and names:
        tensors = [onnx.load_tensor(str(cases / f"input_{i}.pb")) for i in range(len(names))]
        if all(tensor.data_type for tensor in tensors):
            return {name: onnx.numpy_helper.to_array(tensor) for name, tensor in zip(names, tensors)}
    return cross_check.random_inputs(model, np.random.default_rng(seed))


def check_proto(path):
    """Why onnx itself refuses the model."""
    model = onnx.load(str(path))
    if max(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")) > CHECKED_OPSET:
        return None
    try:
        onnx.checker.check_model(str(path), full_check=False)
        onnx.shape_inference.infer_shapes_path(str(path), str(path) + ".inferred", strict_mode=True)
    except Exception as error:  # onnx throws several types
        return " ".join(str(error).split())[:300]
    finally:
        pathlib.Path(str(path) + ".inferred").unlink(missing_ok=True)
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=pathlib.Path)
    parser.add_argument("--options", action="append", help="of `sluice convert`, in one argument; repeatable")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sample", type=int, help="that many of the models, drawn by the seed, with two options each")
    parser.add_argument("--verbose", action="store_true", help="says why conversions are refused")
    parser.add_argument("--sluice", type=pathlib.Path, default=ort.ROOT / "build/release/tools/sluice")
    parser.add_argument("--work", type=pathlib.Path, default=ort.ROOT / "build/convert_check")
    args = parser.parse_args()
    ort.install()
    shutil.rmtree(args.work, ignore_errors=True)
    args.work.mkdir(parents=True)
    runtime = ort.OnnxRuntime()
    files = []
    for path in args.models:
        if not path.exists():
            print(f"'{path}' is missing: its models are not converted")
            continue
        files += sorted(path.rglob("*.onnx")) if path.is_dir() else [path]
    if not files:
        sys.exit(ort.SKIPPED)
    generator = np.random.default_rng(args.seed)
    if args.sample and args.sample < len(files):
        files = sorted(generator.choice(files, args.sample, replace=False))
    counts = {"agree": 0, "differ": 0, "refused": 0, "not run": 0}
    for file in files:
        model = onnx.load(str(file))
        try:
            inputs = inputs_for(file, model, args.seed)
            want = runtime.run(file.resolve(), inputs, args.work)
        except (RuntimeError, KeyError, AttributeError, TypeError, OSError, ValueError) as error:
            counts["not run"] += 1
            if args.verbose:
                print(f"not run {file}: {str(error)[:200]}")
            continue
        options_list = args.options or OPTIONS
        if args.sample:
            options_list = generator.choice(options_list, min(2, len(options_list)), replace=False)
        for options in options_list:
            result = args.work / "converted.onnx"
            done = subprocess.run([str(args.sluice), "convert", str(file), "-o", str(result), *options.split()],
                                  capture_output=True, text=True)
            if done.returncode != 0:
                known = "as opset" in done.stderr or "cannot be written in opset" in done.stderr or "does not have" in done.stderr
                counts["refused" if known else "differ"] += 1
                if args.verbose or not known:
                    print(f"{'refused' if known else 'FAILED'} {file} {options}: {done.stderr.strip()}")
                continue
            reason = check_proto(result)
            if not reason:
                try:
                    got = runtime.run(result, inputs, args.work)
                    rounded = "fp16" in options
                    reasons = [f"{name}: {why}" for name in want if (why := close(got[name], want[name], rounded))]
                    reason = "; ".join(reasons)
                except (RuntimeError, KeyError) as error:
                    reason = str(error)[:300]
            counts["differ" if reason else "agree"] += 1
            if reason:
                print(f"DIFFERS {file} {options}: {reason}")
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
    return 1 if counts["differ"] else 0


if __name__ == "__main__":
    sys.exit(main())
