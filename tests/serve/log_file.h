#pragma once

#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/serve/log.h"

namespace sluice::serve {

// The log of this process, as JSON in a file, until Lines.
class LogFile {
 public:
  LogFile() { StartLog({.json = true, .file = path_}); }
  ~LogFile() {
    StopLog();
    std::remove(path_.c_str());
  }
  // Those of requests.
  std::vector<nlohmann::json> Requests() {
    StopLog();
    std::vector<nlohmann::json> lines;
    std::ifstream file(path_);
    for (std::string text; std::getline(file, text);)
      if (nlohmann::json line = nlohmann::json::parse(text); line["message"] == "request")
        lines.push_back(std::move(line));
    return lines;
  }

 private:
  const std::string path_ = testing::TempDir() + "sluice_log_" + std::to_string(getpid());
};

inline constexpr char kTrace[] = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";

}  // namespace sluice::serve
