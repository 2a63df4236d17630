#include "graph/darknet/weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "sluice/error.h"

namespace sluice::darknet {
namespace {

int32_t ReadInt(std::span<const std::byte> bytes, size_t at) {
  int32_t value = 0;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return value;
}

}  // namespace

Weights::Weights(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, std::string file)
    : bytes_(bytes), owner_(std::move(owner)), file_(std::move(file)) {
  // major, minor, revision, then `seen` in as many bytes as the version says.
  constexpr size_t kVersionBytes = 12;
  if (bytes_.size() < kVersionBytes + 4) {
    throw Error(ErrorCode::kInvalidModel, file_ + ": no Darknet weights: the header needs " +
                                              std::to_string(kVersionBytes + 4) + " bytes, found " +
                                              std::to_string(bytes_.size()));
  }
  const int64_t major = ReadInt(bytes_, 0), minor = ReadInt(bytes_, 4);
  revision_ = ReadInt(bytes_, 8);
  constexpr int64_t kTransposedFrom = 1000;
  if (major < 0 || minor < 0 || major > 2 * kTransposedFrom || minor > 2 * kTransposedFrom) {
    throw Error(ErrorCode::kInvalidModel, file_ + ": no Darknet weights: the header states version " +
                                              std::to_string(major) + "." + std::to_string(minor));
  }
  transposed_ = major > kTransposedFrom || minor > kTransposedFrom;
  const bool wide = major * 10 + minor >= 2 && major < kTransposedFrom && minor < kTransposedFrom;
  header_bytes_ = wanted_bytes_ = kVersionBytes + (wide ? 8 : 4);
  if (bytes_.size() < header_bytes_) {
    throw Error(ErrorCode::kInvalidModel, file_ + ": no Darknet weights: the header needs " +
                                              std::to_string(header_bytes_) + " bytes, found " +
                                              std::to_string(bytes_.size()));
  }
}

size_t Weights::Count(const Shape& shape) {
  const auto size = static_cast<size_t>(ByteSize(DataType::kFloat, NumElements(shape)));
  if (__builtin_add_overflow(wanted_bytes_, size, &wanted_bytes_) || wanted_bytes_ > INT64_MAX) {
    throw Error(ErrorCode::kInvalidModel, file_ + ": the network's weights are too many to count");
  }
  return size;
}

Tensor Weights::Next(Shape shape) {
  const size_t size = Count(shape), at = wanted_bytes_ - size;
  if (wanted_bytes_ <= bytes_.size()) {
    const std::byte* from = bytes_.data() + at;
    if (reinterpret_cast<uintptr_t>(from) % alignof(float) == 0 && owner_ != nullptr) {
      return Tensor::Share(DataType::kFloat, std::move(shape), const_cast<std::byte*>(from), owner_);
    }
    Tensor tensor(DataType::kFloat, std::move(shape));
    std::memcpy(tensor.mutable_data(), from, size);
    return tensor;
  }
  // Finish will refuse the file; what the network asks for beyond it takes no memory.
  static float nothing = 0;
  return Tensor::Borrow(DataType::kFloat, std::move(shape), &nothing);
}

Tensor Weights::Take(Shape shape, int64_t fan_in) {
  return TakeNear(std::move(shape), 0, std::sqrt(2.0f / static_cast<float>(std::max<int64_t>(1, fan_in))));
}

Tensor Weights::TakeNear(Shape shape, float mean, float spread) {
  if (!made_up()) return Next(std::move(shape));
  Count(shape);
  if (wanted_bytes_ > most_bytes_) {
    throw Error(ErrorCode::kInvalidModel, "the network takes more than " + std::to_string(most_bytes_) +
                                              " bytes of weights, too many to make up");
  }
  Tensor tensor(DataType::kFloat, std::move(shape));
  // The sum of twelve uniform numbers less 6: normal enough, and the same with every standard library.
  for (float& value : tensor.mutable_values<float>()) {
    float sum = -6;
    for (int i = 0; i < 3; ++i) {
      const uint64_t bits = random_();
      for (int j = 0; j < 4; ++j) sum += static_cast<float>(bits >> (16 * j) & 0xffff) * 0x1p-16f;
    }
    value = mean + spread * sum;
  }
  return tensor;
}

void Weights::Doubt(const std::string& what) {
  if (doubt_.empty()) doubt_ = what;
}

void Weights::Finish() const {
  if (made_up()) return;
  if (wanted_bytes_ != bytes_.size()) {
    throw Error(ErrorCode::kInvalidModel, file_ + ": the network takes " + std::to_string(wanted_bytes_) +
                                              " bytes of weights, its header of " +
                                              std::to_string(header_bytes_) + " included; the file has " +
                                              std::to_string(bytes_.size()));
  }
  if (!doubt_.empty())
    throw Error(ErrorCode::kInvalidModel, file_ + ": " + doubt_ + "; the weights are of another network");
}

}  // namespace sluice::darknet
