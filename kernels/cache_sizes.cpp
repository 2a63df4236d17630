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

std::string CacheSizesText() {
#ifdef _SC_LEVEL2_CACHE_SIZE
  std::string text;
  for (int level : {_SC_LEVEL1_DCACHE_SIZE, _SC_LEVEL2_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE})
    text += (text.empty() ? "" : ", ") + std::to_string(sysconf(level) / 1024);
  return text;
#else
  return "0";
#endif
}

}  // namespace sluice
