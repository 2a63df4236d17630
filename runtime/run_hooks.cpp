#include "runtime/run_hooks.h"

#include "runtime/memory_limit.h"

namespace sluice {

Allocator::~Allocator() = default;

Tensor AllocateTensor(const std::shared_ptr<Allocator>& allocator, DataType type, const Shape& shape) {
  if (!allocator || type == DataType::kString) return Tensor(type, shape);
  const int64_t bytes = ByteSize(type, NumElements(shape));
  ReserveMemory(bytes);
  // One more line of 64 bytes than needed, as tensors of Sluice's own have: vector loads may read to the end
  // of one.
  const size_t size = (static_cast<size_t>(bytes) / 64 + 1) * 64;
  void* const memory = allocator->Allocate(size);
  if (memory == nullptr) {
    ReturnMemory(bytes);
    throw Error(ErrorCode::kOutOfMemory,
                "the session's allocator has no " + std::to_string(size) + " bytes for a tensor");
  }
  const auto give_back = [allocator, bytes, size](const void* block) {
    allocator->Free(const_cast<void*>(block), size);
    ReturnMemory(bytes);
  };
  if (reinterpret_cast<uintptr_t>(memory) % 64 != 0) {
    give_back(memory);
    throw Error(ErrorCode::kInvalidArgument,
                "the session's allocator gave memory that is not aligned to 64 bytes");
  }
  return Tensor::Share(type, shape, memory, std::shared_ptr<const void>(memory, give_back));
}

}  // namespace sluice
