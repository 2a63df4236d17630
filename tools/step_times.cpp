#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "sluice/error.h"
#include "tools/files.h"
#include "tools/step_groups.h"

namespace sluice::tools {
namespace {

using Json = nlohmann::json;

// From the first piece's start to the last one's end, as profiles count.
std::vector<StepTime> FromTrace(const Json& events) {
  struct Span {
    StepTime time;
    double begin, end;
  };
  std::map<std::pair<std::string, std::string>, Span> spans;
  std::vector<std::pair<std::string, std::string>> order;
  for (const Json& event : events) {
    if (event.value("ph", "") != "X" || !event.contains("args")) continue;
    const std::string node = event.at("args").value("node", "");
    const double begin = event.at("ts").get<double>(), end = begin + event.at("dur").get<double>();
    const auto key = std::pair(node, event.value("name", ""));
    const auto [found, fresh] =
        spans.try_emplace(key, Span{{node, event.at("args").value("kernel", ""), 0, key.second}, begin, end});
    if (fresh) order.push_back(key);
    found->second.begin = std::min(found->second.begin, begin);
    found->second.end = std::max(found->second.end, end);
  }
  std::vector<StepTime> times;
  for (const auto& key : order) {
    Span& span = spans.at(key);
    span.time.ms = (span.end - span.begin) / 1e3;
    times.push_back(span.time);
  }
  return times;
}

std::vector<StepTime> FromFigures(const Json& steps) {
  std::vector<StepTime> times;
  for (const Json& step : steps) {
    times.push_back({step.at("node").get<std::string>(), step.at("kernel").get<std::string>(),
                     step.at("ms").get<double>(), step.value("operator", "")});
  }
  return times;
}

}  // namespace

std::vector<StepTime> ReadStepTimes(const std::string& path) {
  const std::vector<std::byte> bytes = ReadFile(path);
  const char* const text = reinterpret_cast<const char*>(bytes.data());
  std::vector<StepTime> times;
  try {
    const Json json = Json::parse(text, text + bytes.size());
    if (json.contains("traceEvents")) times = FromTrace(json.at("traceEvents"));
    if (json.contains("steps")) times = FromFigures(json.at("steps"));
  } catch (const Json::exception& error) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("'{}': {}", path, error.what()));
  }
  if (times.empty()) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("'{}': no times of steps, expected a file that sluice bench wrote by --profile or --json",
                    path));
  }
  return times;
}

std::vector<StepTime> StepTimesOf(std::span<const std::vector<StepProfile>> runs) {
  std::vector<StepTime> times;
  for (size_t i = 0; !runs.empty() && i < runs[0].size(); ++i) {
    std::vector<int64_t> all_ns;
    for (const std::vector<StepProfile>& run : runs) all_ns.push_back(run.at(i).total_ns);
    std::nth_element(all_ns.begin(), all_ns.begin() + all_ns.size() / 2, all_ns.end());
    times.push_back(
        {runs[0][i].node, runs[0][i].kernel, static_cast<double>(all_ns[all_ns.size() / 2]) / 1e6, runs[0][i].op});
  }
  return times;
}

}  // namespace sluice::tools
