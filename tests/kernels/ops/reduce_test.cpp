#include <cmath>
#include <functional>
#include <limits>

#include "kernels/strided_copy.h"
#include "tests/kernels/layout_test_util.h"
#include "tests/tolerance.h"

// The Reduce operators against sums of scalars in double.

namespace sluice::test {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

struct Reference {
  const char* op;
  // The elements that a result is made of -> the result.
  std::function<double(const std::vector<double>&)> of;
};

double SumOf(const std::vector<double>& v, const std::function<double(double)>& map) {
  double sum = 0;
  for (double x : v) sum += map(x);
  return sum;
}
double Identity(double x) { return x; }
double Square(double x) { return x * x; }
double Abs(double x) { return std::abs(x); }
double Exp(double x) { return std::exp(x); }

const Reference kReferences[] = {
    {"ReduceSum", [](const auto& v) { return SumOf(v, Identity); }},
    {"ReduceMean", [](const auto& v) { return SumOf(v, Identity) / static_cast<double>(v.size()); }},
    {"ReduceMax", [](const auto& v) { return v.empty() ? -kInf : *std::max_element(v.begin(), v.end()); }},
    {"ReduceMin", [](const auto& v) { return v.empty() ? kInf : *std::min_element(v.begin(), v.end()); }},
    {"ReduceProd",
     [](const auto& v) {
       double product = 1;
       for (double x : v) product *= x;
       return product;
     }},
    {"ReduceL1", [](const auto& v) { return SumOf(v, Abs); }},
    {"ReduceL2", [](const auto& v) { return std::sqrt(SumOf(v, Square)); }},
    {"ReduceLogSum", [](const auto& v) { return std::log(SumOf(v, Identity)); }},
    {"ReduceLogSumExp", [](const auto& v) { return std::log(SumOf(v, Exp)); }},
    {"ReduceSumSquare", [](const auto& v) { return SumOf(v, Square); }},
};

template <typename T>
Tensor Reduced(const Reference& reference, const Tensor& x, const std::vector<bool>& reduced, bool keep) {
  Shape full, dst;
  for (size_t i = 0; i < reduced.size(); ++i) {
    full.push_back(reduced[i] ? 1 : x.shape()[i]);
    if (!reduced[i] || keep) dst.push_back(full.back());
  }
  const Shape strides = RowMajorStrides(x.shape()), dst_strides = RowMajorStrides(full);
  std::vector<std::vector<double>> groups(static_cast<size_t>(NumElements(dst)));
  for (int64_t i = 0; i < x.num_elements(); ++i) {
    int64_t at = 0;
    for (size_t d = 0; d < full.size(); ++d)
      at += reduced[d] ? 0 : i / strides[d] % x.shape()[d] * dst_strides[d];
    groups[static_cast<size_t>(at)].push_back(static_cast<double>(x.values<T>()[static_cast<size_t>(i)]));
  }
  Tensor result(x.dtype(), dst);
  // Integers wrap.
  using Number = std::conditional_t<std::is_integral_v<T>, int64_t, ComputeType<T>>;
  for (size_t i = 0; i < groups.size(); ++i)
    result.mutable_values<T>()[i] = static_cast<T>(static_cast<Number>(reference.of(groups[i])));
  return result;
}

template <typename T>
Tensor Draw(const Shape& shape, std::mt19937& engine) {
  Tensor x(kDataType<T>, shape);
  std::uniform_real_distribution<float> positive(0.25f, 2.0f);
  std::bernoulli_distribution sign(0.2);
  for (T& value : x.mutable_values<T>()) {
    if constexpr (std::is_integral_v<T>)
      value = static_cast<T>(1 + engine() % 3);
    else
      value = static_cast<T>(sign(engine) ? -0.1f * positive(engine) : positive(engine));
  }
  return x;
}

template <typename T>
void ExpectAgreement(uint32_t seed) {
  std::mt19937 engine(seed);
  const Reference& reference = kReferences[engine() % std::size(kReferences)];
  const auto rank = static_cast<size_t>(engine() % 6);
  Shape shape;
  std::vector<bool> reduced;
  std::vector<int64_t> axes;
  int64_t length = 1;
  for (size_t i = 0; i < rank; ++i) {
    const auto most = static_cast<uint32_t>(rank < 3 ? 600 : 12);
    shape.push_back(engine() % 8 == 0 ? 1 : static_cast<int64_t>(engine() % most));
    reduced.push_back(engine() % 2 == 0);
    if (reduced.back()) {
      axes.push_back(engine() % 2 == 0 ? static_cast<int64_t>(i)
                                       : static_cast<int64_t>(i) - static_cast<int64_t>(rank));
      length *= shape.back();
    }
  }
  if (axes.empty()) {
    reduced.assign(rank, true);
    length = NumElements(shape);
  }
  const std::string op = reference.op;
  const bool exact = std::is_integral_v<T>;
  // What is undefined in integers is not compared; products leave every range.
  if (exact && (op == "ReduceProd" || op == "ReduceL2" || op.starts_with("ReduceLog"))) return;
  if (length == 0 && exact) return;
  if (op == "ReduceProd" && length > 100) return;
  std::shuffle(axes.begin(), axes.end(), engine);
  const bool keep = engine() % 2 == 0, as_input = engine() % 2 == 0;
  const Tensor x = Draw<T>(shape, engine);
  Tensor want = Reduced<T>(reference, x, reduced, keep);
  if (op == "ReduceMean" && exact) {
    Tensor sum = Reduced<T>(kReferences[0], x, reduced, keep);
    if (sizeof(T) < 4) return;
    for (size_t i = 0; i < want.values<T>().size(); ++i)
      want.mutable_values<T>()[i] = static_cast<T>(sum.values<T>()[i] / static_cast<T>(length));
  } else if (exact && sizeof(T) < 4 && length > 10) {
    return;
  }
  OpCase c{op, as_input ? 18 : 11, {{"keepdims", static_cast<int64_t>(keep)}}, {x}};
  if (as_input)
    c.inputs.emplace_back(Tensor::From<int64_t>({static_cast<int64_t>(axes.size())}, axes));
  else if (!axes.empty())
    c.attrs["axes"] = axes;
  const Tolerance tolerance = SumTolerance(kDataType<T>, std::max<int64_t>(length, 1), 4);
  SCOPED_TRACE(op + " of " + ToString(shape) + ", seed " + std::to_string(seed));
  // The logarithm of a sum near 1 has few digits to compare.
  ExpectTensor(RunOp(c)[0], want, op == "ReduceLogSum" ? 1e-3 : tolerance.atol, tolerance.rtol * 4);
}

TEST(Reduce, AgreesWithScalars) {
  for (uint32_t seed = 0; seed < 400; ++seed) {
    ExpectAgreement<float>(seed);
    if (HasFatalFailure()) return;
  }
  for (uint32_t seed = 0; seed < 100; ++seed) {
    ExpectAgreement<double>(seed);
    ExpectAgreement<Half>(seed);
    ExpectAgreement<BFloat16>(seed);
    ExpectAgreement<int32_t>(seed);
    ExpectAgreement<int64_t>(seed);
    ExpectAgreement<uint8_t>(seed);
    ExpectAgreement<int8_t>(seed);
    ExpectAgreement<uint64_t>(seed);
    if (HasFatalFailure()) return;
  }
}

TEST(Reduce, AgreesInEveryLayout) {
  const auto axes = [](std::vector<int64_t> v) { return Attribute(std::move(v)); };
  for (const Reference& reference : kReferences) {
    for (Layout layout : {Layout::kChannelsLast, Layout::kBlocked8, Layout::kBlocked16}) {
      for (int64_t channels : {1, 5, 16, 33, 48}) {
        Tensor x = Random({2, channels, 5, 7}, 3);
        for (float& value : x.mutable_values<float>()) value = std::abs(value) + 0.1f;
        const std::string op = reference.op;
        ExpectSameInLayout({op, 11, {{"axes", axes({2, 3})}}, {x}}, layout, layout);
        ExpectSameInLayout({op, 11, {{"axes", axes({3})}}, {x}}, layout, layout);
        ExpectSameInLayout({op, 11, {{"axes", axes({0})}}, {x}}, layout, layout);
        ExpectSameInLayout({op, 11, {{"axes", axes({2, 3})}, {"keepdims", int64_t{0}}}, {x}}, layout,
                           Layout::kPlain);
        ExpectSameInLayout({op, 11, {{"axes", axes({1})}}, {x}}, layout,
                           layout == Layout::kChannelsLast ? layout : Layout::kPlain);
        ExpectSameInLayout({op, 11, {{"axes", axes({0, 1, 2})}, {"keepdims", int64_t{0}}}, {x}}, layout,
                           Layout::kPlain);
        ExpectSameInLayout({op, 18, {{"noop_with_empty_axes", int64_t{1}}}, {x}}, layout, layout);
      }
    }
  }
}

TEST(Reduce, ReducesNothingIfAsked) {
  const Attrs noop = {{"noop_with_empty_axes", int64_t{1}}, {"keepdims", int64_t{0}}};
  const Tensor x = F({2}, {-3, 4});
  ExpectTensor(RunOp({"ReduceSum", 13, noop, {x}})[0], x);
  ExpectTensor(RunOp({"ReduceSum", 13, noop, {x, I({0}, {})}})[0], x);
  ExpectTensor(RunOp({"ReduceSumSquare", 18, noop, {x}})[0], F({2}, {9, 16}));
  ExpectTensor(RunOp({"ReduceL2", 18, noop, {x}})[0], F({2}, {3, 4}));
  ExpectTensor(RunOp({"ReduceSum", 13, {{"keepdims", int64_t{0}}}, {x, I({0}, {})}})[0], F({}, {1}));
}

TEST(Reduce, OfNothingIsNeutral) {
  const auto of_nothing = [](const char* op, const Tensor& x) {
    return RunOp({op, 20 - (std::string(op) == "ReduceSum" ? 7 : 0), {}, {x, I({1}, {0})}})[0];
  };
  const Tensor none = F({0, 1}, {});
  const auto inf = std::numeric_limits<float>::infinity();
  for (const char* op : {"ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare"})
    ExpectTensor(of_nothing(op, none), F({1, 1}, {0}));
  ExpectTensor(of_nothing("ReduceProd", none), F({1, 1}, {1}));
  for (const char* op : {"ReduceMax", "ReduceLogSum", "ReduceLogSumExp"})
    ExpectTensor(of_nothing(op, none), F({1, 1}, {-inf}));
  ExpectTensor(of_nothing("ReduceMin", none), F({1, 1}, {inf}));
  ExpectTensor(of_nothing("ReduceMean", none), F({1, 1}, {std::nanf("")}));
  ExpectTensor(of_nothing("ReduceMean", Make<int32_t>({0, 1}, {})), Make<int32_t>({1, 1}, {0}));
  ExpectTensor(of_nothing("ReduceMax", Make<int8_t>({0, 1}, {})), Make<int8_t>({1, 1}, {-128}));
  ExpectTensor(of_nothing("ReduceMin", Make<bool>({0, 1}, {})), Make<bool>({1, 1}, {true}));
  ExpectTensor(of_nothing("ReduceMax", F({0, 0}, {})), F({1, 0}, {}));
}

TEST(Reduce, OfLargeSmallAndUndefinedNumbers) {
  const auto inf = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  const auto all = [](const char* op, const Tensor& x) {
    return RunOp({op, 13, {{"keepdims", int64_t{0}}}, {x}})[0];
  };
  ExpectTensor(all("ReduceLogSumExp", F({2}, {1000, 1000})), F({}, {1000.6931f}));
  ExpectTensor(all("ReduceLogSumExp", F({2}, {-1000, -1000})), F({}, {-999.30685f}));
  ExpectTensor(all("ReduceLogSumExp", F({2}, {-inf, -inf})), F({}, {-inf}));
  ExpectTensor(all("ReduceLogSumExp", F({2}, {inf, 1})), F({}, {inf}));
  ExpectTensor(all("ReduceLogSumExp", F({3}, {1, nan, 2})), F({}, {nan}));
  for (const char* op : {"ReduceMax", "ReduceMin", "ReduceSum"}) {
    Tensor x = Random({100}, 1);
    x.mutable_values<float>()[57] = nan;
    ExpectTensor(all(op, x), F({}, {nan}));
  }
  Tensor ones(DataType::kFloat, {1 << 20});
  for (float& value : ones.mutable_values<float>()) value = 0.1f;
  ExpectTensor(all("ReduceMean", ones), F({}, {0.1f}), 0, 1e-6);
  ExpectTensor(all("ReduceSum", Make<int32_t>({2}, {INT32_MAX, 1})), Make<int32_t>({}, {INT32_MIN}));
  ExpectTensor(all("ReduceSum", I({2}, {INT64_MAX, 1})), I({}, {INT64_MIN}));
  ExpectTensor(all("ReduceL1", I({1}, {INT64_MIN})), I({}, {INT64_MIN}));
  ExpectTensor(all("ReduceMax", Make<bool>({2}, {false, true})), Make<bool>({}, {true}));
  ExpectTensor(all("ReduceMax", Make<uint64_t>({2}, {UINT64_MAX, 1})), Make<uint64_t>({}, {UINT64_MAX}));
}

TEST(Reduce, Refuses) {
  const Tensor x = F({2, 1}, {1, 2});
  ExpectRefused({"ReduceSum", 13, {}, {x, I({1}, {2})}}, "axis 2 is outside [-2, 2)");
  ExpectRefused({"ReduceSum", 13, {}, {x, I({2}, {1, -1})}}, "occurs twice");
  ExpectRefused({"ReduceSum", 13, {}, {x, F({1}, {1})}}, "expected int64");
  ExpectRefused({"ReduceMean", 13, {}, {x, I({1}, {0})}}, "has 2 inputs, expected 1");
  ExpectRefused({"ReduceMean", 18, {}, {Make<std::string>({1}, {"a"})}}, "string");
  ExpectRefused({"ReduceSum", 13, {}, {Make<bool>({1}, {true})}}, "bool");
}

}  // namespace
}  // namespace sluice::test
