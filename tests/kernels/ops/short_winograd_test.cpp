#include <tbb/task_arena.h>

#include <cstring>

#include "kernels/parallel.h"
#include "kernels/short_winograd_kernel.h"
#include "tests/kernels/ops/conv_reference.h"
#include "tests/kernels/post_op_samples.h"
#include "tests/kernels/simd_targets.h"

// Convolutions along one axis and phases of transposed ones by Winograd: large enough for the cost model,
// against the plain kernel, which the tests of Conv and ConvTranspose hold to a reference of their own.

namespace sluice::test {
namespace {

using Kind = PostOp::Kind;

struct Drawn {
  OpCase op;
  std::string text;
};

Drawn DrawCase(std::mt19937& engine, bool transposed) {
  const bool plane = transposed && engine() % 2 == 0;
  const size_t axes = plane ? 2 : 1;
  const int64_t n = Draw(engine, {1, 2, 5}), ic = Draw(engine, {64, 70}), oc = Draw(engine, {64, 72, 100});
  std::vector<int64_t> in, kernel, strides, dilations, pads;
  for (size_t i = 0; i < axes; ++i) {
    in.push_back(static_cast<int64_t>(plane ? 8 + engine() % 12 : 60 + engine() % 100));
    strides.push_back(transposed ? Draw(engine, {2, 2, 4}) : 1);
    kernel.push_back(transposed
                         ? (plane ? 4 : strides[i] * Draw(engine, {2, 3, 4}) - (engine() % 4 == 0 ? 1 : 0))
                         : Draw(engine, {2, 3, 4, 5, 7, 8, 11}));
    dilations.push_back(transposed ? 1 : Draw(engine, {1, 1, 3, 5}));
  }
  if (plane) strides[0] = strides[1] = 2;
  for (size_t i = 0; i < 2 * axes; ++i)
    pads.push_back(
        static_cast<int64_t>(engine() % static_cast<unsigned>(transposed ? 3 : kernel[0] * dilations[0])));
  Drawn result;
  result.op = {.op = transposed ? "ConvTranspose" : "Conv",
               .opset = 22,
               .attrs = {{"strides", strides}, {"dilations", dilations}, {"pads", pads}}};
  const Shape pair = transposed ? Shape{ic, oc} : Shape{oc, ic};
  result.op.inputs = {Random(ConvCase::With({n, ic}, in), engine()),
                      Random(ConvCase::With(pair, kernel), engine()),
                      engine() % 2 == 0 ? Random({oc}, engine()) : Tensor()};
  result.text = "n " + std::to_string(n) + " ic " + std::to_string(ic) + " oc " + std::to_string(oc) +
                " in " + ToString(in) + " kernel " + ToString(kernel) + " strides " + ToString(strides) +
                " dilations " + ToString(dilations) + " pads " + ToString(pads);
  return result;
}

// The place of Winograd and of the plain kernel among the candidates.
size_t CandidateOf(const Node& node) { return node.op_type == "Conv" ? 1 : 0; }
size_t PlainOf(const Node& node) { return node.op->kernels.size() - 1; }

// False where the cost model declines.
bool Check(const Drawn& drawn, std::vector<PostOp> post_ops = {}, const std::vector<Tensor>& operands = {}) {
  SCOPED_TRACE(drawn.text);
  OpCase op = drawn.op;
  for (const Tensor& operand : operands) op.inputs.push_back(operand);
  Node node = MakeNode(op);
  const Tensor sums = EvaluateWith(PlainOf(node), MakeNode(drawn.op), drawn.op.inputs)[0].tensor();
  node.post_ops = std::move(post_ops);
  const Tensor want = EvaluateWith(PlainOf(node), node, op.inputs)[0].tensor();
  double largest = 0;
  for (float value : sums.values<float>()) largest = std::max(largest, std::abs(double{value}));
  try {
    ExpectTensor(EvaluateWith(CandidateOf(node), node, op.inputs)[0], want, 5e-5 * largest, 1e-5);
    return true;
  } catch (const Declined&) {
    return false;
  }
}

TEST(ShortWinograd, RandomShapes) {
  std::mt19937 engine(20250814);
  for (bool transposed : {false, true}) {
    int ran = 0;
    for (int i = 0; i < 14 && !testing::Test::HasFailure(); ++i)
      ran += Check(DrawCase(engine, transposed)) ? 1 : 0;
    EXPECT_GE(ran, 5) << transposed;
  }
}

TEST(ShortWinograd, EveryInstructionSet) {
  OnEveryTarget([] {
    std::mt19937 engine(3);
    int ran = 0;
    for (int i = 0; i < 6 && !testing::Test::HasFailure(); ++i)
      ran += Check(DrawCase(engine, i % 2 == 0)) ? 1 : 0;
    EXPECT_GE(ran, 2);
  });
}

Drawn Line(int64_t k, int64_t dilation) {
  return {{.op = "Conv",
           .opset = 22,
           .attrs = {{"dilations", std::vector<int64_t>{dilation}},
                     {"pads", std::vector<int64_t>{dilation * (k / 2), dilation * (k / 2)}}},
           .inputs = {Random({2, 64, 301}, 1), Random({72, 64, k}, 2), Random({72}, 3)}},
          "k " + std::to_string(k) + " dilation " + std::to_string(dilation)};
}

TEST(ShortWinograd, PostOps) {
  const Tensor full = Random({2, 72, 301}, 5), channel = Random({72, 1}, 6), scalar = F({1}, {-1.5f});
  for (const PostOp& op : UnaryPostOps()) {
    EXPECT_TRUE(Check(Line(7, 3), {op})) << ToString(op);
  }
  for (Kind kind : {Kind::kAdd, Kind::kMul, Kind::kPRelu}) {
    for (const Tensor& operand : {full, channel, scalar})
      EXPECT_TRUE(Check(Line(3, 1), {{.kind = kind, .operand = 3}, {Kind::kLeakyRelu, 0.1f}}, {operand}));
  }
}

// The next kernel takes the padding of the last block for zeros.
TEST(ShortWinograd, PaddingStaysZero) {
  for (const char* name : {"ShortConv", "Direct"}) {
    Drawn line = Line(7, 1);
    Node node = MakeNode(line.op);
    node.post_ops = {{Kind::kLinear, 0.01f, 5}};
    const size_t candidate = std::string(name) == "Direct" ? 2 : 1;
    const auto kernel = node.op->kernels[candidate]();
    const std::vector<TensorDesc> inputs = {
        {DataType::kFloat, {2, 64, 301}}, {DataType::kFloat, {72, 64, 7}}, {DataType::kFloat, {72}}};
    PrepareContext ctx(node, inputs, {nullptr, &line.op.inputs[1].tensor(), &line.op.inputs[2].tensor()},
                       {{DataType::kFloat, {2, 72, 301}}}, {true}, {});
    kernel->Prepare(ctx);
    const TensorDesc& output = ctx.output(0);
    const int64_t block = BlockOf(output.layout), blocks = (72 + block - 1) / block;
    const Tensor src = Random({2, 64, 301}, 9);
    std::vector<float> dst(static_cast<size_t>(output.byte_size() / 4), 7.0f);
    Tensor scratch(DataType::kUInt8, {ctx.request().scratch_bytes + 64});
    auto* aligned = static_cast<std::byte*>(scratch.mutable_data());
    const void* in[] = {src.data(), nullptr, line.op.inputs[2].tensor().data()};
    void* out[] = {dst.data()};
    for (int64_t tile = 0; tile < kernel->tiles(); ++tile)
      kernel->Run(RunContext(in, out, aligned, nullptr), tile);
    for (int64_t n = 0; n < 2; ++n) {
      for (int64_t at = 0; at < 301 * block; ++at) {
        const float value = dst[static_cast<size_t>((n * blocks + blocks - 1) * 301 * block + at)];
        if (at % block < 72 - (blocks - 1) * block)
          ASSERT_GT(value, 0);
        else
          ASSERT_EQ(value, 0);
      }
    }
  }
}

TEST(ShortWinograd, BitsDoNotDependOnTheThreads) {
  std::mt19937 engine(5);
  for (int i = 0; i < 8; ++i) {
    const Drawn drawn = DrawCase(engine, i % 2 == 0);
    const Node node = MakeNode(drawn.op);
    tbb::task_arena arena(2);
    Tensor first, second;
    try {
      arena.execute([&] { first = EvaluateWith(CandidateOf(node), node, drawn.op.inputs)[0].tensor(); });
      const SerialScope serial;
      second = EvaluateWith(CandidateOf(node), node, drawn.op.inputs)[0].tensor();
    } catch (const Declined&) {
      continue;
    }
    EXPECT_EQ(0, std::memcmp(first.data(), second.data(), static_cast<size_t>(first.byte_size())))
        << drawn.text;
  }
}

TEST(ShortWinograd, SaysWhyNot) {
  const auto reason = [](const Drawn& drawn) {
    const Node node = MakeNode(drawn.op);
    try {
      EvaluateWith(CandidateOf(node), node, drawn.op.inputs);
    } catch (const Declined& declined) {
      return declined.reason;
    }
    return std::string("nothing");
  };
  EXPECT_EQ(reason(Line(7, 1)), "nothing");
  EXPECT_EQ(reason(Line(1, 1)), "a single tap");
  Drawn strided = Line(3, 1);
  strided.op.attrs["strides"] = std::vector<int64_t>{2};
  EXPECT_EQ(reason(strided), "stride is not 1");
  Drawn narrow = Line(3, 1);
  narrow.op.inputs = {Random({1, 3, 301}, 1), Random({72, 3, 3}, 2), Tensor()};
  EXPECT_EQ(reason(narrow), "less channels than a block");
}

}  // namespace
}  // namespace sluice::test
