#include "tests/kernels/op_test_util.h"

namespace sluice::test {
namespace {

TEST(Col2Im, OverlapsAddUp) {
  // Blocks of 2 at positions 0 and 1 of an image of 3.
  ExpectTensor(RunOp({"Col2Im", 18, {}, {F({1, 2, 2}, {1, 2, 10, 20}), I({1}, {3}), I({1}, {2})}})[0],
               F({1, 1, 3}, {1, 12, 20}));
  ExpectTensor(RunOp({"Col2Im",
                      18,
                      {{"pads", std::vector<int64_t>{1, 0}}, {"strides", std::vector<int64_t>{2}}},
                      {F({1, 2, 2}, {1, 2, 10, 20}), I({1}, {3}), I({1}, {2})}})[0],
               F({1, 1, 3}, {10, 2, 20}));
}

TEST(Col2Im, Refuses) {
  ExpectRefused({"Col2Im", 18, {}, {F({1, 2, 3}, {1, 2, 3, 4, 5, 6}), I({1}, {3}), I({1}, {2})}},
                "expected [n, multiple of 2, 2]");
  ExpectRefused({"Col2Im", 18, {}, {F({1, 2, 1}, {1, 2}), I({1}, {0}), I({1}, {2})}}, "outside [1, 2^31]");
}

}  // namespace
}  // namespace sluice::test
