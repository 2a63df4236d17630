#pragma once

#include <span>
#include <string_view>

#include "tools/serve/http/assets.h"

namespace sluice::serve {

struct WebFile {
  std::string_view path;  // as in the URL: "/", "/app.js"
  Asset asset;
};

// What web.cmake made of the page's sources; empty where Node.js, npm or the network were missing.
std::span<const WebFile> WebFiles();

}  // namespace sluice::serve
