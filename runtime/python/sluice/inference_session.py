"""The calls of onnxruntime's InferenceSession, on Session: scripts move by changing an import.

What has no meaning here (providers, execution modes, memory patterns) is accepted and has no effect; what would change
results and is not there is refused.
"""
import enum
import types

from sluice._sluice import Error, Session

_PROVIDER = "CPUExecutionProvider"


def get_available_providers():
    """The only one there is."""
    return [_PROVIDER]


def get_device():
    return "CPU"


class GraphOptimizationLevel(enum.IntEnum):
    ORT_DISABLE_ALL = 0
    ORT_ENABLE_BASIC = 1
    ORT_ENABLE_EXTENDED = 2
    ORT_ENABLE_ALL = 99


class SessionOptions:
    """Of these, `intra_op_num_threads` (0: all), `graph_optimization_level` (ORT_DISABLE_ALL runs the model as written)
    and `enable_profiling` count; other attributes may be set as elsewhere and have no effect."""

    def __init__(self):
        self.intra_op_num_threads = 0
        self.inter_op_num_threads = 0
        self.graph_optimization_level = GraphOptimizationLevel.ORT_ENABLE_ALL
        self.enable_profiling = False
        self._free_dimensions = {}

    def add_free_dimension_override_by_name(self, name, size):
        """The open size of that name is `size`."""
        self._free_dimensions[name] = size

    def add_session_config_entry(self, key, value):
        """Accepted, without effect."""

    def register_custom_ops_library(self, path):
        raise Error("libraries of custom operators for other runtimes cannot be loaded; see sluice/custom_operator.h")


class RunOptions:
    """Accepted, without effect."""


class NodeArg:
    """An input or output: `name`, `type` ("tensor(float)"), `shape` (names or None where sizes are open)."""

    def __init__(self, info):
        self.name = info.name
        kind = f"map({info.dtype})" if info.is_map else f"tensor({info.dtype})"
        kind = f"seq({kind})" if info.is_sequence else kind
        self.type = f"optional({kind})" if info.is_optional else kind
        self.shape = [None if size == -1 else size for size in info.shape or []]

    def __repr__(self):
        return f"NodeArg(name={self.name!r}, type={self.type!r}, shape={self.shape!r})"


class InferenceSession:
    """A model, ready to run; `path_or_bytes` is a path or the bytes of an ONNX file."""

    def __init__(self, path_or_bytes, sess_options=None, providers=None, provider_options=None, **kwargs):
        names = [p[0] if isinstance(p, tuple) else p for p in providers or []]
        if names and _PROVIDER not in names:
            raise Error(f"none of the providers {names} is there, expected {_PROVIDER}")
        del provider_options, kwargs  # of providers that are not there
        self._options = sess_options or SessionOptions()
        wanted = {
            "threads": self._options.intra_op_num_threads,
            "passes": self._options.graph_optimization_level != GraphOptimizationLevel.ORT_DISABLE_ALL,
            "profile": self._options.enable_profiling,
        }
        self._session = Session(path_or_bytes, **wanted)
        fixed = self._fixed_shapes()
        if fixed:
            self._session = Session(path_or_bytes, input_shapes=fixed, **wanted)

    def _fixed_shapes(self):
        """Shapes of inputs with a size that was overridden by its name."""
        sizes = self._options._free_dimensions
        shapes = {}
        for info in self._session.inputs:
            if any(size in sizes for size in info.shape or []):
                shapes[info.name] = [sizes.get(size, -1 if isinstance(size, str) else size) for size in info.shape]
        return shapes

    def run(self, output_names, input_feed, run_options=None):
        """The outputs named, or all, as a list in that order."""
        del run_options
        results = self._session.run(dict(input_feed), list(output_names or []))
        return [results[name] for name in output_names or [info.name for info in self._session.outputs]]

    def get_inputs(self):
        return [NodeArg(info) for info in self._session.inputs]

    def get_outputs(self):
        return [NodeArg(info) for info in self._session.outputs]

    def get_modelmeta(self):
        """An object with `custom_metadata_map`."""
        return types.SimpleNamespace(custom_metadata_map=dict(self._session.metadata))

    def get_providers(self):
        return [_PROVIDER]

    def get_session_options(self):
        return self._options
