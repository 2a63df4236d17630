"""The calls that scripts written for onnxruntime make."""
import numpy as np
import pytest

import sluice as onnxruntime

X = np.array([[1, 2, 3]], np.float32)
Y = np.array([[5, 8]], np.float32)


def test_the_usual_script(linear, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(linear)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = None
    session = onnxruntime.InferenceSession(str(path), options, providers=["CUDAExecutionProvider", "CPUExecutionProvider"])
    (x,), (y,) = session.get_inputs(), session.get_outputs()
    assert (x.name, x.type, x.shape) == ("x", "tensor(float)", ["n", 3])
    (result,) = session.run([y.name], {x.name: X})
    np.testing.assert_array_equal(result, Y)
    (result,) = session.run(None, {"x": X})
    np.testing.assert_array_equal(result, Y)
    assert session.get_modelmeta().custom_metadata_map == {"author": "nobody"}
    assert session.get_providers() == onnxruntime.get_available_providers() == ["CPUExecutionProvider"]
    assert session.get_session_options() is options


def test_sizes_are_overridden_by_name(linear):
    options = onnxruntime.SessionOptions()
    options.add_free_dimension_override_by_name("n", 1)
    session = onnxruntime.InferenceSession(linear, options)
    assert session.get_inputs()[0].shape == [1, 3]
    np.testing.assert_array_equal(session.run(None, {"x": X})[0], Y)
    with pytest.raises(onnxruntime.Error):
        session.run(None, {"x": np.zeros((2, 3), np.float32)})


def test_running_as_written(linear):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    np.testing.assert_array_equal(onnxruntime.InferenceSession(linear, options).run(None, {"x": X})[0], Y)


def test_what_is_not_there_is_refused(linear):
    with pytest.raises(onnxruntime.Error, match="CUDAExecutionProvider"):
        onnxruntime.InferenceSession(linear, providers=["CUDAExecutionProvider"])
    with pytest.raises(onnxruntime.Error, match="custom operators"):
        onnxruntime.SessionOptions().register_custom_ops_library("ops.so")
