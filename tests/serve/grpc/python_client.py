#!/usr/bin/python3
"""Sends to `sluice serve` what Triton's and KServe's Python clients send over gRPC, through Debian's python3-grpcio.

    python_client.py --sluice build/release/tools/sluice --proto tools/serve/grpc/inference.proto

Exits with 77 where python3-grpcio, python3-onnx or protoc is missing.
"""
import argparse
import pathlib
import re
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

try:
    import grpc
    import numpy as np
    import onnx
    from onnx import TensorProto, helper
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

ARGUMENTS = None
pb = None


def write_model(path, nodes, inputs, outputs):
    info = helper.make_tensor_value_info
    graph = helper.make_graph([helper.make_node(*node) for node in nodes], path.stem, [info(*value) for value in inputs],
                              [info(*value) for value in outputs])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, path)


class ClientTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = tempfile.TemporaryDirectory()
        work = pathlib.Path(cls.work.name)
        subprocess.run(["protoc", f"--python_out={work}", "-I", str(ARGUMENTS.proto.parent), str(ARGUMENTS.proto)], check=True)
        sys.path.insert(0, str(work))
        global pb
        import inference_pb2 as pb  # noqa: PLC0415
        models = work / "models"
        models.mkdir()
        write_model(models / "simple.onnx", [("Add", ["INPUT0", "INPUT1"], ["OUTPUT0"]), ("Sub", ["INPUT0", "INPUT1"], ["OUTPUT1"])],
                    [("INPUT0", TensorProto.INT32, ["n", 16]), ("INPUT1", TensorProto.INT32, ["n", 16])],
                    [("OUTPUT0", TensorProto.INT32, ["n", 16]), ("OUTPUT1", TensorProto.INT32, ["n", 16])])
        (models / "simple.json").write_text('{"max_batch_size": 8}')
        write_model(models / "text.onnx", [("Identity", ["x"], ["y"])], [("x", TensorProto.STRING, ["n"])],
                    [("y", TensorProto.STRING, ["n"])])
        write_model(models / "half.onnx", [("Add", ["x", "x"], ["y"])], [("x", TensorProto.FLOAT16, [2])],
                    [("y", TensorProto.FLOAT16, [2])])
        cls.log = open(work / "log", "w+")
        cls.server = subprocess.Popen([ARGUMENTS.sluice, "serve", "--models", str(models), "--no-http", "--grpc-port", "0"],
                                      stdout=subprocess.PIPE, stderr=cls.log, text=True)
        for line in cls.server.stdout:
            if found := re.match(r"gRPC at grpc://(\S+)", line):
                cls.address = found[1]
            if line.startswith("ready"):
                break
        # The options of Triton's client.
        cls.channel = grpc.insecure_channel(cls.address, options=[
            ("grpc.max_send_message_length", 2**31 - 1), ("grpc.max_receive_message_length", 2**31 - 1),
            ("grpc.keepalive_time_ms", 2**31 - 1), ("grpc.keepalive_timeout_ms", 20000),
            ("grpc.keepalive_permit_without_calls", False), ("grpc.http2.max_pings_without_data", 2)])

    @classmethod
    def tearDownClass(cls):
        cls.channel.close()
        cls.server.send_signal(signal.SIGTERM)
        code = cls.server.wait(30)
        cls.log.seek(0)
        log = cls.log.read()
        cls.log.close()
        cls.work.cleanup()
        if code != 0:
            raise AssertionError(f"the server ended with {code}: {log}")

    def call(self, name, request=None, **options):
        method = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name[name]
        answer = getattr(pb, method.output_type.name)
        request = getattr(pb, method.input_type.name)() if request is None else request
        call = self.channel.unary_unary(f"/inference.GRPCInferenceService/{name}",
                                        request_serializer=lambda message: message.SerializeToString(),
                                        response_deserializer=answer.FromString)
        return call(request, timeout=20, **options)

    def refused(self, request, code):
        with self.assertRaises(grpc.RpcError) as raised:
            self.call("ModelInfer", request)
        self.assertEqual(raised.exception.code(), code, raised.exception.details())
        return raised.exception.details()

    @staticmethod
    def simple(a, b, **fields):
        request = pb.ModelInferRequest(model_name="simple", model_version="", **fields)
        for name, value in (("INPUT0", a), ("INPUT1", b)):
            request.inputs.add(name=name, datatype="INT32", shape=value.shape)
            request.raw_input_contents.append(value.astype(np.int32).tobytes())
        return request

    @staticmethod
    def outputs(answer):
        types = {"INT32": np.int32, "FP16": np.float16}
        return {output.name: np.frombuffer(raw, types[output.datatype]).reshape(output.shape)
                for output, raw in zip(answer.outputs, answer.raw_output_contents)}

    def setUp(self):
        self.a = np.arange(16, dtype=np.int32).reshape(1, 16)
        self.b = np.ones((1, 16), np.int32)

    def test_the_calls_before_an_inference(self):
        self.assertTrue(self.call("ServerLive").live)
        self.assertTrue(self.call("ServerReady").ready)
        self.assertTrue(self.call("ModelReady", pb.ModelReadyRequest(name="simple", version="1")).ready)
        self.assertEqual(self.call("ServerMetadata").name, "sluice")
        metadata = self.call("ModelMetadata", pb.ModelMetadataRequest(name="simple"))
        self.assertEqual([t.name for t in metadata.inputs], ["INPUT0", "INPUT1"])
        self.assertEqual(list(metadata.inputs[0].shape), [-1, 16])
        config = self.call("ModelConfig", pb.ModelConfigRequest(name="simple")).config
        self.assertEqual(config.max_batch_size, 8)
        self.assertEqual(list(config.input[0].dims), [16])
        self.assertEqual(config.input[0].data_type, pb.TYPE_INT32)

    def test_infer_as_triton_clients_do(self):
        request = self.simple(self.a, self.b, id="1")
        request.outputs.add(name="OUTPUT1")
        request.outputs.add(name="OUTPUT0")
        request.parameters["sequence_id"].int64_param = 0
        request.parameters["priority"].uint64_param = 1
        request.parameters["timeout"].int64_param = 10_000_000
        answer = self.call("ModelInfer", request)
        self.assertEqual(answer.id, "1")
        self.assertEqual(answer.model_version, "1")
        self.assertEqual([o.name for o in answer.outputs], ["OUTPUT1", "OUTPUT0"])
        outputs = self.outputs(answer)
        np.testing.assert_array_equal(outputs["OUTPUT0"], self.a + self.b)
        np.testing.assert_array_equal(outputs["OUTPUT1"], self.a - self.b)

    def test_infer_as_kserve_clients_do(self):
        request = pb.ModelInferRequest(model_name="simple")
        for name, value in (("INPUT0", self.a), ("INPUT1", self.b)):
            tensor = request.inputs.add(name=name, datatype="INT32", shape=value.shape)
            tensor.contents.int_contents.extend(value.ravel().tolist())
        np.testing.assert_array_equal(self.outputs(self.call("ModelInfer", request))["OUTPUT0"], self.a + self.b)

    def test_compression(self):
        a, b = np.zeros((8, 16), np.int32), np.ones((8, 16), np.int32)
        for compression in (grpc.Compression.Gzip, grpc.Compression.Deflate):
            answer = self.call("ModelInfer", self.simple(a, b), compression=compression)
            np.testing.assert_array_equal(self.outputs(answer)["OUTPUT1"], a - b)

    def test_text(self):
        texts = [b"", "Grüße".encode(), bytes(range(256))]
        raw = b"".join(struct.pack("<I", len(text)) + text for text in texts)
        request = pb.ModelInferRequest(model_name="text", raw_input_contents=[raw])
        request.inputs.add(name="x", datatype="BYTES", shape=[3])
        self.assertEqual(self.call("ModelInfer", request).raw_output_contents[0], raw)
        request = pb.ModelInferRequest(model_name="text")
        request.inputs.add(name="x", datatype="BYTES", shape=[3]).contents.bytes_contents.extend(texts)
        self.assertEqual(self.call("ModelInfer", request).raw_output_contents[0], raw)

    def test_half(self):
        x = np.array([1.5, -2], np.float16)
        request = pb.ModelInferRequest(model_name="half", raw_input_contents=[x.tobytes()])
        request.inputs.add(name="x", datatype="FP16", shape=[2])
        np.testing.assert_array_equal(self.outputs(self.call("ModelInfer", request))["y"], x + x)

    def test_streams(self):
        def requests():
            for i in range(20):
                request = self.simple(self.a + i, self.b, id=str(i))
                if i == 7:
                    request.inputs[0].name = "INPUT7"
                if i == 19:
                    request.parameters["triton_enable_empty_final_response"].bool_param = True
                yield request
        stream = self.channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer",
                                            request_serializer=lambda message: message.SerializeToString(),
                                            response_deserializer=pb.ModelStreamInferResponse.FromString)
        answers = list(stream(requests(), timeout=20))
        self.assertEqual([answer.infer_response.id for answer in answers], [str(i) for i in range(20)])
        for i, answer in enumerate(answers):
            if i == 7:
                self.assertIn("INPUT7", answer.error_message)
            else:
                self.assertEqual(answer.error_message, "")
                np.testing.assert_array_equal(self.outputs(answer.infer_response)["OUTPUT0"], self.a + i + self.b)
        self.assertTrue(answers[19].infer_response.parameters["triton_final_response"].bool_param)

    def test_many_at_once(self):
        failures = []

        def run(number):
            try:
                for i in range(50):
                    a = self.a + number * 1000 + i
                    np.testing.assert_array_equal(self.outputs(self.call("ModelInfer", self.simple(a, self.b)))["OUTPUT0"], a + 1)
            except Exception as error:  # noqa: BLE001
                failures.append(error)
        threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

    def test_errors(self):
        request = self.simple(self.a, self.b)
        request.model_name = "none"
        self.refused(request, grpc.StatusCode.NOT_FOUND)
        request.model_name = "../../etc/passwd"
        self.refused(request, grpc.StatusCode.NOT_FOUND)
        request = self.simple(self.a, self.b)
        request.model_version = "9"
        self.refused(request, grpc.StatusCode.NOT_FOUND)
        request = self.simple(self.a, self.b)
        request.inputs[0].datatype = "FP32"
        self.assertIn("INPUT0", self.refused(request, grpc.StatusCode.INVALID_ARGUMENT))
        request = self.simple(self.a, np.ones((1, 15), np.int32))
        self.assertIn("INPUT1", self.refused(request, grpc.StatusCode.INVALID_ARGUMENT))
        for names in (["OUTPUT9"], ["OUTPUT0", "OUTPUT0"]):
            request = self.simple(self.a, self.b)
            for name in names:
                request.outputs.add(name=name)
            self.refused(request, grpc.StatusCode.INVALID_ARGUMENT)
        request = self.simple(self.a, self.b)
        request.inputs[1].name = "INPUT0"
        self.refused(request, grpc.StatusCode.INVALID_ARGUMENT)

    def test_health(self):
        check = self.channel.unary_unary("/grpc.health.v1.Health/Check", request_serializer=bytes, response_deserializer=bytes)
        self.assertEqual(check(b"", timeout=5), b"\x08\x01")
        self.assertEqual(check(b"\x0a\x06simple", timeout=5), b"\x08\x01")
        with self.assertRaises(grpc.RpcError) as raised:
            check(b"\x0a\x04none", timeout=5)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.NOT_FOUND)

    def test_repository_and_statistics(self):
        self.assertEqual({m.name: m.state for m in self.call("RepositoryIndex").models},
                         {"simple": "READY", "text": "READY", "half": "READY"})
        self.call("RepositoryModelUnload", pb.RepositoryModelUnloadRequest(model_name="half"))
        ready = self.call("RepositoryIndex", pb.RepositoryIndexRequest(ready=True)).models
        self.assertNotIn("half", [m.name for m in ready])
        self.call("RepositoryModelLoad", pb.RepositoryModelLoadRequest(model_name="half"))
        self.test_half()
        with self.assertRaises(grpc.RpcError):
            self.call("RepositoryModelLoad", pb.RepositoryModelLoadRequest(model_name="none"))
        self.test_infer_as_triton_clients_do()
        for _ in range(100):
            stats = self.call("ModelStatistics", pb.ModelStatisticsRequest(name="simple")).model_stats[0]
            if stats.inference_count > 0:
                break
            time.sleep(0.01)
        self.assertGreater(stats.inference_count, 0)
        self.assertGreater(stats.inference_stats.compute_infer.ns, 0)
        self.assertGreater(len(stats.batch_stats), 0)

    def test_deadline(self):
        with self.assertRaises(grpc.RpcError) as raised:
            method = self.channel.unary_unary("/inference.GRPCInferenceService/ModelInfer",
                                              request_serializer=lambda message: message.SerializeToString(),
                                              response_deserializer=pb.ModelInferResponse.FromString)
            method(self.simple(self.a, self.b), timeout=-1)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.DEADLINE_EXCEEDED)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sluice", required=True)
    parser.add_argument("--proto", type=pathlib.Path, required=True)
    ARGUMENTS, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest])
