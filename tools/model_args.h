#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "sluice/session.h"
#include "tools/preprocess.h"

namespace CLI {
class App;
}

namespace sluice::tools {

// What every verb that runs a model takes.
struct ModelOptions {
  std::string model;
  int threads = 0;
  std::vector<std::string> shapes;           // "NAME=1x3x64x64", or without "NAME=" for a lone input
  std::string passes = "on";
  std::vector<std::string> disabled_passes;
  std::string tuning_file;
  std::string accuracy = "default";
  std::string weight_memory;                 // "512M": SessionOptions::max_weight_bytes; empty for no limit
  int max_plans = SessionOptions().max_plans;
  std::string cache_folder;                  // SessionOptions::cache_folder
  bool verify = false;                       // SessionOptions::verify_compiled
  std::string memory;                        // "512M": SessionOptions::max_cached_bytes; empty for its default
};
// MODEL, --cache and --verify.
void AddModelOption(CLI::App& app, ModelOptions& options);
void AddThreadsOption(CLI::App& app, ModelOptions& options);
void AddShapeOption(CLI::App& app, ModelOptions& options);
// --tune, --accuracy and --weight-memory.
void AddKernelOptions(CLI::App& app, ModelOptions& options);
void AddShapesOption(CLI::App& app, std::vector<std::string>& shapes);
void AddPassOptions(CLI::App& app, ModelOptions& options);
void AddCacheOptions(CLI::App& app, ModelOptions& options);

// Throws Error{kInvalidArgument} for shapes that cannot be read; reads the model only where a shape
// comes without a name.
SessionOptions ToSessionOptions(const ModelOptions& options);

// The graph of a model that was exported. Throws Error{kInvalidArgument} for a compiled one.
std::unique_ptr<Graph> ReadExportedGraph(const std::string& path);

// "512M": bytes, with K, M or G for powers of 1024. Throws Error{kInvalidArgument}.
int64_t ParseByteCount(const std::string& text);

// "1x3x?x?", where ? and -1 leave a size open; "scalar" has no dimensions.
Shape ParseShape(const std::string& text);

// Splits "NAME=REST" at the '=' that leaves a name of `inputs`; without one the lone input is meant.
// Throws Error{kInvalidArgument} that lists the inputs.
struct Assignment {
  const ValueInfo* value;
  std::string rest;
};
Assignment ParseAssignment(const std::string& text, const std::vector<ValueInfo>& values, const char* kind);

// "'x' float [1, 3, -1, -1], 'y' int64 [1]".
std::string ListValues(const std::vector<ValueInfo>& values);
// "float [N, 3, 416, 416]".
std::string DescribeInfo(const ValueInfo& info);

// The declared shape with 1 for every open size; `opened` tells whether there was one.
Shape ConcreteShape(const ValueInfo& info, bool* opened = nullptr);

// How a file of this value is encoded: as a TensorProto, SequenceProto, OptionalProto or MapProto.
ValueType::Kind FileKindOf(const ValueInfo& info);

// Values for an input from a file: .npy, a picture (PNG, JPEG) or .pb (ONNX TensorProto, SequenceProto,
// OptionalProto or MapProto as the input's type asks); the content decides. Throws Error that names the file.
Value ReadInput(const std::string& path, const ValueInfo& info, const PictureOptions& picture, bool* was_picture);

// Made-up values: floats and complex numbers from a normal distribution, 0 and 1 for integers and
// booleans (valid as indices almost anywhere), "a" or "b" for strings. The same seed gives the same
// values on every machine. Throws Error{kInvalidArgument} for sequences, maps and unknown ranks.
Value Noise(const ValueInfo& info, uint64_t seed);

// Noise for every input, with different seeds.
NamedValues NoiseInputs(const Session& session, uint64_t seed);

}  // namespace sluice::tools
