#pragma once

#include <cstdint>

#include "graph/dim.h"

namespace sluice {

// Order of a tensor's elements in memory. Only float tensors of rank 3 to 5 have others than kPlain.
enum class Layout : uint8_t {
  kPlain,         // as ONNX: n, c, spatial; row-major
  kChannelsLast,  // n, spatial, c
  kBlocked8,      // n, c/8, spatial, 8 channels; the last block is padded with zeros
  kBlocked16,     // n, c/16, spatial, 16 channels; likewise
};

// "nchw", "nhwc", "nChw8c", "nChw16c" (named for rank 4, whatever the rank).
const char* LayoutName(Layout layout);

// Channels in a block: 8 or 16; 1 for the layouts without blocks.
constexpr int64_t BlockOf(Layout layout) {
  return layout == Layout::kBlocked8 ? 8 : layout == Layout::kBlocked16 ? 16 : 1;
}

// The blocked layout whose block fills a vector register of this processor.
Layout NativeBlockedLayout();

// What a kernel must know of a value: all sizes known.
struct TensorDesc {
  DataType dtype = DataType::kUndefined;
  Shape shape;
  Layout layout = Layout::kPlain;

  int64_t num_elements() const { return NumElements(shape); }
  // With the padding of the layout. Throws Error{kInvalidArgument} on overflow.
  int64_t byte_size() const;
  bool operator==(const TensorDesc&) const = default;
};

}  // namespace sluice
