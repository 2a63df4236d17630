#pragma once

#include <cstdint>
#include <functional>

namespace sluice {

// Calls fn(i) for every i in [0, n), spread over the threads of the calling thread's TBB arena, and
// returns when all are done. The first exception is rethrown. n == 1, or a SerialScope: inline.
void ForEachTile(int64_t n, const std::function<void(int64_t)>& fn);

// Threads that tiles of the calling thread spread over, itself included.
int ThreadCount();

// While one lives, everything that the calling thread does stays on that thread. They nest.
class SerialScope {
 public:
  SerialScope();
  ~SerialScope();
  SerialScope(const SerialScope&) = delete;
  SerialScope& operator=(const SerialScope&) = delete;
  // Whether the calling thread is in one.
  static bool active();
};

// How many pieces to cut `items` pieces of work into, each at least `min_items`, at most `max_pieces`.
constexpr int64_t PiecesOf(int64_t items, int64_t min_items, int64_t max_pieces = 64) {
  const int64_t pieces = items / (min_items < 1 ? 1 : min_items);
  return pieces < 1 ? 1 : pieces > max_pieces ? max_pieces : pieces;
}

// The part of [0, items) that is piece `i` of `pieces`: [begin, end), sizes differing by at most 1.
struct Range {
  int64_t begin;
  int64_t end;
};
constexpr Range PieceOf(int64_t items, int64_t pieces, int64_t i) {
  const int64_t size = items / pieces, rest = items % pieces;
  const int64_t begin = i * size + (i < rest ? i : rest);
  return {begin, begin + size + (i < rest ? 1 : 0)};
}

}  // namespace sluice
