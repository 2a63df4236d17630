#include "tools/serve/text.h"

#include <simdjson.h>

#include <algorithm>

namespace sluice::serve {

bool IsPrintableUtf8(std::string_view text) {
  const bool control = std::any_of(text.begin(), text.end(),
                                   [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  return !text.empty() && !control && simdjson::validate_utf8(text.data(), text.size());
}

std::string Shown(std::string_view name) {
  constexpr size_t kMost = 100;
  std::string text(name.substr(0, kMost));
  for (char& c : text) c = c < ' ' || c > '~' ? '?' : c;
  return name.size() > kMost ? text + "..." : text;
}

}  // namespace sluice::serve
