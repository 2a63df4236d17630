#include <algorithm>

#include "kernels/half.h"
#include "kernels/mapped_copy.h"
#include "kernels/ops/any_bits.h"
#include "kernels/ops/params.h"

// Pad (1, 2, 11, 13, 18, 19, 21, 23, 24, 25; modes constant, reflect, edge, wrap; negative pads crop),
// CenterCropPad (18; any element type of 8 bits or more).

namespace sluice {
namespace {

// Begins, then ends, for all axes; nothing where they are not known.
template <typename Context>
std::optional<std::vector<int64_t>> PadsOf(const Context& ctx, int64_t rank) {
  if (ctx.since_version() < 11) {
    std::vector<int64_t> pads = ctx.attrs().Ints(ctx.since_version() == 1 ? "paddings" : "pads");
    if (static_cast<int64_t>(pads.size()) != 2 * rank)
      ctx.Fail("pads has " + std::to_string(pads.size()) + " entries, expected " + std::to_string(2 * rank));
    return pads;
  }
  const auto given = InputInts(ctx, 1), axes_input = InputInts(ctx, 3);
  if (!given || (ctx.has_input(3) && !axes_input)) return std::nullopt;
  const std::vector<int64_t> axes = CheckedAxes(ctx, axes_input ? *axes_input : AllAxes(rank), rank);
  if (given->size() != 2 * axes.size())
    ctx.Fail("pads has " + std::to_string(given->size()) + " entries, expected " +
             std::to_string(2 * axes.size()));
  std::vector<int64_t> pads(static_cast<size_t>(2 * rank), 0);
  for (size_t i = 0; i < axes.size(); ++i) {
    pads[static_cast<size_t>(axes[i])] = (*given)[i];
    pads[static_cast<size_t>(axes[i] + rank)] = (*given)[i + axes.size()];
  }
  return pads;
}

void InferPad(InferContext& ctx) {
  const auto rank = static_cast<size_t>(ctx.rank(0));
  const auto pads = PadsOf(ctx, ctx.rank(0));
  SymShape shape = ctx.shape(0);
  for (size_t i = 0; i < rank; ++i) {
    if (!pads) {
      shape[i] = Dim();
      continue;
    }
    const int64_t begin = (*pads)[i], end = (*pads)[i + rank];
    if (begin == 0 && end == 0) continue;
    if (!shape[i].known()) {
      shape[i] = Dim();
      continue;
    }
    int64_t size = 0;
    if (__builtin_add_overflow(begin, end, &size) || __builtin_add_overflow(size, shape[i].value(), &size) ||
        size < 0) {
      ctx.Fail("pads " + std::to_string(begin) + " and " + std::to_string(end) + " do not fit axis " +
               std::to_string(i) + " of " + ToString(ctx.shape(0)));
    }
    shape[i] = size;
  }
  if (const auto concrete = ToShape(shape)) CheckMemory(ByteSize(ctx.dtype(0), NumElements(*concrete)));
  ctx.SetOutput(0, ctx.dtype(0), std::move(shape));
}

class PadKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    type_ = ctx.dtype(0);
    CheckMovable(ctx, type_);
    const Shape& src = ctx.shape(0);
    const auto rank = src.size();
    const auto pads = PadsOf(ctx, static_cast<int64_t>(rank));
    if (!pads) ctx.Unsupported("pads are not known");
    const std::string mode = ctx.attrs().String("mode", "constant");
    if (mode != "constant" && mode != "reflect" && mode != "edge" && mode != "wrap")
      ctx.Fail("unknown mode '" + mode + "'");
    if (ctx.has_input(2)) {
      if (ctx.dtype(2) != type_) ctx.Fail("the fill value has another element type than the data");
      fill_input_ = NumElements(ctx.shape(2)) > 0;
    } else if (ctx.since_version() < 11) {
      fill_ = FillOf(ctx);
    }
    if (NumElements(ctx.output(0).shape) == 0) return;
    std::vector<std::vector<int64_t>> maps;
    for (size_t i = 0; i < rank; ++i) {
      maps.push_back(MapOf(ctx, mode, src[i], (*pads)[i], (*pads)[i + rank], ctx.output(0).shape[i]));
    }
    copy_ = MappedCopy(src, std::move(maps));
  }
  int64_t tiles() const override { return copy_.tiles(); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const void* fill = fill_input_ ? ctx.in<void>(2) : fill_.empty() ? nullptr : fill_.data();
    copy_.Run(type_, ctx.in<void>(0), ctx.out<void>(0), fill, tile);
  }

 private:
  static Tensor FillOf(const PrepareContext& ctx) {
    const float value = ctx.attrs().Float("value", 0);
    switch (ctx.dtype(0)) {
      case DataType::kFloat:
        return Tensor::Scalar(value);
      case DataType::kDouble:
        return Tensor::Scalar(static_cast<double>(value));
      case DataType::kFloat16: {
        Tensor half(DataType::kFloat16, {});
        half.mutable_values<Half>()[0] = value;
        return half;
      }
      default:
        if (value != 0) ctx.Unsupported("a fill value for " + std::string(DataTypeName(ctx.dtype(0))));
        return {};
    }
  }

  // What lies in the source at each index of the padded axis. Cropping comes first, so that what is
  // cropped away is never reflected or repeated.
  static std::vector<int64_t> MapOf(const PrepareContext& ctx, const std::string& mode, int64_t size,
                                    int64_t begin, int64_t end, int64_t padded) {
    if (begin == 0 && end == 0) return IdentityMap(size);
    const int64_t first = std::max<int64_t>(-begin, 0), kept = size - first - std::max<int64_t>(-end, 0);
    const int64_t left = std::max<int64_t>(begin, 0);
    std::vector<int64_t> map = NewMap(padded);
    if (kept <= 0 && padded > 0 && mode != "constant")
      ctx.Fail("mode " + mode + " on an axis of size " + std::to_string(kept));
    const int64_t period = mode == "reflect" ? std::max<int64_t>(2 * (kept - 1), 1) : kept;
    for (int64_t i = 0; i < padded; ++i) {
      int64_t at = i - left;
      if (at < 0 || at >= kept) {
        if (mode == "constant") {
          at = MappedCopy::kFill;
        } else if (mode == "edge") {
          at = std::clamp<int64_t>(at, 0, kept - 1);
        } else {
          at = (at % period + period) % period;
          if (mode == "reflect" && at >= kept) at = period - at;
        }
      }
      map[static_cast<size_t>(i)] = at < 0 ? at : at + first;
    }
    return map;
  }

  DataType type_ = DataType::kUndefined;
  bool fill_input_ = false;
  Tensor fill_;
  MappedCopy copy_;
};

std::optional<std::pair<std::vector<int64_t>, std::vector<int64_t>>> CropTarget(const InferContext& ctx) {
  const std::vector<int64_t> axes =
      CheckedAxes(ctx, ctx.attrs().Ints("axes", AllAxes(ctx.rank(0))), ctx.rank(0));
  const auto sizes = InputInts(ctx, 1);
  if (!sizes) return std::nullopt;
  if (sizes->size() != axes.size())
    ctx.Fail("shape has " + std::to_string(sizes->size()) + " entries, expected " +
             std::to_string(axes.size()));
  return std::pair(axes, *sizes);
}

void InferCenterCropPad(InferContext& ctx) {
  SymShape shape = ctx.shape(0);
  if (const auto target = CropTarget(ctx)) {
    for (size_t i = 0; i < target->first.size(); ++i) {
      if (target->second[i] < 0) ctx.Fail("a size is " + std::to_string(target->second[i]));
      shape[static_cast<size_t>(target->first[i])] = target->second[i];
    }
    if (const auto concrete = ToShape(shape)) CheckMemory(ByteSize(ctx.dtype(0), NumElements(*concrete)));
  } else {
    for (int64_t axis : CheckedAxes(ctx, ctx.attrs().Ints("axes", AllAxes(ctx.rank(0))), ctx.rank(0))) {
      shape[static_cast<size_t>(axis)] = Dim();
    }
  }
  ctx.SetOutput(0, ctx.dtype(0), std::move(shape));
}

class CenterCropPadKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    type_ = ctx.dtype(0);
    CheckMovable(ctx, type_);
    if (NumElements(ctx.output(0).shape) == 0) return;
    std::vector<std::vector<int64_t>> maps;
    for (size_t i = 0; i < ctx.shape(0).size(); ++i) {
      const int64_t size = ctx.shape(0)[i], target = ctx.output(0).shape[i];
      const int64_t shift = target < size ? (size - target) / 2 : -((target - size) / 2);
      maps.push_back(NewMap(target));
      for (int64_t j = 0; j < target; ++j) {
        maps[i][static_cast<size_t>(j)] = j + shift >= 0 && j + shift < size ? j + shift : MappedCopy::kFill;
      }
    }
    copy_ = MappedCopy(ctx.shape(0), std::move(maps));
  }
  int64_t tiles() const override { return copy_.tiles(); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    copy_.Run(type_, ctx.in<void>(0), ctx.out<void>(0), nullptr, tile);
  }

 private:
  DataType type_ = DataType::kUndefined;
  MappedCopy copy_;
};

const Operator kPad1 = {
    .name = "Pad", .versions = {1, 2}, .infer = InferPad, .kernels = {&Make<PadKernel>}, .types = "all"};
const Operator kPad = {
    .name = "Pad",
    .versions = {11, 13, 18, 19, 21, 23, 24, 25},
    .min_inputs = 2,
    .max_inputs = 4,
    .infer = InferPad,
    .kernels = {&Make<AnyBits<PadKernel>>},
    .types = "any",
};
const Operator kCenterCropPad = {
    .name = "CenterCropPad",
    .versions = {18},
    .min_inputs = 2,
    .max_inputs = 2,
    .infer = InferCenterCropPad,
    .kernels = {&Make<CenterCropPadKernel>},
    .types = "all",
};
const RegisterOperator kRegister[] = {RegisterOperator(kPad1), RegisterOperator(kPad),
                                      RegisterOperator(kCenterCropPad)};

}  // namespace
}  // namespace sluice
