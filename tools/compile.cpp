// sluice compile: a model with all that loading it works out, in a file that is mapped.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>

#include "sluice/session.h"
#include "tools/model_args.h"
#include "tools/terminal.h"
#include "tools/verbs.h"

namespace sluice::tools {
namespace {

struct Options {
  ModelOptions model;
  std::string output;
  std::vector<std::string> plans;
};

// "a=1x3,b=2": the shapes of one plan.
std::map<std::string, Shape> ParsePlan(const std::string& text, const SessionOptions& session) {
  std::map<std::string, Shape> shapes;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string part = text.substr(begin, end - begin);
    const size_t equals = part.rfind('=');
    if (equals == std::string::npos)
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("--plan {}: expected NAME=SHAPE in '{}'", text, part));
    shapes[part.substr(0, equals)] = ParseShape(part.substr(equals + 1));
    begin = end + 1;
  }
  for (const auto& [name, shape] : session.input_shapes) shapes.try_emplace(name, shape);
  return shapes;
}

std::string SizeOf(const std::string& path) {
  return FormatBytes(static_cast<double>(std::filesystem::file_size(path)));
}

int Run(const Options& options) {
  SessionOptions session = ToSessionOptions(options.model);
  std::vector<std::map<std::string, Shape>> plans;
  for (const std::string& text : options.plans) plans.push_back(ParsePlan(text, session));
  Session::Compile(options.model.model, options.output, session, plans);
  // Whether it loads shows here rather than where it is needed.
  session.verify_compiled = true;
  Session::Load(options.output, session);
  session.verify_compiled = false;
  const Stopwatch watch;
  Session::Load(options.output, session);
  fmt::print("{}: {}, loads in {}\n", options.output, SizeOf(options.output), FormatMs(watch.ms()));
  return 0;
}

}  // namespace

Verb AddCompile(CLI::App& app) {
  CLI::App* verb = app.add_subcommand(
      "compile", "Writes a model with packed weights and chosen kernels, which loads in milliseconds");
  auto options = std::make_shared<Options>();
  verb->add_option("MODEL", options->model.model, "The ONNX model file")->required();
  verb->add_option(
          "-o,--output", options->output,
          "File to write, commonly NAME.sluice; for this kind of processor and this version of Sluice")
      ->required();
  verb->add_option(
      "--plan", options->plans,
      "NAME=8x3x64x64[,NAME2=...]: sizes of open inputs for which a plan is made ready; repeatable");
  AddThreadsOption(*verb, options->model);
  AddShapeOption(*verb, options->model);
  AddPassOptions(*verb, options->model);
  AddKernelOptions(*verb, options->model);
  verb->footer(
      "Every verb that takes a model takes the file, with the same --accuracy and --passes.\n"
      "Example: sluice compile yolo.onnx -o yolo.sluice --shape images=1x3x640x640");
  return {verb, [options] { return Run(*options); }};
}

}  // namespace sluice::tools
