#pragma once

#include <string>
#include <string_view>

namespace sluice::serve::rpc {

// A new id for a request, 32 hexadecimal digits, unlike all others.
std::string NewRequestId();

// A W3C traceparent for a request: the client's trace with a span of ours, or a new trace where `received` is
// none that is valid.
std::string Traceparent(std::string_view received);

}  // namespace sluice::serve::rpc
