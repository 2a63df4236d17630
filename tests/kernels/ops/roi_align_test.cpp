#include <cmath>

#include "tests/kernels/op_test_util.h"

namespace sluice::test {
namespace {

Attribute S(const std::string& text) { return text; }

struct Roi {
  int64_t oh, ow, sampling;
  float scale;
  bool half, max;
};

// The definition, sample by sample.
double Pooled(const Tensor& x, int64_t plane, const float* roi, const Roi& p, int64_t py, int64_t px) {
  const int64_t h = x.shape()[2], w = x.shape()[3];
  const double shift = p.half ? 0.5 : 0;
  const double x0 = roi[0] * p.scale - shift, y0 = roi[1] * p.scale - shift;
  double rw = roi[2] * p.scale - shift - x0, rh = roi[3] * p.scale - shift - y0;
  if (!p.half) rw = std::max(rw, 1.0), rh = std::max(rh, 1.0);
  const double bh = rh / static_cast<double>(p.oh), bw = rw / static_cast<double>(p.ow);
  const auto gh = p.sampling ? p.sampling : static_cast<int64_t>(std::ceil(bh)),
             gw = p.sampling ? p.sampling : static_cast<int64_t>(std::ceil(bw));
  double sum = 0, largest = 0;
  bool first = true;
  const auto at = [&](int64_t yy, int64_t xx) {
    yy = std::min(yy, h - 1), xx = std::min(xx, w - 1);
    return static_cast<double>(x.values<float>()[static_cast<size_t>((plane * h + yy) * w + xx)]);
  };
  for (int64_t i = 0; i < gh; ++i) {
    for (int64_t j = 0; j < gw; ++j) {
      double yy =
          y0 + static_cast<double>(py) * bh + (static_cast<double>(i) + 0.5) * bh / static_cast<double>(gh);
      double xx =
          x0 + static_cast<double>(px) * bw + (static_cast<double>(j) + 0.5) * bw / static_cast<double>(gw);
      double parts[4] = {0, 0, 0, 0};
      if (yy >= -1 && yy <= static_cast<double>(h) && xx >= -1 && xx <= static_cast<double>(w)) {
        yy = std::clamp(yy, 0.0, static_cast<double>(h - 1));
        xx = std::clamp(xx, 0.0, static_cast<double>(w - 1));
        const auto yl = static_cast<int64_t>(yy), xl = static_cast<int64_t>(xx);
        const double fy = yy - static_cast<double>(yl), fx = xx - static_cast<double>(xl);
        parts[0] = (1 - fy) * (1 - fx) * at(yl, xl);
        parts[1] = (1 - fy) * fx * at(yl, xl + 1);
        parts[2] = fy * (1 - fx) * at(yl + 1, xl);
        parts[3] = fy * fx * at(yl + 1, xl + 1);
      }
      sum += parts[0] + parts[1] + parts[2] + parts[3];
      const double most = *std::max_element(parts, parts + 4);
      largest = first ? most : std::max(largest, most);
      first = false;
    }
  }
  return p.max ? largest : sum / static_cast<double>(std::max<int64_t>(gh * gw, 1));
}

TEST(RoiAlign, AgreesWithTheDefinition) {
  std::mt19937 engine(8);
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    const int opset = std::vector<int>{10, 16, 22}[engine() % 3];
    const Shape in = {static_cast<int64_t>(1 + engine() % 3), static_cast<int64_t>(engine() % 5),
                      static_cast<int64_t>(1 + engine() % 12), static_cast<int64_t>(1 + engine() % 12)};
    const Roi p = {static_cast<int64_t>(1 + engine() % 4), static_cast<int64_t>(1 + engine() % 4),
                   static_cast<int64_t>(engine() % 4),     engine() % 2 ? 1.0f : 0.25f,
                   opset > 10 && engine() % 2 == 0,        engine() % 2 == 0};
    const auto count = static_cast<int64_t>(engine() % 5);
    const Tensor x = Random(in, engine()), rois = Random({count, 4}, engine(), p.scale < 1 ? 30.0f : 8.0f);
    Tensor indices(DataType::kInt64, {count});
    for (int64_t& index : indices.mutable_values<int64_t>()) index = engine() % in[0];
    Tensor want(DataType::kFloat, {count, in[1], p.oh, p.ow});
    for (int64_t i = 0; i < want.num_elements(); ++i) {
      const int64_t pw = i % p.ow, ph = i / p.ow % p.oh, c = i / p.ow / p.oh % in[1],
                    r = i / p.ow / p.oh / in[1];
      const int64_t plane = indices.values<int64_t>()[static_cast<size_t>(r)] * in[1] + c;
      want.mutable_values<float>()[static_cast<size_t>(i)] =
          static_cast<float>(Pooled(x, plane, rois.values<float>().data() + 4 * r, p, ph, pw));
    }
    Attrs attrs = {{"output_height", p.oh},
                   {"output_width", p.ow},
                   {"sampling_ratio", p.sampling},
                   {"spatial_scale", p.scale},
                   {"mode", S(p.max ? "max" : "avg")}};
    if (opset > 10 && !p.half) attrs["coordinate_transformation_mode"] = S("output_half_pixel");
    ExpectTensor(RunOp({"RoiAlign", opset, attrs, {x, rois, indices}})[0], want, 1e-5, 1e-4);
  }
}

TEST(RoiAlign, OfOtherTypes) {
  ExpectTensor(
      RunOp({"RoiAlign",
             22,
             {},
             {Make<BFloat16>({1, 1, 1, 1}, {3}), Make<BFloat16>({1, 4}, {0, 0, 1, 1}), I({1}, {0})}})[0],
      Make<BFloat16>({1, 1, 1, 1}, {3}));
  ExpectTensor(
      RunOp({"RoiAlign",
             16,
             {},
             {Make<double>({1, 1, 1, 2}, {3, 5}), Make<double>({1, 4}, {0, 0, 2, 1}), I({1}, {0})}})[0],
      Make<double>({1, 1, 1, 1}, {4}));
}

// Regions from damaged or hostile inputs end soon.
TEST(RoiAlign, OfRegionsWithoutSense) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  const Tensor x = F({1, 1, 2, 2}, {1, 1, 1, 1});
  for (const int64_t sampling : {0, 2}) {
    const Tensor rois =
        F({6, 4}, {nan,    0,      1,     1,     -inf,   -inf,   inf,   inf,   0, 0, 3e38f, 3e38f,  //
                   -3e38f, -3e38f, 3e38f, 3e38f, -1e12f, -1e12f, 1e12f, 1e12f, 5, 5, -5,    -5});
    for (const char* mode : {"avg", "max"}) {
      RunOp({"RoiAlign",
             16,
             {{"sampling_ratio", sampling}, {"mode", S(mode)}},
             {x, rois, I({6}, {0, 0, 0, 0, 0, 0})}});
    }
  }
}

TEST(RoiAlign, Refuses) {
  const Tensor x = F({1, 1, 1, 1}, {1}), rois = F({1, 4}, {0, 0, 1, 1});
  ExpectRefused({"RoiAlign", 16, {}, {x, rois, I({1}, {1})}}, "batch index 1 is outside [0, 1)");
  ExpectRefused({"RoiAlign", 16, {}, {x, rois, I({2}, {0, 0})}}, "expected [1]");
  ExpectRefused({"RoiAlign", 16, {}, {x, F({1, 3}, {0, 0, 1}), I({1}, {0})}}, "expected [count, 4]");
  ExpectRefused({"RoiAlign", 16, {{"mode", S("min")}}, {x, rois, I({1}, {0})}}, "unknown mode 'min'");
  ExpectRefused({"RoiAlign", 16, {{"output_height", int64_t{0}}}, {x, rois, I({1}, {0})}}, "at least 1 x 1");
  ExpectRefused({"RoiAlign", 16, {{"output_height", INT64_MAX}}, {x, rois, I({1}, {0})}}, "too large");
  ExpectRefused({"RoiAlign", 16, {{"sampling_ratio", int64_t{5000}}}, {x, rois, I({1}, {0})}},
                "sampling_ratio");
}

}  // namespace
}  // namespace sluice::test
