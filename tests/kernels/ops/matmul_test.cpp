#include <tbb/task_arena.h>

#include "tests/kernels/ops/conv_reference.h"
#include "tests/kernels/post_op_samples.h"
#include "tests/kernels/run_unknown.h"

// MatMul and Gemm.

namespace sluice::test {
namespace {

using Kind = PostOp::Kind;

// The elements of any numeric tensor.
std::vector<double> AsDoubles(const Tensor& tensor) {
  std::vector<double> result;
  Dispatch(NumericTypes(), tensor.dtype(), [&](auto tag) {
    for (auto value : tensor.values<typename decltype(tag)::type>())
      result.push_back(static_cast<double>(value));
  });
  return result;
}

Tensor Converted(const Tensor& from, DataType type) {
  Tensor to(type, from.shape());
  Dispatch(NumericTypes(), type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (size_t i = 0; i < from.values<float>().size(); ++i) {
      to.mutable_values<T>()[i] = static_cast<T>(from.values<float>()[i]);
    }
  });
  return to;
}

// Whole numbers from -4 to 4, exact in every signed type.
Tensor Digits(const Shape& shape, uint32_t seed) {
  Tensor result = Random(shape, seed, 2);
  for (float& value : result.mutable_values<float>()) value = std::clamp(std::round(value), -4.0f, 4.0f);
  return result;
}

// One element at a time, summed in double.
std::vector<double> ReferenceMatMul(const Tensor& a_tensor, const Tensor& b_tensor, Shape* shape) {
  const std::vector<double> a = AsDoubles(a_tensor), b = AsDoubles(b_tensor);
  Shape as = a_tensor.shape(), bs = b_tensor.shape();
  const bool row = as.size() > 1, column = bs.size() > 1;
  if (!row) as.insert(as.begin(), 1);
  if (!column) bs.push_back(1);
  const int64_t m = as[as.size() - 2], k = as.back(), n = bs.back();
  Shape batch(std::max(as.size(), bs.size()) - 2, 1);
  const auto size_at = [&](const Shape& s, size_t i) {
    const size_t lead = batch.size() + 2 - s.size();
    return i < lead ? 1 : s[i - lead];
  };
  for (size_t i = 0; i < batch.size(); ++i) {
    batch[i] = size_at(as, i) == 1 ? size_at(bs, i) : size_at(as, i);
  }
  std::vector<double> result;
  for (int64_t at = 0; at < NumElements(batch); ++at) {
    int64_t rest = at, a_at = 0, b_at = 0, a_step = m * k, b_step = k * n;
    for (size_t i = batch.size(); i-- > 0;) {
      const int64_t position = rest % batch[i];
      rest /= batch[i];
      if (size_at(as, i) > 1) a_at += position * a_step;
      if (size_at(bs, i) > 1) b_at += position * b_step;
      a_step *= size_at(as, i);
      b_step *= size_at(bs, i);
    }
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        double sum = 0;
        for (int64_t p = 0; p < k; ++p) {
          sum += a[static_cast<size_t>(a_at + i * k + p)] * b[static_cast<size_t>(b_at + p * n + j)];
        }
        result.push_back(sum);
      }
    }
  }
  *shape = batch;
  if (row) shape->push_back(m);
  if (column) shape->push_back(n);
  return result;
}

// Every candidate that takes the node gives `want`.
void CheckNode(const Node& node, const std::vector<Value>& inputs, const Tensor& want, Tolerance tolerance) {
  int ran = 0;
  for (size_t candidate = 0; candidate < node.op->kernels.size(); ++candidate) {
    std::string shapes;
    for (const Value& value : inputs) shapes += ToString(value.tensor().shape()) + ' ';
    SCOPED_TRACE("candidate " + std::to_string(candidate) + ", inputs " + shapes);
    try {
      const std::vector<Value> got = EvaluateWith(candidate, node, inputs);
      ExpectTensor(got[0], want, tolerance.atol, tolerance.rtol);
      ExpectTensor(RunUnknown(candidate, node, inputs, got)[0], want, tolerance.atol, tolerance.rtol);
      ++ran;
    } catch (const Declined&) {
    }
  }
  EXPECT_GT(ran, 0);
}

void CheckMatMul(const Tensor& a, const Tensor& b, std::vector<PostOp> post_ops = {},
                 const std::vector<Tensor>& operands = {}) {
  OpCase c{.op = "MatMul", .opset = 13, .inputs = {a, b}};
  for (const Tensor& operand : operands) c.inputs.push_back(operand);
  Node node = MakeNode(c);
  node.post_ops = std::move(post_ops);
  Shape shape;
  std::vector<double> want = ReferenceMatMul(a, b, &shape);
  ApplyPostOps(node, c.inputs, shape, want);
  Tolerance tolerance = SumTolerance(DataType::kFloat, a.shape().back(), 4);
  tolerance.rtol = 1e-5;
  CheckNode(node, c.inputs, FloatTensor(shape, want), tolerance);
}

TEST(MatMul, MatchesTheStandardsExamples) {
  ExpectTensor(RunOp({"MatMul", 13, {}, {F({2, 2}, {1, 2, 3, 4}), F({2, 1}, {10, 1})}})[0],
               F({2, 1}, {12, 34}));
  ExpectTensor(RunOp({"MatMul", 1, {}, {F({2}, {1, 2}), F({2}, {10, 1})}})[0], F({}, {12}));
  ExpectTensor(RunOp({"MatMul", 9, {}, {F({2}, {1, 2}), F({2, 2}, {1, 2, 3, 4})}})[0], F({2}, {7, 10}));
  ExpectTensor(RunOp({"MatMul", 9, {}, {F({2, 2}, {1, 2, 3, 4}), F({2}, {1, 2})}})[0], F({2}, {5, 11}));
}

TEST(MatMul, RandomShapes) {
  std::mt19937 engine(71);
  for (uint32_t i = 0; i < 200 && !testing::Test::HasFailure(); ++i) {
    SCOPED_TRACE("seed " + std::to_string(i));
    const auto draw = [&] { return Draw(engine, {1, 2, 7, 17, 33, 64, 65, 130, 201}); };
    const int64_t m = draw(), n = draw(), k = draw();
    Shape a, b;
    for (int64_t axes = Draw(engine, {0, 0, 1, 2, 3}); axes > 0; --axes) {
      const int64_t size = Draw(engine, {1, 2, 3});
      const int64_t kind = Draw(engine, {0, 0, 1, 2});
      a.push_back(kind == 1 ? 1 : size);
      b.push_back(kind == 2 ? 1 : size);
    }
    if (engine() % 3 == 0) b.erase(b.begin(), b.begin() + static_cast<int64_t>(engine() % (b.size() + 1)));
    if (a.empty() && engine() % 4 == 0)
      a = {k};
    else
      a.insert(a.end(), {m, k});
    if (b.empty() && engine() % 4 == 0)
      b = {k};
    else
      b.insert(b.end(), {k, n});
    CheckMatMul(Random(a, 2 * i), Random(b, 2 * i + 1));
  }
}

TEST(MatMul, ZeroSizes) {
  ExpectTensor(RunOp({"MatMul", 13, {}, {Random({2, 0}, 1), Random({0, 3}, 1)}})[0],
               F({2, 3}, {0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(RunOp({"MatMul", 13, {}, {Random({0, 2}, 1), Random({2, 3}, 1)}})[0].tensor().shape(),
            (Shape{0, 3}));
  EXPECT_EQ(RunOp({"MatMul", 13, {}, {Random({0, 2, 2}, 1), Random({2, 3}, 1)}})[0].tensor().shape(),
            (Shape{0, 2, 3}));
  EXPECT_EQ(RunOp({"MatMul", 13, {}, {Random({2, 2}, 1), Random({2, 0}, 1)}})[0].tensor().shape(),
            (Shape{2, 0}));
}

// Large enough to be cut along every axis.
TEST(MatMul, TiledShapes) {
  CheckMatMul(Random({300, 257}, 1), Random({257, 400}, 2));
  CheckMatMul(Random({1, 1000}, 3), Random({1000, 1029}, 4));
  CheckMatMul(Random({1100, 700}, 5), Random({700, 40}, 6));
  CheckMatMul(Random({5, 130, 300}, 7), Random({5, 300, 200}, 8));
  CheckMatMul(Random({7, 1, 40, 64}, 9), Random({6, 64, 40}, 10));
  CheckMatMul(Random({1000}, 11), Random({1000, 800}, 12));
}

TEST(MatMul, EveryPostOp) {
  const Tensor a = Random({2, 33, 60}, 1, 0.2f), b = Random({60, 70}, 2);
  const Tensor full = Random({2, 33, 70}, 3), column = Random({70}, 4), row = Random({33, 1}, 5);
  const Tensor scalar = F({1}, {-1.5f}), batch = Random({2, 1, 1}, 6);
  for (const PostOp& op : UnaryPostOps()) {
    SCOPED_TRACE(ToString(op));
    CheckMatMul(a, b, {op});
  }
  for (const Tensor& operand : {full, column, row, scalar, batch}) {
    for (Kind kind : {Kind::kAdd, Kind::kMul, Kind::kPRelu}) {
      SCOPED_TRACE(PostOpName(kind) + ToString(operand.shape()));
      CheckMatMul(a, b, {{.kind = kind, .operand = 2}}, {operand});
      CheckMatMul(a, b, {{Kind::kLeakyRelu, 0.3f}, {.kind = kind, .operand = 2}, {Kind::kTanh}}, {operand});
    }
  }
  CheckMatMul(Random({400, 300}, 7, 0.1f), Random({300}, 8),
              {{.kind = Kind::kAdd, .operand = 2}, {Kind::kRelu}}, {Random({400}, 9)});
  CheckMatMul(Random({9}, 7), Random({9}, 8), {{Kind::kSquare}});
}

TEST(MatMul, OtherTypes) {
  const Tensor a = Digits({3, 14, 300}, 1), b = Digits({300, 70}, 2);
  Shape shape;
  for (DataType type : {DataType::kDouble, DataType::kFloat16, DataType::kBFloat16, DataType::kInt8,
                        DataType::kInt16, DataType::kInt32, DataType::kInt64, DataType::kUInt8,
                        DataType::kUInt16, DataType::kUInt32, DataType::kUInt64}) {
    SCOPED_TRACE(DataTypeName(type));
    // Negative digits wrap around in the unsigned types, as the sums do.
    const auto digits = [&](const Tensor& from) {
      Tensor whole = from.Clone();
      if (DataTypeName(type).starts_with("uint")) {
        for (float& value : whole.mutable_values<float>()) value = std::abs(value);
      }
      return Converted(whole, type);
    };
    const Tensor x = digits(a), y = digits(b);
    const std::vector<double> sums = ReferenceMatMul(x, y, &shape);
    const Tensor got = RunOp({"MatMul", 13, {}, {x, y}})[0].tensor();
    const std::vector<double> values = AsDoubles(got);
    ASSERT_EQ(got.shape(), shape);
    ASSERT_EQ(got.dtype(), type);
    const bool narrow = type == DataType::kInt8 || type == DataType::kUInt8;
    for (size_t i = 0; i < sums.size(); ++i) {
      double expected = sums[i];
      if (narrow) {
        const int64_t low = static_cast<int64_t>(expected) & 255;
        expected = static_cast<double>(type == DataType::kInt8 && low > 127 ? low - 256 : low);
      }
      ASSERT_NEAR(values[i], expected, 4 * EpsilonOf(type) * std::abs(expected)) << i;
    }
  }
}

TEST(MatMul, Misuse) {
  ExpectRefused({"MatMul", 13, {}, {Random({2, 3}, 1), Random({4, 5}, 1)}}, "inner sizes are 3 and 4");
  ExpectRefused({"MatMul", 13, {}, {Random({}, 1), Random({4, 5}, 1)}}, "scalar");
  ExpectRefused({"MatMul", 13, {}, {Random({2, 3, 4}, 1), Random({3, 4, 5}, 1)}}, "do not broadcast");
  ExpectRefused({"MatMul", 13, {}, {Random({2, 3}, 1), Tensor(DataType::kDouble, {3, 2})}},
                "input 1 is double, expected float");
}

void CheckGemm(int opset, Attrs attrs, const Tensor& a, const Tensor& b, const Tensor& c,
               std::vector<PostOp> post_ops = {}) {
  const auto flag = [&](const char* name) {
    return attrs.count(name) != 0 && std::get<int64_t>(attrs.at(name)) != 0;
  };
  const auto factor = [&](const char* name) {
    return attrs.count(name) != 0 ? double{std::get<float>(attrs.at(name))} : 1.0;
  };
  const bool ta = flag("transA"), tb = flag("transB");
  const int64_t m = a.shape()[ta ? 1 : 0], k = a.shape()[ta ? 0 : 1], n = b.shape()[tb ? 0 : 1];
  const auto x = a.values<float>(), y = b.values<float>();
  std::vector<double> want;
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (int64_t p = 0; p < k; ++p) {
        sum += double{x[static_cast<size_t>(ta ? p * m + i : i * k + p)]} *
               double{y[static_cast<size_t>(tb ? j * k + p : p * n + j)]};
      }
      sum *= factor("alpha");
      if (!c.empty()) sum += factor("beta") * BroadcastAt(c, {m, n}, i * n + j);
      want.push_back(sum);
    }
  }
  OpCase op{.op = "Gemm", .opset = opset, .attrs = attrs, .inputs = {a, b}};
  if (!c.empty()) op.inputs.push_back(c);
  Node node = MakeNode(op);
  node.post_ops = std::move(post_ops);
  ApplyPostOps(node, op.inputs, {m, n}, want);
  Tolerance tolerance = SumTolerance(DataType::kFloat, k, 4);
  tolerance.rtol = 1e-5;
  CheckNode(node, op.inputs, FloatTensor({m, n}, want), tolerance);
}

TEST(Gemm, RandomShapes) {
  std::mt19937 engine(72);
  for (uint32_t i = 0; i < 200 && !testing::Test::HasFailure(); ++i) {
    SCOPED_TRACE("seed " + std::to_string(i));
    const auto draw = [&] { return Draw(engine, {1, 2, 16, 31, 64, 100, 260, 301}); };
    const int64_t m = draw(), n = draw(), k = draw();
    Attrs attrs;
    const bool ta = engine() % 2 == 0, tb = engine() % 2 == 0;
    if (ta) attrs["transA"] = int64_t{1};
    if (tb) attrs["transB"] = int64_t{1};
    if (engine() % 3 == 0) attrs["alpha"] = 0.5f;
    if (engine() % 3 == 0) attrs["beta"] = Draw(engine, {0, 1}) == 0 ? 0.0f : -1.25f;
    Tensor c;
    switch (engine() % 7) {
      case 0:
        c = Random({m, n}, i);
        break;
      case 1:
        c = Random({n}, i);
        break;
      case 2:
        c = Random({1, n}, i);
        break;
      case 3:
        c = Random({m, 1}, i);
        break;
      case 4:
        c = Random({}, i);
        break;
      case 5:
        c = Random({1}, i);
        break;
      default:
        break;
    }
    std::vector<PostOp> post_ops;
    if (engine() % 3 == 0) post_ops.push_back({Kind::kLeakyRelu, 0.1f});
    CheckGemm(13, attrs, Random(ta ? Shape{k, m} : Shape{m, k}, 2 * i),
              Random(tb ? Shape{n, k} : Shape{k, n}, 2 * i + 1), c, post_ops);
  }
}

TEST(Gemm, Integers) {
  const Tensor a = Make<int32_t>({2, 2}, {1, 2, 3, 4}), b = Make<int32_t>({2, 1}, {10, -1}),
               c = Make<int32_t>({1}, {7});
  ExpectTensor(RunOp({"Gemm", 9, {}, {a, b, c}})[0], Make<int32_t>({2, 1}, {15, 33}));
  ExpectTensor(RunOp({"Gemm", 9, {{"alpha", 0.5f}, {"beta", 3.0f}}, {a, b, c}})[0],
               Make<int32_t>({2, 1}, {25, 34}));
  ExpectTensor(RunOp({"Gemm", 11, {{"alpha", 1e30f}}, {a, b}})[0],
               Make<int32_t>({2, 1}, {INT32_MAX, INT32_MAX}));
}

TEST(Gemm, OldVersionsBroadcastOnDemand) {
  const Tensor a = F({2, 1}, {1, 2}), b = F({1, 2}, {3, 4}), c = F({2}, {10, 20});
  ExpectTensor(RunOp({"Gemm", 6, {{"broadcast", int64_t{1}}}, {a, b, c}})[0], F({2, 2}, {13, 24, 16, 28}));
  ExpectTensor(RunOp({"Gemm", 7, {}, {a, b, c}})[0], F({2, 2}, {13, 24, 16, 28}));
  ExpectRefused({"Gemm", 1, {}, {a, b, c}}, "expected [2, 2] (broadcast is 0)");
}

TEST(Gemm, Misuse) {
  ExpectRefused({"Gemm", 13, {}, {Random({2, 3}, 1), Random({4, 5}, 1)}}, "inner sizes are 3 and 4");
  ExpectRefused({"Gemm", 13, {}, {Random({1, 2, 3}, 1), Random({3, 5}, 1)}},
                "input 0 has rank 3, expected 2");
  ExpectRefused({"Gemm", 13, {}, {Random({2, 3}, 1), Random({3, 5}, 1), Random({3}, 1)}},
                "input 2 is [3], expected [2, 5]");
  ExpectRefused({"Gemm", 13, {}, {Random({2, 3}, 1), Random({3, 5}, 1), Random({1, 2, 5}, 1)}},
                "or what broadcasts to it");
}

TEST(MatMul, BitsDoNotDependOnTheThreads) {
  const OpCase op{"MatMul", 13, {}, {Random({200, 500}, 1), Random({500, 300}, 2)}};
  const Node node = MakeNode(op);
  for (size_t candidate = 0; candidate < node.op->kernels.size(); ++candidate) {
    Tensor first, second;
    tbb::task_arena(4).execute([&] { first = EvaluateWith(candidate, node, op.inputs)[0].tensor(); });
    {
      const SerialScope serial;
      second = EvaluateWith(candidate, node, op.inputs)[0].tensor();
    }
    EXPECT_EQ(0, std::memcmp(first.data(), second.data(), static_cast<size_t>(first.byte_size())));
  }
}

}  // namespace
}  // namespace sluice::test
