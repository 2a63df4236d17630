#pragma once

#include <span>
#include <vector>

#include "runtime/plan.h"

namespace sluice {

// Keeps the books on memory while a plan is made: which slots show which buffer, which steps touch
// it, who may overwrite it; at the end assigns addresses and the order of steps that follows.
class Storage {
 public:
  static constexpr int kNone = -1;

  // Memory of its own kind; slots show it.
  int AddBuffer(Place place, int64_t bytes);
  int AddSlot(const TensorDesc& desc, int buffer);
  // Another look at the bytes of `slot`.
  int AddView(const TensorDesc& desc, int slot);

  int BufferOf(int slot) const { return slots_[static_cast<size_t>(slot)].buffer; }
  const TensorDesc& desc(int slot) const { return slots_[static_cast<size_t>(slot)].desc; }
  Place& place(int buffer) { return buffers_[static_cast<size_t>(buffer)].place; }
  int64_t bytes(int buffer) const { return buffers_[static_cast<size_t>(buffer)].bytes; }

  // `count` more uses of a value in this buffer will come; one of them has been planned.
  void ExpectUses(int buffer, int count) { buffers_[static_cast<size_t>(buffer)].uses_left += count; }
  void UseDone(int buffer) { --buffers_[static_cast<size_t>(buffer)].uses_left; }
  int uses_left(int buffer) const { return buffers_[static_cast<size_t>(buffer)].uses_left; }

  // Step `index`, the last so far, reads and writes these slots; kNone entries are skipped.
  void Record(int index, std::span<const int> inputs, std::span<const int> outputs);

  // Fills plan.slots, the steps' successors and dependencies, roots and the memory figures.
  void Finish(Plan& plan) const;

 private:
  struct Buffer {
    Place place;
    int64_t bytes = 0;
    int uses_left = 0;
    int first_writer = kNone;
    std::vector<int> accesses;  // ascending
  };
  struct SlotRecord {
    TensorDesc desc;
    int buffer = kNone;
    int writer = kNone;  // step that makes this content; kNone before all steps
  };

  std::vector<Buffer> buffers_;
  std::vector<SlotRecord> slots_;
  std::vector<std::vector<int>> successors_;  // by step
};

}  // namespace sluice
