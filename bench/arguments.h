#pragma once

#include <map>
#include <string>
#include <vector>

namespace sluice::bench {

// What Google Benchmark left of a command line: --KEY=VALUE each. Throws Error{kInvalidArgument} for anything
// else.
class Arguments {
 public:
  Arguments(int argc, char** argv);

  std::string Text(const std::string& key, std::string fallback);
  // Numbers of 0 or more with commas between.
  std::vector<int> Numbers(const std::string& key, std::vector<int> fallback);
  // Throws for options that nobody asked for.
  void CheckAllUsed() const;

 private:
  std::map<std::string, std::string> values_;
};

}  // namespace sluice::bench
