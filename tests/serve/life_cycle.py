#!/usr/bin/env python3
"""The life of `sluice serve`: start, changes of the folder, signals, the end; over HTTP and gRPC, under load.

    tests/serve/life_cycle.py --sluice build/release/tools/sluice [TestCase.test ...]
"""
import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

try:
    import grpc
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

from served import Server, ServeTest, adding_model, counting_model, infer_message


class Models(ServeTest):
    def test_versions_and_layouts(self):
        self.put("m/1/model.onnx", adding_model(1))
        self.put("m/10/model.onnx", adding_model(10))
        self.put("m/9/model.onnx", adding_model(9))
        self.put("bare.onnx", adding_model(5))
        server = self.start()
        self.assertTrue(server.ready())
        self.assertEqual([server.adds(), server.adds("m", "1"), server.adds("m", "9"), server.adds("bare", "1")],
                         [10, 1, 9, 5])
        self.assertEqual(server.call("GET", "/v2/models/m")[1]["versions"], ["1", "9", "10"])
        for path in ("m/versions/2", "m/versions/01", "n", "..%2fm", "m%2f1", "%2e%2e", "m%00"):
            self.assertIn(server.call("GET", f"/v2/models/{path}")[0], (400, 404), path)
        text = "".join(server.lines)
        self.assertIn("m 10: x FP32[2] -> y FP32[2]", text)
        self.assertIn("127.0.0.1", text)
        self.assertEqual(server.end(), 0)

    def test_half_copied_files_wait(self):
        self.put("m/1/model.onnx", adding_model(1))
        server = self.start()
        data = adding_model(2)
        with open(self.path("m/1/model.onnx"), "wb") as file:
            for i in range(0, len(data), 8):
                file.write(data[i:i + 8])
                file.flush()
                time.sleep(0.05)
                self.assertEqual(server.adds(), 1)
        server.until(lambda: server.adds() == 2, "new model")
        self.assertNotIn("cannot load", server.text())

    def test_a_broken_replacement_leaves_the_old_one(self):
        self.put("m/1/model.onnx", adding_model(1))
        server = self.start()
        self.put("m/1/model.onnx", b"no model at all")
        server.until(lambda: server.index("m", "1")["reason"], "reason")
        entry = server.index("m", "1")
        self.assertEqual(entry["state"], "READY")
        self.assertNotIn(self.folder, entry["reason"])
        self.assertIn("m/1/model.onnx", entry["reason"])
        self.assertEqual(server.adds(), 1)
        self.assertTrue(server.ready())
        self.assertIn("cannot load; what served before goes on", server.text())
        metrics = server.call("GET", "/metrics")[1].decode()
        self.assertIn('sluice_model_load_failure{model="m"} 1', metrics.splitlines())

    def test_a_model_that_fails_at_start(self):
        self.put("m/1/model.onnx", adding_model(1))
        self.put("bad.onnx", b"no model")
        server = self.start()
        self.assertFalse(server.ready())
        self.assertEqual(server.call("GET", "/v2/health/live")[0], 200)
        self.assertEqual(server.adds(), 1)
        self.assertEqual(server.call("GET", "/v2/models/bad/ready")[0], 400)
        status, reply = server.infer("bad")
        self.assertEqual(status, 503)
        self.assertNotIn(self.folder, json.dumps(reply))
        self.put("bad.onnx", adding_model(3))
        server.until(server.ready, "readiness")

    def test_explicit_control(self):
        self.put("a/1/model.onnx", adding_model(1))
        self.put("b/1/model.onnx", adding_model(2))
        self.put("bad/1/model.onnx", b"?")
        server = self.start("--model-control", "explicit", "--load-model", "a")
        self.assertTrue(server.ready())
        self.assertEqual(server.infer("b")[0], 503)
        self.assertEqual(server.call("POST", "/v2/repository/models/b/load")[0], 200)
        self.assertEqual(server.adds("b"), 2)
        status, reply = server.call("POST", "/v2/repository/models/bad/load")
        self.assertEqual(status, 503)
        self.assertIn("bad/1/model.onnx", reply["error"])
        self.assertEqual(server.call("POST", "/v2/repository/models/..%2f..%2fetc/load")[0], 404)
        self.put("b/2/model.onnx", adding_model(20))
        self.assertEqual(server.call("POST", "/v2/repository/models/b/load")[0], 200)
        self.assertEqual(server.adds("b"), 20)
        self.assertEqual(server.call("POST", "/v2/repository/models/b/unload")[0], 200)
        self.assertEqual(server.infer("b")[0], 503)
        server.until(lambda: server.index("b", "2")["state"] == "UNAVAILABLE", "end of what was in flight")

    def test_hangup_looks_again(self):
        self.put("m/1/model.onnx", adding_model(1))
        server = self.start("--no-watch")
        self.put("m/2/model.onnx", adding_model(2))
        time.sleep(0.5)
        self.assertEqual(server.adds(), 1)
        server.process.send_signal(signal.SIGHUP)
        server.until(lambda: server.adds() == 2, "new version")
        self.assertIsNone(server.process.poll())

    def test_step_times_on_request(self):
        self.put("m/1/model.onnx", adding_model(1))
        server = self.start()
        status, reply = server.infer(parameters={"profile": True})
        self.assertEqual(status, 200)
        self.assertIn("Add", json.dumps(reply["profile"]))
        self.assertNotIn("profile", server.infer()[1])


class Load(ServeTest):
    """Clients that ask without a pause."""

    def clients(self, server, count, kind):
        self.stop = threading.Event()
        self.answers, self.failures = [0] * count, []
        work = {"http": self.http_client, "grpc": self.grpc_client}[kind]
        threads = [threading.Thread(target=work, args=(server, i)) for i in range(count)]
        for thread in threads:
            thread.start()
        return threads

    def http_client(self, server, i):
        # Every second client makes a new connection for each request. One that is refused never was accepted;
        # the client of a server that leaves goes elsewhere.
        connection = None
        while not self.stop.is_set():
            if connection is None:
                connection = server.connect()
                try:
                    connection.connect()
                except ConnectionRefusedError:
                    return
            try:
                connection.request("POST", "/v2/models/m/infer", body=json.dumps({"inputs": [
                    {"name": "x", "shape": [2], "datatype": "FP32", "data": [0, 1]}]}))
                reply = connection.getresponse()
                body = reply.read()
                if reply.status != 200:
                    self.failures.append((reply.status, body))
                self.answers[i] += 1
                last = reply.getheader("connection", "").lower() == "close"
            except Exception as error:
                self.failures.append(repr(error))
                last = True
            if last or i % 2:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def grpc_client(self, server, i):
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
            call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer",
                                       request_serializer=bytes, response_deserializer=bytes)
            while not self.stop.is_set():
                try:
                    call(infer_message("m"), timeout=30)
                    self.answers[i] += 1
                except grpc.RpcError as error:
                    # As above: no connection, so no request that got one.
                    if "onnection refused" in error.details() or "ailed to connect" in error.details():
                        return
                    self.failures.append((error.code(), error.details()))

    def test_swaps_lose_no_request(self):
        for kind in ("http", "grpc"):
            with self.subTest(kind):
                self.put("m/1/model.onnx", adding_model(1))
                server = self.start()
                threads = self.clients(server, 6, kind)
                for n in range(2, 10):
                    self.put("m/1/model.onnx", b"broken" if n % 4 == 0 else adding_model(n))
                    if n % 4 == 0:
                        server.until(lambda: server.index("m", "1")["reason"], "reason")
                    else:
                        server.until(lambda: server.adds() == n, "new model")
                self.stop.set()
                for thread in threads:
                    thread.join()
                self.assertEqual(self.failures, [])
                self.assertGreater(min(self.answers), 10)
                self.assertEqual(server.end(), 0)

    def test_termination_loses_no_request(self):
        # Several times, since what can go wrong is a matter of microseconds.
        for kind, count in (("http", 6), ("grpc", 6), ("http", 24), ("http", 24)):
            with self.subTest(kind):
                self.put("m/1/model.onnx", adding_model(1))
                server = self.start("--drain-delay", "3")
                threads = self.clients(server, count, kind)
                time.sleep(0.5)
                server.process.send_signal(signal.SIGTERM)
                time.sleep(0.4)
                # Not ready, and as good as before.
                self.assertFalse(server.ready())
                self.assertEqual(server.call("GET", "/v2/health/live")[0], 200)
                before = sum(self.answers)
                time.sleep(0.2)
                self.assertGreater(sum(self.answers), before)
                self.assertEqual(server.process.wait(60), 0)
                self.stop.set()
                for thread in threads:
                    thread.join()
                self.assertEqual(self.failures, [])
                self.assertGreater(min(self.answers), 10)
                self.assertIn("ended", server.text())


class Signals(ServeTest):
    def long_request(self, server, result, steps):
        connection = server.connect()
        try:
            connection.request("POST", "/v2/models/count/infer", body=json.dumps({"inputs": [
                {"name": "n", "shape": [1], "datatype": "INT64", "data": [steps]},
                {"name": "x", "shape": [2], "datatype": "FP32", "data": [0, 1]}]}))
            reply = connection.getresponse()
            result.append((reply.status, reply.read()))
        except Exception as error:
            result.append((None, error))

    def start_long_request(self, server, steps):
        result = []
        thread = threading.Thread(target=self.long_request, args=(server, result, steps))
        thread.start()
        time.sleep(0.3)
        return thread, result

    def test_what_is_in_flight_ends_well(self):
        self.put("count.onnx", counting_model())
        server = self.start()
        thread, result = self.start_long_request(server, 1_000_000)
        self.assertEqual(result, [], "too short a request for this test")
        self.assertEqual(server.end(signal.SIGINT), 0)
        thread.join()
        self.assertEqual(result[0][0], 200, result)

    def test_the_drain_ends_in_time(self):
        self.put("count.onnx", counting_model())
        server = self.start("--drain-timeout", "0.5")
        thread, result = self.start_long_request(server, 2_000_000_000)
        begin = time.monotonic()
        self.assertEqual(server.end(), 0)
        self.assertLess(time.monotonic() - begin, 20)
        thread.join()
        self.assertNotEqual(result[0][0], 200, result)

    def test_a_second_signal_ends_at_once(self):
        self.put("count.onnx", counting_model())
        server = self.start("--drain-delay", "60")
        thread, _ = self.start_long_request(server, 2_000_000_000)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        self.assertIsNone(server.process.poll())
        begin = time.monotonic()
        self.assertEqual(server.end(signal.SIGINT), 128 + signal.SIGINT)
        self.assertLess(time.monotonic() - begin, 10)
        thread.join()


class Refusals(ServeTest):
    def refused(self, *options, models=None):
        outcome = subprocess.run([Server.sluice, "serve", "--models", models or self.folder, *options], capture_output=True,
                                 text=True, timeout=20)
        self.assertEqual(outcome.returncode, 1, outcome)
        return [line for line in outcome.stderr.splitlines() if line.startswith("sluice: ")][0]

    def test_messages(self):
        self.put("m.onnx", adding_model(1))
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            for option in ("--http-port", "--grpc-port"):
                other = "--grpc-port" if option == "--http-port" else "--http-port"
                self.assertIn(port, self.refused(option, port, other, "0"))
        self.assertIn("No such file", self.refused(models="/nowhere"))
        self.assertIn("no models in", self.refused("--no-watch", models=tempfile.gettempdir() + "/" + self.empty()))
        self.assertIn("--tls-key", self.refused("--tls-cert", "x.pem"))
        self.assertIn("--max-request-size", self.refused("--max-request-size", "lots"))
        self.assertIn("--grpc-connection-age", self.refused("--grpc-connection-age", "0.5"))
        self.assertIn("two ports", self.refused("--http-port", "7", "--grpc-port", "7"))
        self.assertIn("nothing", self.refused("--model-control", "explicit", "--load-model", "nothing"))
        self.assertIn("keys", self.refused("--http-port", "0", "--grpc-port", "0", "--api-keys", self.folder + "/keys"))

    def empty(self):
        folder = tempfile.mkdtemp(prefix="sluice-empty-")
        self.addCleanup(os.rmdir, folder)
        return os.path.basename(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--sluice", required=True)
    arguments, rest = parser.parse_known_args()
    Server.sluice = os.path.abspath(arguments.sluice)
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)
