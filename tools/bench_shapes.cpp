#include "tools/bench_shapes.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <random>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tools/elements.h"
#include "tools/files.h"
#include "tools/terminal.h"

namespace sluice::tools {
namespace {

constexpr int64_t kMostSize = 1 << 20;
constexpr int64_t kMostBatch = 4;
// Runs at the beginning and at the end that are compared.
constexpr size_t kGroup = 100;

int64_t ResidentBytes() {
  int64_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

int64_t PeakBytes() {
  struct rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

double MedianOf(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  return Percentile(times, 0.5);
}

}  // namespace

RandomShapes ParseRandomShapes(const std::string& text) {
  RandomShapes shapes;
  const char* at = text.data();
  const char* const end = at + text.size();
  bool good = true;
  const auto literal = [&](std::string_view expected) {
    good = good && std::string_view(at, end).starts_with(expected);
    if (good) at += expected.size();
  };
  const auto number = [&](int64_t& value) {
    if (!good) return;
    const auto [stop, error] = std::from_chars(at, end, value);
    good = error == std::errc() && value >= 1 && value <= kMostSize;
    at = stop;
  };
  literal("random:");
  number(shapes.count);
  if (good && at != end) {
    literal(":");
    number(shapes.low);
    literal("-");
    number(shapes.high);
  }
  if (good && at != end) {
    literal("/");
    number(shapes.step);
  }
  // A multiple of the step must lie in the range.
  good = good && at == end && shapes.high / shapes.step * shapes.step >= shapes.low;
  if (!good) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("--shapes: '{}', expected random:COUNT, random:COUNT:LOW-HIGH or "
                            "random:COUNT:LOW-HIGH/STEP with numbers from 1 to {} and a multiple of STEP in the range",
                            text, kMostSize));
  }
  return shapes;
}

std::map<std::string, Shape> DrawShapes(const std::vector<ValueInfo>& inputs, const RandomShapes& shapes,
                                        uint64_t seed) {
  std::mt19937_64 engine(seed);
  const auto draw = [&](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(engine() % static_cast<uint64_t>(high - low + 1));
  };
  std::map<std::string, int64_t> named;
  std::map<std::string, Shape> drawn;
  for (const ValueInfo& info : inputs) {
    Shape shape = info.shape;
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      if (shape[axis] >= 0) continue;
      const std::string& name = info.dim_names[axis];
      if (const auto found = named.find(name); !name.empty() && found != named.end()) {
        shape[axis] = found->second;
        continue;
      }
      const int64_t step = shapes.step;
      shape[axis] = axis == 0 ? draw(1, kMostBatch) : step * draw((shapes.low + step - 1) / step, shapes.high / step);
      if (!name.empty()) named[name] = shape[axis];
    }
    drawn[info.name] = shape;
  }
  return drawn;
}

int BenchShapes(const ModelOptions& options, const RandomShapes& shapes, const std::string& json_path) {
  const Session session = Session::Load(options.model, ToSessionOptions(options));
  const bool open = std::any_of(session.inputs().begin(), session.inputs().end(), [](const ValueInfo& info) {
    return std::any_of(info.shape.begin(), info.shape.end(), [](int64_t size) { return size < 0; });
  });
  if (!open) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("'{}' leaves no size open: inputs are {}; open one with --shape", options.model,
                            ListValues(session.inputs())));
  }
  std::vector<double> times;
  int64_t early_bytes = 0, early_plans = 0;
  {
    Progress progress("running");
    for (int64_t run = 0; run < shapes.count; ++run) {
      NamedValues inputs;
      for (ValueInfo info : session.inputs()) {
        info.shape = DrawShapes(session.inputs(), shapes, static_cast<uint64_t>(run)).at(info.name);
        inputs[info.name] = Noise(info, static_cast<uint64_t>(run));
      }
      const Stopwatch watch;
      session.Run(inputs);
      times.push_back(watch.ms());
      if (times.size() == kGroup) {
        early_bytes = ResidentBytes();
        early_plans = session.cache().plans_made;
      }
      progress.Show(static_cast<double>(run + 1) / static_cast<double>(shapes.count), fmt::format("size {}", run + 1));
    }
  }
  const CacheInfo cache = session.cache();
  const int64_t resident = ResidentBytes(), peak = PeakBytes();
  fmt::print("{}\n", options.model);
  fmt::print("sizes       {} sets, open ones {} to {} in steps of {}\n", shapes.count, shapes.low, shapes.high,
             shapes.step);
  fmt::print("threads     {}\n", session.threads());
  fmt::print("plans       {} made, {} kept\n", cache.plans_made, cache.plans);
  fmt::print("held        {} by plans, {} by memory of past runs\n", FormatBytes(static_cast<double>(cache.plan_bytes)),
             FormatBytes(static_cast<double>(cache.idle_arena_bytes)));
  nlohmann::ordered_json json = {{"model", options.model},
                                 {"sizes", shapes.count},
                                 {"threads", session.threads()},
                                 {"plans_made", cache.plans_made},
                                 {"plans", cache.plans},
                                 {"plan_bytes", cache.plan_bytes},
                                 {"idle_arena_bytes", cache.idle_arena_bytes},
                                 {"resident_bytes", resident},
                                 {"peak_rss_bytes", peak},
                                 {"median_ms", MedianOf(times)}};
  if (times.size() >= 2 * kGroup) {
    const double first = MedianOf({times.begin(), times.begin() + kGroup});
    const double last = MedianOf({times.end() - kGroup, times.end()});
    fmt::print("latency     median {} over the first {} runs, {} over the last (plans included)\n", FormatMs(first),
               kGroup, FormatMs(last));
    fmt::print("memory      {} after {} runs ({} plans), {} at the end, {} at the peak\n",
               FormatBytes(static_cast<double>(early_bytes)), kGroup, early_plans,
               FormatBytes(static_cast<double>(resident)), FormatBytes(static_cast<double>(peak)));
    json["first_median_ms"] = first;
    json["last_median_ms"] = last;
    json["early_resident_bytes"] = early_bytes;
  } else {
    fmt::print("latency     median {} (plans included)\n", FormatMs(MedianOf(times)));
    fmt::print("memory      {} at the end, {} at the peak\n", FormatBytes(static_cast<double>(resident)),
               FormatBytes(static_cast<double>(peak)));
  }
  if (!json_path.empty()) WriteFile(json_path, json.dump(2) + "\n");
  return 0;
}

}  // namespace sluice::tools
