#include "kernels/parallel.h"

#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include "kernels/task_order.h"

namespace sluice {
namespace {

thread_local int serial_scopes = 0;

}  // namespace

SerialScope::SerialScope() { ++serial_scopes; }
SerialScope::~SerialScope() { --serial_scopes; }
bool SerialScope::active() { return serial_scopes > 0; }

void ForEachTile(int64_t n, const std::function<void(int64_t)>& fn) {
  if (n == 1 || SerialScope::active()) {
    for (int64_t i = 0; i < n; ++i) fn(i);
    return;
  }
  const auto tiles = [&](const tbb::blocked_range<int64_t>& range) {
    for (int64_t i = range.begin(); i < range.end(); ++i) fn(i);
  };
  // One tile a task: tiles are sized by the kernels, TBB must not group them. Isolated: a thread that waits
  // here takes up tiles of this call alone, or else it would begin other steps on top of its stack.
  tbb::this_task_arena::isolate([&] {
    tbb::parallel_for(tbb::blocked_range<int64_t>(0, n, 1), InOrder(tiles, &fn), tbb::simple_partitioner());
  });
  ComesAfter(&fn);
}

}  // namespace sluice
