#!/usr/bin/python3
"""Converts real Darknet networks and compares their outputs and detections with what OpenCV's reader gave.

    tests/e2e/darknet_models.py ../shared/models     # darknet/NAME.cfg, .weights, .dog.npz, .expected.json; pictures/

The folder is SLUICE_MODELS, or that one beside the checkout, where none is given.

Also converts every cfg file of Debian's package `darknet`, where it is installed, with random weights, and checks
the models with python3-onnx and by a run. Exit status: 0 where everything agrees, 1 otherwise, 77 where there is
neither a folder of models nor that package. Needs python3-numpy, python3-onnx and a build of the command; compares
decoded models with ONNX Runtime where Node.js with npm is there.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "cross_check"))
import ort  # noqa: E402
from darknet_rows import rows_of, sections  # noqa: E402

CONFIGURATIONS = pathlib.Path("/usr/share/darknet/cfg")
VOC = ("aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant "
       "sheep sofa train tvmonitor").split()
SKIPPED = 77
# Bytes of a model from which a run takes too long for a test.
LARGEST_WEIGHTS = 120e6


class Failures:
    def __init__(self):
        self.count = self.checks = 0

    def check(self, right, text):
        self.checks += 1
        if not right:
            self.count += 1
            print(f"FAILED: {text}")


def call(command, *args, status=0):
    done = subprocess.run([str(command), *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != status:
        raise RuntimeError(f"{args[0]} ends with {done.returncode}: {done.stderr.strip()}")
    return done.stdout if status == 0 else done.stderr


def check_model(path):
    """Opsets newer than python3-onnx itself are left alone."""
    model = onnx.load(str(path))
    if model.opset_import[0].version <= onnx.defs.onnx_opset_version():
        onnx.checker.check_model(model)


def run(command, model, folder, inputs, *options):
    """name -> array of the model's outputs."""
    args = []
    for name, array in inputs.items():
        np.save(folder / f"in_{name}.npy", array)
        args += ["--input", f"{name}={folder / f'in_{name}.npy'}"]
    out = folder / "out"
    for old in out.glob("*.npy"):
        old.unlink()
    call(command, "run", model, *args, "--output", out, *options)
    return {file.stem: np.load(file) for file in out.glob("*.npy")}


def overlap(a, b):
    both = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(x[2] - x[0]) * (x[3] - x[1]) for x in (a, b)]
    return both / (sum(areas) - both)


def check_rows(failures, command, cfg, folder):
    """Raw outputs on the network input of dog.jpg, in every way of converting."""
    data = np.load(cfg.with_suffix(".dog.npz"))
    image = data["input"]
    heads = [(name, keys) for name, keys in sections(cfg.read_text()) if name in ("yolo", "region")]
    wanted = [data[name] for name in data.files if name != "input"]
    for options in ((), ("--no-fold",), ("--opset", "9"), ("--opset", "21"), ("--batch", "dynamic"), ("--batch", "2")):
        model = folder / "net.onnx"
        call(command, "convert", cfg, cfg.with_suffix(".weights"), "-o", model, *options)
        check_model(model)
        pictures = 1 if "--batch" not in options else 2
        outputs = run(command, model, folder, {"image": np.repeat(image, pictures, axis=0)})
        for i, ((kind, keys), want) in enumerate(zip(heads, wanted)):
            for head in outputs[f"{kind}_{i}"]:
                rows = rows_of(head, keys, kind, *image.shape[:1:-1])
                # OpenCV leaves out scores below the threshold.
                rows[:, 5:][want[:, 5:] == 0] = 0
                off = np.abs(rows - want).max()
                failures.check(off < 2e-3, f"{cfg.name} {' '.join(options)}: {kind}_{i} differs by {off:.3g}")


def check_detections(failures, command, cfg, folder, pictures, names):
    expected = json.loads(cfg.with_suffix(".expected.json").read_text())
    results = []
    for options in ((), ("--decode",)):
        model, found = folder / "net.onnx", folder / "found.json"
        call(command, "convert", cfg, cfg.with_suffix(".weights"), "-o", model, "--names", names, *options)
        call(command, "detect", model, pictures, "--json", found)
        got = {pathlib.Path(entry["picture"]).name: entry["detections"] for entry in json.loads(found.read_text())}
        results.append(got)
        for picture, wanted in expected["detections"].items():
            left = list(got[picture])
            for want in wanted:
                # OpenCV's boxes may leave the picture, these ones at the left and the top.
                box = [max(0, x) for x in want["box"]]
                best = max(left, key=lambda one: (one["label"] == want["label"]) * overlap(one["box"], box))
                same = best["label"] == want["label"] and overlap(best["box"], box) > 0.95
                failures.check(same and abs(best["score"] - want["score"]) < 1e-2,
                               f"{cfg.name} {picture} {' '.join(options)}: expected {want}, closest is {best}")
                left.remove(best)
    plain, decoded = results
    failures.check(plain.keys() == decoded.keys(), f"{cfg.name}: {len(decoded)} pictures when decoded")
    for picture in plain:
        a, b = ([(one["label"], round(one["score"], 3)) for one in result[picture]] for result in results)
        failures.check(sorted(a) == sorted(b), f"{cfg.name} {picture}: {a} but decoded {b}")


def check_decoded(failures, command, cfg, folder, runtime):
    """The decoded model through ONNX Runtime, with the same picture in both places of a batch."""
    image = np.load(cfg.with_suffix(".dog.npz"))["input"]
    model = folder / "decoded.onnx"
    for options in ((), ("--batch", "dynamic", "--opset", "21"), ("--opset", "11", "--threshold", "0.1")):
        call(command, "convert", cfg, cfg.with_suffix(".weights"), "-o", model, "--decode", *options)
        check_model(model)
        inputs = {"image": np.repeat(image, 2 if "dynamic" in options else 1, axis=0)}
        got = run(command, model, folder, inputs)
        failures.check(len(got["scores"]) > 0, f"{cfg.name} {' '.join(options)}: nothing detected")
        if runtime is None:
            continue
        want = runtime.run(model, inputs, folder)
        same = all(got[name].shape == want[name].shape for name in want)
        failures.check(same and np.array_equal(got["classes"], want["classes"])
                       and np.abs(got["scores"] - want["scores"]).max() < 1e-4
                       and np.abs(got["boxes"] - want["boxes"]).max() < 0.1,
                       f"{cfg.name} {' '.join(options)}: decoded outputs differ from ONNX Runtime's")


def check_mismatched(failures, command, cfg, folder):
    weights = cfg.with_suffix(".weights")
    target = folder / "mismatched.onnx"
    message = call(command, "convert", cfg, weights, "-o", target, status=1)
    failures.check(str(weights.stat().st_size) in message and "bytes of weights" in message and weights.name in message,
                   f"{cfg.name}: {message}")
    failures.check(not target.exists(), f"{cfg.name}: something was written")


def check_models(failures, command, models, folder, runtime):
    darknet = models / "darknet"
    voc = folder / "voc.names"
    voc.write_text("\n".join(VOC) + "\n")
    for cfg in sorted(darknet.glob("*.cfg")):
        names = darknet / "coco.names" if "yolo-fastest" in cfg.name else voc
        check_rows(failures, command, cfg, folder)
        check_detections(failures, command, cfg, folder, models / "pictures", names)
        check_decoded(failures, command, cfg, folder, runtime)
    for cfg in sorted((darknet / "mismatched").glob("*.cfg")):
        check_mismatched(failures, command, cfg, folder)


def check_configuration(failures, command, cfg, folder):
    model = folder / "made_up.onnx"
    try:
        call(command, "convert", cfg, "-o", model, "--seed", 3)
        proto = onnx.load(str(model))
        check_model(model)
        notes = {entry.key: entry.value for entry in proto.metadata_props}
        failures.check(notes.get("weights") == "random, seed 3", f"{cfg.name}: metadata {notes}")
        if model.stat().st_size > LARGEST_WEIGHTS:
            return
        inputs = {value.name: np.zeros([dim.dim_value for dim in value.type.tensor_type.shape.dim], np.float32)
                  for value in proto.graph.input}
        for name, array in run(command, model, folder, inputs).items():
            failures.check(np.isfinite(array).all(), f"{cfg.name}: '{name}' is not finite")
    except (RuntimeError, onnx.checker.ValidationError) as error:
        failures.check(False, f"{cfg.name}: {error}")
    finally:
        model.unlink(missing_ok=True)


def onnx_runtime():
    """Nothing where it is missing, which is said."""
    try:
        ort.install()
        return ort.OnnxRuntime()
    except SystemExit:
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="?", type=pathlib.Path, 
                        default=os.environ.get("SLUICE_MODELS", ROOT / "../shared/models"))
    parser.add_argument("--sluice", type=pathlib.Path, default=ROOT / "build/release/tools/sluice")
    parser.add_argument("--configurations", type=pathlib.Path, default=CONFIGURATIONS)
    args = parser.parse_args()
    failures = Failures()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        if (args.models / "darknet").is_dir():
            check_models(failures, args.sluice, args.models, folder, onnx_runtime())
        else:
            print(f"no folder {args.models / 'darknet'}: real networks are not converted")
        if args.configurations.is_dir():
            for cfg in sorted(args.configurations.glob("*.cfg")):
                check_configuration(failures, args.sluice, cfg, folder)
        else:
            print(f"no folder {args.configurations} (Debian: darknet): its networks are not converted")
    if failures.checks == 0:
        print("skipped: no networks")
        return SKIPPED
    print(f"{failures.checks} checks, {failures.count} failed")
    return 1 if failures.count else 0


if __name__ == "__main__":
    sys.exit(main())
