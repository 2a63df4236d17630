#include "kernels/ops/window.h"

#include <limits>

#include "sluice/error.h"

namespace sluice {
namespace {

// Far above what is of use, low enough that products of two fit.
constexpr int64_t kMaxWindowValue = std::numeric_limits<int32_t>::max();
constexpr int64_t kMaxSpatial = std::numeric_limits<int64_t>::max() / 4;

[[noreturn]] void Fail(const std::string& message) { throw Error(ErrorCode::kInvalidModel, message); }

std::vector<int64_t> ReadInts(const Attributes& attrs, const char* name, size_t count, int64_t fallback,
                              int64_t least) {
  std::vector<int64_t> values = attrs.Ints(name, std::vector<int64_t>(count, fallback));
  if (values.size() != count) {
    Fail(std::string(name) + " has " + std::to_string(values.size()) + " values, expected " +
         std::to_string(count));
  }
  for (int64_t value : values) {
    if (value < least || value > kMaxWindowValue) {
      Fail(std::string(name) + " has the value " + std::to_string(value) + ", expected at least " +
           std::to_string(least) + " and at most " + std::to_string(kMaxWindowValue));
    }
  }
  return values;
}

AutoPad ReadAutoPad(const Attributes& attrs) {
  const std::string text = attrs.String("auto_pad", "NOTSET");
  if (text == "NOTSET" || text.empty()) return AutoPad::kNotSet;
  if (text == "SAME_UPPER") return AutoPad::kSameUpper;
  if (text == "SAME_LOWER") return AutoPad::kSameLower;
  if (text == "VALID") return AutoPad::kValid;
  Fail("auto_pad is '" + text + "', expected NOTSET, SAME_UPPER, SAME_LOWER or VALID");
}

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Sets the pads of one axis for auto_pad; returns the size of the output.
int64_t ResolveAxis(Window& w, size_t axis, int64_t in) {
  const int64_t stride = w.strides[axis], span = w.span(axis);
  if (w.auto_pad == AutoPad::kSameUpper || w.auto_pad == AutoPad::kSameLower) {
    const int64_t out = CeilDiv(in, stride);
    const int64_t total = std::max<int64_t>(0, (out - 1) * stride + span - in);
    const int64_t small = total / 2;
    w.pads_begin[axis] = w.auto_pad == AutoPad::kSameUpper ? small : total - small;
    w.pads_end[axis] = total - w.pads_begin[axis];
    return out;
  }
  if (w.auto_pad == AutoPad::kValid) w.pads_begin[axis] = w.pads_end[axis] = 0;
  const int64_t padded = in + w.pads_begin[axis] + w.pads_end[axis];
  // Rounding up leaves one window where less than a stride is missing.
  if (padded < span && !(w.ceil_mode && span - padded < stride)) {
    Fail("the window spans " + std::to_string(span) + " positions of spatial axis " + std::to_string(axis) +
         ", which has " + std::to_string(padded) + " with its padding");
  }
  if (!w.ceil_mode) return (padded - span) / stride + 1;
  const int64_t out = CeilDiv(padded - span, stride) + 1;
  // The last window must begin inside the input or the padding before it.
  return (out - 1) * stride >= in + w.pads_begin[axis] ? out - 1 : out;
}

}  // namespace

int64_t Window::kernel_elems() const {
  int64_t count = 1;
  for (int64_t k : kernel) count *= k;
  return count;
}

Window ReadWindow(const Attributes& attrs, size_t spatial, const std::vector<int64_t>& kernel) {
  if (spatial > kMaxSpatialAxes) {
    throw Error(ErrorCode::kUnsupported, std::to_string(spatial) + " spatial axes, supported are up to " +
                                             std::to_string(kMaxSpatialAxes));
  }
  Window w;
  if (kernel.empty() || attrs.Has("kernel_shape")) {
    attrs.Ints("kernel_shape");  // must be there
    w.kernel = ReadInts(attrs, "kernel_shape", spatial, 1, 1);
    if (!kernel.empty() && w.kernel != kernel) {
      Fail("kernel_shape is " + ToString(w.kernel) + ", the weights' is " + ToString(kernel));
    }
  } else {
    w.kernel = kernel;
  }
  for (int64_t k : w.kernel) {
    if (k < 1) Fail("the kernel's sizes are " + ToString(w.kernel) + ", expected at least 1");
  }
  w.strides = ReadInts(attrs, "strides", spatial, 1, 1);
  w.dilations = ReadInts(attrs, "dilations", spatial, 1, 1);
  w.auto_pad = ReadAutoPad(attrs);
  // pads has no meaning beside another auto_pad; some exporters write it all the same.
  std::vector<int64_t> pads(2 * spatial, 0);
  if (w.auto_pad == AutoPad::kNotSet) pads = ReadInts(attrs, "pads", 2 * spatial, 0, 0);
  w.pads_begin.assign(pads.begin(), pads.begin() + static_cast<int64_t>(spatial));
  w.pads_end.assign(pads.begin() + static_cast<int64_t>(spatial), pads.end());
  w.ceil_mode = attrs.Int("ceil_mode", 0) != 0;
  int64_t elems = 1;
  for (size_t i = 0; i < spatial; ++i) {
    if (w.kernel[i] > kMaxWindowValue || __builtin_mul_overflow(elems, w.kernel[i], &elems)) {
      Fail("the kernel's sizes " + ToString(w.kernel) + " are too large");
    }
  }
  return w;
}

std::vector<int64_t> ResolvePads(Window& window, const std::vector<int64_t>& in) {
  std::vector<int64_t> out;
  for (size_t i = 0; i < in.size(); ++i) {
    if (in[i] > kMaxSpatial) Fail("spatial size " + std::to_string(in[i]) + " is too large");
    out.push_back(ResolveAxis(window, i, in[i]));
  }
  return out;
}

SymShape InferWindow(const Window& window, const SymShape& in) {
  SymShape out;
  Window resolved = window;
  for (size_t i = 0; i < in.size(); ++i) {
    if (in[i].known()) {
      out.push_back(ResolveAxis(resolved, i, std::min(in[i].value(), kMaxSpatial)));
      continue;
    }
    const bool same = window.auto_pad == AutoPad::kSameUpper || window.auto_pad == AutoPad::kSameLower ||
                      window.pads_begin[i] + window.pads_end[i] == window.span(i) - 1;
    out.push_back(same && window.strides[i] == 1 ? in[i] : Dim());
  }
  return out;
}

std::vector<int64_t> SpatialOf(const Shape& shape) { return {shape.begin() + 2, shape.end()}; }

}  // namespace sluice
