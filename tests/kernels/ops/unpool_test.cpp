#include "tests/kernels/op_test_util.h"

// MaxUnpool and MaxRoiPool.

namespace sluice::test {
namespace {

using Ints = std::vector<int64_t>;

TEST(MaxUnpool, UndoesMaxPool) {
  std::mt19937 engine(77);
  for (uint32_t i = 0; i < 40; ++i) {
    const Shape shape = {1 + int64_t(engine() % 3), 1 + int64_t(engine() % 3), 2 + int64_t(engine() % 8),
                         3 + int64_t(engine() % 8)};
    const Attrs attrs = {{"kernel_shape", Ints{2, 3}}, {"strides", Ints{2, 3}}};
    const Tensor x = Random(shape, i);
    const std::vector<Value> pooled = RunOp({"MaxPool", 12, attrs, {x}, 2});
    const Tensor sizes = Tensor::From<int64_t>({4}, shape);
    const bool whole = shape[2] % 2 == 0 && shape[3] % 3 == 0;
    // Indices are those of the shape that the attributes tell.
    if (!whole) continue;
    Tensor want(DataType::kFloat, shape);
    std::fill_n(want.mutable_values<float>().begin(), want.num_elements(), 0.0f);
    for (int64_t j = 0; j < pooled[1].tensor().num_elements(); ++j) {
      const auto at = static_cast<size_t>(pooled[1].tensor().values<int64_t>()[static_cast<size_t>(j)]);
      want.mutable_values<float>()[at] = x.values<float>()[at];
    }
    ExpectTensor(RunOp({"MaxUnpool", 11, attrs, {pooled[0], pooled[1]}})[0], want, 0, 0);
    ExpectTensor(RunOp({"MaxUnpool", 11, attrs, {pooled[0], pooled[1], sizes}})[0], want, 0, 0);
  }
}

TEST(MaxUnpool, LargerOutput) {
  const Tensor x = F({1, 1, 2}, {5, 6}), indices = I({1, 1, 2}, {1, 3});
  const Attrs attrs = {{"kernel_shape", Ints{2}}, {"strides", Ints{2}}};
  ExpectTensor(RunOp({"MaxUnpool", 9, attrs, {x, indices}})[0], F({1, 1, 4}, {0, 5, 0, 6}));
  ExpectTensor(RunOp({"MaxUnpool", 9, attrs, {x, indices, I({3}, {1, 1, 6})}})[0],
               F({1, 1, 6}, {0, 5, 0, 6, 0, 0}));
  EXPECT_EQ(RunOp({"MaxUnpool", 9, attrs, {Random({0, 1, 2}, 1), I({0, 1, 2}, {})}})[0].tensor().shape(),
            (Shape{0, 1, 4}));
}

TEST(MaxUnpool, Misuse) {
  const Tensor x = F({1, 1, 2}, {5, 6});
  const Attrs attrs = {{"kernel_shape", Ints{2}}, {"strides", Ints{2}}};
  ExpectRefused({"MaxUnpool", 9, attrs, {x, I({1, 1, 2}, {1, 4})}}, "index 4 is outside");
  ExpectRefused({"MaxUnpool", 9, attrs, {x, I({1, 1, 2}, {-1, 0})}}, "index -1 is outside");
  ExpectRefused({"MaxUnpool", 9, attrs, {x, I({1, 2}, {1, 3})}}, "expected [1, 1, 2]");
  ExpectRefused({"MaxUnpool", 9, attrs, {x, x}}, "expected int64");
  ExpectRefused({"MaxUnpool", 9, attrs, {x, I({1, 1, 2}, {1, 3}), I({3}, {1, 1, 2})}}, "index 3 is outside");
  ExpectRefused({"MaxUnpool", 9, attrs, {x, I({1, 1, 2}, {1, 3}), I({2}, {1, 1})}}, "expected 3 sizes");
}

TEST(MaxRoiPool, WorkedExample) {
  // 4 x 4 with the numbers 0 to 15, and their negatives.
  Tensor x(DataType::kFloat, {2, 1, 4, 4});
  for (int i = 0; i < 32; ++i)
    x.mutable_values<float>()[static_cast<size_t>(i)] = static_cast<float>(i < 16 ? i : 16 - i);
  const Tensor rois = F({3, 5}, {0, 0, 0, 3, 3, 1, 1, 1, 2, 2, 0, 3, 3, 9, 9});
  ExpectTensor(RunOp({"MaxRoiPool", 1, {{"pooled_shape", Ints{2, 2}}}, {x, rois}})[0],
               // The last one reaches out: only one bin has elements.
               F({3, 1, 2, 2}, {5, 7, 13, 15, -5, -6, -9, -10, 15, 0, 0, 0}));
  ExpectTensor(RunOp({"MaxRoiPool",
                      22,
                      {{"pooled_shape", Ints{1, 1}}, {"spatial_scale", 0.5f}},
                      {x, F({1, 5}, {0, 2, 2, 4, 4})}})[0],
               F({1, 1, 1, 1}, {10}));
}

TEST(MaxRoiPool, Misuse) {
  const Tensor x = Random({1, 2, 4, 4}, 1), roi = F({1, 5}, {0, 0, 0, 3, 3});
  ExpectRefused({"MaxRoiPool", 1, {{"pooled_shape", Ints{2, 2}}}, {x, F({1, 5}, {1, 0, 0, 3, 3})}},
                "is outside [0, 1)");
  ExpectRefused({"MaxRoiPool", 1, {{"pooled_shape", Ints{2, 2}}}, {x, F({1, 4}, {0, 0, 3, 3})}},
                "expected [count, 5]");
  ExpectRefused({"MaxRoiPool", 1, {{"pooled_shape", Ints{2}}}, {x, roi}}, "pooled_shape is [2]");
  ExpectRefused({"MaxRoiPool", 1, {}, {x, roi}}, "pooled_shape");
  ExpectRefused({"MaxRoiPool", 1, {{"pooled_shape", Ints{2, 2}}}, {Random({1, 2, 4}, 1), roi}},
                "expected [n, c, h, w]");
}

}  // namespace
}  // namespace sluice::test
