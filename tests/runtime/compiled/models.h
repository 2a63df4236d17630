#pragma once

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "graph/builder.h"
#include "graph/export.h"
#include "sluice/session.h"

namespace sluice::test {

// Small models of kinds that are packed in different ways, as ONNX files, and runs of them.

// Numbers without a pattern, the same each time.
inline Tensor Numbers(const Shape& shape, float first = 0.3f) {
  Tensor tensor(DataType::kFloat, shape);
  float value = first;
  for (float& element : tensor.mutable_values<float>())
    element = value = 0.37f - 0.83f * value + 0.1f * value * value;
  return tensor;
}

struct ModelMaker {
  Graph graph;
  GraphBuilder builder;

  explicit ModelMaker(int64_t opset = 17) : builder(graph, opset) { graph.ir_version = 8; }
  ValueId Input(const std::string& name, SymShape shape) {
    const ValueId id = graph.AddValue(name, ValueType::Of(DataType::kFloat, std::move(shape)));
    graph.inputs.push_back(id);
    return id;
  }
  ValueId Weights(const Shape& shape) {
    return builder.Constant("w", Numbers(shape, 0.1f * static_cast<float>(++count_)));
  }
  ValueId Conv(ValueId x, int64_t oc, int64_t ic, int64_t k, int64_t stride = 1, int64_t group = 1) {
    const int64_t pad = k / 2;
    return builder.Op("Conv", {x, Weights({oc, ic / group, k, k}), Weights({oc})},
                      {{"pads", std::vector<int64_t>{pad, pad, pad, pad}},
                       {"strides", std::vector<int64_t>{stride, stride}},
                       {"group", group}});
  }
  ValueId Leaky(ValueId x) { return builder.Op("LeakyRelu", {x}, {{"alpha", 0.1f}}); }
  std::string Bytes(std::initializer_list<ValueId> outputs) {
    graph.outputs = outputs;
    return ExportOnnxBytes(graph);
  }

 private:
  int count_ = 0;
};

// x [n, 16, 24, 24] through kernels by Winograd, by oneDNN, depthwise and transposed, with post-ops that have
// operands. n may be open.
inline std::string ConvModel(Dim n = 1) {
  ModelMaker m;
  const ValueId x = m.Input("x", {n, 16, 24, 24});
  const ValueId a = m.Leaky(m.Conv(x, 32, 16, 3));
  const ValueId b = m.builder.Op("Add", {m.Conv(m.Leaky(m.Conv(a, 64, 32, 1)), 32, 64, 1), a});
  const ValueId c = m.builder.Op("Relu", {m.Conv(b, 32, 32, 3, 1, 32)});
  const ValueId d = m.builder.Op("Mul", {m.Conv(c, 48, 32, 3, 2), m.Weights({1, 48, 1, 1})});
  return m.Bytes({m.builder.Op("ConvTranspose", {d, m.Weights({48, 8, 2, 2})},
                               {{"strides", std::vector<int64_t>{2, 2}}})});
}

// x [8, 64] through products of matrices and a recurrent layer.
inline std::string MatMulModel() {
  ModelMaker m;
  const ValueId x = m.Input("x", {8, 64});
  const ValueId a = m.builder.Op(
      "Relu", {m.builder.Op("Gemm", {x, m.Weights({96, 64}), m.Weights({96})}, {{"transB", int64_t{1}}})});
  const ValueId b = m.builder.Op("MatMul", {a, m.Weights({96, 40})});
  const ValueId sequence = m.builder.Unsqueeze(b, {1});
  return m.Bytes({m.builder.Ops("GRU", {sequence, m.Weights({1, 3 * 24, 40}), m.Weights({1, 3 * 24, 24})}, 1,
                                {{"hidden_size", int64_t{24}}})[0]});
}

inline std::string Slurp(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

inline void Spill(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// A folder that goes with it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    static std::atomic<int> count{0};
    path_ = std::filesystem::temp_directory_path() /
            ("sluice-compiled-" + std::to_string(getpid()) + "-" + std::to_string(count++));
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() {
    std::error_code error;
    std::filesystem::permissions(path_, std::filesystem::perms::owner_all, error);
    std::filesystem::remove_all(path_, error);
  }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline SessionOptions TwoThreads() {
  SessionOptions options;
  options.threads = 2;
  return options;
}

// All outputs, byte by byte, on made-up inputs; open sizes are `open`.
inline std::string OutputsOf(const Session& session, int64_t open = 1) {
  NamedValues inputs;
  for (const ValueInfo& info : session.inputs()) {
    Shape shape = info.shape;
    for (int64_t& size : shape) size = size < 0 ? open : size;
    inputs[info.name] = Numbers(shape, 0.7f);
  }
  std::string bytes;
  for (const auto& [name, value] : session.Run(inputs)) {
    bytes += name + ToString(value.tensor().shape());
    bytes.append(static_cast<const char*>(value.tensor().data()),
                 static_cast<size_t>(value.tensor().byte_size()));
  }
  return bytes;
}

}  // namespace sluice::test
