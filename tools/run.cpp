// sluice run: values in, values out.
#include <algorithm>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "sluice/session.h"
#include "tools/elements.h"
#include "tools/files.h"
#include "tools/model_args.h"
#include "tools/npy.h"
#include "tools/terminal.h"
#include "tools/verbs.h"

namespace sluice::tools {
namespace {

struct Options {
  ModelOptions model;
  PictureOptions picture;
  std::vector<std::string> inputs;
  std::vector<std::string> saves;
  std::string output;
  int repeat = 1;
  uint64_t seed = 1;
};

[[noreturn]] void Fail(const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); }

using Json = nlohmann::ordered_json;
constexpr auto kReplaceBadUtf8 = Json::error_handler_t::replace;

// An object; JSON's keys are strings, so whole numbers are written in digits.
Json MapToJson(const Value& map) {
  using Types = TypeList<int64_t, std::string, float, double>;
  Json json = Json::object();
  Dispatch(Types(), map.keys().dtype(), [&](auto key_tag) {
    const auto keys = map.keys().values<typename decltype(key_tag)::type>();
    Dispatch(Types(), map.element_type(), [&](auto tag) {
      const auto values = map.mapped().values<typename decltype(tag)::type>();
      for (size_t i = 0; i < keys.size(); ++i) json[fmt::format("{}", keys[i])] = values[i];
    });
  });
  return json;
}

// Fills what --input leaves out with noise, and says so.
NamedValues GatherInputs(const Options& options, const Session& session) {
  NamedValues values;
  for (const std::string& text : options.inputs) {
    const Assignment input = ParseAssignment(text, session.inputs(), "input");
    if (values.count(input.value->name) != 0) Fail(fmt::format("input '{}' is given twice", input.value->name));
    values[input.value->name] = ReadInput(input.rest, *input.value, options.picture, nullptr);
  }
  uint64_t seed = options.seed;
  for (const ValueInfo& info : session.inputs()) {
    if (values.count(info.name) != 0) continue;
    Value noise = Noise(info, seed++);
    bool opened = false;
    ConcreteShape(info, &opened);
    fmt::print("input '{}' is filled with noise (seed {}), {}{}\n", info.name, seed - 1, DescribeValue(noise),
               opened ? "; open sizes are 1, --shape sets them" : "");
    values[info.name] = std::move(noise);
  }
  return values;
}

void PrintValue(const std::string& name, const Value& value) {
  std::string line = fmt::format("{}: {}", name, DescribeValue(value));
  if (value.is_tensor()) {
    const Summary summary = Summarize(value.tensor());
    if (summary.known) {
      line += fmt::format(", min {:.6g}, max {:.6g}, mean {:.6g}", summary.min, summary.max, summary.mean);
    }
    if (summary.nans > 0) line += fmt::format(", {} NaN", summary.nans);
  }
  if (value.is_map()) line += fmt::format(": {}", MapToJson(value).dump(-1, ' ', false, kReplaceBadUtf8));
  fmt::print("{}\n", line);
  if (!value.is_sequence()) return;
  for (size_t i = 0; i < value.items().size(); ++i) PrintValue(fmt::format("  {}[{}]", name, i), value.items()[i]);
}

void WriteJson(const std::string& dir, const std::string& name, const Json& json, std::set<std::string>& taken) {
  WriteFile(fmt::format("{}/{}.json", dir, SafeFileName(name, taken)), json.dump(2, ' ', false, kReplaceBadUtf8) + "\n");
}

// One .npy for each tensor; the items of a sequence are numbered. A .json for a map or a sequence of maps.
void WriteValue(const std::string& dir, const std::string& name, const Value& value, std::set<std::string>& taken) {
  if (value.is_tensor()) WriteNpy(fmt::format("{}/{}.npy", dir, SafeFileName(name, taken)), value.tensor());
  if (value.is_map()) WriteJson(dir, name, MapToJson(value), taken);
  if (!value.is_sequence()) return;
  if (!value.items().empty() && value.items()[0].is_map()) {
    Json maps = Json::array();
    for (const Value& item : value.items()) maps.push_back(MapToJson(item));
    return WriteJson(dir, name, maps, taken);
  }
  for (size_t i = 0; i < value.items().size(); ++i) {
    WriteValue(dir, fmt::format("{}_{}", name, i), value.items()[i], taken);
  }
}

int Run(const Options& options) {
  const Session session = Session::Load(options.model.model, ToSessionOptions(options.model));
  // What can go wrong with the results' places is found out before the work.
  std::vector<Assignment> saves;
  for (const std::string& text : options.saves) {
    saves.push_back(ParseAssignment(text, session.outputs(), "output"));
    CheckPicturePath(saves.back().rest);
  }
  if (!options.output.empty()) MakeDirectory(options.output);

  const NamedValues inputs = GatherInputs(options, session);
  NamedValues outputs;
  std::vector<double> times;
  {
    Progress progress("running");
    for (int i = 0; i < options.repeat; ++i) {
      const Stopwatch watch;
      outputs = session.Run(inputs);
      times.push_back(watch.ms());
      progress.Show((i + 1.0) / options.repeat, fmt::format("run {} of {}", i + 1, options.repeat));
    }
  }
  for (const ValueInfo& info : session.outputs()) PrintValue(info.name, outputs[info.name]);
  std::set<std::string> taken;
  for (const ValueInfo& info : session.outputs()) {
    if (!options.output.empty()) WriteValue(options.output, info.name, outputs[info.name], taken);
  }
  for (const Assignment& save : saves) {
    const Value& value = outputs[save.value->name];
    if (!value.is_tensor()) Fail(fmt::format("output '{}' is {}, no picture", save.value->name, DescribeValue(value)));
    const Picture picture = TensorToPicture(value.tensor(), options.picture, save.value->name);
    WritePicture(save.rest, picture);
    fmt::print("{}: {} x {} pixels\n", save.rest, picture.width, picture.height);
  }
  if (options.repeat > 1) {
    const double first = times[0];
    std::sort(times.begin(), times.end());
    fmt::print("{} runs: first {}, median {}, min {}\n", times.size(), FormatMs(first),
               FormatMs(Percentile(times, 0.5)), FormatMs(times[0]));
  }
  return 0;
}

}  // namespace

Verb AddRun(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("run", "Runs a model on files and writes its outputs");
  auto options = std::make_shared<Options>();
  AddModelOption(*verb, options->model);
  verb->add_option("--input", options->inputs,
                   "NAME=FILE: .npy, .pb or a picture (JPEG, PNG); NAME= may be left out for a lone input; "
                   "inputs without a file get noise; repeatable");
  verb->add_option("--output", options->output, "Folder where every output goes as NAME.npy");
  verb->add_option("--save", options->saves,
                   "NAME=FILE.png (or .jpg): an output as a picture, --mean and --scale undone; repeatable");
  verb->add_option("--repeat", options->repeat, "Runs this many times and prints the times (1)")
      ->check(CLI::Range(1, 1'000'000));
  verb->add_option("--seed", options->seed, "Seed of the noise (1)");
  AddThreadsOption(*verb, options->model);
  AddShapeOption(*verb, options->model);
  AddPassOptions(*verb, options->model);
  AddKernelOptions(*verb, options->model);
  AddCacheOptions(*verb, options->model);
  AddPictureOptions(*verb, options->picture);
  verb->footer("Example: sluice run upscale.onnx --input x=photo.png --shape x=1x3x480x640 --save y=large.png");
  return {verb, [options] { return Run(*options); }};
}

}  // namespace sluice::tools
