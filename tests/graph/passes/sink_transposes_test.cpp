#include "tests/graph/passes/rewrite_test_util.h"

namespace sluice::test {
namespace {

const std::string kHead = "x: float [2, 3, 4, 5]\n z: float [2, 3, 4, 5]\n";

void ExpectSunk(const std::string& before, const std::string& after) {
  ExpectRewrite(kSinkTransposes, kHead + before, kHead + after);
}

TEST(SinkTransposes, BehindElementwise) {
  ExpectSunk("t = Transpose(x) {perm: [0, 2, 3, 1]}  y = Relu(t)  return y, z",
             "t = Relu(x)  y = Transpose(t) {perm: [0, 2, 3, 1]}  return y, z");
  ExpectSunk(R"(
    t = Transpose(x) {perm: [0, 2, 3, 1]}  u = Transpose(z) {perm: [0, 2, 3, 1]}
    a = Add(t, u)  b = Mul(a, 2)
    return b)",
             R"(
    a = Add(x, z)  b = Mul(a, 2)  y = Transpose(b) {perm: [0, 2, 3, 1]}
    return y)");
}

TEST(SinkTransposes, TurnsConstantsBack) {
  ExpectSunk(R"(
    k = const [3]  t = Transpose(x) {perm: [0, 2, 3, 1]}
    y = Add(t, k)
    return y, z)",
             R"(
    k = const [1, 3, 1, 1]  a = Add(x, k)
    y = Transpose(a) {perm: [0, 2, 3, 1]}
    return y, z)");
}

TEST(SinkTransposes, MapsAxesAndPads) {
  ExpectSunk(R"(
    t = Transpose(x) {perm: [0, 2, 3, 1]}  u = Transpose(z) {perm: [0, 2, 3, 1]}
    y = Concat(t, u) {axis: -1}
    return y)",
             R"(
    a = Concat(x, z) {axis: 1}  y = Transpose(a) {perm: [0, 2, 3, 1]}
    return y)");
  ExpectSunk(R"(
    t = Transpose(x) {perm: [0, 2, 3, 1]}
    y = Pad(t, [0, 1, 2, 3, 0, 4, 5, 6])
    return y, z)",
             R"(
    a = Pad(x, [0, 3, 1, 2, 0, 6, 4, 5])  y = Transpose(a) {perm: [0, 2, 3, 1]}
    return y, z)");
  ExpectSunk(R"(
    t = Transpose(x) {perm: [0, 2, 3, 1]}
    y = ReduceMean(t) {axes: [1, 2]}
    return y, z)",
             R"(
    a = ReduceMean(x) {axes: [2, 3]}  y = Transpose(a) {perm: [0, 2, 3, 1]}
    return y, z)");
  ExpectSunk(R"(
    t = Transpose(x) {perm: [0, 2, 3, 1]}
    a, b = Split(t, [2, 2]) {axis: 1}
    return b, a, z)",
             R"(
    a, b = Split(x, [2, 2]) {axis: 2}
    c = Transpose(a) {perm: [0, 2, 3, 1]}  d = Transpose(b) {perm: [0, 2, 3, 1]}
    return d, c, z)");
}

TEST(SinkTransposes, StaysWhereItDoesNotHelp) {
  ExpectKept(kSinkTransposes, kHead + "t = Transpose(x) {perm: [0, 2, 3, 1]}  y = Relu(t)  return y, t, z");
  ExpectKept(kSinkTransposes,
             "x: float [2, 3, 4, 4]  z: float [2, 4, 4, 3]  t = Transpose(x) {perm: [0, 2, 3, 1]}  "
             "y = Add(t, z)  return y");
  ExpectKept(kSinkTransposes,
             "x: float [3, 3]  z: float [3, 3]  t = Transpose(x) {perm: [1, 0]}  "
             "y = MatMul(t, z)  return y");
  ExpectKept(kSinkTransposes,
             kHead +
                 "t = Transpose(x) {perm: [0, 2, 3, 1]}  y = ReduceMean(t) {axes: [1], keepdims: 0}  "
                 "return y, z");
}

}  // namespace
}  // namespace sluice::test
