// sluice convert: Darknet networks to ONNX.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "graph/darknet/import.h"
#include "graph/export.h"
#include "graph/infer.h"
#include "graph/passes/pass.h"
#include "graph/verify.h"
#include "sluice/error.h"
#include "tools/detections.h"
#include "tools/files.h"
#include "tools/model_args.h"
#include "tools/terminal.h"
#include "tools/verbs.h"

namespace sluice::tools {
namespace {

struct Options {
  std::vector<std::string> inputs;
  std::string output, names, batch = "1";
  bool no_fold = false;
  DarknetOptions darknet;
};

[[noreturn]] void Fail(const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); }

int64_t ParseBatch(const std::string& text) {
  if (text == "dynamic") return -1;
  const Shape shape = ParseShape(text);
  if (shape.size() != 1 || shape[0] < 1)
    Fail(fmt::format("--batch {}: expected a number from 1 on, or dynamic", text));
  return shape[0];
}

std::unique_ptr<Graph> ReadDarknet(const Options& options) {
  DarknetOptions darknet = options.darknet;
  darknet.batch = ParseBatch(options.batch);
  darknet.fold = !options.no_fold;
  if (!options.names.empty()) {
    const std::vector<std::byte> bytes = ReadFile(options.names);
    darknet.names = ParseLabels(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  }
  return ImportDarknet(options.inputs[0], options.inputs.size() > 1 ? options.inputs[1] : "", darknet);
}

int Run(const Options& options) {
  if (Extension(options.inputs[0]) != ".cfg") {
    Fail(fmt::format("'{}': expected a Darknet configuration, NET.cfg", options.inputs[0]));
  }
  if (options.inputs.size() > 2)
    Fail(fmt::format("expected NET.cfg and NET.weights, found {} files", options.inputs.size()));
  const std::unique_ptr<Graph> graph = ReadDarknet(options);
  Verify(*graph);
  InferShapes(*graph);
  WriteFileParts(options.output, [&](const auto& put) { ExportOnnx(*graph, put); });
  int64_t parameters = 0;
  for (size_t i = 0; i < graph->num_values(); ++i) {
    const Tensor& constant = graph->value(static_cast<ValueId>(i)).constant;
    if (!constant.empty()) parameters += constant.num_elements();
  }
  fmt::print("{}: {} nodes, {} parameters, opset {}{}\n", options.output, graph->num_nodes(), parameters,
             graph->opsets.at(""), options.inputs.size() > 1 ? "" : ", random weights");
  return 0;
}

}  // namespace

Verb AddConvert(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("convert", "Converts Darknet networks to ONNX");
  auto options = std::make_shared<Options>();
  verb->add_option("INPUT", options->inputs,
                   "NET.cfg and NET.weights; without weights random ones are made up")
      ->required();
  verb->add_option("-o,--output", options->output, "The ONNX file to write")->required();
  verb->add_option("--names", options->names, "File with the names of the classes, one a line");
  verb->add_flag("--decode", options->darknet.decode,
                 "Outputs boxes, scores and classes of the first picture after non-maximum suppression instead of "
                 "the heads (opset 11 or newer)");
  verb->add_option("--threshold", options->darknet.decoding.threshold,
                   "With --decode: lowest score of a detection (0.25)")
      ->check(CLI::Range(0.0, 1.0));
  verb->add_option("--nms", options->darknet.decoding.nms,
                   "With --decode: overlap from which the lesser box is dropped (0.45)")
      ->check(CLI::Range(0.0, 1.0));
  verb->add_option("--batch", options->batch, "Pictures at once, or dynamic (1)");
  verb->add_option("--opset", options->darknet.opset, "ONNX operator set (13)")->check(CLI::Range(9, 26));
  verb->add_flag("--no-fold", options->no_fold, "Keeps BatchNormalization as a node of its own");
  verb->add_option("--seed", options->darknet.seed, "Of the random weights where no file is given (1)");
  verb->footer(
      "Example: sluice convert yolov3-tiny.cfg yolov3-tiny.weights -o yolov3-tiny.onnx --names coco.names");
  return {verb, [options] { return Run(*options); }};
}

}  // namespace sluice::tools
