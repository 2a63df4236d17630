#pragma once

#include "kernels/layout.h"

namespace sluice {

// Copies a float tensor between two layouts; padding channels of a blocked dst become zero.
// src.shape == dst.shape, rank 3 to 5 unless both are plain. Tiles are independent pieces.
int64_t ReorderTiles(const TensorDesc& src, const TensorDesc& dst);
void RunReorder(const TensorDesc& src, const void* src_data, const TensorDesc& dst, void* dst_data,
                int64_t tile);

}  // namespace sluice
