#include "tests/graph/passes/rewrite_test_util.h"

namespace sluice::test {
namespace {

TEST(FoldPads, IntoConv) {
  ExpectRewrite(kFoldPads, R"(
    x: float [1, 3, 8, 8]
    w = const [4, 3, 3, 3]
    p = Pad(x, [0, 0, 1, 2, 0, 0, 0, 1])
    y = Conv(p, w) {pads: [0, 1, 1, 0]}
    return y)",
                R"(
    x: float [1, 3, 8, 8]
    w = const [4, 3, 3, 3]
    y = Conv(x, w) {pads: [1, 3, 1, 1]}
    return y)");
  ExpectRewrite(kFoldPads, R"(
    opset 10
    x: float [1, 3, 8]
    w = const [4, 3, 3]
    p = Pad(x) {pads: [0, 0, 1, 0, 0, 1], value: 0.0}
    y = Conv(p, w) {auto_pad: VALID}
    return y)",
                R"(
    opset 10
    x: float [1, 3, 8]
    w = const [4, 3, 3]
    y = Conv(x, w) {pads: [1, 1]}
    return y)");
}

TEST(FoldPads, StaysWhereItMeansSomethingElse) {
  const std::string head = "x: float [1, 3, 8, 8]\n w = const [4, 3, 3, 3]\n";
  ExpectKept(kFoldPads, head + "p = Pad(x, [0, 0, 1, 1, 0, 0, 1, 1], 0.5)\n y = Conv(p, w)\n return y",
             "pads with 0.5");
  ExpectKept(kFoldPads,
             head + "p = Pad(x, [0, 0, 1, 1, 0, 0, 1, 1]) {mode: reflect}\n y = Conv(p, w)\n return y",
             "constant number");
  ExpectKept(kFoldPads, head + "p = Pad(x, [1, 0, 1, 1, 0, 0, 1, 1])\n y = Conv(p, w)\n return y", "spatial");
  ExpectKept(kFoldPads, head + "p = Pad(x, [0, 0, -1, 1, 0, 0, 1, 1])\n y = Conv(p, w)\n return y",
             "spatial");
  ExpectKept(kFoldPads,
             head + "p = Pad(x, [0, 0, 1, 1, 0, 0, 1, 1])\n y = Conv(p, w) {auto_pad: SAME_UPPER}\n return y",
             "auto_pad");
  ExpectKept(kFoldPads, head + "p = Pad(x, [0, 0, 1, 1, 0, 0, 1, 1])\n y = Conv(p, w)\n return y, p");
}

}  // namespace
}  // namespace sluice::test
