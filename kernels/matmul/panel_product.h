#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>

#include "kernels/matmul/contraction.h"
#include "kernels/simd/gemm.h"

namespace sluice {

// The type in which products of T are summed: the 16-bit floats in float, integers modulo 2^32 or 2^64.
template <typename T>
using ProductSum =
    std::conditional_t<std::is_integral_v<T>, std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>,
                       std::conditional_t<std::is_same_v<T, double>, double, float>>;

// fn(i, offsets[first + i]) for i < count; neighbours in memory in a loop that compilers vectorise.
template <typename Fn>
void ForEachOffset(const Offsets& offsets, int64_t first, int64_t count, const Fn& fn) {
  if (!offsets.linear()) {
    for (int64_t i = 0; i < count; ++i) fn(i, offsets[first + i]);
  } else if (offsets.stride() == 1) {
    for (int64_t i = 0; i < count; ++i) fn(i, first + i);
  } else {
    const int64_t stride = offsets.stride();
    for (int64_t i = 0; i < count; ++i) fn(i, (first + i) * stride);
  }
}

// Panels of one matrix, b[p * k_offsets + j * n_offsets] for p < k and columns [begin, end); load(offset, j)
// gives an element.
template <typename Sum, typename Load>
void PackPanels(const Offsets& k_offsets, const Offsets& n_offsets, Range k, Range columns, const Load& load,
                Sum* to) {
  constexpr int64_t kWidth = kPanelWidth<Sum>;
  for (int64_t first = columns.begin; first < columns.end; first += kWidth) {
    const int64_t valid = std::min(kWidth, columns.end - first);
    for (int64_t p = k.begin; p < k.end; ++p, to += kWidth) {
      const int64_t row = k_offsets[p];
      ForEachOffset(n_offsets, first, valid,
                    [&](int64_t j, int64_t offset) { to[j] = load(row + offset, first + j); });
      for (int64_t j = valid; j < kWidth; ++j) to[j] = Sum(0);
    }
  }
}

// Any contraction in the type of the sums, one tile at a time; see Contraction, ContractionTiles.
class PanelProduct {
 public:
  PanelProduct() = default;
  // `direct_a`: a is read where it lies, as Sum, if its strides allow. `packed_b`: the caller has all of b
  // in panels.
  template <typename Sum>
  static PanelProduct Make(Contraction c, bool direct_a, bool packed_b) {
    return PanelProduct(std::move(c), sizeof(Sum), kPanelWidth<Sum>, direct_a, packed_b);
  }

  const Contraction& contraction() const { return c_; }
  int64_t tiles() const { return tiles_.count(); }
  int64_t scratch_bytes() const { return (a_elems_ + b_elems_ + c_elems_) * sum_bytes_; }
  // Elements of all of b in panels.
  int64_t packed_elems() const { return (c_.n + width_ - 1) / width_ * width_ * c_.k; }

  // A part of the result: sums[r * ld + j] is row `m.begin + r` and column `n.begin + j` of batch `batch`.
  struct Part {
    int64_t batch;
    Range m, n;
    int64_t ld;
  };

  // load_a(offset, row, batch), load_b(offset, column, batch): elements as Sum; `a` is used instead of load_a
  // where a is read directly, `panels` instead of load_b where b is packed. store(const Part&, Sum* sums) may
  // change sums.
  template <typename Sum, typename LoadA, typename LoadB, typename Store>
  void RunTile(int64_t index, std::byte* scratch, const Sum* a, const Sum* panels, const LoadA& load_a,
               const LoadB& load_b, const Store& store) const {
    const ContractionTiles::Tile tile = tiles_[index];
    Sum* const a_block = reinterpret_cast<Sum*>(scratch);
    Sum* const b_block = a_block + a_elems_;
    Sum* const sums = b_block + b_elems_;
    for (int64_t batch = tile.batch.begin; batch < tile.batch.end; ++batch) {
      const int64_t a_at = c_.a_batch[batch], b_at = c_.b_batch[batch];
      for (int64_t j = tile.n.begin; j < tile.n.end; j += kColumns) {
        const Range n{j, std::min(j + kColumns, tile.n.end)};
        for (int64_t i = tile.m.begin; i < tile.m.end; i += kRows) {
          const Range m{i, std::min(i + kRows, tile.m.end)};
          PanelProblem<Sum> problem{
              m.end - m.begin, n.end - n.begin, 0, a_block, 0, 1, b_block, 0, sums, n.end - n.begin, false};
          if (c_.k == 0) std::fill(sums, sums + problem.m * problem.n, Sum(0));
          for (int64_t p = 0; p < c_.k; p += k_step_) {
            const Range k{p, std::min(p + k_step_, c_.k)};
            problem.k = k.end - k.begin;
            problem.accumulate = p > 0;
            if (direct_a_) {
              problem.a = a + a_at + c_.a_m[i] + c_.a_k[p];
              problem.a_row = c_.a_m.stride();
              problem.a_col = c_.a_k.stride();
            } else {
              LoadRows(m, k, batch, load_a, a_block);
              problem.a_row = problem.k;
            }
            if (packed_b_) {
              problem.panels = panels + j * c_.k + p * width_;
              problem.panel_stride = c_.k * width_;
            } else {
              if (c_.k > k_step_ || i == tile.m.begin) {
                PackPanels(
                    c_.b_k, c_.b_n, k, n,
                    [&](int64_t offset, int64_t column) { return load_b(b_at + offset, column, batch); },
                    b_block);
              }
              problem.panel_stride = problem.k * width_;
            }
            MultiplyPanels(problem);
          }
          store(Part{batch, m, n, problem.n}, sums);
        }
      }
    }
  }

 private:
  // A block of a, of b and of sums together fit a private cache of 512 KiB; a block of b is used for enough
  // rows that packing it does not show.
  static constexpr int64_t kRows = 120, kColumns = 256, kDepth = 256;

  PanelProduct(Contraction c, int64_t sum_bytes, int64_t width, bool direct_a, bool packed_b);

  template <typename Sum, typename LoadA>
  void LoadRows(Range m, Range k, int64_t batch, const LoadA& load_a, Sum* to) const {
    for (int64_t i = m.begin; i < m.end; ++i) {
      const int64_t row = c_.a_batch[batch] + c_.a_m[i];
      ForEachOffset(c_.a_k, k.begin, k.end - k.begin,
                    [&](int64_t p, int64_t offset) { to[p] = load_a(row + offset, i, batch); });
      to += k.end - k.begin;
    }
  }

  Contraction c_;
  ContractionTiles tiles_;
  int64_t sum_bytes_ = 0, width_ = 1;
  int64_t k_step_ = kDepth;
  bool direct_a_ = false, packed_b_ = false;
  int64_t a_elems_ = 0, b_elems_ = 0, c_elems_ = 0;  // of scratch
};

}  // namespace sluice
