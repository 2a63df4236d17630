#include <cmath>
#include <numeric>

#include "tests/kernels/op_test_util.h"

// ArgMax, ArgMin, CumSum, CumProd, TopK.

namespace sluice::test {
namespace {

const float kNan = std::nanf("");

TEST(ArgReduce, PicksFirstOrLast) {
  const Tensor x = F({2, 3}, {1, 3, 3, 2, 2, 0});
  ExpectTensor(RunOp({"ArgMax", 13, {{"axis", int64_t{1}}}, {x}})[0], I({2, 1}, {1, 0}));
  ExpectTensor(RunOp({"ArgMax", 12, {{"axis", int64_t{-1}}, {"select_last_index", int64_t{1}}}, {x}})[0],
               I({2, 1}, {2, 1}));
  ExpectTensor(RunOp({"ArgMin", 11, {{"keepdims", int64_t{0}}}, {x}})[0], I({3}, {0, 1, 1}));
  ExpectTensor(RunOp({"ArgMin", 1, {{"axis", int64_t{1}}}, {Make<int8_t>({1, 2}, {5, -5})}})[0],
               I({1, 1}, {1}));
  ExpectTensor(RunOp({"ArgMax", 13, {}, {F({4}, {1, kNan, 9, kNan})}})[0], I({1}, {1}));
  ExpectTensor(RunOp({"ArgMin", 13, {{"select_last_index", int64_t{1}}}, {F({4}, {1, kNan, -9, kNan})}})[0],
               I({1}, {3}));
  ExpectTensor(RunOp({"ArgMax", 13, {}, {F({2, 0}, {})}})[0], I({1, 0}, {}));
  ExpectRefused({"ArgMax", 13, {}, {F({0, 2}, {})}}, "the axis has size 0");
  ExpectRefused({"ArgMax", 13, {{"axis", int64_t{2}}}, {x}}, "axis 2 is outside");
  ExpectRefused({"ArgMax", 13, {}, {Make<std::string>({1}, {"a"})}}, "string");
}

// Lines of a tensor along an axis, in the order of the other axes.
struct Lines {
  int64_t outer = 1, size, inner = 1;
  Lines(const Shape& shape, size_t axis) : size(shape[axis]) {
    for (size_t i = 0; i < axis; ++i) outer *= shape[i];
    for (size_t i = axis + 1; i < shape.size(); ++i) inner *= shape[i];
  }
  int64_t At(int64_t line, int64_t i, int64_t length) const {
    return (line / inner * length + i) * inner + line % inner;
  }
};

TEST(Order, AgreesWithSortingLineByLine) {
  std::mt19937 engine(11);
  for (int round = 0; round < 120; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    const auto rank = static_cast<size_t>(1 + engine() % 3);
    Shape shape;
    for (size_t i = 0; i < rank; ++i)
      shape.push_back(static_cast<int64_t>((rank == 1 ? 1 : 0) + engine() % (rank == 1 ? 2000 : 50)));
    const auto axis = static_cast<size_t>(engine() % rank);
    if (shape[axis] == 0) shape[axis] = 1;
    const Lines lines(shape, axis);
    Tensor x(DataType::kFloat, shape);
    for (float& value : x.mutable_values<float>())
      value = engine() % 20 == 0 ? kNan : static_cast<float>(engine() % 40);
    const auto at_axis = static_cast<int64_t>(axis);
    const bool largest = engine() % 2 == 0;
    const int64_t k = static_cast<int64_t>(engine() % static_cast<uint32_t>(lines.size + 1));
    Shape top_shape = shape, one = shape;
    top_shape[axis] = k;
    one[axis] = 1;
    Tensor values(DataType::kFloat, top_shape), indices(DataType::kInt64, top_shape),
        first(DataType::kInt64, one), sums(DataType::kFloat, shape);
    const bool exclusive = engine() % 2 == 0, reverse = engine() % 2 == 0;
    for (int64_t line = 0; line < lines.outer * lines.inner; ++line) {
      const auto value = [&](int64_t i) {
        return x.values<float>()[static_cast<size_t>(lines.At(line, i, lines.size))];
      };
      const auto rank_of = [&](int64_t i) { return std::isnan(value(i)) ? 1000.0f : value(i); };
      std::vector<int64_t> order(static_cast<size_t>(lines.size));
      std::iota(order.begin(), order.end(), int64_t{0});
      std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
        return largest ? rank_of(a) > rank_of(b) : rank_of(a) < rank_of(b);
      });
      for (int64_t i = 0; i < k; ++i) {
        const auto at = static_cast<size_t>(lines.At(line, i, k));
        indices.mutable_values<int64_t>()[at] = order[static_cast<size_t>(i)];
        values.mutable_values<float>()[at] = value(order[static_cast<size_t>(i)]);
      }
      if (largest) first.mutable_values<int64_t>()[static_cast<size_t>(line)] = order[0];
      double sum = 0;
      for (int64_t i = 0; i < lines.size; ++i) {
        const int64_t place = reverse ? lines.size - 1 - i : i;
        const double next = sum + static_cast<double>(value(place));
        sums.mutable_values<float>()[static_cast<size_t>(lines.At(line, place, lines.size))] =
            static_cast<float>(exclusive ? sum : next);
        sum = next;
      }
    }
    const auto top = RunOp(
        {"TopK", 11, {{"axis", at_axis}, {"largest", static_cast<int64_t>(largest)}}, {x, I({1}, {k})}, 2});
    ExpectTensor(top[0], values);
    ExpectTensor(top[1], indices);
    if (largest) ExpectTensor(RunOp({"ArgMax", 13, {{"axis", at_axis}}, {x}})[0], first);
    ExpectTensor(
        RunOp({"CumSum",
               14,
               {{"exclusive", static_cast<int64_t>(exclusive)}, {"reverse", static_cast<int64_t>(reverse)}},
               {x, I({}, {at_axis})}})[0],
        sums);
    if (HasFatalFailure()) return;
  }
}

TEST(TopK, Versions) {
  const Tensor x = Make<int32_t>({4}, {3, 1, 3, 2});
  ExpectTensor(RunOp({"TopK", 1, {{"k", int64_t{2}}}, {F({3}, {1, 2, 3})}, 2})[1], I({2}, {2, 1}));
  ExpectTensor(RunOp({"TopK", 10, {}, {F({3}, {1, 2, 3}), I({1}, {1})}, 2})[0], F({1}, {3}));
  ExpectTensor(RunOp({"TopK", 11, {{"largest", int64_t{0}}, {"sorted", int64_t{0}}}, {x, I({1}, {4})}, 2})[1],
               I({4}, {1, 3, 0, 2}));
  ExpectRefused({"TopK", 11, {}, {x, I({1}, {5})}, 2}, "k is 5, the axis has size 4");
  ExpectRefused({"TopK", 11, {}, {x, I({1}, {-1})}, 2}, "k is -1");
  ExpectRefused({"TopK", 11, {}, {x, I({2}, {1, 1})}, 2}, "expected 1");
  ExpectRefused({"TopK", 1, {{"k", int64_t{1}}}, {F({}, {1})}, 2}, "axis -1 is outside");
}

TEST(Cumulative, SumAndProduct) {
  const Tensor x = I({4}, {1, 2, 3, 4});
  ExpectTensor(RunOp({"CumSum", 11, {}, {x, Make<int32_t>({}, {0})}})[0], I({4}, {1, 3, 6, 10}));
  ExpectTensor(
      RunOp({"CumSum", 11, {{"reverse", int64_t{1}}, {"exclusive", int64_t{1}}}, {x, I({1}, {-1})}})[0],
      I({4}, {9, 7, 4, 0}));
  ExpectTensor(RunOp({"CumProd", 26, {}, {x, I({}, {0})}})[0], I({4}, {1, 2, 6, 24}));
  ExpectTensor(RunOp({"CumProd", 26, {{"exclusive", int64_t{1}}}, {x, I({}, {0})}})[0], I({4}, {1, 1, 2, 6}));
  ExpectTensor(RunOp({"CumSum", 14, {}, {Make<int8_t>({2}, {127, 1}), I({}, {0})}})[0],
               Make<int8_t>({2}, {127, -128}));
  ExpectRefused({"CumSum", 14, {}, {x, I({}, {1})}}, "axis 1 is outside");
  ExpectRefused({"CumSum", 14, {}, {x, I({2}, {0, 0})}}, "expected 1");
}

TEST(Cumulative, TakesAnAxisThatOnlyTheRunKnows) {
  const Tensor x = I({2, 2}, {1, 2, 3, 4});
  for (const Tensor& axis : {I({}, {1}), Make<int32_t>({1}, {-1}), I({}, {2})}) {
    const Node node = MakeNode({"CumSum", 14, {}, {x, axis}});
    const std::vector<TensorDesc> inputs = {{x.dtype(), x.shape()}, {axis.dtype(), axis.shape()}};
    const PreparedStep step = PrepareKernel(node, [&] {
      return PrepareContext(node, inputs, {nullptr, nullptr}, {inputs[0]}, {true}, {});
    });
    Tensor result(x.dtype(), x.shape());
    const void* in[] = {x.data(), axis.data()};
    void* out[] = {result.mutable_data()};
    const auto run = [&] { step.kernel->Run(RunContext(in, out, nullptr, nullptr), 0); };
    ASSERT_EQ(step.kernel->tiles(), 1);
    if (axis.dtype() == DataType::kInt64 && axis.values<int64_t>()[0] == 2) {
      EXPECT_THROW(run(), Error);
    } else {
      run();
      ExpectTensor(result, I({2, 2}, {1, 3, 3, 7}));
    }
  }
}

}  // namespace
}  // namespace sluice::test
