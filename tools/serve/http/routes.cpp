#include "tools/serve/http/routes.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <span>
#include <vector>

namespace sluice::serve {
namespace {

constexpr size_t kMostNameBytes = 255;  // of a file

// Nothing where a % is not followed by two hexadecimal digits.
std::optional<std::string> PercentDecode(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    unsigned char byte = 0;
    if (text.size() - i < 3) return std::nullopt;
    const auto [end, error] = std::from_chars(text.data() + i + 1, text.data() + i + 3, byte, 16);
    if (error != std::errc() || end != text.data() + i + 3) return std::nullopt;
    decoded += static_cast<char>(byte);
    i += 2;
  }
  return decoded;
}

bool IsName(std::string_view name) {
  return !name.empty() && name.size() <= kMostNameBytes && name != "." && name != ".." &&
         std::none_of(name.begin(), name.end(), [](char c) {
           return c == '/' || c == '\\' || (static_cast<unsigned char>(c) < 0x20) || c == 0x7f;
         });
}

bool IsVersion(std::string_view version) {
  return !version.empty() && version.size() <= 19 &&
         std::all_of(version.begin(), version.end(), [](char c) { return c >= '0' && c <= '9'; });
}

using Segments = std::span<const std::string>;

// What follows v2/models/M or v2/models/M/versions/V.
Call ModelCall(Segments rest) {
  if (rest.empty()) return Call::kModel;
  if (rest.size() == 1) {
    if (rest[0] == "infer") return Call::kInfer;
    if (rest[0] == "ready") return Call::kModelReady;
    if (rest[0] == "config") return Call::kConfig;
    if (rest[0] == "stats") return Call::kStatistics;
    if (rest[0] == "generate" || rest[0] == "generate_stream") return Call::kUnsupported;
  }
  if (rest.size() == 2 && rest[0] == "trace" && rest[1] == "setting") return Call::kUnsupported;
  return Call::kUnknown;
}

Call ServerCall(Segments rest) {
  const auto is = [&](std::string_view first, std::string_view second) {
    return rest.size() == 2 && rest[0] == first && rest[1] == second;
  };
  if (rest.empty()) return Call::kServer;
  if (is("health", "live")) return Call::kLive;
  if (is("health", "ready")) return Call::kReady;
  if (is("repository", "index")) return Call::kIndex;
  if (is("models", "stats")) return Call::kStatistics;
  if (is("trace", "setting") || (rest.size() == 1 && rest[0] == "logging")) return Call::kUnsupported;
  if (rest[0] == "systemsharedmemory" || rest[0] == "cudasharedmemory") return Call::kUnsupported;
  return Call::kUnknown;
}

// What follows v2; fills in the names.
Call ProtocolCall(Segments rest, Route& route) {
  if (rest.size() >= 2 && rest[0] == "models" && !(rest.size() == 2 && rest[1] == "stats")) {
    if (!IsName(rest[1])) return Call::kUnknown;
    route.model = rest[1];
    rest = rest.subspan(2);
    if (rest.size() >= 2 && rest[0] == "versions") {
      if (!IsVersion(rest[1])) return Call::kUnknown;
      route.version = rest[1];
      rest = rest.subspan(2);
    }
    return ModelCall(rest);
  }
  if (rest.size() == 4 && rest[0] == "repository" && rest[1] == "models" && IsName(rest[2])) {
    route.model = rest[2];
    if (rest[3] == "load") return Call::kLoad;
    if (rest[3] == "unload") return Call::kUnload;
    return Call::kUnknown;
  }
  return ServerCall(rest);
}

}  // namespace

Route ParseRoute(std::string_view target) {
  Route route;
  target = target.substr(0, target.find_first_of("?#"));
  // An absolute form names the host as well.
  for (const std::string_view scheme : {"http://", "https://"})
    if (target.substr(0, scheme.size()) == scheme) {
      target.remove_prefix(scheme.size());
      target.remove_prefix(std::min(target.find('/'), target.size()));
    }
  std::vector<std::string> segments;
  for (std::string_view rest = target; !rest.empty();) {
    rest.remove_prefix(rest.front() == '/');
    const std::string_view raw = rest.substr(0, rest.find('/'));
    rest.remove_prefix(raw.size());
    std::optional<std::string> segment = PercentDecode(raw);
    if (!segment) return route;
    if (segment->empty() && rest.empty()) break;  // a slash at the end
    route.path += '/';
    route.path += *segment;
    segments.push_back(std::move(*segment));
  }
  if (segments.empty()) route.path += '/';
  if (!segments.empty() && segments[0] == "v2")
    route.call = ProtocolCall(Segments(segments).subspan(1), route);
  else if (segments.size() == 1 && segments[0] == "metrics")
    route.call = Call::kMetrics;
  else
    route.call = Call::kAsset;
  return route;
}

std::string_view MethodsOf(Call call) {
  switch (call) {
    case Call::kUnknown:
    case Call::kUnsupported:
      return "";
    case Call::kInfer:
    case Call::kLoad:
    case Call::kUnload:
      return "POST";
    case Call::kIndex:
      return "GET, POST";
    default:
      return "GET, HEAD";
  }
}

}  // namespace sluice::serve
