#include <algorithm>
#include <cmath>

#include "kernels/dispatch.h"
#include "kernels/ops/params.h"
#include "kernels/parallel.h"
#include "sluice/error.h"

// RoiAlign (10, 16, 22): x [n, c, h, w], rois [count, 4] as x0, y0, x1, y1, batch_indices int64 [count];
// the result is [count, c, output_height, output_width].

namespace sluice {
namespace {

// More samples in a bin than this along one axis are refused where the model asks for them.
constexpr int64_t kMaxSampling = 1024;

// A sample between two neighbours along one axis.
struct Sample {
  int64_t low, high;
  double low_weight, high_weight;
};

// The samples of all bins of one region along one axis.
class RoiAxis {
 public:
  RoiAxis() = default;
  RoiAxis(double begin, double length, int64_t bins, int64_t sampling, int64_t size)
      : begin_(begin), bin_(length / static_cast<double>(bins)), size_(size) {
    count_ = sampling > 0 ? static_cast<double>(sampling) : std::max(0.0, std::ceil(bin_));
  }

  // How many samples a bin has, those outside of the image included. May be huge or NaN.
  double count() const { return count_; }

  // Writes the samples of a bin that are not zero and returns how many there are. Samples lie at least half
  // an element apart where their number is adaptive, so 2 * size + 8 have room, or kMaxSampling.
  int64_t Samples(int64_t bin, Sample* samples) const {
    const double start = begin_ + static_cast<double>(bin) * bin_, step = bin_ / count_;
    const double last = static_cast<double>(size_);
    // Beyond this, doubles do not tell neighbours apart.
    if (!(count_ < 1e15)) return 0;
    // Skips what lies before the image, however much that is.
    double i = 0;
    if (step > 0 && start < -1) i = std::max(0.0, std::floor((-1 - start) / step - 0.5) - 1);
    int64_t found = 0;
    for (; i < count_; ++i) {
      double at = start + (i + 0.5) * step;
      if (step > 0 && at > last) break;
      if (!(at >= -1 && at <= last)) continue;
      at = std::max(at, 0.0);
      auto low = static_cast<int64_t>(at);
      if (low >= size_ - 1) {
        low = size_ - 1;
        at = static_cast<double>(low);
      }
      const double fraction = at - static_cast<double>(low);
      samples[found++] = {low, std::min(low + 1, size_ - 1), 1 - fraction, fraction};
    }
    return found;
  }

 private:
  double begin_ = 0, bin_ = 0, count_ = 0;
  int64_t size_ = 0;
};

class RoiAlignKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    place_ = Describe(ctx.node());
    batch_ = ctx.shape(0)[0];
    channels_ = ctx.shape(0)[1];
    h_ = ctx.shape(0)[2];
    w_ = ctx.shape(0)[3];
    const Shape& dst = ctx.output(0).shape;
    oh_ = dst[2];
    ow_ = dst[3];
    bins_ = channels_ == 0 ? 0 : NumElements(Shape{ctx.shape(1)[0], oh_, ow_});
    sampling_ = ctx.attrs().Int("sampling_ratio", 0);
    if (sampling_ < 0 || sampling_ > kMaxSampling)
      ctx.Fail("sampling_ratio is " + std::to_string(sampling_) + ", expected 0 to " +
               std::to_string(kMaxSampling));
    scale_ = ctx.attrs().Float("spatial_scale", 1.0f);
    const std::string mode = ctx.attrs().String("mode", "avg");
    if (mode != "avg" && mode != "max") ctx.Fail("unknown mode '" + mode + "'");
    const std::string half = "half_pixel", output_half = "output_half_pixel";
    const std::string coordinates =
        ctx.since_version() < 16 ? output_half : ctx.attrs().String("coordinate_transformation_mode", half);
    if (coordinates != half && coordinates != output_half)
      ctx.Fail("unknown coordinate_transformation_mode '" + coordinates + "'");
    half_pixel_ = coordinates == half;
    if (ctx.dtype(2) != DataType::kInt64)
      ctx.Fail("batch_indices are " + std::string(DataTypeName(ctx.dtype(2))) + ", expected int64");
    const bool known = Dispatch(FloatTypes(), ctx.dtype(0), [&](auto tag) {
      using T = typename decltype(tag)::type;
      run_ = mode == "max" ? &RoiAlignKernel::RunAs<true, T> : &RoiAlignKernel::RunAs<false, T>;
    });
    if (!known) ctx.Unsupported("input of type " + std::string(DataTypeName(ctx.dtype(0))));
    samples_ = std::max(2 * std::max(h_, w_) + 8, sampling_);
    ctx.SetScratch(2 * samples_ * static_cast<int64_t>(sizeof(Sample)));
  }
  int64_t tiles() const override { return PiecesOf(bins_, 1 + 4096 / (channels_ + 1)); }
  void Run(const RunContext& ctx, int64_t tile) const override { (this->*run_)(ctx, tile); }

 private:
  // A region's samples along y or x. T is the type of rois.
  template <typename T>
  RoiAxis AxisOf(const T* roi, bool vertical) const {
    const double shift = half_pixel_ ? 0.5 : 0;
    const double begin = static_cast<double>(roi[vertical]) * scale_ - shift,
                 end = static_cast<double>(roi[2 + vertical]) * scale_ - shift;
    const double length = half_pixel_ ? end - begin : std::max(end - begin, 1.0);
    return RoiAxis(begin, length, vertical ? oh_ : ow_, sampling_, vertical ? h_ : w_);
  }

  template <bool kMax, typename T>
  void RunAs(const RunContext& ctx, int64_t tile) const {
    using Sum = ComputeType<T>;
    const Range range = PieceOf(bins_, tiles(), tile);
    Sample* const ys = ctx.scratch<Sample>();
    Sample* const xs = ys + samples_;
    for (int64_t i = range.begin; i < range.end; ++i) {
      const int64_t r = i / (oh_ * ow_), y = i / ow_ % oh_, x = i % ow_;
      const int64_t image = ctx.in<int64_t>(2)[r];
      if (image < 0 || image >= batch_) {
        throw Error(ErrorCode::kInvalidArgument, place_ + ": batch index " + std::to_string(image) +
                                                     " is outside [0, " + std::to_string(batch_) + ")");
      }
      const RoiAxis vertical = AxisOf(ctx.in<T>(1) + 4 * r, true),
                    horizontal = AxisOf(ctx.in<T>(1) + 4 * r, false);
      const int64_t rows = h_ * w_ == 0 ? 0 : vertical.Samples(y, ys);
      const int64_t columns = rows == 0 ? 0 : horizontal.Samples(x, xs);
      const double all = vertical.count() * horizontal.count();
      const bool some_outside = all > static_cast<double>(rows * columns);
      for (int64_t c = 0; c < channels_; ++c) {
        const T* src = ctx.in<T>(0) + (image * channels_ + c) * h_ * w_;
        Sum result = 0;
        bool first = !some_outside;  // samples outside are zeros
        for (int64_t a = 0; a < rows; ++a) {
          const T *low = src + ys[a].low * w_, *high = src + ys[a].high * w_;
          const Sum wl = static_cast<Sum>(ys[a].low_weight), wh = static_cast<Sum>(ys[a].high_weight);
          for (int64_t b = 0; b < columns; ++b) {
            const Sum l = static_cast<Sum>(xs[b].low_weight), h = static_cast<Sum>(xs[b].high_weight);
            const Sum parts[4] = {
                wl * l * static_cast<Sum>(low[xs[b].low]), wl * h * static_cast<Sum>(low[xs[b].high]),
                wh * l * static_cast<Sum>(high[xs[b].low]), wh * h * static_cast<Sum>(high[xs[b].high])};
            if constexpr (kMax) {
              // The standard's reference takes the largest of the four weighted neighbours, not their sum.
              const Sum largest = std::max({parts[0], parts[1], parts[2], parts[3]});
              result = first ? largest : std::max(result, largest);
              first = false;
            } else {
              result += parts[0] + parts[1] + parts[2] + parts[3];
            }
          }
        }
        if (!kMax && all > 1) result = static_cast<Sum>(static_cast<double>(result) / all);
        ctx.out<T>(0)[((r * channels_ + c) * oh_ + y) * ow_ + x] = static_cast<T>(result);
      }
    }
  }

  std::string place_;
  int64_t batch_ = 0, channels_ = 0, h_ = 0, w_ = 0, oh_ = 1, ow_ = 1, bins_ = 0;
  int64_t sampling_ = 0, samples_ = 0;
  double scale_ = 1;
  bool half_pixel_ = true;
  void (RoiAlignKernel::*run_)(const RunContext&, int64_t) const = nullptr;
};

void InferRoiAlign(InferContext& ctx) {
  const SymShape &src = ctx.shape(0), &rois = ctx.shape(1), &indices = ctx.shape(2);
  if (src.size() != 4) ctx.Fail("input is " + ToString(src) + ", expected [n, c, h, w]");
  if (rois.size() != 2 || (rois[1].known() && !rois[1].is(4)))
    ctx.Fail("rois are " + ToString(rois) + ", expected [count, 4]");
  if (indices.size() != 1 || (indices[0].known() && rois[0].known() && !indices[0].is(rois[0].value())))
    ctx.Fail("batch_indices are " + ToString(indices) + ", expected " + ToString(SymShape{rois[0]}));
  if (ctx.dtype(1) != ctx.dtype(0))
    ctx.Fail("rois are " + std::string(DataTypeName(ctx.dtype(1))) + ", expected " +
             std::string(DataTypeName(ctx.dtype(0))));
  const int64_t oh = ctx.attrs().Int("output_height", 1), ow = ctx.attrs().Int("output_width", 1);
  if (oh < 1 || ow < 1)
    ctx.Fail("the output is " + std::to_string(oh) + " x " + std::to_string(ow) +
             ", expected at least 1 x 1");
  ctx.SetOutput(0, ctx.dtype(0), {rois[0].known() ? rois[0] : indices[0], src[1], oh, ow});
}

const Operator kRoiAlign = {.name = "RoiAlign",
                            .versions = {10, 16, 22},
                            .min_inputs = 3,
                            .max_inputs = 3,
                            .infer = InferRoiAlign,
                            .kernels = {&Make<RoiAlignKernel>},
                            .types = "float, double, float16, bfloat16"};
const RegisterOperator kRegister(kRoiAlign);

}  // namespace
}  // namespace sluice
