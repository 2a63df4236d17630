#pragma once

#include <type_traits>

#include "kernels/matmul/panel_product.h"
#include "kernels/matmul/spec.h"
#include "kernels/post_ops.h"
#include "kernels/saturate.h"

namespace sluice {

// What follows the product on sums that are still in the cache: alpha, beta * addend, post-ops.
class MatMulEpilogue {
 public:
  MatMulEpilogue() = default;
  // Post-ops from `first_post_op` on. Declines those on integers.
  MatMulEpilogue(const PrepareContext& ctx, const MatMulSpec& spec, size_t first_post_op)
      : alpha_(spec.alpha),
        beta_(spec.beta),
        addend_(spec.beta == 0 ? -1 : spec.addend),
        axis_(ctx.output(0).shape.empty() ? 0 : ctx.output(0).shape.size() - 1),
        post_ops_(ctx, first_post_op) {
    if (!post_ops_.empty() && ctx.output(0).dtype != ctx.dtype(0)) ctx.Decline("post-ops on integers");
  }

  bool empty() const { return alpha_ == 1 && addend_ < 0 && post_ops_.empty(); }

  // T: the elements' type. `c` is the contraction of the spec.
  template <typename T, typename Sum>
  void Apply(const RunContext& ctx, const Contraction& c, const PanelProduct::Part& part, Sum* sums) const {
    const int64_t columns = part.n.end - part.n.begin;
    const T* addend = addend_ < 0 ? nullptr : ctx.in<T>(addend_) + c.d_batch[part.batch];
    for (int64_t i = part.m.begin; i < part.m.end && (alpha_ != 1 || addend != nullptr); ++i) {
      Sum* row = sums + (i - part.m.begin) * part.ld;
      if (alpha_ != 1) {
        for (int64_t j = 0; j < columns; ++j) row[j] = Scaled<T>(alpha_, row[j]);
      }
      if (addend == nullptr) continue;
      const T* from = addend + c.d_m[i];
      for (int64_t j = 0; j < columns; ++j) {
        const Sum value = static_cast<Sum>(from[c.d_n[part.n.begin + j]]);
        row[j] += beta_ == 1 ? value : Scaled<T>(beta_, value);
      }
    }
    if constexpr (!std::is_integral_v<Sum>) {
      if (post_ops_.empty()) return;
      post_ops_.Apply(ctx, sums,
                      {.begin = c.c_batch[part.batch] + c.c_m[part.m.begin] + c.c_n[part.n.begin],
                       .rows = part.m.end - part.m.begin,
                       .row_step = c.c_m.stride(),
                       .cols = columns,
                       .ld = part.ld,
                       .axis = axis_});
    }
  }

 private:
  // Integers are scaled in double and clamped to T's range.
  template <typename T, typename Sum>
  static Sum Scaled(float factor, Sum sum) {
    if constexpr (std::is_integral_v<Sum>) {
      const double value = static_cast<double>(factor) * static_cast<double>(static_cast<T>(sum));
      return static_cast<Sum>(Saturated<T>(value));
    } else {
      return static_cast<Sum>(factor) * sum;
    }
  }

  float alpha_ = 1, beta_ = 1;
  int addend_ = -1;
  size_t axis_ = 0;
  PostOpRunner post_ops_;
};

}  // namespace sluice
