#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "sluice/tensor.h"

namespace sluice::serve {

// Sizes that batches are given, ascending, up to `max`: 1, 2, 3, 4, 6, 8, 12, 16, ... and `max`. A session
// makes a plan for each, so that there must not be many; a server may make them before it serves.
std::vector<int64_t> BatchSizes(int64_t max);

// All tensors one after another along the first dimension. They agree in type and in the other sizes.
Tensor JoinRows(std::span<const Tensor* const> parts);

// Tensors that share the memory of one, each with some of its rows.
class RowSplitter {
 public:
  explicit RowSplitter(Tensor whole) : whole_(std::make_shared<Tensor>(std::move(whole))) {}
  // Requires 0 <= begin, 0 <= rows, begin + rows <= whole.shape()[0].
  Tensor Rows(int64_t begin, int64_t rows) const;

 private:
  std::shared_ptr<Tensor> whole_;
};

}  // namespace sluice::serve
