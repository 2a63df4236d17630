#!/usr/bin/python3
"""The samples of tools/deploy before three servers, under load: all take part, one is killed, all are replaced one
by one. No request may fail.

    proxies_test.py --sluice COMMAND --work DIR [nginx] [haproxy]

Every server has a network namespace of its own with the address that the samples name; where none can be made,
addresses of the loopback device have to do. Exits with 77 where a program is missing.
"""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from cluster import Cluster, Proxy, Skip
from load import GRPC_CLIENTS, Load

ROOT = Path(__file__).resolve().parents[3]
DRAIN_DELAY = 3  # seconds; more than the second in which HAProxy looks


def make_models(folder):
    """A model that takes milliseconds and pictures, and one that takes none to speak of."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "shapes/1").mkdir(parents=True)
    shutil.copy(ROOT / "tools/data/shapes.onnx", folder / "shapes/1/model.onnx")
    (folder / "shapes/model.json").write_text(
        json.dumps({"max_batch_size": 4, "pictures": {"letterbox": True, "scale": "1/255"}, "detect": True}))
    import onnx
    from onnx import TensorProto, helper
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])], "double",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 4])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "double.onnx")


def report(step, load, since, lost_with_server=0):
    """Ends the test where requests failed after `since`, or none were answered. So many gRPC requests of clients that
    do not repeat them may be lost with a server that dies: proxies pass them on as they come and keep no copy."""
    done, failures = load.done - since, load.take_failures()
    seconds, what = load.take_slowest()
    print(f"  {step}: {done} requests, {len(failures)} failed, slowest {seconds * 1000:.0f} ms ({what})", flush=True)
    for failure in failures[:10]:
        print(f"    {failure}")
    lost = [failure for failure in failures if "_grpc UNAVAILABLE" in failure]
    if len(failures) > len(lost) or len(lost) > lost_with_server or done < 20:
        sys.exit(1)


def share(cluster, before):
    """How many requests each server got since then."""
    return [now - old for now, old in zip(cluster.answered(), before)]


def check(name, cluster, arguments):
    print(name, flush=True)
    with Proxy(name, ROOT / "tools/deploy", cluster, arguments.work) as proxy:
        cluster.wait_ready()
        load = Load(proxy.http, proxy.grpc, arguments.work)
        with load:
            before = cluster.answered()
            time.sleep(4)
            report("three servers", load, 0)
            shares = share(cluster, before)
            print(f"    by server: {shares}")
            assert min(shares) > 0, f"a server got no requests: {shares}"

            mark = load.done
            cluster.kill(1)
            time.sleep(4)
            report("one killed", load, mark, GRPC_CLIENTS)
            mark = load.done
            cluster.start(1)
            cluster.wait_ready()
            time.sleep(4)
            assert cluster.answered()[1] > 0, "the server that came back gets no requests"
            report("it came back", load, mark)

            mark = load.done
            for server in range(3):
                code = cluster.end(server)
                assert code == 0, f"server {server} ended with {code} after SIGTERM"
                cluster.start(server)
                cluster.wait_ready()
                time.sleep(3)
            report("all replaced one by one", load, mark)
        report("in all", load, 0)  # what was under way at the end, too


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sluice", required=True)
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("proxies", nargs="*", default=["nginx", "haproxy"])
    arguments = parser.parse_args()
    os.environ["PATH"] += ":/usr/sbin"
    missing = [name for name in [*arguments.proxies, "protoc"] if not shutil.which(name)]
    if missing:
        raise Skip(f"{', '.join(missing)}: not installed")
    arguments.work = arguments.work.resolve()
    arguments.work.mkdir(parents=True, exist_ok=True)
    Cluster.enter_namespace()
    make_models(arguments.work / "models")
    with Cluster(arguments.sluice, arguments.work, DRAIN_DELAY) as cluster:
        for name in arguments.proxies:
            check(name, cluster, arguments)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        main()
    except Skip as reason:
        print(f"skipped: {reason}")
        sys.exit(77)
    except subprocess.CalledProcessError as error:
        print(error, error.stderr or "")
        sys.exit(1)
