#pragma once

#include <cstddef>
#include <memory>

#include "sluice/tensor.h"

namespace sluice::darknet {

// Memory for the floats that an import makes itself. Tensors lie side by side in large pages where the system
// has them: weights of hundreds of megabytes are written once and read once, so that taking small pages one
// by one would cost more than the arithmetic. Each tensor keeps the memory alive.
class Room {
 public:
  // Elements are not set.
  Tensor Floats(Shape shape);

 private:
  std::shared_ptr<std::byte> block_;
  size_t used_ = 0, size_ = 0;
};

}  // namespace sluice::darknet
