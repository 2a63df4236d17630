#include "kernels/conv_phases.h"

#include <algorithm>

namespace sluice {

std::vector<AxisTap> AxisTaps(const ConvAxis& axis, bool transposed, int64_t p) {
  std::vector<AxisTap> taps;
  for (int64_t k = 0; k < axis.kernel; ++k) {
    if (!transposed) {
      taps.push_back({k, k * axis.dilation - axis.pad});
    } else if (const int64_t at = p + axis.pad - k * axis.dilation; at % axis.stride == 0) {
      taps.push_back({k, at / axis.stride});
    }
  }
  return taps;
}

ConvPhases PhasesOf(const ConvGeometry& g) {
  ConvPhases result;
  const Window& w = g.window;
  const auto axis = [&](size_t i) {
    return ConvAxis{g.in[i], g.out[i], w.kernel[i], w.strides[i], w.dilations[i], w.pads_begin[i]};
  };
  result.x = axis(g.in.size() - 1);
  if (g.in.size() == 2) result.y = axis(0);
  const ConvAxis &y = result.y, &x = result.x;
  for (int64_t row = 0; row < std::min(y.stride, y.out); ++row) {
    const std::vector<AxisTap> of_row = AxisTaps(y, g.transposed, row);
    for (int64_t col = 0; col < std::min(x.stride, x.out); ++col) {
      Phase phase{
          row, col, (y.out - row + y.stride - 1) / y.stride, (x.out - col + x.stride - 1) / x.stride, {}};
      const std::vector<AxisTap> of_col = AxisTaps(x, g.transposed, col);
      for (const AxisTap& i : of_row) {
        for (const AxisTap& j : of_col)
          phase.taps.push_back({i.offset, j.offset, i.kernel * x.kernel + j.kernel});
      }
      result.phases.push_back(std::move(phase));
    }
  }
  return result;
}

}  // namespace sluice
