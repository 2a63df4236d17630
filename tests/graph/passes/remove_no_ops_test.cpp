#include "tests/graph/passes/rewrite_test_util.h"

namespace sluice::test {
namespace {

const std::string kHead = "x: float [2, 3, 4, 5]\n";

void ExpectNoOp(const std::string& statement) {
  const std::string end = "\n return z";
  ExpectRewrite(kRemoveNoOps, kHead + statement + "\n z = Tile(y, [1, 2, 1, 1])" + end,
                kHead + "z = Tile(x, [1, 2, 1, 1])" + end);
}
void ExpectOp(const std::string& statement, const std::string& head = kHead) {
  ExpectKept(kRemoveNoOps, head + statement + "\n z = Tile(y, [1, 2, 1, 1])\n return z");
}

TEST(RemoveNoOps, DropsWhatGivesBackItsInput) {
  ExpectNoOp("y = Identity(x)");
  ExpectNoOp("y = Reshape(x, [2, 3, -1, 5])");
  ExpectNoOp("a = Reshape(x, [2, 3, 4, 5]) y = Identity(a)");
  ExpectNoOp("y = Transpose(x) {perm: [0, 1, 2, 3]}");
  ExpectNoOp("y = Slice(x, [0], [100], [1])");
  ExpectNoOp("y = Pad(x, [0, 0, 0, 0, 0, 0, 0, 0])");
  ExpectNoOp("y = Expand(x, [1, 3, 1, 5])");
  ExpectNoOp("y = Tile(x, [1, 1, 1, 1])");
  ExpectNoOp("y = Concat(x) {axis: 1}");
  ExpectNoOp("y = Resize(x, _, _, [2, 3, 4, 5]) {mode: linear}");
  ExpectNoOp("s = const [4] {1, 1, 1, 1}  y = Resize(x, _, s)");
}

TEST(RemoveNoOps, KeepsWhatOnlyLooksLikeIt) {
  ExpectOp("y = Slice(x, [-1], [-100], [1], [-1])");              // reverses
  ExpectOp("y = Pad(x, [0, 0, 1, 0, 0, 0, -1, 0])");              // shifts
  ExpectOp("s = const [4] {1, 1, 1.2, 1}  y = Resize(x, _, s)");  // 4 * 1.2 rounds down to 4
  ExpectOp("y = Transpose(x) {perm: [0, 1, 3, 2]}");
  ExpectOp("y = Expand(x, [2, 3, 1, 5])", "x: float [2, 3, ?, 5]\n n = const int64 [1] {2}\n");
}

TEST(RemoveNoOps, KeepsWhatOtherSizesWouldChange) {
  ExpectKept(kRemoveNoOps, "x: float [N, ?]\n y = Reshape(x, [2, 2])\n return y");
}

TEST(RemoveNoOps, JoinsTransposes) {
  ExpectRewrite(kRemoveNoOps, kHead + R"(
    a = Transpose(x) {perm: [0, 2, 3, 1]}
    y = Transpose(a) {perm: [0, 3, 1, 2]}
    z = Tile(y, [1, 2, 1, 1])
    return z)",
                kHead + "z = Tile(x, [1, 2, 1, 1])\n return z");
  ExpectRewrite(kRemoveNoOps, kHead + R"(
    a = Transpose(x) {perm: [0, 2, 3, 1]}
    y = Transpose(a) {perm: [1, 0, 2, 3]}
    return a, y)",
                kHead + R"(
    a = Transpose(x) {perm: [0, 2, 3, 1]}
    y = Transpose(x) {perm: [2, 0, 3, 1]}
    return a, y)");
}

TEST(RemoveNoOps, JoinsReshapes) {
  ExpectRewrite(kRemoveNoOps, R"(
    x: float [N, 3, 4]
    a = Unsqueeze(x, [1])
    b = Flatten(a)
    y = Reshape(b, [0, 2, 6])
    return y)",
                R"(
    x: float [N, 3, 4]
    y = Reshape(x, [-1, 2, 6])
    return y)");
  // Two sizes that only the run knows do not fit in one Reshape.
  ExpectKept(kRemoveNoOps, R"(
    x: float [N, M, 4]
    a = Unsqueeze(x, [1])
    y = Reshape(a, [0, 0, 0, 2, 2])
    return y)");
}

}  // namespace
}  // namespace sluice::test
