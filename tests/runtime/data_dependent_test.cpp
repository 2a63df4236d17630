#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>

#include "sluice/session.h"
#include "tests/graph/onnx_attributes.h"

// Shapes that follow from elements: what depends on them is done at run time, everything else stays planned.

namespace sluice::test {
namespace {

constexpr int kFloat = TensorProto::FLOAT;
constexpr int kInt = TensorProto::INT64;

using Floats = std::vector<float>;
using Ints = std::vector<int64_t>;

Session Load(const ModelProto& model, bool passes = true, int threads = 2) {
  SessionOptions options;
  options.threads = threads;
  options.passes = passes;
  options.profile = true;
  const std::string bytes = model.SerializeAsString();
  return Session::LoadBytes(std::as_bytes(std::span(bytes)), options);
}

template <typename T>
std::vector<T> ElementsOf(const Value& value) {
  const auto values = value.tensor().values<T>();
  return {values.begin(), values.end()};
}
Tensor Vector(const Floats& values) {
  return Tensor::From<float>({static_cast<int64_t>(values.size())}, values);
}
Tensor IntVector(const Ints& values) {
  return Tensor::From<int64_t>({static_cast<int64_t>(values.size())}, values);
}

Tensor Noise(const Shape& shape, uint32_t seed) {
  Tensor tensor(DataType::kFloat, shape);
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(0, 1);
  for (float& value : tensor.mutable_values<float>()) value = normal(engine);
  return tensor;
}
Floats NoiseList(const Shape& shape, uint32_t seed) { return ElementsOf<float>(Noise(shape, seed)); }

NodeProto* Padded(NodeProto* conv) { return SetInts(conv, "pads", {1, 1, 1, 1}); }

// A detector in small: a trunk of convolutions; the places of its large scores, as many as there are, are
// gathered while another head of convolutions goes on from the trunk. The gathered features pass a matrix
// product.
ModelProto Detector() {
  ModelProto model = EmptyModel();
  GraphProto* graph = model.mutable_graph();
  SetType(graph->add_input(), "x", {1, 3, 24, 20});
  AddFloats(graph, "w1", {16, 3, 3, 3}, NoiseList({16, 3, 3, 3}, 1));
  AddFloats(graph, "w2", {16, 16, 3, 3}, NoiseList({16, 16, 3, 3}, 2));
  AddFloats(graph, "w3", {8, 16, 3, 3}, NoiseList({8, 16, 3, 3}, 3));
  AddFloats(graph, "ws", {1, 16, 1, 1}, NoiseList({1, 16, 1, 1}, 4));
  AddFloats(graph, "m", {16, 4}, NoiseList({16, 4}, 5));
  AddFloats(graph, "limit", {}, {30});
  Padded(Add(graph, "Conv", {"x", "w1"}, {"c1"}));
  SetFloat(Add(graph, "LeakyRelu", {"c1"}, {"r1"}), "alpha", 0.1f);
  Padded(Add(graph, "Conv", {"r1", "w2"}, {"c2"}));
  SetFloat(Add(graph, "LeakyRelu", {"c2"}, {"r2"}), "alpha", 0.1f);
  Add(graph, "Conv", {"r2", "ws"}, {"scores"});
  Add(graph, "Greater", {"scores", "limit"}, {"large"});
  Add(graph, "NonZero", {"large"}, {"places"});  // [4, found]
  SetInts(Add(graph, "Transpose", {"places"}, {"rows"}), "perm", {1, 0});
  AddInts(graph, "from", {1}, {2});
  AddInts(graph, "to", {1}, {4});
  AddInts(graph, "axis", {1}, {1});
  Add(graph, "Slice", {"rows", "from", "to", "axis"}, {"yx"});  // [found, 2]
  SetInts(Add(graph, "Transpose", {"r2"}, {"hwnc"}), "perm", {2, 3, 0, 1});
  Add(graph, "GatherND", {"hwnc", "yx"}, {"features"});  // [found, 1, 16]
  Add(graph, "MatMul", {"features", "m"}, {"found"});
  Padded(Add(graph, "Conv", {"r2", "w3"}, {"c3"}));
  SetFloat(Add(graph, "LeakyRelu", {"c3"}, {"map"}), "alpha", 0.1f);
  AddOutput(graph, "found");
  AddOutput(graph, "map");
  AddOutput(graph, "places", kInt);
  return model;
}

TEST(DataDependentTest, ConvolutionsAroundNonZeroStayPlannedAndFused) {
  const ModelProto model = Detector();
  const Session session = Load(model), plain = Load(model, false, 1);
  std::vector<int64_t> counts;
  for (uint32_t seed = 0; seed < 4; ++seed) {
    const Tensor x = Noise({1, 3, 24, 20}, seed);
    const NamedValues got = session.Run({{"x", x}}), want = plain.Run({{"x", x}});
    ASSERT_EQ(ElementsOf<int64_t>(got.at("places")), ElementsOf<int64_t>(want.at("places")));
    counts.push_back(got.at("places").tensor().shape()[1]);
    EXPECT_EQ(got.at("found").tensor().shape(), (Shape{counts.back(), 1, 4}));
    for (const char* name : {"found", "map"}) {
      const Floats a = ElementsOf<float>(got.at(name)), b = ElementsOf<float>(want.at(name));
      ASSERT_EQ(a.size(), b.size());
      for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-2 + 1e-3 * std::abs(b[i])) << name;
    }
  }
  // The data do differ in how much is found.
  EXPECT_NE(*std::min_element(counts.begin(), counts.end()), *std::max_element(counts.begin(), counts.end()));

  int fused = 0, alone = 0;
  for (const StepProfile& step : session.profile()) {
    const bool depends = step.op == "NonZero" || step.op == "Transpose" || step.op == "Slice" ||
                         step.op == "GatherND" || step.op.starts_with("MatMul");
    if (step.kernel == "at run time") {
      EXPECT_TRUE(depends) << step.op;
    } else {
      EXPECT_FALSE(step.op == "NonZero" || step.op == "Slice" || step.op == "GatherND") << step.op;
    }
    if (step.op.starts_with("Conv"))
      ++(step.op.find(" + LeakyRelu(0.1)") != std::string::npos ? fused : alone);
    EXPECT_NE(step.op, "LeakyRelu");
  }
  EXPECT_EQ(fused, 3);
  EXPECT_EQ(alone, 1);  // that of the scores has no activation
}

// One operator whose result has a shape of its own each time.
Session OneOp(const std::string& op, const std::vector<std::pair<std::string, int>>& inputs, int output,
              const std::function<void(NodeProto*)>& edit = {}, int64_t opset = 17) {
  ModelProto model = EmptyModel(opset);
  GraphProto* graph = model.mutable_graph();
  NodeProto* node = Add(graph, op, {}, {"t"});
  for (const auto& [name, type] : inputs) {
    AddInput(graph, name, type);
    node->add_input(name);
  }
  if (edit) edit(node);
  // What follows must take any shape, too.
  Add(graph, "Add", {"t", "t"}, {"y"});
  AddOutput(graph, "y", output);
  return Load(model);
}

TEST(DataDependentTest, EachRunHasItsOwnShapes) {
  const Session compress = OneOp("Compress", {{"x", kFloat}, {"keep", TensorProto::BOOL}}, kFloat,
                                 [](NodeProto* n) { SetInt(n, "axis", 0); });
  const auto bools = [](const std::vector<bool>& values) {
    Tensor tensor(DataType::kBool, {static_cast<int64_t>(values.size())});
    for (size_t i = 0; i < values.size(); ++i) tensor.mutable_values<bool>()[i] = values[i];
    return tensor;
  };
  const Tensor x = Vector({1, 2, 3});
  EXPECT_EQ(ElementsOf<float>(compress.Run({{"x", x}, {"keep", bools({true, false, true})}}).at("y")),
            (Floats{2, 6}));
  EXPECT_EQ(ElementsOf<float>(compress.Run({{"x", x}, {"keep", bools({false, false, false})}}).at("y")),
            (Floats{}));
  EXPECT_EQ(ElementsOf<float>(compress.Run({{"x", x}, {"keep", bools({true, true, true})}}).at("y")),
            (Floats{2, 4, 6}));

  const Session unique = OneOp("Unique", {{"x", kFloat}}, kFloat);
  EXPECT_EQ(ElementsOf<float>(unique.Run({{"x", Vector({3, 1, 3})}}).at("y")), (Floats{2, 6}));
  EXPECT_EQ(ElementsOf<float>(unique.Run({{"x", Vector({3, 3, 3})}}).at("y")), (Floats{6}));

  const Session range = OneOp("Range", {{"a", kInt}, {"b", kInt}, {"c", kInt}}, kInt);
  const auto ranged = [&](int64_t a, int64_t b, int64_t c) {
    return ElementsOf<int64_t>(
        range.Run({{"a", Tensor::Scalar(a)}, {"b", Tensor::Scalar(b)}, {"c", Tensor::Scalar(c)}}).at("y"));
  };
  EXPECT_EQ(ranged(0, 5, 2), (Ints{0, 4, 8}));
  EXPECT_EQ(ranged(3, 0, -1), (Ints{6, 4, 2}));
  EXPECT_EQ(ranged(3, 0, 1), (Ints{}));

  const Session reshape = OneOp("Reshape", {{"x", kFloat}, {"s", kInt}}, kFloat);
  EXPECT_EQ(reshape.Run({{"x", Noise({2, 6}, 1)}, {"s", IntVector({3, -1})}}).at("y").tensor().shape(),
            (Shape{3, 4}));
  EXPECT_EQ(reshape.Run({{"x", Noise({2, 6}, 1)}, {"s", IntVector({0, 2, 3})}}).at("y").tensor().shape(),
            (Shape{2, 2, 3}));
  EXPECT_THROW(reshape.Run({{"x", Noise({2, 6}, 1)}, {"s", IntVector({5, -1})}}), Error);
  EXPECT_EQ(reshape.Run({{"x", Noise({2, 6}, 1)}, {"s", IntVector({12})}}).at("y").tensor().shape(),
            (Shape{12}));

  const Session expand = OneOp("Expand", {{"x", kFloat}, {"s", kInt}}, kFloat);
  EXPECT_EQ(ElementsOf<float>(expand.Run({{"x", Vector({1})}, {"s", IntVector({2, 2})}}).at("y")),
            (Floats{2, 2, 2, 2}));
  EXPECT_EQ(ElementsOf<float>(expand.Run({{"x", Vector({1})}, {"s", IntVector({0})}}).at("y")), (Floats{}));

  const Session boxes =
      OneOp("NonMaxSuppression", {{"b", kFloat}, {"s", kFloat}, {"n", kInt}, {"iou", kFloat}}, kInt);
  const Tensor corners = Tensor::From<float>({1, 3, 4}, Floats{0, 0, 1, 1, 0, 0.1f, 1, 1.1f, 0, 2, 1, 3});
  const auto kept = [&](int64_t most, float iou) {
    return boxes
        .Run({{"b", corners},
              {"s", Tensor::From<float>({1, 1, 3}, Floats{0.5f, 0.9f, 0.7f})},
              {"n", IntVector({most})},
              {"iou", Vector({iou})}})
        .at("y")
        .tensor()
        .shape();
  };
  EXPECT_EQ(kept(3, 0.5f), (Shape{2, 3}));
  EXPECT_EQ(kept(3, 0.99f), (Shape{3, 3}));
  EXPECT_EQ(kept(1, 0.5f), (Shape{1, 3}));
}

TEST(DataDependentTest, ComputedShapesOfOpenInputsAreKnownBeforeTheRun) {
  // Reshape to (n, -1) with n from Shape of the input: once the input has a size, nothing is left to the run.
  ModelProto model = EmptyModel();
  GraphProto* graph = model.mutable_graph();
  auto* shape = graph->add_input();
  SetType(shape, "x", {1, 16, 4, 4});
  shape->mutable_type()->mutable_tensor_type()->mutable_shape()->mutable_dim(0)->set_dim_param("n");
  AddFloats(graph, "w", {8, 16, 3, 3}, NoiseList({8, 16, 3, 3}, 1));
  AddFloats(graph, "m", {128, 5}, NoiseList({128, 5}, 2));
  Padded(Add(graph, "Conv", {"x", "w"}, {"c"}));
  Add(graph, "Relu", {"c"}, {"r"});
  Add(graph, "Shape", {"r"}, {"sizes"});
  AddInts(graph, "zero", {1}, {0});
  AddInts(graph, "rest", {1}, {-1});
  Add(graph, "Gather", {"sizes", "zero"}, {"n"});
  SetInt(Add(graph, "Concat", {"n", "rest"}, {"flat"}), "axis", 0);
  Add(graph, "Reshape", {"r", "flat"}, {"rows"});
  Add(graph, "MatMul", {"rows", "m"}, {"y"});
  AddOutput(graph, "y");
  const Session session = Load(model);
  for (const int64_t n : {1, 3}) {
    EXPECT_EQ(session.Run({{"x", Noise({n, 16, 4, 4}, 7)}}).at("y").tensor().shape(), (Shape{n, 5}));
    for (const StepProfile& step : session.profile()) EXPECT_NE(step.kernel, "at run time") << step.op;
  }
}

}  // namespace
}  // namespace sluice::test
