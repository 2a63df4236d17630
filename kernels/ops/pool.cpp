#include <algorithm>
#include <limits>

#include "kernels/dispatch.h"
#include "kernels/ops/elementwise.h"
#include "kernels/ops/window.h"
#include "kernels/parallel.h"

// MaxPool (1, 8, 10, 11, 12, 22), AveragePool (1, 7, 10, 11, 19, 22), GlobalMaxPool and GlobalAveragePool (1,
// 22): windows over the spatial axes of x [n, c, spatial...].
//
// The sum of an average is divided by the number of its elements that lie in x, or with count_include_pad in
// x and its padding. Float tensors are taken as they come: the channels of a block, or all of channels-last,
// go through a window side by side.

namespace sluice {
namespace {

constexpr int64_t kTileWork = 64 * 1024;  // elements that the windows of a tile read
constexpr int64_t kLanes = 64;            // channels that go side by side

// x as planes of positions with `lanes` channels each.
struct Planes {
  int64_t planes = 0, lanes = 1, positions = 0, out_positions = 0;
};

Planes PlanesOf(const Shape& shape, Layout layout, int64_t in, int64_t out) {
  const int64_t block = BlockOf(layout);
  if (layout == Layout::kChannelsLast) return {shape[0], shape[1], in, out};
  return {shape[0] * ((shape[1] + block - 1) / block), block, in, out};
}

struct MaxOf {
  template <typename Sum>
  static Sum Begin() {
    if constexpr (std::numeric_limits<Sum>::has_infinity)
      return -std::numeric_limits<Sum>::infinity();
    else
      return std::numeric_limits<Sum>::lowest();
  }
  template <typename Sum>
  static Sum Join(Sum a, Sum b) {
    return b > a ? b : a;
  }
  static constexpr bool kDivides = false;
};

struct AverageOf {
  template <typename Sum>
  static Sum Begin() {
    return 0;
  }
  template <typename Sum>
  static Sum Join(Sum a, Sum b) {
    return a + b;
  }
  static constexpr bool kDivides = true;
};

template <typename Fold, typename T>
class PoolOf : public Kernel {
  using Sum = ComputeType<T>;

 public:
  void Prepare(PrepareContext& ctx) override {
    const Shape& shape = ctx.shape(0);
    in_ = SpatialOf(shape);
    if (ctx.node().op_type.starts_with("Global")) {
      window_.kernel = in_;
      window_.strides.assign(in_.size(), 1);
      window_.dilations = window_.strides;
      window_.pads_begin.assign(in_.size(), 0);
      window_.pads_end = window_.pads_begin;
      out_.assign(in_.size(), 1);
    } else {
      window_ = ReadWindow(ctx.attrs(), in_.size());
      out_ = ResolvePads(window_, in_);
    }
    include_pad_ = ctx.attrs().Int("count_include_pad", 0) != 0;
    column_major_ = ctx.attrs().Int("storage_order", 0) != 0;
    indices_ = ctx.has_output(1);
    const Layout layout = std::is_same_v<T, float> && !indices_ ? ctx.input(0).layout : Layout::kPlain;
    ctx.SetInputLayout(0, layout);
    ctx.SetOutputLayout(0, layout);
    planes_ = PlanesOf(shape, layout, NumElements(in_), NumElements(out_));
    const int64_t rows = planes_.planes * planes_.out_positions;
    // In double: the product may be beyond what an integer holds.
    const double work = static_cast<double>(rows * planes_.lanes) *
                        static_cast<double>(std::min(window_.kernel_elems(), planes_.positions + 1));
    const auto pieces = static_cast<int64_t>(std::clamp(work / kTileWork, 1.0, 64.0));
    tiles_ = rows == 0 || planes_.lanes == 0 ? 0 : std::min(rows, pieces);
  }
  int64_t tiles() const override { return tiles_; }

  void Run(const RunContext& ctx, int64_t tile) const override {
    const Range rows = PieceOf(planes_.planes * planes_.out_positions, tiles_, tile);
    Position at = PositionOf(rows.begin % planes_.out_positions);
    Position zero = {}, end = {};
    std::copy(out_.begin(), out_.end(), end.begin());
    for (int64_t row = rows.begin; row < rows.end; ++row) {
      const int64_t plane = row / planes_.out_positions;
      const T* src = ctx.in<T>(0) + plane * planes_.positions * planes_.lanes;
      if (indices_)
        RunWithIndex(ctx, src, at, plane, row);
      else
        RunWindow(src, at, ctx.out<T>(0) + row * planes_.lanes);
      if (!NextPosition(at, zero, end, out_.size())) at = {};
    }
  }

 private:
  Position PositionOf(int64_t index) const {
    Position at = {};
    for (size_t i = out_.size(); i-- > 0;) {
      at[i] = index % out_[i];
      index /= out_[i];
    }
    return at;
  }

  // The taps of the window at output position `at` that lie in x: the first, and one past the last, along
  // each axis.
  struct Taps {
    Position begin = {}, end = {};
    int64_t count = 1;   // of them
    int64_t padded = 1;  // with those in the padding
  };
  Taps TapsOf(const Position& at) const {
    Taps taps;
    for (size_t i = 0; i < in_.size(); ++i) {
      const int64_t start = at[i] * window_.strides[i] - window_.pads_begin[i], step = window_.dilations[i];
      const auto clip = [&](int64_t limit) {
        return std::clamp<int64_t>((limit - start + step - 1) / step, 0, window_.kernel[i]);
      };
      taps.begin[i] = start >= 0 ? 0 : clip(0);
      taps.end[i] = start >= in_[i] ? 0 : clip(in_[i]);
      taps.count *= std::max<int64_t>(0, taps.end[i] - taps.begin[i]);
      taps.padded *= clip(in_[i] + window_.pads_end[i]);
    }
    return taps;
  }

  // fn(position in x, row-major) for every tap.
  template <typename Fn>
  void ForEachTap(const Position& at, const Taps& taps, const Fn& fn) const {
    if (taps.count == 0) return;
    Position tap = taps.begin;
    do {
      int64_t position = 0;
      for (size_t i = 0; i < in_.size(); ++i) {
        position = position * in_[i] + at[i] * window_.strides[i] - window_.pads_begin[i] +
                   tap[i] * window_.dilations[i];
      }
      fn(position);
    } while (NextPosition(tap, taps.begin, taps.end, in_.size()));
  }

  void RunWindow(const T* src, const Position& at, T* dst) const {
    const Taps taps = TapsOf(at);
    const int64_t divisor = include_pad_ ? taps.padded : std::max<int64_t>(1, taps.count);
    for (int64_t lane = 0; lane < planes_.lanes; lane += kLanes) {
      const int64_t count = std::min(kLanes, planes_.lanes - lane);
      std::array<Sum, kLanes> sums;
      std::fill_n(sums.begin(), count, Fold::template Begin<Sum>());
      ForEachTap(at, taps, [&](int64_t position) {
        const T* from = src + position * planes_.lanes + lane;
        for (int64_t i = 0; i < count; ++i)
          sums[static_cast<size_t>(i)] = Fold::Join(sums[static_cast<size_t>(i)], static_cast<Sum>(from[i]));
      });
      for (int64_t i = 0; i < count; ++i) {
        Sum sum = sums[static_cast<size_t>(i)];
        if constexpr (Fold::kDivides) sum /= static_cast<Sum>(divisor);
        dst[lane + i] = static_cast<T>(sum);
      }
    }
  }

  // Also where in x the largest value is.
  void RunWithIndex(const RunContext& ctx, const T* src, const Position& at, int64_t plane,
                    int64_t row) const {
    Sum best = Fold::template Begin<Sum>();
    int64_t where = 0;
    bool found = false;
    ForEachTap(at, TapsOf(at), [&](int64_t position) {
      const Sum value = static_cast<Sum>(src[position]);
      if (found && !(value > best)) return;
      best = value;
      where = position;
      found = true;
    });
    ctx.out<T>(0)[row] = static_cast<T>(best);
    ctx.out<int64_t>(1)[row] = plane * planes_.positions + (column_major_ ? ColumnMajor(where) : where);
  }

  // The index of a row-major position where the first spatial axis runs fastest.
  int64_t ColumnMajor(int64_t position) const {
    std::vector<int64_t> at(in_.size());
    for (size_t i = in_.size(); i-- > 0;) {
      at[i] = position % in_[i];
      position /= in_[i];
    }
    int64_t index = 0;
    for (size_t i = in_.size(); i-- > 0;) index = index * in_[i] + at[i];
    return index;
  }

  Window window_;
  std::vector<int64_t> in_, out_;
  bool include_pad_ = false, column_major_ = false, indices_ = false;
  Planes planes_;
  int64_t tiles_ = 0;
};

template <typename Fold, typename Types>
class PoolKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const bool known = Dispatch(Types(), ctx.dtype(0), [&](auto tag) {
      impl_ = std::make_unique<PoolOf<Fold, typename decltype(tag)::type>>();
    });
    if (!known) ctx.Unsupported("elements of type " + std::string(DataTypeName(ctx.dtype(0))));
    impl_->Prepare(ctx);
  }
  int64_t tiles() const override { return impl_->tiles(); }
  void Run(const RunContext& ctx, int64_t tile) const override { impl_->Run(ctx, tile); }

 private:
  std::unique_ptr<Kernel> impl_;
};

void WantSpatial(InferContext& ctx) {
  if (ctx.rank(0) < 3) ctx.Fail("x is " + ToString(ctx.shape(0)) + ", expected [n, c, spatial...]");
}

void InferPool(InferContext& ctx) {
  WantSpatial(ctx);
  const SymShape& x = ctx.shape(0);
  SymShape out = InferWindow(ReadWindow(ctx.attrs(), x.size() - 2), SymShape(x.begin() + 2, x.end()));
  out.insert(out.begin(), x.begin(), x.begin() + 2);
  ctx.SetOutput(0, ctx.dtype(0), out);
  ctx.SetOutput(1, DataType::kInt64, out);
}

void InferGlobal(InferContext& ctx) {
  WantSpatial(ctx);
  SymShape out = ctx.shape(0);
  std::fill(out.begin() + 2, out.end(), Dim(1));
  ctx.SetOutput(0, ctx.dtype(0), std::move(out));
}

using MaxTypes = TypeList<float, double, Half, BFloat16, int8_t, uint8_t>;
constexpr std::string_view kFloats = "float, double, float16, bfloat16";

Operator PoolOperator(std::string_view name, std::vector<int> versions, void (*infer)(InferContext&),
                      KernelFactory kernel, std::string_view types, int max_outputs = 1) {
  Operator op;
  op.name = name;
  op.versions = std::move(versions);
  op.max_outputs = max_outputs;
  op.infer = infer;
  op.kernels = {kernel};
  op.types = types;
  return op;
}

const Definition kDefinitions[] = {
    Definition(PoolOperator("MaxPool", {1, 8, 10, 11, 12, 22}, InferPool, &Make<PoolKernel<MaxOf, MaxTypes>>,
                            "float, double, float16, bfloat16, int8, uint8", 2)),
    Definition(PoolOperator("AveragePool", {1, 7, 10, 11, 19, 22}, InferPool,
                            &Make<PoolKernel<AverageOf, FloatTypes>>, kFloats)),
    Definition(
        PoolOperator("GlobalMaxPool", {1, 22}, InferGlobal, &Make<PoolKernel<MaxOf, FloatTypes>>, kFloats)),
    Definition(PoolOperator("GlobalAveragePool", {1, 22}, InferGlobal,
                            &Make<PoolKernel<AverageOf, FloatTypes>>, kFloats)),
};

}  // namespace
}  // namespace sluice
