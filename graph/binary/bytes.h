#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "sluice/error.h"

namespace sluice {

// Numbers and texts one after the other, as this processor has them in memory: for files that the machine
// that wrote them reads. Lists and texts begin with their length.
class ByteWriter {
 public:
  template <typename T>
  void Number(T value) {
    static_assert(std::is_arithmetic_v<T> || std::is_enum_v<T>);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void Count(size_t count) { Number(static_cast<uint64_t>(count)); }
  void Text(std::string_view text) {
    Count(text.size());
    bytes_.append(text);
  }
  template <typename T>
  void Numbers(std::span<const T> values) {
    Count(values.size());
    for (T value : values) Number(value);
  }

  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// Reads what ByteWriter wrote, or anything else: throws Error{kInvalidModel} for what cannot be, and takes no
// more memory than a few times that of the bytes.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <typename T>
  T Number() {
    static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>);
    T value;
    std::memcpy(&value, Take(sizeof value), sizeof value);
    return value;
  }
  bool Flag() { return Below<uint8_t>(2, "a flag") == 1; }
  // A number in [0, limit). `what` is for the message.
  template <typename T>
  T Below(uint64_t limit, const char* what) {
    const T value = Number<T>();
    if (static_cast<uint64_t>(value) >= limit) Fail(std::string(what) + " is out of range");
    return value;
  }
  // How many items of at least `item_bytes` follow.
  size_t Count(size_t item_bytes) {
    const auto count = Number<uint64_t>();
    if (count > (bytes_.size() - at_) / item_bytes) Fail("a list ends after its bytes do");
    return static_cast<size_t>(count);
  }
  std::string Text() {
    const size_t size = Count(1);
    return std::string(reinterpret_cast<const char*>(Take(size)), size);
  }
  template <typename T>
  std::vector<T> Numbers() {
    std::vector<T> values(Count(sizeof(T)));
    for (T& value : values) value = Number<T>();
    return values;
  }
  // Everything has been read.
  void End() const {
    if (at_ != bytes_.size()) Fail("bytes are left over");
  }
  [[noreturn]] void Fail(const std::string& what) const {
    throw Error(ErrorCode::kInvalidModel, what + " (byte " + std::to_string(at_) + ")");
  }

 private:
  const std::byte* Take(size_t size) {
    if (size > bytes_.size() - at_) Fail("the bytes end too early");
    const std::byte* const taken = bytes_.data() + at_;
    at_ += size;
    return taken;
  }

  std::span<const std::byte> bytes_;
  size_t at_ = 0;
};

}  // namespace sluice
