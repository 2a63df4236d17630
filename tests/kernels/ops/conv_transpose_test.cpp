#include <tbb/task_arena.h>

#include <cstring>

#include "kernels/parallel.h"
#include "tests/kernels/ops/conv_reference.h"
#include "tests/kernels/post_op_samples.h"
#include "tests/kernels/simd_targets.h"

namespace sluice::test {
namespace {

using Kind = PostOp::Kind;

// A transposed convolution with everything stated; every input element adds to the outputs that it reaches.
struct TransposedCase {
  int64_t n = 1, groups = 1, ic = 1, oc = 1;
  std::vector<int64_t> in, kernel, strides, dilations, pads, output_padding;
  bool bias = false;

  size_t axes() const { return in.size(); }
  std::vector<int64_t> out() const {
    std::vector<int64_t> result;
    for (size_t i = 0; i < axes(); ++i) {
      result.push_back((in[i] - 1) * strides[i] + output_padding[i] + (kernel[i] - 1) * dilations[i] + 1 -
                       pads[i] - pads[axes() + i]);
    }
    return result;
  }
  Attrs attrs() const {
    return {{"strides", strides}, {"dilations", dilations}, {"pads", pads},
            {"group", groups},    {"kernel_shape", kernel}, {"output_padding", output_padding}};
  }
  Shape src_shape() const { return ConvCase::With({n, ic}, in); }
  Shape weights_shape() const { return ConvCase::With({ic, oc / groups}, kernel); }
  Shape dst_shape() const { return ConvCase::With({n, oc}, out()); }
  int64_t reduction() const { return ic / groups * NumElements(kernel); }
  std::string Describe() const {
    return "n " + std::to_string(n) + " groups " + std::to_string(groups) + " ic " + std::to_string(ic) +
           " oc " + std::to_string(oc) + " in " + ToString(in) + " kernel " + ToString(kernel) + " strides " +
           ToString(strides) + " dilations " + ToString(dilations) + " pads " + ToString(pads) +
           " output_padding " + ToString(output_padding) + (bias ? " bias" : "");
  }

  std::vector<double> Reference(const Tensor& src, const Tensor& weights, const Tensor& bias_tensor) const {
    const auto x = src.values<float>(), w = weights.values<float>();
    const std::vector<int64_t> o = out();
    const int64_t in_elems = NumElements(in), out_elems = NumElements(o), taps = NumElements(kernel);
    const int64_t icg = ic / groups, ocg = oc / groups;
    std::vector<double> result(static_cast<size_t>(n * oc * out_elems));
    for (int64_t i = 0; i < n * oc * out_elems && bias; ++i)
      result[static_cast<size_t>(i)] =
          static_cast<double>(bias_tensor.values<float>()[static_cast<size_t>(i / out_elems % oc)]);
    for (int64_t p = 0; p < in_elems; ++p) {
      for (int64_t t = 0; t < taps; ++t) {
        int64_t rest_p = p, rest_t = t, at = 0, step = 1;
        bool inside = true;
        for (size_t i = axes(); i-- > 0;) {
          const int64_t position = rest_p % in[i] * strides[i] + rest_t % kernel[i] * dilations[i] - pads[i];
          rest_p /= in[i], rest_t /= kernel[i];
          inside &= position >= 0 && position < o[i];
          at += position * step;
          step *= o[i];
        }
        if (!inside) continue;
        for (int64_t image = 0; image < n; ++image) {
          for (int64_t c = 0; c < oc; ++c) {
            double sum = 0;
            for (int64_t k = 0; k < icg; ++k) {
              const int64_t channel = c / ocg * icg + k;
              sum += static_cast<double>(x[static_cast<size_t>((image * ic + channel) * in_elems + p)]) *
                     static_cast<double>(w[static_cast<size_t>((channel * ocg + c % ocg) * taps + t)]);
            }
            result[static_cast<size_t>((image * oc + c) * out_elems + at)] += sum;
          }
        }
      }
    }
    return result;
  }
};

TransposedCase DrawTransposed(std::mt19937& engine) {
  TransposedCase c;
  const auto axes = static_cast<size_t>(Draw(engine, {1, 1, 2, 2, 2, 3}));
  c.n = Draw(engine, {1, 1, 2, 3, 16});
  c.bias = engine() % 2 == 0;
  if (const int64_t kind = Draw(engine, {0, 0, 0, 1, 2}); kind == 0) {
    c.ic = Draw(engine, {1, 3, 8, 16, 17, 33, 40});
    c.oc = Draw(engine, {1, 3, 5, 16, 17, 33, 48, 70});
  } else if (kind == 1) {
    c.groups = Draw(engine, {2, 3});
    c.ic = c.groups * Draw(engine, {16, 32});
    c.oc = c.groups * Draw(engine, {16, 48});
  } else {
    c.groups = Draw(engine, {2, 3, 4});
    c.ic = c.groups * Draw(engine, {1, 2, 3, 8});
    c.oc = c.groups * Draw(engine, {1, 2, 5, 8});
  }
  for (size_t i = 0; i < axes; ++i) {
    c.kernel.push_back(Draw(engine, {1, 2, 2, 3, 4, 4, 5}));
    c.strides.push_back(Draw(engine, {1, 2, 2, 2, 3, 4}));
    c.dilations.push_back(Draw(engine, {1, 1, 1, 2, 3}));
    c.in.push_back(1 + static_cast<int64_t>(engine() % (axes == 1 ? 40 : axes == 2 ? 11 : 4)));
    const int64_t most = std::max(c.strides[i], c.dilations[i]);
    c.output_padding.push_back(
        engine() % 3 == 0 ? static_cast<int64_t>(engine() % static_cast<unsigned>(most)) : 0);
  }
  for (size_t side = 0; side < 2; ++side) {
    for (size_t i = 0; i < axes; ++i) {
      // At least one output is left.
      const int64_t size =
          (c.in[i] - 1) * c.strides[i] + c.output_padding[i] + (c.kernel[i] - 1) * c.dilations[i] + 1;
      c.pads.push_back(std::min<int64_t>(static_cast<int64_t>(engine() % static_cast<unsigned>(c.kernel[i])),
                                         (size - 1) / 2));
    }
  }
  return c;
}

// Runs every candidate that takes the case and compares.
void CheckCase(const TransposedCase& c, uint32_t seed, std::vector<PostOp> post_ops = {},
               const std::vector<Tensor>& operands = {}) {
  OpCase op{.op = "ConvTranspose", .opset = 22, .attrs = c.attrs()};
  const Tensor src = Random(c.src_shape(), seed), weights = Random(c.weights_shape(), seed + 1);
  const Tensor bias = c.bias ? Random({c.oc}, seed + 2) : Tensor();
  op.inputs = {src, weights, bias};
  for (const Tensor& operand : operands) op.inputs.push_back(operand);
  Node node = MakeNode(op);
  node.post_ops = std::move(post_ops);
  std::vector<double> want = c.Reference(src, weights, bias);
  double largest = 0;
  for (double value : want) largest = std::max(largest, std::abs(value));
  ApplyPostOps(node, op.inputs, c.dst_shape(), want);
  const Tensor expected = FloatTensor(c.dst_shape(), want);
  const Tolerance tolerance = SumTolerance(DataType::kFloat, c.reduction(), 4);
  int ran = 0;
  for (size_t candidate = 0; candidate < node.op->kernels.size(); ++candidate) {
    SCOPED_TRACE("seed " + std::to_string(seed) + " candidate " + std::to_string(candidate) + " " +
                 c.Describe() + (node.post_ops.empty() ? "" : " " + ToString(node.post_ops[0])));
    try {
      // Winograd's error is one of the whole tensor: its kernel, the first, states this bound.
      const double atol = candidate == 0 ? std::max(tolerance.atol, 5e-5 * largest) : tolerance.atol;
      ExpectTensor(EvaluateWith(candidate, node, op.inputs)[0], expected, atol, 1e-5);
      ++ran;
    } catch (const Declined&) {
    }
  }
  EXPECT_GT(ran, 0) << c.Describe();
}

// The layers of generators, U-Nets and vocoders, smaller.
const TransposedCase kTypical[] = {
    {16, 1, 32, 40, {1, 1}, {4, 4}, {1, 1}, {1, 1}, {0, 0, 0, 0}, {0, 0}, true},
    {16, 1, 32, 40, {4, 4}, {4, 4}, {2, 2}, {1, 1}, {1, 1, 1, 1}, {0, 0}, true},
    {1, 1, 32, 40, {4, 4}, {4, 4}, {2, 2}, {1, 1}, {1, 1, 1, 1}, {0, 0}, true},
    {2, 1, 40, 72, {17, 33}, {4, 4}, {2, 2}, {1, 1}, {1, 1, 1, 1}, {0, 0}, false},
    {1, 1, 64, 3, {20, 16}, {4, 4}, {2, 2}, {1, 1}, {1, 1, 1, 1}, {0, 0}, false},
    {1, 1, 48, 24, {40, 36}, {2, 2}, {2, 2}, {1, 1}, {0, 0, 0, 0}, {0, 0}, true},
    {1, 1, 80, 40, {100}, {16}, {8}, {1}, {4, 4}, {0}, true},
    {1, 1, 32, 16, {3000}, {4}, {2}, {1}, {1, 1}, {1}, true},
    {2, 2, 64, 96, {9, 300}, {3, 3}, {2, 1}, {1, 1}, {1, 1, 1, 1}, {1, 0}, true},
};

TEST(ConvTranspose, RandomShapes) {
  std::mt19937 engine(20250301);
  for (uint32_t i = 0; i < 200 && !testing::Test::HasFailure(); ++i)
    CheckCase(DrawTransposed(engine), 1000 + 7 * i);
}

TEST(ConvTranspose, TypicalLayers) {
  uint32_t seed = 1;
  for (const TransposedCase& c : kTypical) CheckCase(c, seed += 10);
}

TEST(ConvTranspose, EveryPostOp) {
  const TransposedCase c{2, 1, 17, 19, {5, 9}, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, {0, 0}, true};
  const Tensor full = Random({2, 19, 9, 17}, 5), channel = Random({19, 1, 1}, 6), scalar = F({1}, {-1.5f});
  const Tensor column = Random({9, 1}, 7), image = Random({2, 19, 1, 1}, 8);
  for (const PostOp& op : UnaryPostOps()) CheckCase(c, 30, {op});
  for (const Tensor& operand : {full, channel, scalar, column, image}) {
    for (Kind kind : {Kind::kAdd, Kind::kMul, Kind::kPRelu}) {
      CheckCase(c, 32, {{.kind = kind, .operand = 3}}, {operand});
      CheckCase(c, 33, {{Kind::kLeakyRelu, 0.3f}, {.kind = kind, .operand = 3}, {Kind::kMish}}, {operand});
    }
  }
  // Gathered positions as well.
  const TransposedCase small{9, 1, 17, 19, {2, 3}, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, {0, 0}, true};
  CheckCase(small, 34, {{Kind::kMish}, {.kind = Kind::kAdd, .operand = 3}}, {Random({9, 19, 3, 5}, 9)});
}

TEST(ConvTranspose, AutoPadAndOutputShape) {
  const Tensor src = Random({2, 20, 5, 9}, 1), weights = Random({20, 24, 4, 3}, 2);
  const auto run = [&](Attrs attrs) {
    attrs["strides"] = std::vector<int64_t>{2, 3};
    return RunOp({"ConvTranspose", 22, attrs, {src, weights}})[0].tensor();
  };
  const auto pads = [](std::vector<int64_t> values) { return Attrs{{"pads", std::move(values)}}; };
  const auto auto_pad = [](const char* value) { return Attrs{{"auto_pad", std::string(value)}}; };
  ExpectTensor(run(auto_pad("VALID")), run(pads({0, 0, 0, 0})));
  // (in - 1) * stride + kernel - in * stride = 2 and 0 positions too many.
  ExpectTensor(run(auto_pad("SAME_UPPER")), run(pads({1, 0, 1, 0})));
  ExpectTensor(run(auto_pad("SAME_LOWER")), run(pads({1, 0, 1, 0})));
  ExpectTensor(run({{"output_shape", std::vector<int64_t>{9, 24}}}), run(pads({2, 2, 1, 1})));
}

TEST(ConvTranspose, EveryInstructionSet) {
  OnEveryTarget([] {
    std::mt19937 engine(7);
    for (uint32_t i = 0; i < 30 && !testing::Test::HasFailure(); ++i)
      CheckCase(DrawTransposed(engine), 2000 + 7 * i);
    const TransposedCase c{2, 1, 17, 19, {5, 9}, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, {0, 0}, true};
    const Tensor full = Random({2, 19, 9, 17}, 5), channel = Random({19, 1, 1}, 6);
    for (const PostOp& op : std::vector<PostOp>{{Kind::kLeakyRelu, 0.1f},
                                                {Kind::kRelu},
                                                {Kind::kTanh},
                                                {Kind::kElu, 1},
                                                {Kind::kHardSwish, 1.0f / 6, 0.5f},
                                                {Kind::kSilu, 1}}) {
      CheckCase(c, 40, {op, {.kind = Kind::kAdd, .operand = 3}, {.kind = Kind::kPRelu, .operand = 4}},
                {full, channel});
    }
  });
}

TEST(ConvTranspose, BitsDoNotDependOnTheThreads) {
  for (const TransposedCase& c : kTypical) {
    const OpCase op{
        "ConvTranspose",
        22,
        c.attrs(),
        {Random(c.src_shape(), 1), Random(c.weights_shape(), 2), c.bias ? Random({c.oc}, 3) : Tensor()}};
    tbb::task_arena arena(2);
    Tensor first, second;
    arena.execute([&] { first = RunOp(op)[0].tensor(); });
    {
      const SerialScope serial;
      second = RunOp(op)[0].tensor();
    }
    EXPECT_EQ(0, std::memcmp(first.data(), second.data(), static_cast<size_t>(first.byte_size())))
        << c.Describe();
  }
}

TEST(ConvTranspose, Misuse) {
  const Tensor x = Random({1, 8, 5, 5}, 1);
  ExpectRefused({"ConvTranspose", 11, {{"group", int64_t{3}}}, {x, Random({8, 2, 3, 3}, 1)}},
                "ConvTranspose 'test': input has 8 channels, expected a multiple of group = 3");
  ExpectRefused({"ConvTranspose", 11, {}, {x, Random({4, 8, 3, 3}, 1)}}, "weights dimension 0 is 4");
  ExpectRefused(
      {"ConvTranspose", 11, {{"output_padding", std::vector<int64_t>{1, 0}}}, {x, Random({8, 4, 3, 3}, 1)}},
      "output_padding has the value 1");
  ExpectRefused(
      {"ConvTranspose", 11, {{"pads", std::vector<int64_t>{4, 4, 4, 4}}}, {x, Random({8, 4, 3, 3}, 1)}},
      "would have -1 positions");
  ExpectRefused({"ConvTranspose", 11, {}, {x, Random({8, 4, 3, 3}, 1), Random({3}, 1)}},
                "bias has 3 elements");
}

}  // namespace
}  // namespace sluice::test
