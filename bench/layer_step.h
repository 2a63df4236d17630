#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bench/conv_layers.h"
#include "kernels/kernel.h"

namespace sluice::bench {

// One node prepared as the planner prepares it, with the memory of its inputs and output. Constants are
// seeded noise. Not thread-safe: one Run at a time.
class LayerStep {
 public:
  // A convolution of float tensors; its source has the layout that a convolution before it would leave.
  // `leaky`: LeakyRelu(0.1) as a post-op. `candidate` is the beginning of a kernel's name, empty for the
  // planner's choice. Throws Error{kUnsupported} where no such kernel takes the layer.
  LayerStep(const ConvLayer& layer, bool leaky, const std::string& candidate);
  // LeakyRelu(0.1) on the output of `before`, which must outlive this.
  explicit LayerStep(const LayerStep& before);

  // All tiles, on the calling thread's pool.
  void Run() const;

  std::string kernel() const { return kernel_->name(); }
  int64_t flops() const { return kernel_->flops(); }
  const TensorDesc& output() const { return dst_desc_; }
  const void* output_data() const { return dst_.data(); }

 private:
  LayerStep() = default;
  void Prepare(const Node& node, const std::vector<TensorDesc>& inputs,
               const std::vector<const Tensor*>& constants, const TensorDesc& output,
               const std::string& candidate);

  Node node_;
  Tensor weights_, src_, dst_;
  TensorDesc dst_desc_;
  std::unique_ptr<Kernel> kernel_;
  int64_t scratch_bytes_ = 0;
  std::vector<const void*> inputs_;
  std::vector<void*> outputs_;
};

}  // namespace sluice::bench
