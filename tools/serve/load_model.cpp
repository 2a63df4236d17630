#include "tools/serve/load_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>

#include "runtime/compiled/cache.h"
#include "sluice/error.h"
#include "tools/files.h"
#include "tools/model_args.h"
#include "tools/serve/batch.h"
#include "tools/serve/datatypes.h"
#include "tools/serve/log.h"
#include "tools/serve/model_config.h"
#include "tools/serve/pictures.h"
#include "tools/serve/text.h"
#include "tools/yolo.h"

namespace sluice::serve {
namespace {

// A warm-up that has not ended by then is a model nobody wants to wait for.
constexpr std::chrono::seconds kLongestWarmUp(120);
constexpr size_t kMostConfigBytes = size_t{16} << 20;

[[noreturn]] void Fail(const std::string& message) { throw Error(ErrorCode::kInvalidModel, message); }

std::string Relative(const std::string& path, const std::string& root) {
  return std::filesystem::path(path).lexically_relative(root).string();
}

std::string WithoutRoot(std::string message, const std::string& root) {
  const std::string prefix = root.ends_with('/') ? root : root + "/";
  for (size_t at; (at = message.find(prefix)) != std::string::npos;) message.erase(at, prefix.size());
  return message;
}

ModelConfig ReadConfig(const std::string& root, const FoundVersion& found) {
  ModelConfig config;
  for (const std::string& path : found.configs) {
    const std::string place = Relative(path, root);
    std::error_code error;
    if (const auto size = std::filesystem::file_size(path, error); !error && size > kMostConfigBytes)
      Fail(fmt::format("{}: {} bytes, expected at most {}", place, size, kMostConfigBytes));
    const std::vector<std::byte> bytes = tools::ReadFile(path);
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    ApplyModelJson(text, place, found.folder, config);
  }
  return config;
}

// Nothing where no tensor of the protocol can carry the value.
std::optional<TensorInfo> DescribeTensor(const ValueInfo& info) {
  const auto datatype = DatatypeName(info.dtype);
  if (info.is_sequence || info.is_map || !datatype) return std::nullopt;
  return TensorInfo{info.name, std::string(*datatype), info.has_shape ? info.shape : Shape{-1}};
}

// Requests are put together along the first dimension, which must be open everywhere.
void CheckBatching(const std::vector<TensorInfo>& tensors, const char* kind, int64_t max_batch_size) {
  for (const TensorInfo& tensor : tensors) {
    if (tensor.shape.empty() || tensor.shape[0] >= 0) {
      Fail(fmt::format(
          "max_batch_size is {}, expected {} '{}' to have an open first dimension for it; it is {}",
          max_batch_size, kind, Shown(tensor.name),
          tensor.shape.empty() ? "a scalar" : fmt::format("{}", tensor.shape[0])));
    }
  }
}

// Turns pictures on for detectors, and finds out now whether what model.json says of pictures fits the model.
void SettlePictures(const Session& session, ModelConfig& config) {
  if (config.find_detector) {
    ModelConfig tried = config;
    tried.pictures = tried.detect = true;
    try {
      if (tools::FindFormat(session.inputs(), session.outputs(), session.metadata())) {
        PictureReader(session, tried);
        config = std::move(tried);
      }
    } catch (const Error&) {  // metadata of something else
    }
  }
  if (config.pictures) PictureReader(session, config);
}

ModelInfo Describe(const std::string& name, int64_t version, const Session& session, ModelConfig& config) {
  ModelInfo info;
  info.name = name;
  info.version = std::to_string(version);
  info.versions = {info.version};
  for (const ValueInfo& input : session.inputs()) {
    const auto tensor = DescribeTensor(input);
    if (!tensor && !input.is_optional) {
      Fail(fmt::format("input '{}' is {}, which no tensor of the protocol can carry", input.name,
                       tools::DescribeInfo(input)));
    }
    if (tensor) info.inputs.push_back(*tensor);
  }
  for (const ValueInfo& output : session.outputs()) {
    if (const auto tensor = DescribeTensor(output)) {
      info.outputs.push_back(*tensor);
    } else {
      Log(LogLevel::kWarning, "output is not served: no tensor of the protocol can carry it",
          {{"model", name}, {"version", int64_t{version}}, {"output", output.name}});
    }
  }
  if (info.outputs.empty()) Fail("no output that a tensor of the protocol can carry");
  if (config.max_batch_size > 0) {
    CheckBatching(info.inputs, "input", config.max_batch_size);
    CheckBatching(info.outputs, "output", config.max_batch_size);
  }
  info.properties = session.metadata();
  if (config.labels.empty()) config.labels = tools::LabelsOf(session.metadata());
  info.max_batch_size = config.max_batch_size;
  info.max_delay_us = config.max_batch_size > 0 ? config.max_delay_us : 0;
  info.takes_pictures = config.pictures;
  info.detects = config.detect;
  info.labels = config.labels;
  return info;
}

// One run on zeros. Open sizes are 1, which not every model can take: where there are some, what the run says
// is no verdict on the model.
void WarmUp(const std::string& name, int64_t version, const Session& session,
            const std::atomic<bool>& cancel) {
  NamedValues inputs;
  bool opened = false;
  for (const ValueInfo& info : session.inputs()) {
    if (info.is_optional) continue;
    if (!info.has_shape) return;
    inputs[info.name] = Tensor(info.dtype, tools::ConcreteShape(info, &opened));
  }
  RunOptions options;
  options.deadline = std::chrono::steady_clock::now() + kLongestWarmUp;
  options.cancel = &cancel;
  try {
    session.Run(inputs, {}, options);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kCancelled) throw;
    if (!opened) Fail(fmt::format("the first run, on zeros, failed: {}", error.what()));
    Log(LogLevel::kInfo, "not warmed up: no run on zeros with open sizes of 1",
        {{"model", name}, {"version", int64_t{version}}, {"reason", error.what()}});
  }
}

// Makes the plans of all sizes that batches have, so that no request waits for one. Of models with other open
// sizes nothing is known that would help.
void PrepareBatches(const Session& session, int64_t max_batch_size, const std::atomic<bool>& cancel) {
  for (const ValueInfo& info : session.inputs()) {
    if (!info.has_shape || info.shape.empty()) return;
    if (std::any_of(info.shape.begin() + 1, info.shape.end(), [](int64_t size) { return size < 0; })) return;
  }
  for (const int64_t rows : BatchSizes(max_batch_size)) {
    if (cancel) throw Error(ErrorCode::kCancelled, "cancelled");
    std::map<std::string, Shape> shapes;
    for (const ValueInfo& info : session.inputs()) {
      shapes[info.name] = info.shape;
      shapes[info.name][0] = rows;
    }
    try {
      session.Prepare(shapes);
    } catch (const Error& error) {
      Fail(fmt::format("max_batch_size is {}, and a batch of {} failed: {}", max_batch_size, rows,
                       error.what()));
    }
  }
}

}  // namespace

std::shared_ptr<const Model> LoadModel(const std::string& root, const std::string& name, int64_t version,
                                       const FoundVersion& found, const SessionOptions& options,
                                       const std::atomic<bool>& cancel) {
  if (!found.problem.empty()) Fail(found.problem);
  try {
    ModelConfig config = ReadConfig(root, found);
    SessionOptions session_options = options;
    session_options.input_shapes = config.shapes;
    if (!options.cache_folder.empty()) {
      session_options.log = [name, version](sluice::LogLevel, std::string_view text) {
        if (text.starts_with(kCacheFailure))
          Log(LogLevel::kWarning, text, {{"model", name}, {"version", int64_t{version}}});
        else if (text.starts_with(kCacheNews))
          Log(LogLevel::kInfo, text, {{"model", name}, {"version", int64_t{version}}});
      };
    }
    Session session = Session::Load(found.file, session_options);
    SettlePictures(session, config);
    ModelInfo info = Describe(name, version, session, config);
    if (cancel) throw Error(ErrorCode::kCancelled, "cancelled");
    if (config.warm_up) WarmUp(name, version, session, cancel);
    if (config.warm_up && config.max_batch_size > 1) PrepareBatches(session, config.max_batch_size, cancel);
    return std::make_shared<const Model>(Model{std::move(session), std::move(config), std::move(info)});
  } catch (const Error& error) {
    throw Error(error.code(), WithoutRoot(error.what(), root));
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::kOutOfMemory, "out of memory");
  }
}

}  // namespace sluice::serve
