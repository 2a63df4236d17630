"""Clients that ask a proxy again and again, over HTTP and gRPC, and check every answer."""
import http.client
import json
import random
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
HTTP_CLIENTS, PICTURE_CLIENTS, GRPC_CLIENTS, RETRYING_CLIENTS = 6, 2, 3, 2
# What a client of gRPC asks for in its service configuration.
RETRIES = json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": {
    "maxAttempts": 4, "initialBackoff": "0.05s", "maxBackoff": "1s", "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"]}}]})
PAUSE = 0.005  # seconds between requests of a client: the test is of what happens, not of speed
TIMEOUT = 30


class Load:
    def __init__(self, http_place, grpc_place, work):
        self.http_place, self.grpc_place = http_place, grpc_place
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        self.done, self.slowest, self.failed = 0, (0.0, ""), []
        self.picture = (ROOT / "tools/data/shapes.png").read_bytes()
        proto = ROOT / "tools/serve/grpc/inference.proto"
        subprocess.run(["protoc", f"-I{proto.parent}", f"--python_out={work}", str(proto)], check=True)
        sys.path.insert(0, str(work))
        try:
            import grpc
            import inference_pb2
        except ImportError as error:
            print(f"  without gRPC clients: {error}")
            grpc = inference_pb2 = None
        self.grpc, self.messages = grpc, inference_pb2

    def __enter__(self):
        kinds = [self._http] * HTTP_CLIENTS + [self._pictures] * PICTURE_CLIENTS
        if self.grpc:
            kinds += [self._grpc] * GRPC_CLIENTS + [self._grpc_with_retries] * RETRYING_CLIENTS
        self.threads = [threading.Thread(target=self._repeat, args=(kind,)) for kind in kinds]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def take_failures(self):
        with self.lock:
            failed, self.failed = self.failed, []
            return failed

    def take_slowest(self):
        with self.lock:
            slowest, self.slowest = self.slowest, (0.0, "")
            return slowest

    def _repeat(self, make):
        ask = make()
        while not self.stopped.is_set():
            start = time.monotonic()
            try:
                ask()
                failure = None
            except Exception as error:  # whatever it is, it is a request that failed
                code = error.code().name if self.grpc and isinstance(error, self.grpc.RpcError) else ""
                failure = f"{time.strftime('%H:%M:%S')} {make.__name__} {code}: {type(error).__name__}: {error}"
                ask = make()
            with self.lock:
                self.done += 1
                took = time.monotonic() - start
                self.slowest = max(self.slowest, (took, f"{make.__name__} until {time.strftime('%H:%M:%S')}"))
                if failure:
                    self.failed.append(failure)
            time.sleep(PAUSE)

    def _poster(self, path, content_type):
        connection = http.client.HTTPConnection(*self.http_place, timeout=TIMEOUT)

        def post(body):
            connection.request("POST", path, body, {"Content-Type": content_type})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{answer.status} {text[:200]!r}")
            return json.loads(text)

        return post

    def _http(self):
        post = self._poster("/v2/models/double/infer", "application/json")

        def ask():
            values = [random.randrange(1000) for _ in range(4)]
            answer = post(json.dumps(
                {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": values}]}))
            assert answer["outputs"][0]["data"] == [2 * value for value in values], answer

        return ask

    def _pictures(self):
        post = self._poster("/v2/models/shapes/infer", "image/png")

        def ask():
            answer = post(self.picture)
            assert len(answer["detections"]) == 8, answer

        return ask

    def _grpc_with_retries(self):
        return self._grpc([("grpc.service_config", RETRIES)])

    def _grpc(self, options=()):
        channel = self.grpc.insecure_channel("%s:%d" % self.grpc_place, options)
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=self.messages.ModelInferRequest.SerializeToString,
            response_deserializer=self.messages.ModelInferResponse.FromString)

        def ask():
            request = self.messages.ModelInferRequest(model_name="double")
            tensor = request.inputs.add(name="x", datatype="FP32", shape=[1, 4])
            tensor.contents.fp32_contents.extend(float(random.randrange(1000)) for _ in range(4))
            values = list(tensor.contents.fp32_contents)
            answer = call(request, timeout=TIMEOUT)
            if answer.raw_output_contents:
                found = list(struct.unpack("<4f", answer.raw_output_contents[0]))
            else:
                found = list(answer.outputs[0].contents.fp32_contents)
            assert found == [2 * value for value in values], answer

        return ask
