#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/winograd.cpp"
#include "kernels/simd/winograd.h"

#include <algorithm>

#include "kernels/simd/unroll.h"

// The order matters: the first of these includes this file again for every instruction set.
// clang-format off
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/cache_control.h>
#include <hwy/highway.h>
// clang-format on
#include "kernels/simd/toom_cook-inl.h"
#include "kernels/simd/vector_ops-inl.h"
#include "kernels/simd/winograd_form.h"
#include "kernels/simd/winograd_late.h"

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::CappedTag<float, 16>;
using V = hn::Vec<Tag>;

// Rows of tiles that a product keeps in registers beside two vectors of channels.
#if HWY_TARGET <= HWY_AVX3
constexpr int kRows = 14;
#else
constexpr int kRows = 6;
#endif

// Bytes of weights that are in the L2 cache from one group of tiles to the next.
constexpr int64_t kStays = 512 * 1024;

HWY_INLINE V Twice(V x) { return hn::Add(x, x); }

// B^T x of F(4, 3) at stride 1.
HWY_INLINE void InputLine4(const V x[6], V y[6]) {
  const Tag d;
  const V four = hn::Set(d, 4.0f), minus_five = hn::Set(d, -5.0f);
  const V a = hn::NegMulAdd(four, x[2], x[4]), b = hn::NegMulAdd(four, x[1], x[3]);
  const V c = hn::Sub(x[4], x[2]), e = Twice(hn::Sub(x[3], x[1]));
  y[0] = hn::MulAdd(four, x[0], hn::MulAdd(minus_five, x[2], x[4]));
  y[1] = hn::Add(a, b);
  y[2] = hn::Sub(a, b);
  y[3] = hn::Add(c, e);
  y[4] = hn::Sub(c, e);
  y[5] = hn::MulAdd(four, x[1], hn::MulAdd(minus_five, x[3], x[5]));
}

// A^T x of F(4, 3).
HWY_INLINE void OutputLine4(const V x[6], V y[4]) {
  const Tag d;
  const V four = hn::Set(d, 4.0f), eight = hn::Set(d, 8.0f);
  const V a = hn::Add(x[1], x[2]), b = hn::Sub(x[1], x[2]), c = hn::Add(x[3], x[4]), e = hn::Sub(x[3], x[4]);
  y[0] = hn::Add(x[0], hn::Add(a, c));
  y[1] = hn::Add(b, Twice(e));
  y[2] = hn::MulAdd(four, c, a);
  y[3] = hn::Add(x[5], hn::MulAdd(eight, e, b));
}

template <class Form>
HWY_INLINE void InputLine(const V* x, V* y) {
  if constexpr (Form::m == 4 && Form::kernel == 3 && Form::stride == 1)
    InputLine4(x, y);
  else
    MultiplyLine<kWinogradBt<Form::m, Form::kernel, Form::stride>>(Tag(), x, y);
}
template <class Form>
HWY_INLINE void OutputLine(const V* x, V* y) {
  if constexpr (Form::m == 4 && Form::kernel == 3 && Form::stride == 1)
    OutputLine4(x, y);
  else
    MultiplyLine<kWinogradAt<Form::m, Form::kernel, Form::stride>>(Tag(), x, y);
}

struct TilePlace {
  int64_t n, row, col;  // of the first output
};
HWY_INLINE TilePlace PlaceOf(const WinogradShape& s, int64_t tile) {
  const int64_t cols = s.tile_cols(), per_image = cols * s.tile_rows(), within = tile % per_image;
  return {tile / per_image, within / cols * s.m, within % cols * s.m};
}

// v[element][block of ic][tile][ic of the block] = B^T x B of every tile.
template <class Form>
void TransformInput(const WinogradShape& s, const float* src, int64_t tile, int64_t tiles, float* v) {
  constexpr int kSize = Form::size;
  const Tag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d)), plane = s.ih * s.iw * s.block;
  const int64_t stride = InputStride(s, tiles);
  for (int64_t c = 0; c < s.ic(); c += lanes) {
    float* to = v + c / s.block * tiles * s.block + c % s.block;
    for (int64_t t = 0; t < tiles; ++t, to += s.block) {
      const TilePlace place = PlaceOf(s, tile + t);
      const int64_t top = place.row * Form::stride - s.pad_top, left = place.col * Form::stride - s.pad_left;
      const bool inside = top >= 0 && left >= 0 && top + kSize <= s.ih && left + kSize <= s.iw;
      const float* from = src + (place.n * s.ic_blocks + c / s.block) * plane + c % s.block;
      V y[kSize][kSize];
      for (int i = 0; i < kSize; ++i) {
        const int64_t row = top + i;
        V x[kSize];
        for (int j = 0; j < kSize; ++j) {
          const int64_t col = left + j;
          const float* at = from + (row * s.iw + col) * s.block;
          if (inside) {
            // What another core has just written, or lies in memory, takes longer to arrive than a tile
            // takes.
            hwy::Prefetch(at + 2 * Form::m * Form::stride * s.block);
            x[j] = hn::LoadU(d, at);
          } else {
            x[j] = row >= 0 && row < s.ih && col >= 0 && col < s.iw ? hn::LoadU(d, at) : hn::Zero(d);
          }
        }
        InputLine<Form>(x, y[i]);
      }
      for (int j = 0; j < kSize; ++j) {
        V column[kSize], out[kSize];
        for (int i = 0; i < kSize; ++i) column[i] = y[i][j];
        InputLine<Form>(column, out);
        for (int i = 0; i < kSize; ++i) hn::StoreU(out[i], d, to + (i * kSize + j) * stride);
      }
    }
  }
}

// What is fetched while a product runs, from memory or a slower cache: `lines` lines for every four of its k.
struct Ahead {
  const float* from;
  int64_t lines;
};

// c[row][channel of the panel] = sum over k of a[row][k] * panel[k][channel]; a is [block of k][row][k of the
// block], blocks `ld` apart.
template <int block, int rows, int vectors>
HWY_INLINE void Product(const float* HWY_RESTRICT a, int64_t ld, int64_t blocks,
                        const float* HWY_RESTRICT panel, int64_t width, Ahead& ahead, float* HWY_RESTRICT c) {
  const Tag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  V sums[rows][vectors];
  for (int r = 0; r < rows; ++r) {
    for (int i = 0; i < vectors; ++i) sums[r][i] = hn::Zero(d);
  }
  for (int64_t b = 0; b < blocks; ++b, a += ld) {
    // Of constant distances, so that one register addresses all rows.
    for (int k = 0; k < block; k += 4) {
      for (int64_t i = 0; i < ahead.lines; ++i, ahead.from += 16) __builtin_prefetch(ahead.from, 0, 2);
      SLUICE_UNROLL
      for (int u = 0; u < 4; ++u, panel += width) {
        V w[vectors];
        for (int i = 0; i < vectors; ++i) w[i] = hn::Load(d, panel + i * lanes);
        for (int r = 0; r < rows; ++r) {
          const V x = hn::Set(d, a[r * block + k + u]);
          for (int i = 0; i < vectors; ++i) sums[r][i] = hn::MulAdd(x, w[i], sums[r][i]);
        }
      }
    }
  }
  for (int r = 0; r < rows; ++r) {
    for (int i = 0; i < vectors; ++i) hn::Store(sums[r][i], d, c + r * width + i * lanes);
  }
}

// `count` rows in `pieces` pieces that differ in size by at most one; none has more than `rows`.
template <int block, int rows, int vectors>
void Products(const float* a, int64_t ld, int64_t count, int64_t pieces, int64_t blocks, const float* panel,
              int64_t width, Ahead& ahead, float* c) {
  while (pieces > 0 && (count + pieces - 1) / pieces == rows) {
    Product<block, rows, vectors>(a, ld, blocks, panel, width, ahead, c);
    a += rows * block;
    c += rows * width;
    count -= rows;
    --pieces;
  }
  if constexpr (rows > 1) {
    if (pieces > 0)
      Products<block, rows - 1, vectors>(a, ld, count, pieces, blocks, panel, width, ahead, c);
  }
}

// One op on m x m vectors of channels from c on, whose places in a tensor like dst begin at `first`; only the
// first rows and cols are there.
template <int m>
HWY_INLINE void Apply(const VectorOp& op, V y[m][m], int64_t c, int64_t first, int64_t row_step,
                      int64_t col_step, int64_t rows, int64_t cols) {
  const Tag d;
  WithVectorOp(d, op, [&](const auto& fn) HWY_ATTR {
    V operand = hn::Zero(d);
    if (op.by_channel) operand = hn::LoadU(d, op.operand + c);
    const bool full = op.operand != nullptr && !op.by_channel;
    for (int i = 0; i < m && i < rows; ++i) {
      for (int j = 0; j < m && j < cols; ++j) {
        if (full) operand = hn::LoadU(d, op.operand + first + i * row_step + j * col_step);
        y[i][j] = fn(y[i][j], operand);
      }
    }
  });
}

// dst = A^T products A + bias, then the ops, for channels [oc, oc + vectors * lanes).
template <class Form>
void TransformOutput(const WinogradShape& s, const float* products, int64_t width, int vectors,
                     const float* bias, const VectorOp* ops, int num_ops, float* dst, int64_t tile,
                     int64_t tiles, int64_t oc) {
  constexpr int kSize = Form::size, m = Form::m;
  const Tag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d)), plane = s.oh * s.ow * s.block;
  const int64_t stride = ProductStride(tiles, width);
  for (int64_t t = 0; t < tiles; ++t) {
    const TilePlace place = PlaceOf(s, tile + t);
    const int64_t rows = std::min<int64_t>(m, s.oh - place.row),
                  cols = std::min<int64_t>(m, s.ow - place.col);
    for (int i = 0; i < vectors; ++i) {
      const int64_t c = oc + i * lanes;
      if (c >= s.oc()) break;
      V half[m][kSize], y[m][m];
      for (int column = 0; column < kSize; ++column) {
        V x[kSize], out[m];
        for (int row = 0; row < kSize; ++row)
          x[row] = hn::Load(d, products + (row * kSize + column) * stride + t * width + i * lanes);
        OutputLine<Form>(x, out);
        for (int row = 0; row < m; ++row) half[row][column] = out[row];
      }
      const V start = bias == nullptr ? hn::Zero(d) : hn::LoadU(d, bias + c);
      for (int row = 0; row < m; ++row) {
        OutputLine<Form>(half[row], y[row]);
        for (int column = 0; column < m; ++column) y[row][column] = hn::Add(y[row][column], start);
      }
      const int64_t first = (place.n * s.oc_blocks + c / s.block) * plane +
                            (place.row * s.ow + place.col) * s.block + c % s.block;
      for (int k = 0; k < num_ops; ++k) Apply<m>(ops[k], y, c, first, s.ow * s.block, s.block, rows, cols);
      for (int row = 0; row < m && row < rows; ++row) {
        for (int column = 0; column < m && column < cols; ++column) {
          hn::StoreU(y[row][column], d, dst + first + (row * s.ow + column) * s.block);
        }
      }
    }
  }
}

int64_t Panel() { return 2 * static_cast<int64_t>(hn::Lanes(Tag())); }

// The products of one panel with weights that are transformed.
template <int block>
void PanelProducts(const WinogradShape& s, const float* v, const float* weights, int64_t tiles, int64_t lines,
                   bool narrow, float* products) {
  const int64_t width = Panel(), panel_elems = s.ic() * width, ld = tiles * block;
  const int64_t stride = InputStride(s, tiles), product_stride = ProductStride(tiles, width);
  const int64_t pieces = (tiles + kRows - 1) / kRows;
  const auto& multiply = narrow ? Products<block, kRows, 1> : Products<block, kRows, 2>;
  for (int64_t e = 0; e < s.elems(); ++e, weights += panel_elems) {
    Ahead ahead{weights + panel_elems, lines};
    multiply(v + e * stride, ld, tiles, pieces, s.ic_blocks, weights, width, ahead,
             products + e * product_stride);
  }
}

template <class Form, int block>
void RunAs(const WinogradShape& s, const float* src, const float* packed, const float* bias,
           const VectorOp* ops, int num_ops, float* dst, int64_t tile, int64_t tiles, int64_t panel,
           int64_t panels, float* scratch) {
  const int64_t width = Panel(), elems = s.elems(), panel_elems = WinogradPackedElems(s) / WinogradPanels(s);
  const int64_t pieces = (tiles + kRows - 1) / kRows;
  // The next element's weights, 4 * width floats for every four k, unless they stay in L2 anyway.
  const int64_t lines = panel_elems * panels * 4 <= kStays ? 0 : (width / 4 + pieces - 1) / pieces;
  float* v = scratch;
  float* products = v + elems * InputStride(s, tiles);
  float* half = products + elems * ProductStride(tiles, width);
  TransformInput<Form>(s, src, tile, tiles, v);
  for (int64_t p = panel; p < panel + panels; ++p) {
    const bool narrow = s.oc() - p * width <= width / 2;
    const float* weights = packed + p * panel_elems;
    if (s.late)
      WinogradLateProducts(s, v, weights, tiles, half, products);
    else
      PanelProducts<block>(s, v, weights, tiles, lines, narrow, products);
    TransformOutput<Form>(s, products, width, narrow ? 1 : 2, bias, ops, num_ops, dst, tile, tiles,
                          p * width);
  }
}

void Run(const WinogradShape& s, const float* src, const float* packed, const float* bias,
         const VectorOp* ops, int num_ops, float* dst, int64_t tile, int64_t tiles, int64_t panel,
         int64_t panels, float* scratch) {
  WithWinogradForm(s.m, s.kernel, s.stride, [&]<class Form>(const Form&) {
    const auto& run = s.block == 16 ? RunAs<Form, 16> : RunAs<Form, 8>;
    run(s, src, packed, bias, ops, num_ops, dst, tile, tiles, panel, panels, scratch);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice {
HWY_EXPORT(Panel);
HWY_EXPORT(Run);

int64_t WinogradPanel() { return HWY_DYNAMIC_DISPATCH(Panel)(); }

int64_t WinogradScratchElems(const WinogradShape& s, int64_t tiles) {
  return s.elems() * (tiles * (s.ic() + WinogradPanel()) + 32) + (s.late ? WinogradLateScratchElems() : 0);
}

void WinogradRun(const WinogradShape& shape, const float* src, const float* packed, const float* bias,
                 const VectorOp* ops, int num_ops, float* dst, int64_t tile, int64_t tiles, int64_t panel,
                 int64_t panels, float* scratch) {
  HWY_DYNAMIC_DISPATCH(Run)(shape, src, packed, bias, ops, num_ops, dst, tile, tiles, panel, panels, scratch);
}

}  // namespace sluice
#endif  // HWY_ONCE
