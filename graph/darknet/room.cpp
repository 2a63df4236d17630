#include "graph/darknet/room.h"

#include <sys/mman.h>

#include <algorithm>

#include "sluice/error.h"

namespace sluice::darknet {
namespace {

// Only pages that are written take memory, so blocks may be large.
constexpr size_t kBlockBytes = size_t{64} << 20, kAlignment = 64;

std::shared_ptr<std::byte> MapBlock(size_t size) {
  void* data = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED)
    throw Error(ErrorCode::kOutOfMemory, "cannot allocate " + std::to_string(size) + " bytes for weights");
  madvise(data, size, MADV_HUGEPAGE);  // a wish: where it is not granted, small pages do
  return {static_cast<std::byte*>(data), [size](std::byte* block) { munmap(block, size); }};
}

}  // namespace

Tensor Room::Floats(Shape shape) {
  const auto bytes = static_cast<size_t>(ByteSize(DataType::kFloat, NumElements(shape)));
  // Small ones, in which no page faults are saved, stay with the ordinary allocator.
  constexpr size_t kSmall = 4096;
  if (bytes < kSmall) return Tensor(DataType::kFloat, std::move(shape));
  if (block_ == nullptr || size_ - used_ < bytes) {
    size_ = std::max(kBlockBytes, bytes);
    block_ = MapBlock(size_);
    used_ = 0;
  }
  std::byte* data = block_.get() + used_;
  used_ = std::min(size_, (used_ + bytes + kAlignment - 1) / kAlignment * kAlignment);
  return Tensor::Share(DataType::kFloat, std::move(shape), data, block_);
}

}  // namespace sluice::darknet
