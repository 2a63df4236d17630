#include <algorithm>

#include "kernels/dispatch.h"
#include "kernels/fft.h"
#include "kernels/ops/axis_split.h"
#include "kernels/ops/signal_params.h"
#include "kernels/parallel.h"

// DFT (17: axis is an attribute, 20: an input). x [..., 1] real or [..., 2] complex, optionally the length
// that x is padded with zeros or cut to. Computed in double. onesided, forward: real input, of the result
// bins 0 to n/2; inverse: those bins as input, a real result.

namespace sluice {
namespace {

struct Request {
  std::optional<int64_t> axis, length;  // nothing: not known yet
  bool has_length = false;
  bool inverse = false, onesided = false;
};

template <typename Context>
Request RequestOf(const Context& ctx, int64_t rank) {
  Request request;
  if (rank < 2) ctx.Fail("input has rank " + std::to_string(rank) + ", expected at least 2");
  if (ctx.since_version() < 20)
    request.axis = ctx.attrs().Int("axis", 1);
  else if (const auto axis = InputInts(ctx, 2))
    request.axis = axis->size() == 1 ? axis->front() : rank;
  else if (!ctx.has_input(2))
    request.axis = -2;
  if (request.axis) {
    request.axis = CheckedAxis(ctx, *request.axis, rank);
    if (*request.axis == rank - 1)
      ctx.Fail("axis " + std::to_string(*request.axis) + " is that of the real and imaginary parts");
  }
  request.length = ScalarInput(ctx, 1, "dft_length", 1);
  request.has_length = ctx.has_input(1);
  request.inverse = ctx.attrs().Int("inverse", 0) != 0;
  request.onesided = ctx.attrs().Int("onesided", 0) != 0;
  return request;
}

// Points of the transform of an axis of `size` elements.
int64_t PointsOf(const Request& request, int64_t size) {
  if (request.length) return *request.length;
  return request.inverse && request.onesided ? std::max<int64_t>(2 * (size - 1), 1) : size;
}

class DftKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const Shape& shape = ctx.shape(0);
    const Request request = RequestOf(ctx, static_cast<int64_t>(shape.size()));
    split_ = SplitAt(ctx, Shape(shape.begin(), shape.end() - 1), false, *request.axis);
    parts_ = shape.back();
    inverse_ = request.inverse;
    onesided_ = request.onesided;
    out_size_ = ctx.output(0).shape[static_cast<size_t>(*request.axis)];
    lines_ = ctx.output(0).num_elements() == 0 ? 0 : split_.outer * split_.inner;
    const bool known = Dispatch(FloatTypes(), ctx.dtype(0),
                                [&](auto tag) { run_ = &DftKernel::RunAs<typename decltype(tag)::type>; });
    if (!known) ctx.Unsupported("input of type " + std::string(DataTypeName(ctx.dtype(0))));
    if (lines_ > 0) fft_ = Fft(PointsOf(request, split_.size), inverse_);
    ctx.SetScratch((fft_.size() + fft_.scratch_elems()) * static_cast<int64_t>(sizeof(Complex)));
  }
  int64_t tiles() const override { return PiecesOf(lines_, 2048 / fft_.size() + 1); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const Range range = PieceOf(lines_, tiles(), tile);
    for (int64_t line = range.begin; line < range.end; ++line) (this->*run_)(ctx, line);
  }

 private:
  template <typename T>
  void RunAs(const RunContext& ctx, int64_t line) const {
    Complex* const data = ctx.scratch<Complex>();
    const int64_t n = fft_.size(), outer = line / split_.inner, inner = line % split_.inner;
    const T* src = ctx.in<T>(0) + (outer * split_.size * split_.inner + inner) * parts_;
    const bool real_result = inverse_ && onesided_;
    const int64_t given = std::min(split_.size, real_result ? n / 2 + 1 : n);
    for (int64_t i = 0; i < given; ++i) {
      const T* at = src + i * split_.inner * parts_;
      data[i] = {static_cast<double>(at[0]), parts_ == 2 ? static_cast<double>(at[1]) : 0.0};
    }
    std::fill(data + given, data + n, Complex());
    if (real_result) {
      // The other half is the conjugate; what has no partner is real.
      data[0].im = 0;
      if (n % 2 == 0) data[n / 2].im = 0;
      for (int64_t i = 1; i < (n + 1) / 2; ++i) data[n - i] = {data[i].re, -data[i].im};
    }
    fft_.Run(data, data + n);
    const double factor = inverse_ ? 1 / static_cast<double>(n) : 1;
    const int64_t parts = real_result ? 1 : 2;
    T* dst = ctx.out<T>(0) + (outer * out_size_ * split_.inner + inner) * parts;
    for (int64_t i = 0; i < out_size_; ++i, dst += split_.inner * parts) {
      dst[0] = static_cast<T>(static_cast<ComputeType<T>>(data[i].re * factor));
      if (parts == 2) dst[1] = static_cast<T>(static_cast<ComputeType<T>>(data[i].im * factor));
    }
  }

  Fft fft_;
  AxisSplit split_;
  int64_t parts_ = 1, out_size_ = 0, lines_ = 0;
  bool inverse_ = false, onesided_ = false;
  void (DftKernel::*run_)(const RunContext&, int64_t) const = nullptr;
};

void InferDft(InferContext& ctx) {
  const Request request = RequestOf(ctx, ctx.rank(0));
  SymShape shape = ctx.shape(0);
  Dim& parts = shape.back();
  if (parts.known() && !parts.is(1) && !parts.is(2))
    ctx.Fail("input is " + ToString(shape) + ", expected a last size of 1 (real) or 2 (complex)");
  if (request.onesided && parts.is(request.inverse ? 1 : 2))
    ctx.Fail(request.inverse ? "a one-sided inverse of real input" : "a one-sided result of complex input");
  parts = request.inverse && request.onesided ? 1 : 2;
  if (!request.axis) {
    // Any one of the sizes changes.
    for (size_t i = 0; i + 1 < shape.size(); ++i) shape[i] = Dim();
    return ctx.SetOutput(0, ctx.dtype(0), std::move(shape));
  }
  Dim& size = shape[static_cast<size_t>(*request.axis)];
  if (size.is(0)) ctx.Fail("axis " + std::to_string(*request.axis) + " has size 0");
  if (request.has_length && !request.length) {
    size = Dim();
  } else if (request.length || size.known()) {
    const int64_t points = PointsOf(request, size.value());
    size = request.onesided && !request.inverse ? points / 2 + 1 : points;
  } else if (request.onesided) {
    size = Dim();
  }
  if (const auto concrete = ToShape(shape)) CheckMemory(ByteSize(ctx.dtype(0), NumElements(*concrete)));
  ctx.SetOutput(0, ctx.dtype(0), std::move(shape));
}

Operator Define(int version, int inputs) {
  return {.name = "DFT",
          .versions = {version},
          .max_inputs = inputs,
          .infer = InferDft,
          .kernels = {&Make<DftKernel>},
          .types = "float, double, float16, bfloat16"};
}
const Operator kDft17 = Define(17, 2), kDft20 = Define(20, 3);
const RegisterOperator kRegister[] = {RegisterOperator(kDft17), RegisterOperator(kDft20)};

}  // namespace
}  // namespace sluice
