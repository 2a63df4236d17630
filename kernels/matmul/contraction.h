#pragma once

#include <cstdint>
#include <vector>

#include "kernels/parallel.h"

namespace sluice {

// Where the positions of an index space lie in a tensor, in elements from its start.
class Offsets {
 public:
  Offsets() = default;
  // Positions of several axes, row-major.
  struct Axis {
    int64_t size, stride;
  };
  explicit Offsets(std::vector<Axis> axes);

  int64_t operator[](int64_t i) const {
    return table_.empty() ? i * stride_ : table_[static_cast<size_t>(i)];
  }
  // Positions are `stride` apart.
  bool linear() const { return table_.empty(); }
  int64_t stride() const { return stride_; }

 private:
  int64_t stride_ = 0;
  std::vector<int64_t> table_;
};

// c[b, i, j] = sum over p of a[b, i, p] * b[b, p, j], where batch, i, j and p each stand for any number of
// axes with any strides: all products of two tensors.
struct Contraction {
  // One axis and its strides in the two factors, in the result, and in two more tensors that broadcast to the
  // result (an addend; what scales rows and columns). What has no stride in one of them has 0 there.
  struct Axis {
    int64_t size = 1, a = 0, b = 0, c = 0, d = 0, e = 0;
  };

  Contraction() = default;
  // Axes outermost first. Those of size 1 are dropped, neighbours that lie as one are merged, and batch axes
  // that b does not have become rows where they join them.
  Contraction(std::vector<Axis> batch_axes, std::vector<Axis> m_axes, std::vector<Axis> n_axes,
              std::vector<Axis> k_axes);

  int64_t batch = 1, m = 1, n = 1, k = 1;
  Offsets a_batch, a_m, a_k;
  Offsets b_batch, b_k, b_n;
  Offsets c_batch, c_m, c_n;
  Offsets d_batch, d_m, d_n;
  Offsets e_batch, e_m, e_n;

  bool has_output() const { return batch > 0 && m > 0 && n > 0; }
  int64_t flops() const;
  // Whether the second factor is the same matrix in every batch.
  bool one_b() const { return b_batch.linear() && b_batch.stride() == 0; }
};

// How a contraction is cut into tiles: pieces of the batch, or of rows and columns within each.
class ContractionTiles {
 public:
  ContractionTiles() = default;
  // Rows and columns are cut at multiples of the units. `b_elem_bytes`: what reading the second factor
  // costs counts too.
  ContractionTiles(const Contraction& c, int64_t m_unit, int64_t n_unit, int64_t b_elem_bytes);

  int64_t count() const { return batch_pieces_ * m_pieces_ * n_pieces_; }
  int64_t n_pieces() const { return n_pieces_; }
  struct Tile {
    Range batch, m, n;
    int64_t n_piece;
  };
  Tile operator[](int64_t i) const;
  // The columns of piece `i`.
  Range Columns(int64_t i) const { return Cut(n_, n_unit_, n_pieces_, i); }

 private:
  static Range Cut(int64_t size, int64_t unit, int64_t pieces, int64_t i);

  int64_t batch_ = 0, m_ = 0, n_ = 0;
  int64_t m_unit_ = 1, n_unit_ = 1;
  int64_t batch_pieces_ = 0, m_pieces_ = 0, n_pieces_ = 0;
};

}  // namespace sluice
