#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace sluice {

// A piece of memory of a run: alive from the step that writes it first to the one that reads it last.
// Pieces of one block lie at fixed distances: each begins `offset` bytes after the block.
struct Lifetime {
  static constexpr int kOwnBlock = -1;
  int64_t bytes = 0;
  int first = 0;
  int last = 0;
  int block = kOwnBlock;
  int64_t offset = 0;
};

struct MemoryPlan {
  std::vector<int64_t> offsets;  // one for each piece; blocks begin at multiples of 64
  int64_t arena_bytes = 0;
  int64_t live_peak_bytes = 0;  // no plan can need less
};

// Places pieces in one arena so that those alive at the same step do not overlap; pieces of one block
// never do. Pieces that share memory are ordered by the caller (see OverlapEdges). Throws
// Error{kOutOfMemory} on overflow.
MemoryPlan PlanMemory(std::span<const Lifetime> pieces);

// Who touches a buffer, for ordering: steps in any order.
struct Accesses {
  std::vector<int> steps;
  int first_writer = 0;
};

struct Edge {
  int from = 0;
  int to = 0;
};

// Steps run out of order, so memory reused in step order needs order edges: from everyone who touches
// the earlier buffer to the first writer of the later one, for buffers that have a place one after the
// other; with a third one between them the order follows. `successors` are the edges that exist, among them
// those from a buffer's first writer to all who touch it; what they imply is left out.
std::vector<Edge> OverlapEdges(std::span<const Lifetime> buffers, const MemoryPlan& plan,
                               std::span<const Accesses> accesses,
                               std::span<const std::vector<int>> successors);

// Sorts every step's successors and leaves out those that another of them leads to: each edge that stays costs every run
// an atomic operation.
void DropImpliedEdges(std::span<std::vector<int>> successors);

}  // namespace sluice
