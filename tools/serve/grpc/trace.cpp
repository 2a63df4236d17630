#include "tools/serve/grpc/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <random>

namespace sluice::serve::rpc {
namespace {

// Not 0, which means no span.
uint64_t RandomNumber() {
  thread_local std::mt19937_64 generator = [] {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device()};
    return std::mt19937_64(seed);
  }();
  const uint64_t number = generator();
  return number != 0 ? number : 1;
}

bool IsHex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool IsZero(std::string_view text) { return text.find_first_not_of('0') == text.npos; }

// version-trace-span-flags, as 00-[32]-[16]-[2]; later versions may have more behind it.
bool IsTraceparent(std::string_view text) {
  if (text.size() < 55 || text[2] != '-' || text[35] != '-' || text[52] != '-') return false;
  const std::string_view version = text.substr(0, 2), trace = text.substr(3, 32), span = text.substr(36, 16);
  if (!IsHex(version) || version == "ff" ||
      (version == "00" ? text.size() != 55 : text.size() > 55 && text[55] != '-'))
    return false;
  return IsHex(trace) && !IsZero(trace) && IsHex(span) && !IsZero(span) && IsHex(text.substr(53, 2));
}

}  // namespace

std::string NewRequestId() { return fmt::format("{:016x}{:016x}", RandomNumber(), RandomNumber()); }

std::string Traceparent(std::string_view received) {
  if (!IsTraceparent(received)) return fmt::format("00-{}-{:016x}-00", NewRequestId(), RandomNumber());
  return fmt::format("00-{}-{:016x}-{}", received.substr(3, 32), RandomNumber(), received.substr(53, 2));
}

}  // namespace sluice::serve::rpc
