#pragma once

#include <cstdint>

namespace sluice {

// What is done to lane j: y = (x - mean[j]) * factor[j] + bias[j], then y * negative where y < 0 (1: nothing;
// 0 gives 0 even for -inf).
struct LaneScale {
  const float *mean, *factor, *bias;
  float negative = 1;
};

// dst[i * ld + j] from src[i * ld + j], i < positions, j < lanes <= ld. dst may be src.
void ScaleLanes(const float* src, int64_t positions, int64_t lanes, int64_t ld, const LaneScale& scale,
                float* dst);

// dst[j] = (src[j] - mean) * factor * scale[j] + bias[j]; scale and bias may be null. dst may be src.
void ScaleRow(const float* src, int64_t n, float mean, float factor, const float* scale, const float* bias,
              float* dst);

// dst[i * ld + j] = exp(src[i * ld + j] - shift[j]). dst may be src.
void ExpLanes(const float* src, int64_t positions, int64_t lanes, int64_t ld, const float* shift, float* dst);

}  // namespace sluice
