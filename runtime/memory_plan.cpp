#include "runtime/memory_plan.h"

#include <algorithm>
#include <numeric>

#include "sluice/error.h"

namespace sluice {
namespace {

constexpr int64_t kAlign = 64;
// Arenas beyond this are refused before the arithmetic can overflow: 2^46 bytes is more than machines have.
constexpr int64_t kMaxBytes = int64_t{1} << 46;
// Reachability takes steps^2 / 8 bytes; beyond this many steps edges are kept although implied.
constexpr size_t kMaxReachability = 16384;

int64_t Aligned(int64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

bool AliveTogether(const Lifetime& a, const Lifetime& b) { return a.first <= b.last && b.first <= a.last; }

int64_t LivePeak(std::span<const Lifetime> buffers) {
  int last = 0;
  for (const Lifetime& buffer : buffers) last = std::max(last, buffer.last);
  std::vector<int64_t> change(static_cast<size_t>(last) + 2, 0);
  for (const Lifetime& buffer : buffers) {
    change[static_cast<size_t>(buffer.first)] += Aligned(buffer.bytes);
    change[static_cast<size_t>(buffer.last) + 1] -= Aligned(buffer.bytes);
  }
  int64_t live = 0, peak = 0;
  for (int64_t delta : change) peak = std::max(peak, live += delta);
  return peak;
}

// Rows of bits: whether a step is reached from another.
class Reachability {
 public:
  // Step numbers are a topological order: edges go upwards.
  explicit Reachability(std::span<const std::vector<int>> successors)
      : words_((successors.size() + 63) / 64), bits_(words_ * successors.size(), 0) {
    for (size_t from = successors.size(); from-- > 0;) {
      for (int to : successors[from]) Absorb(from, static_cast<size_t>(to));
    }
  }
  bool Reaches(size_t from, size_t to) const { return bits_[from * words_ + to / 64] >> (to % 64) & 1; }

 private:
  void Absorb(size_t from, size_t to) {
    for (size_t w = 0; w < words_; ++w) bits_[from * words_ + w] |= bits_[to * words_ + w];
    bits_[from * words_ + to / 64] |= uint64_t{1} << (to % 64);
  }

  size_t words_;
  std::vector<uint64_t> bits_;
};

}  // namespace

MemoryPlan PlanMemory(std::span<const Lifetime> buffers) {
  MemoryPlan plan;
  plan.offsets.assign(buffers.size(), 0);
  int64_t total = 0;
  for (const Lifetime& buffer : buffers) {
    if (buffer.bytes > kMaxBytes || (total += Aligned(buffer.bytes)) > kMaxBytes) {
      throw Error(ErrorCode::kOutOfMemory, "the values of one run need more than " +
                                               std::to_string(kMaxBytes) + " bytes");
    }
  }
  plan.live_peak_bytes = LivePeak(buffers);

  // The largest first, each into the smallest gap between its contemporaries that takes it.
  std::vector<size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return buffers[a].bytes > buffers[b].bytes; });
  std::vector<size_t> placed;  // by offset
  for (size_t i : order) {
    const int64_t bytes = Aligned(buffers[i].bytes);
    if (bytes == 0) continue;
    int64_t end = 0, best = -1, best_gap = INT64_MAX;
    for (size_t other : placed) {
      if (!AliveTogether(buffers[i], buffers[other])) continue;
      const int64_t gap = plan.offsets[other] - end;
      if (gap >= bytes && gap < best_gap) {
        best = end;
        best_gap = gap;
      }
      end = std::max(end, plan.offsets[other] + Aligned(buffers[other].bytes));
    }
    plan.offsets[i] = best >= 0 ? best : end;
    plan.arena_bytes = std::max(plan.arena_bytes, plan.offsets[i] + bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), i,
                                   [&](size_t a, size_t b) { return plan.offsets[a] < plan.offsets[b]; }),
                  i);
  }
  return plan;
}

std::vector<Edge> OverlapEdges(std::span<const Lifetime> buffers, const MemoryPlan& plan,
                               std::span<const Accesses> accesses,
                               std::span<const std::vector<int>> successors) {
  std::vector<size_t> by_first(buffers.size());
  std::iota(by_first.begin(), by_first.end(), size_t{0});
  std::sort(by_first.begin(), by_first.end(),
            [&](size_t a, size_t b) { return buffers[a].first < buffers[b].first; });
  const bool prune = successors.size() <= kMaxReachability;
  const Reachability reached(prune ? successors : successors.subspan(0, 0));
  std::vector<Edge> edges;
  for (size_t later : by_first) {
    if (buffers[later].bytes == 0) continue;
    const int to = accesses[later].first_writer;
    for (size_t earlier = 0; earlier < buffers.size(); ++earlier) {
      if (buffers[earlier].bytes == 0 || buffers[earlier].last >= buffers[later].first) continue;
      if (plan.offsets[earlier] >= plan.offsets[later] + buffers[later].bytes ||
          plan.offsets[later] >= plan.offsets[earlier] + buffers[earlier].bytes) {
        continue;
      }
      for (int from : accesses[earlier].steps) {
        if (!prune || !reached.Reaches(static_cast<size_t>(from), static_cast<size_t>(to))) {
          edges.push_back({from, to});
        }
      }
    }
  }
  std::sort(edges.begin(), edges.end(),
            [](Edge a, Edge b) { return a.from != b.from ? a.from < b.from : a.to < b.to; });
  edges.erase(std::unique(edges.begin(), edges.end(),
                          [](Edge a, Edge b) { return a.from == b.from && a.to == b.to; }),
              edges.end());
  return edges;
}

}  // namespace sluice
