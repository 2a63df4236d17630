#include "kernels/matmul/contraction.h"

#include "sluice/error.h"
#include "sluice/tensor.h"

namespace sluice {
namespace {

// About 100 us of one core: what a task of TBB costs is lost in it.
constexpr double kTileFlops = 10e6;
// As long, where memory is the limit.
constexpr double kTileBytes = 1 << 20;
// Enough for 64 threads, or for 16 to end at about the same time.
constexpr int64_t kMaxTiles = 64;
// Fewer rows or columns in a tile cost too much of the other factor's traffic.
constexpr int64_t kMinRows = 48, kMinColumns = 64;

using Axis = Contraction::Axis;

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

bool Joins(const Axis& outer, const Axis& inner) {
  return outer.a == inner.a * inner.size && outer.b == inner.b * inner.size &&
         outer.c == inner.c * inner.size && outer.d == inner.d * inner.size &&
         outer.e == inner.e * inner.size;
}

std::vector<Axis> Merged(const std::vector<Axis>& axes) {
  std::vector<Axis> merged;
  for (const Axis& axis : axes) {
    if (axis.size == 1) continue;
    if (!merged.empty() && Joins(merged.back(), axis)) {
      const int64_t size = merged.back().size * axis.size;
      merged.back() = axis;
      merged.back().size = size;
    } else {
      merged.push_back(axis);
    }
  }
  return merged;
}

int64_t SizeOf(const std::vector<Axis>& axes) {
  Shape sizes;
  for (const Axis& axis : axes) sizes.push_back(axis.size);
  return NumElements(sizes);
}

Offsets OffsetsOf(const std::vector<Axis>& axes, int64_t Axis::*stride) {
  std::vector<Offsets::Axis> result;
  for (const Axis& axis : axes) result.push_back({axis.size, axis.*stride});
  return Offsets(std::move(result));
}

}  // namespace

Offsets::Offsets(std::vector<Axis> axes) {
  bool linear = true;
  for (size_t i = 0; i + 1 < axes.size(); ++i)
    linear &= axes[i].stride == axes[i + 1].stride * axes[i + 1].size;
  if (linear) {
    stride_ = axes.empty() ? 0 : axes.back().stride;
    return;
  }
  table_ = {0};
  for (const Axis& axis : axes) {
    std::vector<int64_t> next;
    next.reserve(table_.size() * static_cast<size_t>(axis.size));
    for (int64_t base : table_) {
      for (int64_t i = 0; i < axis.size; ++i) next.push_back(base + i * axis.stride);
    }
    table_ = std::move(next);
  }
  if (table_.empty()) stride_ = 0;
}

Contraction::Contraction(std::vector<Axis> batch_axes, std::vector<Axis> m_axes, std::vector<Axis> n_axes,
                         std::vector<Axis> k_axes) {
  batch_axes = Merged(batch_axes);
  m_axes = Merged(m_axes);
  n_axes = Merged(n_axes);
  k_axes = Merged(k_axes);
  while (!batch_axes.empty() && batch_axes.back().b == 0 && m_axes.size() < 2 &&
         (m_axes.empty() || Joins(batch_axes.back(), m_axes[0]))) {
    m_axes.insert(m_axes.begin(), batch_axes.back());
    m_axes = Merged(m_axes);
    batch_axes.pop_back();
  }
  batch = SizeOf(batch_axes);
  m = SizeOf(m_axes);
  n = SizeOf(n_axes);
  k = SizeOf(k_axes);
  if (!has_output()) return;
  a_batch = OffsetsOf(batch_axes, &Axis::a);
  b_batch = OffsetsOf(batch_axes, &Axis::b);
  c_batch = OffsetsOf(batch_axes, &Axis::c);
  d_batch = OffsetsOf(batch_axes, &Axis::d);
  e_batch = OffsetsOf(batch_axes, &Axis::e);
  a_m = OffsetsOf(m_axes, &Axis::a);
  c_m = OffsetsOf(m_axes, &Axis::c);
  d_m = OffsetsOf(m_axes, &Axis::d);
  e_m = OffsetsOf(m_axes, &Axis::e);
  b_n = OffsetsOf(n_axes, &Axis::b);
  c_n = OffsetsOf(n_axes, &Axis::c);
  d_n = OffsetsOf(n_axes, &Axis::d);
  e_n = OffsetsOf(n_axes, &Axis::e);
  if (k == 0) return;
  a_k = OffsetsOf(k_axes, &Axis::a);
  b_k = OffsetsOf(k_axes, &Axis::b);
}

int64_t Contraction::flops() const {
  const double count = 2.0 * static_cast<double>(batch) * static_cast<double>(m) * static_cast<double>(n) *
                       static_cast<double>(k);
  return static_cast<int64_t>(std::min(count, 4e18));
}

ContractionTiles::ContractionTiles(const Contraction& c, int64_t m_unit, int64_t n_unit, int64_t b_elem_bytes)
    : batch_(c.batch), m_(c.m), n_(c.n), m_unit_(m_unit), n_unit_(n_unit) {
  if (!c.has_output()) return;
  const double b_bytes = static_cast<double>(c.one_b() ? 1 : c.batch) * static_cast<double>(c.n) *
                         static_cast<double>(c.k) * static_cast<double>(b_elem_bytes);
  const double pieces = std::max(static_cast<double>(c.flops()) / kTileFlops, b_bytes / kTileBytes);
  const auto wanted = static_cast<int64_t>(std::clamp(pieces, 1.0, static_cast<double>(kMaxTiles)));
  batch_pieces_ = std::min(wanted, batch_);
  m_pieces_ = n_pieces_ = 1;
  if (batch_ >= wanted) return;
  // Of the grids with about as many cells as wanted, the one whose cells read least of the factors.
  const int64_t per_batch = CeilDiv(wanted, batch_);
  const int64_t max_m = std::max<int64_t>(1, m_ / std::max(m_unit, kMinRows));
  const int64_t max_n = std::max<int64_t>(1, n_ / std::max(n_unit, kMinColumns));
  double best = 0;
  for (int64_t m_pieces = 1; m_pieces <= std::min(max_m, per_batch); ++m_pieces) {
    const int64_t n_pieces = std::min(max_n, CeilDiv(per_batch, m_pieces));
    const int64_t cells = std::min(per_batch, m_pieces * n_pieces);
    const double reads = static_cast<double>(m_) / static_cast<double>(m_pieces) +
                         static_cast<double>(n_) / static_cast<double>(n_pieces);
    const double score = static_cast<double>(cells * cells) / reads;
    if (score > best) {
      best = score;
      m_pieces_ = m_pieces;
      n_pieces_ = n_pieces;
    }
  }
}

Range ContractionTiles::Cut(int64_t size, int64_t unit, int64_t pieces, int64_t i) {
  const Range units = PieceOf(CeilDiv(size, unit), pieces, i);
  return {std::min(size, units.begin * unit), std::min(size, units.end * unit)};
}

ContractionTiles::Tile ContractionTiles::operator[](int64_t i) const {
  const int64_t n_piece = i % n_pieces_, m_piece = i / n_pieces_ % m_pieces_;
  return {PieceOf(batch_, batch_pieces_, i / n_pieces_ / m_pieces_), Cut(m_, m_unit_, m_pieces_, m_piece),
          Columns(n_piece), n_piece};
}

}  // namespace sluice
