// sluice compare: where two models, or two ways to run one, begin to differ.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "sluice/session.h"
#include "tools/compare_runs.h"
#include "tools/files.h"
#include "tools/model_args.h"
#include "tools/terminal.h"
#include "tools/verbs.h"

namespace sluice::tools {
namespace {

using nlohmann::json;

struct Options {
  ModelOptions model;
  PictureOptions picture;
  std::string other, json_file;
  bool passes_off = false, other_passes_off = false, quiet = false;
  std::optional<int> other_threads;
  std::vector<std::string> inputs;
  std::optional<double> rtol, atol;
  uint64_t seed = 1;
  int64_t memory_mb = 256;
};

[[noreturn]] void Fail(const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); }

SessionOptions SideOptions(const Options& options, bool other) {
  SessionOptions side = ToSessionOptions(options.model);
  side.passes = !(other ? options.other_passes_off : options.passes_off);
  if (other && options.other_threads) side.threads = *options.other_threads;
  return side;
}

NamedValues GatherInputs(const Options& options, const Session& session) {
  NamedValues values;
  for (const std::string& text : options.inputs) {
    const Assignment input = ParseAssignment(text, session.inputs(), "input");
    if (values.count(input.value->name) != 0)
      Fail(fmt::format("input '{}' is given twice", input.value->name));
    values[input.value->name] = ReadInput(input.rest, *input.value, options.picture, nullptr);
  }
  uint64_t seed = options.seed;
  for (const ValueInfo& info : session.inputs()) {
    if (values.count(info.name) == 0) values[info.name] = Noise(info, seed);
    ++seed;
  }
  return values;
}

void CheckSameInputs(const Session& a, const Session& b) {
  for (const ValueInfo& info : b.inputs()) {
    const auto same = [&](const ValueInfo& other) {
      return other.name == info.name && other.dtype == info.dtype;
    };
    if (a.inputs().size() != b.inputs().size() || std::none_of(a.inputs().begin(), a.inputs().end(), same)) {
      Fail(fmt::format("the models take different inputs: {} and {}", ListValues(a.inputs()),
                       ListValues(b.inputs())));
    }
  }
}

void Print(const RunComparison& comparison, const Options& options) {
  std::vector<std::vector<std::string>> rows = {
      {"value", "operator", "type", "max abs", "max rel", "cosine", "ulps"}};
  int64_t differ = 0, not_finite = 0;
  for (const ComparedValue& value : comparison.values) {
    differ += !value.result.equal;
    not_finite += value.errors.not_finite > 0;
    if (options.quiet && value.result.equal) continue;
    rows.push_back({(value.result.equal ? "  " : "! ") + value.name, value.op.empty() ? "-" : value.op,
                    value.type, fmt::format("{:.3g}", value.errors.max_abs),
                    fmt::format("{:.3g}", value.errors.max_rel), fmt::format("{:.7f}", value.errors.cosine),
                    FormatUlps(value.errors)});
  }
  if (rows.size() > 1) fmt::print("{}", FormatTable(rows));
  if (const ComparedValue* first = FirstDivergence(comparison)) {
    fmt::print("first to differ: '{}', computed by {}{}\n  {}\n", first->name,
               first->op.empty() ? "no step of its own" : first->op,
               first->node.empty() ? "" : " '" + first->node + "'", first->result.message);
  }
  fmt::print("{} values compared, {} differ", comparison.values.size(), differ);
  if (not_finite > 0) fmt::print("; {} hold numbers that are not finite on both sides", not_finite);
  if (comparison.only_got + comparison.only_want > 0) {
    fmt::print("; {} only in the first, {} only in the second", comparison.only_got, comparison.only_want);
  }
  if (!comparison.unused.empty()) {
    fmt::print("; {} files match no value, the first {}", comparison.unused.size(), comparison.unused[0]);
  }
  fmt::print("\n");
}

json Number(double value) { return std::isfinite(value) ? json(value) : json(nullptr); }

void WriteJson(const RunComparison& comparison, const std::string& path) {
  json values = json::array();
  for (const ComparedValue& value : comparison.values) {
    values.push_back({{"name", value.name},
                      {"node", value.node},
                      {"operator", value.op},
                      {"type", value.type},
                      {"agrees", value.result.equal},
                      {"reason", value.result.message},
                      {"not_finite", value.errors.not_finite},
                      {"max_abs", Number(value.errors.max_abs)},
                      {"max_rel", Number(value.errors.max_rel)},
                      {"cosine", Number(value.errors.cosine)},
                      {"ulps", value.errors.ulps}});
  }
  const ComparedValue* first = FirstDivergence(comparison);
  const json report = {{"values", values},
                       {"ulp_bounds", ValueErrors::kUlpBounds},
                       {"agree", first == nullptr},
                       {"first_to_differ", first == nullptr ? json(nullptr) : json(first->name)},
                       {"only_in_first", comparison.only_got},
                       {"only_in_second", comparison.only_want},
                       {"unused_files", comparison.unused},
                       {"runs", comparison.runs}};
  // Names are the model's: whatever bytes it has.
  WriteFile(path, report.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
}

int Run(const Options& options) {
  const bool folder = !options.other.empty() && std::filesystem::is_directory(options.other);
  const bool same_run = options.passes_off == options.other_passes_off &&
                        options.other_threads.value_or(options.model.threads) == options.model.threads;
  if (options.other.empty() && same_run) {
    Fail(
        "nothing to compare with: expected a second model, a folder of tensors, --passes-off-b or "
        "--threads-b");
  }
  if (folder && (options.other_passes_off || options.other_threads)) {
    Fail("--passes-off-b and --threads-b are for a second model, not for a folder of tensors");
  }
  Progress progress("comparing");
  CompareOptions compare;
  compare.tolerance = {options.rtol, options.atol};
  compare.memory_bytes = options.memory_mb << 20;
  compare.stage = [&](std::string_view what) { progress.Show(0.5, what); };

  const Session got = Session::Load(options.model.model, SideOptions(options, false));
  const NamedValues inputs = GatherInputs(options, got);
  RunComparison comparison;
  if (folder) {
    comparison = CompareWithFolder(got, options.other, inputs, compare);
  } else {
    const std::string& path = options.other.empty() ? options.model.model : options.other;
    const Session want = Session::Load(path, SideOptions(options, true));
    CheckSameInputs(got, want);
    comparison = CompareSessions(got, want, inputs, compare);
    if (comparison.values.empty()) Fail("the models have no value of the same name");
  }
  progress.Clear();
  Print(comparison, options);
  if (!options.json_file.empty()) WriteJson(comparison, options.json_file);
  return FirstDivergence(comparison) == nullptr ? 0 : 1;
}

}  // namespace

Verb AddCompare(CLI::App& app) {
  CLI::App* verb =
      app.add_subcommand("compare", "Finds the first value in which two models, or runs of one, differ");
  auto options = std::make_shared<Options>();
  verb->add_option("MODEL", options->model.model, "The ONNX model file to look at")->required();
  verb->add_option("OTHER", options->other,
                   "What it should give: another model, or a folder of NAME.npy or NAME.pb files; the same "
                   "model if left out");
  verb->add_flag("--passes-off", options->passes_off, "Runs MODEL as it is written");
  verb->add_flag("--passes-off-b", options->other_passes_off, "Runs OTHER as it is written");
  AddThreadsOption(*verb, options->model);
  verb->add_option("--threads-b", options->other_threads, "Threads of OTHER (as --threads)")
      ->check(CLI::Range(0, 4096));
  verb->add_option("--disable-pass", options->model.disabled_passes,
                   "Leaves out the pass of this name; repeatable");
  verb->add_option("--input", options->inputs,
                   "NAME=FILE: .npy, .pb or a picture; inputs without a file get the same noise on both "
                   "sides; repeatable");
  verb->add_option("--seed", options->seed, "Seed of the noise (1)");
  AddShapeOption(*verb, options->model);
  verb->add_option("--rtol", options->rtol, "Relative tolerance (1e-3; 16-bit floats 1e-2)")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--atol", options->atol,
                   "Absolute tolerance (1e-4 of a value's largest number; 16-bit floats 1e-3)")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--memory", options->memory_mb,
                   "MB of values kept at a time; what has more is run more often (256)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20));
  verb->add_flag("--quiet", options->quiet, "Lists values that differ alone");
  verb->add_option("--json", options->json_file, "File for all figures");
  AddPictureOptions(*verb, options->picture);
  verb->footer(
      "Examples: sluice compare model.onnx --passes-off-b\n"
      "          sluice compare fast.onnx model.onnx --input image=photo.png\n"
      "          sluice compare model.onnx --threads 8 --threads-b 1 --rtol 0 --atol 0\n"
      "          sluice compare model.onnx expected/ --json differences.json");
  return {verb, [options] { return Run(*options); }};
}

}  // namespace sluice::tools
