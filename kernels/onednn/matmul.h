#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/layout.h"
#include "kernels/onednn/post_ops.h"

namespace sluice::onednn {

// dst[i, j] = sum over p of a[i, p] * b[p, j], plus bias[j], then post-ops; strides in elements. One of the
// two strides of each factor is 1.
struct MatMulProblem {
  int64_t m = 0, n = 0, k = 0;
  int64_t a_row = 0, a_col = 1, b_row = 0, b_col = 1, dst_row = 0;
  // Float throughout, or integers: a kUInt8 or kInt8, b kInt8, dst kInt32.
  DataType a_type = DataType::kFloat, b_type = DataType::kFloat;
  bool has_bias = false;
  // b arrives as PackB leaves it.
  bool packed_b = false;
  std::vector<FusedOp> post_ops;
};

// Thread-safe. Callers hold a SingleThreaded around Make, PackB and Execute.
class MatMulPrimitive {
 public:
  // Null where oneDNN has nothing, or its slow reference only; *reason says which.
  static std::shared_ptr<const MatMulPrimitive> Make(const MatMulProblem& problem, std::string* reason);
  virtual ~MatMulPrimitive() = default;

  virtual std::string implementation() const = 0;
  virtual int64_t scratch_bytes() const = 0;
  // With packed_b only. Equal formats take the same bytes; scratch of pack_scratch_bytes().
  virtual int64_t packed_bytes() const = 0;
  virtual std::string packed_format() const = 0;
  virtual int64_t pack_scratch_bytes() const = 0;
  virtual void PackB(const void* b, void* packed, void* scratch) const = 0;
  // operands: one for every post-op with a reach, in order. bias is null unless has_bias.
  virtual void Execute(const void* a, const void* b, const float* bias, void* dst,
                       std::span<const void* const> operands, void* scratch) const = 0;
};

}  // namespace sluice::onednn
