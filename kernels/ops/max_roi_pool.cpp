#include <algorithm>
#include <cmath>

#include "kernels/ops/params.h"
#include "kernels/ops/typed_kernel.h"
#include "kernels/parallel.h"
#include "sluice/error.h"

// MaxRoiPool (1, 22): x [n, c, h, w], rois [count, 5] as image, x0, y0, x1, y1, corners included; the result
// [count, c, pooled_h, pooled_w] has the maximum of each bin, 0 for an empty one.

namespace sluice {
namespace {

// The elements of bin `i` of `bins` along an axis of `size` elements.
Range BinOf(double begin, double length, int64_t i, int64_t bins, int64_t size) {
  const double bin = length / static_cast<double>(bins), last = static_cast<double>(size);
  const double from = std::floor(static_cast<double>(i) * bin) + begin;
  const double to = std::ceil(static_cast<double>(i + 1) * bin) + begin;
  // NaN makes an empty bin.
  if (!(from < to)) return {0, 0};
  return {static_cast<int64_t>(std::clamp(from, 0.0, last)), static_cast<int64_t>(std::clamp(to, 0.0, last))};
}

template <typename T>
class MaxRoiPoolOf : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    place_ = Describe(ctx.node());
    const Shape &src = ctx.shape(0), &dst = ctx.output(0).shape;
    n_ = src[0];
    c_ = src[1];
    h_ = src[2];
    w_ = src[3];
    oh_ = dst[2];
    ow_ = dst[3];
    scale_ = static_cast<double>(ctx.attrs().Float("spatial_scale", 1.0f));
    planes_ = ctx.output(0).num_elements() == 0 ? 0 : dst[0] * c_;
  }
  int64_t tiles() const override { return planes_ == 0 ? 0 : PiecesOf(planes_, 16); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const Range planes = PieceOf(planes_, tiles(), tile);
    for (int64_t plane = planes.begin; plane < planes.end; ++plane) {
      const T* roi = ctx.in<T>(1) + plane / c_ * 5;
      const auto at = [&](int i) { return static_cast<double>(roi[i]); };
      if (!(at(0) >= 0 && at(0) < static_cast<double>(n_))) {
        throw Error(ErrorCode::kInvalidArgument, place_ + ": image " + std::to_string(at(0)) +
                                                     " is outside [0, " + std::to_string(n_) + ")");
      }
      const double x = std::round(at(1) * scale_), y = std::round(at(2) * scale_);
      const double width = std::max(std::round(at(3) * scale_) - x + 1, 1.0);
      const double height = std::max(std::round(at(4) * scale_) - y + 1, 1.0);
      const T* src = ctx.in<T>(0) + (static_cast<int64_t>(at(0)) * c_ + plane % c_) * h_ * w_;
      T* dst = ctx.out<T>(0) + plane * oh_ * ow_;
      for (int64_t i = 0; i < oh_; ++i) {
        const Range rows = BinOf(y, height, i, oh_, h_);
        for (int64_t j = 0; j < ow_; ++j) dst[i * ow_ + j] = MaxOf(src, rows, BinOf(x, width, j, ow_, w_));
      }
    }
  }

 private:
  T MaxOf(const T* src, Range rows, Range columns) const {
    if (rows.begin >= rows.end || columns.begin >= columns.end) return T(0.0f);
    T max = src[rows.begin * w_ + columns.begin];
    for (int64_t i = rows.begin; i < rows.end; ++i) {
      for (int64_t j = columns.begin; j < columns.end; ++j) max = std::max(max, src[i * w_ + j]);
    }
    return max;
  }

  std::string place_;
  int64_t n_ = 0, c_ = 0, h_ = 0, w_ = 0, oh_ = 1, ow_ = 1, planes_ = 0;
  double scale_ = 1;
};

void InferMaxRoiPool(InferContext& ctx) {
  CheckSameType(ctx);
  const SymShape &x = ctx.shape(0), &rois = ctx.shape(1);
  if (x.size() != 4) ctx.Fail("input is " + ToString(x) + ", expected [n, c, h, w]");
  if (rois.size() != 2 || (rois[1].known() && !rois[1].is(5)))
    ctx.Fail("rois are " + ToString(rois) + ", expected [count, 5]");
  const std::vector<int64_t>& pooled = ctx.attrs().Ints("pooled_shape");
  if (pooled.size() != 2 || pooled[0] < 1 || pooled[1] < 1)
    ctx.Fail("pooled_shape is " + ToString(pooled) + ", expected two sizes of at least 1");
  ctx.SetOutput(0, ctx.dtype(0), {rois[0], x[1], pooled[0], pooled[1]});
}

const Operator kMaxRoiPool = {.name = "MaxRoiPool",
                              .versions = {1, 22},
                              .min_inputs = 2,
                              .max_inputs = 2,
                              .infer = InferMaxRoiPool,
                              .kernels = {&Make<TypedKernel<MaxRoiPoolOf>>},
                              .types = "float, double, float16, bfloat16"};
const RegisterOperator kRegister(kMaxRoiPool);

}  // namespace
}  // namespace sluice
