#include <cmath>
#include <random>

#include "tests/kernels/layout_test_util.h"
#include "tests/kernels/ops/conv_reference.h"

// Softmax, LogSoftmax, Hardmax, LayerNormalization, RMSNormalization, LpNormalization, LRN and
// MeanVarianceNormalization.

namespace sluice::test {
namespace {

using Ints = std::vector<int64_t>;
using Line = std::vector<double>;

double At(const Tensor& t, int64_t i) {
  return static_cast<double>(t.values<float>()[static_cast<size_t>(i)]);
}

// x with fn(line) for every line along the axes [axis, end).
template <typename Fn>
Tensor AlongAxes(const Tensor& x, size_t axis, size_t end, const Fn& fn) {
  int64_t outer = 1, n = 1, inner = 1;
  for (size_t i = 0; i < x.shape().size(); ++i) (i < axis ? outer : i < end ? n : inner) *= x.shape()[i];
  std::vector<double> values(static_cast<size_t>(x.num_elements()));
  for (int64_t line = 0; line < outer * inner; ++line) {
    const auto index = [&](int64_t i) { return (line / inner * n + i) * inner + line % inner; };
    Line elements;
    for (int64_t i = 0; i < n; ++i) elements.push_back(At(x, index(i)));
    if (n > 0) fn(elements);
    for (int64_t i = 0; i < n; ++i) values[static_cast<size_t>(index(i))] = elements[static_cast<size_t>(i)];
  }
  return FloatTensor(x.shape(), values);
}

void SoftmaxLine(Line& x) {
  const double max = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (double& v : x) sum += v = std::exp(v - max);
  for (double& v : x) v /= sum;
}
void LogSoftmaxLine(Line& x) {
  const double max = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (double v : x) sum += std::exp(v - max);
  for (double& v : x) v -= max + std::log(sum);
}
void HardmaxLine(Line& x) {
  const auto best = std::max_element(x.begin(), x.end()) - x.begin();
  std::fill(x.begin(), x.end(), 0);
  x[static_cast<size_t>(best)] = 1;
}

const Shape kShapes[] = {{3, 4, 5},    {2, 1000},    {7, 3},    {1, 70, 9, 9}, {5},    {2, 17, 130},
                         {1, 1, 1, 1}, {300, 40, 4}, {2, 0, 3}, {0, 4},        {40000}};

TEST(Softmax, MatchesReference) {
  const std::pair<const char*, void (*)(Line&)> operators[] = {
      {"Softmax", SoftmaxLine}, {"LogSoftmax", LogSoftmaxLine}, {"Hardmax", HardmaxLine}};
  for (const Shape& shape : kShapes) {
    const Tensor x = Random(shape, 7, 5);
    const auto rank = static_cast<int64_t>(shape.size());
    for (int64_t axis = -rank; axis < rank; ++axis) {
      const auto first = static_cast<size_t>(axis < 0 ? axis + rank : axis);
      for (const auto& [op, line] : operators) {
        SCOPED_TRACE(std::string(op) + " of " + ToString(shape) + " along " + std::to_string(axis));
        ExpectTensor(RunOp({op, 13, {{"axis", axis}}, {x}})[0], AlongAxes(x, first, first + 1, line), 1e-6,
                     3e-6);
        // All axes from this one on together.
        ExpectTensor(RunOp({op, 11, {{"axis", axis}}, {x}})[0], AlongAxes(x, first, shape.size(), line), 1e-6,
                     3e-6);
      }
    }
  }
}

TEST(Softmax, OtherTypes) {
  const Tensor x = Random({3, 9}, 2, 2);
  const auto check = [&](auto tag) {
    using T = typename decltype(tag)::type;
    Tensor typed(kDataType<T>, x.shape()), back(DataType::kFloat, x.shape());
    for (size_t i = 0; i < 27; ++i) {
      typed.mutable_values<T>()[i] = static_cast<T>(x.values<float>()[i]);
      back.mutable_values<float>()[i] = static_cast<float>(typed.values<T>()[i]);
    }
    for (const auto& [op, line] : {std::pair<const char*, void (*)(Line&)>{"Softmax", SoftmaxLine},
                                   std::pair<const char*, void (*)(Line&)>{"LogSoftmax", LogSoftmaxLine}}) {
      const Tensor want = AlongAxes(back, 1, 2, line), got = RunOp({op, 13, {}, {typed}})[0].tensor();
      for (size_t i = 0; i < 27; ++i)
        EXPECT_NEAR(static_cast<double>(got.values<T>()[i]), At(want, static_cast<int64_t>(i)),
                    1e-6 + EpsilonOf(kDataType<T>) * std::abs(At(want, static_cast<int64_t>(i))));
    }
  };
  check(TypeTag<double>());
  check(TypeTag<Half>());
  check(TypeTag<BFloat16>());
}

TEST(Softmax, ExtremeValues) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  ExpectTensor(RunOp({"Softmax", 13, {}, {F({1, 3}, {1e30f, -1e30f, 1e30f})}})[0],
               F({1, 3}, {0.5f, 0, 0.5f}));
  ExpectTensor(RunOp({"LogSoftmax", 13, {}, {F({1, 2}, {10000, 0})}})[0], F({1, 2}, {0, -10000}));
  ExpectTensor(RunOp({"Softmax", 13, {}, {F({1, 2}, {-inf, 0})}})[0], F({1, 2}, {0, 1}));
  ExpectTensor(RunOp({"LogSoftmax", 13, {}, {F({1, 2}, {-inf, 0})}})[0], F({1, 2}, {-inf, 0}));
  for (int64_t axis : {0, 1}) {
    const Tensor all_nan = F({2, 2}, {nan, nan, nan, nan});
    ExpectTensor(RunOp({"Softmax", 13, {{"axis", axis}}, {F({2, 2}, {-inf, -inf, -inf, -inf})}})[0], all_nan);
    ExpectTensor(RunOp({"Softmax", 13, {{"axis", axis}}, {F({2, 2}, {nan, 1, 1, nan})}})[0], all_nan);
  }
}

TEST(LayerNorm, MatchesReference) {
  for (const Shape& shape :
       {Shape{3, 4, 5}, Shape{2, 1000}, Shape{70, 3}, Shape{2, 3, 4, 5}, Shape{6}, Shape{0, 4}}) {
    const auto rank = static_cast<int64_t>(shape.size());
    const Tensor x = Random(shape, 3, 2);
    for (int64_t axis = -rank; axis < rank; ++axis) {
      SCOPED_TRACE(ToString(shape) + " from " + std::to_string(axis));
      const auto first = static_cast<size_t>(axis < 0 ? axis + rank : axis);
      const Shape line_shape(shape.begin() + static_cast<int64_t>(first), shape.end());
      const Tensor scale = Random(line_shape, 4), bias = Random(line_shape, 5);
      const Tensor last = Random({shape.back()}, 6);  // broadcasts over the line
      std::vector<double> means, factors;
      const auto norm = [&](const Tensor& s, const Tensor* b, bool centred) {
        return AlongAxes(x, first, shape.size(), [&](Line& v) {
          double mean = 0, square = 0;
          for (double e : v) mean += e / static_cast<double>(v.size());
          if (!centred) mean = 0;
          for (double e : v) square += (e - mean) * (e - mean) / static_cast<double>(v.size());
          means.push_back(mean);
          factors.push_back(1 / std::sqrt(square + 1e-3f));
          for (size_t i = 0; i < v.size(); ++i) {
            const auto at = [&](const Tensor& t) {
              return At(t, static_cast<int64_t>(i) % t.num_elements());
            };
            v[i] = (v[i] - mean) * factors.back() * at(s) + (b == nullptr ? 0 : at(*b));
          }
        });
      };
      const Attrs attrs = {{"axis", axis}, {"epsilon", 1e-3f}};
      ExpectTensor(RunOp({"RMSNormalization", 23, attrs, {x, scale}})[0], norm(scale, nullptr, false), 1e-5,
                   1e-5);
      ExpectTensor(RunOp({"LayerNormalization", 17, attrs, {x, last}})[0], norm(last, nullptr, true), 1e-5,
                   1e-5);
      means.clear();
      factors.clear();
      const Tensor want = norm(scale, &bias, true);
      const std::vector<Value> got = RunOp({"LayerNormalization", 17, attrs, {x, scale, bias}, 3});
      ExpectTensor(got[0], want, 1e-5, 1e-5);
      Shape statistics = shape;
      std::fill(statistics.begin() + static_cast<int64_t>(first), statistics.end(), 1);
      if (x.num_elements() == 0) continue;
      ExpectTensor(got[1], FloatTensor(statistics, means), 1e-6, 1e-5);
      ExpectTensor(got[2], FloatTensor(statistics, factors), 1e-6, 1e-5);
    }
  }
}

TEST(LayerNorm, HalfKeepsStatisticsInFloat) {
  const Tensor x = Make<Half>({1, 2}, {Half(1), Half(3)}), scale = Make<Half>({2}, {Half(2), Half(2)});
  const std::vector<Value> got = RunOp({"LayerNormalization", 17, {{"epsilon", 0.0f}}, {x, scale}, 3});
  ExpectTensor(got[0], Make<Half>({1, 2}, {Half(-2), Half(2)}));
  ExpectTensor(got[1], F({1, 1}, {2}));
  ExpectTensor(got[2], F({1, 1}, {1}));
}

TEST(LpNormalization, MatchesReference) {
  for (const Shape& shape : kShapes) {
    const Tensor x = Random(shape, 11);
    const auto rank = static_cast<int64_t>(shape.size());
    for (int64_t axis = -rank; axis < rank; ++axis) {
      const auto first = static_cast<size_t>(axis < 0 ? axis + rank : axis);
      for (int64_t p : {1, 2}) {
        const Tensor want = AlongAxes(x, first, first + 1, [p](Line& v) {
          double norm = 0;
          for (double e : v) norm += p == 1 ? std::abs(e) : e * e;
          if (p == 2) norm = std::sqrt(norm);
          for (double& e : v) e /= norm;
        });
        ExpectTensor(RunOp({"LpNormalization", 22, {{"axis", axis}, {"p", p}}, {x}})[0], want, 1e-7, 1e-5);
      }
    }
  }
  ExpectTensor(RunOp({"LpNormalization", 1, {}, {F({2, 2}, {0, 0, 3, 4})}})[0],
               F({2, 2}, {0, 0, 0.6f, 0.8f}));
}

TEST(Lrn, MatchesReference) {
  for (const Shape& shape :
       {Shape{2, 17, 5, 7}, Shape{1, 32, 9, 9}, Shape{2, 3, 70}, Shape{2, 5}, Shape{0, 3, 2, 2}}) {
    const Tensor x = Random(shape, 5, 3);
    for (int64_t size : {1, 4, 5, 40}) {
      for (float beta : {0.75f, 0.5f}) {
        const Tensor want = AlongAxes(x, 1, 2, [&](Line& v) {
          const Line old = v;
          const int64_t before = (size - 1) / 2, after = size - 1 - before,
                        n = static_cast<int64_t>(v.size());
          for (int64_t c = 0; c < n; ++c) {
            double sum = 0;
            for (int64_t k = std::max<int64_t>(0, c - before); k <= std::min(n - 1, c + after); ++k)
              sum += old[static_cast<size_t>(k)] * old[static_cast<size_t>(k)];
            v[static_cast<size_t>(c)] /= std::pow(2 + 0.3f / static_cast<double>(size) * sum, beta);
          }
        });
        const OpCase c{"LRN", 13, {{"size", size}, {"alpha", 0.3f}, {"beta", beta}, {"bias", 2.0f}}, {x}};
        ExpectTensor(RunOp(c)[0], want, 1e-6, 1e-5);
        if (shape.size() != 4 || shape[0] == 0) continue;
        for (Layout layout : {Layout::kChannelsLast, Layout::kBlocked8, Layout::kBlocked16})
          ExpectSameInLayout(c, layout, layout);
      }
    }
  }
}

TEST(MeanVariance, MatchesReference) {
  // Adjacent axes are one line; the default's are not.
  for (const auto& [axes, first, end] :
       {std::tuple<Ints, size_t, size_t>{{1, 2}, 1, 3}, {{-1}, 3, 4}, {{0}, 0, 1}, {{3, 0, 2, 1}, 0, 4}}) {
    const Tensor x = Random({3, 4, 5, 70}, 8, 2);
    const Tensor want = AlongAxes(x, first, end, [](Line& v) {
      double mean = 0, variance = 0;
      for (double e : v) mean += e / static_cast<double>(v.size());
      for (double e : v) variance += (e - mean) * (e - mean) / static_cast<double>(v.size());
      for (double& e : v) e = (e - mean) / (std::sqrt(variance) + 1e-9);
    });
    ExpectTensor(RunOp({"MeanVarianceNormalization", 13, {{"axes", axes}}, {x}})[0], want, 1e-5, 1e-5);
  }
  const Tensor x = F({2, 2, 1, 1}, {1, 10, 3, 30});
  ExpectTensor(RunOp({"MeanVarianceNormalization", 9, {}, {x}})[0], F({2, 2, 1, 1}, {-1, -1, 1, 1}));
  EXPECT_EQ(RunOp({"MeanVarianceNormalization", 9, {}, {Random({0, 2, 3, 4}, 1)}})[0].tensor().shape(),
            (Shape{0, 2, 3, 4}));
}

TEST(LineNorm, Misuse) {
  const Tensor x = Random({2, 3}, 1);
  ExpectRefused({"Softmax", 13, {{"axis", int64_t{2}}}, {x}}, "axis 2 is outside");
  ExpectRefused({"Softmax", 11, {{"axis", int64_t{3}}}, {x}}, "axis 3 is outside");
  ExpectRefused({"Softmax", 13, {}, {Tensor(DataType::kInt32, {2, 3})}}, "int32");
  ExpectRefused({"LayerNormalization", 17, {}, {x, Random({2}, 1)}}, "does not broadcast");
  ExpectRefused({"LayerNormalization", 17, {{"stash_type", int64_t{257}}}, {x, Random({3}, 1)}, 2},
                "stash_type is 257");
  ExpectRefused({"LayerNormalization", 17, {{"axis", int64_t{-3}}}, {x, Random({3}, 1)}},
                "axis -3 is outside");
  ExpectRefused({"LpNormalization", 22, {{"p", int64_t{3}}}, {x}}, "p is 3");
  ExpectRefused({"LRN", 13, {{"size", int64_t{0}}}, {x}}, "size is 0");
  ExpectRefused({"LRN", 13, {}, {x}}, "size");
  ExpectRefused({"MeanVarianceNormalization", 13, {{"axes", Ints{0, -2}}}, {x}}, "axis 0 occurs twice");
}

}  // namespace
}  // namespace sluice::test
