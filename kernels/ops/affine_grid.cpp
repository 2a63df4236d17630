#include "kernels/dispatch.h"
#include "kernels/ops/params.h"
#include "kernels/parallel.h"

// AffineGrid (20): theta [n, 2, 3] or [n, 3, 4] and size int64 [n, c, spatial...]; the result is
// [n, spatial..., 2 or 3], the image under theta of every position, as GridSample takes it.

namespace sluice {
namespace {

class AffineGridKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const Shape& dst = ctx.output(0).shape;
    axes_ = dst.size() - 2;
    sizes_.assign(dst.begin() + 1, dst.end() - 1);
    points_ = NumElements(sizes_);
    batch_ = dst[0];
    align_corners_ = ctx.attrs().Int("align_corners", 0) != 0;
    const bool known = Dispatch(FloatTypes(), ctx.dtype(0), [&](auto tag) {
      run_ = &AffineGridKernel::RunAs<typename decltype(tag)::type>;
    });
    if (!known) ctx.Unsupported("theta of type " + std::string(DataTypeName(ctx.dtype(0))));
  }
  int64_t tiles() const override { return PiecesOf(batch_ * points_, 4096); }
  void Run(const RunContext& ctx, int64_t tile) const override { (this->*run_)(ctx, tile); }

 private:
  // The i-th of n positions in [-1, 1]: at the ends too if corners are aligned (a single one: -1),
  // otherwise in the middle of n equal parts.
  double Position(int64_t i, int64_t n) const {
    if (!align_corners_) return static_cast<double>(2 * i + 1) / static_cast<double>(n) - 1;
    return n == 1 ? -1 : 2 * static_cast<double>(i) / static_cast<double>(n - 1) - 1;
  }

  template <typename T>
  void RunAs(const RunContext& ctx, int64_t tile) const {
    const Range range = PieceOf(batch_ * points_, tiles(), tile);
    const auto axes = static_cast<int64_t>(axes_);
    for (int64_t p = range.begin; p < range.end; ++p) {
      const T* theta = ctx.in<T>(0) + p / points_ * axes * (axes + 1);
      T* dst = ctx.out<T>(0) + p * axes;
      double position[3];  // the last spatial axis first
      int64_t rest = p % points_;
      for (size_t k = 0; k < axes_; ++k) {
        const int64_t size = sizes_[axes_ - 1 - k];
        position[k] = Position(rest % size, size);
        rest /= size;
      }
      for (int64_t row = 0; row < axes; ++row, theta += axes + 1) {
        double sum = static_cast<double>(theta[axes]);
        for (int64_t k = 0; k < axes; ++k) sum += static_cast<double>(theta[k]) * position[k];
        dst[row] = static_cast<T>(static_cast<ComputeType<T>>(sum));
      }
    }
  }

  size_t axes_ = 2;
  std::vector<int64_t> sizes_;
  int64_t points_ = 0, batch_ = 0;
  bool align_corners_ = false;
  void (AffineGridKernel::*run_)(const RunContext&, int64_t) const = nullptr;
};

void InferAffineGrid(InferContext& ctx) {
  const SymShape& theta = ctx.shape(0);
  const auto is = [&](size_t i, int64_t size) { return !theta[i].known() || theta[i].is(size); };
  if (theta.size() != 3 || !((is(1, 2) && is(2, 3)) || (is(1, 3) && is(2, 4))))
    ctx.Fail("theta is " + ToString(theta) + ", expected [n, 2, 3] or [n, 3, 4]");
  if (ctx.rank(1) != 1) ctx.Fail("size has rank " + std::to_string(ctx.rank(1)) + ", expected 1");
  const auto size = InputInts(ctx, 1);
  SymShape shape;
  if (size) {
    const auto axes = static_cast<int64_t>(size->size()) - 2;
    if ((axes != 2 && axes != 3) || !is(1, axes) || !is(2, axes + 1) || !is(0, size->front()))
      ctx.Fail("size is " + ToString(*size) + " and theta " + ToString(theta) +
               ", expected [n, c, h, w] and [n, 2, 3], or [n, c, d, h, w] and [n, 3, 4]");
    shape.emplace_back(size->front());
    for (auto it = size->begin() + 2; it != size->end(); ++it) {
      if (*it < 0) ctx.Fail("a size is " + std::to_string(*it));
      shape.emplace_back(*it);
    }
    shape.emplace_back(axes);
    if (const auto concrete = ToShape(shape)) CheckMemory(ByteSize(ctx.dtype(0), NumElements(*concrete)));
    return ctx.SetOutput(0, ctx.dtype(0), std::move(shape));
  }
  const Dim& rows = theta[1].known() ? theta[1] : theta[2] - Dim(1);
  if (!rows.known()) return ctx.SetUnknownShape(0, ctx.dtype(0));
  shape.push_back(theta[0]);
  shape.resize(static_cast<size_t>(rows.value()) + 1);
  shape.push_back(rows);
  ctx.SetOutput(0, ctx.dtype(0), std::move(shape));
}

const Operator kAffineGrid = {.name = "AffineGrid",
                              .versions = {20},
                              .min_inputs = 2,
                              .max_inputs = 2,
                              .infer = InferAffineGrid,
                              .kernels = {&Make<AffineGridKernel>},
                              .types = "float, double, float16, bfloat16"};
const RegisterOperator kRegister(kAffineGrid);

}  // namespace
}  // namespace sluice
