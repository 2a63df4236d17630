#include "kernels/scratch.h"

#include <cstdlib>
#include <memory>
#include <vector>

#include "sluice/error.h"
#include "sluice/tensor.h"

namespace sluice {
namespace {

struct Chunk {
  std::unique_ptr<std::byte, decltype(&std::free)> memory{nullptr, &std::free};
  int64_t size = 0;
  int64_t used = 0;
};

// Chunks fill from the first to the last; a chunk is replaced by a larger one only while empty.
struct Stack {
  std::vector<Chunk> chunks;
  size_t top = 0;
};

thread_local Stack stack;

void Allocate(Chunk& chunk, int64_t bytes) {
  chunk.memory.reset(static_cast<std::byte*>(std::aligned_alloc(64, static_cast<size_t>(bytes))));
  if (!chunk.memory) {
    chunk.size = 0;
    throw Error(ErrorCode::kOutOfMemory, "no memory for " + std::to_string(bytes) + " bytes of scratch");
  }
  chunk.size = bytes;
}

// Whole lines of 64 bytes; refuses what cannot be had before the sum can overflow.
int64_t Aligned(int64_t bytes) {
  CheckMemory(bytes);
  return (bytes + 63) / 64 * 64;
}

}  // namespace

Scratch::Scratch(int64_t bytes) : data_(nullptr), bytes_(Aligned(bytes)) {
  if (bytes_ == 0) return;
  if (stack.chunks.empty()) stack.chunks.emplace_back();
  if (stack.chunks[stack.top].used + bytes_ > stack.chunks[stack.top].size) {
    if (stack.chunks[stack.top].used > 0) {
      if (stack.top + 1 == stack.chunks.size()) stack.chunks.emplace_back();
      ++stack.top;
    }
    Chunk& chunk = stack.chunks[stack.top];
    if (chunk.size < bytes_) {
      try {
        Allocate(chunk, bytes_);
      } catch (...) {
        if (stack.top > 0) --stack.top;
        throw;
      }
    }
  }
  Chunk& chunk = stack.chunks[stack.top];
  data_ = chunk.memory.get() + chunk.used;
  chunk.used += bytes_;
}

Scratch::~Scratch() {
  if (bytes_ == 0) return;
  Chunk& chunk = stack.chunks[stack.top];
  chunk.used -= bytes_;
  if (chunk.used == 0 && stack.top > 0) --stack.top;
}

}  // namespace sluice
