#include "kernels/cache_sizes.h"

#include <unistd.h>

namespace sluice {

int64_t L2Bytes() {
#ifdef _SC_LEVEL2_CACHE_SIZE
  static const int64_t bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
  if (bytes >= 128 * 1024) return bytes;
#endif
  return 512 * 1024;
}

}  // namespace sluice
