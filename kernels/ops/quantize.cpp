#include "kernels/ops/params.h"
#include "kernels/parallel.h"
#include "kernels/quantized.h"

// QuantizeLinear (10, 13, 19, 21, 23, 24, 25): y = saturate(round(x / scale) + zero_point).
// DequantizeLinear (10, 13, 19, 21, 23, 24, 25): y = (x - zero_point) * scale.
// Scales and zero points are one for the tensor, or (13) one for each index of `axis`, or (21) one for each
// block of `block_size` indices of it. Computed in float.

namespace sluice {
namespace {

// Elements that are worked on at once.
constexpr int64_t kRun = 256;
constexpr int64_t kTileRuns = 256;

enum class Scaling : uint8_t { kTensor, kAxis, kBlocks };

template <typename Context>
Scaling ScalingOf(const Context& ctx) {
  const auto& scale = ctx.shape(1);
  const int64_t block = ctx.attrs().Int("block_size", 0);
  if (block < 0) ctx.Fail("block_size is " + std::to_string(block) + ", expected 0 or more");
  if (block > 0) return Scaling::kBlocks;
  if (scale.empty()) return Scaling::kTensor;
  if (scale.size() > 1) {
    ctx.Fail("input 1 has rank " + std::to_string(scale.size()) + ", expected 0 or 1 without block_size");
  }
  return ctx.since_version() < 13 ? Scaling::kTensor : Scaling::kAxis;
}

// A single scale is the tensor's also where it is written as a list, whatever the axis.
void CheckScale(const InferContext& ctx) {
  const SymShape &x = ctx.shape(0), &scale = ctx.shape(1);
  const Scaling scaling = ScalingOf(ctx);
  if (ctx.has_input(2)) {
    const SymShape& zero = ctx.shape(2);
    bool same = zero.size() == scale.size();
    for (size_t i = 0; same && i < zero.size(); ++i) {
      same = !zero[i].known() || !scale[i].known() || zero[i].value() == scale[i].value();
    }
    // Old models mix scalars with lists of one.
    const auto single = [](const SymShape& shape) {
      return shape.empty() || (shape.size() == 1 && shape[0].is(1));
    };
    if (!same && !(single(zero) && single(scale))) {
      ctx.Fail("input 2 is " + ToString(zero) + ", expected the shape of input 1, " + ToString(scale));
    }
  }
  if (scaling == Scaling::kTensor) {
    if (scale.size() == 1 && scale[0].known() && !scale[0].is(1)) {
      ctx.Fail("input 1 has " + ToString(scale) + " elements, expected one");
    }
    return;
  }
  if (scaling == Scaling::kAxis && scale[0].is(1)) return;
  const auto axis = static_cast<size_t>(ctx.Axis(ctx.attrs().Int("axis", 1), ctx.rank(0)));
  if (scaling == Scaling::kAxis) {
    if (scale[0].known() && x[axis].known() && scale[0].value() != x[axis].value()) {
      ctx.Fail("input 1 has " + std::to_string(scale[0].value()) + " elements, expected " +
               std::to_string(x[axis].value()) + ", the size of axis " + std::to_string(axis));
    }
    return;
  }
  const int64_t block = ctx.attrs().Int("block_size");
  SymShape expected = x;
  if (x[axis].known()) expected[axis] = x[axis].value() / block + (x[axis].value() % block != 0);
  bool fits = scale.size() == expected.size();
  for (size_t i = 0; fits && i < scale.size(); ++i) {
    fits = !scale[i].known() || !expected[i].known() || scale[i].value() == expected[i].value();
  }
  if (!fits) ctx.Fail("input 1 is " + ToString(scale) + ", expected " + ToString(expected));
}

void CheckScaleType(const InferContext& ctx, bool integer) {
  const DataType type = ctx.dtype(1);
  if (!Contains(TypeList<float, Half, BFloat16>(), type) && type != DataType::kFloat8E8M0 &&
      !(integer && type == DataType::kInt32)) {
    ctx.Fail("input 1 is " + std::string(DataTypeName(type)) + ", expected float, float16, bfloat16" +
             (integer ? ", int32" : "") + " or float8e8m0");
  }
}

void InferQuantize(InferContext& ctx) {
  if (!Contains(TypeList<float, Half, BFloat16, int32_t>(), ctx.dtype(0))) {
    ctx.Fail("input 0 is " + std::string(DataTypeName(ctx.dtype(0))) +
             ", expected float, float16, bfloat16 or int32");
  }
  CheckScaleType(ctx, true);
  CheckScale(ctx);
  const auto stated = static_cast<DataType>(ctx.attrs().Int("output_dtype", 0));
  DataType type = stated == DataType::kUndefined ? DataType::kUInt8 : stated;
  if (ctx.has_input(2)) {
    type = ctx.dtype(2);
    if (stated != DataType::kUndefined && stated != type) {
      ctx.Fail("output_dtype is " + std::string(DataTypeName(stated)) + ", input 2 is " +
               std::string(DataTypeName(type)));
    }
  }
  ctx.SetOutput(0, type, ctx.shape(0));
}

void InferDequantize(InferContext& ctx) {
  CheckScaleType(ctx, false);
  CheckScale(ctx);
  if (ctx.has_input(2) && ctx.dtype(2) != ctx.dtype(0)) {
    ctx.Fail("input 2 is " + std::string(DataTypeName(ctx.dtype(2))) + ", expected input 0's type, " +
             std::string(DataTypeName(ctx.dtype(0))));
  }
  const auto stated = static_cast<DataType>(ctx.attrs().Int("output_dtype", 0));
  const DataType scale = ctx.dtype(1) == DataType::kFloat8E8M0 ? DataType::kFloat : ctx.dtype(1);
  ctx.SetOutput(0, stated == DataType::kUndefined ? scale : stated, ctx.shape(0));
}

// Tiles of whole runs; scales and zero points of each element of a run.
class ScaledKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const Shape& shape = ctx.shape(0);
    elems_ = ctx.output(0).num_elements();
    in_type_ = ctx.dtype(0);
    scale_type_ = ctx.dtype(1);
    zero_type_ = ctx.has_input(2) ? ctx.dtype(2) : DataType::kUndefined;
    out_type_ = ctx.output(0).dtype;
    scaling_ = ScalingOf(ctx);
    if (ctx.input(1).num_elements() == 1 && scaling_ == Scaling::kAxis) scaling_ = Scaling::kTensor;
    if (scaling_ == Scaling::kTensor) return;
    const auto axis =
        static_cast<size_t>(CheckedAxis(ctx, ctx.attrs().Int("axis", 1), static_cast<int64_t>(shape.size())));
    axis_size_ = shape[axis];
    for (size_t i = axis + 1; i < shape.size(); ++i) inner_ *= shape[i];
    if (scaling_ == Scaling::kBlocks) {
      block_ = ctx.attrs().Int("block_size");
      blocks_ = ctx.shape(1)[axis];
    }
  }

  int64_t tiles() const override { return (elems_ + kRun * kTileRuns - 1) / (kRun * kTileRuns); }

  void Run(const RunContext& ctx, int64_t tile) const override {
    alignas(64) float values[kRun], scales[kRun], zeros[kRun];
    std::fill(zeros, zeros + kRun, 0.0f);
    const int64_t first = tile * kRun * kTileRuns, last = std::min(elems_, first + kRun * kTileRuns);
    if (scaling_ == Scaling::kTensor) {
      std::fill(scales, scales + kRun, Scale(ctx, 0));
      std::fill(zeros, zeros + kRun, Zero(ctx, 0));
    }
    for (int64_t begin = first; begin < last; begin += kRun) {
      const int64_t count = std::min(kRun, last - begin);
      if (scaling_ != Scaling::kTensor) Spread(ctx, begin, count, scales, zeros);
      LoadAsFloat(in_type_, ctx.in<void>(0), begin, count, values);
      Compute(values, scales, zeros, begin, count, ctx.out<void>(0));
    }
  }

 protected:
  virtual void Compute(float* values, const float* scales, const float* zeros, int64_t begin, int64_t count,
                       void* to) const = 0;

  DataType in_type_ = DataType::kUndefined, out_type_ = DataType::kUndefined;

 private:
  float Scale(const RunContext& ctx, int64_t i) const {
    float value = 0;
    LoadAsFloat(scale_type_, ctx.in<void>(1), i, 1, &value);
    return value;
  }
  float Zero(const RunContext& ctx, int64_t i) const {
    float value = 0;
    if (zero_type_ != DataType::kUndefined) LoadAsFloat(zero_type_, ctx.in<void>(2), i, 1, &value);
    return value;
  }

  void Spread(const RunContext& ctx, int64_t begin, int64_t count, float* scales, float* zeros) const {
    int64_t inner = begin % inner_, position = begin / inner_ % axis_size_,
            outer = begin / inner_ / axis_size_;
    int64_t loaded = -1;
    float scale = 0, zero = 0;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t index =
          scaling_ == Scaling::kAxis ? position : (outer * blocks_ + position / block_) * inner_ + inner;
      if (index != loaded) {
        scale = Scale(ctx, index);
        zero = Zero(ctx, index);
        loaded = index;
      }
      scales[i] = scale;
      zeros[i] = zero;
      if (++inner < inner_) continue;
      inner = 0;
      if (++position < axis_size_) continue;
      position = 0;
      ++outer;
    }
  }

  Scaling scaling_ = Scaling::kTensor;
  DataType scale_type_ = DataType::kUndefined, zero_type_ = DataType::kUndefined;
  int64_t elems_ = 0, axis_size_ = 1, inner_ = 1, block_ = 1, blocks_ = 1;
};

class QuantizeKernel : public ScaledKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    ScaledKernel::Prepare(ctx);
    saturate_ = ctx.attrs().Int("saturate", 1) != 0;
    if (!IsQuantizedType(out_type_))
      ctx.Unsupported("makes no elements of type " + std::string(DataTypeName(out_type_)));
  }

 protected:
  void Compute(float* values, const float* scales, const float* zeros, int64_t begin, int64_t count,
               void* to) const override {
    for (int64_t i = 0; i < count; ++i) values[i] /= scales[i];
    if (IsNarrowFloat(out_type_)) {
      StoreNarrowFloats(out_type_, values, saturate_, begin, count, to);
    } else {
      StoreQuantized(out_type_, values, zeros, begin, count, to);
    }
  }

 private:
  bool saturate_ = true;
};

class DequantizeKernel : public ScaledKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    ScaledKernel::Prepare(ctx);
    if (!IsQuantizedType(in_type_) && in_type_ != DataType::kInt32) {
      ctx.Unsupported("takes no elements of type " + std::string(DataTypeName(in_type_)));
    }
    if (!Contains(TypeList<float, Half, BFloat16>(), out_type_)) {
      ctx.Unsupported("makes no elements of type " + std::string(DataTypeName(out_type_)));
    }
  }

 protected:
  void Compute(float* values, const float* scales, const float* zeros, int64_t begin, int64_t count,
               void* to) const override {
    for (int64_t i = 0; i < count; ++i) values[i] = (values[i] - zeros[i]) * scales[i];
    StoreFloats(out_type_, values, begin, count, to);
  }
};

// One scale and zero point for all of x, from its smallest and largest element, 0 included.
class DynamicQuantizeKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override { elems_ = ctx.input(0).num_elements(); }

  void Run(const RunContext& ctx, int64_t) const override {
    const float* x = ctx.in<float>(0);
    float low = 0, high = 0;
    for (int64_t i = 0; i < elems_; ++i) {
      low = x[i] < low ? x[i] : low;
      high = x[i] > high ? x[i] : high;
    }
    const float scale = low == high ? 1.0f : (high - low) / 255;
    const uint8_t zero = Requantized<uint8_t>(-low / scale, 0);
    if (float* to = ctx.out<float>(1)) *to = scale;
    if (uint8_t* to = ctx.out<uint8_t>(2)) *to = zero;
    uint8_t* y = ctx.out<uint8_t>(0);
    for (int64_t i = 0; y != nullptr && i < elems_; ++i) y[i] = Requantized<uint8_t>(x[i] / scale, zero);
  }

 private:
  int64_t elems_ = 0;
};

void InferDynamicQuantize(InferContext& ctx) {
  if (ctx.dtype(0) != DataType::kFloat) {
    ctx.Fail("input 0 is " + std::string(DataTypeName(ctx.dtype(0))) + ", expected float");
  }
  ctx.SetOutput(0, DataType::kUInt8, ctx.shape(0));
  ctx.SetOutput(1, DataType::kFloat, {});
  ctx.SetOutput(2, DataType::kUInt8, {});
}

const Operator kQuantize = {
    .name = "QuantizeLinear",
    .versions = {10, 13, 19, 21, 23, 24, 25},
    .min_inputs = 2,
    .max_inputs = 3,
    .infer = InferQuantize,
    .kernels = {&Make<QuantizeKernel>},
    .types = "float, float16, bfloat16, int32",
};
const Operator kDequantize = {
    .name = "DequantizeLinear",
    .versions = {10, 13, 19, 21, 23, 24, 25},
    .min_inputs = 2,
    .max_inputs = 3,
    .infer = InferDequantize,
    .kernels = {&Make<DequantizeKernel>},
    .types = "int8, uint8, int16, uint16, int32, int4, uint4, int2, uint2, float8, float4",
};
const Operator kDynamicQuantize = {
    .name = "DynamicQuantizeLinear",
    .versions = {11},
    .max_outputs = 3,
    .infer = InferDynamicQuantize,
    .kernels = {&Make<DynamicQuantizeKernel>},
    .types = "float",
};
const RegisterOperator kRegister[] = {RegisterOperator(kQuantize), RegisterOperator(kDequantize),
                                      RegisterOperator(kDynamicQuantize)};

}  // namespace
}  // namespace sluice
