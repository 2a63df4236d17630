#include "tests/kernels/op_test_util.h"

// NonZero, Compress, OneHot, ReverseSequence, Unique.

namespace sluice::test {
namespace {

TEST(NonZero, ListsCoordinates) {
  ExpectTensor(RunOp({"NonZero", 13, {}, {F({2, 2}, {1, 0, 0, 2})}})[0], I({2, 2}, {0, 1, 0, 1}));
  ExpectTensor(RunOp({"NonZero", 13, {}, {F({0, 2}, {})}})[0], I({2, 0}, {}));
  ExpectTensor(RunOp({"NonZero", 13, {}, {F({}, {1})}})[0], I({1, 1}, {0}));
}

TEST(Compress, AlongAnAxisAndFlat) {
  const Tensor x = I({2, 3}, {1, 2, 3, 4, 5, 6});
  ExpectTensor(RunOp({"Compress", 11, {{"axis", int64_t{-1}}}, {x, Make<bool>({2}, {false, true})}})[0],
               I({2, 1}, {2, 5}));
  ExpectTensor(RunOp({"Compress", 9, {}, {x, Make<bool>({5}, {true, false, false, false, true})}})[0],
               I({2}, {1, 5}));
  ExpectRefused({"Compress", 11, {{"axis", int64_t{0}}}, {x, Make<bool>({3}, {true, true, true})}},
                "condition has 3 elements");
}

TEST(OneHot, NegativeAndOutside) {
  ExpectTensor(RunOp({"OneHot", 11, {}, {I({3}, {1, -1, 7}), I({}, {3}), F({2}, {0, 5})}})[0],
               F({3, 3}, {0, 5, 0, 0, 0, 5, 0, 0, 0}));
  ExpectTensor(RunOp({"OneHot", 9, {{"axis", int64_t{0}}}, {I({2}, {1, 0}), I({1}, {2}), I({2}, {0, 1})}})[0],
               I({2, 2}, {0, 1, 1, 0}));
  ExpectRefused({"OneHot", 11, {}, {I({1}, {0}), I({}, {int64_t{1} << 50}), F({2}, {0, 1})}},
                "exceeds the machine's memory");
}

TEST(ReverseSequence, PerBatch) {
  ExpectTensor(RunOp({"ReverseSequence",
                      10,
                      {{"time_axis", int64_t{1}}, {"batch_axis", int64_t{0}}},
                      {I({2, 3}, {1, 2, 3, 4, 5, 6}), I({2}, {2, 3})}})[0],
               I({2, 3}, {2, 1, 3, 6, 5, 4}));
  ExpectRefused({"ReverseSequence", 10, {}, {I({1, 1}, {1}), I({1}, {2})}},
                "sequence length 2 is outside [0, 1]");
}

TEST(Unique, SortedAndInOrder) {
  const Tensor x = I({5}, {2, 1, 1, 3, 2});
  auto out = RunOp({"Unique", 11, {}, {x}, 4});
  ExpectTensor(out[0], I({3}, {1, 2, 3}));
  ExpectTensor(out[1], I({3}, {1, 0, 3}));
  ExpectTensor(out[2], I({5}, {1, 0, 0, 2, 1}));
  ExpectTensor(out[3], I({3}, {2, 2, 1}));
  ExpectTensor(RunOp({"Unique", 11, {{"sorted", int64_t{0}}}, {x}})[0], I({3}, {2, 1, 3}));
  ExpectTensor(RunOp({"Unique", 11, {{"axis", int64_t{0}}}, {I({3, 2}, {1, 0, 1, 0, 0, 1})}})[0],
               I({2, 2}, {0, 1, 1, 0}));
}

}  // namespace
}  // namespace sluice::test
