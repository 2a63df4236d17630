#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bench/conv_layers.h"
#include "kernels/onednn/conv.h"

namespace sluice::bench {

// What a program that knows oneDNN and nothing of Sluice does for a layer with LeakyRelu(0.1): one primitive
// for all of it, the activation as post-op, oneDNN's own threads, weights packed before. To be made and run
// on the main thread, outside of Sluice's pools. Not thread-safe.
class PlainConv {
 public:
  // Throws Error{kUnsupported} where oneDNN has nothing for it.
  PlainConv(const ConvLayer& layer, int threads);
  void Run() const;
  std::string implementation() const { return primitive_->implementation(); }
  int64_t flops() const { return flops_; }

 private:
  int threads_;
  int64_t flops_ = 0;
  std::shared_ptr<const onednn::ConvPrimitive> primitive_;
  Tensor src_, packed_, dst_, scratch_;
};

}  // namespace sluice::bench
