#include "tests/kernels/op_test_util.h"

// Trilu, EyeLike, Det.

namespace sluice::test {
namespace {

TEST(Trilu, KeepsATriangle) {
  std::mt19937 engine(3);
  for (int round = 0; round < 100; ++round) {
    const auto rows = static_cast<int64_t>(engine() % 6), columns = static_cast<int64_t>(engine() % 6);
    const int64_t k = round == 0   ? INT64_MIN
                      : round == 1 ? INT64_MAX
                                   : static_cast<int64_t>(engine() % 15) - 7;
    const bool upper = engine() % 2 == 0;
    SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(columns) + ", k " + std::to_string(k));
    Tensor x(DataType::kInt64, {2, rows, columns}), want = x.Clone();
    for (int64_t i = 0; i < x.num_elements(); ++i) {
      const int64_t row = i / columns % rows, column = i % columns;
      const auto at = static_cast<size_t>(i);
      x.mutable_values<int64_t>()[at] = i + 1;
      // In double, where k has no limits.
      const double offset = static_cast<double>(column - row) - static_cast<double>(k);
      want.mutable_values<int64_t>()[at] = (upper ? offset >= 0 : offset <= 0) ? i + 1 : 0;
    }
    ExpectTensor(RunOp({"Trilu", 14, {{"upper", static_cast<int64_t>(upper)}}, {x, I({}, {k})}})[0], want);
  }
  ExpectTensor(RunOp({"Trilu", 14, {}, {Make<bool>({2, 2}, {true, true, true, true})}})[0],
               Make<bool>({2, 2}, {true, true, false, true}));
  ExpectRefused({"Trilu", 14, {}, {I({2}, {1, 2})}}, "expected rank 2");
  ExpectRefused({"Trilu", 14, {}, {I({1, 1}, {1}), I({2}, {1, 2})}}, "expected one int64");
}

TEST(EyeLike, HasOnesOnADiagonal) {
  const Tensor x = I({2, 3}, {9, 9, 9, 9, 9, 9});
  ExpectTensor(RunOp({"EyeLike", 9, {}, {x}})[0], I({2, 3}, {1, 0, 0, 0, 1, 0}));
  ExpectTensor(RunOp({"EyeLike", 9, {{"k", int64_t{2}}, {"dtype", int64_t{1}}}, {x}})[0],
               F({2, 3}, {0, 0, 1, 0, 0, 0}));
  ExpectTensor(RunOp({"EyeLike", 22, {{"k", int64_t{-1}}, {"dtype", int64_t{9}}}, {x}})[0],
               Make<bool>({2, 3}, {false, false, false, true, false, false}));
  for (int64_t k : {int64_t{3}, int64_t{-2}, INT64_MAX, INT64_MIN})
    ExpectTensor(RunOp({"EyeLike", 9, {{"k", k}}, {x}})[0], I({2, 3}, {0, 0, 0, 0, 0, 0}));
  ExpectTensor(RunOp({"EyeLike", 9, {}, {I({0, 3}, {})}})[0], I({0, 3}, {}));
  ExpectRefused({"EyeLike", 9, {}, {I({1}, {1})}}, "expected rank 2");
  ExpectRefused({"EyeLike", 9, {{"dtype", int64_t{8}}}, {x}}, "string");
}

// By expansion along the first row.
double Expanded(const std::vector<std::vector<double>>& a) {
  if (a.empty()) return 1;
  double det = 0;
  for (size_t column = 0; column < a.size(); ++column) {
    std::vector<std::vector<double>> minor;
    for (size_t row = 1; row < a.size(); ++row) {
      minor.push_back(a[row]);
      minor.back().erase(minor.back().begin() + static_cast<std::ptrdiff_t>(column));
    }
    det += (column % 2 == 0 ? 1 : -1) * a[0][column] * Expanded(minor);
  }
  return det;
}

TEST(Det, AgreesWithExpansion) {
  for (int64_t n = 0; n < 7; ++n) {
    const Tensor x = Random({3, n, n}, static_cast<uint32_t>(n) + 1);
    Tensor want(DataType::kFloat, {3});
    for (int64_t m = 0; m < 3; ++m) {
      std::vector<std::vector<double>> a(static_cast<size_t>(n));
      for (int64_t i = 0; i < n * n; ++i)
        a[static_cast<size_t>(i / n)].push_back(
            static_cast<double>(x.values<float>()[static_cast<size_t>(m * n * n + i)]));
      want.mutable_values<float>()[static_cast<size_t>(m)] = static_cast<float>(Expanded(a));
    }
    ExpectTensor(RunOp({"Det", 11, {}, {x}})[0], want);
  }
  ExpectTensor(RunOp({"Det", 22, {}, {Make<double>({2, 2}, {0, 1, 1, 0})}})[0], Make<double>({}, {-1}));
  ExpectTensor(RunOp({"Det", 11, {}, {F({2, 2}, {1, 2, 2, 4})}})[0], F({}, {0}));
  ExpectTensor(RunOp({"Det", 11, {}, {F({0, 2, 2}, {})}})[0], F({0}, {}));
  ExpectRefused({"Det", 11, {}, {F({1, 2}, {1, 2})}}, "expected square matrices");
  ExpectRefused({"Det", 11, {}, {I({1, 1}, {1})}}, "int64");
}

}  // namespace
}  // namespace sluice::test
