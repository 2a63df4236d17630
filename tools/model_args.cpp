#include "tools/model_args.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include "graph/import.h"
#include "runtime/compiled/cache.h"
#include "runtime/compiled/open_file.h"
#include "sluice/error.h"
#include "tools/elements.h"
#include "tools/files.h"
#include "tools/npy.h"

namespace sluice::tools {
namespace {

[[noreturn]] void Fail(const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); }

// xorshift64*: the same everywhere, which the distributions of <random> are not.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ull + 0x1234567ull) {
    if (state_ == 0) state_ = 1;
    for (int i = 0; i < 8; ++i) Next();
  }
  uint64_t Next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1dull;
  }
  // Close to a normal distribution of mean 0 and variance 1, within -6 and 6: the sum of 12 uniform ones.
  double Normal() {
    uint64_t sum = 0;
    for (int i = 0; i < 4; ++i) {
      const uint64_t bits = Next();
      for (int j = 0; j < 3; ++j) sum += bits >> (21 * j) & 0x1fffff;
    }
    return static_cast<double>(sum) * 0x1p-21 - 6;
  }

 private:
  uint64_t state_;
};

}  // namespace

void AddModelOption(CLI::App& app, ModelOptions& options) {
  app.add_option("MODEL", options.model, "The model file: ONNX, or what sluice compile made of one")
      ->required();
  app.add_option(
      "--cache", options.cache_folder,
      "Folder where compiled models are kept, so that the same model loads in milliseconds next time");
  app.add_flag("--verify", options.verify, "Checks the checksums of a compiled model's weights as well");
}

void AddThreadsOption(CLI::App& app, ModelOptions& options) {
  app.add_option("--threads", options.threads, "Threads (0: what affinity and cgroup quota allow)")
      ->check(CLI::Range(0, 4096));
}

void AddShapeOption(CLI::App& app, ModelOptions& options) { AddShapesOption(app, options.shapes); }

void AddShapesOption(CLI::App& app, std::vector<std::string>& shapes) {
  app.add_option("--shape", shapes,
                 "NAME=1x3x64x64 overrides the declared shape of an input; ? leaves a size open; repeatable");
}

void AddKernelOptions(CLI::App& app, ModelOptions& options) {
  app.add_option(
      "--tune", options.tuning_file,
      "Measures the kernels of steps that this file does not know, and remembers the fastest there");
  app.add_option("--accuracy", options.accuracy,
                 "strict: plain sums, no Winograd; fast: larger tiles of it too, errors up to 5e-4 (default)")
      ->check(CLI::IsMember({"strict", "default", "fast"}));
  app.add_option("--weight-memory", options.weight_memory,
                 "What weights may take in the kernels' own order, as 512M; the largest convolutions then go "
                 "without Winograd (no limit)");
}

void AddPassOptions(CLI::App& app, ModelOptions& options) {
  app.add_option("--passes", options.passes, "off runs the model as it is written, without any rewrite (on)")
      ->check(CLI::IsMember({"on", "off"}));
  app.add_option("--disable-pass", options.disabled_passes, "Leaves out the pass of this name; repeatable");
}

void AddCacheOptions(CLI::App& app, ModelOptions& options) {
  app.add_option("--max-plans", options.max_plans,
                 "Plans (one for every combination of input sizes) that are kept (16)")
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--memory", options.memory,
                 "What plans and memory kept between runs may hold, as 512M (1G)");
}

std::unique_ptr<Graph> ReadExportedGraph(const std::string& path) {
  if (IsCompiledFile(path)) {
    Fail(fmt::format(
        "{} is a compiled model, in which the graph is not as it was exported: expected an ONNX model",
        path));
  }
  return ImportOnnx(path);
}

int64_t ParseByteCount(const std::string& text) {
  int64_t count = -1;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, count);
  const std::string_view unit(stop, end);
  const int shift = unit.empty() ? 0 : unit == "K" ? 10 : unit == "M" ? 20 : unit == "G" ? 30 : -1;
  if (error != std::errc() || count < 0 || shift < 0 ||
      count > std::numeric_limits<int64_t>::max() >> shift) {
    Fail(fmt::format("'{}' is no number of bytes, expected one like 1000000, 512M or 2G", text));
  }
  return count << shift;
}

Shape ParseShape(const std::string& text) {
  Shape shape;
  if (text == "scalar") return shape;
  size_t begin = 0;
  while (true) {
    const size_t end = std::min(text.find('x', begin), text.size());
    const std::string_view part = std::string_view(text).substr(begin, end - begin);
    int64_t size = -1;
    if (part != "?" && part != "-1") {
      const auto [stop, error] = std::from_chars(part.data(), part.data() + part.size(), size);
      if (error != std::errc() || stop != part.data() + part.size() || size < 0) {
        Fail(fmt::format("--shape: '{}' is no shape, expected sizes like 1x3x64x64", text));
      }
    }
    shape.push_back(size);
    if (end == text.size()) return shape;
    begin = end + 1;
  }
}

SessionOptions ToSessionOptions(const ModelOptions& options) {
  SessionOptions session;
  session.threads = options.threads;
  session.passes = options.passes == "on";
  session.disabled_passes = options.disabled_passes;
  session.tuning_file = options.tuning_file;
  if (options.accuracy == "strict") session.accuracy = Accuracy::kStrict;
  if (options.accuracy == "fast") session.accuracy = Accuracy::kFast;
  if (!options.weight_memory.empty()) session.max_weight_bytes = ParseByteCount(options.weight_memory);
  session.max_plans = options.max_plans;
  session.verify_compiled = options.verify;
  session.cache_folder = options.cache_folder;
  if (!options.cache_folder.empty()) {
    session.log = [](LogLevel, std::string_view text) {
      if (text.starts_with(kCacheFailure)) fmt::print(stderr, "sluice: {}\n", text);
    };
  }
  if (!options.memory.empty()) session.max_cached_bytes = ParseByteCount(options.memory);
  for (const std::string& text : options.shapes) {
    const size_t equals = text.rfind('=');
    std::string name;
    if (equals != std::string::npos) {
      name = text.substr(0, equals);
    } else {
      const std::unique_ptr<Graph> graph = ImportModel(options.model);
      if (graph->inputs.size() != 1) {
        Fail(fmt::format("--shape {}: expected NAME={}, the model has {} inputs", text, text,
                         graph->inputs.size()));
      }
      name = graph->value(graph->inputs[0]).name;
    }
    session.input_shapes[name] = ParseShape(equals == std::string::npos ? text : text.substr(equals + 1));
  }
  return session;
}

Assignment ParseAssignment(const std::string& text, const std::vector<ValueInfo>& values, const char* kind) {
  for (size_t equals = text.find('='); equals != std::string::npos; equals = text.find('=', equals + 1)) {
    const std::string name = text.substr(0, equals);
    for (const ValueInfo& value : values) {
      if (value.name == name) return {&value, text.substr(equals + 1)};
    }
  }
  const size_t equals = text.find('=');
  if (equals == std::string::npos && values.size() == 1) return {&values[0], text};
  if (equals == std::string::npos) {
    Fail(fmt::format("'{}': expected NAME=FILE, the model's {}s are {}", text, kind, ListValues(values)));
  }
  Fail(fmt::format("the model has no {} '{}', it has {}", kind, text.substr(0, equals), ListValues(values)));
}

std::string ListValues(const std::vector<ValueInfo>& values) {
  std::string list;
  for (const ValueInfo& value : values) {
    list += fmt::format("{}'{}' {}", list.empty() ? "" : ", ", value.name, DescribeInfo(value));
  }
  return list.empty() ? "none" : list;
}

std::string DescribeInfo(const ValueInfo& info) {
  std::string text(DataTypeName(info.dtype));
  if (info.is_map)
    text = fmt::format("map{} from {} to {}", info.is_sequence ? "s" : "", DataTypeName(info.key_type), text);
  if (info.is_sequence) text = "sequence of " + text;
  if (info.is_optional) text = "optional " + text;
  if (info.is_map) return text;
  if (!info.has_shape) return text + (info.is_sequence ? "" : " of any shape");
  text += " [";
  for (size_t i = 0; i < info.shape.size(); ++i) {
    if (i > 0) text += ", ";
    const bool named = i < info.dim_names.size() && !info.dim_names[i].empty();
    text += info.shape[i] >= 0 ? std::to_string(info.shape[i]) : named ? info.dim_names[i] : "?";
  }
  return text + "]";
}

Shape ConcreteShape(const ValueInfo& info, bool* opened) {
  Shape shape = info.shape;
  for (int64_t& size : shape) {
    if (size >= 0) continue;
    size = 1;
    if (opened != nullptr) *opened = true;
  }
  return shape;
}

ValueType::Kind FileKindOf(const ValueInfo& info) {
  if (info.is_optional) return ValueType::Kind::kOptional;
  if (info.is_sequence) return ValueType::Kind::kSequence;
  return info.is_map ? ValueType::Kind::kMap : ValueType::Kind::kTensor;
}

Value ReadInput(const std::string& path, const ValueInfo& info, const PictureOptions& picture,
                bool* was_picture) {
  const std::vector<std::byte> bytes = ReadFile(path);
  if (was_picture != nullptr) *was_picture = false;
  if (LooksLikePicture(bytes)) {
    if (was_picture != nullptr) *was_picture = true;
    return PictureToTensor(DecodePicture(bytes, path), picture, info);
  }
  if (Extension(path) == ".npy" || (bytes.size() > 6 && std::memcmp(bytes.data(), "\x93NUMPY", 6) == 0)) {
    return AsDeclared(ParseNpy(bytes, path), info.dtype);
  }
  if (Extension(path) == ".pb") {
    return ReadValueProto(path, FileKindOf(info));
  }
  Fail(fmt::format("'{}': neither .npy nor .pb nor a PNG or JPEG picture", path));
}

Value Noise(const ValueInfo& info, uint64_t seed) {
  if (info.is_sequence || info.is_map || !info.has_shape) {
    Fail(fmt::format("input '{}' is {}: give it with --input, it cannot be made up", info.name,
                     DescribeInfo(info)));
  }
  const Shape shape = ConcreteShape(info);
  Random random(seed);
  if (IsNarrow(info.dtype)) {
    std::vector<uint8_t> bits(static_cast<size_t>(NumElements(shape)));
    for (uint8_t& value : bits) value = static_cast<uint8_t>(random.Next() & 1);
    return PackNarrow(info.dtype, shape, std::move(bits));
  }
  Tensor tensor(info.dtype, shape);
  if (info.dtype == DataType::kString) {
    for (std::string& text : tensor.mutable_values<std::string>()) text = random.Next() & 1 ? "a" : "b";
  } else if (info.dtype == DataType::kBool) {
    for (uint8_t& value : tensor.mutable_values<uint8_t>()) value = static_cast<uint8_t>(random.Next() & 1);
  } else if (info.dtype == DataType::kComplex64 || info.dtype == DataType::kComplex128) {
    const bool wide = info.dtype == DataType::kComplex128;
    for (int64_t i = 0; i < 2 * tensor.num_elements(); ++i) {
      if (wide)
        static_cast<double*>(tensor.mutable_data())[i] = random.Normal();
      else
        static_cast<float*>(tensor.mutable_data())[i] = static_cast<float>(random.Normal());
    }
  } else {
    Dispatch(NumericTypes(), info.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      for (T& value : tensor.mutable_values<T>()) {
        if constexpr (std::is_integral_v<T>)
          value = static_cast<T>(random.Next() & 1);
        else
          value = T(static_cast<float>(random.Normal()));
      }
    });
  }
  return tensor;
}

NamedValues NoiseInputs(const Session& session, uint64_t seed) {
  NamedValues values;
  for (const ValueInfo& info : session.inputs()) values[info.name] = Noise(info, seed + values.size());
  return values;
}

}  // namespace sluice::tools
