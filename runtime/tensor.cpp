#include "sluice/tensor.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <new>

#include "runtime/memory_limit.h"
#include "sluice/error.h"

namespace sluice {
namespace {

constexpr size_t kAlignment = 64;
// From this size on, memory is asked for in the kernel's large pages: fewer page faults while weights are
// packed and fewer misses of the translation buffer while they are read.
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kHugeFrom = kHugePage;

std::shared_ptr<const void> AllocateBytes(int64_t bytes) {
  ReserveMemory(bytes);
  // Rounded up so that vector loads may read to the end of the last 64-byte line.
  const size_t size = (static_cast<size_t>(bytes) + kAlignment) / kAlignment * kAlignment;
  // Not std::aligned_alloc, which wants a size that is a multiple of the alignment; sanitizers insist on it.
  void* memory = nullptr;
  if (posix_memalign(&memory, size < kHugeFrom ? kAlignment : kHugePage, size) != 0) {
    ReturnMemory(bytes);
    throw Error(ErrorCode::kOutOfMemory, "no memory for a tensor of " + std::to_string(bytes) + " bytes");
  }
#if defined(MADV_HUGEPAGE)
  // Whole pages inside alone, so that nothing beyond the tensor becomes resident. A kernel without them says
  // no.
  if (size >= kHugeFrom) madvise(memory, size / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
  return {memory, [bytes](const void* p) {
            std::free(const_cast<void*>(p));
            ReturnMemory(bytes);
          }};
}

}  // namespace

std::string_view DataTypeName(DataType type) {
  static constexpr std::string_view kNames[] = {
      "undefined",      "float",    "uint8",        "int8",           "uint16",
      "int16",          "int32",    "int64",        "string",         "bool",
      "float16",        "double",   "uint32",       "uint64",         "complex64",
      "complex128",     "bfloat16", "float8e4m3fn", "float8e4m3fnuz", "float8e5m2",
      "float8e5m2fnuz", "uint4",    "int4",         "float4e2m1",     "float8e8m0",
      "uint2",          "int2"};
  const size_t index = static_cast<size_t>(type);
  return index < std::size(kNames) ? kNames[index] : kNames[0];
}

int DataTypeBits(DataType type) {
  switch (type) {
    case DataType::kUndefined:
      return 0;
    case DataType::kUInt2:
    case DataType::kInt2:
      return 2;
    case DataType::kUInt4:
    case DataType::kInt4:
    case DataType::kFloat4E2M1:
      return 4;
    case DataType::kUInt8:
    case DataType::kInt8:
    case DataType::kBool:
    case DataType::kFloat8E4M3FN:
    case DataType::kFloat8E4M3FNUZ:
    case DataType::kFloat8E5M2:
    case DataType::kFloat8E5M2FNUZ:
    case DataType::kFloat8E8M0:
      return 8;
    case DataType::kUInt16:
    case DataType::kInt16:
    case DataType::kFloat16:
    case DataType::kBFloat16:
      return 16;
    case DataType::kFloat:
    case DataType::kInt32:
    case DataType::kUInt32:
      return 32;
    case DataType::kInt64:
    case DataType::kUInt64:
    case DataType::kDouble:
    case DataType::kComplex64:
      return 64;
    case DataType::kComplex128:
      return 128;
    case DataType::kString:
      return static_cast<int>(sizeof(std::string) * 8);
  }
  return 0;
}

int64_t ByteSize(DataType type, int64_t elems) {
  int64_t bits = 0;
  if (elems < 0 || __builtin_mul_overflow(elems, static_cast<int64_t>(DataTypeBits(type)), &bits) ||
      bits > INT64_MAX - 7) {
    throw Error(ErrorCode::kInvalidArgument,
                "a tensor of " + std::to_string(elems) + " elements is too large");
  }
  return (bits + 7) / 8;
}

int64_t NumElements(std::span<const int64_t> shape) {
  int64_t count = 1;
  bool zero = false;
  for (int64_t size : shape) {
    if (size < 0)
      throw Error(ErrorCode::kInvalidArgument, "shape " + ToString(shape) + " has a negative size");
    if (size == 0)
      zero = true;
    else if (__builtin_mul_overflow(count, size, &count)) {
      throw Error(ErrorCode::kInvalidArgument, "shape " + ToString(shape) + " has too many elements");
    }
  }
  return zero ? 0 : count;
}

std::string ToString(std::span<const int64_t> shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

void CheckElementCount(const Shape& shape, size_t count) {
  if (static_cast<int64_t>(count) != NumElements(shape)) {
    throw Error(ErrorCode::kInvalidArgument, "shape " + ToString(shape) + " needs " +
                                                 std::to_string(NumElements(shape)) + " elements, got " +
                                                 std::to_string(count));
  }
}

Tensor::Tensor(DataType type, Shape shape) : dtype_(type), shape_(std::move(shape)) {
  const int64_t elems = NumElements(shape_);
  if (type == DataType::kString) {
    CheckMemory(ByteSize(type, elems));
    auto strings = std::make_shared<std::vector<std::string>>(static_cast<size_t>(elems));
    data_ = strings->data();
    owner_ = std::move(strings);
    return;
  }
  owner_ = AllocateBytes(ByteSize(type, elems));
  data_ = const_cast<void*>(owner_.get());
}

Tensor Tensor::Borrow(DataType type, Shape shape, void* data) {
  return Share(type, std::move(shape), data, nullptr);
}

Tensor Tensor::Share(DataType type, Shape shape, void* data, std::shared_ptr<const void> owner) {
  Tensor result;
  result.dtype_ = type;
  result.shape_ = std::move(shape);
  result.data_ = data;
  result.owner_ = std::move(owner);
  return result;
}

void Tensor::Rebind(DataType type, std::span<const int64_t> shape, void* data) {
  shape_.assign(shape.begin(), shape.end());
  dtype_ = type;
  data_ = data;
  owner_.reset();
}

int64_t Tensor::num_elements() const { return NumElements(shape_); }
int64_t Tensor::byte_size() const { return ByteSize(dtype_, num_elements()); }

Tensor Tensor::Reshaped(Shape shape) const {
  CheckElementCount(shape, static_cast<size_t>(num_elements()));
  Tensor result = *this;
  result.shape_ = std::move(shape);
  return result;
}

Tensor Tensor::Clone() const {
  if (empty()) return {};
  Tensor result(dtype_, shape_);
  if (dtype_ == DataType::kString) {
    const auto src = values<std::string>();
    std::copy(src.begin(), src.end(), static_cast<std::string*>(result.data_));
  } else if (const int64_t bytes = byte_size(); bytes > 0) {
    std::memcpy(result.data_, data_, static_cast<size_t>(bytes));
  }
  return result;
}

const char* ErrorCodeName(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidModel:
      return "InvalidModel";
    case ErrorCode::kInvalidArgument:
      return "InvalidArgument";
    case ErrorCode::kUnsupported:
      return "Unsupported";
    case ErrorCode::kOutOfMemory:
      return "OutOfMemory";
    case ErrorCode::kCancelled:
      return "Cancelled";
    case ErrorCode::kDeadlineExceeded:
      return "DeadlineExceeded";
    case ErrorCode::kInternal:
      return "Internal";
  }
  return "Internal";
}

}  // namespace sluice
