#include "runtime/memory_plan.h"

#include <algorithm>
#include <map>
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

int64_t LivePeak(std::span<const Lifetime> pieces) {
  int last = 0;
  for (const Lifetime& piece : pieces) last = std::max(last, piece.last);
  std::vector<int64_t> change(static_cast<size_t>(last) + 2, 0);
  for (const Lifetime& piece : pieces) {
    const int64_t bytes = piece.block == Lifetime::kOwnBlock ? Aligned(piece.bytes) : piece.bytes;
    change[static_cast<size_t>(piece.first)] += bytes;
    change[static_cast<size_t>(piece.last) + 1] -= bytes;
  }
  int64_t live = 0, peak = 0;
  for (int64_t delta : change) peak = std::max(peak, live += delta);
  return peak;
}

// Pieces that are placed together: indices.
using Block = std::vector<size_t>;

std::vector<Block> BlocksOf(std::span<const Lifetime> pieces) {
  std::vector<Block> blocks;
  std::map<int, size_t> known;
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (pieces[i].bytes == 0) continue;
    size_t at = blocks.size();
    if (pieces[i].block != Lifetime::kOwnBlock) at = known.try_emplace(pieces[i].block, at).first->second;
    if (at == blocks.size()) blocks.emplace_back();
    blocks[at].push_back(i);
  }
  return blocks;
}

// The tightest gap between places where something must not begin, first < at < second, given by ascending
// first.
class Gap {
 public:
  void Forbid(int64_t first, int64_t second) {
    if (second <= at_) return;
    if (first >= at_ && first - at_ < slack_) {
      best_ = at_;
      slack_ = first - at_;
    }
    at_ = std::max(at_, Aligned(second));
  }
  // Behind all of them where no gap takes it.
  int64_t best() const { return best_ < 0 ? at_ : best_; }

 private:
  int64_t at_ = 0, best_ = -1, slack_ = INT64_MAX;
};

// Places the blocks one after the other, each into the tightest gap that takes it; the arena's size.
int64_t Place(std::span<const Lifetime> pieces, std::span<const Block* const> order,
              std::vector<int64_t>& offsets) {
  int64_t arena_bytes = 0;
  std::vector<size_t> placed;  // by ascending offset
  const auto forbidden = [&](size_t piece, size_t other) {
    return std::pair(offsets[other] - pieces[piece].offset - pieces[piece].bytes,
                     offsets[other] + pieces[other].bytes - pieces[piece].offset);
  };
  std::vector<std::pair<int64_t, int64_t>> all;
  for (const Block* block : order) {
    Gap gap;
    if (block->size() == 1) {
      const size_t piece = block->front();
      for (size_t other : placed) {
        if (!AliveTogether(pieces[piece], pieces[other])) continue;
        const auto [first, second] = forbidden(piece, other);
        gap.Forbid(first, second);
      }
    } else {
      all.clear();
      for (size_t piece : *block) {
        for (size_t other : placed) {
          if (AliveTogether(pieces[piece], pieces[other])) all.push_back(forbidden(piece, other));
        }
      }
      std::sort(all.begin(), all.end());
      for (const auto& [first, second] : all) gap.Forbid(first, second);
    }
    for (size_t piece : *block) {
      offsets[piece] = gap.best() + pieces[piece].offset;
      arena_bytes = std::max(arena_bytes, Aligned(offsets[piece] + pieces[piece].bytes));
      const auto behind = std::upper_bound(placed.begin(), placed.end(), piece,
                                           [&](size_t a, size_t b) { return offsets[a] < offsets[b]; });
      placed.insert(behind, piece);
    }
  }
  return arena_bytes;
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
  // Whether `to` is reached from one of `steps`.
  bool AnyReaches(std::span<const int> steps, int to) const {
    return std::any_of(steps.begin(), steps.end(),
                       [&](int from) { return Reaches(static_cast<size_t>(from), static_cast<size_t>(to)); });
  }

 private:
  void Absorb(size_t from, size_t to) {
    for (size_t w = 0; w < words_; ++w) bits_[from * words_ + w] |= bits_[to * words_ + w];
    bits_[from * words_ + to / 64] |= uint64_t{1} << (to % 64);
  }

  size_t words_;
  std::vector<uint64_t> bits_;
};

// Which buffer every part of the arena had last.
class Occupants {
 public:
  // Gives [begin, begin + bytes) to `buffer`; those that had parts of it, each once.
  std::vector<size_t> Replace(int64_t begin, int64_t bytes, size_t buffer) {
    const int64_t end = begin + bytes;
    Cut(begin);
    Cut(end);
    std::vector<size_t> former;
    const auto first = parts_.lower_bound(begin), last = parts_.lower_bound(end);
    for (auto part = first; part != last; ++part) former.push_back(part->second.buffer);
    parts_.erase(first, last);
    parts_[begin] = {end, buffer};
    std::sort(former.begin(), former.end());
    former.erase(std::unique(former.begin(), former.end()), former.end());
    return former;
  }

 private:
  struct Part {
    int64_t end;
    size_t buffer;
  };

  // Makes a part that `at` lies inside of two.
  void Cut(int64_t at) {
    auto next = parts_.lower_bound(at);
    if (next == parts_.begin()) return;
    Part& part = std::prev(next)->second;
    if (part.end <= at) return;
    const Part behind = part;
    part.end = at;
    parts_[at] = behind;
  }

  std::map<int64_t, Part> parts_;  // by where they begin
};

}  // namespace

MemoryPlan PlanMemory(std::span<const Lifetime> pieces) {
  MemoryPlan plan;
  int64_t total = 0;
  for (const Lifetime& piece : pieces) {
    if (piece.bytes > kMaxBytes || (total += Aligned(piece.bytes)) > kMaxBytes) {
      throw Error(ErrorCode::kOutOfMemory,
                  "the values of one run need more than " + std::to_string(kMaxBytes) + " bytes");
    }
  }
  plan.live_peak_bytes = LivePeak(pieces);

  struct Entry {
    const Block* block;
    int64_t bytes, span;  // span: how long it is alive
  };
  const std::vector<Block> blocks = BlocksOf(pieces);
  std::vector<Entry> entries;
  for (const Block& block : blocks) {
    Entry entry{&block, 0, 0};
    int first = INT32_MAX, last = 0;
    for (size_t i : block) {
      entry.bytes += pieces[i].bytes;
      first = std::min(first, pieces[i].first);
      last = std::max(last, pieces[i].last);
    }
    entry.span = last - first + 1;
    entries.push_back(entry);
  }
  // No order is best for all graphs: the largest first, the longest-lived first, the largest area first.
  using Rank = double (*)(const Entry&);
  constexpr Rank kRanks[] = {
      [](const Entry& e) { return static_cast<double>(e.bytes); },
      [](const Entry& e) { return static_cast<double>(e.span); },
      [](const Entry& e) { return static_cast<double>(e.bytes) * static_cast<double>(e.span); },
  };
  plan.offsets.assign(pieces.size(), 0);
  plan.arena_bytes = INT64_MAX;
  for (Rank rank : kRanks) {
    std::stable_sort(entries.begin(), entries.end(),
                     [rank](const Entry& a, const Entry& b) { return rank(a) > rank(b); });
    std::vector<const Block*> order;
    for (const Entry& entry : entries) order.push_back(entry.block);
    std::vector<int64_t> offsets(pieces.size(), 0);
    const int64_t arena_bytes = Place(pieces, order, offsets);
    if (arena_bytes >= plan.arena_bytes) continue;
    plan.arena_bytes = arena_bytes;
    plan.offsets = std::move(offsets);
    if (arena_bytes <= plan.live_peak_bytes) break;
  }
  return plan;
}

std::vector<Edge> OverlapEdges(std::span<const Lifetime> buffers, const MemoryPlan& plan,
                               std::span<const Accesses> accesses,
                               std::span<const std::vector<int>> successors) {
  std::vector<size_t> by_first;
  for (size_t i = 0; i < buffers.size(); ++i) {
    if (buffers[i].bytes > 0) by_first.push_back(i);
  }
  std::sort(by_first.begin(), by_first.end(),
            [&](size_t a, size_t b) { return buffers[a].first < buffers[b].first; });
  const bool prune = successors.size() <= kMaxReachability;
  const Reachability reached(prune ? successors : successors.subspan(0, 0));
  std::vector<Edge> edges;
  Occupants occupants;
  for (size_t later : by_first) {
    const int to = accesses[later].first_writer;
    for (size_t earlier : occupants.Replace(plan.offsets[later], buffers[later].bytes, later)) {
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

void DropImpliedEdges(std::span<std::vector<int>> successors) {
  for (std::vector<int>& next : successors) {
    std::sort(next.begin(), next.end());
    next.erase(std::unique(next.begin(), next.end()), next.end());
  }
  if (successors.size() > kMaxReachability) return;
  const std::vector<std::vector<int>> all(successors.begin(), successors.end());
  const Reachability reached(all);
  for (std::vector<int>& next : successors) {
    // Ascending, so whoever leads to a successor comes before it.
    size_t kept = 0;
    for (size_t i = 0; i < next.size(); ++i) {
      if (!reached.AnyReaches({next.data(), kept}, next[i])) next[kept++] = next[i];
    }
    next.resize(kept);
  }
}

}  // namespace sluice
