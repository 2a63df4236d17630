#pragma once

#include <cstdint>

#include "sluice/tensor.h"

namespace sluice {

// The types of 8 bits and less that are no C++ numbers: float8, float4, int4, uint4, int2, uint2. Elements
// below 8 bits are packed, low bits first.
bool IsNarrow(DataType type);

// The bits of element `i`, in the low bits of the result; and the way back, which leaves its neighbours alone
// (so two threads must not write into one byte).
uint8_t LoadNarrowBits(DataType type, const void* data, int64_t i);
void StoreNarrowBits(DataType type, void* data, int64_t i, uint8_t bits);

// A tensor of a type below 8 bits as bytes, each with an element's bits, and the way back.
Tensor UnpackNarrow(const Tensor& packed);
Tensor PackNarrow(DataType type, const Tensor& bytes);

// What bits mean: exact in float.
float DecodeNarrow(DataType type, uint8_t bits);
// The nearest value's bits, halves to even. Floats beyond the largest finite value become that one with
// `saturate`, otherwise infinity, or NaN where the type has none. Integers saturate. Without a NaN in the
// type, NaN becomes 0 in integers, the largest value in floats. float8e8m0 has powers of two only: the sign
// is dropped, infinity is NaN, and what lies between two goes where `rounding` says, halves up.
enum class PowerRounding { kUp, kDown, kNearest };
uint8_t EncodeNarrow(DataType type, float value, bool saturate, PowerRounding rounding = PowerRounding::kUp);

}  // namespace sluice
