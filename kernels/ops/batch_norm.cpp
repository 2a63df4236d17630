#include <cmath>

#include "kernels/forwarding_kernel.h"
#include "kernels/moments.h"
#include "kernels/ops/channel_norm.h"
#include "kernels/ops/params.h"
#include "kernels/ops/typed_kernel.h"

// BatchNormalization (1, 6, 7, 9, 14, 15) of x [n, c, spatial...]:
// y = scale[c] (x - mean[c]) / sqrt(variance[c] + epsilon) + bias[c]. Mean and variance are inputs; in
// training they are the batch's, and the running ones move towards them. Before version 9, with `spatial` 0,
// every element of an image has statistics of its own.

namespace sluice {
namespace {

constexpr int64_t kTileElems = 64 * 1024;

enum Input { kX, kScale, kBias, kMean, kVariance };

bool IsTraining(const PrepareContext& ctx) {
  if (ctx.since_version() >= 14) return ctx.attrs().Int("training_mode", 0) != 0;
  if (ctx.since_version() < 7) return ctx.attrs().Int("is_test", 0) == 0 && ctx.has_output(1);
  return ctx.has_output(1);
}

template <typename Context>
bool BySpatial(const Context& ctx) {
  return ctx.since_version() >= 9 || ctx.attrs().Int("spatial", 1) != 0;
}

// Parameters of any float type, as double.
class Parameter {
 public:
  Parameter(const RunContext& ctx, int input, DataType type) : data_(ctx.in<void>(input)), type_(type) {}
  double operator[](int64_t i) const {
    double value = 0;
    Dispatch(FloatTypes(), type_, [&](auto tag) {
      using P = typename decltype(tag)::type;
      value = static_cast<double>(static_cast<ComputeType<P>>(static_cast<const P*>(data_)[i]));
    });
    return value;
  }

 private:
  const void* data_;
  DataType type_;
};

template <typename T>
class BatchNormBase : public ChannelKernel<T> {
 protected:
  using ChannelKernel<T>::runs_;

  void PrepareTypes(PrepareContext& ctx, Layout layout) {
    Shape shape = ctx.shape(0);
    if (!BySpatial(ctx)) {
      layout = Layout::kPlain;
      shape = {shape[0], NumElements(std::span(shape).subspan(1))};
    }
    this->PrepareRuns(ctx, shape, layout);
    for (int i = kScale; i <= kVariance; ++i) {
      if (!Contains(FloatTypes(), ctx.dtype(i)))
        ctx.Unsupported("input " + std::to_string(i) + " of type " + std::string(DataTypeName(ctx.dtype(i))));
      types_[i] = ctx.dtype(i);
    }
  }
  Parameter In(const RunContext& ctx, int input) const { return {ctx, input, types_[input]}; }
  // One lane's numbers from channel c's statistics.
  void SetChannel(const RunContext& ctx, const typename ChannelKernel<T>::Lanes& lanes, int64_t j, int64_t c,
                  double mean, double variance) const {
    const double factor = In(ctx, kScale)[c] / std::sqrt(variance + this->epsilon_);
    this->SetLane(lanes, j, mean, factor, In(ctx, kBias)[c]);
  }

  DataType types_[5] = {};
};

// Tile: runs, or pieces of one.
template <typename T>
class BatchNormOf : public BatchNormBase<T> {
  using BatchNormBase<T>::runs_;

 public:
  void Prepare(PrepareContext& ctx) override {
    this->PrepareTypes(ctx, this->LayoutOf(ctx));
    units_ = runs_.count() * this->pieces();
    tiles_ = runs_.elems() == 0 ? 0 : std::min(units_, PiecesOf(runs_.elems(), kTileElems));
  }
  int64_t tiles() const override { return tiles_; }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const auto lanes = this->LanesOf(ctx);
    const auto mean = this->In(ctx, kMean), variance = this->In(ctx, kVariance);
    const int64_t pieces = this->pieces();
    const Range units = PieceOf(units_, tiles_, tile);
    for (int64_t unit = units.begin; unit < units.end;) {
      const int64_t run = unit / pieces, begin = unit % pieces;
      const int64_t end = std::min(pieces, begin + units.end - unit), c = runs_.first_channel(run);
      for (int64_t j = 0; j < runs_.valid(run); ++j)
        this->SetChannel(ctx, lanes, j, c + j, mean[c + j], variance[c + j]);
      this->ScalePieces(ctx, run, lanes, {begin, end});
      unit += end - begin;
    }
  }

 private:
  int64_t units_ = 0, tiles_ = 0;
};

// Row-major. Tile: one block of channels of all images.
template <typename T>
class BatchNormTrainingOf : public BatchNormBase<T> {
  using BatchNormBase<T>::runs_;

 public:
  std::string name() const override { return "training"; }
  void Prepare(PrepareContext& ctx) override {
    this->PrepareTypes(ctx, Layout::kPlain);
    momentum_ = static_cast<double>(ctx.attrs().Float("momentum", 0.9f));
    saves_ = ctx.since_version() < 14;
    for (int i = 1; i < ctx.num_outputs(); ++i) out_types_[std::min(i, 4)] = ctx.output(i).dtype;
  }
  int64_t tiles() const override { return runs_.elems() == 0 ? 0 : runs_.blocks; }
  void Run(const RunContext& ctx, int64_t block) const override {
    const auto lanes = this->LanesOf(ctx);
    const int64_t c = runs_.first_channel(block), valid = runs_.valid(block);
    const int64_t lane_step = runs_.lanes == 1 ? runs_.positions : 1;
    const FoldBox box{valid, lane_step, runs_.positions, runs_.ld};
    double *mean = this->Sums(ctx, 0), *variance = this->Sums(ctx, 1);
    const auto for_each_image = [&](const auto& fn) {
      for (int64_t n = 0; n < runs_.n; ++n) fn(ctx.in<T>(0) + runs_.begin(n * runs_.blocks + block));
    };
    MomentsOf<T>(box, runs_.n * runs_.positions, for_each_image, mean, variance);
    for (int64_t j = 0; j < valid; ++j) {
      this->SetChannel(ctx, lanes, j, c + j, mean[j], variance[j]);
      const auto moved = [&](int input, double now) {
        return this->In(ctx, input)[c + j] * momentum_ + now * (1 - momentum_);
      };
      Store(ctx, 1, c + j, moved(kMean, mean[j]));
      Store(ctx, 2, c + j, moved(kVariance, variance[j]));
      if (!saves_) continue;
      Store(ctx, 3, c + j, mean[j]);
      Store(ctx, 4, c + j, variance[j]);
    }
    for (int64_t n = 0; n < runs_.n; ++n)
      this->ScalePieces(ctx, n * runs_.blocks + block, lanes, {0, this->pieces()});
  }

 private:
  void Store(const RunContext& ctx, int output, int64_t i, double value) const {
    void* data = ctx.out<void>(output);
    if (data == nullptr) return;
    Dispatch(FloatTypes(), out_types_[output], [&](auto tag) {
      static_cast<typename decltype(tag)::type*>(data)[i] = Saturated<typename decltype(tag)::type>(value);
    });
  }

  double momentum_ = 0.9;
  bool saves_ = false;
  DataType out_types_[5] = {};
};

class BatchNormKernel : public ForwardingKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    if (IsTraining(ctx))
      impl_ = std::make_unique<TypedKernel<BatchNormTrainingOf>>();
    else if (ctx.has_output(1))
      ctx.Fail("outputs of training are wanted, and training_mode is 0");
    else
      impl_ = std::make_unique<TypedKernel<BatchNormOf>>();
    impl_->Prepare(ctx);
  }
};

void InferBatchNorm(InferContext& ctx) {
  if (BySpatial(ctx)) {
    CheckChannels(ctx, 5);
  } else {
    const SymShape& x = ctx.shape(0);
    Dim elems = 1;
    for (size_t i = 1; i < x.size(); ++i) elems = elems * x[i];
    for (int i = 1; i < 5; ++i) {
      Dim own = 1;
      for (const Dim& size : ctx.shape(i)) own = own * size;
      if (x.empty() || (own.known() && elems.known() && !own.is(elems.value())))
        ctx.Fail("input " + std::to_string(i) + " is " + ToString(ctx.shape(i)) +
                 ", expected the elements of one image of " + ToString(x));
    }
  }
  ctx.SetOutput(0, ctx.dtype(0), ctx.shape(0));
  for (int i = 1; i < ctx.num_outputs(); ++i)
    ctx.SetOutput(i, ctx.dtype(ctx.since_version() < 14 ? 0 : kMean), ctx.shape(1));
}

const Operator kBatchNorm = {.name = "BatchNormalization",
                             .versions = {1, 6, 7, 9, 14, 15},
                             .min_inputs = 5,
                             .max_inputs = 5,
                             .max_outputs = 5,
                             .infer = InferBatchNorm,
                             .kernels = {&Make<BatchNormKernel>},
                             .takes_post_ops = true,
                             .types = "float, double, float16, bfloat16"};
const RegisterOperator kRegister(kBatchNorm);

}  // namespace
}  // namespace sluice
