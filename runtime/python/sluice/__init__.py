"""Sluice runs ONNX models on the CPU.

    import numpy as np
    import sluice

    session = sluice.Session("model.onnx")
    outputs = session.run({"image": np.zeros((1, 3, 416, 416), np.float32)})

Arrays go in and out without copies where they are contiguous. Runs release the interpreter's lock, so threads of
Python run side by side on one session. Errors are sluice.Error, whose `code` is a name like "InvalidArgument".

compile_model writes a model to a file that Session loads in milliseconds; Session(..., cache_folder=...) keeps such
files by itself.

sluice.InferenceSession takes the calls of the class of that name in onnxruntime:

    import sluice as onnxruntime
"""
from sluice._sluice import Error, Session, StepProfile, ValueInfo, __version__, compile_model
from sluice.inference_session import (GraphOptimizationLevel, InferenceSession, NodeArg, RunOptions, SessionOptions,
                                      get_available_providers, get_device)

__all__ = [
    "Error", "GraphOptimizationLevel", "InferenceSession", "NodeArg", "RunOptions", "Session", "SessionOptions",
    "StepProfile", "ValueInfo", "__version__", "compile_model", "get_available_providers", "get_device"
]
