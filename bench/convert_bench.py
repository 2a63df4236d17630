#!/usr/bin/python3
"""How long `sluice convert` takes for a Darknet network or its model, against copying the file, and how much memory.

    bench/convert_bench.py                                      # YOLOv3 of Debian's package `darknet`: 248 MB
    bench/convert_bench.py --cfg yolov3-tiny.cfg --turns 9 --json convert.json
    bench/convert_bench.py --optimize                           # convert --optimize of the model, BatchNormalization kept
    bench/convert_bench.py --optimize --no-check                # without the run of both on made-up inputs

The weights are seeded random numbers of the size that the network takes. Conversion and copy take turns in the same
folder; each ratio is taken between neighbouring turns, the median is printed. Needs python3-numpy and a build of
the command.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
LONGEST_TIMES_COPY, MOST_TIMES_SIZE = 3.0, 2.5


def convolutions(cfg):
    """(filters, whether normalised, weights of a filter) of each, of a network of [convolutional], [shortcut],
    [route], [upsample], [maxpool] and [yolo] sections."""
    sections = []
    for line in cfg.read_text().splitlines():
        line = line.split("#")[0].replace(" ", "")
        if line.startswith("["):
            sections.append((line.strip("[]"), {}))
        elif "=" in line:
            sections[-1][1].setdefault(*line.split("=", 1))
    channels = int(sections[0][1].get("channels", 3))
    outputs, found = [], []
    for name, keys in sections[1:]:
        if name == "convolutional":
            filters, size = int(keys["filters"]), int(keys["size"])
            found.append((filters, int(keys.get("batch_normalize", 0)),
                          channels // int(keys.get("groups", 1)) * size * size))
            channels = filters
        elif name == "route":
            indices = [int(index) for index in keys["layers"].split(",")]
            channels = sum(outputs[index if index >= 0 else len(outputs) + index] for index in indices)
        elif name not in ("shortcut", "upsample", "maxpool", "yolo"):
            raise SystemExit(f"{cfg}: [{name}] is not counted here")
        outputs.append(channels)
    return found


def write_weights(path, layers):
    """Such that values stay near 1."""
    generator = np.random.default_rng(1)
    with path.open("wb") as file:
        def put(array):
            file.write(array.astype("<f4").tobytes())
        file.write(np.array([0, 2, 0], "<i4").tobytes() + bytes(8))
        for filters, normalized, fan_in in layers:
            put(generator.normal(0, 0.1, filters))
            if normalized:
                put(generator.normal(1, 0.1, filters))
                put(generator.normal(0, 0.1, filters))
                put(generator.uniform(0.5, 1.5, filters))
            put(generator.standard_normal((filters, fan_in), np.float32) * np.float32((2 / fan_in) ** 0.5))


def timed(command):
    """Seconds, seconds of processor time, and the largest resident size in bytes."""
    begin = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    if status != 0:
        raise SystemExit(f"{' '.join(command)} ends with status {status}")
    return time.monotonic() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cfg", type=pathlib.Path, default=pathlib.Path("/usr/share/darknet/cfg/yolov3.cfg"))
    parser.add_argument("--sluice", type=pathlib.Path, default=ROOT / "build/release/tools/sluice")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--folder", type=pathlib.Path, help="where the files go for the time of the run")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--optimize", action="store_true", help="ONNX to ONNX instead of Darknet to ONNX")
    parser.add_argument("--no-check", action="store_true", help="with --optimize: the result is not run beside the original")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as temporary:
        folder = pathlib.Path(temporary)
        weights, copy, model = folder / "net.weights", folder / "copy.weights", folder / "net.onnx"
        write_weights(weights, convolutions(args.cfg))
        command = [str(args.sluice), "convert", str(args.cfg), str(weights), "-o", str(model)]
        if args.optimize:
            plain = folder / "plain.onnx"
            timed([*command[:-1], str(plain), "--no-fold"])
            weights.unlink()
            weights = plain
            command = [str(args.sluice), "convert", str(plain), "-o", str(model), "--optimize"]
            command += ["--no-check"] if args.no_check else []
        size = weights.stat().st_size
        rows = []
        for _ in range(args.turns):
            for old in (copy, model):
                old.unlink(missing_ok=True)
            copied, copied_cpu, _ = timed([shutil.which("cp"), str(weights), str(copy)])
            converted, converted_cpu, peak = timed(command)
            rows.append({"copy_s": copied, "convert_s": converted, "copy_cpu_s": copied_cpu,
                         "convert_cpu_s": converted_cpu, "peak_bytes": peak})
    ratio = statistics.median(row["convert_s"] / row["copy_s"] for row in rows)
    cpu_ratio = statistics.median(row["convert_cpu_s"] / max(row["copy_cpu_s"], 1e-3) for row in rows)
    peak = max(row["peak_bytes"] for row in rows)
    print(f"{args.cfg.name}: {'model' if args.optimize else 'weights'} {size / 1e6:.0f} MB, copied in "
          f"{statistics.median(row['copy_s'] for row in rows):.3f} s, converted in "
          f"{statistics.median(row['convert_s'] for row in rows):.3f} s")
    print(f"conversion takes {ratio:.2f} times as long as the copy (aim: under {LONGEST_TIMES_COPY}; {cpu_ratio:.2f} "
          f"times its processor time, which other work on the machine disturbs less) and "
          f"{peak / size:.2f} times the file's size of memory (aim: under {MOST_TIMES_SIZE})")
    if args.json:
        args.json.write_text(json.dumps({"cfg": args.cfg.name, "bytes": size, "ratio": ratio, "cpu_ratio": cpu_ratio, "turns": rows}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
