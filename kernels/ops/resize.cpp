#include <algorithm>
#include <cmath>

#include "kernels/dispatch.h"
#include "kernels/mapped_copy.h"
#include "kernels/ops/move.h"
#include "kernels/ops/params.h"
#include "kernels/parallel.h"
#include "kernels/resample.h"
#include "kernels/saturate.h"

// Resize (10, 11, 13, 18, 19) and Upsample (1, 7, 9, 10). Nearest: any element type of 8 bits or more;
// linear and cubic: numbers, computed in float or double, separably, one axis after the other.

namespace sluice {
namespace {

struct Request {
  std::vector<ResampleAxis> axes;  // one for each axis of the input; sizes are -1 where unknown
  bool known = true;
};

// The elements of a floating-point constant; nothing if absent, without elements or unknown.
template <typename Context>
std::optional<std::vector<float>> InputFloats(const Context& ctx, int i) {
  const Tensor* tensor = i >= 0 && ctx.has_input(i) ? ctx.constant(i) : nullptr;
  if (tensor == nullptr || tensor->num_elements() == 0) return std::nullopt;
  std::vector<float> result;
  const bool found = Dispatch(FloatTypes(), tensor->dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (T value : tensor->template values<T>()) result.push_back(static_cast<float>(value));
  });
  if (!found)
    ctx.Fail("input " + std::to_string(i) + " is " + std::string(DataTypeName(tensor->dtype())) +
             ", expected floats");
  return result;
}

template <typename Context>
Request RequestOf(const Context& ctx, const std::vector<int64_t>& sizes_in) {
  const auto rank = static_cast<int64_t>(sizes_in.size());
  const bool upsample = ctx.node().op_type == "Upsample";
  const int version = ctx.since_version();
  Request request;
  for (int64_t size : sizes_in) request.axes.push_back({size, size, 1, static_cast<float>(size), 0, 1});
  const auto axes = CheckedAxes(ctx, ctx.attrs().Ints("axes", AllAxes(rank)), rank);
  const auto expect = [&](const char* what, size_t got, size_t want) {
    if (got != want)
      ctx.Fail(std::string(what) + " has " + std::to_string(got) + " entries, expected " +
               std::to_string(want));
  };

  const auto unknown = [&](int i) { return ctx.has_input(i) && ctx.constant(i) == nullptr; };

  std::optional<std::vector<float>> scales;
  std::optional<std::vector<int64_t>> sizes;
  if (upsample && version == 1) {
    if (rank != 4) ctx.Fail("input has rank " + std::to_string(rank) + ", expected 4");
    scales = std::vector<float>{1, 1, ctx.attrs().Float("height_scale"), ctx.attrs().Float("width_scale")};
  } else if (upsample && version == 7) {
    scales = ctx.attrs().Floats("scales");
  } else if (version == 10 || upsample) {
    scales = InputFloats(ctx, 1);
  } else {
    scales = InputFloats(ctx, 2);
    if (!scales) sizes = InputInts(ctx, 3);
    if (sizes && sizes->empty()) sizes.reset();
  }
  if (ctx.attrs().String("coordinate_transformation_mode", "") == "tf_crop_and_resize") {
    if (unknown(1)) request.known = false;
    if (const auto roi = InputFloats(ctx, 1)) {
      expect("roi", roi->size(), 2 * axes.size());
      for (size_t i = 0; i < axes.size(); ++i) {
        ResampleAxis& axis = request.axes[static_cast<size_t>(axes[i])];
        axis.roi_begin = (*roi)[i];
        axis.roi_end = (*roi)[i + axes.size()];
      }
    }
  }
  if (scales) {
    expect("scales", scales->size(), axes.size());
    for (size_t i = 0; i < axes.size(); ++i) {
      ResampleAxis& axis = request.axes[static_cast<size_t>(axes[i])];
      axis.scale = (*scales)[i];
      if (!(axis.scale > 0) || std::isinf(axis.scale)) ctx.Fail("a scale is " + std::to_string(axis.scale));
      const float out = std::floor(static_cast<float>(axis.in) * axis.scale);
      if (out >= 9e18f)
        ctx.Fail("scale " + std::to_string(axis.scale) + " of size " + std::to_string(axis.in) +
                 " is too large");
      axis.exact_out = static_cast<float>(axis.in) * axis.scale;
      axis.out = axis.in < 0 ? -1 : static_cast<int64_t>(out);
    }
  } else if (sizes) {
    expect("sizes", sizes->size(), axes.size());
    const std::string policy = ctx.attrs().String("keep_aspect_ratio_policy", "stretch");
    if (policy != "stretch" && policy != "not_larger" && policy != "not_smaller")
      ctx.Fail("unknown keep_aspect_ratio_policy '" + policy + "'");
    std::optional<double> common;
    bool all_known = true;
    for (size_t i = 0; i < axes.size(); ++i) {
      ResampleAxis& axis = request.axes[static_cast<size_t>(axes[i])];
      axis.out = (*sizes)[i];
      if (axis.out < 0) ctx.Fail("a size is " + std::to_string(axis.out));
      all_known = all_known && axis.in > 0;
      const double scale = static_cast<double>(axis.out) / static_cast<double>(std::max<int64_t>(axis.in, 1));
      axis.scale = static_cast<float>(axis.out) / static_cast<float>(std::max<int64_t>(axis.in, 1));
      axis.exact_out = static_cast<float>(axis.out);
      if (!common) common = scale;
      common = policy == "not_larger" ? std::min(*common, scale) : std::max(*common, scale);
    }
    for (size_t i = 0; i < axes.size() && policy != "stretch"; ++i) {
      ResampleAxis& axis = request.axes[static_cast<size_t>(axes[i])];
      axis.scale = static_cast<float>(*common);
      axis.exact_out = static_cast<float>(axis.in) * axis.scale;
      const double out = std::floor(static_cast<double>(axis.in) * *common + 0.5);
      if (out >= 9e18) ctx.Fail("the sizes are too large");
      axis.out = all_known ? static_cast<int64_t>(out) : -1;
    }
  } else {
    if (!unknown(1) && !unknown(2) && !unknown(3)) ctx.Fail("neither scales nor sizes are given");
    request.known = false;
  }
  return request;
}

template <typename Context>
ResampleMode ModeOf(const Context& ctx) {
  const bool old = ctx.node().op_type == "Upsample" || ctx.since_version() == 10;
  const std::string kind = ctx.attrs().String("mode", "nearest");
  ResampleMode mode;
  if (kind == "nearest")
    mode.kind = ResampleMode::Kind::kNearest;
  else if (kind == "linear" || kind == "bilinear")
    mode.kind = ResampleMode::Kind::kLinear;
  else if (kind == "cubic" && !old)
    mode.kind = ResampleMode::Kind::kCubic;
  else
    ctx.Fail("unknown mode '" + kind + "'");
  if (old) {
    mode.coordinates = "asymmetric";
    mode.rounding = ResampleMode::Rounding::kSimple;
    return mode;
  }
  mode.coordinates = ctx.attrs().String("coordinate_transformation_mode", "half_pixel");
  if (!IsCoordinateMode(mode.coordinates))
    ctx.Fail("unknown coordinate_transformation_mode '" + mode.coordinates + "'");
  const std::string rounding = ctx.attrs().String("nearest_mode", "round_prefer_floor");
  if (rounding == "round_prefer_floor")
    mode.rounding = ResampleMode::Rounding::kPreferFloor;
  else if (rounding == "round_prefer_ceil")
    mode.rounding = ResampleMode::Rounding::kPreferCeil;
  else if (rounding == "floor")
    mode.rounding = ResampleMode::Rounding::kFloor;
  else if (rounding == "ceil")
    mode.rounding = ResampleMode::Rounding::kCeil;
  else
    ctx.Fail("unknown nearest_mode '" + rounding + "'");
  mode.cubic_a = ctx.attrs().Float("cubic_coeff_a", -0.75f);
  mode.exclude_outside = ctx.attrs().Int("exclude_outside", 0) != 0;
  mode.antialias = ctx.attrs().Int("antialias", 0) != 0;
  return mode;
}

void InferResize(InferContext& ctx) {
  std::vector<int64_t> in;
  for (const Dim& dim : ctx.shape(0)) in.push_back(dim.value());
  ModeOf(ctx);
  const Request request = RequestOf(ctx, in);
  SymShape shape;
  for (size_t i = 0; i < in.size(); ++i) {
    const ResampleAxis& axis = request.axes[i];
    shape.push_back(!request.known || axis.out < 0
                        ? (request.known && axis.scale == 1 ? ctx.shape(0)[i] : Dim())
                        : Dim(axis.out));
  }
  if (const auto concrete = ToShape(shape)) {
    CheckMemory(ByteSize(ctx.dtype(0), NumElements(*concrete)));
    const auto source = ToShape(ctx.shape(0));
    if (source && NumElements(*source) == 0 && NumElements(*concrete) > 0)
      ctx.Fail("resizing an input without elements, " + ToString(*source));
  }
  ctx.SetOutput(0, ctx.dtype(0), std::move(shape));
}

// The axes of the input in memory order; blocked layouts and channels last move whole vectors of channels
// as long as channels themselves are not resized.
std::vector<ResampleAxis> InMemoryOrder(PrepareContext& ctx, const std::vector<ResampleAxis>& axes) {
  TensorDesc desc = ctx.input(0);
  if (desc.layout != Layout::kPlain && axes[1].out != axes[1].in) desc.layout = Layout::kPlain;
  ctx.SetInputLayout(0, desc.layout);
  ctx.SetOutputLayout(0, desc.layout);
  const MemoryOrder order(desc);
  std::vector<ResampleAxis> result;
  for (int64_t size : order.sizes) result.push_back({size, size, 1, static_cast<float>(size), 0, 1});
  for (size_t i = 0; i < axes.size(); ++i) {
    if (i != 1 || desc.layout == Layout::kPlain) result[static_cast<size_t>(order.position[i])] = axes[i];
  }
  return result;
}

bool IsCopy(const ResampleMode& mode, const ResampleAxis& axis) {
  return axis.in == axis.out && axis.scale == 1 && mode.coordinates != "tf_half_pixel_for_nn" &&
         (mode.coordinates != "tf_crop_and_resize" || (axis.roi_begin == 0 && axis.roi_end == 1));
}

class NearestKernel : public Kernel {
 public:
  std::string name() const override { return "nearest"; }
  void Prepare(PrepareContext& ctx) override {
    const ResampleMode mode = ModeOf(ctx);
    if (mode.kind != ResampleMode::Kind::kNearest) ctx.Decline("interpolates");
    type_ = ctx.dtype(0);
    CheckMovable(ctx, type_);
    if (ctx.output(0).num_elements() == 0) return;
    Shape sizes;
    std::vector<std::vector<int64_t>> maps;
    for (const ResampleAxis& axis : InMemoryOrder(ctx, RequestOf(ctx, ctx.shape(0)).axes)) {
      sizes.push_back(axis.in);
      maps.push_back(IsCopy(mode, axis) ? IdentityMap(axis.in) : NearestMap(mode, axis));
    }
    copy_ = MappedCopy(sizes, std::move(maps));
    fill_ = Tensor(type_, {});
    const float value = ctx.attrs().Float("extrapolation_value", 0);
    if (type_ != DataType::kString)
      std::fill_n(static_cast<char*>(fill_.mutable_data()), fill_.byte_size(), char{0});
    Dispatch(NumericTypes(), type_, [&](auto tag) {
      using T = typename decltype(tag)::type;
      fill_.mutable_values<T>()[0] = Saturated<T>(value);
    });
  }
  int64_t tiles() const override { return copy_.tiles(); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    if (!fill_.empty()) copy_.Run(type_, ctx.in<void>(0), ctx.out<void>(0), fill_.data(), tile);
  }

 private:
  DataType type_ = DataType::kUndefined;
  MappedCopy copy_;
  Tensor fill_;
};

// Tile: one position of the axes before the first resized one, and a band of the output along that one.
// Scratch: two arrays of the band between passes.
class InterpolateKernel : public Kernel {
 public:
  std::string name() const override { return "interpolate"; }
  void Prepare(PrepareContext& ctx) override {
    const ResampleMode mode = ModeOf(ctx);
    type_ = ctx.dtype(0);
    if (!Contains(NumericTypes(), type_))
      ctx.Unsupported("interpolating " + std::string(DataTypeName(type_)));
    if (ctx.output(0).num_elements() == 0) return;
    extrapolation_ = ctx.attrs().Float("extrapolation_value", 0);
    int64_t inner = 1;
    const std::vector<ResampleAxis> axes = InMemoryOrder(ctx, RequestOf(ctx, ctx.shape(0)).axes);
    size_t first = 0;
    while (first + 1 < axes.size() && IsCopy(mode, axes[first])) outer_ *= axes[first++].in;
    // Passes from the first axis on: what is before an axis has its output size, what is behind its input
    // size.
    for (size_t i = first + 1; i < axes.size(); ++i) inner *= axes[i].in;
    const ResampleAxis head = axes.empty() ? ResampleAxis() : axes[first];
    src_plane_ = head.in * inner;
    int64_t before = 1;
    for (size_t i = first; i < axes.size(); ++i) {
      if (i > first) inner /= axes[i].in;
      if (i == first || !IsCopy(mode, axes[i])) {
        Pass pass{axes[i].in, axes[i].out, inner, before, {}};
        if (IsCopy(mode, axes[i]))
          pass.taps = {1, IdentityMap(axes[i].in), std::vector<float>(static_cast<size_t>(axes[i].in), 1.0f),
                       std::vector<bool>(static_cast<size_t>(axes[i].in))};
        else
          pass.taps = TapsOf(mode, axes[i]);
        passes_.push_back(std::move(pass));
      }
      if (i > first) before *= axes[i].out;
      dst_row_ = before;
    }
    const int64_t per_row = std::max<int64_t>(dst_row_, 1);
    bands_ = PiecesOf(head.out, (kMinTileElems + per_row - 1) / per_row);
    const int64_t rows = (head.out + bands_ - 1) / bands_;
    for (const Pass& pass : passes_) {
      const int64_t out = &pass == &passes_[0] ? pass.inner : pass.before * pass.out * pass.inner;
      scratch_elems_ = std::max(scratch_elems_, NumElements(Shape{rows, out}));
    }
    const int64_t compute =
        type_ == DataType::kFloat || type_ == DataType::kFloat16 || type_ == DataType::kBFloat16 ? 4 : 8;
    ctx.SetScratch(passes_.size() > 1 ? NumElements(Shape{2, scratch_elems_, compute}) : 0);
  }
  int64_t tiles() const override { return outer_ * bands_; }
  void Run(const RunContext& ctx, int64_t tile) const override {
    if (passes_.empty()) return;
    Dispatch(NumericTypes(), type_, [&](auto tag) { RunAs<typename decltype(tag)::type>(ctx, tile); });
  }

 private:
  static constexpr int64_t kMinTileElems = 16 * 1024;
  // [before, in, inner] -> [before, out, inner], a row of the first pass's output at a time.
  struct Pass {
    int64_t in, out, inner, before;
    Taps taps;
  };

  template <typename To, typename From>
  static To Cast(From value) {
    if constexpr (std::is_same_v<To, From>)
      return value;
    else if constexpr (std::is_integral_v<To>)
      return Saturated<To>(static_cast<double>(value));
    else
      return static_cast<To>(value);
  }

  template <typename C, typename From, typename To>
  void Line(const Pass& pass, int64_t j, const From* src, To* dst) const {
    const Taps& taps = pass.taps;
    if (taps.outside[static_cast<size_t>(j)])
      return void(std::fill_n(dst, pass.inner, Cast<To>(static_cast<C>(extrapolation_))));
    const int64_t* indices = taps.indices.data() + j * taps.size;
    const float* weights = taps.weights.data() + j * taps.size;
    if (taps.size == 2) {
      const From *a = src + indices[0] * pass.inner, *b = src + indices[1] * pass.inner;
      const C wa = weights[0], wb = weights[1];
      for (int64_t i = 0; i < pass.inner; ++i)
        dst[i] = Cast<To>(static_cast<C>(a[i]) * wa + static_cast<C>(b[i]) * wb);
      return;
    }
    for (int64_t i = 0; i < pass.inner; ++i) {
      C sum = 0;
      for (int64_t k = 0; k < taps.size; ++k)
        sum += static_cast<C>(src[indices[k] * pass.inner + i]) * static_cast<C>(weights[k]);
      dst[i] = Cast<To>(sum);
    }
  }

  template <typename T>
  void RunAs(const RunContext& ctx, int64_t tile) const {
    using C = std::conditional_t<std::is_integral_v<T> || std::is_same_v<T, double>, double, float>;
    const int64_t head_out = passes_[0].out;
    const auto [begin, end] = PieceOf(head_out, bands_, tile % bands_);
    const T* src = ctx.in<T>(0) + tile / bands_ * src_plane_;
    T* dst = ctx.out<T>(0) + (tile / bands_ * head_out + begin) * dst_row_;
    const size_t last = passes_.size() - 1;
    C* const scratch = ctx.scratch<C>();
    C* buffers[2] = {scratch, last == 0 ? nullptr : scratch + scratch_elems_};
    for (int64_t j = begin; j < end; ++j) {
      const int64_t at = (j - begin) * passes_[0].inner;
      if (last == 0)
        Line<C>(passes_[0], j, src, dst + at);
      else
        Line<C>(passes_[0], j, src, buffers[0] + at);
    }
    for (size_t p = 1; p <= last; ++p) {
      const Pass& pass = passes_[p];
      const C* from = buffers[(p + 1) % 2];
      const int64_t lines = (end - begin) * pass.before;
      for (int64_t line = 0; line < lines; ++line, from += pass.in * pass.inner) {
        for (int64_t j = 0; j < pass.out; ++j) {
          const int64_t at = (line * pass.out + j) * pass.inner;
          if (p == last)
            Line<C>(pass, j, from, dst + at);
          else
            Line<C>(pass, j, from, buffers[p % 2] + at);
        }
      }
    }
  }

  DataType type_ = DataType::kUndefined;
  std::vector<Pass> passes_;
  float extrapolation_ = 0;
  int64_t outer_ = 1, bands_ = 1, src_plane_ = 0, dst_row_ = 1, scratch_elems_ = 0;
};

const Operator kResize = {.name = "Resize",
                          .versions = {10, 11, 13, 18, 19},
                          .max_inputs = 4,
                          .infer = InferResize,
                          .kernels = {&Make<NearestKernel>, &Make<InterpolateKernel>},
                          .types = "all"};
const Operator kUpsample = {.name = "Upsample",
                            .versions = {1, 7, 9, 10},
                            .max_inputs = 2,
                            .infer = InferResize,
                            .kernels = {&Make<NearestKernel>, &Make<InterpolateKernel>},
                            .types = "all"};
const RegisterOperator kRegister[] = {RegisterOperator(kResize), RegisterOperator(kUpsample)};

}  // namespace
}  // namespace sluice
