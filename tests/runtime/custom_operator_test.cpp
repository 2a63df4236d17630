#include <gtest/gtest.h>

#include <atomic>
#include <cmath>

#include "sluice/session.h"
#include "tests/graph/onnx_builder.h"

namespace sluice {
namespace {

using Inputs = std::span<const OperatorValue>;

// An operator of two functions.
class Given : public CustomOperator {
 public:
  using InferFn = std::function<std::vector<OperatorValue>(const OperatorNode&, Inputs)>;
  using ComputeFn = std::function<void(const ComputeContext&)>;
  Given(std::string domain, std::string name, InferFn infer, ComputeFn compute, int since_version = 1)
      : CustomOperator(std::move(domain), std::move(name), since_version),
        infer_(std::move(infer)),
        compute_(std::move(compute)) {}
  std::vector<OperatorValue> Infer(const OperatorNode& node, Inputs inputs) const override {
    return infer_(node, inputs);
  }
  void Compute(const ComputeContext& context) const override { compute_(context); }

 private:
  InferFn infer_;
  ComputeFn compute_;
};

std::vector<OperatorValue> SameAsFirst(const OperatorNode&, Inputs inputs) {
  return {{inputs[0].dtype, inputs[0].shape}};
}

void Twice(const ComputeContext& context) {
  for (size_t i = 0; i < context.input_values<float>(0).size(); ++i)
    context.output_values<float>(0)[i] = 2 * context.input_values<float>(0)[i];
}

// x [N, 3] -> Op -> h -> LeakyRelu -> y
test::ModelProto Model(const std::string& op, const std::string& domain = "own", int64_t version = 1) {
  test::ModelProto model = test::EmptyModel();
  auto* opset = model.add_opset_import();
  opset->set_domain(domain);
  opset->set_version(version);
  test::GraphProto* graph = model.mutable_graph();
  test::SetType(graph->add_input(), "x", {0, 3});
  graph->mutable_input(0)
      ->mutable_type()
      ->mutable_tensor_type()
      ->mutable_shape()
      ->mutable_dim(0)
      ->set_dim_param("N");
  test::AddNode(graph, op, {"x"}, {"h"})->set_domain(domain);
  graph->mutable_node(0)->set_name("n");
  test::AddNode(graph, "LeakyRelu", {"h"}, {"y"});
  graph->add_output()->set_name("y");
  graph->mutable_output(0)->mutable_type()->mutable_tensor_type()->set_elem_type(1);
  return model;
}

Session Load(const test::ModelProto& model, std::vector<std::shared_ptr<const CustomOperator>> operators) {
  SessionOptions options;
  options.threads = 2;
  options.operators = std::move(operators);
  const std::string bytes = model.SerializeAsString();
  return Session::LoadBytes(std::as_bytes(std::span(bytes)), options);
}

Tensor Rows(int64_t n) {
  Tensor x(DataType::kFloat, {n, 3});
  for (size_t i = 0; float& element : x.mutable_values<float>()) element = static_cast<float>(i++) - 2;
  return x;
}

template <typename Fn>
void ExpectError(ErrorCode code, const std::string& message, Fn fn) {
  try {
    fn();
    FAIL() << "no error: " << message;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_NE(std::string(error.what()).find(message), std::string::npos) << error.what();
  }
}

TEST(CustomOperatorTest, RunsBetweenOthersAtAnySize) {
  const Session session = Load(Model("Twice"), {std::make_shared<Given>("own", "Twice", SameAsFirst, Twice)});
  for (int64_t n : {2, 5, 0}) {
    const Value y = session.Run({{"x", Rows(n)}}).at("y");
    ASSERT_EQ(y.tensor().shape(), (Shape{n, 3}));
    for (size_t i = 0; i < y.tensor().values<float>().size(); ++i) {
      const float twice = 2 * (static_cast<float>(i) - 2);
      EXPECT_FLOAT_EQ(y.tensor().values<float>()[i], twice < 0 ? 0.01f * twice : twice);
    }
  }
}

TEST(CustomOperatorTest, TheDefinitionOfTheModelsVersionIsUsed) {
  const auto scaled = [](float factor) {
    return [factor](const ComputeContext& context) {
      for (float& element : context.output_values<float>(0)) element = factor;
    };
  };
  const std::vector<std::shared_ptr<const CustomOperator>> operators = {
      std::make_shared<Given>("own", "Fill", SameAsFirst, scaled(4), 4),
      std::make_shared<Given>("own", "Fill", SameAsFirst, scaled(1), 1),
      std::make_shared<Given>("own", "Fill", SameAsFirst, scaled(2), 2)};
  for (const auto& [version, factor] : {std::pair(1, 1.f), {2, 2.f}, {3, 2.f}, {9, 4.f}}) {
    const Session session = Load(Model("Fill", "own", version), operators);
    EXPECT_EQ(session.Run({{"x", Rows(1)}}).at("y").tensor().values<float>()[0], factor);
  }
}

TEST(CustomOperatorTest, AttributesConstantsAbsentInputsAndSeveralOutputs) {
  test::ModelProto model = test::EmptyModel();
  test::GraphProto* graph = model.mutable_graph();
  test::SetType(graph->add_input(), "x", {2});
  test::AddFloats(graph, "c", {2}, {5, 6});
  test::NodeProto* node = test::AddNode(graph, "Mix", {"x", "", "c"}, {"sum", "", "count"});
  node->set_domain("own");
  const auto attribute = [&](const std::string& name, auto type) {
    auto* added = node->add_attribute();
    added->set_name(name);
    added->set_type(type);
    return added;
  };
  attribute("i", sluice_onnx::AttributeProto::INT)->set_i(7);
  attribute("f", sluice_onnx::AttributeProto::FLOAT)->set_f(0.5f);
  attribute("s", sluice_onnx::AttributeProto::STRING)->set_s("text");
  attribute("is", sluice_onnx::AttributeProto::INTS)->add_ints(3);
  attribute("fs", sluice_onnx::AttributeProto::FLOATS)->add_floats(2.5f);
  for (const auto& [name, type] : {std::pair("sum", 1), {"count", 7}}) {
    graph->add_output()->set_name(name);
    graph->mutable_output(graph->output_size() - 1)
        ->mutable_type()
        ->mutable_tensor_type()
        ->set_elem_type(type);
  }
  std::atomic<int> constants = 0;
  const auto infer = [&](const OperatorNode& shown, Inputs inputs) -> std::vector<OperatorValue> {
    EXPECT_EQ(shown.num_inputs(), 3);
    EXPECT_EQ(shown.num_outputs(), 3);
    EXPECT_EQ(shown.Int("i", 0), 7);
    EXPECT_EQ(shown.Int("none", 8), 8);
    EXPECT_EQ(shown.Float("f", 0), 0.5f);
    EXPECT_EQ(shown.String("s", ""), "text");
    EXPECT_EQ(shown.Ints("is", {}), std::vector<int64_t>{3});
    EXPECT_EQ(shown.Floats("fs", {}), std::vector<float>{2.5f});
    EXPECT_TRUE(shown.TensorValue("none").empty());
    EXPECT_EQ(inputs[1].dtype, DataType::kUndefined);
    EXPECT_EQ(inputs[0].constant, nullptr);
    if (inputs[2].constant != nullptr && inputs[2].constant->values<float>()[1] == 6) ++constants;
    return {{DataType::kFloat, inputs[0].shape}, {DataType::kFloat, {}}, {DataType::kInt64, {}}};
  };
  const auto compute = [](const ComputeContext& context) {
    EXPECT_EQ(context.input(1), nullptr);
    EXPECT_EQ(context.output(1), nullptr);
    for (size_t i = 0; i < 2; ++i)
      context.output_values<float>(0)[i] =
          context.input_values<float>(0)[i] + context.input_values<float>(2)[i];
    context.output_values<int64_t>(2)[0] = 2;
  };
  const Session session = Load(model, {std::make_shared<Given>("own", "Mix", infer, compute)});
  const float x[] = {1, 2};
  const NamedValues results = session.Run({{"x", Tensor::From<float>({2}, x)}});
  EXPECT_EQ(results.at("sum").tensor().values<float>()[1], 8);
  EXPECT_EQ(results.at("count").tensor().values<int64_t>()[0], 2);
  EXPECT_GT(constants, 0);
}

// As NonZero: only Compute knows how many.
TEST(CustomOperatorTest, OutputsWhoseSizeTheRunDecides) {
  const auto infer = [](const OperatorNode&, Inputs inputs) -> std::vector<OperatorValue> {
    return {{inputs[0].dtype, {-1, 3}}};
  };
  const auto compute = [](const ComputeContext& context) {
    const auto x = context.input_values<float>(0);
    const int64_t rows = static_cast<int64_t>(x[0]);
    Tensor result(DataType::kFloat, {rows, rows == 7 ? 2 : 3});
    for (float& element : result.mutable_values<float>()) element = 1;
    if (rows != 9) context.SetOutput(0, result);
  };
  const Session session = Load(Model("Some"), {std::make_shared<Given>("own", "Some", infer, compute)});
  Tensor x = Rows(1);
  for (int64_t rows : {3, 0, 5}) {
    x.mutable_values<float>()[0] = static_cast<float>(rows);
    EXPECT_EQ(session.Run({{"x", x}}).at("y").tensor().shape(), (Shape{rows, 3}));
  }
  x.mutable_values<float>()[0] = 7;
  ExpectError(ErrorCode::kInvalidArgument,
              "own.Some 'n': output 0 is float [7, 2], inferred was float [-1, 3]", [&] {
                session.Run({{"x", x}});
              });
  x.mutable_values<float>()[0] = 9;
  ExpectError(ErrorCode::kInvalidArgument, "own.Some 'n': Compute did not set output 0", [&] {
    session.Run({{"x", x}});
  });
}

TEST(CustomOperatorTest, ParallelForSpreadsOverTheSession) {
  const auto compute = [](const ComputeContext& context) {
    context.ParallelFor(context.output_type(0).shape[0], [&](int64_t row) {
      for (int64_t i = row * 3; i < row * 3 + 3; ++i)
        context.output_values<float>(0)[static_cast<size_t>(i)] = static_cast<float>(row);
    });
  };
  const Session session = Load(Model("Rows"), {std::make_shared<Given>("own", "Rows", SameAsFirst, compute)});
  const Value y = session.Run({{"x", Rows(1000)}}).at("y");
  for (int64_t row = 0; row < 1000; ++row)
    EXPECT_EQ(y.tensor().values<float>()[static_cast<size_t>(row * 3 + 1)], static_cast<float>(row));
}

TEST(CustomOperatorTest, WhatItThrowsEndsTheLoadOrTheRun) {
  const auto load = [](Given::InferFn infer, Given::ComputeFn compute) {
    return Load(Model("Bad"), {std::make_shared<Given>("own", "Bad", std::move(infer), std::move(compute))});
  };
  const Session session = load(SameAsFirst, [](const ComputeContext& context) {
    if (context.input_values<float>(0)[0] < 0) throw std::runtime_error("less than nothing");
    if (context.input_values<float>(0)[0] > 0) throw Error(ErrorCode::kUnsupported, "more than nothing");
    throw 3;
  });
  Tensor x = Rows(1);
  ExpectError(ErrorCode::kInternal, "own.Bad 'n': less than nothing", [&] { session.Run({{"x", x}}); });
  x.mutable_values<float>()[0] = 1;
  ExpectError(ErrorCode::kUnsupported, "own.Bad 'n': more than nothing", [&] { session.Run({{"x", x}}); });
  x.mutable_values<float>()[0] = 0;
  ExpectError(ErrorCode::kInternal, "own.Bad 'n': the custom operator threw", [&] {
    session.Run({{"x", x}});
  });

  ExpectError(ErrorCode::kInvalidModel, "own.Bad 'n': the node has 1 outputs, Infer gave 0",
              [&] { load([](const OperatorNode&, Inputs) { return std::vector<OperatorValue>(); }, Twice); });
  ExpectError(ErrorCode::kInvalidModel, "own.Bad 'n': Infer gave output 0 no element type", [&] {
    load([](const OperatorNode&, Inputs) { return std::vector<OperatorValue>(1); }, Twice);
  });
  ExpectError(ErrorCode::kInvalidModel, "Infer gave output 0 the shape [-5]", [&] {
    load(
        [](const OperatorNode&, Inputs) -> std::vector<OperatorValue> {
          return {{DataType::kFloat, {-5}}};
        },
        Twice);
  });
  ExpectError(ErrorCode::kInternal, "own.Bad 'n': out of range", [&] {
    load([](const OperatorNode&,
            Inputs) -> std::vector<OperatorValue> { throw std::out_of_range("out of range"); },
         Twice);
  });
}

TEST(CustomOperatorTest, RefusesDefinitionsThatCannotBe) {
  const auto load = [](std::vector<std::shared_ptr<const CustomOperator>> operators) {
    Load(Model("Twice"), std::move(operators));
  };
  const auto named = [](const std::string& domain, const std::string& name, int version = 1) {
    return std::make_shared<Given>(domain, name, SameAsFirst, Twice, version);
  };
  const auto refused = ErrorCode::kInvalidArgument;
  ExpectError(refused, "it is null", [&] { load({nullptr}); });
  ExpectError(refused, "it has no name", [&] { load({named("own", "")}); });
  ExpectError(refused, "since_version is 0", [&] { load({named("own", "Twice", 0)}); });
  ExpectError(refused, "version 1 is registered twice", [&] {
    load({named("own", "A"), named("own", "A")});
  });
  for (const char* domain : {"", "ai.onnx", "ai.onnx.ml"})
    ExpectError(refused, "it needs a domain of its own", [&] { load({named(domain, "Conv")}); });
  ExpectError(ErrorCode::kUnsupported, "own.Twice", [&] { load({named("own", "Thrice")}); });
  ExpectError(ErrorCode::kUnsupported, "own.Twice", [&] { load({named("own", "Twice", 2)}); });
}

}  // namespace
}  // namespace sluice
