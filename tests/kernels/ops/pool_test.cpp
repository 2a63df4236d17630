#include "tests/kernels/layout_test_util.h"
#include "tests/kernels/ops/pool_reference.h"
#include "tests/tolerance.h"

namespace sluice::test {
namespace {

using Ints = std::vector<int64_t>;

// What a pool by that name makes of a window.
double Pooled(const std::string& op, const std::vector<double>& window, int64_t counted, double p) {
  double max = -std::numeric_limits<double>::infinity(), sum = 0, powers = 0;
  for (double x : window) {
    max = std::max(max, x);
    sum += x;
    powers += std::pow(std::abs(x), p);
  }
  if (op.ends_with("MaxPool")) return max;
  if (op.ends_with("AveragePool")) return counted == 0 ? 0 : sum / static_cast<double>(counted);
  return std::pow(powers, 1 / p);
}

template <typename T>
Tensor Reference(const std::string& op, const PoolCase& c, const Tensor& src, double p) {
  Tensor want(src.dtype(), c.dst_shape());
  c.ForEachWindow([&](int64_t o, const Ints& elements, int64_t counted) {
    std::vector<double> window;
    for (int64_t at : elements)
      window.push_back(static_cast<double>(src.values<T>()[static_cast<size_t>(at)]));
    want.mutable_values<T>()[static_cast<size_t>(o)] =
        static_cast<T>(static_cast<ComputeType<T>>(Pooled(op, window, counted, p)));
  });
  return want;
}

// Runs every candidate that takes the case and compares.
void CheckCandidates(const OpCase& op, const Tensor& want, size_t at_least = 1) {
  const Node node = MakeNode(op);
  size_t ran = 0;
  for (size_t candidate = 0; candidate < node.op->kernels.size(); ++candidate) {
    SCOPED_TRACE(op.op + " candidate " + std::to_string(candidate));
    try {
      ExpectTensor(EvaluateWith(candidate, node, op.inputs)[0], want, 1e-5, 1e-5);
      ++ran;
    } catch (const Declined&) {
    }
  }
  EXPECT_GE(ran, at_least);
}

OpCase CaseOf(const std::string& op, const PoolCase& c, const Tensor& src, int64_t p) {
  OpCase result{.op = op, .opset = 22, .attrs = c.attrs(), .inputs = {src}};
  if (op != "AveragePool") result.attrs.erase("count_include_pad");
  if (op == "LpPool") result.attrs["p"] = p;
  return result;
}

TEST(Pool, RandomShapes) {
  std::mt19937 engine(20260101);
  for (uint32_t i = 0; i < 150 && !testing::Test::HasFailure(); ++i) {
    PoolCase c = DrawPool(engine);
    SCOPED_TRACE("seed " + std::to_string(i) + " " + c.Describe());
    const Tensor src = Random(c.src_shape(), i);
    CheckCandidates(CaseOf("AveragePool", c, src, 0), Reference<float>("AveragePool", c, src, 0));
    c.count_pads = false;
    CheckCandidates(CaseOf("MaxPool", c, src, 0), Reference<float>("MaxPool", c, src, 0));
    for (int64_t p : {1, 2, 3})
      CheckCandidates(CaseOf("LpPool", c, src, p), Reference<float>("LpPool", c, src, double(p)));
  }
}

TEST(Pool, OtherLayouts) {
  const PoolCase cases[] = {
      {2, 17, {9, 20}, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, true, true},
      {1, 70, {13, 13}, {2, 2}, {2, 2}, {1, 1}, {0, 0, 0, 0}, false, false},
      {1, 24, {14, 15}, {5, 5}, {1, 1}, {2, 1}, {2, 2, 2, 2}, false, false},
  };
  for (const PoolCase& c : cases) {
    for (const char* op : {"MaxPool", "AveragePool", "LpPool"}) {
      for (Layout layout : {Layout::kChannelsLast, Layout::kBlocked8, Layout::kBlocked16})
        ExpectSameInLayout(CaseOf(op, c, Random(c.src_shape(), 3), 2), layout, layout);
    }
  }
}

TEST(Pool, LargeEnoughForTiles) {
  const PoolCase c{1, 40, {100, 101}, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}};
  const Tensor src = Random(c.src_shape(), 5);
  for (const char* op : {"MaxPool", "AveragePool"})
    CheckCandidates(CaseOf(op, c, src, 0), Reference<float>(op, c, src, 0), 2);
}

TEST(Pool, OverWholePlanes) {
  for (const Shape& shape : {Shape{2, 3, 5, 7}, Shape{1, 33, 4}, Shape{1, 2, 3, 4, 5}, Shape{1, 1, 1, 1}}) {
    PoolCase c;
    c.n = shape[0];
    c.c = shape[1];
    c.in = {shape.begin() + 2, shape.end()};
    c.kernel = c.in;
    c.strides = c.dilations = Ints(c.axes(), 1);
    c.pads = Ints(2 * c.axes(), 0);
    const Tensor src = Random(shape, 9);
    for (const char* op : {"GlobalMaxPool", "GlobalAveragePool"})
      CheckCandidates({op, 22, {}, {src}}, Reference<float>(op, c, src, 0), 2);
    for (int64_t p : {1, 2, 4})
      CheckCandidates({"GlobalLpPool", 22, {{"p", p}}, {src}},
                      Reference<float>("GlobalLpPool", c, src, double(p)));
    // The first version's p is no integer.
    CheckCandidates({"GlobalLpPool", 1, {{"p", 2.5f}}, {src}}, Reference<float>("GlobalLpPool", c, src, 2.5));
  }
}

TEST(Pool, OtherTypes) {
  const PoolCase c{2, 3, {6, 7}, {3, 2}, {2, 1}, {1, 1}, {1, 0, 1, 1}};
  const Tensor floats = Random(c.src_shape(), 4, 20);
  const auto check = [&](auto tag, std::initializer_list<const char*> ops) {
    using T = typename decltype(tag)::type;
    Tensor src(kDataType<T>, floats.shape());
    for (size_t i = 0; i < floats.values<float>().size(); ++i)
      src.mutable_values<T>()[i] = static_cast<T>(std::is_unsigned_v<T> ? std::abs(floats.values<float>()[i])
                                                                        : floats.values<float>()[i]);
    for (const char* op : ops) {
      SCOPED_TRACE(std::string(op) + " of " + std::string(DataTypeName(kDataType<T>)));
      ExpectTensor(RunOp(CaseOf(op, c, src, 2))[0], Reference<T>(op, c, src, 2), 1e-9,
                   2 * EpsilonOf(kDataType<T>));
    }
  };
  check(TypeTag<double>(), {"MaxPool", "AveragePool", "LpPool"});
  check(TypeTag<Half>(), {"MaxPool", "AveragePool", "LpPool"});
  check(TypeTag<BFloat16>(), {"MaxPool", "AveragePool", "LpPool"});
  check(TypeTag<int8_t>(), {"MaxPool"});
  check(TypeTag<uint8_t>(), {"MaxPool"});
}

TEST(Pool, IndicesOfMaxima) {
  const Tensor x = F({1, 2, 3, 3}, {1, 5, 2, 9, 5, 3, 0, 9, 4, -1, -5, -2, -9, -5, -3, -7, -9, -4});
  OpCase c{"MaxPool", 12, {{"kernel_shape", Ints{2, 2}}}, {x}, 2};
  std::vector<Value> got = RunOp(c);
  ExpectTensor(got[0], F({1, 2, 2, 2}, {9, 5, 9, 9, -1, -2, -5, -3}));
  // The first of equal ones; planes count on.
  ExpectTensor(got[1], I({1, 2, 2, 2}, {3, 1, 3, 7, 9, 11, 13, 14}));
  c.attrs["storage_order"] = int64_t{1};
  ExpectTensor(RunOp(c)[1], I({1, 2, 2, 2}, {1, 3, 1, 5, 9, 15, 13, 16}));
}

TEST(Pool, AutoPad) {
  const Tensor x = F({1, 1, 4}, {1, 2, 3, 4});
  const auto run = [&](const char* pad) {
    return RunOp({"MaxPool", 12, {{"auto_pad", std::string(pad)}, {"kernel_shape", Ints{2}}}, {x}})[0];
  };
  ExpectTensor(run("SAME_UPPER"), F({1, 1, 4}, {2, 3, 4, 4}));
  ExpectTensor(run("SAME_LOWER"), F({1, 1, 4}, {1, 2, 3, 4}));
  ExpectTensor(run("VALID"), F({1, 1, 3}, {2, 3, 4}));
}

TEST(Pool, NanIsTheMaximum) {
  const float nan = std::nanf("");
  const Tensor x = F({1, 1, 1, 5}, {1, nan, 2, 3, 4});
  const Tensor want = F({1, 1, 1, 4}, {nan, nan, 3, 4});
  CheckCandidates({"MaxPool", 12, {{"kernel_shape", Ints{1, 2}}}, {x}}, want, 2);
}

TEST(Pool, WindowsOfPaddingOnly) {
  const float inf = std::numeric_limits<float>::infinity();
  const Attrs attrs = {{"kernel_shape", Ints{2}}, {"pads", Ints{2, 2}}, {"strides", Ints{2}}};
  CheckCandidates({"MaxPool", 12, attrs, {F({1, 1, 2}, {1, 2})}}, F({1, 1, 3}, {-inf, 2, -inf}));
  CheckCandidates({"AveragePool", 11, attrs, {F({1, 1, 2}, {1, 2})}}, F({1, 1, 3}, {0, 1.5f, 0}));
}

TEST(Pool, EmptyTensors) {
  const Attrs attrs = {{"kernel_shape", Ints{2, 2}}};
  for (const char* op : {"MaxPool", "AveragePool", "LpPool"}) {
    EXPECT_EQ(RunOp({op, 22, attrs, {Random({0, 2, 4, 4}, 1)}})[0].tensor().shape(), (Shape{0, 2, 3, 3}));
    EXPECT_EQ(RunOp({op, 22, attrs, {Random({2, 0, 4, 4}, 1)}})[0].tensor().shape(), (Shape{2, 0, 3, 3}));
  }
  ExpectTensor(RunOp({"GlobalMaxPool", 1, {}, {Random({0, 3, 2, 2}, 1)}})[0],
               Tensor(DataType::kFloat, {0, 3, 1, 1}));
}

// The standard: output = floor((input + pads - span) / stride + 1), which is 0 where less than one window is
// there. A quotient rounded towards zero would be one window that hangs over the end; only ceil_mode asks for
// that.
TEST(Pool, LessThanOneWindowIsRefusedUnlessRoundedUp) {
  const auto pool = [](const char* op, int64_t size, int64_t ceil, int64_t stride) {
    return OpCase{op,
                  22,
                  {{"kernel_shape", Ints{3}}, {"strides", Ints{stride}}, {"ceil_mode", ceil}},
                  {Random({1, 2, size}, 1)}};
  };
  for (const char* op : {"MaxPool", "AveragePool", "LpPool"}) {
    ExpectRefused(pool(op, 2, 0, 2), "the window spans 3 positions of spatial axis 0, which has 2");
    ExpectRefused(pool(op, 1, 1, 2), "the window spans 3 positions of spatial axis 0, which has 1");
    EXPECT_EQ(RunOp(pool(op, 2, 1, 2))[0].tensor().shape(), (Shape{1, 2, 1}));
    EXPECT_EQ(RunOp(pool(op, 3, 0, 2))[0].tensor().shape(), (Shape{1, 2, 1}));
    // The second window begins at 2, inside, and hangs over the end.
    EXPECT_EQ(RunOp(pool(op, 4, 1, 2))[0].tensor().shape(), (Shape{1, 2, 2}));
    EXPECT_EQ(RunOp(pool(op, 4, 0, 2))[0].tensor().shape(), (Shape{1, 2, 1}));
  }
}

TEST(Pool, Misuse) {
  const Tensor x = Random({1, 2, 4, 4}, 1);
  ExpectRefused({"MaxPool", 12, {}, {x}}, "kernel_shape");
  ExpectRefused({"MaxPool", 12, {{"kernel_shape", Ints{5, 1}}}, {x}}, "the window spans 5 positions");
  ExpectRefused({"MaxPool", 12, {{"kernel_shape", Ints{2}}}, {x}}, "kernel_shape has 1 values, expected 2");
  ExpectRefused({"AveragePool", 11, {{"kernel_shape", Ints{}}}, {Random({2, 3}, 1)}},
                "expected at least 3 axes");
  ExpectRefused({"LpPool", 11, {{"kernel_shape", Ints{2, 2}}, {"p", int64_t{0}}}, {x}}, "p is 0");
  ExpectRefused({"AveragePool", 11, {{"kernel_shape", Ints{2, 2}}}, {Tensor(DataType::kInt32, {1, 1, 3, 3})}},
                "int32");
}

}  // namespace
}  // namespace sluice::test
