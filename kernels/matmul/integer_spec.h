#pragma once

#include "kernels/kernel.h"
#include "kernels/matmul/panel_product.h"
#include "kernels/quantized.h"

namespace sluice {

// A product of 8-bit integers less their zero points, in sums of 32 bits that wrap around: the result as it
// is, or scaled, rounded and clamped to 8 bits. Numbers are inputs, -1 where there is none.
struct IntegerMatMulSpec {
  Contraction product;  // d: zero points and scales of a; e: those of b
  int a = 0, a_scale = -1, a_zero = -1;
  int b = 1, b_scale = -1, b_zero = -1;
  int y_scale = -1, y_zero = -1;

  bool requantizes() const { return y_scale >= 0; }
};

using IntegerMatMulReader = IntegerMatMulSpec (*)(const PrepareContext& ctx);

// What follows the sums.
class IntegerEpilogue {
 public:
  IntegerEpilogue() = default;
  IntegerEpilogue(const PrepareContext& ctx, const IntegerMatMulSpec& spec);

  // Stores a part of the result. sums as in PanelProduct.
  void Store(const RunContext& ctx, const Contraction& c, const PanelProduct::Part& part,
             const int32_t* sums) const;

 private:
  IntegerMatMulSpec spec_;  // without the product
  DataType scale_type_ = DataType::kUndefined, y_type_ = DataType::kUndefined;
};

}  // namespace sluice
