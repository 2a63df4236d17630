#include "runtime/storage.h"

#include <algorithm>

#include "runtime/memory_plan.h"

namespace sluice {

struct Storage::Piece {
  int root;
  int64_t offset, bytes;
  std::vector<int> accesses;  // ascending, the first one writes
  bool kept;
};

int Storage::AddBuffer(Place place, int64_t bytes) {
  Buffer buffer;
  buffer.place = std::move(place);
  buffer.bytes = bytes;
  buffers_.push_back(std::move(buffer));
  return static_cast<int>(buffers_.size()) - 1;
}

int Storage::AddSlot(const TensorDesc& desc, int buffer) {
  slots_.push_back({desc, buffer, 0, {}});
  return static_cast<int>(slots_.size()) - 1;
}

int Storage::AddView(const TensorDesc& desc, int slot, int64_t offset) {
  SlotRecord view = slots_[static_cast<size_t>(slot)];
  view.desc = desc;
  view.offset += offset;
  slots_.push_back(std::move(view));
  return static_cast<int>(slots_.size()) - 1;
}

int Storage::Root(int buffer) const {
  while (buffers_[static_cast<size_t>(buffer)].parent != kNone)
    buffer = buffers_[static_cast<size_t>(buffer)].parent;
  return buffer;
}

int64_t Storage::OffsetInRoot(int buffer) const {
  int64_t offset = 0;
  for (; buffer != kNone; buffer = buffers_[static_cast<size_t>(buffer)].parent) {
    offset += buffers_[static_cast<size_t>(buffer)].offset;
  }
  return offset;
}

int64_t Storage::OffsetOf(int slot) const {
  const SlotRecord& record = slots_[static_cast<size_t>(slot)];
  return record.offset + OffsetInRoot(record.buffer);
}

bool Storage::IsWhole(int slot) const {
  const int root = BufferOf(slot);
  return place(root).kind != Place::Kind::kDynamic && OffsetOf(slot) == 0 &&
         desc(slot).byte_size() == bytes(root);
}

bool Storage::Join(int whole, std::span<const Part> parts) {
  const int target = slots_[static_cast<size_t>(whole)].buffer;
  const auto bytes_of = [&](const Part& part) { return desc(part.slot).byte_size(); };
  const auto in_place = [&](const Part& part) {
    return bytes_of(part) == 0 || (BufferOf(part.slot) == target && OffsetOf(part.slot) == part.offset);
  };
  for (const Part& part : parts) {
    if (in_place(part)) continue;
    const int root = BufferOf(part.slot);
    const int64_t begin = part.offset - OffsetOf(part.slot), end = begin + bytes(root);
    bool moves =
        root != target && place(root).kind == Place::Kind::kArena && begin >= 0 && end <= bytes(target);
    for (const Part& other : parts) {
      if (!moves) break;
      if (bytes_of(other) == 0 || other.offset >= end || other.offset + bytes_of(other) <= begin) continue;
      moves = BufferOf(other.slot) == root && other.offset - OffsetOf(other.slot) == begin;
    }
    if (!moves) continue;
    buffers_[static_cast<size_t>(root)].parent = target;
    buffers_[static_cast<size_t>(root)].offset = begin;
    buffers_[static_cast<size_t>(target)].children.push_back(root);
    buffers_[static_cast<size_t>(target)].uses_left += buffers_[static_cast<size_t>(root)].uses_left;
  }
  std::vector<int>& writers = slots_[static_cast<size_t>(whole)].writers;
  for (const Part& part : parts) {
    const std::vector<int>& made_by = slots_[static_cast<size_t>(part.slot)].writers;
    writers.insert(writers.end(), made_by.begin(), made_by.end());
  }
  std::sort(writers.begin(), writers.end());
  writers.erase(std::unique(writers.begin(), writers.end()), writers.end());
  return std::all_of(parts.begin(), parts.end(), in_place);
}

void Storage::AddOrderAfterTree(int buffer, int step) {
  Buffer& record = buffers_[static_cast<size_t>(buffer)];
  for (; record.ordered < record.accesses.size(); ++record.ordered) {
    const int earlier = record.accesses[record.ordered];
    if (earlier != step) successors_[static_cast<size_t>(earlier)].push_back(step);
  }
  for (int child : record.children) AddOrderAfterTree(child, step);
}

void Storage::Record(int index, std::span<const int> inputs, std::span<const int> outputs) {
  successors_.resize(static_cast<size_t>(index) + 1);
  for (int slot : inputs) {
    if (slot == kNone) continue;
    const SlotRecord& record = slots_[static_cast<size_t>(slot)];
    for (int writer : record.writers) successors_[static_cast<size_t>(writer)].push_back(index);
    buffers_[static_cast<size_t>(record.buffer)].accesses.push_back(index);
  }
  for (int slot : outputs) {
    if (slot == kNone) continue;
    SlotRecord& record = slots_[static_cast<size_t>(slot)];
    // Whoever touched the memory before must be done.
    AddOrderAfterTree(Root(record.buffer), index);
    record.writers = {index};
    buffers_[static_cast<size_t>(record.buffer)].accesses.push_back(index);
  }
}

// The parts of a buffer that its children leave are a piece each, with the accesses of the buffer and of
// all above it; so are the children, with their own accesses too.
void Storage::CollectPieces(int buffer, int64_t offset, std::vector<int> accesses, int root,
                            std::vector<Piece>& pieces) const {
  const Buffer& record = buffers_[static_cast<size_t>(buffer)];
  accesses.insert(accesses.end(), record.accesses.begin(), record.accesses.end());
  std::sort(accesses.begin(), accesses.end());
  const bool kept = buffers_[static_cast<size_t>(root)].kept;
  const auto add = [&](int64_t begin, int64_t end) {
    if (end > begin && !accesses.empty())
      pieces.push_back({root, offset + begin, end - begin, accesses, kept});
  };
  std::vector<int> children = record.children;
  std::sort(children.begin(), children.end(), [&](int a, int b) {
    return buffers_[static_cast<size_t>(a)].offset < buffers_[static_cast<size_t>(b)].offset;
  });
  int64_t covered = 0;
  for (int child : children) {
    const Buffer& part = buffers_[static_cast<size_t>(child)];
    add(covered, part.offset);
    CollectPieces(child, offset + part.offset, accesses, root, pieces);
    covered = part.offset + part.bytes;
  }
  add(covered, record.bytes);
}

void Storage::Finish(Plan& plan) const {
  std::vector<Piece> pieces;
  for (size_t i = 0; i < buffers_.size(); ++i) {
    if (buffers_[i].parent != kNone || buffers_[i].place.kind != Place::Kind::kArena) continue;
    CollectPieces(static_cast<int>(i), 0, {}, static_cast<int>(i), pieces);
  }
  std::vector<Lifetime> lifetimes;
  std::vector<Accesses> accesses;
  for (Piece& piece : pieces) {
    const int last = piece.kept ? static_cast<int>(plan.steps.size()) : piece.accesses.back();
    lifetimes.push_back({piece.bytes, piece.accesses.front(), last, piece.root, piece.offset});
    accesses.push_back({piece.accesses, piece.accesses.front()});
  }
  const MemoryPlan memory = PlanMemory(lifetimes);
  plan.info.arena_bytes = memory.arena_bytes;
  plan.info.live_peak_bytes = memory.live_peak_bytes;
  std::vector<int64_t> begin(buffers_.size(), 0);
  for (size_t i = 0; i < pieces.size(); ++i) {
    begin[static_cast<size_t>(pieces[i].root)] = memory.offsets[i] - pieces[i].offset;
  }
  for (size_t i = 0; i < slots_.size(); ++i) {
    const int root = BufferOf(static_cast<int>(i));
    Place place = buffers_[static_cast<size_t>(root)].place;
    place.offset = begin[static_cast<size_t>(root)] + OffsetOf(static_cast<int>(i));
    plan.slots.push_back({slots_[i].desc, std::move(place)});
  }

  std::vector<std::vector<int>> successors = successors_;
  for (const Edge& edge : OverlapEdges(lifetimes, memory, accesses, successors_)) {
    successors[static_cast<size_t>(edge.from)].push_back(edge.to);
  }
  DropImpliedEdges(successors);
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    std::vector<int>& next = successors[i];
    for (int step : next) ++plan.steps[static_cast<size_t>(step)].dependencies;
    plan.steps[i].successors = std::move(next);
  }
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    if (plan.steps[i].dependencies == 0) plan.roots.push_back(static_cast<int>(i));
  }
  plan.info.steps = static_cast<int64_t>(plan.steps.size());
}

}  // namespace sluice
