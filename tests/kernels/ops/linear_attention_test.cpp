#include <cmath>

#include "tests/kernels/op_test_util.h"

// LinearAttention and CausalConvWithState, against their definitions in double, element by element.

namespace sluice::test {
namespace {

struct Given {
  std::string rule = "gated_delta";
  int64_t batch = 2, length = 5, q_heads = 4, kv_heads = 2, k_size = 6, v_size = 7;
  bool past = true, decay_per_key = false, one_beta = false, erase = false;
  float scale = 0;
};

OpCase MakeCase(const Given& s) {
  OpCase c{"LinearAttention", 27};
  const auto tensor = [&](int64_t last, uint32_t seed) {
    return Random({s.batch, s.length, last}, seed, 0.4f);
  };
  const bool gated = s.rule.starts_with("gated"), delta = s.rule.ends_with("delta");
  c.inputs = {tensor(s.q_heads * s.k_size, 1), tensor(s.kv_heads * s.k_size, 2),
              tensor(s.kv_heads * s.v_size, 3)};
  c.inputs.push_back(s.past ? Random({s.batch, s.kv_heads, s.k_size, s.v_size}, 4) : Tensor());
  c.inputs.push_back(gated ? tensor(s.kv_heads * (s.decay_per_key ? s.k_size : 1), 5) : Tensor());
  c.inputs.push_back(delta ? tensor(s.one_beta ? 1 : s.kv_heads, 6) : Tensor());
  c.inputs.push_back(delta && s.erase ? tensor(s.kv_heads * s.k_size, 7) : Tensor());
  while (c.inputs.back().is_none()) c.inputs.pop_back();
  c.attrs = {{"q_num_heads", s.q_heads}, {"kv_num_heads", s.kv_heads}, {"update_rule", s.rule}};
  if (s.scale != 0) c.attrs["scale"] = s.scale;
  c.num_outputs = 2;
  return c;
}

std::vector<Tensor> Reference(const Given& s, const OpCase& c) {
  const auto has = [&](size_t i) { return i < c.inputs.size() && !c.inputs[i].is_none(); };
  const auto at = [&](size_t i, int64_t b, int64_t t, int64_t p) {
    const Tensor& x = c.inputs[i].tensor();
    return static_cast<double>(x.values<float>()[static_cast<size_t>((b * s.length + t) * x.shape()[2] + p)]);
  };
  Tensor y(DataType::kFloat, {s.batch, s.length, s.q_heads * s.v_size});
  Tensor present(DataType::kFloat, {s.batch, s.kv_heads, s.k_size, s.v_size});
  const double scale =
      s.scale != 0 ? static_cast<double>(s.scale) : 1 / std::sqrt(static_cast<double>(s.k_size));
  const int64_t group = s.q_heads / s.kv_heads;
  for (int64_t b = 0; b < s.batch; ++b)
    for (int64_t h = 0; h < s.kv_heads; ++h) {
      const int64_t first = (b * s.kv_heads + h) * s.k_size * s.v_size;
      std::vector<std::vector<double>> state(static_cast<size_t>(s.k_size),
                                             std::vector<double>(static_cast<size_t>(s.v_size)));
      const auto element = [&](int64_t k, int64_t v) -> double& {
        return state[static_cast<size_t>(k)][static_cast<size_t>(v)];
      };
      for (int64_t k = 0; has(3) && k < s.k_size; ++k)
        for (int64_t v = 0; v < s.v_size; ++v)
          element(k, v) = static_cast<double>(
              c.inputs[3].tensor().values<float>()[static_cast<size_t>(first + k * s.v_size + v)]);
      for (int64_t t = 0; t < s.length; ++t) {
        for (int64_t v = 0; v < s.v_size; ++v) {
          double value = at(2, b, t, h * s.v_size + v), retrieved = 0;
          for (int64_t k = 0; k < s.k_size; ++k) {
            if (has(4)) element(k, v) *= std::exp(at(4, b, t, s.decay_per_key ? h * s.k_size + k : h));
            const double erase = has(6) ? at(6, b, t, h * s.k_size + k) : 1;
            retrieved += element(k, v) * at(1, b, t, h * s.k_size + k) * erase;
          }
          if (has(5)) value = at(5, b, t, s.one_beta ? 0 : h) * (value - retrieved);
          for (int64_t k = 0; k < s.k_size; ++k) element(k, v) += at(1, b, t, h * s.k_size + k) * value;
          for (int64_t q = h * group; q < (h + 1) * group; ++q) {
            double sum = 0;
            for (int64_t k = 0; k < s.k_size; ++k) sum += element(k, v) * at(0, b, t, q * s.k_size + k);
            y.mutable_values<float>()[static_cast<size_t>(((b * s.length + t) * s.q_heads + q) * s.v_size +
                                                          v)] = static_cast<float>(sum * scale);
          }
        }
      }
      for (int64_t k = 0; k < s.k_size; ++k)
        for (int64_t v = 0; v < s.v_size; ++v)
          present.mutable_values<float>()[static_cast<size_t>(first + k * s.v_size + v)] =
              static_cast<float>(element(k, v));
    }
  return {y, present};
}

void Check(const Given& s) {
  SCOPED_TRACE(s.rule);
  const OpCase c = MakeCase(s);
  const std::vector<Tensor> want = Reference(s, c);
  const std::vector<Value> got = RunOp(c);
  for (size_t i = 0; i < 2; ++i) ExpectTensor(got[i], want[i], 5e-5, 2e-4);
}

TEST(LinearAttention, FollowsTheDefinition) {
  for (const char* rule : {"linear", "gated", "delta", "gated_delta"}) {
    Check({.rule = rule});
    Check({.rule = rule, .past = false, .decay_per_key = true, .one_beta = true, .erase = true});
    Check({.rule = rule, .q_heads = 3, .kv_heads = 3, .erase = true, .scale = 0.3f});
    Check({.rule = rule, .length = 1, .kv_heads = 1, .k_size = 1, .decay_per_key = true});
    Check({.rule = rule, .batch = 1, .length = 40, .k_size = 32, .v_size = 150});
  }
  Check({.length = 0});
}

TEST(LinearAttention, ComputesHalfsInFloat) {
  const Given s;
  OpCase c = MakeCase(s);
  const std::vector<Tensor> want = Reference(s, c);
  for (Value& input : c.inputs) {
    if (!input.is_none()) input = RunOp({"Cast", 13, {{"to", int64_t{16}}}, {input}})[0];
  }
  const std::vector<Value> got = RunOp(c);
  for (size_t i = 0; i < 2; ++i) {
    ASSERT_EQ(got[i].tensor().dtype(), DataType::kBFloat16);
    ExpectTensor(RunOp({"Cast", 13, {{"to", int64_t{1}}}, {got[i]}})[0], want[i], 3e-2, 3e-2);
  }
}

TEST(LinearAttention, Refuses) {
  const auto refuse = [](const Given& s, const std::function<void(OpCase&)>& change,
                         const std::string& part) {
    OpCase c = MakeCase(s);
    change(c);
    ExpectRefused(c, part);
  };
  refuse(
      {}, [](OpCase& c) { c.attrs["update_rule"] = std::string("none"); }, "update_rule is 'none'");
  refuse(
      {}, [](OpCase& c) { c.attrs["q_num_heads"] = int64_t{3}; }, "a positive multiple");
  refuse(
      {}, [](OpCase& c) { c.attrs["update_rule"] = std::string("linear"); }, "takes no decay");
  refuse(
      {.rule = "linear"}, [](OpCase& c) { c.attrs["update_rule"] = std::string("gated"); }, "needs decay");
  refuse(
      {},
      [](OpCase& c) {
        c.inputs[4] = Random({2, 5, 3}, 1);
      },
      "expected floats [2, 5, 2] or [2, 5, 12]");
  refuse(
      {},
      [](OpCase& c) {
        c.inputs[3] = Random({2, 2, 6, 6}, 1);
      },
      "past_state is");
  refuse(
      {},
      [](OpCase& c) {
        c.inputs[1] = Random({2, 5, 14}, 1);
      },
      "keys are [2, 5, 14]");
  refuse(
      {},
      [](OpCase& c) {
        c.inputs[1] = Random({2, 5, 13}, 1);
      },
      "with 2 heads");
}

TEST(CausalConvWithState, FollowsTheDefinition) {
  for (const char* activation : {"none", "silu", "swish"}) {
    for (const int64_t k : {1, 2, 4}) {
      for (const int64_t length : {0, 1, 3, 50}) {
        for (int optional = 0; optional < 4; ++optional) {
          const bool has_bias = optional & 1, has_past = optional & 2;
          const Tensor x = Random({2, 3, length}, 1), w = Random({3, 1, k}, 2);
          const Tensor bias = has_bias ? Random({3}, 3) : Tensor(),
                       past = has_past ? Random({2, 3, k - 1}, 4) : Tensor();
          Tensor y(DataType::kFloat, x.shape()), present(DataType::kFloat, {2, 3, k - 1});
          for (int64_t line = 0; line < 6; ++line) {
            const auto padded = [&](int64_t i) {
              if (i >= k - 1)
                return static_cast<double>(x.values<float>()[static_cast<size_t>(line * length + i - k + 1)]);
              return has_past
                         ? static_cast<double>(past.values<float>()[static_cast<size_t>(line * (k - 1) + i)])
                         : 0.0;
            };
            for (int64_t i = 0; i < length; ++i) {
              double sum =
                  has_bias ? static_cast<double>(bias.values<float>()[static_cast<size_t>(line % 3)]) : 0;
              for (int64_t p = 0; p < k; ++p)
                sum += padded(i + p) *
                       static_cast<double>(w.values<float>()[static_cast<size_t>(line % 3 * k + p)]);
              if (std::string(activation) != "none") sum /= 1 + std::exp(-sum);
              y.mutable_values<float>()[static_cast<size_t>(line * length + i)] = static_cast<float>(sum);
            }
            for (int64_t i = 0; i < k - 1; ++i)
              present.mutable_values<float>()[static_cast<size_t>(line * (k - 1) + i)] =
                  static_cast<float>(padded(length + i));
          }
          const std::vector<Value> got = RunOp(
              {"CausalConvWithState", 27, {{"activation", std::string(activation)}}, {x, w, bias, past}, 2});
          ExpectTensor(got[0], y, 1e-6, 1e-5);
          ExpectTensor(got[1], present, 0, 0);
        }
      }
    }
  }
}

TEST(CausalConvWithState, Refuses) {
  const Tensor x = Random({2, 3, 5}, 1), w = Random({3, 1, 4}, 2);
  ExpectRefused({"CausalConvWithState", 27, {{"activation", std::string("relu")}}, {x, w}, 2},
                "activation is 'relu'");
  ExpectRefused({"CausalConvWithState", 27, {}, {x, Random({3, 2, 4}, 2)}, 2}, "expected [3, 1, k]");
  ExpectRefused({"CausalConvWithState", 27, {}, {x, w, Random({4}, 1)}, 2}, "input 2 is [4], expected [3]");
  ExpectRefused({"CausalConvWithState", 27, {}, {x, w, Tensor(), Random({2, 3, 4}, 1)}, 2},
                "expected [2, 3, 3]");
}

}  // namespace
}  // namespace sluice::test
