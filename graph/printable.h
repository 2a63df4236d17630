#pragma once

#include <string>
#include <string_view>

namespace sluice {

// Text of a file as messages may show it: control characters, which could end a message or steer a terminal,
// become '?'; what is longer than `most` bytes ends with "...".
std::string Printable(std::string_view text, size_t most = 200);

}  // namespace sluice
