#include <algorithm>

#include "kernels/dispatch.h"
#include "kernels/fft.h"
#include "kernels/ops/signal_params.h"
#include "kernels/parallel.h"

// STFT (17): signal [batch, length], [batch, length, 1] (real) or [batch, length, 2] (complex), frame_step,
// optionally window [frame length] and frame_length; the result is [batch, frames, bins, 2]. Without window
// and frame_length a frame is the whole signal. Computed in double.

namespace sluice {
namespace {

// The frame's length; nothing where it is not known yet.
template <typename Context>
std::optional<int64_t> FrameLength(const Context& ctx, std::optional<int64_t> window,
                                   std::optional<int64_t> signal) {
  const auto length = ScalarInput(ctx, 3, "frame_length", 1);
  if (length && window && *length != *window)
    ctx.Fail("frame_length is " + std::to_string(*length) + ", the window has " + std::to_string(*window) +
             " elements");
  if (length || window) return length ? length : window;
  return ctx.has_input(2) || ctx.has_input(3) ? std::nullopt : signal;
}

class StftKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const Shape &signal = ctx.shape(0), &dst = ctx.output(0).shape;
    length_ = signal[1];
    parts_ = signal.size() == 3 ? signal[2] : 1;
    frames_ = dst[1];
    bins_ = dst[2];
    all_frames_ = ctx.output(0).num_elements() == 0 ? 0 : dst[0] * frames_;
    step_ = *ScalarInput(ctx, 1, "frame_step", 1);
    has_window_ = ctx.has_input(2);
    const auto window = has_window_ ? std::optional<int64_t>(ctx.shape(2)[0]) : std::nullopt;
    if (all_frames_ > 0) fft_ = Fft(*FrameLength(ctx, window, length_), false);
    const bool known = Dispatch(FloatTypes(), ctx.dtype(0),
                                [&](auto tag) { run_ = &StftKernel::RunAs<typename decltype(tag)::type>; });
    if (!known) ctx.Unsupported("a signal of type " + std::string(DataTypeName(ctx.dtype(0))));
    ctx.SetScratch((fft_.size() + fft_.scratch_elems()) * static_cast<int64_t>(sizeof(Complex)));
  }
  int64_t tiles() const override { return PiecesOf(all_frames_, 2048 / fft_.size() + 1); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const Range range = PieceOf(all_frames_, tiles(), tile);
    for (int64_t frame = range.begin; frame < range.end; ++frame) (this->*run_)(ctx, frame);
  }

 private:
  template <typename T>
  void RunAs(const RunContext& ctx, int64_t frame) const {
    Complex* const data = ctx.scratch<Complex>();
    const int64_t n = fft_.size();
    const T* src = ctx.in<T>(0) + (frame / frames_ * length_ + frame % frames_ * step_) * parts_;
    const T* window = ctx.in<T>(2);
    for (int64_t i = 0; i < n; ++i, src += parts_) {
      const double weight = has_window_ ? static_cast<double>(window[i]) : 1;
      data[i] = {static_cast<double>(src[0]) * weight,
                 parts_ == 2 ? static_cast<double>(src[1]) * weight : 0.0};
    }
    fft_.Run(data, data + n);
    T* dst = ctx.out<T>(0) + frame * bins_ * 2;
    for (int64_t i = 0; i < bins_; ++i) {
      dst[2 * i] = static_cast<T>(static_cast<ComputeType<T>>(data[i].re));
      dst[2 * i + 1] = static_cast<T>(static_cast<ComputeType<T>>(data[i].im));
    }
  }

  Fft fft_;
  int64_t length_ = 0, parts_ = 1, frames_ = 0, bins_ = 0, all_frames_ = 0, step_ = 1;
  bool has_window_ = false;
  void (StftKernel::*run_)(const RunContext&, int64_t) const = nullptr;
};

void InferStft(InferContext& ctx) {
  const SymShape& signal = ctx.shape(0);
  const bool has_parts = signal.size() == 3;
  if (signal.size() != 2 && !(has_parts && (!signal[2].known() || signal[2].is(1) || signal[2].is(2))))
    ctx.Fail("signal is " + ToString(signal) + ", expected [batch, length] with 1 or 2 parts");
  const bool onesided = ctx.attrs().Int("onesided", 1) != 0;
  if (onesided && has_parts && signal[2].is(2)) ctx.Fail("a one-sided result of a complex signal");
  const auto known = [](const Dim& dim) {
    return dim.known() ? std::optional<int64_t>(dim.value()) : std::nullopt;
  };
  std::optional<int64_t> window;
  if (ctx.has_input(2)) {
    if (ctx.rank(2) != 1) ctx.Fail("window is " + ToString(ctx.shape(2)) + ", expected rank 1");
    if (ctx.dtype(2) != ctx.dtype(0))
      ctx.Fail("window is " + std::string(DataTypeName(ctx.dtype(2))) + ", expected " +
               std::string(DataTypeName(ctx.dtype(0))));
    window = known(ctx.shape(2)[0]);
  }
  const auto step = ScalarInput(ctx, 1, "frame_step", 1);
  const auto frame = FrameLength(ctx, window, known(signal[1]));
  SymShape shape = {signal[0], Dim(), Dim(), 2};
  if (frame) {
    if (*frame < 1) ctx.Fail("the frame is empty");
    if (signal[1].known() && *frame > signal[1].value())
      ctx.Fail("a frame of " + std::to_string(*frame) + " is longer than the signal of " +
               std::to_string(signal[1].value()));
    if (signal[1].known() && step) shape[1] = (signal[1].value() - *frame) / *step + 1;
    shape[2] = onesided ? *frame / 2 + 1 : *frame;
  }
  ctx.SetOutput(0, ctx.dtype(0), std::move(shape));
}

const Operator kStft = {.name = "STFT",
                        .versions = {17},
                        .min_inputs = 2,
                        .max_inputs = 4,
                        .infer = InferStft,
                        .kernels = {&Make<StftKernel>},
                        .types = "float, double, float16, bfloat16"};
const RegisterOperator kRegister(kStft);

}  // namespace
}  // namespace sluice
