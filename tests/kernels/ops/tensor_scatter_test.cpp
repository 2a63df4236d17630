#include "tests/kernels/op_test_util.h"

// TensorScatter.

namespace sluice::test {
namespace {

// The published definition, element by element, for a cache [batch, outer, max, inner].
Tensor Reference(const Tensor& cache, const Tensor& update, const std::vector<int64_t>& starts,
                 bool circular) {
  const Shape &c = cache.shape(), &u = update.shape();
  std::vector<float> result(cache.values<float>().begin(), cache.values<float>().end());
  for (int64_t b = 0; b < u[0]; ++b)
    for (int64_t o = 0; o < u[1]; ++o)
      for (int64_t s = 0; s < u[2]; ++s)
        for (int64_t i = 0; i < u[3]; ++i) {
          int64_t at = s + (starts.empty() ? 0 : starts[static_cast<size_t>(b)]);
          if (circular) at %= c[2];
          result[static_cast<size_t>(((b * c[1] + o) * c[2] + at) * c[3] + i)] =
              update.values<float>()[static_cast<size_t>(((b * u[1] + o) * u[2] + s) * u[3] + i)];
        }
  return Tensor::From<float>(c, result);
}

OpCase Case(const Tensor& cache, const Tensor& update, const std::vector<int64_t>& starts,
            const std::string& mode) {
  OpCase c{"TensorScatter", 24, {{"mode", mode}}, {cache, update}};
  if (!starts.empty())
    c.inputs.push_back(Tensor::From<int64_t>({static_cast<int64_t>(starts.size())}, starts));
  return c;
}

TEST(TensorScatter, FollowsTheDefinition) {
  const Shape caches[] = {{3, 2, 7, 5}, {3, 1, 5, 1}, {3, 4, 40, 96}};
  for (const Shape& shape : caches) {
    for (const int64_t length : {int64_t{0}, int64_t{1}, int64_t{3}, shape[2]}) {
      const Tensor cache = Random(shape, 1), update = Random({shape[0], shape[1], length, shape[3]}, 2);
      const int64_t room = shape[2] - length;
      const std::vector<int64_t> linear = {room, 0, room / 2};
      const std::vector<int64_t> circular = {shape[2] - 1, 1, 3 * shape[2] + 2};
      for (const auto& starts : {std::vector<int64_t>{}, linear})
        ExpectTensor(RunOp(Case(cache, update, starts, "linear"))[0], Reference(cache, update, starts, false),
                     0, 0);
      ExpectTensor(RunOp(Case(cache, update, circular, "circular"))[0],
                   Reference(cache, update, circular, true), 0, 0);
    }
  }
}

TEST(TensorScatter, MovesAnyTypeAlongAnyAxis) {
  ExpectTensor(RunOp({"TensorScatter",
                      24,
                      {{"axis", int64_t{1}}, {"mode", std::string("circular")}},
                      {I({2, 3}, {1, 2, 3, 4, 5, 6}), I({2, 2}, {7, 8, 9, 10}), I({2}, {0, 2})}})[0],
               I({2, 3}, {7, 8, 3, 10, 5, 9}));
  ExpectTensor(
      RunOp({"TensorScatter",
             24,
             {{"axis", int64_t{-1}}},
             {Make<std::string>({1, 2}, {"a", "b"}), Make<std::string>({1, 1}, {"c"}), I({1}, {1})}})[0],
      Make<std::string>({1, 2}, {"a", "c"}));
  ExpectTensor(RunOp(Case(F({0, 2, 3, 1}, {}), F({0, 2, 1, 1}, {}), {}, "linear"))[0], F({0, 2, 3, 1}, {}));
  ExpectTensor(RunOp(Case(F({1, 2, 0, 1}, {}), F({1, 2, 0, 1}, {}), {5}, "circular"))[0],
               F({1, 2, 0, 1}, {}));
}

TEST(TensorScatter, Refuses) {
  const Tensor cache = Random({2, 1, 4, 3}, 1), update = Random({2, 1, 2, 3}, 2);
  ExpectRefused(Case(cache, update, {0, 3}, "linear"), "write index 3 of batch item 1");
  ExpectRefused(Case(cache, update, {-1, 0}, "circular"), "write index -1 of batch item 0");
  ExpectRefused(Case(cache, update, {0, INT64_MAX}, "linear"), "write index 9223372036854775807");
  ExpectRefused(Case(cache, update, {0}, "linear"), "expected int64 [2]");
  ExpectRefused(Case(cache, update, {}, "round"), "mode is 'round'");
  ExpectRefused(Case(cache, Random({2, 1, 5, 3}, 2), {}, "circular"), "or less along axis 2");
  ExpectRefused(Case(cache, Random({2, 2, 3}, 2), {}, "linear"), "or less along axis 2");
  ExpectRefused({"TensorScatter", 24, {{"axis", int64_t{0}}}, {cache, update}}, "axis is 0");
  ExpectRefused({"TensorScatter", 24, {}, {cache, I({2, 1, 1, 1}, {1, 2})}}, "another element type");
}

}  // namespace
}  // namespace sluice::test
