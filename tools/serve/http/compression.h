#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "tools/serve/http/message.h"

namespace sluice::serve {

enum class Coding { kIdentity, kGzip, kDeflate };

// Of Content-Encoding; nothing for codings that are not known.
std::optional<Coding> ParseCoding(std::string_view content_encoding);

// Appends the decompressed bytes of `from` to `to`. Throws ServeError{kInvalid} for broken bytes, and what
// Body::Append throws beyond max_bytes.
void Decompress(std::string_view from, Body& to, size_t max_bytes);

// Compresses the reply where Accept-Encoding allows it and it is worth the time: texts of a KiB or more, and
// tensors in binary only where the client names one coding alone, as those do that want it (and not those
// that name what they know).
void CompressReply(std::string_view accept_encoding, HttpReply& reply);

// All of the coding at once, at a level that costs little.
std::string Compress(std::string_view text, Coding coding);

}  // namespace sluice::serve
