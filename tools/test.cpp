// sluice test: runs ONNX test cases, each a model.onnx beside folders test_data_set_* with the inputs and
// the expected outputs as .pb files.
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <limits>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "graph/import.h"
#include "sluice/session.h"
#include "tools/compare.h"
#include "tools/files.h"
#include "tools/known_failures.h"
#include "tools/model_args.h"
#include "tools/terminal.h"
#include "tools/verbs.h"

namespace sluice::tools {
namespace {

namespace fs = std::filesystem;

struct Options {
  ModelOptions model;
  std::vector<std::string> dirs;
  Tolerance tolerance;
  double rtol = -1;
  double atol = -1;
  std::string json;
  std::string known_failures;
  bool verbose = false;
};

struct Result {
  enum class Kind { kPassed, kFailed, kSkipped };
  Kind kind = Kind::kPassed;
  std::string reason;        // of a failure or a skip
  double largest_error = 0;  // over all outputs of all data sets
  uint64_t digest = 0;       // of all outputs: the same bits, the same digest
  double ms = 0;
  bool random = false;       // of an output only type and shape could be compared
};

const char* KindName(Result::Kind kind) {
  return kind == Result::Kind::kPassed ? "passed" : kind == Result::Kind::kFailed ? "failed" : "skipped";
}

// "set_2" before "set_10".
bool NaturalLess(const fs::path& a, const fs::path& b) {
  const std::string x = a.string(), y = b.string();
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  size_t i = 0, j = 0;
  while (i < x.size() && j < y.size()) {
    if (digit(x[i]) && digit(y[j])) {
      size_t end_i = i, end_j = j;
      while (end_i < x.size() && digit(x[end_i])) ++end_i;
      while (end_j < y.size() && digit(y[end_j])) ++end_j;
      const auto strip = [](const std::string& text, size_t begin, size_t end) {
        while (begin + 1 < end && text[begin] == '0') ++begin;
        return text.substr(begin, end - begin);
      };
      const std::string number_x = strip(x, i, end_i), number_y = strip(y, j, end_j);
      if (number_x.size() != number_y.size()) return number_x.size() < number_y.size();
      if (number_x != number_y) return number_x < number_y;
      i = end_i;
      j = end_j;
    } else if (x[i] != y[j]) {
      return x[i] < y[j];
    } else {
      ++i;
      ++j;
    }
  }
  return x.size() - i < y.size() - j;
}

std::vector<fs::path> DataSets(const fs::path& dir) {
  std::vector<fs::path> sets;
  for (const fs::directory_entry& entry : fs::directory_iterator(dir)) {
    if (entry.is_directory() && entry.path().filename().string().starts_with("test_data_set_")) {
      sets.push_back(entry.path());
    }
  }
  std::sort(sets.begin(), sets.end(), NaturalLess);
  return sets;
}

std::vector<fs::path> FindCases(const std::vector<std::string>& dirs) {
  std::vector<fs::path> cases;
  for (const std::string& dir : dirs) {
    std::error_code error;
    if (!fs::is_directory(dir, error)) {
      throw Error(ErrorCode::kInvalidArgument, fmt::format("'{}' is no folder", dir));
    }
    const size_t before = cases.size();
    const auto add = [&](const fs::path& path) {
      if (fs::is_regular_file(path / "model.onnx") && !DataSets(path).empty()) cases.push_back(path);
    };
    add(dir);
    for (const fs::directory_entry& entry :
         fs::recursive_directory_iterator(dir, fs::directory_options::skip_permission_denied)) {
      if (entry.is_directory()) add(entry.path());
    }
    if (cases.size() == before) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("'{}' has no test case: no model.onnx beside a folder test_data_set_*", dir));
    }
  }
  std::sort(cases.begin(), cases.end(), NaturalLess);
  cases.erase(std::unique(cases.begin(), cases.end()), cases.end());
  return cases;
}

// The files input_0.pb, input_1.pb, ... of a data set, as many as there are.
std::vector<std::string> NumberedFiles(const fs::path& set, const char* prefix) {
  std::vector<std::string> files;
  while (true) {
    const fs::path path = set / fmt::format("{}_{}.pb", prefix, files.size());
    if (!fs::exists(path)) return files;
    files.push_back(path.string());
  }
}

// The suite's authors had no bfloat16: its files hold the bits as uint16.
Value ReadValueOf(const std::string& path, const ValueInfo& info) {
  Value value = ReadValueProto(path, FileKindOf(info));
  if (info.dtype != DataType::kBFloat16 || !value.is_tensor() || value.tensor().dtype() != DataType::kUInt16)
    return value;
  const Tensor& bits = value.tensor();
  Tensor result(DataType::kBFloat16, bits.shape());
  std::memcpy(result.mutable_data(), bits.data(), static_cast<size_t>(bits.byte_size()));
  return result;
}

// Models of the suite declare sizes that their own test data does not have, as its runners do not look at them.
bool Fits(const ValueInfo& info, const Tensor& tensor) {
  if (!info.has_shape) return true;
  return std::equal(info.shape.begin(), info.shape.end(), tensor.shape().begin(), tensor.shape().end(),
                    [](int64_t declared, int64_t size) { return declared < 0 || declared == size; });
}

// The model for data of other shapes than it declares, where that is so.
std::optional<Session> ForShapesOf(const NamedValues& inputs, const Session& session, const std::string& model,
                                   SessionOptions options) {
  bool fits = true;
  for (const ValueInfo& info : session.inputs()) {
    const auto given = inputs.find(info.name);
    if (given == inputs.end() || !given->second.is_tensor() || Fits(info, given->second.tensor())) continue;
    options.input_shapes[info.name] = given->second.tensor().shape();
    fits = false;
  }
  if (fits) return std::nullopt;
  return Session::Load(model, options);
}

// Throws Error where the case cannot run; a mismatch is in `result`.
void RunSet(const Session& declared, const std::string& model, const SessionOptions& session_options,
            const fs::path& set, const Tolerance& tolerance, Result& result) {
  const auto fail = [&](const std::string& reason) {
    result.kind = Result::Kind::kFailed;
    if (result.reason.empty()) result.reason = fmt::format("{}: {}", set.filename().string(), reason);
  };
  const std::vector<std::string> input_files = NumberedFiles(set, "input");
  const std::vector<std::string> output_files = NumberedFiles(set, "output");
  if (input_files.size() > declared.inputs().size() || output_files.size() > declared.outputs().size()) {
    return fail(fmt::format("{} input and {} output files, the model has {} inputs and {} outputs",
                            input_files.size(), output_files.size(), declared.inputs().size(),
                            declared.outputs().size()));
  }
  if (output_files.empty()) return fail("there is no output_0.pb to compare with");
  NamedValues inputs;
  for (size_t i = 0; i < input_files.size(); ++i) {
    const ValueInfo& info = declared.inputs()[i];
    inputs[info.name] = ReadValueOf(input_files[i], info);
  }
  const std::optional<Session> fitted = ForShapesOf(inputs, declared, model, session_options);
  const Session& session = fitted ? *fitted : declared;
  const NamedValues outputs = session.Run(inputs);
  for (size_t i = 0; i < output_files.size(); ++i) {
    const ValueInfo& info = session.outputs()[i];
    const Value want = ReadValueOf(output_files[i], info);
    const auto found = outputs.find(info.name);
    const Value got = found == outputs.end() ? Value() : found->second;
    if (info.is_random) result.random = true;
    const Comparison comparison = info.is_random ? CompareKinds(got, want) : Compare(got, want, tolerance);
    result.largest_error = std::max(result.largest_error, comparison.largest_error);
    result.digest = Digest(got, result.digest);
    if (!comparison.equal) fail(fmt::format("output '{}': {}", info.name, comparison.message));
  }
}

Result RunCase(const fs::path& dir, const Options& options, const SessionOptions& session_options) {
  Result result;
  const Stopwatch watch;
  try {
    const std::string model = (dir / "model.onnx").string();
    const Session session = Session::Load(model, session_options);
    for (const fs::path& set : DataSets(dir)) {
      RunSet(session, model, session_options, set, options.tolerance, result);
    }
  } catch (const Error& error) {
    const bool unsupported = error.code() == ErrorCode::kUnsupported;
    // A mismatch that was found before stays the result.
    if (result.kind == Result::Kind::kPassed) {
      result.kind = unsupported ? Result::Kind::kSkipped : Result::Kind::kFailed;
      result.reason = error.what();
    }
  } catch (const std::bad_alloc&) {
    result = {.kind = Result::Kind::kFailed, .reason = "out of memory"};
  }
  result.ms = watch.ms();
  return result;
}

void PrintResult(const fs::path& dir, const Result& result, const std::string* known) {
  const char* kind = KindName(result.kind);
  if (result.kind == Result::Kind::kPassed) {
    fmt::print("{}passed {} ({}largest error {:.3g}, {})\n", known != nullptr ? "unexpectedly " : "", dir.string(),
               result.random ? "random: type and shape; " : "", result.largest_error, FormatMs(result.ms));
  } else if (known != nullptr) {
    fmt::print("{} as known {}: {}\n", kind, dir.string(), *known);
  } else {
    fmt::print("{} {}: {}\n", kind, dir.string(), result.reason);
  }
}

int Run(Options options) {
  if (options.rtol >= 0) options.tolerance.rtol = options.rtol;
  if (options.atol >= 0) options.tolerance.atol = options.atol;
  const SessionOptions session_options = ToSessionOptions(options.model);
  const std::vector<fs::path> cases = FindCases(options.dirs);
  std::map<Result::Kind, int> counts;
  std::optional<KnownFailures> known;
  if (!options.known_failures.empty()) {
    const std::vector<std::byte> text = ReadFile(options.known_failures);
    known = KnownFailures::Parse({reinterpret_cast<const char*>(text.data()), text.size()}, options.known_failures);
  }
  int unexpected = 0;
  nlohmann::ordered_json json_cases = nlohmann::ordered_json::array();
  Progress progress("testing");
  for (size_t i = 0; i < cases.size(); ++i) {
    progress.Show(static_cast<double>(i) / static_cast<double>(cases.size()), cases[i].filename().string());
    const Result result = RunCase(cases[i], options, session_options);
    ++counts[result.kind];
    const bool passed = result.kind == Result::Kind::kPassed;
    const std::string* reason = known ? known->Find(cases[i].string()) : nullptr;
    const bool expected = known ? passed == (reason == nullptr) : result.kind != Result::Kind::kFailed;
    if (!expected) ++unexpected;
    if (known ? !expected || options.verbose : !passed || options.verbose) {
      progress.Clear();
      PrintResult(cases[i], result, reason);
    }
    nlohmann::ordered_json entry = {{"case", cases[i].string()}, {"result", KindName(result.kind)}};
    if (!result.reason.empty()) entry["reason"] = result.reason;
    if (result.random) entry["random"] = true;
    // JSON has no infinity.
    if (std::isfinite(result.largest_error)) entry["largest_error"] = result.largest_error;
    else entry["largest_error"] = "inf";
    entry["digest"] = fmt::format("{:016x}", result.digest);
    entry["ms"] = result.ms;
    json_cases.push_back(std::move(entry));
  }
  progress.Clear();
  const int passed = counts[Result::Kind::kPassed], failed = counts[Result::Kind::kFailed],
            skipped = counts[Result::Kind::kSkipped];
  if (!options.json.empty()) {
    const nlohmann::ordered_json json = {
        {"passed", passed}, {"failed", failed}, {"skipped", skipped}, {"cases", json_cases}};
    WriteFile(options.json, json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
  }
  fmt::print("{} passed, {} failed, {} skipped\n", passed, failed, skipped);
  if (known) {
    for (const std::string& name : known->NotFound()) {
      fmt::print("{} is listed, but was not run\n", name);
      ++unexpected;
    }
  }
  return unexpected == 0 ? 0 : 1;
}

}  // namespace

Verb AddTest(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("test", "Runs ONNX test cases and compares their outputs");
  auto options = std::make_shared<Options>();
  verb->add_option("DIR", options->dirs, "Folders that are searched for model.onnx beside test_data_set_*")
      ->required();
  const auto not_negative = CLI::Range(0.0, std::numeric_limits<double>::max());
  verb->add_option("--rtol", options->rtol, "Allowed error relative to the value (1e-3; 16-bit floats 1e-2)")
      ->check(not_negative);
  verb->add_option("--atol", options->atol,
                   "Allowed absolute error (1e-4 times the output's largest magnitude; 16-bit floats 1e-3)")
      ->check(not_negative);
  verb->add_flag("--strict", options->tolerance.strict, "rtol 1e-3 and atol 1e-7, as the ONNX backend suite has it");
  verb->add_option("--json", options->json, "File for the result of every case");
  verb->add_option("--known-failures", options->known_failures,
                   "File of cases that must not pass, \"node/test_name reason\" a line; all others must");
  verb->add_flag("--verbose", options->verbose, "Prints the cases that pass, too");
  AddThreadsOption(*verb, options->model);
  AddPassOptions(*verb, options->model);
  verb->footer("Example: sluice test /usr/share/libonnx-testdata/data/simple");
  return {verb, [options] { return Run(*options); }};
}

}  // namespace sluice::tools
