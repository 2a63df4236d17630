#pragma once

#include <cstdint>

namespace sluice {

// The innermost loops of all matrix products without oneDNN. The second factor is packed in panels of
// kPanelBytes in width: [ceil(n / width)][k][width], columns beyond n as zeros.
constexpr int64_t kPanelBytes = 128;
template <typename Sum>
constexpr int64_t kPanelWidth = kPanelBytes / static_cast<int64_t>(sizeof(Sum));

template <typename Sum>
struct PanelProblem {
  int64_t m, n, k;
  const Sum* a;  // a[i * a_row + p * a_col]
  int64_t a_row, a_col;
  const Sum* panels;
  int64_t panel_stride;  // elements from one panel to the next
  Sum* c;                // c[i * c_row + j]
  int64_t c_row;
  bool accumulate;  // c += product, otherwise c = product
};

// Sum is float, double, or an unsigned integer of 32 or 64 bits, which wraps around. One thread. For the same
// values in a row and a column the bits of the result do not depend on m, n and the position.
void MultiplyPanels(const PanelProblem<float>& problem);
void MultiplyPanels(const PanelProblem<double>& problem);
void MultiplyPanels(const PanelProblem<uint32_t>& problem);
void MultiplyPanels(const PanelProblem<uint64_t>& problem);

}  // namespace sluice
