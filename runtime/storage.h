#pragma once

#include <span>
#include <vector>

#include "runtime/plan.h"

namespace sluice {

// Keeps the books on memory while a plan is made: which slots show which buffer, which steps touch
// it, who may overwrite it; at the end assigns addresses and the order of steps that follows.
//
// A buffer may become a part of another one (Join), as the values that a Concat joins do; the buffers
// joined form trees. Slots keep the buffer that they were made for; where it lies is decided at the end.
class Storage {
 public:
  static constexpr int kNone = -1;

  // Memory of its own kind; slots show it.
  int AddBuffer(Place place, int64_t bytes);
  int AddSlot(const TensorDesc& desc, int buffer);
  // Another look at the bytes of `slot`, from `offset` on.
  int AddView(const TensorDesc& desc, int slot, int64_t offset = 0);

  // The buffer that holds a slot in the end: the root of its tree.
  int BufferOf(int slot) const { return Root(slots_[static_cast<size_t>(slot)].buffer); }
  // Where in that buffer it begins.
  int64_t OffsetOf(int slot) const;
  const TensorDesc& desc(int slot) const { return slots_[static_cast<size_t>(slot)].desc; }
  const Place& place(int buffer) const { return buffers_[static_cast<size_t>(buffer)].place; }
  Place& place(int buffer) { return buffers_[static_cast<size_t>(buffer)].place; }
  int64_t bytes(int buffer) const { return buffers_[static_cast<size_t>(buffer)].bytes; }
  // Whether the slot shows all of its buffer.
  bool IsWhole(int slot) const;

  // `count` more uses of values in this buffer, or in those joined in it, will come; one of them has
  // been planned.
  void ExpectUses(int buffer, int count) { buffers_[static_cast<size_t>(buffer)].uses_left += count; }
  void UseDone(int buffer) { --buffers_[static_cast<size_t>(buffer)].uses_left; }
  int uses_left(int buffer) const { return buffers_[static_cast<size_t>(buffer)].uses_left; }
  // The content is read after the last step.
  void KeepToEnd(int buffer) { buffers_[static_cast<size_t>(buffer)].kept = true; }

  // The content of `slot` belongs at `offset` of a buffer that holds nothing yet.
  struct Part {
    int slot;
    int64_t offset;
  };
  // Puts the buffers of those parts that may move into the buffer of `whole`, a slot over all of it. The
  // parts cover it. True if all of them are there now: then nobody needs to write it. Parts stay where
  // they are whose memory the run does not choose, or whose buffer holds more than fits: a buffer of
  // several values moves if all of them are parts, at the same distances, as when concat(x, a)
  // becomes the beginning of concat(x, a, b).
  bool Join(int whole, std::span<const Part> parts);

  // Step `index`, the last so far, reads and writes these slots; kNone entries are skipped.
  void Record(int index, std::span<const int> inputs, std::span<const int> outputs);

  // Fills plan.slots, the steps' successors and dependencies, roots and the memory figures.
  void Finish(Plan& plan) const;

 private:
  struct Buffer {
    Place place;
    int64_t bytes = 0;
    int uses_left = 0;  // of a root: those of its tree
    bool kept = false;
    int parent = kNone;  // the buffer of which this one is a part, from `offset` on
    int64_t offset = 0;
    std::vector<int> accesses;  // ascending; without those of parent and children
    size_t ordered = 0;         // so many of them are before some later one by an order edge
    std::vector<int> children;
  };
  struct SlotRecord {
    TensorDesc desc;
    int buffer = kNone;
    int64_t offset = 0;
    std::vector<int> writers;  // steps that make this content; none before all steps
  };
  // Bytes of the arena that are used alike.
  struct Piece;

  int Root(int buffer) const;
  // Where a buffer begins in its root.
  int64_t OffsetInRoot(int buffer) const;
  void AddOrderAfterTree(int buffer, int step);
  void CollectPieces(int buffer, int64_t offset, std::vector<int> accesses, int root,
                     std::vector<Piece>& pieces) const;

  std::vector<Buffer> buffers_;
  std::vector<SlotRecord> slots_;
  std::vector<std::vector<int>> successors_;  // by step
};

}  // namespace sluice
