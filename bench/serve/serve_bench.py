#!/usr/bin/python3
"""Measures `sluice serve`: requests and latencies at several numbers of clients, what the server adds to the bare
session, its throughput against `sluice bench`, and whether its memory stays flat.

    bench/serve/serve_bench.py [--model model.onnx] [--seconds 5] [--clients 1,8,32,128] [--json figures.json]
    bench/serve/serve_bench.py --soak 30          # minutes
    bench/serve/serve_bench.py --short            # a few seconds, for tests: fails on errors and growing memory

Server and clients share this machine. HTTP clients are wrk where it is installed, all others serve_load.
Needs python3-onnx and python3-numpy.
"""
import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "tools/data"
SIZE = (3, 224, 224)


def save(graph_nodes, weights, output_shape, path):
    graph = helper.make_graph(graph_nodes, path.stem,
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *SIZE])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", *output_shape])], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, path)


def write_pool(path):
    """Almost nothing to compute: what is left is the server."""
    save([helper.make_node("GlobalAveragePool", ["x"], ["y"])], [], (3, 1, 1), path)


def write_convnet(path):
    """Nine convolutions with Relu, 0.35 GFLOP a picture, and a classifier."""
    random, nodes, weights, value, channels = np.random.default_rng(7), [], [], "x", 3
    for i, (oc, stride) in enumerate([(16, 2), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1)]):
        weights.append(numpy_helper.from_array(
            (random.standard_normal((oc, channels, 3, 3)) * np.sqrt(2 / (9 * channels))).astype(np.float32), f"w{i}"))
        nodes.append(helper.make_node("Conv", [value, f"w{i}"], [f"c{i}"], kernel_shape=[3, 3], strides=[stride] * 2,
                                      pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"c{i}"], [f"r{i}"]))
        value, channels = f"r{i}", oc
    weights.append(numpy_helper.from_array((random.standard_normal((channels, 1000)) * 0.05).astype(np.float32), "fc"))
    nodes += [helper.make_node("GlobalAveragePool", [value], ["pooled"]), helper.make_node("Flatten", ["pooled"], ["flat"]),
              helper.make_node("MatMul", ["flat", "fc"], ["logits"]), helper.make_node("Softmax", ["logits"], ["y"], axis=1)]
    save(nodes, weights, (1000,), path)


class Server:
    """`sluice serve` on a folder of models; ends with the block."""

    def __init__(self, sluice, folder):
        self.command = [sluice, "serve", "--models", folder, "--http-port", "0", "--grpc-port", "0", "--no-access-log",
                        "--log-level", "warning", "--no-watch"]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.http = self.grpc = None
        late = threading.Timer(120, self.process.kill)
        late.start()
        for line in self.process.stdout:
            if found := re.match(r"(HTTP|gRPC) at \w+://(\S+)", line):
                setattr(self, found[1].lower(), found[2])
            if line.startswith("ready"):
                late.cancel()
                return self
            if line.startswith("not ready"):
                break
        late.cancel()
        self.process.kill()
        raise SystemExit("the server is not ready")

    def __exit__(self, *_):
        self.process.terminate()
        try:
            code = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise SystemExit("the server does not end")
        if code != 0:
            raise SystemExit(f"the server ended with {code}")

    def rss(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]) * 1024


class Bench:
    def __init__(self, arguments, work):
        self.sluice, self.load, self.work = arguments.sluice, arguments.load, work
        self.seconds, self.wrk = arguments.seconds, arguments.wrk
        self.count = 0

    def call(self, *arguments):
        self.count += 1
        path = self.work / f"figures{self.count}.json"
        command = [*map(str, arguments), "--json", str(path)]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)}: {done.stderr}")
        return json.loads(path.read_text())

    def clients(self, protocol, address, model, inputs, clients, seconds=None):
        if protocol == "http" and self.wrk:
            return self.run_wrk(address, model, inputs, clients, seconds or self.seconds)
        return self.call(self.load, f"--{protocol}", address, "--model", model, *inputs, "--clients", clients, "--seconds",
                         seconds or self.seconds)[protocol]

    def run_wrk(self, address, model, inputs, clients, seconds):
        listed, binary = [], b""
        for text in inputs[1::2]:
            name, datatype, sizes = text.rsplit(":", 2)
            shape = [int(size) for size in sizes.split("x")]
            data = np.random.default_rng(1).random(shape).astype({"FP32": np.float32, "FP16": np.float16}.get(datatype, np.uint8))
            listed.append({"name": name, "datatype": datatype, "shape": shape,
                           "parameters": {"binary_data_size": data.nbytes}})
            binary += data.tobytes()
        header = json.dumps({"inputs": listed, "parameters": {"binary_data_output": True}}).encode()
        body = self.work / "body"
        body.write_bytes(header + binary)
        # Whole seconds are all that wrk takes.
        done = subprocess.run([self.wrk, "-t", "1", "-c", str(clients), "-d", f"{max(1, round(seconds))}s", "--timeout", "30s",
                               "-s", str(ROOT / "bench/serve/infer.lua"), f"http://{address}/v2/models/{model}/infer"],
                              capture_output=True, text=True, env={**os.environ, "BODY": str(body), "HEADER": str(len(header))})
        found = re.search(r"FIGURES (\{.*\})", done.stdout)
        if not found:
            raise SystemExit(f"wrk: {done.stdout}{done.stderr}")
        return json.loads(found[1])

    def bare(self, path, name, shape, batch):
        figures = self.call(self.sluice, "bench", path, "--seconds", max(0.5, self.seconds / 2), "--steps", 0, "--shape",
                            f"{name}={'x'.join(map(str, [batch, *shape[1:]]))}")
        return figures["runs_per_s"] * batch


def inputs_of(server, model):
    """What serve_load takes for the model's inputs, open sizes as 1, and the first input's name, shape and whether it
    batches."""
    with urllib.request.urlopen(f"http://{server.http}/v2/models/{model}") as answer:
        inputs = json.load(answer)["inputs"]
    batches = inputs[0]["shape"][0] < 0
    for tensor in inputs:
        tensor["shape"] = [max(1, size) for size in tensor["shape"]]
    texts = [f"{t['name']}:{t['datatype']}:{'x'.join(map(str, t['shape']))}" for t in inputs]
    return [part for text in texts for part in ("--input", text)], inputs[0]["name"], inputs[0]["shape"], batches


def soaked(server):
    return {"pool": inputs_of(server, "pool")[0],
            "shapes": ["--input", f"{inputs_of(server, 'shapes')[1]}@{DATA / 'shapes.png'}"]}


def measure_overhead(bench, server, model, path):
    inputs = inputs_of(server, model)[0]
    figures = bench.call(bench.load, "--session", path, "--loopback", "--http", server.http, "--grpc", server.grpc, "--model", model, *inputs,
                         "--seconds", bench.seconds * 2)
    print(f"one client in turn, {model}: median of the session {figures['session']['p50_us']:.0f} us, its bytes over loopback"
          f" {figures['loopback']['p50_us']:.0f} us", end="")
    for protocol in ("http", "grpc"):
        figures[protocol]["overhead_us"] = figures[protocol]["p50_us"] - figures["session"]["p50_us"]
        print(f", {protocol} adds {figures[protocol]['overhead_us']:.0f} us", end="")
    print()
    return figures


def measure_clients(bench, server, model, counts):
    inputs = inputs_of(server, model)[0]
    rows = []
    print(f"{model}\n  clients  protocol  requests/s   p50 ms   p99 ms  errors")
    for clients in counts:
        for protocol in ("http", "grpc"):
            row = bench.clients(protocol, getattr(server, protocol), model, inputs, clients)
            rows.append({"clients": clients, "protocol": protocol, **row})
            print(f"  {clients:7}  {protocol:8}  {row['per_s']:10.1f}  {row['p50_us'] / 1e3:7.2f}  {row['p99_us'] / 1e3:7.2f}"
                  f"  {row['errors']:6}", flush=True)
    return rows


def measure_throughput(bench, server, model, path, clients, rounds=3):
    """Rounds of bench and both protocols in turn, since machines drift; medians of the ratios."""
    inputs, name, shape, open_batch = inputs_of(server, model)
    sizes = (1, 2, 4, 8, 16) if open_batch else shape[:1]
    batches = {batch: bench.bare(path, name, shape, batch) for batch in sizes}
    best = max(batches, key=batches.get)
    ratios = {"http": [], "grpc": []}
    for _ in range(rounds):
        for protocol, values in ratios.items():
            before = bench.bare(path, name, shape, best)
            # Long, since what is under way at the end does not count.
            served = bench.clients(protocol, getattr(server, protocol), model, inputs, clients, max(10, bench.seconds))["per_s"]
            after = bench.bare(path, name, shape, best)
            values.append(served / ((before + after) / 2))
    result = {protocol: statistics.median(values) for protocol, values in ratios.items()}
    print(f"{model}: best batch {best} of {({b: round(v, 1) for b, v in batches.items()})} pictures/s; {clients} clients reach "
          + ", ".join(f"{ratio:.0%} of it over {protocol}" for protocol, ratio in result.items()), flush=True)
    return {"best_batch": best, "bare_per_s": batches, "share": result, "shares": ratios}


def soak(bench, server, models, minutes, pause, clients=8):
    """Both protocols and all models at once; the slope of the server's memory after the first fifth. `models`: what
    serve_load takes for the inputs of each."""
    seconds = minutes * 60
    loads, files = [], []
    for protocol in ("http", "grpc"):
        for model, inputs in models.items():
            files.append(bench.work / f"soak_{protocol}_{model}.json")
            loads.append(subprocess.Popen([bench.load, f"--{protocol}", getattr(server, protocol), "--model", model, *inputs,
                                           "--clients", str(clients), "--pause", str(pause), "--seconds", str(seconds), "--json",
                                           str(files[-1])], stdout=subprocess.DEVNULL))
    start, points, begin = time.monotonic(), [], server.rss()
    while time.monotonic() - start < seconds and all(load.poll() is None for load in loads):
        points.append((time.monotonic() - start, server.rss()))
        time.sleep(max(0.05, min(1.0, seconds / 100)))
    if any([load.wait() for load in loads]):
        raise SystemExit(f"soak: a client failed within {points[-1][0] / 60:.1f} minutes; memory {begin / 2**20:.1f} MiB at the "
                         f"begin, {points[-1][1] / 2**20:.1f} at the end")
    kept = np.array([point for point in points if point[0] > seconds / 5])
    slope = float(np.polyfit(kept[:, 0] / 60, kept[:, 1] / 2**20, 1)[0])
    growth = float(np.median(kept[-len(kept) // 4:, 1]) - np.median(kept[:len(kept) // 4, 1])) / 2**20
    requests = sum(next(iter(json.loads(file.read_text()).values()))["requests"] for file in files)
    print(f"soak: {minutes:g} minutes, {requests} requests, none failed, memory {begin / 2**20:.1f} MiB at the begin, "
          f"{kept[0, 1] / 2**20:.1f} after a fifth, {points[len(points) // 2][1] / 2**20:.1f} in the middle, "
          f"{points[-1][1] / 2**20:.1f} at the end, slope {slope:+.3f} MiB a minute, "
          f"last quarter {growth:+.2f} MiB over the first", flush=True)
    # Allocators settle within some tens of MiB, the later the busier the machine. In the short form's 6 seconds that is less
    # than one of 200 requests would leave behind that leaked its tensor.
    if growth > max(32, 0.05 * kept[0, 1] / 2**20):
        raise SystemExit("soak: memory grows")
    return {"minutes": minutes, "requests": requests, "begin_mib": begin / 2**20, "settled_mib": kept[0, 1] / 2**20,
            "middle_mib": points[len(points) // 2][1] / 2**20,
            "end_mib": points[-1][1] / 2**20, "slope_mib_per_minute": slope, "growth_mib": growth}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sluice", default=str(ROOT / "build/release/tools/sluice"))
    parser.add_argument("--load", default=str(ROOT / "build/release/bench/serve_load"), help="the program serve_load")
    parser.add_argument("--model", type=pathlib.Path, help="measured as well; its inputs' open sizes are 1, the first one batches where its first size is open")
    parser.add_argument("--seconds", type=float, default=3, help="of one measurement (3)")
    parser.add_argument("--clients", default="1,8,32,128", help="(1,8,32,128)")
    parser.add_argument("--wrk", help="for HTTP clients (wrk, where it is installed; none: serve_load)")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="only this: load for so long, and the server's memory")
    parser.add_argument("--pause", type=float, default=0, help="ms that each client waits between two requests of a soak (0)")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--json", type=pathlib.Path, help="file for the figures")
    arguments = parser.parse_args()
    if arguments.wrk is None:
        arguments.wrk = next((p for d in os.get_exec_path() if os.access(p := f"{d}/wrk", os.X_OK)), None)
    if arguments.wrk == "none" or arguments.short:
        arguments.wrk = None
    counts = [int(count) for count in arguments.clients.split(",")]
    if arguments.short:
        counts, arguments.seconds = [1, 8], 0.3
    figures = {}
    with contextlib.ExitStack() as stack:
        work = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sluice_serve_bench")))
        folder = work / "models"
        folder.mkdir()
        write_pool(folder / "pool.onnx")
        (folder / "pool.json").write_text('{"max_batch_size": 8}')
        write_convnet(folder / "convnet.onnx")
        (folder / "convnet.json").write_text('{"max_batch_size": 16}')
        # A detector of pictures, for the soak.
        shutil.copy(DATA / "shapes.onnx", folder)
        (folder / "shapes.json").write_text('{"max_batch_size": 4, "pictures": {"letterbox": true, "scale": "1/255"}, "detect": true}')
        models = ["pool", "convnet"]
        if arguments.model:
            shutil.copy(arguments.model, folder / "model.onnx")
            (folder / "model.json").write_text('{"max_batch_size": 16}')
            models.append("model")
        bench = Bench(arguments, work)
        server = stack.enter_context(Server(arguments.sluice, str(folder)))
        if arguments.soak:
            figures["soak"] = soak(bench, server, soaked(server), arguments.soak, arguments.pause)
        else:
            figures["overhead"] = {model: measure_overhead(bench, server, model, folder / f"{model}.onnx") for model in models}
            figures["clients"] = {model: measure_clients(bench, server, model, counts) for model in models}
            if any(row["errors"] for rows in figures["clients"].values() for row in rows):
                raise SystemExit("requests failed")
            if arguments.short:
                figures["soak"] = soak(bench, server, {"pool": inputs_of(server, "pool")[0]}, 0.1, 0)
            else:
                figures["throughput"] = {model: measure_throughput(bench, server, model, folder / f"{model}.onnx", 32)
                                         for model in models if model != "pool"}
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
