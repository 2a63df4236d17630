#include <cmath>

#include "kernels/resample.h"
#include "tests/kernels/op_test_util.h"

namespace sluice::test {
namespace {

Tensor Sizes(const std::vector<int64_t>& v) {
  return Tensor::From<int64_t>({static_cast<int64_t>(v.size())}, v);
}
Tensor Scales(const std::vector<float>& v) {
  return Tensor::From<float>({static_cast<int64_t>(v.size())}, v);
}
Attribute S(const char* text) { return std::string(text); }

TEST(Resize, NearestDoubles) {
  const Tensor x = F({1, 1, 1, 2}, {1, 2}), want = F({1, 1, 2, 4}, {1, 1, 2, 2, 1, 1, 2, 2});
  ExpectTensor(RunOp({"Upsample", 9, {}, {x, Scales({1, 1, 2, 2})}})[0], want);
  ExpectTensor(RunOp({"Upsample", 7, {{"scales", std::vector<float>{1, 1, 2, 2}}}, {x}})[0], want);
  ExpectTensor(RunOp({"Resize", 10, {}, {x, Scales({1, 1, 2, 2})}})[0], want);
  ExpectTensor(RunOp({"Resize", 13, {}, {x, Tensor(), Scales({1, 1, 2, 2})}})[0], want);
  ExpectTensor(
      RunOp(
          {"Resize", 18, {{"axes", std::vector<int64_t>{2, 3}}}, {x, Tensor(), Tensor(), Sizes({2, 4})}})[0],
      want);
}

TEST(Resize, NearestRoundings) {
  const Tensor x = I({4}, {0, 1, 2, 3});
  const auto run = [&](const char* rounding) {
    return RunOp({"Resize",
                  13,
                  {{"nearest_mode", S(rounding)}, {"coordinate_transformation_mode", S("asymmetric")}},
                  {x, Tensor(), Scales({2})}})[0];
  };
  ExpectTensor(run("round_prefer_floor"), Sizes({0, 0, 1, 1, 2, 2, 3, 3}));
  ExpectTensor(run("round_prefer_ceil"), Sizes({0, 1, 1, 2, 2, 3, 3, 3}));
  ExpectTensor(run("floor"), Sizes({0, 0, 1, 1, 2, 2, 3, 3}));
  ExpectTensor(run("ceil"), Sizes({0, 1, 1, 2, 2, 3, 3, 3}));
}

TEST(Resize, CropsAndExtrapolates) {
  ExpectTensor(RunOp({"Resize",
                      13,
                      {{"mode", S("linear")},
                       {"coordinate_transformation_mode", S("tf_crop_and_resize")},
                       {"extrapolation_value", 9.0f}},
                      {F({3}, {1, 2, 3}), F({2}, {0.5, 1.5}), Tensor(), Sizes({3})}})[0],
               F({3}, {2, 3, 9}));
}

// The definition, with all axes at once: no passes, no layout.
TEST(Resize, InterpolationAgreesWithTheDefinition) {
  const char* const kModes[] = {"half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel",
                                "half_pixel_symmetric"};
  std::mt19937 engine(11);
  for (int round = 0; round < 60; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    const auto size = [&] { return static_cast<int64_t>(1 + engine() % 9); };
    const Shape in = {size() % 3 + 1, size(), size(), size()},
                out = {in[0], round % 4 ? in[1] : size(), size(), size()};
    const bool cubic = engine() % 2, exclude = engine() % 2;
    const char* const coordinates = kModes[engine() % 5];
    const Tensor x = Random(in, engine());
    ResampleMode mode;
    mode.kind = cubic ? ResampleMode::Kind::kCubic : ResampleMode::Kind::kLinear;
    mode.coordinates = coordinates;
    mode.exclude_outside = exclude;
    std::vector<Taps> taps;
    for (size_t d = 0; d < 4; ++d) {
      taps.push_back(TapsOf(mode, {in[d], out[d], static_cast<float>(out[d]) / static_cast<float>(in[d]),
                                   static_cast<float>(out[d]), 0, 1}));
    }
    Tensor want(DataType::kFloat, out);
    for (int64_t i = 0; i < want.num_elements(); ++i) {
      int64_t at[4], rest = i;
      for (size_t d = 4; d-- > 0; rest /= out[d]) at[d] = rest % out[d];
      // weight of every source element, axis by axis
      std::vector<double> values(x.values<float>().begin(), x.values<float>().end());
      int64_t inner = x.num_elements();
      for (size_t d = 0; d < 4; ++d) {
        inner /= in[d];
        std::vector<double> next(static_cast<size_t>(inner), 0.0);
        for (int64_t k = 0; k < taps[d].size; ++k) {
          const auto t = static_cast<size_t>(at[d] * taps[d].size + k);
          for (int64_t j = 0; j < inner; ++j)
            next[static_cast<size_t>(j)] +=
                taps[d].weights[t] * values[static_cast<size_t>(taps[d].indices[t] * inner + j)];
        }
        values = next;
      }
      want.mutable_values<float>()[static_cast<size_t>(i)] = static_cast<float>(values[0]);
    }
    ExpectTensor(RunOp({"Resize",
                        19,
                        {{"mode", S(cubic ? "cubic" : "linear")},
                         {"coordinate_transformation_mode", S(coordinates)},
                         {"exclude_outside", int64_t{exclude}}},
                        {x, Tensor(), Tensor(), Sizes(out)}})[0],
                 want, 1e-5, 1e-4);
  }
}

TEST(Resize, TapsAreThoseOfTheFilter) {
  ResampleMode mode;
  mode.kind = ResampleMode::Kind::kLinear;
  const Taps taps = TapsOf(mode, {2, 4, 2, 4, 0, 1});
  const std::vector<float> want = {1, 0, 0.75, 0.25, 0.25, 0.75, 0, 1};
  EXPECT_EQ(taps.weights, want);
  mode.antialias = true;
  const Taps wide = TapsOf(mode, {4, 2, 0.5f, 2, 0, 1});
  ASSERT_EQ(wide.size, 4);
  EXPECT_NEAR(wide.weights[0], 4.0 / 8, 1e-6);  // 1/8 of it beyond the edge
  EXPECT_NEAR(wide.weights[1], 3.0 / 8, 1e-6);
  EXPECT_NEAR(wide.weights[2], 1.0 / 8, 1e-6);
}

TEST(Resize, Refuses) {
  const Tensor x = F({2}, {1, 2});
  ExpectRefused({"Resize", 13, {}, {x, Tensor(), Scales({0})}}, "a scale is 0");
  ExpectRefused({"Resize", 13, {}, {x, Tensor(), Scales({1, 1})}}, "expected 1");
  ExpectRefused({"Resize", 13, {}, {x, Tensor(), Scales({1e15f})}}, "exceeds the machine's memory");
  ExpectRefused({"Resize", 13, {{"mode", S("best")}}, {x, Tensor(), Scales({1})}}, "unknown mode 'best'");
  ExpectRefused({"Resize", 13, {}, {x}}, "neither scales nor sizes");
}

}  // namespace
}  // namespace sluice::test
