#include <cmath>

#include "tests/kernels/op_test_util.h"

namespace sluice::test {
namespace {

Attribute S(const std::string& text) { return text; }

// The definition, one output element at a time: a sum over all elements near the position.
class Reference {
 public:
  Reference(int taps, std::string padding, bool align, Shape sizes)
      : taps_(taps), padding_(std::move(padding)), align_(align), sizes_(std::move(sizes)) {}

  double Sample(const float* src, const std::vector<double>& grid) const {
    std::vector<double> at;
    for (size_t i = 0; i < sizes_.size(); ++i) at.push_back(Position(grid[sizes_.size() - 1 - i], sizes_[i]));
    return Sum(src, at, 0, 0);
  }

 private:
  double Mirror(double at, int64_t size) const {
    const double low = align_ ? 0 : -0.5, high = static_cast<double>(size) - (align_ ? 1 : 0.5);
    if (low == high) return 0;
    while (at < low || at > high) at = at < low ? 2 * low - at : 2 * high - at;
    return at;
  }
  double Position(double v, int64_t size) const {
    const double n = static_cast<double>(size);
    double at = align_ ? (v + 1) / 2 * (n - 1) : ((v + 1) * n - 1) / 2;
    if (taps_ == 1) at = std::nearbyint(at);
    return at;
  }
  double Weight(double distance) const {
    const double d = std::abs(distance), a = -0.75;
    if (taps_ == 1) return d < 0.5 ? 1 : 0;
    if (taps_ == 2) return std::max(0.0, 1 - d);
    if (d <= 1) return (a + 2) * d * d * d - (a + 3) * d * d + 1;
    return d < 2 ? a * d * d * d - 5 * a * d * d + 8 * a * d - 4 * a : 0;
  }
  double Sum(const float* src, const std::vector<double>& at, size_t axis, int64_t offset) const {
    if (axis == sizes_.size()) return src[offset];
    const int64_t size = sizes_[axis];
    double sum = 0;
    for (auto k = static_cast<int64_t>(std::floor(at[axis])) - 2; k <= std::floor(at[axis]) + 3; ++k) {
      int64_t element = k;
      if (k < 0 || k >= size) {
        if (padding_ == "zeros") continue;
        if (padding_ == "border") element = k < 0 ? 0 : size - 1;
        if (padding_ == "reflection") element = static_cast<int64_t>(Mirror(static_cast<double>(k), size));
      }
      const double weight = Weight(at[axis] - static_cast<double>(k));
      if (weight != 0) sum += weight * Sum(src, at, axis + 1, offset * size + element);
    }
    return sum;
  }

  int taps_;
  std::string padding_;
  bool align_;
  Shape sizes_;
};

TEST(GridSample, AgreesWithTheDefinition) {
  std::mt19937 engine(5);
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    const size_t axes = 1 + engine() % 3;
    const bool old = axes == 2 && engine() % 2;
    const int kind = static_cast<int>(engine() % 3), taps = kind == 0 ? 1 : kind == 1 ? 2 : 4;
    const std::string mode = kind == 0   ? "nearest"
                             : kind == 1 ? (old ? "bilinear" : "linear")
                                         : (old ? "bicubic" : "cubic");
    const std::string padding = std::vector<std::string>{"zeros", "border", "reflection"}[engine() % 3];
    const bool align = engine() % 2;
    Shape in = {static_cast<int64_t>(1 + engine() % 3), static_cast<int64_t>(engine() % 4)}, out = in;
    Shape sizes;
    for (size_t i = 0; i < axes; ++i) {
      sizes.push_back(1 + engine() % 7);
      in.push_back(sizes.back());
      out.push_back(static_cast<int64_t>(engine() % 9));
    }
    Shape grid_shape = {in[0]};
    grid_shape.insert(grid_shape.end(), out.begin() + 2, out.end());
    grid_shape.push_back(static_cast<int64_t>(axes));
    const Tensor x = Random(in, engine()), grid = Random(grid_shape, engine(), 1.2f);
    Tensor want(DataType::kFloat, out);
    const Reference reference(taps, padding, align, sizes);
    const int64_t points = NumElements(std::span(out).subspan(2)), elems = NumElements(sizes);
    for (int64_t i = 0; i < want.num_elements(); ++i) {
      const int64_t plane = i / points, image = plane / in[1], point = i % points;
      const float* g = grid.values<float>().data() + (image * points + point) * static_cast<int64_t>(axes);
      want.mutable_values<float>()[static_cast<size_t>(i)] = static_cast<float>(
          reference.Sample(x.values<float>().data() + plane * elems, std::vector<double>(g, g + axes)));
    }
    ExpectTensor(RunOp({"GridSample",
                        old ? 16 : 20 + 2 * static_cast<int>(engine() % 2),
                        {{"mode", S(mode)}, {"padding_mode", S(padding)}, {"align_corners", int64_t{align}}},
                        {x, grid}})[0],
                 want, 1e-5, 1e-4);
  }
}

TEST(GridSample, OfOtherTypes) {
  const Attrs nearest = {{"mode", S("nearest")}};
  const Tensor grid = F({1, 1, 3, 2}, {-0.5, 0, 0.5, 0, 9, 0});
  ExpectTensor(RunOp({"GridSample", 16, nearest, {Make<std::string>({1, 1, 1, 2}, {"a", "b"}), grid}})[0],
               Make<std::string>({1, 1, 1, 3}, {"a", "b", ""}));
  ExpectTensor(RunOp({"GridSample", 16, nearest, {Make<bool>({1, 1, 1, 2}, {false, true}), grid}})[0],
               Make<bool>({1, 1, 1, 3}, {false, true, false}));
  ExpectTensor(RunOp({"GridSample", 22, {}, {I({1, 1, 1, 2}, {4, 9}), F({1, 1, 1, 2}, {0, 0})}})[0],
               I({1, 1, 1, 1}, {6}));
  ExpectTensor(
      RunOp({"GridSample", 20, {}, {Make<double>({1, 1, 2}, {1, 2}), Make<double>({1, 1, 1}, {0})}})[0],
      Make<double>({1, 1, 1}, {1.5}));
  ExpectTensor(RunOp({"GridSample", 22, {}, {Make<BFloat16>({1, 1, 2}, {1, 2}), F({1, 1, 1}, {0})}})[0],
               Make<BFloat16>({1, 1, 1}, {1.5f}));
}

TEST(GridSample, OfPositionsThatAreNoNumbers) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  const Tensor grid = F({1, 4, 1}, {inf, -inf, nan, 3e38f}), x = F({1, 1, 2}, {1, 2});
  for (const char* mode : {"nearest", "linear", "cubic"}) {
    ExpectTensor(RunOp({"GridSample", 20, {{"mode", S(mode)}}, {x, grid}})[0], F({1, 1, 4}, {0, 0, 0, 0}));
    ExpectTensor(RunOp({"GridSample",
                        20,
                        {{"mode", S(mode)}, {"padding_mode", S("border")}},
                        {x, F({1, 2, 1}, {inf, -inf})}})[0],
                 F({1, 1, 2}, {2, 1}));
    RunOp({"GridSample", 20, {{"mode", S(mode)}, {"padding_mode", S("reflection")}}, {x, grid}});
    // Nothing to sample.
    ExpectTensor(RunOp({"GridSample",
                        20,
                        {{"mode", S(mode)}, {"padding_mode", S("reflection")}},
                        {F({1, 1, 0}, {}), grid}})[0],
                 F({1, 1, 4}, {0, 0, 0, 0}));
  }
}

TEST(GridSample, Refuses) {
  const Tensor x = F({1, 1, 2}, {1, 2}), grid = F({1, 1, 1}, {0});
  ExpectRefused({"GridSample", 16, {}, {x, grid}}, "expected [n, c, h, w]");
  ExpectRefused({"GridSample", 20, {{"mode", S("bilinear")}}, {x, grid}}, "unknown mode 'bilinear'");
  ExpectRefused({"GridSample", 20, {{"padding_mode", S("wrap")}}, {x, grid}}, "unknown padding_mode 'wrap'");
  ExpectRefused({"GridSample", 20, {}, {x, F({1, 1, 2}, {0, 0})}}, "expected [[1], 1 sizes, 1]");
  ExpectRefused({"GridSample", 20, {}, {x, I({1, 1, 1}, {0})}}, "a grid of type int64");
  ExpectRefused({"GridSample", 20, {}, {Make<std::string>({1, 1, 1}, {"a"}), grid}}, "type string");
}

TEST(AffineGrid, IsTheImageOfEveryPosition) {
  for (const bool align : {false, true}) {
    for (const bool deep : {false, true}) {
      const int64_t axes = deep ? 3 : 2, n = 2;
      const Tensor theta = Random({n, axes, axes + 1}, 4);
      const std::vector<int64_t> size =
          deep ? std::vector<int64_t>{n, 3, 4, 1, 5} : std::vector<int64_t>{n, 3, 4, 5};
      Shape out = {n};
      out.insert(out.end(), size.begin() + 2, size.end());
      out.push_back(axes);
      Tensor want(DataType::kFloat, out);
      const auto position = [&](int64_t i, int64_t count) {
        if (!align) return -1 + (2.0 * static_cast<double>(i) + 1) / static_cast<double>(count);
        return count == 1 ? -1.0 : -1 + 2.0 / static_cast<double>(count - 1) * static_cast<double>(i);
      };
      const int64_t points = want.num_elements() / n / axes;
      for (int64_t p = 0; p < n * points; ++p) {
        const int64_t i = p % points, w = size.back(), h = size[size.size() - 2];
        const double at[4] = {position(i % w, w), position(i / w % h, h),
                              deep ? position(i / w / h, size[2]) : 1, 1};
        for (int64_t r = 0; r < axes; ++r) {
          double sum = 0;
          for (int64_t k = 0; k <= axes; ++k)
            sum +=
                at[k] * theta.values<float>()[static_cast<size_t>((p / points * axes + r) * (axes + 1) + k)];
          want.mutable_values<float>()[static_cast<size_t>(p * axes + r)] = static_cast<float>(sum);
        }
      }
      const Tensor sizes = Tensor::From<int64_t>({axes + 2}, size);
      ExpectTensor(RunOp({"AffineGrid", 20, {{"align_corners", int64_t{align}}}, {theta, sizes}})[0], want);
    }
  }
  ExpectTensor(RunOp({"AffineGrid", 20, {}, {F({0, 2, 3}, {}), I({4}, {0, 1, 2, 2})}})[0],
               F({0, 2, 2, 2}, {}));
}

TEST(AffineGrid, Refuses) {
  ExpectRefused({"AffineGrid", 20, {}, {F({1, 2, 2}, {1, 0, 0, 1}), I({4}, {1, 1, 2, 2})}},
                "expected [n, 2, 3]");
  const Tensor theta = F({1, 2, 3}, {1, 0, 0, 0, 1, 0});
  ExpectRefused({"AffineGrid", 20, {}, {theta, I({5}, {1, 1, 2, 2, 2})}}, "[n, c, d, h, w]");
  ExpectRefused({"AffineGrid", 20, {}, {theta, I({4}, {2, 1, 2, 2})}}, "size is [2, 1, 2, 2]");
  ExpectRefused({"AffineGrid", 20, {}, {theta, I({4}, {1, 1, -2, 2})}}, "a size is -2");
  ExpectRefused({"AffineGrid", 20, {}, {theta, I({4}, {1, 1, INT64_MAX, 8})}}, "too many elements");
}

}  // namespace
}  // namespace sluice::test
