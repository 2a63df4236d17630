#pragma once

#include "kernels/simd/winograd.h"

namespace sluice {

// Floats between two elements of transformed input [element][block of ic][tile][ic of the block] and of
// products [element][tile][channel of the panel]: a vector more than there are, since lines a power of two
// apart would share few sets of the cache.
inline int64_t InputStride(const WinogradShape& s, int64_t tiles) { return tiles * s.ic() + 16; }
inline int64_t ProductStride(int64_t tiles, int64_t width) { return tiles * width + 16; }

// The products of one panel for up to WinogradLateTiles() tiles, where the shape is late: with `weights`
// [ic][tap] [channel of the panel] of it. Scratch of WinogradLateScratchElems() floats.
int64_t WinogradLateScratchElems();
void WinogradLateProducts(const WinogradShape& shape, const float* v, const float* weights, int64_t tiles,
                          float* scratch, float* products);

}  // namespace sluice
