#!/usr/bin/env python3
"""Calls `sluice serve` with what Triton's Python client (tritonclient.http) puts on the wire.

Debian has no package of that client, so its requests are written out here: names of headers, order of fields,
compression, and how it reads answers.  triton_client.py --sluice COMMAND
"""
import argparse
import gzip
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
import zlib

try:
    import numpy as np
    import onnx
    from onnx import TensorProto, helper
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

TYPES = {"FP32": np.float32, "INT64": np.int64, "BYTES": np.object_}


def save_model(folder):
    """y = x + x, s = t: floats and strings, any number of rows."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"]), helper.make_node("Identity", ["t"], ["s"])],
        "twice",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3]),
         helper.make_tensor_value_info("t", TensorProto.STRING, ["m"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3]),
         helper.make_tensor_value_info("s", TensorProto.STRING, ["m"])])
    os.makedirs(os.path.join(folder, "twice", "1"))
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8),
              os.path.join(folder, "twice", "1", "model.onnx"))


class Client:
    def __init__(self, port):
        self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def call(self, method, path, body=b"", headers=None):
        self.http.request(method, "/" + path, body=body or None, headers=headers or {})
        answer = self.http.getresponse()
        return answer, answer.read()

    def get(self, path):
        answer, body = self.call("GET", path)
        assert answer.status == 200, (path, answer.status, body)
        return json.loads(body)

    def post(self, path, body=""):
        answer, body = self.call("POST", path, body.encode())
        assert answer.status == 200, (path, answer.status, body)
        return json.loads(body) if body else None

    def infer(self, model, inputs, outputs=None, binary=True, version="", request_id="", compression=None,
              answer_compression=None):
        """As InferenceServerClient.infer: arrays by name in, arrays by name out."""
        request = {}
        if request_id:
            request["id"] = request_id
        request["inputs"], raw = [], b""
        for name, array in inputs.items():
            datatype = next(t for t, d in TYPES.items() if d == array.dtype)
            entry = {"name": name, "shape": list(array.shape), "datatype": datatype}
            if binary:
                if datatype == "BYTES":
                    data = b"".join(len(s).to_bytes(4, "little") + s for s in array.flatten())
                else:
                    data = array.tobytes()
                entry["parameters"] = {"binary_data_size": len(data)}
                raw += data
            else:
                flat = array.flatten().tolist()
                entry["data"] = [s.decode() for s in flat] if datatype == "BYTES" else flat
            request["inputs"].append(entry)
        if outputs is None:
            request["parameters"] = {"binary_data_output": True}
        else:
            request["outputs"] = [{"name": n, "parameters": {"binary_data": b}} for n, b in outputs.items()]
        head = json.dumps(request).encode()
        body, headers = head + raw, {}
        if raw:
            headers["Inference-Header-Content-Length"] = str(len(head))
        if compression == "gzip":
            headers["Content-Encoding"], body = "gzip", gzip.compress(body)
        elif compression == "deflate":
            headers["Content-Encoding"], body = "deflate", zlib.compress(body)
        if answer_compression:
            headers["Accept-Encoding"] = answer_compression
        path = f"v2/models/{model}" + (f"/versions/{version}" if version else "") + "/infer"
        answer, body = self.call("POST", path, body, headers)
        assert answer.status == 200, (answer.status, body)
        coding = answer.getheader("Content-Encoding")
        if coding == "gzip":
            body = gzip.decompress(body)
        elif coding == "deflate":
            body = zlib.decompress(body)
        json_bytes = answer.getheader("Inference-Header-Content-Length")
        result = json.loads(body if json_bytes is None else body[:int(json_bytes)])
        place, arrays = 0 if json_bytes is None else int(json_bytes), {}
        for output in result["outputs"]:
            size = output.get("parameters", {}).get("binary_data_size")
            if size is None:
                array = np.array(output["data"], dtype=TYPES[output["datatype"]])
            elif output["datatype"] == "BYTES":
                strings, data = [], body[place:place + size]
                while data:
                    length = int.from_bytes(data[:4], "little")
                    strings.append(data[4:4 + length])
                    data = data[4 + length:]
                array = np.array(strings, dtype=np.object_)
            else:
                array = np.frombuffer(body[place:place + size], dtype=TYPES[output["datatype"]])
            place += size or 0
            arrays[output["name"]] = array.reshape(output["shape"])
        assert json_bytes is None or place == len(body), (place, len(body))
        return result, arrays, coding


def check(client):
    for path in ("v2/health/live", "v2/health/ready", "v2/models/twice/ready", "v2/models/twice/versions/1/ready"):
        answer, body = client.call("GET", path)
        assert answer.status == 200 and body == b"", (path, answer.status, body)
    assert "binary_tensor_data" in client.get("v2")["extensions"]
    metadata = client.get("v2/models/twice")
    assert [t["datatype"] for t in metadata["inputs"]] == ["FP32", "BYTES"], metadata
    assert metadata["inputs"][0]["shape"] == [-1, 3], metadata
    assert client.get("v2/models/twice/config")["name"] == "twice"
    assert {e["state"] for e in client.post("v2/repository/index")} == {"READY"}

    rng = np.random.default_rng(0)
    x = rng.standard_normal((500, 3)).astype(np.float32)
    t = np.array([b"", b"abc", bytes(range(1, 128)) * 20], dtype=np.object_)
    inputs = {"x": x, "t": t}
    for binary in (True, False):
        for outputs in (None, {"y": True, "s": True}, {"s": False, "y": True}, {"y": False}):
            for compression in (None, "gzip", "deflate"):
                for wanted in (None, "gzip", "deflate"):
                    result, arrays, coding = client.infer("twice", inputs, outputs, binary, "1" if binary else "",
                                                          "id-1", compression, wanted)
                    assert coding == wanted, (coding, wanted)
                    assert result["id"] == "id-1" and result["model_name"] == "twice", result
                    assert list(arrays) == (list(outputs) if outputs else ["y", "s"]), arrays.keys()
                    if "y" in arrays:
                        np.testing.assert_array_equal(arrays["y"], x + x)
                    if "s" in arrays:
                        strings = [s if isinstance(s, bytes) else s.encode() for s in arrays["s"]]
                        assert strings == list(t), strings
    statistics = client.get("v2/models/twice/stats")["model_stats"][0]
    assert statistics["inference_count"] >= 72, statistics
    assert statistics["inference_stats"]["success"]["count"] == 72, statistics

    client.post("v2/repository/models/twice/unload", json.dumps({"parameters": {"unload_dependents": False}}))
    answer, body = client.call("GET", "v2/models/twice/ready")
    assert answer.status in (400, 404), (answer.status, body)
    client.post("v2/repository/models/twice/load", "{}")
    client.infer("twice", inputs)
    for path, status in (("v2/models/none", 404), ("v2/models/twice/versions/7", 404),
                         ("v2/systemsharedmemory/status", 501)):
        answer, body = client.call("GET", path)
        assert answer.status == status and "error" in json.loads(body), (path, answer.status, body)


def await_ready(port, server):
    for _ in range(300):
        assert server.poll() is None, "the server ended"
        try:
            if Client(port).call("GET", "v2/health/ready")[0].status == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise TimeoutError("the server is not ready")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sluice", required=True)
    command = parser.parse_args().sluice
    with tempfile.TemporaryDirectory() as folder:
        save_model(folder)
        port = 20000 + os.getpid() % 20000
        server = subprocess.Popen([command, "serve", "--models", folder, "--http-port", str(port), "--no-grpc"],
                                  stdout=subprocess.DEVNULL)
        try:
            await_ready(port, server)
            check(Client(port))
        finally:
            server.terminate()
            code = server.wait(timeout=60)
        assert code == 0, code
    print("what Triton's client sends is understood")


if __name__ == "__main__":
    main()
