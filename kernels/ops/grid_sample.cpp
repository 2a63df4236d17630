#include <algorithm>
#include <cmath>

#include "kernels/fold.h"
#include "kernels/ops/params.h"
#include "kernels/parallel.h"

// GridSample (16, 20, 22): x [n, c, spatial...], grid [n, out spatial..., axes] of positions in [-1, 1], the
// position along the last spatial axis first; the result is [n, c, out spatial...]. Nearest: any element type
// of 8 bits or more; linear and cubic: numbers, integers rounded towards zero.

namespace sluice {
namespace {

// Whole numbers are exact up to here.
constexpr double kFar = 1e15;

enum class Padding { kZeros, kBorder, kReflection };

// Where one spatial axis is sampled, and with which weights.
struct GridAxis {
  int64_t size = 1;
  bool align_corners = false;
  Padding padding = Padding::kZeros;

  // The ends between which positions are reflected.
  double low() const { return align_corners ? 0 : -0.5; }
  double high() const { return static_cast<double>(size) - (align_corners ? 1 : 0.5); }

  double Reflected(double at) const {
    const double span = high() - low();
    if (span <= 0) return 0;
    const double past = at < low() ? low() - at : at > high() ? at - high() : 0;
    if (past == 0) return at;
    const double turns = std::floor(past / span), rest = past - turns * span;
    const bool from_low = (at < low()) == (std::fmod(turns, 2) == 0);
    return from_low ? low() + rest : high() - rest;
  }

  // The position in elements that a grid value means. What is no finite number or far away becomes a place
  // outside. Padding belongs to the elements, as in PyTorch, from where the operator comes: cubic
  // interpolation just outside of a border mixes elements inside.
  double Position(double value, bool nearest) const {
    const double last = static_cast<double>(size) - 1;
    double at = align_corners ? (value + 1) / 2 * last : ((value + 1) * static_cast<double>(size) - 1) / 2;
    if (!(std::abs(at) < kFar)) at = at > 0 ? kFar : -kFar;
    return nearest ? std::nearbyint(at) : at;
  }

  // The element at a whole position; -1 for none.
  int64_t Element(int64_t at) const {
    if (at >= 0 && at < size) return at;
    if (padding == Padding::kZeros || size == 0) return -1;
    if (padding == Padding::kReflection) at = static_cast<int64_t>(Reflected(static_cast<double>(at)));
    return std::clamp<int64_t>(at, 0, size - 1);
  }
};

// Weights of the elements floor(at) - 1, ..., floor(at) + 2 by cubic convolution with a = -0.75; t is the
// fraction of the position.
void CubicWeights(double t, double weights[4]) {
  constexpr double kA = -0.75;
  const auto near = [](double d) { return ((kA + 2) * d - (kA + 3)) * d * d + 1; };
  const auto far = [](double d) { return ((kA * d - 5 * kA) * d + 8 * kA) * d - 4 * kA; };
  weights[0] = far(t + 1);
  weights[1] = near(t);
  weights[2] = near(1 - t);
  weights[3] = far(2 - t);
}

// One element that goes into an output element.
struct Tap {
  int64_t offset;  // -1: zero
  double weight;
};

struct Request {
  int taps = 2;  // along every axis: 1 nearest, 2 linear, 4 cubic
  bool align_corners = false;
  Padding padding = Padding::kZeros;
};

template <typename Context>
Request RequestOf(const Context& ctx) {
  Request request;
  const bool old = ctx.since_version() < 20;
  const std::string mode = ctx.attrs().String("mode", old ? "bilinear" : "linear");
  if (mode == "nearest")
    request.taps = 1;
  else if (mode == (old ? "bilinear" : "linear"))
    request.taps = 2;
  else if (mode == (old ? "bicubic" : "cubic"))
    request.taps = 4;
  else
    ctx.Fail("unknown mode '" + mode + "'");
  request.align_corners = ctx.attrs().Int("align_corners", 0) != 0;
  const std::string padding = ctx.attrs().String("padding_mode", "zeros");
  if (padding == "border")
    request.padding = Padding::kBorder;
  else if (padding == "reflection")
    request.padding = Padding::kReflection;
  else if (padding != "zeros")
    ctx.Fail("unknown padding_mode '" + padding + "'");
  return request;
}

class GridSampleKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const Request request = RequestOf(ctx);
    const Shape &src = ctx.shape(0), &dst = ctx.output(0).shape;
    taps_ = request.taps;
    axes_ = src.size() - 2;
    in_ = NumElements(std::span(src).subspan(2));
    out_ = NumElements(std::span(dst).subspan(2));
    batch_ = src[0];
    channels_ = src[1];
    grid_axes_.resize(axes_);
    strides_.assign(axes_, 1);
    for (size_t i = axes_; i-- > 0;) {
      grid_axes_[i] = {src[i + 2], request.align_corners, request.padding};
      if (i + 1 < axes_) strides_[i] = strides_[i + 1] * src[i + 3];
      all_taps_ *= taps_;
      // Weights of all combinations of taps are kept for a chunk of points.
      if (all_taps_ > 4096) ctx.Unsupported(std::to_string(axes_) + " spatial axes");
    }
    const bool grid_known = Dispatch(FloatTypes(), ctx.dtype(1), [&](auto tag) {
      taps_of_ = &GridSampleKernel::TapsOf<typename decltype(tag)::type>;
    });
    if (!grid_known) ctx.Unsupported("a grid of type " + std::string(DataTypeName(ctx.dtype(1))));
    const auto choose = [&](auto tag) { run_ = &GridSampleKernel::RunAs<typename decltype(tag)::type>; };
    const auto choose_move = [&](auto tag) { run_ = &GridSampleKernel::Move<typename decltype(tag)::type>; };
    const bool known = taps_ == 1 ? DispatchBySize(ctx.dtype(0), choose_move)
                                  : Dispatch(NumericTypes(), ctx.dtype(0), choose);
    if (!known) ctx.Unsupported("input of type " + std::string(DataTypeName(ctx.dtype(0))));
    chunk_ = std::max<int64_t>(1, kChunk / all_taps_);
    chunks_ = (out_ + chunk_ - 1) / chunk_;
    ctx.SetScratch(chunk_ * all_taps_ * static_cast<int64_t>(sizeof(Tap)));
  }
  int64_t tiles() const override {
    return PiecesOf(batch_ * chunks_, 1 + 16 * 1024 / (chunk_ * all_taps_ * (channels_ + 4)));
  }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const Range range = PieceOf(batch_ * chunks_, tiles(), tile);
    for (int64_t i = range.begin; i < range.end; ++i) {
      const int64_t image = i / chunks_, first = i % chunks_ * chunk_;
      const int64_t count = std::min(chunk_, out_ - first);
      for (int64_t p = 0; p < count; ++p)
        (this->*taps_of_)(ctx, image * out_ + first + p, ctx.scratch<Tap>() + p * all_taps_);
      (this->*run_)(ctx, image, first, count);
    }
  }

 private:
  // Taps of all points of a chunk together: 64 KiB.
  static constexpr int64_t kChunk = 4096;

  template <typename T>
  void TapsOf(const RunContext& ctx, int64_t point, Tap* taps) const {
    taps[0] = {0, 1};
    int64_t count = 1;
    for (size_t i = 0; i < axes_; ++i) {
      const T value = ctx.in<T>(1)[point * static_cast<int64_t>(axes_) + static_cast<int64_t>(axes_ - 1 - i)];
      const double at = grid_axes_[i].Position(static_cast<double>(value), taps_ == 1);
      const double floor = std::floor(at), fraction = at - floor;
      double weights[4] = {1 - fraction, fraction};
      if (taps_ == 1) weights[0] = 1;
      if (taps_ == 4) CubicWeights(fraction, weights);
      const int64_t first = static_cast<int64_t>(floor) - (taps_ == 4 ? 1 : 0);
      // Every tap so far times those of this axis; the last place is written first.
      for (int64_t t = count; t-- > 0;) {
        const Tap before = taps[t];
        for (int64_t k = taps_; k-- > 0;) {
          const int64_t element = grid_axes_[i].Element(first + k);
          const bool none = before.offset < 0 || element < 0;
          taps[t * taps_ + k] = {none ? -1 : before.offset + element * strides_[i],
                                 before.weight * weights[k]};
        }
      }
      count *= taps_;
    }
  }

  template <typename T>
  void RunAs(const RunContext& ctx, int64_t image, int64_t first, int64_t count) const {
    using Sum = std::conditional_t<std::is_same_v<ComputeType<T>, float>, float, double>;
    for (int64_t c = 0; c < channels_; ++c) {
      const T* src = ctx.in<T>(0) + (image * channels_ + c) * in_;
      T* dst = ctx.out<T>(0) + (image * channels_ + c) * out_ + first;
      const Tap* tap = ctx.scratch<Tap>();
      for (int64_t p = 0; p < count; ++p) {
        Sum sum = 0;
        for (int64_t t = 0; t < all_taps_; ++t, ++tap) {
          if (tap->offset >= 0) sum += static_cast<Sum>(tap->weight) * static_cast<Sum>(src[tap->offset]);
        }
        dst[p] = Saturated<T>(static_cast<double>(sum));
      }
    }
  }

  // Nearest; T has the size of the elements.
  template <typename T>
  void Move(const RunContext& ctx, int64_t image, int64_t first, int64_t count) const {
    for (int64_t c = 0; c < channels_; ++c) {
      const T* src = ctx.in<T>(0) + (image * channels_ + c) * in_;
      T* dst = ctx.out<T>(0) + (image * channels_ + c) * out_ + first;
      for (int64_t p = 0; p < count; ++p) {
        const int64_t offset = ctx.scratch<Tap>()[p].offset;
        dst[p] = offset < 0 ? T() : src[offset];
      }
    }
  }

  int64_t taps_ = 1, all_taps_ = 1;
  size_t axes_ = 0;
  int64_t in_ = 0, out_ = 0, batch_ = 0, channels_ = 0;  // in_, out_: elements of one channel
  int64_t chunk_ = 1, chunks_ = 0;
  std::vector<GridAxis> grid_axes_;
  std::vector<int64_t> strides_;
  void (GridSampleKernel::*taps_of_)(const RunContext&, int64_t, Tap*) const = nullptr;
  void (GridSampleKernel::*run_)(const RunContext&, int64_t, int64_t, int64_t) const = nullptr;
};

void InferGridSample(InferContext& ctx) {
  RequestOf(ctx);
  const SymShape &src = ctx.shape(0), &grid = ctx.shape(1);
  const int64_t axes = ctx.rank(0) - 2;
  if (axes < 1 || (ctx.since_version() < 20 && axes != 2))
    ctx.Fail("input is " + ToString(src) + ", expected [n, c, " +
             (ctx.since_version() < 20 ? "h, w]" : "spatial...]"));
  const Dim& last = grid.empty() ? Dim() : grid.back();
  if (ctx.rank(1) != ctx.rank(0) || (last.known() && !last.is(axes)) ||
      (src[0].known() && grid[0].known() && !grid[0].is(src[0].value()))) {
    ctx.Fail("grid is " + ToString(grid) + ", expected [" + ToString(SymShape{src[0]}) + ", " +
             std::to_string(axes) + " sizes, " + std::to_string(axes) + "]");
  }
  SymShape shape = {src[0].known() ? src[0] : grid[0], src[1]};
  shape.insert(shape.end(), grid.begin() + 1, grid.end() - 1);
  ctx.SetOutput(0, ctx.dtype(0), std::move(shape));
}

const Operator kGridSample = {.name = "GridSample",
                              .versions = {16, 20, 22},
                              .min_inputs = 2,
                              .max_inputs = 2,
                              .infer = InferGridSample,
                              .kernels = {&Make<GridSampleKernel>},
                              .types = "all"};
const RegisterOperator kRegister(kGridSample);

}  // namespace
}  // namespace sluice
