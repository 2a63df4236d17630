#pragma once

#include <optional>
#include <string_view>

namespace sluice::serve {

// A file of the web page, embedded in the program.
struct Asset {
  std::string_view content_type;  // "text/html; charset=utf-8"
  std::string_view etag;          // with its quotes; changes with the bytes
  std::string_view gzip;          // the file, compressed
};

// path  as in the URL, without query: "/", "/app.js". Nothing for other paths.
std::optional<Asset> FindAsset(std::string_view path);

}  // namespace sluice::serve
