#include "tools/serve/http/assets.h"

#include <zlib.h>

#include <new>
#include <string>

#include "tools/serve/web/files.h"

namespace sluice::serve {
namespace {

constexpr std::string_view kNoPage = R"(<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Sluice</title>
<h1>Sluice is running</h1>
<p>This build has no web page: Node.js, npm or the network were missing when it was configured. To get the page,
install <code>nodejs</code> and <code>npm</code>, run <code>cmake</code> again in the build folder and build.</p>
<p>Nothing else depends on it: <a href="v2">v2</a> describes the server, <a href="v2/models/stats">v2/models/stats</a>
and <a href="metrics">metrics</a> what it does.</p>
</html>
)";

std::string Gzip(std::string_view text) {
  z_stream stream = {};
  constexpr int kGzip = 15 + 16;  // the largest window, in gzip's format
  if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::bad_alloc();
  std::string packed(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  deflate(&stream, Z_FINISH);  // succeeds: the bound is what it needs
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

}  // namespace

std::optional<Asset> FindAsset(std::string_view path) {
  for (const WebFile& file : WebFiles())
    if (file.path == path) return file.asset;
  if (!WebFiles().empty() || path != "/") return std::nullopt;
  static const std::string no_page = Gzip(kNoPage);
  return Asset{"text/html; charset=utf-8", "\"no-page\"", no_page};
}

}  // namespace sluice::serve
