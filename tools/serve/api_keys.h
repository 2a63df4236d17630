#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::serve {

using Sha256 = std::array<unsigned char, 32>;

Sha256 DigestOf(std::string_view text);

struct ApiKey {
  std::string name;
  Sha256 digest = {};  // of the key
  double rate = 0;     // requests a second; 0: any number
  double burst = 0;    // requests at once
};

// The keys in a file's text: lines `NAME KEY [REQUESTS_PER_SECOND [BURST]]`, where KEY may be
// `sha256:` and 64 hexadecimal digits; empty lines and those that begin with # say nothing. BURST is 1 or the
// rate unless stated, whichever is more. Throws Error{kInvalidArgument} naming `path` and the line.
std::vector<ApiKey> ParseApiKeys(std::string_view text, const std::string& path);

}  // namespace sluice::serve
