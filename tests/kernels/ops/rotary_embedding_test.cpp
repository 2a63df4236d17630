#include "tests/kernels/op_test_util.h"

// RotaryEmbedding, against rotations by complex numbers.

namespace sluice::test {
namespace {

struct Given {
  int64_t batch = 2, heads = 3, length = 4, size = 8, dim = 0;
  bool flat = false, interleaved = false, ids = true;
};

OpCase MakeCase(const Given& s) {
  OpCase c{"RotaryEmbedding", 23};
  const int64_t pairs = (s.dim == 0 ? s.size : s.dim) / 2, positions = 50;
  const Shape cache = s.ids ? Shape{positions, pairs} : Shape{s.batch, s.length, pairs};
  c.inputs = {
      Random(s.flat ? Shape{s.batch, s.length, s.heads * s.size} : Shape{s.batch, s.heads, s.length, s.size},
             1),
      Random(cache, 2), Random(cache, 3)};
  if (s.ids) {
    std::vector<int64_t> ids;
    for (int64_t i = 0; i < s.batch * s.length; ++i) ids.push_back(i * 37 % positions);
    c.inputs.push_back(Tensor::From<int64_t>({s.batch, s.length}, ids));
  }
  if (s.flat) c.attrs["num_heads"] = s.heads;
  if (s.interleaved) c.attrs["interleaved"] = int64_t{1};
  if (s.dim > 0) c.attrs["rotary_embedding_dim"] = s.dim;
  return c;
}

Tensor Reference(const Given& s, const OpCase& c) {
  const Tensor& x = c.inputs[0].tensor();
  const int64_t pairs = (s.dim == 0 ? s.size : s.dim) / 2;
  std::vector<float> y(x.values<float>().begin(), x.values<float>().end());
  for (int64_t b = 0; b < s.batch; ++b)
    for (int64_t h = 0; h < s.heads; ++h)
      for (int64_t l = 0; l < s.length; ++l)
        for (int64_t i = 0; i < pairs; ++i) {
          const int64_t row = b * s.length + l;
          const auto at = static_cast<size_t>((s.ids ? row * 37 % 50 : row) * pairs + i);
          const double cos = static_cast<double>(c.inputs[1].tensor().values<float>()[at]);
          const double sin = static_cast<double>(c.inputs[2].tensor().values<float>()[at]);
          const int64_t head =
              s.flat ? (row * s.heads + h) * s.size : ((b * s.heads + h) * s.length + l) * s.size;
          const auto first = static_cast<size_t>(head + (s.interleaved ? 2 * i : i));
          const auto second = static_cast<size_t>(head + (s.interleaved ? 2 * i + 1 : i + pairs));
          const double re = static_cast<double>(x.values<float>()[first]);
          const double im = static_cast<double>(x.values<float>()[second]);
          y[first] = static_cast<float>(re * cos - im * sin);
          y[second] = static_cast<float>(re * sin + im * cos);
        }
  return Tensor::From<float>(x.shape(), y);
}

TEST(RotaryEmbedding, FollowsTheDefinition) {
  for (bool flat : {false, true})
    for (bool interleaved : {false, true})
      for (bool ids : {false, true})
        for (int64_t dim : {0, 4, 6}) {
          const Given s{.dim = dim, .flat = flat, .interleaved = interleaved, .ids = ids};
          const OpCase c = MakeCase(s);
          ExpectTensor(RunOp(c)[0], Reference(s, c));
        }
  const Given large{.heads = 9, .length = 70, .size = 64};
  ExpectTensor(RunOp(MakeCase(large))[0], Reference(large, MakeCase(large)));
  const Given none{.length = 0};
  EXPECT_EQ(RunOp(MakeCase(none))[0].tensor().num_elements(), 0);
}

TEST(RotaryEmbedding, ComputesHalfs) {
  const Given s;
  OpCase c = MakeCase(s);
  const Tensor want = Reference(s, c);
  for (size_t i = 0; i < 3; ++i) c.inputs[i] = RunOp({"Cast", 13, {{"to", int64_t{10}}}, {c.inputs[i]}})[0];
  const Value got = RunOp(c)[0];
  ASSERT_EQ(got.tensor().dtype(), DataType::kFloat16);
  ExpectTensor(RunOp({"Cast", 13, {{"to", int64_t{1}}}, {got}})[0], want, 1e-2, 1e-2);
}

TEST(RotaryEmbedding, Refuses) {
  const auto refuse = [](const Given& s, const std::function<void(OpCase&)>& change,
                         const std::string& part) {
    OpCase c = MakeCase(s);
    change(c);
    ExpectRefused(c, part);
  };
  refuse(
      {.flat = true}, [](OpCase& c) { c.attrs.erase("num_heads"); }, "num_heads is 0");
  refuse(
      {.flat = true}, [](OpCase& c) { c.attrs["num_heads"] = int64_t{5}; }, "num_heads is 5");
  refuse(
      {}, [](OpCase& c) { c.attrs["rotary_embedding_dim"] = int64_t{3}; }, "an even number");
  refuse(
      {}, [](OpCase& c) { c.attrs["rotary_embedding_dim"] = int64_t{10}; }, "an even number");
  refuse(
      {},
      [](OpCase& c) {
        c.inputs[1] = Random({50, 3}, 1);
      },
      "expected float [positions, 4]");
  refuse(
      {.ids = false},
      [](OpCase& c) {
        c.inputs[2] = Random({50, 4}, 1);
      },
      "expected float [2, 4, 4]");
  refuse(
      {},
      [](OpCase& c) {
        c.inputs[3] = I({8}, {0, 0, 0, 0, 0, 0, 0, 0});
      },
      "expected int64 [2, 4]");
  refuse(
      {},
      [](OpCase& c) {
        c.inputs[3] = I({2, 4}, {0, 0, 0, 0, 0, 50, 0, 0});
      },
      "position_ids[5] is 50");
  refuse(
      {},
      [](OpCase& c) {
        c.inputs[0] = Random({2, 8}, 1);
      },
      "x has rank 2");
}

}  // namespace
}  // namespace sluice::test
