#include <gtest/gtest.h>

#include <cstring>

#include "sluice/session.h"
#include "tests/graph/onnx_builder.h"

namespace sluice {
namespace {

Session Load(const test::ModelProto& model, const SessionOptions& options = {}) {
  const std::string bytes = model.SerializeAsString();
  return Session::LoadBytes(std::as_bytes(std::span(bytes)), options);
}

// y = LeakyRelu(Conv(x, w)), in a blocked layout inside and plain outside.
test::ModelProto Convolution() {
  test::ModelProto model = test::EmptyModel();
  test::GraphProto* graph = model.mutable_graph();
  test::SetType(graph->add_input(), "x", {1, 16, 20, 20});
  test::SetType(graph->add_output(), "y", {1, 32, 18, 18});
  std::vector<float> weights(32 * 16 * 9);
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<float>(i % 5) - 2;
  test::AddFloats(graph, "w", {32, 16, 3, 3}, weights);
  test::AddNode(graph, "Conv", {"x", "w"}, {"c"});
  test::AddNode(graph, "LeakyRelu", {"c"}, {"y"});
  return model;
}

// Inputs a, b [N, 3]; outputs sum and again (the same value), first (a handed through), k (a constant),
// places (NonZero of a: of a size that the run decides).
test::ModelProto Varied() {
  test::ModelProto model = test::EmptyModel();
  test::GraphProto* graph = model.mutable_graph();
  for (const char* name : {"a", "b"}) {
    test::SetType(graph->add_input(), name, {0, 3});
    auto* dim = graph->mutable_input(graph->input_size() - 1)
                    ->mutable_type()
                    ->mutable_tensor_type()
                    ->mutable_shape()
                    ->mutable_dim(0);
    dim->set_dim_param("N");
  }
  test::AddFloats(graph, "c", {2}, {1.5f, 2.5f});
  test::AddNode(graph, "Add", {"a", "b"}, {"sum"});
  test::AddNode(graph, "Identity", {"sum"}, {"again"});
  test::AddNode(graph, "Identity", {"a"}, {"first"});
  test::AddNode(graph, "Identity", {"c"}, {"k"});
  test::AddNode(graph, "NonZero", {"a"}, {"places"});
  for (const char* name : {"sum", "again", "first", "k"}) {
    graph->add_output()->set_name(name);
    graph->mutable_output(graph->output_size() - 1)->mutable_type()->mutable_tensor_type()->set_elem_type(1);
  }
  graph->add_output()->set_name("places");
  graph->mutable_output(4)->mutable_type()->mutable_tensor_type()->set_elem_type(7);
  return model;
}

Tensor Ramp(const Shape& shape) {
  Tensor tensor(DataType::kFloat, shape);
  float value = -1;
  for (float& element : tensor.mutable_values<float>()) element = value = value > 2 ? -1.f : value + 0.25f;
  return tensor;
}

void ExpectSame(const Tensor& got, const Tensor& want) {
  ASSERT_EQ(got.dtype(), want.dtype());
  ASSERT_EQ(got.shape(), want.shape());
  EXPECT_EQ(std::memcmp(got.data(), want.data(), static_cast<size_t>(want.byte_size())), 0);
}

template <typename Fn>
void ExpectRefused(Fn fn, const std::string& message) {
  try {
    fn();
    FAIL() << "not refused: " << message;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(std::string(error.what()).find(message), std::string::npos) << error.what();
  }
}

TEST(RunIntoTest, WritesIntoTheCallersMemory) {
  for (int threads : {1, 2}) {
    SessionOptions options;
    options.threads = threads;
    const Session session = Load(Convolution(), options);
    const Tensor x = Ramp({1, 16, 20, 20});
    const Tensor want = session.Run({{"x", x}}).at("y").tensor();
    std::vector<float> memory(32 * 18 * 18 + 1, 7.f);
    std::vector<Value> inputs = {Tensor::Borrow(x.dtype(), x.shape(), const_cast<void*>(x.data()))};
    // Aligned as a float is and no more.
    std::vector<Value> outputs = {Tensor::Borrow(DataType::kFloat, {1, 32, 18, 18}, memory.data() + 1)};
    for (int i = 0; i < 2; ++i) {
      std::fill(memory.begin() + 1, memory.end(), 0.f);
      session.RunInto(inputs, outputs);
      EXPECT_EQ(outputs[0].tensor().data(), memory.data() + 1);
      ExpectSame(outputs[0].tensor(), want);
      EXPECT_EQ(memory[0], 7.f);
    }
  }
}

TEST(RunIntoTest, MemoryThatIsNotAlignedToElementsIsCopiedTo) {
  const Session session = Load(Convolution());
  const Tensor x = Ramp({1, 16, 20, 20});
  const Tensor want = session.Run({{"x", x}}).at("y").tensor();
  std::vector<char> memory(static_cast<size_t>(want.byte_size()) + 1);
  std::vector<Value> inputs = {x},
                     outputs = {Tensor::Borrow(DataType::kFloat, want.shape(), memory.data() + 1)};
  session.RunInto(inputs, outputs);
  EXPECT_EQ(std::memcmp(memory.data() + 1, want.data(), static_cast<size_t>(want.byte_size())), 0);
}

TEST(RunIntoTest, LargerMemoryTakesResultsOfAnySizeAndHasTheirShape) {
  const Session session = Load(Varied());
  for (int64_t n : {4, 2, 0, 5}) {
    const Tensor a = Ramp({n, 3}), b = Ramp({n, 3});
    const NamedValues want = session.Run({{"a", a}, {"b", b}});
    std::vector<Value> inputs = {a, b};
    std::vector<Value> outputs;
    std::vector<void*> memory;
    for (const ValueInfo& info : session.outputs()) {
      outputs.push_back(Tensor(info.dtype, {100}));
      memory.push_back(outputs.back().tensor().mutable_data());
    }
    session.RunInto(inputs, outputs);
    for (size_t i = 0; i < outputs.size(); ++i) {
      SCOPED_TRACE(session.outputs()[i].name);
      ExpectSame(outputs[i].tensor(), want.at(session.outputs()[i].name).tensor());
      EXPECT_EQ(outputs[i].tensor().data(), memory[i]);
    }
  }
}

TEST(RunIntoTest, OutputsThatAreNoneBecomeTensorsAndNamesChoose) {
  const Session session = Load(Varied());
  const Tensor a = Ramp({4, 3});
  const NamedValues inputs = {{"a", a}, {"b", a}};
  const NamedValues want = session.Run(inputs);
  std::vector<float> memory(12);
  NamedValues outputs = {{"again", Tensor::Borrow(DataType::kFloat, {4, 3}, memory.data())}, {"places", {}}};
  session.RunInto(inputs, outputs);
  ASSERT_EQ(outputs.size(), 2u);
  ExpectSame(outputs.at("again").tensor(), want.at("again").tensor());
  EXPECT_EQ(outputs.at("again").tensor().data(), memory.data());
  ExpectSame(outputs.at("places").tensor(), want.at("places").tensor());
  EXPECT_FALSE(outputs.at("places").tensor().is_borrowed());
}

TEST(RunIntoTest, RefusesWhatDoesNotFit) {
  const Session session = Load(Varied());
  const Tensor a = Ramp({4, 3});
  Tensor b = Ramp({4, 3});
  std::vector<Value> inputs = {a, b};
  const auto run = [&](size_t output, Value memory) {
    std::vector<Value> outputs(5);
    outputs[output] = std::move(memory);
    session.RunInto(inputs, outputs);
  };
  ExpectRefused([&] { run(0, Tensor(DataType::kFloat, {11})); },
                "output 'sum': the memory given has 44 bytes, the result [4, 3] has 48");
  ExpectRefused([&] { run(0, Tensor(DataType::kInt64, {12})); },
                "output 'sum': the memory given is for int64, the result is float");
  ExpectRefused([&] { run(4, Tensor(DataType::kInt64, {1})); },
                "output 'places': the memory given has 8 bytes");
  ExpectRefused([&] { run(4, Tensor(DataType::kFloat, {100})); },
                "output 'places': the memory given is for float");
  ExpectRefused(
      [&] {
        run(0, Tensor::Borrow(DataType::kFloat, {4, 3}, b.mutable_data()));
      },
      "output 'sum': the memory given overlaps that of input 'b'");
  const Tensor twice = Ramp({20});
  std::vector<Value> outputs(5);
  outputs[0] = outputs[2] = twice;
  ExpectRefused([&] { session.RunInto(inputs, outputs); },
                "output 'first': the memory given overlaps that of output 'sum'");
  std::vector<Value> few(4);
  ExpectRefused([&] { session.RunInto(inputs, few); }, "4 outputs given, the model has 5");
  NamedValues unknown = {{"nothing", {}}};
  ExpectRefused([&] { session.RunInto({{"a", a}, {"b", b}}, unknown); }, "the model has no output 'nothing'");
  // It is as good as before.
  std::vector<Value> all(5);
  session.RunInto(inputs, all);
  ExpectSame(all[0].tensor(), session.Run({{"a", a}, {"b", b}}).at("sum").tensor());
}

}  // namespace
}  // namespace sluice
