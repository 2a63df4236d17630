#pragma once

#include <cmath>
#include <limits>
#include <optional>
#include <random>

#include "tests/kernels/op_test_util.h"

namespace sluice::test {

// A pool with everything stated, one output element at a time, in double.
struct PoolCase {
  int64_t n = 1, c = 1;
  std::vector<int64_t> in, kernel, strides, dilations, pads;  // pads: begins, then ends
  bool ceil = false, count_pads = false;

  size_t axes() const { return in.size(); }
  Shape src_shape() const {
    Shape shape = {n, c};
    shape.insert(shape.end(), in.begin(), in.end());
    return shape;
  }
  int64_t Out(size_t i) const {
    const int64_t rest = in[i] + pads[i] + pads[axes() + i] - ((kernel[i] - 1) * dilations[i] + 1);
    int64_t out = (ceil ? rest + strides[i] - 1 : rest) / strides[i] + 1;
    // A window that begins in the padding at the end is left out.
    if (ceil && out > 1 && (out - 1) * strides[i] >= in[i] + pads[i]) --out;
    return out;
  }
  Shape dst_shape() const {
    Shape shape = {n, c};
    for (size_t i = 0; i < axes(); ++i) shape.push_back(Out(i));
    return shape;
  }
  Attrs attrs() const {
    return {{"kernel_shape", kernel},     {"strides", strides},
            {"dilations", dilations},     {"pads", pads},
            {"ceil_mode", int64_t{ceil}}, {"count_include_pad", int64_t{count_pads}}};
  }
  std::string Describe() const {
    return ToString(src_shape()) + " kernel " + ToString(kernel) + " strides " + ToString(strides) +
           " dilations " + ToString(dilations) + " pads " + ToString(pads) + (ceil ? " ceil" : "") +
           (count_pads ? " counting" : "");
  }

  // Calls fn(output index, indices in src of the window's elements, how many positions count).
  template <typename Fn>
  void ForEachWindow(const Fn& fn) const {
    const Shape dst = dst_shape();
    const int64_t outs = NumElements(std::vector<int64_t>(dst.begin() + 2, dst.end())), ins = NumElements(in);
    const int64_t taps = NumElements(kernel);
    for (int64_t o = 0; o < n * c * outs; ++o) {
      std::vector<int64_t> elements;
      int64_t counted = 0;
      for (int64_t t = 0; t < taps; ++t) {
        int64_t rest_o = o % outs, rest_t = t, at = 0, step = 1;
        bool inside = true, counts = true;
        for (size_t i = axes(); i-- > 0;) {
          const int64_t p = rest_o % dst[i + 2] * strides[i] + rest_t % kernel[i] * dilations[i] - pads[i];
          rest_o /= dst[i + 2];
          rest_t /= kernel[i];
          inside &= p >= 0 && p < in[i];
          counts &= count_pads ? p < in[i] + pads[axes() + i] : p >= 0 && p < in[i];
          at += p * step;
          step *= in[i];
        }
        if (inside) elements.push_back(o / outs * ins + at);
        counted += counts;
      }
      fn(o, elements, counted);
    }
  }
};

inline PoolCase DrawPool(std::mt19937& engine) {
  const auto pick = [&](std::initializer_list<int64_t> choices) {
    return choices.begin()[engine() % choices.size()];
  };
  PoolCase p;
  const auto axes = static_cast<size_t>(pick({1, 2, 2, 2, 3, 4}));
  p.n = pick({1, 1, 2, 3});
  p.c = pick({1, 3, 8, 16, 17, 33, 70});
  p.ceil = engine() % 2 == 0;
  p.count_pads = engine() % 2 == 0;
  for (size_t i = 0; i < axes; ++i) {
    p.kernel.push_back(pick({1, 2, 2, 3, 3, 5}));
    p.strides.push_back(pick({1, 2, 2, 3, 4}));
    p.dilations.push_back(pick({1, 1, 1, 2, 3}));
    const int64_t span = (p.kernel[i] - 1) * p.dilations[i] + 1;
    p.in.push_back(span + static_cast<int64_t>(engine() % (i + 1 == axes ? 60 : axes > 2 ? 4 : 9)));
  }
  for (size_t side = 0; side < 2; ++side) {
    for (size_t i = 0; i < axes; ++i)
      p.pads.push_back(static_cast<int64_t>(engine() % static_cast<unsigned>(p.kernel[i])));
  }
  return p;
}

}  // namespace sluice::test
