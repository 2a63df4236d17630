#include "tools/serve/api_keys.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

#include "sluice/error.h"

namespace sluice::serve {
namespace {

constexpr std::string_view kDigestPrefix = "sha256:";
constexpr size_t kFewestKeyBytes = 8;  // shorter ones are guessed
constexpr size_t kMostNameBytes = 64;  // names become labels of metrics and parts of log lines

std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words;
  while (true) {
    const size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) return words;
    line.remove_prefix(begin);
    const size_t end = std::min(line.find_first_of(" \t\r"), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

bool IsName(std::string_view name) {
  return name.size() <= kMostNameBytes && std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                  c == '_' || c == '-' || c == '@';
         });
}

std::optional<Sha256> ParseHex(std::string_view hex) {
  Sha256 digest;
  if (hex.size() != 2 * digest.size()) return std::nullopt;
  for (size_t i = 0; i < digest.size(); ++i) {
    const char* begin = hex.data() + 2 * i;
    const auto [end, error] = std::from_chars(begin, begin + 2, digest[i], 16);
    if (error != std::errc() || end != begin + 2) return std::nullopt;
  }
  return digest;
}

std::optional<double> ParsePositive(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (!(value > 0 && value <= 1e9)) return std::nullopt;
  return value;
}

// Says what is wrong by throwing std::string, never the key itself.
ApiKey ParseLine(const std::vector<std::string_view>& words) {
  if (words.size() < 2 || words.size() > 4)
    throw fmt::format("expected NAME KEY [REQUESTS_PER_SECOND [BURST]], found {} words", words.size());
  ApiKey key;
  key.name = words[0];
  if (!IsName(key.name)) throw fmt::format("a name is up to {} letters, digits and . _ - @", kMostNameBytes);
  if (words[1].substr(0, kDigestPrefix.size()) == kDigestPrefix) {
    const auto digest = ParseHex(words[1].substr(kDigestPrefix.size()));
    if (!digest) throw std::string("expected 64 hexadecimal digits after sha256:");
    key.digest = *digest;
  } else if (words[1].size() < kFewestKeyBytes) {
    throw fmt::format("a key has at least {} characters, this one {}", kFewestKeyBytes, words[1].size());
  } else {
    key.digest = DigestOf(words[1]);
  }
  if (words.size() > 2) {
    const auto rate = ParsePositive(words[2]);
    if (!rate) throw fmt::format("expected requests a second above 0, found '{}'", words[2]);
    key.rate = *rate;
    key.burst = std::max(1.0, *rate);
  }
  if (words.size() > 3) {
    const auto burst = ParsePositive(words[3]);
    if (!burst || *burst < 1) throw fmt::format("expected a burst of at least 1, found '{}'", words[3]);
    key.burst = *burst;
  }
  return key;
}

}  // namespace

Sha256 DigestOf(std::string_view text) {
  Sha256 digest;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return digest;
}

std::vector<ApiKey> ParseApiKeys(std::string_view text, const std::string& path) {
  std::vector<ApiKey> keys;
  std::set<std::string> names;
  std::set<Sha256> digests;
  for (int number = 1; !text.empty(); ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const auto words = Words(line);
    if (words.empty() || words[0].front() == '#') continue;
    try {
      keys.push_back(ParseLine(words));
      if (!names.insert(keys.back().name).second)
        throw fmt::format("name '{}' is there twice", keys.back().name);
      if (!digests.insert(keys.back().digest).second) throw std::string("this key is there twice");
    } catch (const std::string& what) {
      throw Error(ErrorCode::kInvalidArgument, fmt::format("{}:{}: {}", path, number, what));
    }
  }
  if (keys.empty()) throw Error(ErrorCode::kInvalidArgument, path + ": holds no key");
  return keys;
}

}  // namespace sluice::serve
