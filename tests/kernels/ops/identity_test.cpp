#include "tests/kernels/op_test_util.h"

namespace sluice::test {
namespace {

TEST(Identity, GivesTheSameElements) {
  ExpectTensor(RunOp({"Identity", 13, {}, {F({2, 2}, {1, 2, 3, 4})}})[0], F({2, 2}, {1, 2, 3, 4}));
}

TEST(Identity, RefusesTwoInputs) {
  ExpectRefused({"Identity", 13, {}, {F({1}, {1}), F({1}, {1})}}, "expected 1 inputs, found 2");
}

}  // namespace
}  // namespace sluice::test
