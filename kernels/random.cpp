#include "kernels/random.h"

#include <atomic>
#include <random>

namespace sluice {

RandomNumbers RandomNumbers::Fresh() {
  static std::atomic<uint64_t> next = [] {
    std::random_device device;
    return (uint64_t{device()} << 32) + device();
  }();
  return RandomNumbers(next.fetch_add(1, std::memory_order_relaxed));
}

}  // namespace sluice
