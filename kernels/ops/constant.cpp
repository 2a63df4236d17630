#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/dispatch.h"
#include "kernels/narrow.h"
#include "kernels/ops/params.h"
#include "kernels/parallel.h"

// Constant (1, 9, 11, 12, 13, 19, 21, 23, 24, 25), ConstantOfShape (9, 20, 21, 23, 24, 25), Range (11, 27).

namespace sluice {
namespace {

template <typename T>
Tensor Vector(const std::vector<T>& values) {
  return Tensor::From<T>({static_cast<int64_t>(values.size())}, values);
}

Tensor ConstantTensor(const Attributes& attrs) {
  if (attrs.Has("value_float")) return Tensor::Scalar(attrs.Float("value_float"));
  if (attrs.Has("value_int")) return Tensor::Scalar(attrs.Int("value_int"));
  if (attrs.Has("value_string")) return Tensor::Scalar(attrs.String("value_string"));
  if (attrs.Has("value_floats")) return Vector(attrs.Floats("value_floats"));
  if (attrs.Has("value_ints")) return Vector(attrs.Ints("value_ints"));
  if (attrs.Has("value_strings")) return Vector(attrs.Strings("value_strings", {}));
  return attrs.TensorValue("value");
}

class ConstantKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    value_ = ConstantTensor(ctx.attrs());
    if (value_.num_elements() != ctx.output(0).num_elements()) ctx.Fail("value does not fill its shape");
  }
  void Run(const RunContext& ctx, int64_t) const override {
    if (value_.dtype() == DataType::kString) {
      const auto strings = value_.values<std::string>();
      std::copy(strings.begin(), strings.end(), ctx.out<std::string>(0));
    } else if (value_.byte_size() > 0) {
      std::memcpy(ctx.out<void>(0), value_.data(), static_cast<size_t>(value_.byte_size()));
    }
  }

 private:
  Tensor value_;
};

void InferConstant(InferContext& ctx) {
  const Tensor value = ConstantTensor(ctx.attrs());
  ctx.SetOutput(0, value.dtype(), ToSymShape(value.shape()));
}

Tensor FillValue(const Attributes& attrs) {
  return attrs.Has("value") ? attrs.TensorValue("value") : Tensor::Scalar(0.0f);
}

void InferConstantOfShape(InferContext& ctx) {
  const Tensor value = FillValue(ctx.attrs());
  if (value.num_elements() != 1)
    ctx.Fail("value has " + std::to_string(value.num_elements()) + " elements, expected 1");
  if (ctx.rank(0) != 1) ctx.Fail("input has rank " + std::to_string(ctx.rank(0)) + ", expected 1");
  if (const auto sizes = InputInts(ctx, 0)) {
    CheckMemory(ByteSize(value.dtype(), NumElements(*sizes)));
    return ctx.SetOutput(0, value.dtype(), ToSymShape(*sizes));
  }
  if (ctx.shape(0)[0].known() && ctx.shape(0)[0].value() < 64) {
    return ctx.SetOutput(0, value.dtype(), SymShape(static_cast<size_t>(ctx.shape(0)[0].value())));
  }
  ctx.SetUnknownShape(0, value.dtype());
}

class FillKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    value_ = FillValue(ctx.attrs());
    count_ = ctx.output(0).num_elements();
    narrow_ = DataTypeBits(value_.dtype()) < 8;
  }
  // Elements below 8 bits share bytes, which one tile writes.
  int64_t tiles() const override { return narrow_ ? 1 : PiecesOf(count_, 64 * 1024); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    if (narrow_) {
      const uint8_t bits = LoadNarrowBits(value_.dtype(), value_.data(), 0);
      std::memset(ctx.out<void>(0), 0, static_cast<size_t>(ByteSize(value_.dtype(), count_)));
      for (int64_t i = 0; i < count_; ++i) StoreNarrowBits(value_.dtype(), ctx.out<void>(0), i, bits);
      return;
    }
    const auto [begin, end] = PieceOf(count_, tiles(), tile);
    DispatchBySize(value_.dtype(), [&, begin = begin, end = end](auto tag) {
      using T = typename decltype(tag)::type;
      T* dst = ctx.out<T>(0);
      std::fill(dst + begin, dst + end, *static_cast<const T*>(value_.data()));
    });
  }

 private:
  Tensor value_;
  int64_t count_ = 0;
  bool narrow_ = false;
};

using RangeTypes = TypeList<float, double, Half, BFloat16, int16_t, int32_t, int64_t>;

// How many elements start, start + delta, ... has before limit.
template <typename Context, typename T>
int64_t RangeCount(const Context& ctx, T start, T limit, T delta) {
  if (delta == T(0)) ctx.Fail("delta is 0");
  if constexpr (std::is_integral_v<T>) {
    if (delta > 0 ? start >= limit : start <= limit) return 0;
    const auto wide = [](T x) { return static_cast<__int128>(x); };
    const __int128 span = wide(limit) - wide(start), step = wide(delta);
    const __int128 count = (span + step + (step > 0 ? -1 : 1)) / step;
    if (count > INT64_MAX) ctx.Fail("the range has more than 2^63 elements");
    return static_cast<int64_t>(count);
  } else {
    const double count =
        std::ceil((static_cast<double>(limit) - static_cast<double>(start)) / static_cast<double>(delta));
    if (!(count < 9e18)) ctx.Fail("the range has no finite number of elements");
    return count < 0 ? 0 : static_cast<int64_t>(count);
  }
}

void InferRange(InferContext& ctx) {
  const DataType type = ctx.dtype(0);
  for (int i = 1; i < 3; ++i) {
    if (ctx.dtype(i) != type) ctx.Fail("start, limit and delta have different element types");
  }
  Dim count;
  bool known = true;
  for (int i = 0; i < 3; ++i) {
    known = known && ctx.constant(i) != nullptr;
    if (ctx.constant(i) && ctx.constant(i)->num_elements() != 1)
      ctx.Fail("input " + std::to_string(i) + " is no scalar");
  }
  if (known) {
    const bool found = Dispatch(RangeTypes(), type, [&](auto tag) {
      using T = ComputeType<typename decltype(tag)::type>;
      using Stored = typename decltype(tag)::type;
      const auto get = [&](int i) { return static_cast<T>(ctx.constant(i)->template values<Stored>()[0]); };
      count = Dim(RangeCount<InferContext, T>(ctx, get(0), get(1), get(2)));
    });
    if (!found) ctx.Fail("a range of " + std::string(DataTypeName(type)));
    CheckMemory(ByteSize(type, count.value()));
  }
  ctx.SetOutput(0, type, {count});
}

class RangeKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    type_ = ctx.dtype(0);
    count_ = ctx.output(0).num_elements();
    if (!Contains(RangeTypes(), type_)) ctx.Unsupported("a range of " + std::string(DataTypeName(type_)));
  }
  int64_t tiles() const override { return PiecesOf(count_, 64 * 1024); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const auto piece = PieceOf(count_, tiles(), tile);
    Dispatch(RangeTypes(), type_, [&](auto tag) {
      using T = typename decltype(tag)::type;
      using C = std::conditional_t<std::is_integral_v<T>, uint64_t, ComputeType<T>>;
      const C start = static_cast<C>(*ctx.in<T>(0)), delta = static_cast<C>(*ctx.in<T>(2));
      T* dst = ctx.out<T>(0);
      for (int64_t i = piece.begin; i < piece.end; ++i)
        dst[i] = static_cast<T>(start + static_cast<C>(i) * delta);
    });
  }

 private:
  DataType type_ = DataType::kUndefined;
  int64_t count_ = 0;
};

const Operator kConstant = {
    .name = "Constant",
    .versions = {1, 9, 11, 12, 13, 19, 21, 23, 24, 25},
    .min_inputs = 0,
    .max_inputs = 0,
    .infer = InferConstant,
    .kernels = {&Make<ConstantKernel>},
    .types = "any",
};
const Operator kConstantOfShape = {
    .name = "ConstantOfShape",
    .versions = {9, 20, 21, 23, 24, 25},
    .infer = InferConstantOfShape,
    .kernels = {&Make<FillKernel>},
    .types = "any",
};
const Operator kRange = {
    .name = "Range",
    .versions = {11, 27},
    .min_inputs = 3,
    .max_inputs = 3,
    .infer = InferRange,
    .kernels = {&Make<RangeKernel>},
    .types = "float, double, float16, bfloat16, int16, int32, int64",
};
const RegisterOperator kRegister[] = {RegisterOperator(kConstant), RegisterOperator(kConstantOfShape),
                                      RegisterOperator(kRange)};

}  // namespace
}  // namespace sluice
