#include "bench/arguments.h"

#include <algorithm>
#include <charconv>

#include "sluice/error.h"

namespace sluice::bench {

Arguments::Arguments(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string text = argv[i];
    const size_t equals = text.find('=');
    if (!text.starts_with("--") || equals == std::string::npos) {
      throw Error(ErrorCode::kInvalidArgument, "'" + text + "': expected --OPTION=VALUE");
    }
    values_[text.substr(2, equals - 2)] = text.substr(equals + 1);
  }
}

std::string Arguments::Text(const std::string& key, std::string fallback) {
  const auto found = values_.find(key);
  if (found == values_.end()) return fallback;
  std::string value = std::move(found->second);
  values_.erase(found);
  return value;
}

std::vector<int> Arguments::Numbers(const std::string& key, std::vector<int> fallback) {
  const std::string text = Text(key, "");
  if (text.empty()) return fallback;
  std::vector<int> numbers;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    int number = 0;
    const auto [stop, error] = std::from_chars(text.data() + begin, text.data() + end, number);
    if (error != std::errc() || stop != text.data() + end || number < 0) {
      throw Error(ErrorCode::kInvalidArgument,
                  "--" + key + "=" + text + ": expected numbers with commas between");
    }
    numbers.push_back(number);
    begin = end + 1;
  }
  return numbers;
}

void Arguments::CheckAllUsed() const {
  if (!values_.empty())
    throw Error(ErrorCode::kInvalidArgument, "unknown option --" + values_.begin()->first);
}

}  // namespace sluice::bench
