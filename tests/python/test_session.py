import concurrent.futures
import pathlib
import time

import numpy as np
import pytest
from onnx import TensorProto

import sluice

X = np.array([[1, 2, 3], [-4, 0, 1]], np.float32)
Y = np.array([[5, 8], [-2, 7]], np.float32)


def test_runs_by_name_and_alone(linear):
    session = sluice.Session(linear, threads=1)
    np.testing.assert_array_equal(session.run({"x": X})["y"], Y)
    np.testing.assert_array_equal(session.run(X)["y"], Y)
    np.testing.assert_array_equal(session.run({"x": X.tolist()}, ["y"])["y"], Y)
    assert session.threads == 1


def test_loads_paths_and_buffers(linear, tmp_path):
    path = tmp_path / "linear.onnx"
    path.write_bytes(linear)
    for model in (path, str(path), linear, bytearray(linear), memoryview(linear)):
        np.testing.assert_array_equal(sluice.Session(model).run(X)["y"], Y)


def test_describes_the_model(linear):
    session = sluice.Session(linear)
    (x,), (y,) = session.inputs, session.outputs
    assert (x.name, x.dtype, x.shape) == ("x", "float", ["n", 3])
    assert (y.name, y.is_sequence, y.is_map, y.is_optional) == ("y", False, False, False)
    assert session.metadata == {"author": "nobody"}
    assert repr(x) == "ValueInfo('x', float, ['n', 3])"


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int8", "uint8", "int32", "int64", "uint64"])
def test_types_go_through(two, dtype):
    code = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7, "float16": 10, "float64": 11, "uint64": 13}
    a, b = np.arange(5).astype(dtype), np.ones(5, dtype)
    results = sluice.Session(two(code[dtype])).run({"a": a, "b": b})
    assert results["sum"].dtype == np.dtype(dtype)
    np.testing.assert_array_equal(results["sum"], a + b)
    assert list(results) == ["sum", "copy"]


def test_bfloat16_travels_as_its_bits(two):
    one = np.array([0x3F80], np.uint16)
    results = sluice.Session(two(TensorProto.BFLOAT16)).run({"a": one, "b": one})
    assert results["sum"].tolist() == [0x4000]


def test_strings(text):
    x = np.array([["ä", "b"], ["", "long enough to leave the object"]])
    y = sluice.Session(text).run({"x": x})["y"]
    assert y.dtype == object and y.tolist() == x.tolist()
    with pytest.raises(sluice.Error, match="no string"):
        sluice.Session(text).run({"x": np.array([["a", 1]], object)})


def test_sequences(sequence):
    results = sluice.Session(sequence).run({"s": [X, Y]})
    assert results["length"] == 2
    assert [item.shape for item in results["twice"]] == [(2, 3), (2, 3)]
    with pytest.raises(sluice.Error, match="expected a list"):
        sluice.Session(sequence).run({"s": X})


def test_views_of_any_order_are_read(linear):
    session = sluice.Session(linear)
    np.testing.assert_array_equal(session.run(np.asfortranarray(X))["y"], Y)
    np.testing.assert_array_equal(session.run(np.repeat(X, 2, axis=0)[::2])["y"], Y)
    np.testing.assert_array_equal(session.run(np.zeros((0, 3), np.float32))["y"], np.zeros((0, 2)))


def test_results_own_their_memory_and_are_writable(linear):
    session = sluice.Session(linear)
    first = session.run(X)["y"]
    del session
    first += 1
    np.testing.assert_array_equal(first, Y + 1)


def test_speaks_dlpack(linear):

    class Tensor:
        """A tensor of some other library."""

        def __dlpack__(self, stream=None):
            return X.__dlpack__()

        def __dlpack_device__(self):
            return X.__dlpack_device__()

    y = sluice.Session(linear).run(Tensor())["y"]
    np.testing.assert_array_equal(np.from_dlpack(y), Y)


def test_errors_say_what_and_have_a_code(linear):
    session = sluice.Session(linear)
    with pytest.raises(sluice.Error, match="no input 'z', expected 'x'") as caught:
        session.run({"z": X})
    assert caught.value.code == "InvalidArgument"
    with pytest.raises(sluice.Error, match="int64"):
        session.run({"x": X.astype(np.int64)})
    with pytest.raises(sluice.Error) as caught:
        sluice.Session(b"no model")
    assert caught.value.code == "InvalidModel"
    with pytest.raises(sluice.Error, match="accuracy is 'poor'"):
        sluice.Session(linear, accuracy="poor")
    sluice.Session(linear, max_weight_bytes=0)
    with pytest.raises(sluice.Error, match="missing.onnx"):
        sluice.Session("missing.onnx")
    with pytest.raises(TypeError):
        sluice.Session(linear, 1)
    assert isinstance(caught.value, RuntimeError)


def test_deadlines(linear):
    with pytest.raises(sluice.Error) as caught:
        sluice.Session(linear).run(X, timeout=-1)
    assert caught.value.code == "DeadlineExceeded"
    sluice.Session(linear).run(X, timeout=60)


def test_runs_side_by_side(linear):
    session = sluice.Session(linear)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for y in pool.map(lambda _: session.run(X)["y"], range(400)):
            np.testing.assert_array_equal(y, Y)


def test_runs_release_the_lock():
    model = pathlib.Path(__file__).parents[3] / "shared" / "models" / "esrgan-4x-64" / "model.onnx"
    if not model.exists():
        pytest.skip("needs a model that computes for long")
    session = sluice.Session(model, threads=1)
    x = np.zeros([d if isinstance(d, int) and d > 0 else 64 for d in session.inputs[0].shape], np.float32)
    session.run(x)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(session.run, x)
        turns = 0
        while not running.done():
            turns += 1
            time.sleep(0)
    # With the lock held this thread would have had to wait for the end.
    assert turns > 10


def test_profiles(linear):
    session = sluice.Session(linear, profile=True)
    session.run(X)
    assert [step.calls for step in session.profile()] == [1] * len(session.profile())
    assert any("MatMul" in step.op or "Gemm" in step.op for step in session.profile())


def test_compiled_models(linear, tmp_path):
    model, file = tmp_path / "linear.onnx", tmp_path / "linear.sluice"
    model.write_bytes(linear)
    sluice.compile_model(model, file, plans=[{"x": [2, 3]}])
    for session in (sluice.Session(file, verify_compiled=True), sluice.Session(file.read_bytes())):
        np.testing.assert_array_equal(session.run(X)["y"], sluice.Session(model).run(X)["y"])
        assert session.inputs[0].shape == ["n", 3]
    with pytest.raises(sluice.Error, match="the accuracy: default, here strict") as refused:
        sluice.Session(file, accuracy="strict")
    with pytest.raises(sluice.Error, match="the most bytes of weights: not stated, here 1000"):
        sluice.Session(file, max_weight_bytes=1000)
    assert refused.value.code == "Unsupported"
    with pytest.raises(sluice.Error, match="compiled model already"):
        sluice.compile_model(file, tmp_path / "again.sluice")
    cache = tmp_path / "cache"
    for _ in range(2):
        np.testing.assert_array_equal(sluice.Session(model, cache_folder=cache).run(X)["y"], Y)
    assert len(list(cache.iterdir())) == 1
