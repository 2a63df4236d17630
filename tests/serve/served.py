"""A server on a folder of its own, and models of a few bytes to put there, for life_cycle.py."""
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

try:
    from onnx import TensorProto, helper
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)


def adding_model(n):
    """x [2] -> y = x + n."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "n"], ["y"])], "adding",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
        [helper.make_tensor("n", TensorProto.FLOAT, [1], [n])])
    return make(graph)


def counting_model():
    """n INT64 [1] and x [2] -> y = x + n, one by one: a request takes as long as it says."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["c_out"]), helper.make_node("Add", ["v", "one"], ["v_out"])], "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []),
         helper.make_tensor_value_info("c", TensorProto.BOOL, []),
         helper.make_tensor_value_info("v", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("c_out", TensorProto.BOOL, []),
         helper.make_tensor_value_info("v_out", TensorProto.FLOAT, [2])],
        [helper.make_tensor("one", TensorProto.FLOAT, [], [1.0])])
    graph = helper.make_graph(
        [helper.make_node("Loop", ["n", "go", "x"], ["y"], body=body)], "counting",
        [helper.make_tensor_value_info("n", TensorProto.INT64, [1]),
         helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
        [helper.make_tensor("go", TensorProto.BOOL, [], [True])])
    return make(graph)


def make(graph):
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model.SerializeToString()


# Messages of the protocol, as far as needed: a varint field and a field with a length.
def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def infer_message(model):
    tensor = field(1, "x") + field(2, "FP32") + field(3, varint(2)) + field(5, field(6, bytes(8)))
    return field(1, model) + field(5, tensor)


class Server:
    """A server on free ports, with a folder of models."""

    sluice = None  # the command

    def __init__(self, folder, *options, wait=True):
        self.folder = folder
        self.log = open(os.path.join(folder, ".log"), "w+")
        self.process = subprocess.Popen(
            [Server.sluice, "serve", "--models", folder, "--http-port", "0", "--grpc-port", "0", "--watch-interval", "0.1",
             "--settle", "0.2", *options], stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.lines = []
        self.http_port = self.grpc_port = None
        threading.Thread(target=self.read, daemon=True).start()
        self.until(lambda: self.http_port and self.grpc_port, "addresses")
        if wait:
            self.until(lambda: any(line.startswith(("ready", "not ready")) for line in self.lines), "models")

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line)
            if line.startswith("HTTP at "):
                self.http_port = int(line.rsplit(":", 1)[1])
            if line.startswith("gRPC at "):
                self.grpc_port = int(line.rsplit(":", 1)[1])

    def until(self, condition, what, seconds=60):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError(f"no {what}: {self.lines} {self.text()}")
            time.sleep(0.01)

    def text(self):
        with open(self.log.name) as file:
            return file.read()

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=30)

    def call(self, method, path, body=None, connection=None):
        own = connection or self.connect()
        own.request(method, path, body=None if body is None else json.dumps(body))
        reply = own.getresponse()
        text = reply.read()
        if connection is None:
            own.close()
        return reply.status, json.loads(text) if text[:1] in (b"{", b"[") else text

    def infer(self, model="m", version="", values=(0, 1), connection=None, **more):
        path = f"/v2/models/{model}" + (f"/versions/{version}" if version else "") + "/infer"
        return self.call("POST", path, {
            "inputs": [{"name": "x", "shape": [2], "datatype": "FP32", "data": list(values)}], **more}, connection)

    def adds(self, model="m", version=""):
        status, reply = self.infer(model, version)
        return reply["outputs"][0]["data"][0] if status == 200 else reply

    def ready(self):
        return self.call("GET", "/v2/health/ready")[0] == 200

    def index(self, name, version):
        for entry in self.call("POST", "/v2/repository/index")[1]:
            if (entry["name"], entry["version"]) == (name, version):
                return entry
        return None

    def end(self, number=signal.SIGTERM, seconds=60):
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)


class ServeTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="sluice-life-")
        self.servers = []

    def tearDown(self):
        for server in self.servers:
            if server.process.poll() is None:
                server.process.kill()
                server.process.wait()
            server.process.stdout.close()
            server.log.close()
        shutil.rmtree(self.folder)

    def start(self, *options, **more):
        server = Server(self.folder, *options, **more)
        self.servers.append(server)
        return server

    def path(self, name):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def put(self, name, data):
        """In one step."""
        with open(self.path(".part"), "wb") as file:
            file.write(data)
        os.rename(self.path(".part"), self.path(name))
