#include "kernels/matmul/panel_product.h"

namespace sluice {
namespace {

int64_t RoundUp(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

PanelProduct::PanelProduct(Contraction c, int64_t sum_bytes, int64_t width, bool direct_a, bool packed_b)
    : c_(std::move(c)), tiles_(c_, 12, width, sum_bytes), sum_bytes_(sum_bytes), width_(width) {
  direct_a_ = direct_a && c_.a_m.linear() && c_.a_k.linear();
  packed_b_ = packed_b && c_.one_b();
  // With few rows, sums stay in registers and b is read once: no reason to cut k.
  if (packed_b_ && direct_a_ && c_.m <= 12) k_step_ = std::max<int64_t>(c_.k, 1);
  const int64_t rows = std::min(kRows, c_.m), columns = RoundUp(std::min(kColumns, c_.n), width);
  const int64_t depth = std::min(k_step_, c_.k), line = kPanelBytes / sum_bytes;
  a_elems_ = direct_a_ ? 0 : RoundUp(rows * depth, line);
  b_elems_ = packed_b_ ? 0 : columns * depth;
  c_elems_ = RoundUp(rows * columns, line);
}

}  // namespace sluice
