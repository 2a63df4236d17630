#!/usr/bin/python3
"""Runs the benchmark networks through Sluice, ONNX Runtime, OpenCV's dnn and PyTorch, interleaved, and prints ratios.

    bench/peers/compare.py [--only yolov3 ...] [--threads 1 2] [--seconds 6] [--json FILE]

Needs python3-numpy, python3-onnx, python3-opencv, Node.js with npm (Debian packages) and a release build
(tools/setup.sh release). ONNX Runtime's npm package goes to build/peers, the networks to build/networks.
PyTorch takes part where --runtimes names it. It needs python3-torch, and libopenblas0-openmp to be compared fairly:
with the reference BLAS (libblas3) a network of transposed convolutions takes twelve times as long.

Every runtime is a worker process that loads a model once and then waits; workers take turns, so that all of
them see the same machine. A ratio is taken between neighbouring turns; the table has the median of the ratios
and their quartiles. Outputs of all runtimes are compared with ONNX Runtime's in the same run.

A worker is called as  WORKER MODEL THREADS NAME=1x3x416x416=FILE...  (files of little-endian floats). It prints a
line {"load_ms", "version"} and answers lines on standard input with lines of JSON:
    run K        -> {"ms": [K times]}
    outputs DIR  -> {"shapes": {name: shape}}, elements in DIR/0.f32, DIR/1.f32, ... in the model's order
    memory       -> {"peak_rss_bytes"}
{"error"} instead of any of these says why it cannot.
"""
import argparse
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import networks  # noqa: E402

HERE = ROOT / "bench" / "peers"
MODULES = ROOT / "build" / "peers" / "node_modules"
RUNTIMES = {
    "sluice": [str(ROOT / "build" / "release" / "bench" / "sluice_worker")],
    "onnxruntime": ["node", str(HERE / "ort_worker.js")],
    "opencv": ["/usr/bin/python3", str(HERE / "opencv_worker.py")],
    "pytorch": ["/usr/bin/python3", str(HERE / "pytorch_worker.py")],
}
USUAL = ["sluice", "onnxruntime", "opencv"]


# Processes that load a model, of each runtime in turn: what one load takes depends on what the machine did before it,
# on which pages of the file and of free memory are at hand. The last ones stay.
LOADS = 3
# Run before each load: touches memory in large and in small pages, and frees it. A virtual machine may give memory that
# was free for two seconds back to its host, and who asks for it next waits several times as long as who comes just
# behind another.
TOUCH = """
import mmap
for kind in mmap.MADV_HUGEPAGE, mmap.MADV_NOHUGEPAGE:
    memory = mmap.mmap(-1, 1 << 30, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(kind)
    for at in range(0, len(memory), 4096):
        memory[at] = 1
"""


class Worker:
    """One runtime with one model loaded."""

    def __init__(self, command, model, threads, inputs, environment):
        self.process = subprocess.Popen([*command, str(model), str(threads), *inputs], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
        self.facts = self.answer()
        self.error = self.facts.get("error")
        self.times = []

    def answer(self):
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"error": f"the worker ended with status {self.process.wait()}"}

    def ask(self, text):
        try:
            self.process.stdin.write(text + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        answer = self.answer()
        self.error = self.error or answer.get("error")
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def install_onnxruntime():
    """From npm; its install script only fetches GPU libraries, so it is not run."""
    if (MODULES / "onnxruntime-node").exists():
        return
    if not shutil.which("npm"):
        raise SystemExit("npm is missing: install Node.js with npm, or leave ONNX Runtime out with --runtimes")
    MODULES.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "package.json", MODULES.parent)
    subprocess.run(["npm", "install", "--ignore-scripts", "--silent", "--prefix", str(MODULES.parent)], check=True)


def network_file(name):
    path = ROOT / "build" / "networks" / f"{name}.onnx"
    if not path.exists():
        subprocess.run(["/usr/bin/python3", str(ROOT / "bench" / "networks.py"), "--output", str(path.parent), "--only",
                        name], check=True)
    return path


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    flags = next((line for line in open("/proc/cpuinfo") if line.startswith("flags")), "")
    vector = "AVX-512" if " avx512f" in flags else "AVX2" if " avx2" in flags else "SSE"
    return {"cpu": model, "cores": os.cpu_count(), "vector": vector, "system": platform.platform(),
            "date": time.strftime("%Y-%m-%d")}


def largest_error(folder, reference, shapes, reference_shapes):
    """Largest difference over all outputs, as a share of the reference's largest magnitude. Runtimes may order
    outputs differently, so each is compared with the one of its name, or of its place where names differ."""
    names, reference_names = list(shapes), list(reference_shapes)
    worst = 0.0
    for i, name in enumerate(names):
        j = reference_names.index(name) if name in reference_names else i
        got = np.fromfile(folder / f"{i}.f32", np.float32)
        want = np.fromfile(reference / f"{j}.f32", np.float32)
        if got.size != want.size:
            return float("inf")
        scale = float(np.abs(want).max()) or 1.0
        worst = max(worst, float(np.abs(got - want).max()) / scale)
    return worst


def start_workers(name, threads, runtimes, folder):
    environment = dict(os.environ, ORT_DISABLE_TELEMETRY="1", SLUICE_PEERS_MODULES=str(MODULES),
                       OMP_NUM_THREADS=str(threads))
    inputs = []
    for input_name, shape in networks.NETWORKS[name][1].items():
        file = folder / f"{input_name}.f32"
        np.random.default_rng(1).standard_normal(shape).astype(np.float32).tofile(file)
        inputs.append(f"{input_name}={'x'.join(map(str, shape))}={file}")
    model, loads = network_file(name), {}
    for _ in range(LOADS):
        workers = {}
        for runtime in runtimes:
            subprocess.run([sys.executable, "-c", TOUCH], stderr=subprocess.DEVNULL)
            workers[runtime] = Worker(RUNTIMES[runtime], model, threads, inputs, environment)
            loads.setdefault(runtime, []).append(workers[runtime].facts.get("load_ms"))
            if len(loads[runtime]) < LOADS:
                workers[runtime].close()
    for runtime, worker in workers.items():
        if not worker.error:
            worker.facts["load_ms"] = statistics.median(loads[runtime])
    return workers


def check_outputs(workers, folder):
    """Also each worker's first run."""
    shapes = {}
    for runtime, worker in workers.items():
        if worker.error:
            continue
        (folder / runtime).mkdir()
        shapes[runtime] = worker.ask(f"outputs {folder / runtime}").get("shapes")
    reference = "onnxruntime" if shapes.get("onnxruntime") else next(iter(shapes), None)
    return {r: largest_error(folder / r, folder / reference, s, shapes[reference])
            for r, s in shapes.items() if s and r != reference}


def take_turns(workers, seconds):
    live = [w for w in workers.values() if not w.error]
    for worker in live:
        first = worker.ask("run 2")["ms"][-1]
        # A turn of about a quarter of a second, so that starting it does not show.
        worker.turn = max(1, min(200, round(250 / first)))
    end = time.monotonic() + seconds * len(live)
    turns = 0
    while time.monotonic() < end or turns < 5:
        for worker in live:
            time.sleep(0.03)  # other runtimes' threads go to sleep
            worker.times.append(statistics.median(worker.ask(f"run {worker.turn}")["ms"]))
        turns += 1
    return turns


def measure(name, threads, runtimes, seconds):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        workers = start_workers(name, threads, runtimes, folder)
        errors = check_outputs(workers, folder)
        turns = take_turns(workers, seconds)
        row = {"network": name, "threads": threads, "turns": turns, "runtimes": {}}
        for runtime, worker in workers.items():
            facts = dict(worker.facts)
            if worker.error:
                facts = {"error": worker.error}
            else:
                facts["peak_rss_bytes"] = worker.ask("memory")["peak_rss_bytes"]
                facts["median_ms"] = statistics.median(worker.times)
                facts["min_ms"] = min(worker.times)
                if runtime in errors:
                    facts["error_to_reference"] = errors[runtime]
                ours = workers["sluice"]
                if runtime != "sluice" and not ours.error:
                    ratios = sorted(theirs / mine for theirs, mine in zip(worker.times, ours.times))
                    facts["ratio"] = statistics.median(ratios)
                    facts["ratio_quartiles"] = [ratios[len(ratios) // 4], ratios[(3 * len(ratios)) // 4]]
            row["runtimes"][runtime] = facts
            worker.close()
        return row


def describe(row):
    cells = [f"{row['network']:<20} {row['threads']:>2}"]
    for runtime, facts in row["runtimes"].items():
        if "error" in facts:
            cells.append(f"{runtime}: {facts['error'][:60]}")
            continue
        text = f"{runtime} {facts['median_ms']:.1f} ms, load {facts['load_ms']:.0f} ms, {facts['peak_rss_bytes'] / 1e6:.0f} MB"
        if "ratio" in facts:
            low, high = facts["ratio_quartiles"]
            text += f", {facts['ratio']:.2f}x [{low:.2f} {high:.2f}]"
        if "error_to_reference" in facts:
            text += f", error {facts['error_to_reference']:.1e}"
        cells.append(text)
    return " | ".join(cells)


def summarise(rows, runtimes):
    for threads in sorted({row["threads"] for row in rows}):
        best = [min(ratios) for row in rows if row["threads"] == threads and
                (ratios := [facts["ratio"] for facts in row["runtimes"].values() if "ratio" in facts])]
        if best and len(runtimes) > 2:
            print(f"{threads} threads: each network's fastest peer / sluice, geometric mean over {len(best)} networks "
                  f"{statistics.geometric_mean(best):.2f}, least {min(best):.2f}")
        for runtime in runtimes:
            ratios = [row["runtimes"][runtime]["ratio"] for row in rows
                      if row["threads"] == threads and "ratio" in row["runtimes"].get(runtime, {})]
            if ratios:
                print(f"{threads} threads: {runtime} / sluice, geometric mean over {len(ratios)} networks "
                      f"{statistics.geometric_mean(ratios):.2f}, least {min(ratios):.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(networks.NETWORKS), help="these networks alone")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, os.cpu_count()])
    parser.add_argument("--runtimes", nargs="+", choices=list(RUNTIMES), default=USUAL)
    parser.add_argument("--seconds", type=float, default=6, help="for each runtime, network and number of threads")
    parser.add_argument("--json", type=pathlib.Path, help="file for all figures, for bench/report")
    args = parser.parse_args()
    if not pathlib.Path(RUNTIMES["sluice"][0]).exists():
        raise SystemExit("build first: tools/setup.sh release")
    if "onnxruntime" in args.runtimes:
        install_onnxruntime()
    rows = []
    for threads in dict.fromkeys(args.threads):
        for name in args.only or networks.NETWORKS:
            rows.append(measure(name, threads, args.runtimes, args.seconds))
            print(describe(rows[-1]), flush=True)
    summarise(rows, args.runtimes)
    if args.json:
        args.json.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
