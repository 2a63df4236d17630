// sluice bench: how long a model takes, and where.
#include <fmt/format.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <future>
#include <nlohmann/json.hpp>
#include <optional>

#include "sluice/session.h"
#include "tools/bench_shapes.h"
#include "tools/elements.h"
#include "tools/files.h"
#include "tools/model_args.h"
#include "tools/terminal.h"
#include "tools/verbs.h"

namespace sluice::tools {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  ModelOptions model;
  double seconds = 3;
  int warmup = 3;
  int requests = 1;
  int top = 10;
  std::string json;
  std::string profile;
  std::string random_shapes;
};

struct Timing {
  double load_ms = 0;  // plan included
  double plan_ms = 0;
  double total_ms = 0;  // from the start of the first run to the end of the last
  std::vector<double> sorted_ms;
  int64_t peak_rss_bytes = 0;
  int threads = 0;
  PlanInfo plan;
  double at(double p) const { return Percentile(sorted_ms, p); }
  double runs_per_s() const { return 1000 * static_cast<double>(sorted_ms.size()) / total_ms; }
};

// Runs until `seconds` have passed, once at least; the times in ms. `what` names the progress bar, null for
// none.
std::vector<double> RunFor(const Session& session, const NamedValues& inputs, double seconds,
                           const char* what) {
  constexpr size_t kMaxRuns = 10'000'000;
  std::vector<double> times;
  std::optional<Progress> progress;
  if (what != nullptr) progress.emplace(what);
  const Stopwatch all;
  do {
    const Stopwatch one;
    session.Run(inputs);
    times.push_back(one.ms());
    if (progress) progress->Show(all.ms() / (1000 * seconds), fmt::format("{} runs", times.size()));
  } while (all.ms() < 1000 * seconds && times.size() < kMaxRuns);
  return times;
}

// The same from `requests` threads at once, the calling one among them.
std::vector<double> RunConcurrently(const Session& session, const NamedValues& inputs, double seconds,
                                    int requests) {
  std::vector<std::future<std::vector<double>>> others;
  for (int i = 1; i < requests; ++i) {
    others.push_back(
        std::async(std::launch::async, [&] { return RunFor(session, inputs, seconds, nullptr); }));
  }
  std::vector<double> times = RunFor(session, inputs, seconds, "measuring");
  for (auto& other : others) {
    const std::vector<double> more = other.get();
    times.insert(times.end(), more.begin(), more.end());
  }
  return times;
}

std::map<std::string, Shape> ShapesOf(const NamedValues& inputs) {
  std::map<std::string, Shape> shapes;
  for (const auto& [name, value] : inputs) shapes[name] = value.tensor().shape();
  return shapes;
}

std::string ShapeList(const NamedValues& inputs) {
  std::string text;
  for (const auto& [name, value] : inputs) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, ToString(value.tensor().shape()));
  }
  return text;
}

Timing Measure(const Options& options, std::string& shapes) {
  Timing timing;
  const Stopwatch load;
  const Session session = Session::Load(options.model.model, ToSessionOptions(options.model));
  timing.load_ms = load.ms();
  const NamedValues inputs = NoiseInputs(session, 1);
  shapes = ShapeList(inputs);
  const Stopwatch plan;
  timing.plan = session.Prepare(ShapesOf(inputs));
  timing.plan_ms = plan.ms();
  timing.load_ms += timing.plan_ms;
  for (int i = 0; i < options.warmup; ++i) session.Run(inputs);
  const Stopwatch all;
  timing.sorted_ms = RunConcurrently(session, inputs, options.seconds, options.requests);
  timing.total_ms = all.ms();
  std::sort(timing.sorted_ms.begin(), timing.sorted_ms.end());
  timing.threads = session.threads();
  struct rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  timing.peak_rss_bytes = int64_t{usage.ru_maxrss} * 1024;
  return timing;
}

void PrintTiming(const Timing& timing, const Options& options, const std::string& shapes) {
  fmt::print("{}\n", options.model.model);
  fmt::print("inputs      {}\n", shapes);
  fmt::print("threads     {}\n", timing.threads);
  if (options.requests > 1) fmt::print("requests    {} at once\n", options.requests);
  fmt::print("passes      {}\n", options.model.passes);
  // Models whose sizes are all declared are planned while they load.
  const std::string planned = fmt::format(" ({} of it planning for these inputs)", FormatMs(timing.plan_ms));
  fmt::print("load        {}{}\n", FormatMs(timing.load_ms), timing.plan_ms < timing.load_ms / 100 ? "" : planned);
  fmt::print("latency     median {}, min {}, p90 {}, p99 {} ({} runs after {} to warm up)\n",
             FormatMs(timing.at(0.5)), FormatMs(timing.at(0)), FormatMs(timing.at(0.9)),
             FormatMs(timing.at(0.99)), timing.sorted_ms.size(), options.warmup);
  const double gflop = static_cast<double>(timing.plan.flops) / 1e9;
  fmt::print("throughput  {:.4g} runs/s", timing.runs_per_s());
  if (gflop > 0) fmt::print(", {:.4g} GFLOP/s of {:.4g} GFLOP a run", gflop * timing.runs_per_s(), gflop);
  fmt::print("\nmemory      {} at the peak\n", FormatBytes(static_cast<double>(timing.peak_rss_bytes)));
}

// The first runs of a session meet memory that is not there yet.
std::vector<StepProfile> ProfileOfWarmup(const Session& session, const NamedValues& inputs, int runs) {
  for (int i = 0; i < runs; ++i) session.Run(inputs);
  return runs > 0 ? session.profile() : std::vector<StepProfile>();
}

double MsPerCall(const StepProfile& step) {
  return step.calls == 0 ? 0 : static_cast<double>(step.total_ns) / 1e6 / static_cast<double>(step.calls);
}

void PrintSteps(const std::vector<StepProfile>& steps, int top) {
  double total = 0;
  for (const StepProfile& step : steps) total += MsPerCall(step);
  std::vector<const StepProfile*> sorted;
  for (const StepProfile& step : steps) sorted.push_back(&step);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const StepProfile* a, const StepProfile* b) { return MsPerCall(*a) > MsPerCall(*b); });
  if (sorted.size() > static_cast<size_t>(top)) sorted.resize(static_cast<size_t>(top));
  std::vector<std::vector<std::string>> rows = {
      {"share", "time", "GFLOP/s", "operator", "kernel", "output", "step"}};
  for (const StepProfile* step : sorted) {
    const double ms = MsPerCall(*step);
    rows.push_back(
        {fmt::format("{:.1f} %", total > 0 ? 100 * ms / total : 0), FormatMs(ms),
         step->flops > 0 && ms > 0 ? fmt::format("{:.1f}", static_cast<double>(step->flops) / 1e6 / ms) : "",
         step->op, step->kernel, step->output_shape, step->node});
  }
  fmt::print("\nsteps       {} of {}, {} together (measured apart, with the profile on)\n{}", sorted.size(),
             steps.size(), FormatMs(total), FormatTable(rows));
}

// The last run as Chrome's trace event format, which ui.perfetto.dev opens.
Json TraceJson(const Session& session) {
  const std::vector<StepProfile> steps = session.profile();
  Json events = Json::array();
  std::map<int, bool> threads;
  for (const TraceEvent& event : session.trace()) {
    if (event.step < 0 || static_cast<size_t>(event.step) >= steps.size()) continue;
    const StepProfile& step = steps[static_cast<size_t>(event.step)];
    threads[event.thread] = true;
    events.push_back(
        {{"name", step.op},
         {"cat", "step"},
         {"ph", "X"},
         {"ts", static_cast<double>(event.begin_ns) / 1e3},
         {"dur", static_cast<double>(event.end_ns - event.begin_ns) / 1e3},
         {"pid", 1},
         {"tid", event.thread},
         {"args", {{"node", step.node}, {"kernel", step.kernel}, {"output", step.output_shape}}}});
  }
  for (const auto& [thread, used] : threads) {
    events.push_back({{"name", "thread_name"},
                      {"ph", "M"},
                      {"pid", 1},
                      {"tid", thread},
                      {"args", {{"name", fmt::format("thread {}", thread)}}}});
  }
  return {{"displayTimeUnit", "ms"}, {"traceEvents", std::move(events)}};
}

Json StepsJson(const std::vector<StepProfile>& steps) {
  Json json = Json::array();
  for (const StepProfile& step : steps) {
    json.push_back({{"node", step.node},
                    {"operator", step.op},
                    {"kernel", step.kernel},
                    {"inputs", step.input_shapes},
                    {"output", step.output_shape},
                    {"ms", MsPerCall(step)},
                    {"flops", step.flops}});
  }
  return json;
}

int Run(const Options& options) {
  if (!options.random_shapes.empty()) {
    return BenchShapes(options.model, ParseRandomShapes(options.random_shapes), options.json);
  }
  std::string shapes;
  const Timing timing = Measure(options, shapes);
  PrintTiming(timing, options, shapes);
  Json json = {{"median_ms", timing.at(0.5)},
               {"min_ms", timing.at(0)},
               {"p90_ms", timing.at(0.9)},
               {"p99_ms", timing.at(0.99)},
               {"runs_per_s", timing.runs_per_s()},
               {"load_ms", timing.load_ms},
               {"peak_rss_bytes", timing.peak_rss_bytes},
               {"threads", timing.threads},
               {"requests", options.requests},
               {"model", options.model.model},
               {"inputs", shapes},
               {"passes", options.model.passes},
               {"runs", timing.sorted_ms.size()},
               {"plan_ms", timing.plan_ms},
               {"flops", timing.plan.flops},
               {"arena_bytes", timing.plan.arena_bytes},
               {"packed_bytes", timing.plan.packed_bytes},
               {"version", Version()}};
  if (options.top > 0 || !options.profile.empty()) {
    // A session of its own: taking times of steps costs time.
    SessionOptions session_options = ToSessionOptions(options.model);
    session_options.profile = true;
    const Session session = Session::Load(options.model.model, session_options);
    const NamedValues inputs = NoiseInputs(session, 1);
    const std::vector<StepProfile> first = ProfileOfWarmup(session, inputs, options.warmup);
    RunFor(session, inputs, std::min(1.0, options.seconds), "profiling");
    std::vector<StepProfile> steps = session.profile();
    for (size_t i = 0; i < first.size(); ++i) {
      steps[i].calls -= first[i].calls;
      steps[i].total_ns -= first[i].total_ns;
    }
    if (options.top > 0) PrintSteps(steps, options.top);
    json["steps"] = StepsJson(steps);
    if (!options.profile.empty()) {
      WriteFile(options.profile,
                TraceJson(session).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
      fmt::print("\ntrace of one run in {}: open it at ui.perfetto.dev\n", options.profile);
    }
  }
  if (!options.json.empty()) {
    WriteFile(options.json, json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  }
  return 0;
}

}  // namespace

Verb AddBench(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("bench", "Measures latency, throughput, load time and memory");
  auto options = std::make_shared<Options>();
  AddModelOption(*verb, options->model);
  verb->add_option("--seconds", options->seconds, "Measures for this long (3)")->check(CLI::Range(0.0, 1e6));
  verb->add_option("--warmup", options->warmup, "Runs before measuring (3)")->check(CLI::Range(0, 1'000'000));
  verb->add_option("--requests", options->requests,
                   "Requests under way at once, each from a thread of its own (1)")
      ->check(CLI::Range(1, 1024));
  verb->add_option("--json", options->json, "File for the figures");
  verb->add_option("--profile", options->profile, "File for the trace of a run, for ui.perfetto.dev");
  verb->add_option("--steps", options->top, "Rows of the table of the slowest steps (10; 0: no table)")
      ->check(CLI::Range(0, 1'000'000));
  AddThreadsOption(*verb, options->model);
  AddShapeOption(*verb, options->model);
  AddPassOptions(*verb, options->model);
  AddKernelOptions(*verb, options->model);
  AddCacheOptions(*verb, options->model);
  verb->add_option(
      "--shapes", options->random_shapes,
      "random:2000[:LOW-HIGH[/STEP]] runs on that many sizes in turn, open ones drawn from the range "
      "(32-160), instead of measuring one");
  verb->footer("Example: sluice bench model.onnx --threads 2 --seconds 5 --json figures.json");
  return {verb, [options] { return Run(*options); }};
}

}  // namespace sluice::tools
