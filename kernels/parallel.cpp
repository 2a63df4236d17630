#include "kernels/parallel.h"

#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <array>

#include "kernels/onednn/threading.h"
#include "kernels/task_order.h"
#include "kernels/tile_shares.h"

namespace sluice {
namespace {

thread_local int serial_scopes = 0;

}  // namespace

SerialScope::SerialScope() { ++serial_scopes; }
SerialScope::~SerialScope() { --serial_scopes; }
bool SerialScope::active() { return serial_scopes > 0; }

int ThreadCount() { return SerialScope::active() ? 1 : tbb::this_task_arena::max_concurrency(); }

void ForEachTile(int64_t n, const std::function<void(int64_t)>& fn) {
  if (n == 1 || SerialScope::active()) {
    for (int64_t i = 0; i < n; ++i) fn(i);
    return;
  }
  const int64_t threads = tbb::this_task_arena::max_concurrency(), count = TileShares::Count(n, threads);
  std::array<std::atomic<uint64_t>, TileShares::kMost> ranges;
  TileShares shares({ranges.data(), static_cast<size_t>(count)});
  shares.Reset(n);
  const auto work = [&](int64_t) {
    const SingleThreaded single;  // not so already in an arena of the program's own
    const int64_t thread = tbb::this_task_arena::current_thread_index();
    for (int64_t tile; (tile = shares.Take(thread, threads)) >= 0;) fn(tile);
  };
  // Isolated: a thread that waits here takes up tiles of this call alone, or else it would begin other steps
  // on top of its stack.
  tbb::this_task_arena::isolate([&] {
    tbb::parallel_for(tbb::blocked_range<int64_t>(0, count, 1),
                      InOrder(
                          [&](const tbb::blocked_range<int64_t>& range) {
                            for (int64_t i = range.begin(); i < range.end(); ++i) work(i);
                          },
                          &fn),
                      tbb::simple_partitioner());
  });
  ComesAfter(&fn);
}

}  // namespace sluice
