#pragma once

#include <string>
#include <string_view>

namespace sluice::serve {

// Valid UTF-8 without control characters, not empty.
bool IsPrintableUtf8(std::string_view text);

// A name from a client in a message: at most 100 bytes of it, other bytes than printable ASCII as '?'.
std::string Shown(std::string_view name);

}  // namespace sluice::serve
