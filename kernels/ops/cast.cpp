#include <cstring>

#include "kernels/dispatch.h"
#include "kernels/narrow.h"
#include "kernels/ops/convert.h"
#include "kernels/ops/elementwise.h"
#include "kernels/parallel.h"

// Cast (1, 6, 9, 13, 19, 21, 23, 24, 25, 28) and CastLike (15, 19, 21, 23, 24, 25): numbers, booleans,
// strings and the narrow types.
//
// Floats go to integers by truncation; what does not fit takes the nearest limit and NaN is 0 (the standard
// leaves both open). Integers wrap around. To boolean everything but zero is true. `saturate` (from 19 on) is
// for float8, `round_mode` (from 24 on) for float8e8m0.

namespace sluice {
namespace {

using Real = TypeList<float, double, Half, BFloat16, int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t,
                      uint32_t, uint64_t, bool>;

// One element type as a stream of doubles would be slow; each pair has a loop of its own, but for the narrow
// types and strings, which go one by one.
class CastKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    from_ = ctx.dtype(0);
    to_ = ctx.output(0).dtype;
    saturate_ = ctx.attrs().Int("saturate", 1) != 0;
    const std::string rounding = ctx.attrs().String("round_mode", "up");
    if (rounding != "up" && rounding != "down" && rounding != "nearest")
      ctx.Fail("round_mode is '" + rounding + "', expected up, down or nearest");
    rounding_ = rounding == "up"     ? PowerRounding::kUp
                : rounding == "down" ? PowerRounding::kDown
                                     : PowerRounding::kNearest;
    count_ = ctx.output(0).num_elements();
    const bool known = Known(from_) && Known(to_);
    if (!known) {
      ctx.Unsupported("from " + std::string(DataTypeName(from_)) + " to " + std::string(DataTypeName(to_)));
    }
    if (from_ == to_ && from_ != DataType::kString) ctx.ShareOutput(0, 0);
    // Elements that share a byte are written by one tile.
    constexpr int64_t kTileElems = 32 * 1024;
    tiles_ = count_ == 0 ? 0 : IsNarrow(to_) ? 1 : PiecesOf(count_, kTileElems);
  }
  int64_t tiles() const override { return tiles_; }

  void Run(const RunContext& ctx, int64_t tile) const override {
    const Range range = PieceOf(count_, tiles_, tile);
    const void* src = ctx.in<void>(0);
    void* dst = ctx.out<void>(0);
    if (IsNarrow(to_)) {
      std::memset(dst, 0, static_cast<size_t>(ByteSize(to_, count_)));
      ForEach(src, range, [&](int64_t i, auto value) { StoreNarrow(dst, i, value); });
      return;
    }
    if (to_ == DataType::kString) {
      auto* text = static_cast<std::string*>(dst);
      ForEach(src, range, [&](int64_t i, const auto& value) {
        if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::string>)
          text[i] = value;
        else
          text[i] = ToText(value);
      });
      return;
    }
    Dispatch(Real(), to_, [&](auto tag) {
      using To = typename decltype(tag)::type;
      To* to = static_cast<To*>(dst);
      ForEach(src, range, [&](int64_t i, const auto& value) {
        using From = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<From, std::string>)
          to[i] = static_cast<To>(FromText<ComputeType<To>>(value));
        else
          to[i] = static_cast<To>(Convert<ComputeType<To>>(static_cast<ComputeType<From>>(value)));
      });
    });
  }

 private:
  static bool Known(DataType type) {
    return Contains(Real(), type) || IsNarrow(type) || type == DataType::kString;
  }

  // fn(i, element) with the element as its C++ type; narrow ones as float.
  template <typename Fn>
  void ForEach(const void* src, Range range, const Fn& fn) const {
    if (IsNarrow(from_)) {
      for (int64_t i = range.begin; i < range.end; ++i)
        fn(i, DecodeNarrow(from_, LoadNarrowBits(from_, src, i)));
    } else if (from_ == DataType::kString) {
      for (int64_t i = range.begin; i < range.end; ++i) fn(i, static_cast<const std::string*>(src)[i]);
    } else {
      Dispatch(Real(), from_, [&](auto tag) {
        const auto* from = static_cast<const typename decltype(tag)::type*>(src);
        for (int64_t i = range.begin; i < range.end; ++i) fn(i, from[i]);
      });
    }
  }

  template <typename T>
  void StoreNarrow(void* dst, int64_t i, const T& value) const {
    float number = 0;
    if constexpr (std::is_same_v<T, std::string>)
      number = static_cast<float>(ParseNumber(value));
    else
      number = static_cast<float>(static_cast<ComputeType<T>>(value));
    const bool integer = FloatBits() == 0;
    // Floats are cut, integers wrap around; only quantisation rounds and saturates.
    if (integer) {
      const auto bits = static_cast<uint8_t>(Convert<int64_t>(number));
      StoreNarrowBits(to_, dst, i, bits);
      return;
    }
    StoreNarrowBits(to_, dst, i, EncodeNarrow(to_, number, saturate_, rounding_));
  }
  int FloatBits() const {
    const bool integer = to_ == DataType::kInt4 || to_ == DataType::kUInt4 || to_ == DataType::kInt2 ||
                         to_ == DataType::kUInt2;
    return integer ? 0 : DataTypeBits(to_);
  }

  DataType from_ = DataType::kUndefined, to_ = DataType::kUndefined;
  bool saturate_ = true;
  PowerRounding rounding_ = PowerRounding::kUp;
  int64_t count_ = 0, tiles_ = 0;
};

// Version 1 names the type by a string.
DataType TypeByName(InferContext& ctx, const std::string& name) {
  for (int i = 1; i <= static_cast<int>(DataType::kBFloat16); ++i) {
    std::string upper(DataTypeName(static_cast<DataType>(i)));
    for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    if (upper == name) return static_cast<DataType>(i);
  }
  ctx.Fail("to is '" + name + "', which is no element type");
}

void InferCast(InferContext& ctx) {
  DataType to = DataType::kUndefined;
  if (ctx.since_version() == 1) {
    to = TypeByName(ctx, ctx.attrs().String("to"));
  } else {
    const int64_t number = ctx.attrs().Int("to");
    if (number < 1 || number > static_cast<int64_t>(DataType::kInt2))
      ctx.Fail("to is " + std::to_string(number) + ", which is no element type");
    to = static_cast<DataType>(number);
  }
  ctx.SetOutput(0, to, ctx.shape(0));
}

constexpr std::string_view kTypes = "T, bool, string, float8, float4, int4, uint4, int2, uint2";

const Definition kDefinitions[] = {
    Definition(Operator{.name = "Cast",
                        .versions = {1, 6, 9, 13, 19, 21, 23, 24, 25, 28},
                        .infer = InferCast,
                        .kernels = {&Make<CastKernel>},
                        .types = kTypes}),
    Definition(Operator{.name = "CastLike",
                        .versions = {15, 19, 21, 23, 24, 25},
                        .min_inputs = 2,
                        .max_inputs = 2,
                        .infer = [](InferContext& ctx) { ctx.SetOutput(0, ctx.dtype(1), ctx.shape(0)); },
                        .kernels = {&Make<CastKernel>},
                        .types = kTypes}),
};

}  // namespace
}  // namespace sluice
