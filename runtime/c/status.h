#pragma once

#include <string>
#include <utility>

#include "sluice/error.h"
#include "sluice/sluice.h"

namespace sluice::c {

// Makes `message` what sluice_last_error says on this thread. Never throws: without memory it says so.
void SetLastError(const char* message) noexcept;

sluice_status StatusOf(ErrorCode code);

// The status and message of the exception that is being handled.
sluice_status HandleException() noexcept;

// Calls fn; what it throws becomes the status that is returned and the message of this thread.
template <typename Fn>
sluice_status Guard(Fn fn) noexcept {
  try {
    fn();
    return SLUICE_OK;
  } catch (...) {
    return HandleException();
  }
}

// Throws what a callback of the program complained about.
[[noreturn]] void ThrowCallbackError(sluice_status status);

[[noreturn]] inline void Refuse(const std::string& message) {
  throw Error(ErrorCode::kInvalidArgument, message);
}

template <typename T>
T& Require(T* pointer, const char* name) {
  if (pointer == nullptr) Refuse(std::string(name) + " is NULL");
  return *pointer;
}

// Sets *out to what `make` gives, made only if there is somewhere to put it: a plain assignment would make it first.
template <typename T, typename Make>
void Give(T** out, const char* name, Make make) {
  T*& place = Require(out, name);
  place = make();
}

// Throws unless `size` says that a structure has the members that this library knows and nothing in others.
void CheckStructSize(const char* type, size_t size, size_t known_size, const void* structure);

// The structure behind a pointer of a program.
template <typename T>
T& Structure(T* pointer, const char* type) {
  Require(pointer, type);
  CheckStructSize(type, pointer->struct_size, sizeof(T), pointer);
  return *pointer;
}

// An array of structures, which may be larger in the program than here.
template <typename T>
class Array {
 public:
  Array(T* first, size_t count, const char* type) : first_(first), count_(count) {
    if (count == 0) return;
    stride_ = Require(first, type).struct_size;
    for (size_t i = 0; i < count; ++i) {
      T& item = Structure(&(*this)[i], type);
      if (item.struct_size != stride_)
        Refuse(std::string("the struct_size of one ") + type + " in an array differs from that of the first");
    }
  }
  size_t size() const { return count_; }
  T& operator[](size_t i) const {
    using Byte = std::conditional_t<std::is_const_v<T>, const char, char>;
    return *reinterpret_cast<T*>(reinterpret_cast<Byte*>(first_) + i * stride_);
  }

 private:
  T* first_;
  size_t count_;
  size_t stride_ = 0;
};

}  // namespace sluice::c
