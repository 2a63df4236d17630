#pragma once

#include <string>
#include <string_view>

namespace sluice::serve {

// Sixteen hexadecimal digits, different for each call in this process and most likely in others. Thread-safe.
std::string NewRequestId();

// The id that a client, or a proxy before it, sent where it is printable and at most 128 bytes, otherwise a
// new one.
std::string RequestIdOf(std::string_view sent);

// The traceparent that a client sent where it is one of W3C's version 00 form, otherwise a new one.
std::string TraceParent(std::string_view sent);

}  // namespace sluice::serve
