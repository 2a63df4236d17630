#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/short_winograd.cpp"
#include "kernels/simd/short_winograd.h"

#include <algorithm>

// Before all other headers of Highway.
// clang-format off
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>
// clang-format on
#include "kernels/simd/toom_cook-inl.h"
#include "kernels/simd/toom_cook.h"
#include "kernels/simd/vector_ops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::CappedTag<float, 16>;
using V = hn::Vec<Tag>;

template <int r>
HWY_INLINE void InputLine(const V* x, V* y) {
  if constexpr (r == 1)
    y[0] = x[0];
  else
    MultiplyLine<kToomCookBt<4, r>>(Tag(), x, y);
}
template <int r>
HWY_INLINE void OutputLine(const V* x, V* y) {
  if constexpr (r == 1)
    y[0] = x[0];
  else
    MultiplyLine<kToomCookAt<4, r>>(Tag(), x, y);
}

template <int ry, int rx>
void InputAs(const ShortWinograd& w, const float* src, int64_t src_step, int64_t blocks,
             const ShortTile* tiles, int64_t count, int64_t elem_step, float* v) {
  constexpr int kRows = ry == 1 ? 1 : ry + 3, kCols = rx + 3;
  const Tag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  HWY_ALIGN static constexpr float kZeros[16] = {};
  for (int64_t t = 0; t < count; ++t) {
    const ShortTile& tile = tiles[t];
    const bool inside = tile.y >= 0 && tile.x >= 0 && tile.y + (kRows - 1) * w.step_y < w.ih &&
                        tile.x + (kCols - 1) * w.step_x < w.iw;
    int64_t offsets[kRows][kCols];  // -1 beside the image
    for (int i = 0; i < kRows; ++i) {
      const int64_t row = tile.y + i * w.step_y;
      for (int j = 0; j < kCols; ++j) {
        const int64_t col = tile.x + j * w.step_x;
        const bool valid = inside || (row >= 0 && row < w.ih && col >= 0 && col < w.iw);
        offsets[i][j] = valid ? (row * w.iw + col) * w.block : -1;
      }
    }
    for (int64_t b = 0; b < blocks; ++b) {
      const float* plane = src + tile.src + b * src_step;
      float* to = v + (b * count + t) * w.block;
      for (int64_t c = 0; c < w.block; c += lanes) {
        V x[kCols], y[kRows][kCols];
        for (int i = 0; i < kRows; ++i) {
          for (int j = 0; j < kCols; ++j) {
            const float* from = offsets[i][j] < 0 ? kZeros : plane + offsets[i][j];
            x[j] = hn::LoadU(d, from + c);
          }
          InputLine<rx>(x, y[i]);
        }
        for (int j = 0; j < kCols; ++j) {
          V column[kRows], out[kRows];
          for (int i = 0; i < kRows; ++i) column[i] = y[i][j];
          InputLine<ry>(column, out);
          for (int i = 0; i < kRows; ++i) hn::StoreU(out[i], d, to + (i * kCols + j) * elem_step + c);
        }
      }
    }
  }
}

template <int ry, int rx>
void OutputAs(const ShortWinograd& w, const float* products, int64_t elem_step, const ShortTile* tiles,
              int64_t count, int64_t channels, int64_t valid, const float* bias, const VectorOp* ops,
              int num_ops, int64_t row_step, int64_t col_step, float* dst) {
  constexpr int kRows = ry == 1 ? 1 : ry + 3, kCols = rx + 3, kOutRows = ry == 1 ? 1 : 4;
  const Tag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t t = 0; t < count; ++t) {
    const ShortTile& tile = tiles[t];
    for (int64_t c = 0; c < channels; c += lanes) {
      V half[kRows][4], y[kOutRows][4];
      for (int i = 0; i < kRows; ++i) {
        V x[kCols];
        for (int j = 0; j < kCols; ++j)
          x[j] = hn::LoadU(d, products + (i * kCols + j) * elem_step + t * w.block + c);
        OutputLine<rx>(x, half[i]);
      }
      const V start = bias == nullptr ? hn::Zero(d) : hn::LoadU(d, bias + c);
      for (int j = 0; j < 4; ++j) {
        V column[kRows], out[kOutRows];
        for (int i = 0; i < kRows; ++i) column[i] = half[i][j];
        OutputLine<ry>(column, out);
        for (int i = 0; i < kOutRows; ++i) y[i][j] = hn::Add(out[i], start);
      }
      for (int k = 0; k < num_ops; ++k) {
        WithVectorOp(d, ops[k], [&](const auto& fn) HWY_ATTR {
          V operand = hn::Zero(d);
          if (ops[k].by_channel) operand = hn::LoadU(d, ops[k].operand + c);
          const bool full = ops[k].operand != nullptr && !ops[k].by_channel;
          for (int i = 0; i < kOutRows && i < tile.rows; ++i) {
            for (int j = 0; j < 4 && j < tile.cols; ++j) {
              if (full) operand = hn::LoadU(d, ops[k].operand + tile.dst + i * row_step + j * col_step + c);
              y[i][j] = fn(y[i][j], operand);
            }
          }
        });
      }
      const bool tail = num_ops > 0 && c + lanes > valid;
      for (int i = 0; i < kOutRows && i < tile.rows; ++i) {
        for (int j = 0; j < 4 && j < tile.cols; ++j)
          hn::StoreU(tail ? KeepChannels(d, y[i][j], valid - c) : y[i][j], d,
                     dst + tile.dst + i * row_step + j * col_step + c);
      }
    }
  }
}

void AddTimes(ShortLanes& sum, double factor, const ShortLanes& x) {
  const hn::CappedTag<double, kShortKernels> d;
  const auto times = hn::Set(d, factor);
  for (size_t l = 0; l < kShortKernels; l += hn::Lanes(d))
    hn::StoreU(hn::MulAdd(times, hn::LoadU(d, x + l), hn::LoadU(d, sum + l)), d, sum + l);
}

template <int ry, int rx>
void WeightsAs(const ShortLanes* weights, ShortLanes* u) {
  constexpr int kRows = ry == 1 ? 1 : ry + 3, kCols = rx + 3;
  const auto& g = kToomCook<4, rx>.g;
  ShortLanes half[ry][kCols] = {};
  for (int i = 0; i < ry; ++i) {
    for (int e = 0; e < kCols; ++e) {
      for (int j = 0; j < rx; ++j) AddTimes(half[i][e], g[e][j], weights[i * rx + j]);
    }
  }
  for (int e = 0; e < kRows; ++e) {
    for (int f = 0; f < kCols; ++f) {
      ShortLanes& sum = u[e * kCols + f];
      std::fill_n(sum, kShortKernels, 0.0);
      for (int i = 0; i < ry; ++i) AddTimes(sum, ry == 1 ? 1 : g[e][i], half[i][f]);
    }
  }
}

// Calls fn with r of rows and of columns as constants.
template <class Fn>
void WithTaps(const ShortWinograd& w, const Fn& fn) {
  const bool plane = w.ry != 1;
  if (w.rx == 2) return plane ? fn.template operator()<2, 2>() : fn.template operator()<1, 2>();
  if (w.rx == 3) return plane ? fn.template operator()<3, 3>() : fn.template operator()<1, 3>();
  return plane ? fn.template operator()<4, 4>() : fn.template operator()<1, 4>();
}

void Input(const ShortWinograd& w, const float* src, int64_t src_step, int64_t blocks, const ShortTile* tiles,
           int64_t count, int64_t elem_step, float* v) {
  WithTaps(w,
           [&]<int ry, int rx>() { InputAs<ry, rx>(w, src, src_step, blocks, tiles, count, elem_step, v); });
}

void Output(const ShortWinograd& w, const float* products, int64_t elem_step, const ShortTile* tiles,
            int64_t count, int64_t channels, int64_t valid, const float* bias, const VectorOp* ops,
            int num_ops, int64_t row_step, int64_t col_step, float* dst) {
  WithTaps(w, [&]<int ry, int rx>() {
    OutputAs<ry, rx>(w, products, elem_step, tiles, count, channels, valid, bias, ops, num_ops, row_step,
                     col_step, dst);
  });
}

void Weights(const ShortWinograd& w, const ShortLanes* weights, ShortLanes* u) {
  WithTaps(w, [&]<int ry, int rx>() { WeightsAs<ry, rx>(weights, u); });
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice {

HWY_EXPORT(Input);
HWY_EXPORT(Output);
HWY_EXPORT(Weights);

void ShortInput(const ShortWinograd& w, const float* src, int64_t src_step, int64_t blocks,
                const ShortTile* tiles, int64_t count, int64_t elem_step, float* v) {
  HWY_DYNAMIC_DISPATCH(Input)(w, src, src_step, blocks, tiles, count, elem_step, v);
}

void ShortOutput(const ShortWinograd& w, const float* products, int64_t elem_step, const ShortTile* tiles,
                 int64_t count, int64_t channels, int64_t valid, const float* bias, const VectorOp* ops,
                 int num_ops, int64_t row_step, int64_t col_step, float* dst) {
  HWY_DYNAMIC_DISPATCH(Output)
  (w, products, elem_step, tiles, count, channels, valid, bias, ops, num_ops, row_step, col_step, dst);
}

void ShortWeights(const ShortWinograd& w, const ShortLanes* weights, ShortLanes* u) {
  HWY_DYNAMIC_DISPATCH(Weights)(w, weights, u);
}

}  // namespace sluice
#endif  // HWY_ONCE
