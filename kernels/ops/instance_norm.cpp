#include <cmath>

#include "kernels/moments.h"
#include "kernels/ops/channel_norm.h"
#include "kernels/ops/params.h"
#include "kernels/ops/typed_kernel.h"

// InstanceNormalization (1, 6, 22) and GroupNormalization (18, 21) of x [n, c, spatial...]:
// y = scale[c] (x - mean) / sqrt(variance + epsilon) + bias[c], with mean and variance of one image's channel
// or group of channels. Scale and bias of GroupNormalization-18 have one element a group.

namespace sluice {
namespace {

template <typename T>
double Wide(T value) {
  return static_cast<double>(static_cast<ComputeType<T>>(value));
}

// Tile: one run.
template <typename T>
class InstanceNormOf : public ChannelKernel<T> {
  using ChannelKernel<T>::runs_;

 public:
  void Prepare(PrepareContext& ctx) override { this->PrepareRuns(ctx, ctx.shape(0), this->LayoutOf(ctx)); }
  int64_t tiles() const override { return runs_.elems() == 0 ? 0 : runs_.count(); }
  void Run(const RunContext& ctx, int64_t run) const override {
    const auto lanes = this->LanesOf(ctx);
    double *mean = this->Sums(ctx, 0), *variance = this->Sums(ctx, 1);
    const int64_t c = runs_.first_channel(run), valid = runs_.valid(run);
    // Neighbouring lanes are at step 1; a single lane's elements are a line.
    const int64_t lane_step = runs_.lanes == 1 ? runs_.positions : 1;
    MomentsOf(ctx.in<T>(0) + runs_.begin(run), {valid, lane_step, runs_.positions, runs_.ld}, mean, variance);
    for (int64_t j = 0; j < valid; ++j) {
      const double factor = Wide(ctx.in<T>(1)[c + j]) / std::sqrt(variance[j] + this->epsilon_);
      this->SetLane(lanes, j, mean[j], factor, Wide(ctx.in<T>(2)[c + j]));
    }
    this->ScalePieces(ctx, run, lanes, {0, this->pieces()});
  }
};

// Tile: one group of one image.
template <typename T>
class GroupNormOf : public ChannelKernel<T> {
  using ChannelKernel<T>::runs_;

 public:
  void Prepare(PrepareContext& ctx) override {
    groups_ = ctx.attrs().Int("num_groups");
    channels_per_group_ = ctx.shape(0)[1] / groups_;
    by_group_ = ctx.since_version() < 21;
    // Groups of whole blocks keep the layout.
    Layout layout = this->LayoutOf(ctx);
    if (layout == Layout::kChannelsLast || channels_per_group_ % BlockOf(layout) != 0)
      layout = Layout::kPlain;
    this->PrepareRuns(ctx, ctx.shape(0), layout);
  }
  int64_t tiles() const override { return runs_.elems() == 0 ? 0 : runs_.n * groups_; }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const int64_t per_group = channels_per_group_ / runs_.lanes, first = tile * per_group;
    // The runs of a group are one piece of memory.
    const int64_t elems = per_group * runs_.positions * runs_.lanes;
    double mean = 0, variance = 0;
    MomentsOf(ctx.in<T>(0) + runs_.begin(first), {1, elems, elems, 1}, &mean, &variance);
    const auto lanes = this->LanesOf(ctx);
    for (int64_t run = first; run < first + per_group; ++run) {
      for (int64_t j = 0; j < runs_.lanes; ++j) {
        const int64_t c = runs_.first_channel(run) + j, at = by_group_ ? c / channels_per_group_ : c;
        const double factor = Wide(ctx.in<T>(1)[at]) / std::sqrt(variance + this->epsilon_);
        this->SetLane(lanes, j, mean, factor, Wide(ctx.in<T>(2)[at]));
      }
      this->ScalePieces(ctx, run, lanes, {0, this->pieces()});
    }
  }

 private:
  int64_t groups_ = 1, channels_per_group_ = 1;
  bool by_group_ = false;
};

void InferInstanceNorm(InferContext& ctx) {
  CheckSameType(ctx);
  CheckChannels(ctx, 3);
  InferSameAsFirst(ctx);
}

void InferGroupNorm(InferContext& ctx) {
  CheckSameType(ctx);
  if (ctx.rank(0) < 3) ctx.Fail("input is " + ToString(ctx.shape(0)) + ", expected [n, c, spatial...]");
  const int64_t groups = ctx.attrs().Int("num_groups");
  const Dim channels = ctx.shape(0)[1];
  if (groups < 1 || (channels.known() && channels.value() % groups != 0)) {
    ctx.Fail("num_groups is " + std::to_string(groups) + ", expected a divisor of the channels, " +
             ToString(SymShape{channels}));
  }
  if (ctx.since_version() >= 21) {
    CheckChannels(ctx, 3);
  } else {
    for (int i = 1; i < 3; ++i) {
      const SymShape& shape = ctx.shape(i);
      if (shape.size() != 1 || (shape[0].known() && !shape[0].is(groups)))
        ctx.Fail("input " + std::to_string(i) + " is " + ToString(shape) + ", expected [" +
                 std::to_string(groups) + "]");
    }
  }
  InferSameAsFirst(ctx);
}

Operator NormOperator(std::string_view name, std::vector<int> versions, void (*infer)(InferContext&),
                      KernelFactory kernel) {
  return {.name = name,
          .versions = std::move(versions),
          .min_inputs = 3,
          .max_inputs = 3,
          .infer = infer,
          .kernels = {kernel},
          .takes_post_ops = true,
          .types = "float, double, float16, bfloat16"};
}

const Operator kOperators[] = {
    NormOperator("InstanceNormalization", {1, 6, 22}, InferInstanceNorm, &Make<TypedKernel<InstanceNormOf>>),
    NormOperator("GroupNormalization", {18, 21}, InferGroupNorm, &Make<TypedKernel<GroupNormOf>>),
};
const std::vector<RegisterOperator> kRegister(std::begin(kOperators), std::end(kOperators));

}  // namespace

void CheckChannels(InferContext& ctx, int count) {
  const Dim channels = ctx.rank(0) < 2 ? Dim(1) : ctx.shape(0)[1];
  for (int i = 1; i < count; ++i) {
    const SymShape& shape = ctx.shape(i);
    if (shape.size() == 1 && (!shape[0].known() || !channels.known() || shape[0].is(channels.value())))
      continue;
    ctx.Fail("input " + std::to_string(i) + " is " + ToString(shape) + ", expected " +
             ToString(SymShape{channels}));
  }
}

}  // namespace sluice
