#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::darknet {

// No size of a network needs more, and products of two stay far from overflow.
constexpr int64_t kMost = int64_t{1} << 31;
// The same for what is multiplied with more: windows, strides, paddings.
constexpr int64_t kMostWindow = 1 << 15;

// One [section] of a Darknet configuration file with its key=value lines.
class Section {
 public:
  Section(std::string file, std::string name, int line)
      : file_(std::move(file)), name_(std::move(name)), line_(line) {}

  const std::string& name() const { return name_; }
  int line() const { return line_; }
  // A key that is there already keeps its first value; whether that matters shows when it is read.
  void Add(const std::string& key, const std::string& value, int line);
  bool Has(std::string_view key) const { return entries_.find(key) != entries_.end(); }

  // Values; those without a fallback throw Error{kInvalidModel} where the key is missing. All of them
  // throw where the text is not what is asked for, or the key is stated again with another value, naming
  // file, line, section and key. They count the key as read.
  int64_t Int(std::string_view key, int64_t fallback, int64_t least = INT64_MIN, int64_t most = kMost) const;
  int64_t Int(std::string_view key) const;
  float Float(std::string_view key, float fallback) const;
  std::string String(std::string_view key, std::string_view fallback) const;
  std::vector<int64_t> Ints(std::string_view key) const;  // empty where the key is missing
  std::vector<float> Floats(std::string_view key) const;

  // Counts keys that only training uses as read.
  void Ignore(std::initializer_list<std::string_view> keys) const;
  // Throws Error{kInvalidModel} for the first key that nobody has read.
  void CheckAllRead() const;

  // "net.cfg:12: [maxpool]", the line of the section.
  std::string Place() const;
  // Throws Error{kInvalidModel}: "net.cfg:12: [maxpool] size: " + message.
  [[noreturn]] void Fail(std::string_view key, const std::string& message) const;

 private:
  struct Entry {
    std::string value;
    int line;
    int other_line = 0;  // where the key is stated again with another value
    mutable bool read = false;
  };
  // Null where the key is missing.
  const Entry* Find(std::string_view key) const;
  std::string PlaceAt(int line) const;
  [[noreturn]] void FailAtLine(int line, std::string_view key, const std::string& message) const;

  std::string file_, name_;
  int line_;
  std::map<std::string, Entry, std::less<>> entries_;
};

// Sections in order; `file` names the text in messages. Lines that begin with # or ; are comments, blanks
// around and inside of lines do not count. Throws Error{kInvalidModel} with file and line.
std::vector<Section> ParseCfg(std::string_view text, const std::string& file);

}  // namespace sluice::darknet
