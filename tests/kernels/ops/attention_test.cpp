#include <cmath>
#include <limits>

#include "tests/kernels/op_test_util.h"
#include "tests/kernels/run_unknown.h"

// Attention, against the published definition in double, element by element.

namespace sluice::test {
namespace {

struct Given {
  int64_t batch = 2, q_heads = 3, kv_heads = 3, q_length = 4, kv_length = 6, past = 0, size = 8, v_size = 8;
  bool flat = false;  // inputs of rank 3
  Shape mask = {};
  bool bool_mask = false;
  bool causal = false;
  std::vector<int64_t> nonpad = {};
  int64_t window = -1;
  float scale = 0, softcap = 0;
  int64_t mode = -1;  // of the fourth output; -1: not asked for
  int opset = 24;
  uint32_t seed = 1;
};

Tensor Uniform(const Shape& shape, uint32_t seed) {
  Tensor result(DataType::kFloat, shape);
  std::mt19937 engine(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (float& value : result.mutable_values<float>()) value = uniform(engine);
  return result;
}

OpCase MakeCase(const Given& s) {
  OpCase c{"Attention", s.opset};
  const auto shape = [&](int64_t heads, int64_t length, int64_t size) {
    return s.flat ? Shape{s.batch, length, heads * size} : Shape{s.batch, heads, length, size};
  };
  c.inputs = {Uniform(shape(s.q_heads, s.q_length, s.size), s.seed),
              Uniform(shape(s.kv_heads, s.kv_length, s.size), s.seed + 1),
              Uniform(shape(s.kv_heads, s.kv_length, s.v_size), s.seed + 2),
              Tensor(),
              Tensor(),
              Tensor(),
              Tensor()};
  if (!s.mask.empty()) {
    Tensor mask = Uniform(s.mask, s.seed + 3);
    if (s.bool_mask) {
      Tensor bits(DataType::kBool, s.mask);
      for (size_t i = 0; i < mask.values<float>().size(); ++i)
        bits.mutable_values<bool>()[i] = mask.values<float>()[i] > -0.4f;
      mask = bits;
    }
    c.inputs[3] = mask;
  }
  if (s.past > 0) {
    c.inputs[4] = Uniform({s.batch, s.kv_heads, s.past, s.size}, s.seed + 4);
    c.inputs[5] = Uniform({s.batch, s.kv_heads, s.past, s.v_size}, s.seed + 5);
  }
  if (!s.nonpad.empty()) c.inputs[6] = Tensor::From<int64_t>({s.batch}, s.nonpad);
  while (c.inputs.back().is_none()) c.inputs.pop_back();
  if (s.flat) {
    c.attrs["q_num_heads"] = s.q_heads;
    c.attrs["kv_num_heads"] = s.kv_heads;
  }
  if (s.causal) c.attrs["is_causal"] = int64_t{1};
  if (s.window > 0) c.attrs["local_window_size"] = s.window;
  if (s.scale != 0) c.attrs["scale"] = s.scale;
  if (s.softcap != 0) c.attrs["softcap"] = s.softcap;
  if (s.mode >= 0) c.attrs["qk_matmul_output_mode"] = s.mode;
  c.num_outputs = s.mode >= 0 ? 4 : s.past > 0 ? 3 : 1;
  return c;
}

float At(const Tensor& t, const std::vector<int64_t>& index) {
  int64_t at = 0;
  for (size_t i = 0; i < index.size(); ++i) at = at * t.shape()[i] + index[i];
  return t.values<float>()[static_cast<size_t>(at)];
}

std::vector<Tensor> Reference(const Given& s, const OpCase& c) {
  const auto input = [&](size_t i) -> const Tensor& { return c.inputs[i].tensor(); };
  const auto has = [&](size_t i) { return i < c.inputs.size() && !c.inputs[i].is_none(); };
  const auto row = [&](size_t i, int64_t b, int64_t h, int64_t l, int64_t size, int64_t p) {
    return s.flat ? At(input(i), {b, l, h * size + p}) : At(input(i), {b, h, l, p});
  };
  const int64_t keys = s.past + s.kv_length;
  Tensor y(DataType::kFloat, s.flat ? Shape{s.batch, s.q_length, s.q_heads * s.v_size}
                                    : Shape{s.batch, s.q_heads, s.q_length, s.v_size});
  Tensor present_k(DataType::kFloat, {s.batch, s.kv_heads, keys, s.size});
  Tensor present_v(DataType::kFloat, {s.batch, s.kv_heads, keys, s.v_size});
  Tensor qk(DataType::kFloat, {s.batch, s.q_heads, s.q_length, keys});
  const auto fill = [&](Tensor& present, size_t past, size_t now, int64_t size) {
    float* to = present.mutable_values<float>().data();
    for (int64_t b = 0; b < s.batch; ++b)
      for (int64_t h = 0; h < s.kv_heads; ++h)
        for (int64_t j = 0; j < keys; ++j)
          for (int64_t p = 0; p < size; ++p)
            *to++ = j < s.past ? At(input(past), {b, h, j, p}) : row(now, b, h, j - s.past, size, p);
  };
  fill(present_k, 4, 1, s.size);
  fill(present_v, 5, 2, s.v_size);
  const double scale =
      s.scale != 0 ? static_cast<double>(s.scale) : 1 / std::sqrt(static_cast<double>(s.size));
  const double inf = std::numeric_limits<double>::infinity();
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t h = 0; h < s.q_heads; ++h) {
      const int64_t g = h / (s.q_heads / s.kv_heads);
      for (int64_t i = 0; i < s.q_length; ++i) {
        const int64_t offset =
            s.past > 0 ? s.past
            : !s.nonpad.empty()
                ? std::clamp<int64_t>(s.nonpad[static_cast<size_t>(b)], -1000, 1000) - s.q_length
                : 0;
        std::vector<double> scores(static_cast<size_t>(keys)), shown;
        for (int64_t j = 0; j < keys; ++j) {
          double sum = 0;
          for (int64_t p = 0; p < s.size; ++p)
            sum += static_cast<double>(row(0, b, h, i, s.size, p)) *
                   static_cast<double>(At(present_k, {b, g, j, p}));
          double x = sum * scale;
          double show = x;
          if (s.softcap > 0)
            x = static_cast<double>(s.softcap) * std::tanh(x / static_cast<double>(s.softcap));
          if (s.mode == 1) show = x;
          if (has(3)) {
            const Shape& m = s.mask;
            int64_t at = 0;
            const int64_t index[] = {b, h, i, j};
            bool beyond = false;
            for (size_t a = 0; a < m.size(); ++a) {
              const int64_t position = index[4 - m.size() + a];
              const bool last = a + 1 == m.size();
              beyond = beyond || (last && position >= m[a] && (m[a] > 1 || s.opset >= 24));
              at = at * m[a] + (m[a] == 1 ? 0 : position);
            }
            if (beyond)
              x = -inf;
            else if (s.bool_mask)
              x = input(3).values<bool>()[static_cast<size_t>(at)] ? x : -inf;
            else
              x += static_cast<double>(input(3).values<float>()[static_cast<size_t>(at)]);
          }
          if ((s.causal || s.window > 0) && j > i + offset) x = -inf;
          if (s.window > 0 && j <= i + offset - s.window) x = -inf;
          if (!s.nonpad.empty() && j >= s.nonpad[static_cast<size_t>(b)]) x = -inf;
          if (s.mode == 2) show = x;
          scores[static_cast<size_t>(j)] = x;
          shown.push_back(show);
        }
        double max = -inf, sum = 0;
        for (double x : scores) max = std::max(max, x);
        for (double& x : scores) sum += x = max == -inf ? 0 : std::exp(x - max);
        for (int64_t j = 0; j < keys; ++j) {
          double& x = scores[static_cast<size_t>(j)];
          x = sum == 0 ? 0 : x / sum;
          if (s.mode == 3) shown[static_cast<size_t>(j)] = x;
          qk.mutable_values<float>()[static_cast<size_t>(((b * s.q_heads + h) * s.q_length + i) * keys + j)] =
              static_cast<float>(shown[static_cast<size_t>(j)]);
        }
        for (int64_t p = 0; p < s.v_size; ++p) {
          double total = 0;
          for (int64_t j = 0; j < keys; ++j)
            total += scores[static_cast<size_t>(j)] * static_cast<double>(At(present_v, {b, g, j, p}));
          const int64_t at = s.flat ? (b * s.q_length + i) * s.q_heads * s.v_size + h * s.v_size + p
                                    : ((b * s.q_heads + h) * s.q_length + i) * s.v_size + p;
          y.mutable_values<float>()[static_cast<size_t>(at)] = static_cast<float>(total);
        }
      }
    }
  }
  return {y, present_k, present_v, qk};
}

void Check(const Given& s) {
  const OpCase c = MakeCase(s);
  const std::vector<Value> got = RunOp(c);
  const std::vector<Tensor> want = Reference(s, c);
  for (size_t i = 0; i < got.size(); ++i) {
    SCOPED_TRACE("output " + std::to_string(i) + ", seed " + std::to_string(s.seed));
    // Infinities are equal or not.
    ExpectTensor(got[i], want[i], i == 1 || i == 2 ? 0 : 2e-6, i == 1 || i == 2 ? 0 : 2e-5);
  }
}

TEST(Attention, FollowsTheDefinition) {
  Check({});
  Check({.flat = true});
  Check({.v_size = 10});
  Check({.v_size = 10, .flat = true});
  Check({.scale = 1e-2f});
  Check({.q_heads = 9, .flat = true});
  Check({.q_heads = 9, .kv_heads = 3, .v_size = 5});
  Check({.q_heads = 4, .kv_heads = 1, .past = 12});
  Check({.causal = true});
  Check({.q_length = 6, .kv_length = 4, .causal = true});
  Check({.past = 12, .v_size = 10, .causal = true});
  Check({.softcap = 2.0f});
}

TEST(Attention, AddsMasks) {
  for (const Shape& mask : {Shape{4, 6}, Shape{1, 4, 6}, Shape{3, 4, 6}, Shape{1, 1, 4, 6}, Shape{2, 3, 4, 6},
                            Shape{2, 1, 1, 6}, Shape{6}, Shape{4, 4}, Shape{2, 1, 4, 3}, Shape{4, 1}}) {
    for (bool is_bool : {false, true}) {
      for (bool causal : {false, true}) {
        Check({.mask = mask, .bool_mask = is_bool, .causal = causal, .softcap = 1.5f, .mode = 2});
        Check({.q_heads = 6,
               .flat = true,
               .mask = mask[0] == 3                       ? Shape{6, 4, 6}
                       : mask.size() == 4 && mask[1] == 3 ? Shape{2, 6, 4, 6}
                                                          : mask,
               .bool_mask = is_bool,
               .causal = causal});
      }
    }
  }
  // In version 23 a single key stands for all.
  Check({.mask = {4, 1}, .opset = 23});
  Check({.past = 5, .mask = {4, 11}, .causal = true});
  Check({.past = 5, .mask = {4, 9}, .bool_mask = true});
}

TEST(Attention, ShowsScores) {
  for (int64_t mode : {0, 1, 2, 3}) {
    Check({.mode = mode});
    Check({.past = 7, .flat = true, .mask = {4, 13}, .causal = true, .softcap = 0.7f, .mode = mode});
    Check(
        {.q_heads = 6, .kv_length = 300, .mask = {1, 1, 300}, .bool_mask = true, .mode = mode, .opset = 23});
    Check({.q_length = 40, .kv_length = 300, .causal = true, .mode = mode});
  }
}

TEST(Attention, SeesValidKeysOnly) {
  Check({.nonpad = {6, 3}});
  Check({.q_heads = 6, .q_length = 1, .kv_length = 8, .causal = true, .nonpad = {8, 5}});
  Check({.q_length = 2, .causal = true, .nonpad = {4, 6}, .mode = 3});
  Check({.nonpad = {INT64_MAX, 5}});
  Check({.causal = true, .nonpad = {INT64_MIN, 100}});
  // Queries before the first valid key see none: zeros.
  Check({.causal = true, .nonpad = {2, 0}});
  Check({.mask = {2, 1, 4, 6}, .bool_mask = true, .causal = true, .nonpad = {4, 5}});
}

TEST(Attention, SeesAWindow) {
  Check({.window = 3});
  Check({.causal = true, .window = 3});
  Check({.kv_length = 2, .past = 8, .window = 3});
  Check({.flat = true, .window = 2, .mode = 2});
  Check({.q_length = 300, .kv_length = 300, .window = 20});
}

TEST(Attention, ZeroWhereNoKeyIsSeen) {
  OpCase c = MakeCase({.batch = 1,
                       .q_heads = 1,
                       .kv_heads = 1,
                       .q_length = 2,
                       .kv_length = 2,
                       .mask = {2, 2},
                       .bool_mask = true,
                       .mode = 3});
  c.inputs[3] = Make<bool>({2, 2}, {false, false, true, true});
  const std::vector<Value> got = RunOp(c);
  for (size_t p = 0; p < 8; ++p) EXPECT_EQ(got[0].tensor().values<float>()[p], 0);
  EXPECT_EQ(got[3].tensor().values<float>()[0], 0);
  EXPECT_NE(got[0].tensor().values<float>()[8], 0);
}

TEST(Attention, RandomSetups) {
  std::mt19937 engine(7);
  const auto below = [&](int64_t n) { return static_cast<int64_t>(engine() % static_cast<uint32_t>(n)); };
  for (uint32_t seed = 0; seed < 60; ++seed) {
    Given s;
    s.seed = 100 * seed;
    s.batch = 1 + below(2);
    s.kv_heads = 1 + below(3);
    s.q_heads = s.kv_heads * (1 + below(3));
    s.q_length = below(3) == 0 ? 1 + below(150) : 1 + below(9);
    s.kv_length = below(3) == 0 ? 1 + below(400) : 1 + below(9);
    s.size = 1 + below(40);
    s.v_size = 1 + below(70);
    s.past = below(2) == 0 ? 0 : below(200);
    s.flat = below(2) == 0;
    s.causal = below(2) == 0;
    s.window = below(4) == 0 ? 1 + below(20) : -1;
    s.softcap = below(3) == 0 ? 0.5f : 0.0f;
    s.mode = below(5) - 1;
    if (s.past == 0 && below(3) == 0)
      for (int64_t b = 0; b < s.batch; ++b) s.nonpad.push_back(below(s.kv_length + 1));
    if (below(2) == 0) {
      s.mask = {below(2) == 0 ? 1 : s.batch, below(2) == 0 ? 1 : s.q_heads, below(2) == 0 ? 1 : s.q_length,
                below(3) == 0 ? 1 + below(s.past + s.kv_length) : s.past + s.kv_length};
      s.bool_mask = below(2) == 0;
    }
    Check(s);
  }
}

TEST(Attention, ComputesEveryFloatType) {
  const Given s{.q_heads = 6, .past = 5, .v_size = 40, .mask = {4, 11}, .mode = 3};
  const OpCase c = MakeCase(s);
  const std::vector<Tensor> want = Reference(s, c);
  const auto as = [](const Tensor& from, DataType type) {
    return RunOp({"Cast", 13, {{"to", static_cast<int64_t>(type)}}, {from}})[0].tensor();
  };
  for (DataType type : {DataType::kDouble, DataType::kFloat16, DataType::kBFloat16}) {
    OpCase typed = c;
    for (Value& input : typed.inputs) input = as(input.tensor(), type);
    const double tolerance = type == DataType::kBFloat16 ? 1e-2 : type == DataType::kFloat16 ? 1e-3 : 1e-6;
    for (int64_t precision : {0, 1, 11}) {
      if (precision != 0) typed.attrs["softmax_precision"] = precision;
      const std::vector<Value> got = RunOp(typed);
      for (size_t i = 0; i < 4; ++i) {
        EXPECT_EQ(got[i].tensor().dtype(), type);
        ExpectTensor(as(got[i].tensor(), DataType::kFloat), want[i], tolerance, tolerance);
      }
    }
  }
}

TEST(Attention, RunsWithUnknownElements) {
  const Given s{.past = 5, .mask = {4, 11}, .causal = true, .mode = 0};
  const OpCase c = MakeCase(s);
  const std::vector<Tensor> want = Reference(s, c);
  const std::vector<Value> like(want.begin(), want.end());
  const std::vector<Value> got = RunUnknown(0, MakeNode(c), c.inputs, like);
  for (size_t i = 0; i < 4; ++i) ExpectTensor(got[i], want[i], 2e-6, 2e-5);
}

TEST(Attention, TakesNothing) {
  for (const Given& s : {Given{.batch = 0}, Given{.q_length = 0}, Given{.kv_length = 0}, Given{.v_size = 0}})
    Check(s);
}

TEST(Attention, Refuses) {
  const auto refuse = [](const Given& s, const std::function<void(OpCase&)>& change,
                         const std::string& part) {
    OpCase c = MakeCase(s);
    change(c);
    ExpectRefused(c, part);
  };
  refuse(
      {.flat = true}, [](OpCase& c) { c.attrs.erase("q_num_heads"); }, "q_num_heads is 0");
  refuse(
      {.flat = true}, [](OpCase& c) { c.attrs["kv_num_heads"] = int64_t{5}; }, "a multiple of 5 heads");
  refuse(
      {.q_heads = 4}, [](OpCase&) {}, "q has 4 heads");
  refuse(
      {},
      [](OpCase& c) {
        c.inputs[1] = Uniform({2, 3, 6, 7}, 1);
      },
      "the size of a head");
  refuse(
      {},
      [](OpCase& c) {
        c.inputs[2] = Uniform({2, 3, 5, 8}, 1);
      },
      "the length of input 2");
  refuse(
      {},
      [](OpCase& c) {
        c.inputs[0] = Uniform({2, 3}, 1);
      },
      "has rank 2, expected 3 or 4");
  refuse(
      {.mask = {5, 6}}, [](OpCase&) {}, "attn_mask is [5, 6]");
  refuse(
      {.mask = {4, 7}}, [](OpCase&) {}, "attn_mask is [4, 7]");
  refuse(
      {.past = 2}, [](OpCase& c) { c.inputs[5] = Tensor(); }, "go together");
  refuse(
      {.past = 2},
      [](OpCase& c) {
        c.inputs[4] = Uniform({2, 3, 2, 7}, 1);
      },
      "expected float [2, 3, 2, 8]");
  refuse(
      {.nonpad = {1, 2}}, [](OpCase& c) { c.inputs[6] = I({1}, {1}); }, "expected int64 [2]");
  refuse(
      {.mode = 4}, [](OpCase&) {}, "qk_matmul_output_mode is 4");
  refuse(
      {}, [](OpCase& c) { c.attrs["softmax_precision"] = int64_t{7}; }, "softmax_precision is 7");
}

}  // namespace
}  // namespace sluice::test
