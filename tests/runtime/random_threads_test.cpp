#include <gtest/gtest.h>

#include <cstring>

#include "sluice/session.h"
#include "tests/graph/onnx_attributes.h"

// Random operators with a seed give the same numbers on every run and for any number of threads.

namespace sluice::test {
namespace {

// x [40, 1000] of probabilities to one output of every random operator; every second node has a seed.
ModelProto Model(bool seeds) {
  ModelProto model = EmptyModel();
  GraphProto* graph = model.mutable_graph();
  SetType(graph->add_input(), "x", {40, 1000});
  const auto add = [&](const std::string& op, Names inputs, int type = TensorProto::FLOAT) {
    const std::string output = std::string("y").append(std::to_string(graph->output_size()));
    NodeProto* node = Add(graph, op, inputs, {output});
    AddOutput(graph, output, type);
    if (seeds && op == "Dropout")
      SetInt(node, "seed", 3);
    else if (seeds)
      SetFloat(node, "seed", 2.5f);
    return node;
  };
  SetInts(add("RandomNormal", {}), "shape", {200, 300});
  SetInts(add("RandomUniform", {}), "shape", {200, 300});
  add("RandomNormalLike", {"x"});
  add("RandomUniformLike", {"x"});
  add("Bernoulli", {"x"});
  SetInt(add("Multinomial", {"x"}, TensorProto::INT32), "sample_size", 100);
  AddFloats(graph, "ratio", {}, {0.5f});
  AddBool(graph, "training", true);
  add("Dropout", {"x", "ratio", "training"});
  return model;
}

TEST(RandomThreadsTest, SeedsDecideAlone) {
  Tensor x(DataType::kFloat, {40, 1000});
  for (size_t i = 0; i < 40000; ++i) x.mutable_values<float>()[i] = static_cast<float>(i % 100) / 100;
  for (const bool seeds : {true, false}) {
    const std::string bytes = Model(seeds).SerializeAsString();
    NamedValues first;
    for (int threads : {1, 2, 4}) {
      SessionOptions options;
      options.threads = threads;
      const Session session = Session::LoadBytes(std::as_bytes(std::span(bytes)), options);
      for (const ValueInfo& info : session.outputs())
        EXPECT_EQ(info.is_random, info.name != "y6") << info.name;
      for (int run = 0; run < 3; ++run) {
        const NamedValues results = session.Run({{"x", x}});
        if (first.empty()) {
          first = results;
          continue;
        }
        for (const auto& [name, value] : results) {
          const Tensor& a = value.tensor();
          const Tensor& b = first.at(name).tensor();
          ASSERT_EQ(a.byte_size(), b.byte_size());
          EXPECT_EQ(std::memcmp(a.data(), b.data(), static_cast<size_t>(a.byte_size())) == 0, seeds)
              << name << " with " << threads << " threads, run " << run;
        }
      }
    }
  }
}

}  // namespace
}  // namespace sluice::test
