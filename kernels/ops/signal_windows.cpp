#include <cmath>
#include <numbers>

#include "kernels/fold.h"
#include "kernels/ops/signal_params.h"
#include "kernels/parallel.h"

// HannWindow, HammingWindow, BlackmanWindow and MelWeightMatrix (17): constants of signal processing.
// Integer results are rounded towards zero.

namespace sluice {
namespace {

template <typename Context>
DataType OutputType(const Context& ctx) {
  const int64_t number = ctx.attrs().Int("output_datatype", 1);
  const auto type = static_cast<DataType>(number);
  if (number < 0 || number > 26 || !Contains(NumericTypes(), type))
    ctx.Fail("output_datatype is " + std::to_string(number) + ", expected that of a number");
  return type;
}

// w[i] = a + b cos(2 pi i / n) + c cos(4 pi i / n); n is the size, or the size - 1 of a symmetric window.
struct WindowShape {
  std::string_view name;
  double a, b, c;
};
constexpr WindowShape kWindows[] = {
    {"HannWindow", 0.5, -0.5, 0},
    {"HammingWindow", 25.0 / 46, -21.0 / 46, 0},
    {"BlackmanWindow", 0.42, -0.5, 0.08},
};

class WindowKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    for (const WindowShape& window : kWindows) {
      if (window.name == ctx.node().op_type) window_ = window;
    }
    size_ = ctx.output(0).num_elements();
    // A symmetric window of 1 is its middle, for which the formula has 0 / 0.
    period_ = static_cast<double>(size_) - (ctx.attrs().Int("periodic", 1) != 0 ? 0 : 1);
    Dispatch(NumericTypes(), ctx.output(0).dtype,
             [&](auto tag) { run_ = &WindowKernel::RunAs<typename decltype(tag)::type>; });
  }
  int64_t tiles() const override { return PiecesOf(size_, 4096); }
  void Run(const RunContext& ctx, int64_t tile) const override { (this->*run_)(ctx, tile); }

 private:
  template <typename T>
  void RunAs(const RunContext& ctx, int64_t tile) const {
    const Range range = PieceOf(size_, tiles(), tile);
    for (int64_t i = range.begin; i < range.end; ++i) {
      const double angle =
          period_ > 0 ? 2 * std::numbers::pi * static_cast<double>(i) / period_ : std::numbers::pi;
      ctx.out<T>(0)[i] =
          Saturated<T>(window_.a + window_.b * std::cos(angle) + window_.c * std::cos(2 * angle));
    }
  }

  WindowShape window_ = {};
  int64_t size_ = 0;
  double period_ = 1;
  void (WindowKernel::*run_)(const RunContext&, int64_t) const = nullptr;
};

void InferWindow(InferContext& ctx) {
  const DataType type = OutputType(ctx);
  const auto size = ScalarInput(ctx, 0, "size", 0);
  if (size) CheckMemory(ByteSize(type, *size));
  ctx.SetOutput(0, type, {size ? Dim(*size) : Dim()});
}

// The one element of a floating-point constant.
double ScalarFloat(const PrepareContext& ctx, int i) {
  const Tensor* tensor = ctx.constant(i);
  double value = 0;
  const bool known = tensor->num_elements() == 1 && Dispatch(FloatTypes(), tensor->dtype(), [&](auto tag) {
                       value = static_cast<double>(tensor->values<typename decltype(tag)::type>()[0]);
                     });
  if (!known)
    ctx.Fail("input " + std::to_string(i) + " is " + std::string(DataTypeName(tensor->dtype())) + " " +
             ToString(tensor->shape()) + ", expected a floating-point scalar");
  if (!std::isfinite(value) || value < 0)
    ctx.Fail("input " + std::to_string(i) + " is " + std::to_string(value) + ", expected a frequency");
  return value;
}

// Triangles over the bins of a spectrum, equally spaced on the mel scale; every peak is 1.
class MelWeightMatrixKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    bins_ = ctx.output(0).shape[0];
    bands_ = ctx.output(0).shape[1];
    const int64_t dft_length = *ScalarInput(ctx, 1, "dft_length", 0),
                  sample_rate = *ScalarInput(ctx, 2, "sample_rate", 1);
    const double lower = ScalarFloat(ctx, 3), upper = ScalarFloat(ctx, 4);
    const auto mel = [](double hertz) { return 2595 * std::log10(1 + hertz / 700); };
    // The standard divides by the number of edges, not of intervals.
    const double step = (mel(upper) - mel(lower)) / static_cast<double>(bands_ + 2);
    for (int64_t i = 0; i < bands_ + 2; ++i) {
      const double hertz = 700 * (std::pow(10, (static_cast<double>(i) * step + mel(lower)) / 2595) - 1);
      // Not below 0, where rounding may put an edge of 0 Hz.
      const double bin = std::max(
          0.0, std::floor((static_cast<double>(dft_length) + 1) * hertz / static_cast<double>(sample_rate)));
      if (!(bin < static_cast<double>(bins_)))
        ctx.Fail("an edge of " + std::to_string(hertz) + " Hz is beyond the spectrum of " +
                 std::to_string(bins_) + " bins");
      edges_.push_back(static_cast<int64_t>(bin));
    }
    Dispatch(NumericTypes(), ctx.output(0).dtype,
             [&](auto tag) { run_ = &MelWeightMatrixKernel::RunAs<typename decltype(tag)::type>; });
  }
  void Run(const RunContext& ctx, int64_t) const override { (this->*run_)(ctx); }

 private:
  template <typename T>
  void RunAs(const RunContext& ctx) const {
    T* const dst = ctx.out<T>(0);
    std::fill(dst, dst + bins_ * bands_, T(0));
    for (int64_t band = 0; band < bands_; ++band) {
      const int64_t* edge = edges_.data() + band;
      const auto ratio = [](int64_t part, int64_t whole) {
        return Saturated<T>(static_cast<double>(part) / static_cast<double>(whole));
      };
      if (edge[0] == edge[1]) dst[edge[1] * bands_ + band] = T(1);
      for (int64_t j = edge[0]; j <= edge[1] && edge[0] < edge[1]; ++j)
        dst[j * bands_ + band] = ratio(j - edge[0], edge[1] - edge[0]);
      for (int64_t j = edge[1]; j < edge[2]; ++j)
        dst[j * bands_ + band] = ratio(edge[2] - j, edge[2] - edge[1]);
    }
  }

  int64_t bins_ = 0, bands_ = 0;
  std::vector<int64_t> edges_;
  void (MelWeightMatrixKernel::*run_)(const RunContext&) const = nullptr;
};

void InferMelWeightMatrix(InferContext& ctx) {
  const DataType type = OutputType(ctx);
  const auto bands = ScalarInput(ctx, 0, "num_mel_bins", 0), length = ScalarInput(ctx, 1, "dft_length", 0);
  ScalarInput(ctx, 2, "sample_rate", 1);
  const SymShape shape = {length ? Dim(*length / 2 + 1) : Dim(), bands ? Dim(*bands) : Dim()};
  // The values depend on all inputs, and only a run knows those.
  for (int i = 0; i < 5; ++i) {
    if (IsUnknown(ctx, i)) return ctx.SetUnknownShape(0, type);
  }
  if (const auto concrete = ToShape(shape)) CheckMemory(ByteSize(type, NumElements(*concrete)));
  ctx.SetOutput(0, type, shape);
}

Operator DefineWindow(const WindowShape& window) {
  return {.name = window.name,
          .versions = {17},
          .infer = InferWindow,
          .kernels = {&Make<WindowKernel>},
          .types = "T"};
}
const Operator kHann = DefineWindow(kWindows[0]), kHamming = DefineWindow(kWindows[1]),
               kBlackman = DefineWindow(kWindows[2]);
const Operator kMelWeightMatrix = {.name = "MelWeightMatrix",
                                   .versions = {17},
                                   .min_inputs = 5,
                                   .max_inputs = 5,
                                   .infer = InferMelWeightMatrix,
                                   .kernels = {&Make<MelWeightMatrixKernel>},
                                   .types = "T"};
const RegisterOperator kRegister[] = {RegisterOperator(kHann), RegisterOperator(kHamming),
                                      RegisterOperator(kBlackman), RegisterOperator(kMelWeightMatrix)};

}  // namespace
}  // namespace sluice
