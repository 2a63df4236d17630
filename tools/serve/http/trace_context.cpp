#include "tools/serve/http/trace_context.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <random>

#include "tools/serve/text.h"

namespace sluice::serve {
namespace {

uint64_t Random() {
  thread_local std::mt19937_64 engine = [] {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device(), device(), device(), device(), device()};
    return std::mt19937_64(seed);
  }();
  return engine();
}

bool IsHex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}
bool IsZero(std::string_view text) { return text.find_first_not_of('0') == std::string_view::npos; }

// 00-TRACE-PARENT-FLAGS of 32, 16 and 2 digits.
bool IsTraceParent(std::string_view text) {
  return text.size() == 55 && text.substr(0, 3) == "00-" && text[35] == '-' && text[52] == '-' &&
         IsHex(text.substr(3, 32)) && IsHex(text.substr(36, 16)) && IsHex(text.substr(53, 2)) &&
         !IsZero(text.substr(3, 32)) && !IsZero(text.substr(36, 16));
}

}  // namespace

std::string NewRequestId() { return fmt::format("{:016x}", Random()); }

std::string RequestIdOf(std::string_view sent) {
  constexpr size_t kMostBytes = 128;
  return sent.size() <= kMostBytes && IsPrintableUtf8(sent) ? std::string(sent) : NewRequestId();
}

std::string TraceParent(std::string_view sent) {
  if (IsTraceParent(sent)) return std::string(sent);
  return fmt::format("00-{:016x}{:016x}-{:016x}-00", Random(), Random() | 1, Random() | 1);
}

}  // namespace sluice::serve
