#include "tools/serve/request_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "tools/serve/datatypes.h"

namespace sluice::serve {
namespace {

[[noreturn]] void Fail(const std::string& what) { throw ServeError(Reason::kInvalid, what); }

std::string NameOf(DataType type) {
  const auto name = DatatypeName(type);
  return std::string(name ? *name : DataTypeName(type));
}

// "'a', 'b' and 3 more".
std::string ListNames(const std::vector<ValueInfo>& values) {
  constexpr size_t kMost = 8;
  std::string text;
  for (size_t i = 0; i < std::min(values.size(), kMost); ++i)
    text += fmt::format("{}'{}'", i ? ", " : "", values[i].name);
  if (values.size() > kMost) text += fmt::format(" and {} more", values.size() - kMost);
  return text.empty() ? "none" : text;
}

// What a client sent may be long, and is shown in part.
std::string Quoted(const std::string& name) {
  constexpr size_t kMost = 80;
  return name.size() <= kMost ? fmt::format("'{}'", name) : fmt::format("'{}...'", name.substr(0, kMost));
}

bool Fits(const Shape& shape, const ValueInfo& info) {
  if (!info.has_shape) return true;
  if (shape.size() != info.shape.size()) return false;
  for (size_t i = 0; i < shape.size(); ++i)
    if (info.shape[i] >= 0 && info.shape[i] != shape[i]) return false;
  return true;
}

int64_t BytesOf(const Tensor& tensor) {
  if (tensor.dtype() != DataType::kString) return tensor.empty() ? 0 : tensor.byte_size();
  int64_t bytes = 0;
  for (const std::string& text : tensor.values<std::string>())
    bytes += static_cast<int64_t>(sizeof(text) + text.size());
  return bytes;
}

// Triton's clients and JSON write whole numbers in any of these.
std::optional<int64_t> WholeNumber(const Parameters& parameters, const char* name) {
  const auto found = parameters.find(name);
  if (found == parameters.end()) return std::nullopt;
  constexpr double kMost = 9e15;  // doubles are exact up to here
  if (const auto* value = std::get_if<int64_t>(&found->second)) return *value;
  if (const auto* value = std::get_if<uint64_t>(&found->second))
    return static_cast<int64_t>(std::min<uint64_t>(*value, INT64_MAX));
  if (const auto* value = std::get_if<double>(&found->second);
      value != nullptr && *value >= -kMost && *value <= kMost &&
      *value == static_cast<double>(static_cast<int64_t>(*value)))
    return static_cast<int64_t>(*value);
  Fail(fmt::format("parameter '{}': expected a whole number", name));
}

bool Flag(const Parameters& parameters, const char* name) {
  const auto found = parameters.find(name);
  if (found == parameters.end()) return false;
  if (const auto* value = std::get_if<bool>(&found->second)) return *value;
  Fail(fmt::format("parameter '{}': expected true or false", name));
}

void CheckInput(const ValueInfo& info, const Tensor& tensor) {
  const auto fail = [&](const std::string& what) { Fail(fmt::format("input '{}': {}", info.name, what)); };
  if (tensor.dtype() != info.dtype)
    fail(fmt::format("expected datatype {}, found {}", NameOf(info.dtype), NameOf(tensor.dtype())));
  if (!Fits(tensor.shape(), info))
    fail(fmt::format("expected shape {}, found {}", ToString(info.shape), ToString(tensor.shape())));
}

// n files: [n], or [n, 1] as clients send for models with a batch.
void CheckPictures(const ValueInfo& info, const Tensor& tensor) {
  const Shape& shape = tensor.shape();
  if ((shape.size() == 1 || (shape.size() == 2 && shape[1] == 1)) && shape[0] >= 1) return;
  Fail(fmt::format("input '{}': expected picture files as BYTES [n], found BYTES {}", info.name,
                   ToString(shape)));
}

// The bytes of a raw request as what the model's only input takes.
Tensor FromRaw(const Model& model, const InferRequest& request) {
  const std::vector<ValueInfo>& infos = model.session.inputs();
  if (infos.size() != 1)
    Fail(fmt::format("a raw request has one input, the model has {}: {}", infos.size(), ListNames(infos)));
  const ValueInfo& info = infos[0];
  const Tensor& raw = request.inputs.at(0).tensor;
  if (!info.has_shape)
    Fail(fmt::format("input '{}': a raw request needs a model that states its shape", info.name));
  Shape shape = info.shape;
  const auto open = std::count_if(shape.begin(), shape.end(), [](int64_t size) { return size < 0; });
  if (info.dtype == DataType::kString) {
    for (int64_t& size : shape) size = size < 0 ? 1 : size;
    if (NumElements(shape) != 1)
      Fail(fmt::format("input '{}': a raw request holds one string, the model takes {}", info.name,
                       ToString(info.shape)));
    Tensor text(DataType::kString, shape);
    text.mutable_values<std::string>()[0].assign(static_cast<const char*>(raw.data()),
                                                 static_cast<size_t>(raw.byte_size()));
    return text;
  }
  if (open > 1) {
    Fail(fmt::format("input '{}': a raw request states no shape, and {} has more than one open size",
                     info.name, ToString(info.shape)));
  }
  const int64_t bytes = raw.byte_size();
  int64_t known = std::max(1, DataTypeBits(info.dtype) / 8);
  for (int64_t size : shape)
    if (size >= 0 && __builtin_mul_overflow(known, size, &known)) known = 0;
  const bool fits = known > 0 && (open == 0 ? bytes == known : bytes % known == 0);
  if (!fits) {
    Fail(fmt::format("input '{}': {} {} is {}{} bytes, found {}", info.name, NameOf(info.dtype),
                     ToString(info.shape), open == 0 ? "" : "a multiple of ", known, bytes));
  }
  for (int64_t& size : shape)
    if (size < 0) size = bytes / known;
  return Tensor::Share(info.dtype, shape, const_cast<void*>(raw.data()), request.keep_alive);
}

void CheckOutputs(const Model& model, const InferRequest& request, CheckedRequest& checked) {
  const std::vector<ValueInfo>& known = model.session.outputs();
  const bool detects = checked.picture && model.config.detect;
  const auto contains = [](auto& names, const std::string& name) {
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
  };
  for (const std::string& name : request.outputs) {
    const bool exists =
        std::any_of(known.begin(), known.end(), [&](const ValueInfo& info) { return info.name == name; });
    const bool extra =
        (detects && contains(kDetectionOutputs, name)) || (checked.top > 0 && contains(kTopOutputs, name));
    if (!exists && !extra)
      Fail(fmt::format("the model has no output {}; it has {}", Quoted(name), ListNames(known)));
    if (contains(checked.outputs, name)) Fail(fmt::format("output '{}' is asked for twice", name));
    checked.outputs.push_back(name);
  }
  for (const ValueInfo& info : known) {
    if (IsCarried(info) || !contains(checked.outputs, info.name)) continue;
    throw ServeError(Reason::kUnsupported,
                     fmt::format("output '{}' is {}, which the protocol cannot carry", info.name,
                                 info.is_sequence ? "a sequence"
                                 : info.is_map    ? "a map"
                                                  : NameOf(info.dtype)));
  }
}

void CheckParameters(const ModelConfig& config, const InferRequest& request, CheckedRequest& checked) {
  const Parameters& parameters = request.parameters;
  const int64_t timeout = WholeNumber(parameters, "timeout").value_or(0);
  if (timeout < 0) Fail(fmt::format("parameter 'timeout': expected microseconds from 0, found {}", timeout));
  checked.timeout_us = timeout > 0 ? timeout : config.default_timeout_us;
  if (config.max_timeout_us > 0 && (checked.timeout_us == 0 || checked.timeout_us > config.max_timeout_us))
    checked.timeout_us = config.max_timeout_us;
  const int64_t priority = WholeNumber(parameters, "priority").value_or(0);
  if (priority < 0 || priority > kLastPriority) {
    Fail(fmt::format("parameter 'priority': expected 1, the first, to {}, or 0 for the default, found {}",
                     kLastPriority, priority));
  }
  checked.priority = priority > 0 ? static_cast<int>(priority) : config.default_priority;
  checked.profile = Flag(parameters, "profile");
  checked.top = WholeNumber(parameters, "top").value_or(0);
  constexpr int64_t kMostTop = 1000;
  if (checked.top < 0 || checked.top > kMostTop)
    Fail(fmt::format("parameter 'top': expected 0 to {}, found {}", kMostTop, checked.top));
}

}  // namespace

bool IsCarried(const ValueInfo& info) {
  return !info.is_sequence && !info.is_map && DatatypeName(info.dtype).has_value();
}

int64_t CommonRows(std::span<const Tensor> tensors) {
  int64_t rows = -1;
  for (const Tensor& tensor : tensors) {
    if (tensor.rank() < 1 || (rows >= 0 && tensor.shape()[0] != rows)) return 0;
    rows = tensor.shape()[0];
  }
  return std::max<int64_t>(rows, 0);
}

int64_t BytesOf(std::span<const Tensor> tensors) {
  int64_t bytes = 0;
  for (const Tensor& tensor : tensors) bytes += BytesOf(tensor);
  return bytes;
}

bool CanBatch(const Model& model) {
  const auto open = [](const ValueInfo& info) {
    return !info.is_sequence && !info.is_map && !info.is_optional && info.has_shape && !info.shape.empty() &&
           info.shape[0] < 0;
  };
  // Overridden input shapes leave outputs without one; what a run yields is looked at anyway.
  const auto open_or_unknown = [&](const ValueInfo& info) {
    return open(info) || (!info.is_sequence && !info.is_map && !info.is_optional && !info.has_shape);
  };
  const Session& session = model.session;
  return model.config.max_batch_size > 1 && !session.inputs().empty() &&
         std::all_of(session.inputs().begin(), session.inputs().end(), open) &&
         std::all_of(session.outputs().begin(), session.outputs().end(), open_or_unknown);
}

CheckedRequest CheckRequest(const Model& model, const InferRequest& request) {
  const std::vector<ValueInfo>& infos = model.session.inputs();
  CheckedRequest checked;
  checked.inputs.resize(infos.size());
  if (request.raw || request.picture) {
    const char* kind = request.raw ? "raw" : "picture";
    if (request.inputs.size() != 1)
      Fail(fmt::format("a {} request has one input, found {}", kind, request.inputs.size()));
  }
  if (request.raw) {
    checked.inputs[0] = FromRaw(model, request);
  } else {
    for (const InferInput& input : request.inputs) {
      const bool unnamed = request.picture && input.name.empty();
      if (unnamed && infos.size() != 1)
        Fail(fmt::format("a picture needs a model with one input, this one has {}", infos.size()));
      const auto found = std::find_if(infos.begin(), infos.end(), [&](const ValueInfo& info) {
        return unnamed || info.name == input.name;
      });
      if (found == infos.end())
        Fail(fmt::format("the model has no input {}; it has {}", Quoted(input.name), ListNames(infos)));
      const auto at = static_cast<size_t>(found - infos.begin());
      if (!checked.inputs[at].empty()) Fail(fmt::format("input '{}' is there twice", found->name));
      if (input.tensor.empty()) Fail(fmt::format("input '{}' has no datatype", found->name));
      for (int64_t size : input.tensor.shape())
        if (size < 0)
          Fail(fmt::format("input '{}': shape {} has a negative size", found->name,
                           ToString(input.tensor.shape())));
      checked.inputs[at] = input.tensor;
    }
  }
  for (size_t i = 0; i < infos.size(); ++i) {
    const ValueInfo& info = infos[i];
    const Tensor& tensor = checked.inputs[i];
    if (!IsCarried(info)) {
      if (tensor.empty() && info.is_optional) continue;
      throw ServeError(
          Reason::kUnsupported,
          fmt::format("input '{}' of the model is nothing that the protocol can carry", info.name));
    }
    if (tensor.empty()) {
      if (info.is_optional) continue;
      Fail(fmt::format("input '{}' is missing", info.name));
    }
    const bool files = tensor.dtype() == DataType::kString && info.dtype != DataType::kString;
    if (files && model.config.pictures && !checked.picture) {
      CheckPictures(info, tensor);
      checked.picture = i;
    } else if (request.picture) {
      Fail("the model takes no pictures: its model.json says nothing of 'pictures'");
    } else {
      CheckInput(info, tensor);
    }
  }
  CheckParameters(model.config, request, checked);
  CheckOutputs(model, request, checked);
  checked.rows = CommonRows(checked.inputs);
  checked.bytes = BytesOf(checked.inputs);
  return checked;
}

}  // namespace sluice::serve
