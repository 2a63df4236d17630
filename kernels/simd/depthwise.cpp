#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/depthwise.cpp"
#include "kernels/simd/depthwise.h"

#include "kernels/simd/unroll.h"

// The order matters: the first of these includes this file again for every instruction set.
// clang-format off
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>
#include "kernels/simd/sum_ops-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::CappedTag<float, 16>;
using V = hn::Vec<Tag>;

// Rows and columns of outputs whose sums are in registers at once: eight hide the latency of a multiply-add.
// An input is read once for all of them; weights stay in registers where there are 32.
#if HWY_TARGET <= HWY_AVX3
constexpr int kRows = 2, kCols = 4;
#else
constexpr int kRows = 1, kCols = 6;
#endif

// Some rows of output of one vector of channels.
struct Line {
  const float* src;  // of the first row's first tap, at column 0
  int64_t src_line;  // from one row to the next
  float* dst;
  int64_t dst_line;
  const float* operand;  // where the ops have one
  const float* bias;
  const SumOps* ops;
  int64_t begin, end;  // which of the rows that the taps meet are inside
  int64_t iw, pad;
};

// `cols` outputs from column x on, of each row. `inside`: so are all columns that their taps meet.
template <int kernel, int stride, int block, int rows, int cols, bool inside>
HWY_INLINE void Outputs(const Line& line, int64_t x, const V (&w)[kernel * kernel]) {
  const Tag d;
  constexpr int kSpan = (cols - 1) * stride + kernel;
  const int64_t col = x * stride - line.pad;
  const float* HWY_RESTRICT src = line.src + col * block;
  V sums[rows * cols];
  const V bias = line.bias == nullptr ? hn::Zero(d) : hn::LoadU(d, line.bias);
  SLUICE_UNROLL
  for (int i = 0; i < rows * cols; ++i) sums[i] = bias;
  SLUICE_UNROLL
  for (int i = 0; i < (rows - 1) * stride + kernel; ++i, src += line.src_line) {
    if (i < line.begin || i >= line.end) continue;
    V in[kSpan];
    SLUICE_UNROLL
    for (int j = 0; j < kSpan; ++j) {
      in[j] = inside || (col + j >= 0 && col + j < line.iw) ? hn::LoadU(d, src + j * block) : hn::Zero(d);
    }
    SLUICE_UNROLL
    for (int r = 0; r < rows; ++r) {
      const int tap = i - r * stride;
      if (tap < 0 || tap >= kernel) continue;
      SLUICE_UNROLL
      for (int k = 0; k < kernel; ++k) {
        SLUICE_UNROLL
        for (int c = 0; c < cols; ++c)
          sums[r * cols + c] = hn::MulAdd(in[c * stride + k], w[tap * kernel + k], sums[r * cols + c]);
      }
    }
  }
  const auto place = [&](int i) { return i / cols * line.dst_line + (x + i % cols) * block; };
  ApplySumOps(d, *line.ops, sums, [&](int i) { return line.operand + place(i); });
  SLUICE_UNROLL
  for (int i = 0; i < rows * cols; ++i) hn::StoreU(sums[i], d, line.dst + place(i));
}

// The same for `count` columns, at most `cols`.
template <int kernel, int stride, int block, int rows, int cols>
HWY_INLINE void Piece(const Line& line, int64_t x, int64_t count, const V (&w)[kernel * kernel]) {
  if constexpr (cols > 1) {
    if (count < cols) return Piece<kernel, stride, block, rows, cols - 1>(line, x, count, w);
  }
  const int64_t first = x * stride - line.pad;
  if (first >= 0 && first + (cols - 1) * stride + kernel <= line.iw)
    Outputs<kernel, stride, block, rows, cols, true>(line, x, w);
  else
    Outputs<kernel, stride, block, rows, cols, false>(line, x, w);
}

template <int kernel, int stride, int block>
void Run(const DepthwiseRun& run) {
  const Tag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  // Rows are cut into pieces that differ in size by at most one.
  const int64_t pieces = (run.ow + kCols - 1) / kCols, size = run.ow / pieces, larger = run.ow % pieces;
  for (int64_t l = 0; l < run.block; l += lanes) {
    Line line{};
    line.src_line = run.iw * block, line.dst_line = run.ow * block;
    line.bias = run.bias == nullptr ? nullptr : run.bias + l;
    line.ops = &run.ops;
    line.iw = run.iw, line.pad = run.pad_left;
    V w[kernel * kernel];
    SLUICE_UNROLL
    for (int i = 0; i < kernel * kernel; ++i) w[i] = hn::Load(d, run.weights + l + i * block);
    for (int64_t y = run.row; y < run.row + run.rows;) {
      const int64_t top = y * stride - run.pad_top;
      line.src = run.src + l + top * line.src_line;
      line.dst = run.dst + l + y * line.dst_line;
      if (run.ops.operand != nullptr) line.operand = run.ops.operand + l + y * line.dst_line;
      line.begin = -top;
      line.end = run.ih - top;
      const bool several = y + kRows <= run.row + run.rows;
      int64_t x = 0;
      for (int64_t p = 0; p < pieces; ++p) {
        const int64_t count = size + (p < larger ? 1 : 0);
        if (several)
          Piece<kernel, stride, block, kRows, kCols>(line, x, count, w);
        else
          Piece<kernel, stride, block, 1, kCols>(line, x, count, w);
        x += count;
      }
      y += several ? kRows : 1;
    }
  }
}

template <int kernel, int stride>
void RunBlock(const DepthwiseRun& run) {
  return run.block == 16 ? Run<kernel, stride, 16>(run) : Run<kernel, stride, 8>(run);
}

void RunOf(int64_t kernel, int64_t stride, const DepthwiseRun& run) {
  if (kernel == 3 && stride == 1) return RunBlock<3, 1>(run);
  if (kernel == 3 && stride == 2) return RunBlock<3, 2>(run);
  if (kernel == 5 && stride == 1) return RunBlock<5, 1>(run);
  if (kernel == 5 && stride == 2) return RunBlock<5, 2>(run);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice {

HWY_EXPORT(RunOf);

bool HasDepthwise(int64_t kernel, int64_t stride) {
  return (kernel == 3 || kernel == 5) && (stride == 1 || stride == 2);
}

void RunDepthwise(int64_t kernel, int64_t stride, const DepthwiseRun& run) {
  HWY_DYNAMIC_DISPATCH(RunOf)(kernel, stride, run);
}

}  // namespace sluice
#endif  // HWY_ONCE
