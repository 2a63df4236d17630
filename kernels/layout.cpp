#include "kernels/layout.h"

namespace sluice {

const char* LayoutName(Layout layout) {
  switch (layout) {
    case Layout::kPlain: return "nchw";
    case Layout::kChannelsLast: return "nhwc";
    case Layout::kBlocked8: return "nChw8c";
    case Layout::kBlocked16: return "nChw16c";
  }
  return "?";
}

Layout NativeBlockedLayout() {
#if defined(__x86_64__)
  static const Layout layout =
      __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") ? Layout::kBlocked16
                                                                              : Layout::kBlocked8;
  return layout;
#else
  return Layout::kBlocked8;
#endif
}

int64_t TensorDesc::byte_size() const {
  const int64_t block = BlockOf(layout);
  if (block == 1) return ByteSize(dtype, num_elements());
  Shape padded = shape;
  padded[1] = (padded[1] + block - 1) / block * block;
  return ByteSize(dtype, NumElements(padded));
}

}  // namespace sluice
