#include <cmath>

#include "tests/kernels/layout_test_util.h"
#include "tests/kernels/ops/conv_reference.h"

// BatchNormalization, InstanceNormalization and GroupNormalization.

namespace sluice::test {
namespace {

using Kind = PostOp::Kind;

Tensor Positive(const Shape& shape, uint32_t seed) {
  Tensor result = Random(shape, seed);
  for (float& x : result.mutable_values<float>()) x = std::abs(x) + 0.1f;
  return result;
}

double At(const Tensor& t, int64_t i) {
  return static_cast<double>(t.values<float>()[static_cast<size_t>(i)]);
}

// y = scale (x - mean) / sqrt(variance + epsilon) + bias, with the statistics that fn gives for channel c of
// image n.
template <typename Fn>
std::vector<double> Normalized(const Tensor& x, const Fn& statistics, double epsilon) {
  const Shape& shape = x.shape();
  const int64_t channels = shape.size() < 2 ? 1 : shape[1];
  const int64_t spatial =
      shape.size() < 2 ? 1 : NumElements(std::vector<int64_t>(shape.begin() + 2, shape.end()));
  std::vector<double> y;
  for (int64_t plane = 0; spatial > 0 && plane < x.num_elements() / spatial; ++plane) {
    const auto [mean, variance, scale, bias] = statistics(plane / channels, plane % channels);
    for (int64_t i = plane * spatial; i < (plane + 1) * spatial; ++i)
      y.push_back(scale * (At(x, i) - mean) / std::sqrt(variance + epsilon) + bias);
  }
  return y;
}

struct Statistics {
  double mean, variance, scale, bias;
};

// Of elements [begin, end) of x.
Statistics StatisticsOf(const Tensor& x, int64_t begin, int64_t end) {
  double mean = 0, variance = 0;
  for (int64_t i = begin; i < end; ++i) mean += At(x, i);
  mean /= static_cast<double>(end - begin);
  for (int64_t i = begin; i < end; ++i) variance += (At(x, i) - mean) * (At(x, i) - mean);
  return {mean, variance / static_cast<double>(end - begin), 1, 0};
}

// In every layout, with and without post-ops.
void CheckCase(OpCase c, const std::vector<double>& want, double atol = 2e-5) {
  SCOPED_TRACE(c.op + " of " + ToString(c.inputs[0].tensor().shape()));
  const Shape shape = c.inputs[0].tensor().shape();
  ExpectTensor(RunOp(c)[0], FloatTensor(shape, want), atol, 1e-5);
  const int own = static_cast<int>(c.inputs.size());
  Shape channel(shape.size() - 1, 1);
  channel[0] = shape[1];
  c.inputs.push_back(Random(shape, 91));
  c.inputs.push_back(Random(channel, 92));
  const std::vector<std::vector<PostOp>> all = {
      {},
      {{Kind::kLeakyRelu, 0.1f}},
      {{Kind::kRelu}, {.kind = Kind::kAdd, .operand = own}},
      {{.kind = Kind::kMul, .operand = own + 1}, {Kind::kSigmoid}},
      {{Kind::kLeakyRelu, 0.3f},
       {.kind = Kind::kPRelu, .operand = own + 1},
       {.kind = Kind::kAdd, .operand = own}},
  };
  for (const std::vector<PostOp>& post_ops : all) {
    c.post_ops = post_ops;
    // The first operand of a post-op ends the operator's own inputs.
    OpCase cut = c;
    if (post_ops.empty() || post_ops.size() == 1) cut.inputs.resize(static_cast<size_t>(own));
    if (!post_ops.empty() && post_ops[0].operand == own + 1) {
      cut.inputs = c.inputs;
      std::swap(cut.inputs[static_cast<size_t>(own)], cut.inputs[static_cast<size_t>(own) + 1]);
      cut.post_ops[0].operand = own;
    }
    const Node node = MakeNode(cut);
    std::vector<double> expected = want;
    ApplyPostOps(node, cut.inputs, shape, expected);
    SCOPED_TRACE(post_ops.empty() ? "" : ToString(post_ops[0]));
    ExpectTensor(Evaluate(node, cut.inputs)[0], FloatTensor(shape, expected), atol, 1e-5);
    if (shape.size() != 4) continue;
    for (Layout layout : {Layout::kChannelsLast, Layout::kBlocked8, Layout::kBlocked16}) {
      // GroupNormalization keeps blocks only where a group is whole ones.
      Layout kept = layout;
      if (c.op == "GroupNormalization") {
        const int64_t per_group = shape[1] / std::get<int64_t>(c.attrs.at("num_groups"));
        if (layout == Layout::kChannelsLast || per_group % BlockOf(layout) != 0) kept = Layout::kPlain;
      }
      ExpectSameInLayout(cut, layout, kept);
    }
  }
}

const Shape kShapes[] = {{2, 17, 5, 7}, {1, 32, 70, 70},  {3, 70, 2, 3},
                         {2, 3, 9},     {1, 16, 3, 4, 5}, {1, 1, 1, 1}};

TEST(BatchNorm, MatchesReference) {
  std::vector<Shape> shapes(std::begin(kShapes), std::end(kShapes));
  shapes.push_back({5, 130});
  for (const Shape& shape : shapes) {
    const int64_t c = shape[1];
    const Tensor x = Random(shape, 1), scale = Random({c}, 2), bias = Random({c}, 3), mean = Random({c}, 4),
                 variance = Positive({c}, 5);
    for (int opset : {1, 6, 7, 9, 14, 15}) {
      const auto want = Normalized(
          x,
          [&](int64_t, int64_t j) {
            return Statistics{At(mean, j), At(variance, j), At(scale, j), At(bias, j)};
          },
          1e-3f);
      Attrs attrs = {{"epsilon", 1e-3f}};
      if (opset < 7) attrs["is_test"] = int64_t{1};
      CheckCase({"BatchNormalization", opset, attrs, {x, scale, bias, mean, variance}}, want);
    }
  }
}

TEST(BatchNorm, Training) {
  const Shape shape = {3, 70, 4, 5};
  const Tensor x = Random(shape, 1), scale = Random({70}, 2), bias = Random({70}, 3), mean = Random({70}, 4),
               variance = Positive({70}, 5);
  // Statistics of the batch: the images side by side.
  std::vector<Statistics> of;
  for (int64_t c = 0; c < 70; ++c) {
    Tensor column(DataType::kFloat, {60});
    for (int64_t i = 0; i < 60; ++i)
      column.mutable_values<float>()[static_cast<size_t>(i)] =
          static_cast<float>(At(x, (i / 20 * 70 + c) * 20 + i % 20));
    of.push_back(StatisticsOf(column, 0, 60));
  }
  const auto want = Normalized(
      x,
      [&](int64_t, int64_t j) {
        Statistics s = of[static_cast<size_t>(j)];
        return Statistics{s.mean, s.variance, At(scale, j), At(bias, j)};
      },
      1e-5f);
  const auto column = [&](auto fn) {
    std::vector<double> values;
    for (int64_t j = 0; j < 70; ++j) values.push_back(fn(of[static_cast<size_t>(j)], j));
    return FloatTensor({70}, values);
  };
  const Tensor running_mean =
      column([&](const Statistics& s, int64_t j) { return 0.8 * At(mean, j) + 0.2 * s.mean; });
  const Tensor running_variance =
      column([&](const Statistics& s, int64_t j) { return 0.8 * At(variance, j) + 0.2 * s.variance; });
  for (int opset : {9, 14, 15}) {
    OpCase c{"BatchNormalization",
             opset,
             {{"momentum", 0.8f}},
             {x, scale, bias, mean, variance},
             opset < 14 ? 5 : 3};
    if (opset >= 14) c.attrs["training_mode"] = int64_t{1};
    const std::vector<Value> got = RunOp(c);
    ExpectTensor(got[0], FloatTensor(shape, want), 2e-5, 1e-5);
    ExpectTensor(got[1], running_mean, 1e-6, 1e-6);
    ExpectTensor(got[2], running_variance, 1e-6, 1e-6);
    if (opset >= 14) continue;
    ExpectTensor(got[3], column([](const Statistics& s, int64_t) { return s.mean; }), 1e-6, 1e-6);
    ExpectTensor(got[4], column([](const Statistics& s, int64_t) { return s.variance; }), 1e-6, 1e-6);
  }
}

TEST(BatchNorm, StatisticsOfEveryElement) {
  const Tensor x = F({2, 1, 2}, {1, 2, 3, 4}), one = F({1, 2}, {1, 2}), zero = F({1, 2}, {0, 1}),
               mean = F({1, 2}, {1, 1}), variance = F({1, 2}, {4, 1});
  ExpectTensor(RunOp({"BatchNormalization",
                      7,
                      {{"epsilon", 0.0f}, {"spatial", int64_t{0}}},
                      {x, one, zero, mean, variance}})[0],
               F({2, 1, 2}, {0, 3, 1, 7}));
}

TEST(BatchNorm, MixedTypes) {
  const Tensor x = Make<Half>({1, 2, 2}, {Half(1), Half(2), Half(3), Half(4)});
  const Tensor one = F({2}, {1, 2}), zero = F({2}, {0, 1}), mean = F({2}, {1, 3}), variance = F({2}, {4, 1});
  ExpectTensor(RunOp({"BatchNormalization", 15, {{"epsilon", 0.0f}}, {x, one, zero, mean, variance}})[0],
               Make<Half>({1, 2, 2}, {Half(0), Half(0.5f), Half(1), Half(3)}));
}

TEST(InstanceNorm, MatchesReference) {
  for (const Shape& shape : kShapes) {
    const int64_t c = shape[1], spatial = NumElements(std::vector<int64_t>(shape.begin() + 2, shape.end()));
    const Tensor x = Random(shape, 1), scale = Random({c}, 2), bias = Random({c}, 3);
    const auto want = Normalized(
        x,
        [&](int64_t n, int64_t j) {
          Statistics s = StatisticsOf(x, (n * c + j) * spatial, (n * c + j + 1) * spatial);
          return Statistics{s.mean, s.variance, At(scale, j), At(bias, j)};
        },
        1e-4f);
    for (int opset : {1, 6, 22})
      CheckCase({"InstanceNormalization", opset, {{"epsilon", 1e-4f}}, {x, scale, bias}}, want);
  }
}

// Far from zero the differences do not drown.
TEST(InstanceNorm, LargeMean) {
  Tensor x = Random({1, 16, 40, 40}, 1);
  for (float& value : x.mutable_values<float>()) value += 1000;
  const Tensor scale = Random({16}, 2), bias = Random({16}, 3);
  const auto want = Normalized(
      x,
      [&](int64_t, int64_t j) {
        Statistics s = StatisticsOf(x, j * 1600, (j + 1) * 1600);
        return Statistics{s.mean, s.variance, At(scale, j), At(bias, j)};
      },
      1e-5f);
  CheckCase({"InstanceNormalization", 6, {}, {x, scale, bias}}, want, 1e-5);
}

TEST(GroupNorm, MatchesReference) {
  struct Case {
    Shape shape;
    int64_t groups;
  };
  for (const Case& g : {Case{{2, 32, 6, 7}, 2}, Case{{1, 32, 40, 40}, 4}, Case{{2, 6, 5}, 3},
                        Case{{1, 34, 3, 3}, 17}, Case{{2, 5, 2, 2}, 1}, Case{{1, 8, 2, 2, 3}, 8}}) {
    const int64_t c = g.shape[1], per_group = c / g.groups;
    const int64_t spatial = NumElements(std::vector<int64_t>(g.shape.begin() + 2, g.shape.end()));
    const Tensor x = Random(g.shape, 1);
    for (int opset : {18, 21}) {
      const int64_t count = opset < 21 ? g.groups : c;
      const Tensor scale = Random({count}, 2), bias = Random({count}, 3);
      const auto want = Normalized(
          x,
          [&](int64_t n, int64_t j) {
            const int64_t group = j / per_group, begin = (n * c + group * per_group) * spatial;
            Statistics s = StatisticsOf(x, begin, begin + per_group * spatial);
            const int64_t at = opset < 21 ? group : j;
            return Statistics{s.mean, s.variance, At(scale, at), At(bias, at)};
          },
          1e-5f);
      CheckCase({"GroupNormalization", opset, {{"num_groups", g.groups}}, {x, scale, bias}}, want);
    }
  }
}

TEST(ChannelNorm, OtherTypes) {
  const Tensor x = Random({2, 4, 3, 5}, 1), scale = Random({4}, 2), bias = Random({4}, 3);
  const auto check = [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto cast = [](const Tensor& from) {
      Tensor to(kDataType<T>, from.shape());
      for (size_t i = 0; i < from.values<float>().size(); ++i)
        to.mutable_values<T>()[i] = static_cast<T>(from.values<float>()[i]);
      return to;
    };
    for (const auto& [op, attrs] :
         {std::pair<const char*, Attrs>{"InstanceNormalization", {}},
          std::pair<const char*, Attrs>{"GroupNormalization", {{"num_groups", int64_t{2}}}}}) {
      OpCase c{op, 22, attrs, {cast(x), cast(scale), cast(bias), cast(x)}};
      c.post_ops = {{Kind::kLeakyRelu, 0.1f}, {.kind = Kind::kAdd, .operand = 3}};
      const Tensor got = RunOp(c)[0].tensor();
      // The same numbers in float.
      const auto widened = [](const Tensor& from) {
        Tensor to(DataType::kFloat, from.shape());
        for (size_t i = 0; i < from.values<T>().size(); ++i)
          to.mutable_values<float>()[i] = static_cast<float>(from.values<T>()[i]);
        return to;
      };
      for (Value& input : c.inputs) input = widened(input.tensor());
      ExpectTensor(widened(got), RunOp(c)[0].tensor(), 1e-5, 2 * EpsilonOf(kDataType<T>) + 1e-6);
    }
  };
  check(TypeTag<double>());
  check(TypeTag<Half>());
  check(TypeTag<BFloat16>());
}

TEST(ChannelNorm, EmptyTensors) {
  const Tensor one = F({2}, {1, 1}), none = Random({0}, 1);
  for (const Shape& shape : {Shape{0, 2, 3, 3}, Shape{1, 2, 0, 3}}) {
    const Tensor x = Random(shape, 1);
    EXPECT_EQ(RunOp({"BatchNormalization", 15, {}, {x, one, one, one, one}})[0].tensor().shape(), shape);
    EXPECT_EQ(RunOp({"InstanceNormalization", 6, {}, {x, one, one}})[0].tensor().shape(), shape);
    EXPECT_EQ(
        RunOp({"GroupNormalization", 21, {{"num_groups", int64_t{2}}}, {x, one, one}})[0].tensor().shape(),
        shape);
  }
  EXPECT_EQ(
      RunOp({"InstanceNormalization", 6, {}, {Random({1, 0, 2, 2}, 1), none, none}})[0].tensor().shape(),
      (Shape{1, 0, 2, 2}));
}

TEST(ChannelNorm, Misuse) {
  const Tensor x = Random({1, 4, 3}, 1), four = Random({4}, 1), three = Random({3}, 1);
  ExpectRefused({"BatchNormalization", 15, {}, {x, four, three, four, four}}, "input 2 is [3], expected [4]");
  ExpectRefused({"BatchNormalization", 15, {}, {x, four, four, four, four}, 3}, "training_mode is 0");
  ExpectRefused({"InstanceNormalization", 6, {}, {x, three, four}}, "input 1 is [3], expected [4]");
  ExpectRefused({"InstanceNormalization", 6, {}, {x, Tensor(DataType::kDouble, {4}), four}},
                "input 1 is double");
  ExpectRefused({"GroupNormalization", 21, {{"num_groups", int64_t{3}}}, {x, four, four}}, "num_groups is 3");
  ExpectRefused({"GroupNormalization", 21, {{"num_groups", int64_t{0}}}, {x, four, four}}, "num_groups is 0");
  ExpectRefused({"GroupNormalization", 18, {{"num_groups", int64_t{2}}}, {x, four, four}},
                "input 1 is [4], expected [2]");
}

}  // namespace
}  // namespace sluice::test
