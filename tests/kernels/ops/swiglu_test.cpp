#include <cmath>

#include "tests/kernels/op_test_util.h"

namespace sluice::test {
namespace {

TEST(SwiGlu, FollowsTheDefinition) {
  for (const float alpha : {1.0f, 1.702f}) {
    const Tensor a = Random({3, 37}, 1, 3), b = Random({3, 37}, 2);
    Tensor want(DataType::kFloat, {3, 37});
    for (size_t i = 0; i < want.values<float>().size(); ++i) {
      const double x = static_cast<double>(a.values<float>()[i]);
      want.mutable_values<float>()[i] = static_cast<float>(
          x / (1 + std::exp(-static_cast<double>(alpha) * x)) * static_cast<double>(b.values<float>()[i]));
    }
    Attrs attrs;
    if (alpha != 1) attrs["alpha"] = alpha;
    ExpectTensor(RunOp({"SwiGLU", 28, attrs, {a, b}})[0], want);
  }
  ExpectRefused({"SwiGLU", 28, {}, {F({1}, {1}), I({1}, {1})}}, "input 1 is int64");
}

}  // namespace
}  // namespace sluice::test
