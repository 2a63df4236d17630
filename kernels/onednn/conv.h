#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/layout.h"
#include "kernels/onednn/post_ops.h"

namespace sluice::onednn {

// One float convolution, or transposed convolution, of dense tensors. Channels are totals over groups.
struct ConvProblem {
  bool transposed = false;
  int64_t n = 1, groups = 1, ic = 1, oc = 1;
  std::vector<int64_t> in, kernel, out;  // spatial sizes, outermost first
  std::vector<int64_t> strides, dilations, pads_begin, pads_end;
  Layout src_layout = Layout::kPlain, dst_layout = Layout::kPlain;
  bool has_bias = false;
  // Elements between neighbours of the weights as the caller has them; kernel positions are row-major.
  int64_t weights_group_stride = 0, weights_oc_stride = 0, weights_ic_stride = 0;
  std::vector<FusedOp> post_ops;
};

// Thread-safe. Callers hold a SingleThreaded around Make, PackWeights and Execute.
class ConvPrimitive {
 public:
  // Null where oneDNN has nothing, or its slow reference only; *reason says which.
  static std::shared_ptr<const ConvPrimitive> Make(const ConvProblem& problem, std::string* reason);
  virtual ~ConvPrimitive() = default;

  // What oneDNN calls the implementation: "jit:avx2".
  virtual std::string implementation() const = 0;
  virtual int64_t packed_bytes() const = 0;
  // Equal for primitives that take the same packed weights.
  virtual std::string packed_format() const = 0;
  // `scratch` of pack_scratch_bytes().
  virtual void PackWeights(const float* weights, void* packed, void* scratch) const = 0;
  virtual int64_t pack_scratch_bytes() const = 0;
  virtual int64_t scratch_bytes() const = 0;
  // operands: one for every post-op with a reach, in order. bias is null unless has_bias.
  virtual void Execute(const float* src, const void* packed_weights, const float* bias, float* dst,
                       std::span<const void* const> operands, void* scratch) const = 0;
};

}  // namespace sluice::onednn
