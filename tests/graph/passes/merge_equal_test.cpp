#include "tests/graph/passes/rewrite_test_util.h"

namespace sluice::test {
namespace {

TEST(MergeEqual, ComputesEqualNodesOnce) {
  ExpectRewrite(kMergeEqual, R"(
    x: float [2, 4]
    a = Transpose(x) {perm: [1, 0]}
    b = Transpose(x) {perm: [1, 0]}
    c = Reshape(a, [8])
    d = Reshape(b, [8])
    y = Concat(c, d) {axis: 0}
    return y)",
                R"(
    x: float [2, 4]
    a = Transpose(x) {perm: [1, 0]}
    c = Reshape(a, [8])
    y = Concat(c, c) {axis: 0}
    return y)");
}

TEST(MergeEqual, KeepsWhatDiffers) {
  ExpectKept(kMergeEqual, R"(
    x: float [2, 2]
    a = Transpose(x) {perm: [1, 0]}
    b = Transpose(x) {perm: [0, 1]}
    c = Reshape(x, [4])
    d = Reshape(x, [1, 4])
    return a, b, c, d)");
}

// The same type and operator but for an output that one of them leaves out.
TEST(MergeEqual, KeepsOutputsOfTheirOwn) {
  ExpectRewrite(kMergeEqual, R"(
    x: float [2, 4]
    a, b = Split(x) {axis: 1}
    c, d = Split(x) {axis: 1}
    y = Concat(a, d) {axis: 1}
    return y)",
                R"(
    x: float [2, 4]
    a, b = Split(x) {axis: 1}
    y = Concat(a, b) {axis: 1}
    return y)");
}

}  // namespace
}  // namespace sluice::test
