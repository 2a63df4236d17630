#include "runtime/c/status.h"

#include <algorithm>
#include <new>
#include <stdexcept>

#include "sluice/data_type.h"
#include "sluice/session.h"

namespace sluice::c {
namespace {

constexpr char kNoMemory[] = "out of memory";
// No structure is near that: a number like this was never set.
constexpr size_t kLargestStruct = 1 << 16;

struct Message {
  std::string text;
  const char* shown = "";
};

Message& LastError() {
  static thread_local Message message;
  return message;
}

}  // namespace

void SetLastError(const char* message) noexcept {
  Message& last = LastError();
  try {
    last.text = message == nullptr ? "" : message;
    last.shown = last.text.c_str();
  } catch (...) {
    last.shown = kNoMemory;
  }
}

sluice_status StatusOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidModel:
      return SLUICE_INVALID_MODEL;
    case ErrorCode::kInvalidArgument:
      return SLUICE_INVALID_ARGUMENT;
    case ErrorCode::kUnsupported:
      return SLUICE_UNSUPPORTED;
    case ErrorCode::kOutOfMemory:
      return SLUICE_OUT_OF_MEMORY;
    case ErrorCode::kCancelled:
      return SLUICE_CANCELLED;
    case ErrorCode::kDeadlineExceeded:
      return SLUICE_DEADLINE_EXCEEDED;
    case ErrorCode::kInternal:
      break;
  }
  return SLUICE_INTERNAL;
}

sluice_status HandleException() noexcept {
  try {
    throw;
  } catch (const Error& error) {
    SetLastError(error.what());
    return StatusOf(error.code());
  } catch (const std::bad_alloc&) {
    SetLastError(kNoMemory);
    return SLUICE_OUT_OF_MEMORY;
  } catch (const std::exception& error) {
    SetLastError(error.what());
  } catch (...) {
    SetLastError("something that is no std::exception was thrown");
  }
  return SLUICE_INTERNAL;
}

void ThrowCallbackError(sluice_status status) {
  ErrorCode code = ErrorCode::kInternal;
  for (int i = 0; i <= static_cast<int>(ErrorCode::kInternal); ++i) {
    if (StatusOf(static_cast<ErrorCode>(i)) == status) code = static_cast<ErrorCode>(i);
  }
  const std::string said = sluice_last_error();
  throw Error(code, said.empty() ? "a callback returned the status " + std::to_string(status) : said);
}

void CheckStructSize(const char* type, size_t size, size_t known_size, const void* structure) {
  if (size < known_size || size > kLargestStruct) {
    Refuse(std::string(type) + ": struct_size is " + std::to_string(size) + ", expected " +
           std::to_string(known_size) + "; SLUICE_INIT(" + type + ") sets it");
  }
  const char* const bytes = static_cast<const char*>(structure);
  if (std::any_of(bytes + known_size, bytes + size, [](char byte) { return byte != 0; })) {
    throw Error(ErrorCode::kUnsupported, std::string(type) + ": a member is set that version " +
                                             std::string(Version()) + " does not know");
  }
}

}  // namespace sluice::c

extern "C" {

const char* sluice_version(void) { return sluice::Version().data(); }

uint32_t sluice_version_number(void) {
  return SLUICE_VERSION_MAJOR * 1000000 + SLUICE_VERSION_MINOR * 1000 + SLUICE_VERSION_PATCH;
}

const char* sluice_status_name(sluice_status status) {
  if (status == SLUICE_OK) return "OK";
  for (int i = 0; i <= static_cast<int>(sluice::ErrorCode::kInternal); ++i) {
    const auto code = static_cast<sluice::ErrorCode>(i);
    if (sluice::c::StatusOf(code) == status) return sluice::ErrorCodeName(code);
  }
  return "Unknown";
}

const char* sluice_last_error(void) { return sluice::c::LastError().shown; }

void sluice_set_last_error(const char* message) { sluice::c::SetLastError(message); }

const char* sluice_type_name(sluice_type type) {
  const bool known = type >= 0 && type <= SLUICE_INT2;
  return sluice::DataTypeName(known ? static_cast<sluice::DataType>(type) : sluice::DataType::kUndefined)
      .data();
}

int32_t sluice_type_bits(sluice_type type) {
  if (type < 0 || type > SLUICE_INT2) return 0;
  if (type == SLUICE_STRING) return static_cast<int32_t>(sizeof(sluice_string) * 8);
  return sluice::DataTypeBits(static_cast<sluice::DataType>(type));
}

}  // extern "C"
