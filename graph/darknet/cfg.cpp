#include "graph/darknet/cfg.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "graph/printable.h"
#include "sluice/error.h"

namespace sluice::darknet {
namespace {

[[noreturn]] void FailAt(const std::string& file, int line, const std::string& message) {
  throw Error(ErrorCode::kInvalidModel, file + ":" + std::to_string(line) + ": " + message);
}

// Of what is found in a file; a line of it may be long.
constexpr size_t kMostShown = 60;

std::string Quote(std::string_view text) {
  std::string quoted = "'";
  quoted += Printable(text, kMostShown);
  return quoted += "'";
}

template <typename T>
bool ParseWhole(std::string_view text, T& value) {
  if (!text.empty() && text[0] == '+') text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  if constexpr (std::is_floating_point_v<T>) return std::isfinite(value);
  return true;
}

std::vector<std::string_view> SplitList(std::string_view text) {
  std::vector<std::string_view> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    // A comma at the end is common.
    if (end > begin || end < text.size()) parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

}  // namespace

void Section::Add(const std::string& key, const std::string& value, int line) {
  const auto [entry, added] = entries_.emplace(key, Entry{value, line});
  if (!added && entry->second.value != value && entry->second.other_line == 0)
    entry->second.other_line = line;
}

const Section::Entry* Section::Find(std::string_view key) const {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return nullptr;
  if (found->second.other_line != 0) {
    FailAtLine(found->second.other_line, key,
               "stated before in line " + std::to_string(found->second.line) + ", with another value");
  }
  found->second.read = true;
  return &found->second;
}

std::string Section::PlaceAt(int line) const {
  return file_ + ":" + std::to_string(line) + ": [" + Printable(name_, kMostShown) + "]";
}
std::string Section::Place() const { return PlaceAt(line_); }

void Section::FailAtLine(int line, std::string_view key, const std::string& message) const {
  throw Error(ErrorCode::kInvalidModel,
              PlaceAt(line) + " " + (key.empty() ? "" : Printable(key, kMostShown) + ": ") + message);
}

void Section::Fail(std::string_view key, const std::string& message) const {
  const auto found = entries_.find(key);
  FailAtLine(found == entries_.end() ? line_ : found->second.line, key, message);
}

int64_t Section::Int(std::string_view key, int64_t fallback, int64_t least, int64_t most) const {
  const Entry* entry = Find(key);
  if (entry == nullptr) return fallback;
  int64_t value = 0;
  if (!ParseWhole(std::string_view(entry->value), value))
    Fail(key, "expected an integer, found " + Quote(entry->value));
  if (value < std::max(least, -kMost) || value > most) {
    const std::string bound = value > most ? "at most " + std::to_string(most)
                                           : "at least " + std::to_string(std::max(least, -kMost));
    Fail(key, "expected " + bound + ", found " + Printable(entry->value, kMostShown));
  }
  return value;
}

int64_t Section::Int(std::string_view key) const {
  if (!Has(key)) Fail(key, "missing");
  return Int(key, 0);
}

float Section::Float(std::string_view key, float fallback) const {
  const Entry* entry = Find(key);
  if (entry == nullptr) return fallback;
  float value = 0;
  if (!ParseWhole(std::string_view(entry->value), value))
    Fail(key, "expected a number, found " + Quote(entry->value));
  return value;
}

std::string Section::String(std::string_view key, std::string_view fallback) const {
  const Entry* entry = Find(key);
  return entry == nullptr ? std::string(fallback) : entry->value;
}

std::vector<int64_t> Section::Ints(std::string_view key) const {
  std::vector<int64_t> values;
  const Entry* entry = Find(key);
  if (entry == nullptr) return values;
  for (std::string_view part : SplitList(entry->value)) {
    int64_t value = 0;
    if (!ParseWhole(part, value)) Fail(key, "expected integers, found " + Quote(entry->value));
    values.push_back(value);
  }
  return values;
}

std::vector<float> Section::Floats(std::string_view key) const {
  std::vector<float> values;
  const Entry* entry = Find(key);
  if (entry == nullptr) return values;
  for (std::string_view part : SplitList(entry->value)) {
    float value = 0;
    if (!ParseWhole(part, value)) Fail(key, "expected numbers, found " + Quote(entry->value));
    values.push_back(value);
  }
  return values;
}

void Section::Ignore(std::initializer_list<std::string_view> keys) const {
  for (std::string_view key : keys) {
    const auto found = entries_.find(key);
    if (found != entries_.end()) found->second.read = true;
  }
}

void Section::CheckAllRead() const {
  for (const auto& [key, entry] : entries_) {
    if (!entry.read) Fail(key, "unknown key");
  }
}

std::vector<Section> ParseCfg(std::string_view text, const std::string& file) {
  std::vector<Section> sections;
  int number = 0;
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    ++number;
    std::string line;
    for (char c : text.substr(begin, end - begin)) {
      if (c != ' ' && c != '\t' && c != '\r') line += c;
    }
    begin = end + 1;
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    // Some files comment what follows a value.
    if (const size_t comment = line.find('#'); comment != std::string::npos) line.resize(comment);
    if (line[0] == '[') {
      if (line.size() < 3 || line.back() != ']')
        FailAt(file, number, "expected [section], found " + Quote(line));
      sections.emplace_back(file, line.substr(1, line.size() - 2), number);
      continue;
    }
    const size_t equals = line.find('=');
    if (equals == std::string::npos || equals == 0)
      FailAt(file, number, "expected key=value, found " + Quote(line));
    if (sections.empty()) FailAt(file, number, "key=value before the first [section]");
    sections.back().Add(line.substr(0, equals), line.substr(equals + 1), number);
  }
  if (sections.empty())
    throw Error(ErrorCode::kInvalidModel, file + ": no [section]; this is no Darknet configuration");
  return sections;
}

}  // namespace sluice::darknet
