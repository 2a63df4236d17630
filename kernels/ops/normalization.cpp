#include <algorithm>
#include <cmath>

#include "kernels/dispatch.h"
#include "kernels/ops/elementwise.h"
#include "kernels/ops/params.h"
#include "kernels/parallel.h"
#include "kernels/post_ops.h"

// BatchNormalization (1, 6, 7, 9, 14, 15) and InstanceNormalization (1, 6, 22) of x [n, c, spatial...]:
// y = scale (x - mean) / sqrt(variance + epsilon) + bias, by channel. Mean and variance are inputs, or those
// of one image's channel. Sums are kept in double.

namespace sluice {
namespace {

constexpr int64_t kTileElems = 64 * 1024;

// A tensor as runs of positions with `lanes` channels side by side: run (n, block) begins at channel block *
// lanes.
struct Runs {
  int64_t n = 0, blocks = 0, lanes = 1, positions = 0, channels = 0;
  int64_t count() const { return n * blocks; }
  int64_t begin(int64_t run) const { return run * positions * lanes; }
  int64_t first_channel(int64_t run) const { return run % blocks * lanes; }
  int64_t valid(int64_t run) const { return std::min(lanes, channels - first_channel(run)); }
};

Runs RunsOf(const Shape& shape, Layout layout) {
  Runs runs;
  runs.n = shape.empty() ? 1 : shape[0];
  runs.channels = shape.size() < 2 ? 1 : shape[1];
  runs.positions = 1;
  for (size_t i = 2; i < shape.size(); ++i) runs.positions *= shape[i];
  runs.lanes = layout == Layout::kChannelsLast ? runs.channels : BlockOf(layout);
  runs.blocks = runs.lanes == 0 ? 0 : (runs.channels + runs.lanes - 1) / runs.lanes;
  return runs;
}

// x * factor + term by lane.
template <typename T, typename Sum>
void ScaleRun(const T* src, int64_t positions, int64_t lanes, const Sum* factors, const Sum* terms, T* dst) {
  if (lanes == 1) {
    const Sum factor = factors[0], term = terms[0];
    for (int64_t i = 0; i < positions; ++i) dst[i] = static_cast<T>(static_cast<Sum>(src[i]) * factor + term);
    return;
  }
  for (int64_t i = 0; i < positions; ++i) {
    for (int64_t j = 0; j < lanes; ++j) {
      dst[i * lanes + j] = static_cast<T>(static_cast<Sum>(src[i * lanes + j]) * factors[j] + terms[j]);
    }
  }
}

// Mean and variance of each lane, in two passes.
template <typename T>
void Moments(const T* src, int64_t positions, int64_t lanes, double* mean, double* variance) {
  const double share = 1.0 / static_cast<double>(std::max<int64_t>(1, positions));
  std::fill_n(mean, lanes, 0.0);
  std::fill_n(variance, lanes, 0.0);
  for (int64_t i = 0; i < positions; ++i) {
    for (int64_t j = 0; j < lanes; ++j)
      mean[j] += static_cast<double>(static_cast<ComputeType<T>>(src[i * lanes + j]));
  }
  for (int64_t j = 0; j < lanes; ++j) mean[j] *= share;
  for (int64_t i = 0; i < positions; ++i) {
    for (int64_t j = 0; j < lanes; ++j) {
      const double d = static_cast<double>(static_cast<ComputeType<T>>(src[i * lanes + j])) - mean[j];
      variance[j] += d * d;
    }
  }
  for (int64_t j = 0; j < lanes; ++j) variance[j] *= share;
}

// Keeps the layout and the post-ops of both operators.
template <typename T>
class ChannelKernel : public Kernel {
 protected:
  using Sum = ComputeType<T>;

  void PrepareRuns(PrepareContext& ctx) {
    const Layout layout = std::is_same_v<T, float> ? ctx.input(0).layout : Layout::kPlain;
    ctx.SetInputLayout(0, layout);
    ctx.SetOutputLayout(0, layout);
    ctx.AllowInPlace(0, 0);
    runs_ = RunsOf(ctx.shape(0), layout);
    epsilon_ = static_cast<double>(ctx.attrs().Float("epsilon", 1e-5f));
    post_ops_ = PostOpRunner(ctx);
    if constexpr (!std::is_same_v<Sum, T>) {
      if (!post_ops_.empty()) ctx.Decline("post-ops on elements of 16 bits");
    }
  }

  void ApplyPostOps(const RunContext& ctx, int64_t run, int64_t first, int64_t positions) const {
    if constexpr (std::is_same_v<Sum, T>) {
      if (post_ops_.empty()) return;
      const int64_t n = run / runs_.blocks, channel = runs_.first_channel(run);
      Sum* values = ctx.out<Sum>(0) + runs_.begin(run) + first * runs_.lanes;
      const auto piece = post_ops_.Block(n, channel, runs_.valid(run), first, positions, runs_.lanes);
      if (runs_.lanes > 1) return post_ops_.Apply(ctx, values, piece);
      post_ops_.Apply(ctx, values, post_ops_.Lines(piece.begin, positions));
    }
  }

  Runs runs_;
  double epsilon_ = 1e-5;
  PostOpRunner post_ops_;
};

// Statistics are inputs 3 and 4. A tile is a run, or a part of one.
template <typename T, typename P>
class BatchNormOf : public ChannelKernel<T> {
  using Base = ChannelKernel<T>;
  using Base::runs_;
  using typename Base::Sum;

 public:
  void Prepare(PrepareContext& ctx) override {
    if (ctx.since_version() < 9 && ctx.attrs().Int("spatial", 1) == 0) ctx.Unsupported("spatial is 0");
    this->PrepareRuns(ctx);
    ctx.SetScratch(2 * runs_.lanes * static_cast<int64_t>(sizeof(Sum)));
  }
  int64_t tiles() const override {
    const int64_t elems = runs_.count() * runs_.positions * runs_.lanes;
    return elems == 0 ? 0 : std::min(runs_.count(), PiecesOf(elems, kTileElems));
  }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const Range range = PieceOf(runs_.count(), tiles(), tile);
    Sum *factors = ctx.scratch<Sum>(), *terms = factors + runs_.lanes;
    const P *scale = ctx.in<P>(1), *bias = ctx.in<P>(2), *mean = ctx.in<P>(3), *variance = ctx.in<P>(4);
    for (int64_t run = range.begin; run < range.end; ++run) {
      const int64_t c = runs_.first_channel(run), valid = runs_.valid(run);
      for (int64_t j = 0; j < runs_.lanes; ++j) {
        const double factor =
            j < valid ? Wide(scale[c + j]) / std::sqrt(Wide(variance[c + j]) + this->epsilon_) : 0.0;
        factors[j] = static_cast<Sum>(factor);
        terms[j] = static_cast<Sum>(j < valid ? Wide(bias[c + j]) - factor * Wide(mean[c + j]) : 0.0);
      }
      const int64_t at = runs_.begin(run);
      ScaleRun(ctx.in<T>(0) + at, runs_.positions, runs_.lanes, factors, terms, ctx.out<T>(0) + at);
      this->ApplyPostOps(ctx, run, 0, runs_.positions);
    }
  }

 private:
  static double Wide(P value) { return static_cast<double>(static_cast<ComputeType<P>>(value)); }
};

template <typename T>
class InstanceNormOf : public ChannelKernel<T> {
  using Base = ChannelKernel<T>;
  using Base::runs_;
  using typename Base::Sum;

 public:
  void Prepare(PrepareContext& ctx) override {
    this->PrepareRuns(ctx);
    ctx.SetScratch(2 * runs_.lanes * static_cast<int64_t>(sizeof(double) + sizeof(Sum)));
  }
  int64_t tiles() const override { return runs_.positions == 0 ? 0 : runs_.count(); }
  void Run(const RunContext& ctx, int64_t run) const override {
    double *mean = ctx.scratch<double>(), *variance = mean + runs_.lanes;
    Sum *factors = reinterpret_cast<Sum*>(variance + runs_.lanes), *terms = factors + runs_.lanes;
    const int64_t at = runs_.begin(run), c = runs_.first_channel(run), valid = runs_.valid(run);
    Moments(ctx.in<T>(0) + at, runs_.positions, runs_.lanes, mean, variance);
    for (int64_t j = 0; j < runs_.lanes; ++j) {
      const double scale = j < valid ? static_cast<double>(static_cast<Sum>(ctx.in<T>(1)[c + j])) : 0.0;
      const double bias = j < valid ? static_cast<double>(static_cast<Sum>(ctx.in<T>(2)[c + j])) : 0.0;
      const double factor = scale / std::sqrt(variance[j] + this->epsilon_);
      factors[j] = static_cast<Sum>(factor);
      terms[j] = static_cast<Sum>(bias - factor * mean[j]);
    }
    ScaleRun(ctx.in<T>(0) + at, runs_.positions, runs_.lanes, factors, terms, ctx.out<T>(0) + at);
    this->ApplyPostOps(ctx, run, 0, runs_.positions);
  }
};

class BatchNormKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    for (int i = 1; i < ctx.num_outputs(); ++i) {
      if (ctx.has_output(i)) ctx.Decline("outputs of training are wanted");
    }
    if (ctx.attrs().Int("training_mode", 0) != 0) ctx.Decline("training_mode");
    bool known = false;
    Dispatch(FloatTypes(), ctx.dtype(0), [&](auto x) {
      known = Dispatch(FloatTypes(), ctx.dtype(1), [&](auto scale) {
        impl_ = std::make_unique<BatchNormOf<typename decltype(x)::type, typename decltype(scale)::type>>();
      });
    });
    if (!known) ctx.Unsupported("elements of type " + std::string(DataTypeName(ctx.dtype(0))));
    impl_->Prepare(ctx);
  }
  int64_t tiles() const override { return impl_->tiles(); }
  void Run(const RunContext& ctx, int64_t tile) const override { impl_->Run(ctx, tile); }

 private:
  std::unique_ptr<Kernel> impl_;
};

class InstanceNormKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const bool known = Dispatch(FloatTypes(), ctx.dtype(0), [&](auto tag) {
      impl_ = std::make_unique<InstanceNormOf<typename decltype(tag)::type>>();
    });
    if (!known) ctx.Unsupported("elements of type " + std::string(DataTypeName(ctx.dtype(0))));
    impl_->Prepare(ctx);
  }
  int64_t tiles() const override { return impl_->tiles(); }
  void Run(const RunContext& ctx, int64_t tile) const override { impl_->Run(ctx, tile); }

 private:
  std::unique_ptr<Kernel> impl_;
};

// Inputs from 1 on have one element for each channel of x.
void CheckChannels(InferContext& ctx, int count) {
  const Dim channels = ctx.rank(0) < 2 ? Dim(1) : ctx.shape(0)[1];
  for (int i = 1; i < count; ++i) {
    const SymShape& shape = ctx.shape(i);
    const bool fits =
        shape.size() == 1 && (!shape[0].known() || !channels.known() || shape[0].is(channels.value()));
    if (!fits)
      ctx.Fail("input " + std::to_string(i) + " is " + ToString(shape) + ", expected [" +
               ToString(SymShape{channels}) + "]");
  }
}

void InferBatchNorm(InferContext& ctx) {
  CheckChannels(ctx, 5);
  ctx.SetOutput(0, ctx.dtype(0), ctx.shape(0));
  for (int i = 1; i < ctx.num_outputs(); ++i)
    ctx.SetOutput(i, ctx.dtype(ctx.since_version() < 14 ? 0 : 3), ctx.shape(1));
}

void InferInstanceNorm(InferContext& ctx) {
  CheckSameType(ctx);
  CheckChannels(ctx, 3);
  InferSameAsFirst(ctx);
}

Operator NormOperator(std::string_view name, std::vector<int> versions, int inputs, int max_outputs,
                      void (*infer)(InferContext&), KernelFactory kernel) {
  Operator op;
  op.name = name;
  op.versions = std::move(versions);
  op.min_inputs = op.max_inputs = inputs;
  op.max_outputs = max_outputs;
  op.infer = infer;
  op.kernels = {kernel};
  op.takes_post_ops = true;
  op.types = "float, double, float16, bfloat16";
  return op;
}

const Definition kDefinitions[] = {
    Definition(NormOperator("BatchNormalization", {1, 6, 7, 9, 14, 15}, 5, 5, InferBatchNorm,
                            &Make<BatchNormKernel>)),
    Definition(NormOperator("InstanceNormalization", {1, 6, 22}, 3, 1, InferInstanceNorm,
                            &Make<InstanceNormKernel>)),
};

}  // namespace
}  // namespace sluice
