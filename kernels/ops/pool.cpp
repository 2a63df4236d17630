#include "kernels/ops/pool.h"

#include <cmath>
#include <limits>

#include "kernels/dispatch.h"
#include "kernels/ops/fold_kernel.h"
#include "kernels/ops/params.h"
#include "kernels/parallel.h"
#include "kernels/row_kernel.h"
#include "sluice/error.h"

// MaxPool (1, 8, 10, 11, 12, 22), AveragePool (1, 7, 10, 11, 19, 22), LpPool (1, 2, 11, 18, 22), and over all
// spatial axes GlobalMaxPool and GlobalAveragePool (1, 22), GlobalLpPool (1, 2, 22), of x [n, c, spatial...].

namespace sluice {
namespace {

// Windows times taps in a tile: some 50 us.
constexpr int64_t kMinTileTaps = 64 * 1024;
// Longer sums are not left to float.
constexpr int64_t kMaxFloatTaps = 1024;

enum class Pool { kMax, kAverage, kLp };

struct PoolKind {
  Pool pool;
  bool whole;  // the window is the plane
};

PoolKind KindOf(const Node& node) {
  std::string_view name = node.op_type;
  const bool whole = name.starts_with("Global");
  if (whole) name.remove_prefix(6);
  return {name == "MaxPool" ? Pool::kMax : name == "AveragePool" ? Pool::kAverage : Pool::kLp, whole};
}

// The exponent of LpPool and GlobalLpPool.
double NormOrder(const PrepareContext& ctx) {
  const double p = ctx.since_version() < 2 ? static_cast<double>(ctx.attrs().Float("p", 2.0f))
                                           : static_cast<double>(ctx.attrs().Int("p", 2));
  if (!(p > 0)) ctx.Fail("p is " + std::to_string(p) + ", expected more than 0");
  return p;
}

// How a window's elements are folded where that needs no powers.
struct Folding {
  Fold fold;
  bool mean, root;
};
std::optional<Folding> FoldingOf(const PrepareContext& ctx, Pool pool) {
  if (pool == Pool::kMax) return Folding{Fold::kMax, false, false};
  if (pool == Pool::kAverage) return Folding{Fold::kSum, true, false};
  const double p = NormOrder(ctx);
  if (p == 1) return Folding{Fold::kSumAbs, false, false};
  if (p == 2) return Folding{Fold::kSumSquare, false, true};
  return std::nullopt;
}

class WholePoolKernel : public FoldKernel {
 public:
  std::string name() const override { return "fold"; }
  void Prepare(PrepareContext& ctx) override {
    const auto folding = FoldingOf(ctx, KindOf(ctx.node()).pool);
    if (!folding) ctx.Decline("another p than 1 and 2");
    if (!Contains(FloatTypes(), ctx.dtype(0))) ctx.Decline("no float type");
    std::vector<bool> reduced(ctx.shape(0).size(), true);
    reduced[0] = reduced[1] = false;
    PrepareFold(ctx, folding->fold,
                folding->mean   ? Finish::kMean
                : folding->root ? Finish::kSqrt
                                : Finish::kNone,
                reduced);
  }
};

// Floats in any layout. Tile: rows of the output. Scratch: where the rows under a window start.
class FloatPoolKernel : public RowKernel {
 public:
  std::string name() const override { return "simd"; }
  void Prepare(PrepareContext& ctx) override {
    if (ctx.dtype(0) != DataType::kFloat) ctx.Decline("not float");
    if (ctx.has_output(1)) ctx.Decline("indices are wanted");
    const auto folding = FoldingOf(ctx, KindOf(ctx.node()).pool);
    if (!folding) ctx.Decline("another p than 1 and 2");
    folding_ = *folding;
    g_ = PoolGeometryOf(ctx, false);
    if (g_.empty) ctx.Decline("no elements");
    if (g_.has_empty_windows()) ctx.Decline("windows without elements");
    int64_t taps = 1, outer_taps = 1;
    for (size_t i = 0; i < g_.in.size(); ++i) {
      const int64_t count = std::min(g_.window.kernel[i], g_.in[i]);
      taps *= count;
      if (i + 1 < g_.in.size()) outer_taps *= count;
    }
    if (taps > kMaxFloatTaps && folding_.fold != Fold::kMax) ctx.Decline("large windows");
    const Layout layout = ctx.input(0).layout;
    ctx.SetInputLayout(0, layout);
    ctx.SetOutputLayout(0, layout);
    const Shape& src = ctx.shape(0);
    const int64_t block = BlockOf(layout);
    n_ = src[0];
    blocked_ = block > 1;
    lanes_ = layout == Layout::kChannelsLast ? src[1] : block;
    planes_ = layout == Layout::kChannelsLast ? src[0] : src[0] * ((src[1] + block - 1) / block);
    rows_ = planes_ * (g_.out_elems() / g_.out.back());
    tiles_ = PiecesOf(rows_, 1 + kMinTileTaps / std::max<int64_t>(1, g_.out.back() * lanes_ * taps));
    scratch_bytes_ = outer_taps * static_cast<int64_t>(sizeof(int64_t));
    ctx.SetScratch(scratch_bytes_);
  }
  int64_t tiles() const override { return tiles_; }

  void Run(const RunContext& ctx, int64_t tile) const override {
    const int64_t in_elems = g_.in_elems() * lanes_, row_elems = g_.out.back() * lanes_;
    const int64_t rows_per_plane = rows_ / planes_;
    const Range range = PieceOf(rows_, tiles_, tile);
    for (int64_t r = range.begin; r < range.end; ++r) {
      PoolOne(ctx.in<float>(0) + r / rows_per_plane * in_elems, r % rows_per_plane, ctx.scratch<int64_t>(),
              ctx.out<float>(0) + r * row_elems);
    }
  }

  std::optional<RowShape> row_shape() const override {
    if (!blocked_ || g_.in.size() != 2) return std::nullopt;
    const Window& w = g_.window;
    const int64_t planes = planes_ / n_;
    return RowShape{n_,        planes,         g_.in[0],           g_.in[1] * lanes_,
                    planes,    g_.out[0],      g_.out[1] * lanes_, w.strides[0],
                    w.span(0), w.pads_begin[0]};
  }
  int64_t RowScratchBytes(int64_t) const override { return scratch_bytes_; }
  void RunRows(const RunContext& ctx, RowsOf<const float> src, RowsOf<float> dst, int64_t,
               Range rows) const override {
    const int64_t row_elems = g_.out[1] * lanes_;
    for (int64_t p = 0; p < planes_ / n_; ++p) {
      for (int64_t row = rows.begin; row < rows.end; ++row) {
        PoolOne(src.row0 + p * src.plane_stride, row, ctx.scratch<int64_t>(),
                dst.row0 + p * dst.plane_stride + row * row_elems);
      }
    }
  }

 private:
  // Row `number` of a plane's output. `offsets`: room for where the rows under a window start.
  void PoolOne(const float* plane, int64_t number, int64_t* offsets, float* dst) const {
    const Window& w = g_.window;
    const size_t last = g_.in.size() - 1;
    PoolRow row{.rows = offsets,
                .num_rows = 1,
                .taps = g_.taps[last].data(),
                .width = g_.out[last],
                .kernel = w.kernel[last],
                .stride = w.strides[last],
                .dilation = w.dilations[last],
                .pad = w.pads_begin[last],
                .lanes = lanes_,
                .counted = 0,
                .root = folding_.root};
    int64_t rest = number, step = g_.in[last] * lanes_, counted = 1;
    // The product of what the window meets along the axes, innermost first.
    offsets[0] = 0;
    for (size_t i = last; i-- > 0;) {
      const int64_t o = rest % g_.out[i];
      rest /= g_.out[i];
      const PoolTaps& taps = g_.taps[i][static_cast<size_t>(o)];
      const int64_t start = o * w.strides[i] - w.pads_begin[i];
      // Backwards, so that the entries for the first tap are overwritten last.
      for (int64_t t = taps.end; t-- > taps.begin;) {
        for (int64_t j = 0; j < row.num_rows; ++j)
          offsets[(t - taps.begin) * row.num_rows + j] = offsets[j] + (start + t * w.dilations[i]) * step;
      }
      row.num_rows *= taps.end - taps.begin;
      step *= g_.in[i];
      counted *= taps.counted;
    }
    row.counted = folding_.mean ? counted : 0;
    PoolFloats(folding_.fold, plane, row, dst);
  }

  PoolGeometry g_;
  Folding folding_{};
  bool blocked_ = false;
  int64_t n_ = 1, lanes_ = 1, planes_ = 0, rows_ = 0, tiles_ = 1, scratch_bytes_ = 0;
};

// What becomes of a window's elements, of type T. Add sees them in row-major order.
template <typename T>
class MaxOf {
 public:
  explicit MaxOf(double) {}
  // NaN wins over numbers, the first of equals over the later ones.
  void Add(T value, int64_t at) {
    if (value > max_ || at_ < 0 || (value != value && max_ == max_)) {
      max_ = value;
      at_ = at;
    }
  }
  T Result(int64_t) const { return max_; }
  // -1 for a window without elements.
  int64_t at() const { return at_; }

 private:
  T max_ = std::numeric_limits<ComputeType<T>>::has_infinity
               ? static_cast<T>(-std::numeric_limits<ComputeType<T>>::infinity())
               : static_cast<T>(std::numeric_limits<ComputeType<T>>::lowest());
  int64_t at_ = -1;
};

template <typename T>
class AverageOf {
 public:
  explicit AverageOf(double) {}
  void Add(T value, int64_t) { sum_ += static_cast<double>(value); }
  T Result(int64_t counted) const {
    return static_cast<T>(
        static_cast<ComputeType<T>>(counted == 0 ? 0 : sum_ / static_cast<double>(counted)));
  }
  int64_t at() const { return -1; }

 private:
  double sum_ = 0;
};

template <typename T>
class NormOf {
 public:
  explicit NormOf(double p) : p_(p) {}
  void Add(T value, int64_t) {
    const double x = std::abs(static_cast<double>(value));
    sum_ += p_ == 1 ? x : p_ == 2 ? x * x : std::pow(x, p_);
  }
  T Result(int64_t) const {
    const double norm = p_ == 1 ? sum_ : p_ == 2 ? std::sqrt(sum_) : std::pow(sum_, 1 / p_);
    return static_cast<T>(static_cast<ComputeType<T>>(norm));
  }
  int64_t at() const { return -1; }

 private:
  double p_, sum_ = 0;
};

// Any type and rank, row-major, with indices. Tile: planes.
class PlainPoolKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const PoolKind kind = KindOf(ctx.node());
    g_ = PoolGeometryOf(ctx, kind.whole);
    if (kind.pool == Pool::kLp) p_ = NormOrder(ctx);
    column_major_ = ctx.attrs().Int("storage_order", 0) != 0;
    const auto choose = [&](auto types) {
      return Dispatch(types, ctx.dtype(0), [&](auto tag) {
        using T = typename decltype(tag)::type;
        run_ = kind.pool == Pool::kMax       ? &PlainPoolKernel::RunAs<T, MaxOf<T>>
               : kind.pool == Pool::kAverage ? &PlainPoolKernel::RunAs<T, AverageOf<T>>
                                             : &PlainPoolKernel::RunAs<T, NormOf<T>>;
      });
    };
    if (!choose(FloatTypes()) &&
        !(kind.pool == Pool::kMax && !kind.whole && choose(TypeList<int8_t, uint8_t>())))
      ctx.Unsupported("input of type " + std::string(DataTypeName(ctx.dtype(0))));
    if (g_.empty) return;
    int64_t taps = g_.out_elems();
    for (size_t i = 0; i < g_.in.size(); ++i)
      taps *= std::min(g_.window.kernel[i], std::max<int64_t>(1, g_.in[i]));
    tiles_ = PiecesOf(g_.planes, 1 + kMinTileTaps / std::max<int64_t>(1, taps));
  }
  int64_t tiles() const override { return tiles_; }
  void Run(const RunContext& ctx, int64_t tile) const override {
    if (!g_.empty) (this->*run_)(ctx, tile);
  }

 private:
  template <typename T, typename Result>
  void RunAs(const RunContext& ctx, int64_t tile) const {
    const Window& w = g_.window;
    const size_t axes = g_.in.size();
    const int64_t in_elems = g_.in_elems(), out_elems = g_.out_elems();
    Position out_end{}, in_step{}, index_step{};
    for (size_t i = 0; i < axes; ++i) out_end[i] = g_.out[i];
    for (size_t i = axes; i-- > 0;) in_step[i] = i + 1 == axes ? 1 : in_step[i + 1] * g_.in[i + 1];
    for (size_t i = 0; i < axes; ++i) index_step[i] = i == 0 ? 1 : index_step[i - 1] * g_.in[i - 1];
    const Position& step_of_index = column_major_ ? index_step : in_step;

    const Range planes = PieceOf(g_.planes, tiles_, tile);
    for (int64_t plane = planes.begin; plane < planes.end; ++plane) {
      const T* src = ctx.in<T>(0) + plane * in_elems;
      T* dst = ctx.out<T>(0) + plane * out_elems;
      int64_t* indices = ctx.out<int64_t>(1);
      Position o{};
      for (int64_t i = 0; i < out_elems; ++i, NextPosition(o, Position{}, out_end, axes)) {
        Position tap{}, begin{}, end{};
        int64_t counted = 1;
        bool none = false;
        for (size_t a = 0; a < axes; ++a) {
          const PoolTaps& taps = g_.taps[a][static_cast<size_t>(o[a])];
          tap[a] = begin[a] = taps.begin;
          end[a] = taps.end;
          counted *= taps.counted;
          none |= taps.begin == taps.end;
        }
        Result result(p_);
        if (!none) {
          do {
            int64_t at = 0, index = 0;
            for (size_t a = 0; a < axes; ++a) {
              const int64_t position = o[a] * w.strides[a] - w.pads_begin[a] + tap[a] * w.dilations[a];
              at += position * in_step[a];
              index += position * step_of_index[a];
            }
            result.Add(src[at], index);
          } while (NextPosition(tap, begin, end, axes));
        }
        dst[i] = result.Result(counted);
        if (indices != nullptr) {
          indices[plane * out_elems + i] = result.at() < 0 ? -1 : plane * in_elems + result.at();
        }
      }
    }
  }

  PoolGeometry g_;
  double p_ = 0;
  bool column_major_ = false;
  int64_t tiles_ = 1;
  void (PlainPoolKernel::*run_)(const RunContext&, int64_t) const = nullptr;
};

void CheckRank(const InferContext& ctx) {
  if (ctx.rank(0) < 3) ctx.Fail("input is " + ToString(ctx.shape(0)) + ", expected at least 3 axes");
}

void InferPool(InferContext& ctx) {
  CheckRank(ctx);
  const SymShape& src = ctx.shape(0);
  SymShape dst(src.begin(), src.begin() + 2);
  const SymShape spatial(src.begin() + 2, src.end());
  try {
    const SymShape out = InferWindow(ReadWindow(ctx.attrs(), spatial.size()), spatial);
    dst.insert(dst.end(), out.begin(), out.end());
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInvalidModel) throw;
    ctx.Fail(error.what());
  }
  ctx.SetOutput(0, ctx.dtype(0), dst);
  if (ctx.num_outputs() > 1) ctx.SetOutput(1, DataType::kInt64, dst);
}

void InferWholePool(InferContext& ctx) {
  CheckRank(ctx);
  SymShape dst = ctx.shape(0);
  std::fill(dst.begin() + 2, dst.end(), Dim(1));
  ctx.SetOutput(0, ctx.dtype(0), std::move(dst));
}

constexpr std::string_view kFloats = "float, double, float16, bfloat16";

Operator PoolOperator(std::string_view name, std::vector<int> versions, std::string_view types,
                      int outputs = 1) {
  return {.name = name,
          .versions = std::move(versions),
          .max_outputs = outputs,
          .infer = InferPool,
          .kernels = {&Make<FloatPoolKernel>, &Make<PlainPoolKernel>},
          .types = types};
}

Operator WholePoolOperator(std::string_view name, std::vector<int> versions) {
  return {.name = name,
          .versions = std::move(versions),
          .infer = InferWholePool,
          .kernels = {&Make<WholePoolKernel>, &Make<PlainPoolKernel>},
          .types = kFloats};
}

const Operator kOperators[] = {
    PoolOperator("MaxPool", {1, 8, 10, 11, 12, 22}, "float, double, float16, bfloat16, int8, uint8", 2),
    PoolOperator("AveragePool", {1, 7, 10, 11, 19, 22}, kFloats),
    PoolOperator("LpPool", {1, 2, 11, 18, 22}, kFloats),
    WholePoolOperator("GlobalMaxPool", {1, 22}),
    WholePoolOperator("GlobalAveragePool", {1, 22}),
    WholePoolOperator("GlobalLpPool", {1, 2, 22}),
};
const std::vector<RegisterOperator> kRegister(std::begin(kOperators), std::end(kOperators));

}  // namespace
}  // namespace sluice
