#include <cstring>
#include <random>

#include "kernels/dispatch.h"
#include "kernels/ops/elementwise.h"
#include "kernels/ops/params.h"

// Dropout (1, 6, 7, 10, 12, 13, 22): outside training the input itself, and a mask of true. From version 12
// on an input asks for training: elements are zero with probability `ratio`, the others grow by 1 / (1 -
// ratio).

namespace sluice {
namespace {

constexpr int kTrainingIsInput = 12;

// The mask is bool from version 10 on, of the input's type before.
DataType MaskType(int since_version, DataType input) { return since_version < 10 ? input : DataType::kBool; }

class DropoutKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    type_ = ctx.dtype(0);
    if (!Contains(FloatTypes(), type_))
      ctx.Unsupported("elements of type " + std::string(DataTypeName(type_)));
    count_ = ctx.output(0).num_elements();
    bytes_ = ctx.output(0).byte_size();
    mask_type_ = ctx.has_output(1) ? ctx.output(1).dtype : DataType::kUndefined;
    has_seed_ = ctx.attrs().Has("seed");
    seed_ = has_seed_ ? static_cast<uint32_t>(ctx.attrs().Int("seed")) : 0;
    const Tensor* training = ctx.has_input(2) ? ctx.constant(2) : nullptr;
    may_train_ = ctx.since_version() >= kTrainingIsInput && ctx.has_input(2) &&
                 (training == nullptr || *static_cast<const uint8_t*>(training->data()) != 0);
    has_ratio_ = ctx.has_input(1);
    ratio_type_ = has_ratio_ ? ctx.dtype(1) : DataType::kUndefined;
    if (!may_train_) ctx.ShareOutput(0, 0);
  }
  int64_t tiles() const override { return 1; }

  void Run(const RunContext& ctx, int64_t) const override {
    const bool training = may_train_ && *ctx.in<uint8_t>(2) != 0;
    double ratio = 0.5;
    if (training && has_ratio_) {
      Dispatch(FloatTypes(), ratio_type_, [&](auto tag) {
        ratio = static_cast<double>(static_cast<float>(*ctx.in<typename decltype(tag)::type>(1)));
      });
    }
    if (training && ratio > 0) {
      Train(ctx, ratio);
      return;
    }
    if (may_train_) std::memcpy(ctx.out<void>(0), ctx.in<void>(0), static_cast<size_t>(bytes_));
    if (ctx.out<void>(1) == nullptr) return;
    if (mask_type_ == DataType::kBool) {
      std::memset(ctx.out<void>(1), 1, static_cast<size_t>(count_));
    } else {
      Dispatch(FloatTypes(), mask_type_, [&](auto tag) {
        using T = typename decltype(tag)::type;
        std::fill_n(ctx.out<T>(1), count_, T(1.0f));
      });
    }
  }

 private:
  void Train(const RunContext& ctx, double ratio) const {
    // numpy's generator and order of draws: the standard's own cases are made with it.
    std::mt19937 random(has_seed_ ? seed_ : std::random_device()());
    Dispatch(FloatTypes(), type_, [&](auto tag) {
      using T = typename decltype(tag)::type;
      const auto scale = static_cast<ComputeType<T>>(1 / (1 - ratio));
      bool* mask = ctx.out<bool>(1);
      for (int64_t i = 0; i < count_; ++i) {
        const double high = static_cast<double>(random() >> 5), low = static_cast<double>(random() >> 6);
        const bool keep = (high * 0x1p26 + low) * 0x1p-53 >= ratio;
        ctx.out<T>(0)[i] =
            static_cast<T>(keep ? static_cast<ComputeType<T>>(ctx.in<T>(0)[i]) * scale : ComputeType<T>(0));
        if (mask != nullptr) mask[i] = keep;
      }
    });
  }

  DataType type_ = DataType::kUndefined, mask_type_ = DataType::kUndefined,
           ratio_type_ = DataType::kUndefined;
  int64_t count_ = 0, bytes_ = 0;
  bool may_train_ = false, has_ratio_ = false, has_seed_ = false;
  uint32_t seed_ = 0;
};

void InferDropout(InferContext& ctx) {
  ctx.SetOutput(0, ctx.dtype(0), ctx.shape(0));
  ctx.SetOutput(1, MaskType(ctx.since_version(), ctx.dtype(0)), ctx.shape(0));
}

const Definition kDefinitions[] = {
    Definition(Operator{.name = "Dropout",
                        .versions = {1, 6, 7, 10},
                        .max_outputs = 2,
                        .infer = InferDropout,
                        .kernels = {&Make<DropoutKernel>},
                        .types = "float, double, float16, bfloat16"}),
    // Not pure where it trains.
    Definition(Operator{.name = "Dropout",
                        .versions = {12, 13, 22},
                        .max_inputs = 3,
                        .max_outputs = 2,
                        .infer = InferDropout,
                        .kernels = {&Make<DropoutKernel>},
                        .pure = false,
                        .types = "float, double, float16, bfloat16"}),
};

}  // namespace
}  // namespace sluice
