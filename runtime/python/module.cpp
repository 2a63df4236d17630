#include <pybind11/functional.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <chrono>
#include <cmath>
#include <optional>

#include "runtime/python/arrays.h"
#include "sluice/session.h"

// The extension module sluice._sluice: the C++ API for Python. What Python code sees of it is in
// sluice/__init__.pyi.

namespace sluice::python {
namespace {

Accuracy AccuracyOf(const std::string& name) {
  if (name == "default") return Accuracy::kDefault;
  if (name == "strict") return Accuracy::kStrict;
  if (name == "fast") return Accuracy::kFast;
  throw Error(ErrorCode::kInvalidArgument, "accuracy is '" + name + "', expected default, strict or fast");
}

// Names of open sizes, -1 where they have none.
py::object ShapeOf(const ValueInfo& info) {
  if (!info.has_shape) return py::none();
  py::list shape;
  for (size_t i = 0; i < info.shape.size(); ++i) {
    const bool named = info.shape[i] < 0 && i < info.dim_names.size() && !info.dim_names[i].empty();
    if (named)
      shape.append(info.dim_names[i]);
    else
      shape.append(info.shape[i]);
  }
  return shape;
}

const ValueInfo& InfoOf(const Session& session, const std::string& name) {
  for (const ValueInfo& info : session.inputs()) {
    if (info.name == name) return info;
  }
  std::string known;
  for (const ValueInfo& info : session.inputs()) known += (known.empty() ? "'" : ", '") + info.name + "'";
  throw Error(ErrorCode::kInvalidArgument, "the model has no input '" + name + "', expected " + known);
}

py::dict Run(const Session& session, const py::object& inputs, const std::vector<std::string>& outputs,
             std::optional<double> timeout) {
  std::vector<py::object> keep;
  NamedValues values;
  if (py::isinstance<py::dict>(inputs)) {
    for (const auto& [key, object] : py::reinterpret_borrow<py::dict>(inputs)) {
      const auto name = key.cast<std::string>();
      values[name] = ToValue(object, InfoOf(session, name), keep);
    }
  } else if (session.inputs().size() == 1) {
    values[session.inputs()[0].name] = ToValue(inputs, session.inputs()[0], keep);
  } else {
    throw Error(ErrorCode::kInvalidArgument, "the model has " + std::to_string(session.inputs().size()) +
                                                 " inputs, expected a dict from their names");
  }
  RunOptions options;
  if (timeout) {
    if (!std::isfinite(*timeout)) throw Error(ErrorCode::kInvalidArgument, "timeout is not a finite number");
    options.deadline =
        std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                                               std::chrono::duration<double>(std::min(*timeout, 1e9)));
  }
  NamedValues results;
  {
    const py::gil_scoped_release unlocked;
    results = session.Run(values, outputs, options);
  }
  py::dict dict;
  if (outputs.empty()) {
    for (const ValueInfo& info : session.outputs())
      dict[py::str(info.name)] = ToPython(results.at(info.name));
  } else {
    for (const std::string& name : outputs) dict[py::str(name)] = ToPython(results.at(name));
  }
  return dict;
}

// What a compiled model depends on.
SessionOptions CompileOptionsOf(int threads, const std::string& accuracy, bool passes,
                                std::vector<std::string> disabled_passes,
                                std::map<std::string, Shape> input_shapes, std::string tuning_file,
                                std::optional<int64_t> max_weight_bytes) {
  SessionOptions options;
  options.threads = threads;
  options.accuracy = AccuracyOf(accuracy);
  options.passes = passes;
  options.disabled_passes = std::move(disabled_passes);
  options.input_shapes = std::move(input_shapes);
  options.tuning_file = std::move(tuning_file);
  if (max_weight_bytes) options.max_weight_bytes = *max_weight_bytes;
  return options;
}

std::string PathOf(const py::object& path) {
  return py::module_::import("os").attr("fspath")(path).cast<std::string>();
}

void CompileModel(const py::object& model, const py::object& file, int threads, const std::string& accuracy,
                  bool passes, std::vector<std::string> disabled_passes,
                  std::map<std::string, Shape> input_shapes, std::string tuning_file,
                  const std::vector<std::map<std::string, Shape>>& plans,
                  std::optional<int64_t> max_weight_bytes) {
  const std::string from = PathOf(model), to = PathOf(file);
  const SessionOptions options =
      CompileOptionsOf(threads, accuracy, passes, std::move(disabled_passes), std::move(input_shapes),
                       std::move(tuning_file), max_weight_bytes);
  const py::gil_scoped_release unlocked;
  Session::Compile(from, to, options, plans);
}

std::unique_ptr<Session> Load(const py::object& model, const SessionOptions& options) {
  if (py::isinstance<py::bytes>(model) || py::isinstance<py::bytearray>(model) ||
      py::isinstance<py::memoryview>(model)) {
    const py::buffer_info bytes = py::buffer(model).request();
    const auto* data = static_cast<const std::byte*>(bytes.ptr);
    const auto size = static_cast<size_t>(bytes.size * bytes.itemsize);
    const py::gil_scoped_release unlocked;
    return std::make_unique<Session>(Session::LoadBytes({data, size}, options));
  }
  const std::string path = PathOf(model);
  const py::gil_scoped_release unlocked;
  return std::make_unique<Session>(Session::Load(path, options));
}

PYBIND11_MODULE(_sluice, module) {
  module.attr("__version__") = std::string(Version());

  static const py::object error_type =
      py::reinterpret_steal<py::object>(PyErr_NewException("sluice.Error", PyExc_RuntimeError, nullptr));
  module.attr("Error") = error_type;
  py::register_exception_translator([](std::exception_ptr thrown) {
    try {
      std::rethrow_exception(thrown);
    } catch (const Error& error) {
      const py::object object = error_type(error.what());
      object.attr("code") = ErrorCodeName(error.code());
      PyErr_SetObject(error_type.ptr(), object.ptr());
    }
  });

  py::class_<ValueInfo>(module, "ValueInfo")
      .def_readonly("name", &ValueInfo::name)
      .def_property_readonly("dtype",
                             [](const ValueInfo& info) { return std::string(DataTypeName(info.dtype)); })
      .def_property_readonly("shape", &ShapeOf)
      .def_readonly("is_sequence", &ValueInfo::is_sequence)
      .def_readonly("is_map", &ValueInfo::is_map)
      .def_readonly("is_optional", &ValueInfo::is_optional)
      .def("__repr__", [](const ValueInfo& info) {
        return "ValueInfo(" + std::string(py::repr(py::str(info.name))) + ", " +
               std::string(DataTypeName(info.dtype)) + ", " + std::string(py::repr(ShapeOf(info))) + ")";
      });

  py::class_<StepProfile>(module, "StepProfile")
      .def_readonly("node", &StepProfile::node)
      .def_readonly("op", &StepProfile::op)
      .def_readonly("kernel", &StepProfile::kernel)
      .def_readonly("calls", &StepProfile::calls)
      .def_readonly("total_ns", &StepProfile::total_ns)
      .def_readonly("flops", &StepProfile::flops)
      .def_readonly("output_shape", &StepProfile::output_shape);

  py::class_<Session>(module, "Session")
      .def(py::init([](const py::object& model, int threads, const std::string& accuracy, bool passes,
                       std::vector<std::string> disabled_passes, std::map<std::string, Shape> input_shapes,
                       std::string tuning_file, int max_plans, int64_t max_cached_bytes, bool profile,
                       const py::object& cache_folder, bool verify_compiled,
                       std::optional<int64_t> max_weight_bytes) {
             SessionOptions options =
                 CompileOptionsOf(threads, accuracy, passes, std::move(disabled_passes),
                                  std::move(input_shapes), std::move(tuning_file), max_weight_bytes);
             options.max_plans = max_plans;
             options.max_cached_bytes = max_cached_bytes;
             options.profile = profile;
             if (!cache_folder.is_none()) options.cache_folder = PathOf(cache_folder);
             options.verify_compiled = verify_compiled;
             return Load(model, options);
           }),
           py::arg("model"), py::kw_only(), py::arg("threads") = 0, py::arg("accuracy") = "default",
           py::arg("passes") = true, py::arg("disabled_passes") = std::vector<std::string>(),
           py::arg("input_shapes") = std::map<std::string, Shape>(), py::arg("tuning_file") = "",
           py::arg("max_plans") = SessionOptions().max_plans,
           py::arg("max_cached_bytes") = SessionOptions().max_cached_bytes, py::arg("profile") = false,
           py::arg("cache_folder") = py::none(), py::arg("verify_compiled") = false,
           py::arg("max_weight_bytes") = py::none())
      .def("run", &Run, py::arg("inputs"), py::arg("outputs") = std::vector<std::string>(), py::kw_only(),
           py::arg("timeout") = py::none())
      .def_property_readonly("inputs", [](const Session& session) { return session.inputs(); })
      .def_property_readonly("outputs", [](const Session& session) { return session.outputs(); })
      .def_property_readonly("metadata", [](const Session& session) { return session.metadata(); })
      .def_property_readonly("threads", &Session::threads)
      .def(
          "prepare",
          [](const Session& session, const std::map<std::string, Shape>& shapes) { session.Prepare(shapes); },
          py::arg("input_shapes"), py::call_guard<py::gil_scoped_release>())
      .def("profile", &Session::profile);

  module.def("compile_model", &CompileModel, py::arg("model"), py::arg("file"), py::kw_only(),
             py::arg("threads") = 0, py::arg("accuracy") = "default", py::arg("passes") = true,
             py::arg("disabled_passes") = std::vector<std::string>(),
             py::arg("input_shapes") = std::map<std::string, Shape>(), py::arg("tuning_file") = "",
             py::arg("plans") = std::vector<std::map<std::string, Shape>>(),
             py::arg("max_weight_bytes") = py::none());
}

}  // namespace
}  // namespace sluice::python
