#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "graph/darknet/import.h"
#include "graph/export.h"
#include "graph/infer.h"
#include "graph/verify.h"
#include "sluice/session.h"

namespace sluice::test {

// Channels, rows, columns of floats, for scalar references.
struct Maps {
  int64_t c = 0, h = 0, w = 0;
  std::vector<float> values;

  Maps(int64_t channels, int64_t height, int64_t width)
      : c(channels), h(height), w(width), values(static_cast<size_t>(channels * height * width)) {}
  float& at(int64_t k, int64_t y, int64_t x) { return values[static_cast<size_t>((k * h + y) * w + x)]; }
  float at(int64_t k, int64_t y, int64_t x) const { return values[static_cast<size_t>((k * h + y) * w + x)]; }
  bool has(int64_t y, int64_t x) const { return y >= 0 && y < h && x >= 0 && x < w; }
};

inline Maps MapEach(const Maps& x, const std::function<double(double)>& function) {
  Maps y = x;
  for (float& value : y.values) value = static_cast<float>(function(value));
  return y;
}

// A Darknet network with its weights, made section by section.
class TestNet {
 public:
  TestNet(int64_t c, int64_t h, int64_t w, uint32_t seed = 1) : x(c, h, w), random_(seed) {
    cfg_ = "[net]\nchannels=" + std::to_string(c) + "\nheight=" + std::to_string(h) +
           "\nwidth=" + std::to_string(w) + "\n";
    x.values = Normal(x.values.size());
  }
  // A network of vectors.
  explicit TestNet(int64_t inputs, uint32_t seed = 1) : x(inputs, 1, 1), random_(seed) {
    cfg_ = "[net]\ninputs=" + std::to_string(inputs) + "\n";
    x.values = Normal(x.values.size());
    flat_ = true;
  }

  // "maxpool", "size=2 stride=2".
  TestNet& Add(const std::string& section, const std::string& keys = "") {
    cfg_ += "[" + section + "]\n";
    for (char c : keys) cfg_ += c == ' ' ? '\n' : c;
    cfg_ += "\n";
    return *this;
  }
  std::vector<float> Normal(size_t count, float mean = 0, float spread = 1) {
    std::normal_distribution<float> normal(mean, spread);
    std::vector<float> values(count);
    for (float& value : values) value = normal(random_);
    return values;
  }
  // Appends random weights and returns them.
  std::vector<float> Weights(size_t count, float mean = 0, float spread = 1) {
    return Append(Normal(count, mean, spread));
  }
  std::vector<float> Append(std::vector<float> values) {
    weights_.insert(weights_.end(), values.begin(), values.end());
    return values;
  }

  std::unique_ptr<Graph> Import(const DarknetOptions& options = {}, int32_t revision = 0) const {
    std::vector<std::byte> bytes(20 + 4 * weights_.size());
    const int32_t version[] = {0, 2, revision};
    std::memcpy(bytes.data(), version, sizeof(version));
    if (!weights_.empty()) std::memcpy(bytes.data() + 20, weights_.data(), 4 * weights_.size());
    auto graph = ImportDarknetText(cfg_, "net.cfg", darknet::Weights(bytes, nullptr, "net.weights"), options);
    Verify(*graph);
    InferShapes(*graph);
    return graph;
  }
  Session Load(const DarknetOptions& options = {}, int32_t revision = 0) const {
    const std::string model = ExportOnnxBytes(*Import(options, revision));
    return Session::LoadBytes(std::as_bytes(std::span(model)));
  }
  // The first output on `x`, with zeros for what recurrent layers keep.
  std::vector<float> Run(const DarknetOptions& options = {}, int32_t revision = 0) const {
    const Session session = Load(options, revision);
    NamedValues inputs;
    for (const ValueInfo& info : session.inputs()) {
      inputs[info.name] =
          Tensor::From<float>(info.shape, std::vector<float>(static_cast<size_t>(NumElements(info.shape))));
    }
    inputs[flat_ ? "input" : "image"] =
        Tensor::From<float>(flat_ ? Shape{1, x.c} : Shape{1, x.c, x.h, x.w}, x.values);
    const NamedValues outputs = session.Run(inputs);
    const auto values = outputs.at(session.outputs()[0].name).tensor().values<float>();
    return {values.begin(), values.end()};
  }

  Maps x;  // the input

 private:
  std::string cfg_;
  std::vector<float> weights_;
  std::mt19937 random_;
  bool flat_ = false;
};

inline void ExpectNear(const std::vector<float>& got, const std::vector<float>& want,
                       float tolerance = 1e-4f) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], want[i], tolerance * (1 + std::abs(want[i]))) << "element " << i;
}

}  // namespace sluice::test
