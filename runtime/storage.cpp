#include "runtime/storage.h"

#include <algorithm>

#include "runtime/memory_plan.h"

namespace sluice {

int Storage::AddBuffer(Place place, int64_t bytes) {
  buffers_.push_back({std::move(place), bytes, 0, kNone, {}});
  return static_cast<int>(buffers_.size()) - 1;
}

int Storage::AddSlot(const TensorDesc& desc, int buffer) {
  slots_.push_back({desc, buffer, kNone});
  return static_cast<int>(slots_.size()) - 1;
}

int Storage::AddView(const TensorDesc& desc, int slot) {
  const SlotRecord source = slots_[static_cast<size_t>(slot)];
  slots_.push_back({desc, source.buffer, source.writer});
  return static_cast<int>(slots_.size()) - 1;
}

void Storage::Record(int index, std::span<const int> inputs, std::span<const int> outputs) {
  successors_.resize(static_cast<size_t>(index) + 1);
  for (int slot : inputs) {
    if (slot == kNone) continue;
    const SlotRecord& record = slots_[static_cast<size_t>(slot)];
    if (record.writer != kNone) successors_[static_cast<size_t>(record.writer)].push_back(index);
    buffers_[static_cast<size_t>(record.buffer)].accesses.push_back(index);
  }
  for (int slot : outputs) {
    if (slot == kNone) continue;
    SlotRecord& record = slots_[static_cast<size_t>(slot)];
    Buffer& buffer = buffers_[static_cast<size_t>(record.buffer)];
    // In place: whoever touched the memory before must be done.
    for (int earlier : buffer.accesses) {
      if (earlier != index) successors_[static_cast<size_t>(earlier)].push_back(index);
    }
    record.writer = index;
    if (buffer.first_writer == kNone) buffer.first_writer = index;
    buffer.accesses.push_back(index);
  }
}

void Storage::Finish(Plan& plan) const {
  std::vector<Lifetime> lifetimes;
  std::vector<Accesses> accesses;
  std::vector<size_t> arena_buffers;
  std::vector<Place> places;
  for (size_t i = 0; i < buffers_.size(); ++i) {
    const Buffer& buffer = buffers_[i];
    places.push_back(buffer.place);
    if (buffer.place.kind != Place::Kind::kArena || buffer.accesses.empty()) continue;
    arena_buffers.push_back(i);
    lifetimes.push_back({buffer.bytes, buffer.first_writer, buffer.accesses.back()});
    accesses.push_back({buffer.accesses, buffer.first_writer});
  }
  const MemoryPlan memory = PlanMemory(lifetimes);
  plan.info.arena_bytes = memory.arena_bytes;
  plan.info.live_peak_bytes = memory.live_peak_bytes;
  for (size_t i = 0; i < arena_buffers.size(); ++i) places[arena_buffers[i]].offset = memory.offsets[i];
  for (const SlotRecord& slot : slots_) {
    plan.slots.push_back({slot.desc, places[static_cast<size_t>(slot.buffer)]});
  }

  std::vector<std::vector<int>> successors = successors_;
  for (const Edge& edge : OverlapEdges(lifetimes, memory, accesses, successors_)) {
    successors[static_cast<size_t>(edge.from)].push_back(edge.to);
  }
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    std::vector<int>& next = successors[i];
    std::sort(next.begin(), next.end());
    next.erase(std::unique(next.begin(), next.end()), next.end());
    for (int step : next) ++plan.steps[static_cast<size_t>(step)].dependencies;
    plan.steps[i].successors = std::move(next);
  }
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    if (plan.steps[i].dependencies == 0) plan.roots.push_back(static_cast<int>(i));
  }
  plan.info.steps = static_cast<int64_t>(plan.steps.size());
}

}  // namespace sluice
