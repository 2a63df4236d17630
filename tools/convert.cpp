// sluice convert: Darknet networks to ONNX, and ONNX models to others.
#include <fmt/format.h>
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <filesystem>

#include "graph/darknet/import.h"
#include "graph/edit/edits.h"
#include "graph/export.h"
#include "graph/import.h"
#include "graph/infer.h"
#include "graph/late_products.h"
#include "graph/opset/convert_opset.h"
#include "graph/verify.h"
#include "kernels/evaluate.h"
#include "kernels/parallel.h"
#include "runtime/cpu_quota.h"
#include "runtime/thread_pool.h"
#include "sluice/error.h"
#include "tools/check_conversion.h"
#include "tools/detections.h"
#include "tools/files.h"
#include "tools/model_args.h"
#include "tools/terminal.h"
#include "tools/verbs.h"

namespace sluice::tools {
namespace {

constexpr int64_t kDarknetOpset = 13, kOldestDarknetOpset = 9, kOldestDecodeOpset = 11;
// Below the 2 GiB that a protobuf message may have, with room for everything but weights.
constexpr int64_t kMostInline = (int64_t{1} << 31) - (int64_t{64} << 20);

struct Options {
  std::vector<std::string> inputs;
  std::string output;
  // Of any model.
  bool optimize = false, half_weights = false, external = false, strip = false, leaky = false,
       no_check = false;
  std::vector<std::string> shapes, disabled_passes;
  std::string extract;
  std::optional<int64_t> opset;
  std::optional<float> relu_alpha;
  // Of Darknet networks.
  std::string names, batch = "1";
  bool no_fold = false;
  DarknetOptions darknet;
  std::vector<CLI::Option*> darknet_only;
};

[[noreturn]] void Fail(const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); }

int64_t ParseBatch(const std::string& text) {
  if (text == "dynamic") return -1;
  int64_t batch = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), batch);
  if (error != std::errc() || end != text.data() + text.size() || batch < 1)
    Fail(fmt::format("--batch {}: expected a number from 1 on, or dynamic", text));
  return batch;
}

bool IsDarknet(const Options& options) { return Extension(options.inputs[0]) == ".cfg"; }

// Whether folded weights are computed when they are written: those of a model of `opset` that nothing reads
// before. Mul broadcasts from opset 7 on.
bool LeavesProducts(const Options& options, int64_t opset) {
  return (options.optimize || IsDarknet(options)) && !options.half_weights && opset >= 7;
}

std::unique_ptr<Graph> ReadDarknet(const Options& options) {
  if (options.inputs.size() > 2)
    Fail(fmt::format("expected NET.cfg and NET.weights, found {} files", options.inputs.size()));
  DarknetOptions darknet = options.darknet;
  darknet.opset = options.opset.value_or(kDarknetOpset);
  if (darknet.opset < kOldestDarknetOpset) {
    Fail(fmt::format("--opset {}: Darknet networks need {} or newer", darknet.opset, kOldestDarknetOpset));
  }
  if (darknet.decode && darknet.opset < kOldestDecodeOpset) {
    Fail(fmt::format("--opset {}: --decode needs {} or newer", darknet.opset, kOldestDecodeOpset));
  }
  darknet.batch = ParseBatch(options.batch);
  darknet.fold = !options.no_fold;
  darknet.late = LeavesProducts(options, darknet.opset);
  if (!options.names.empty()) {
    const std::vector<std::byte> bytes = ReadFile(options.names);
    darknet.names = ParseLabels(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  }
  return ImportDarknet(options.inputs[0], options.inputs.size() > 1 ? options.inputs[1] : "", darknet);
}

// Whether something is asked for that the import and the export alone do not do.
bool Edits(const Options& options) {
  return options.optimize || options.half_weights || options.strip || options.leaky || options.relu_alpha ||
         !options.extract.empty() || !options.shapes.empty();
}

std::unique_ptr<Graph> ReadModel(const Options& options) {
  if (IsDarknet(options)) return ReadDarknet(options);
  for (const CLI::Option* option : options.darknet_only) {
    if (option->count() > 0) Fail(fmt::format("{} is for Darknet networks, NET.cfg", option->get_name()));
  }
  if (options.inputs.size() > 1)
    Fail(fmt::format("expected one ONNX model, or NET.cfg and NET.weights, found {}",
                     fmt::join(options.inputs, ", ")));
  return ReadExportedGraph(options.inputs[0]);
}

PassContext MakeContext() {
  PassContext ctx;
  ctx.evaluate = EvaluateOrNone;
  ctx.for_each = [](int64_t count, const std::function<void(int64_t)>& fn) {
    ThreadPool::Get(AvailableCpus())->Run([&] { ForEachTile(count, fn); });
  };
  return ctx;
}

// "a,b..c": two lists of names.
void Extract(Graph& graph, const std::string& text) {
  const size_t dots = text.find("..");
  if (dots == std::string::npos)
    Fail(fmt::format("--extract {}: expected FROM..TO, each a list of values or empty", text));
  const auto split = [](const std::string& list) {
    std::vector<std::string> names;
    for (size_t begin = 0; begin < list.size();) {
      const size_t end = std::min(list.find(',', begin), list.size());
      names.push_back(list.substr(begin, end - begin));
      begin = end + 1;
    }
    return names;
  };
  ExtractSubgraph(graph, split(text.substr(0, dots)), split(text.substr(dots + 2)));
}

int64_t ConstantBytes(const Graph& graph, int64_t* elems = nullptr) {
  int64_t bytes = 0;
  for (size_t i = 0; i < graph.num_values(); ++i) {
    const Tensor& constant = graph.value(static_cast<ValueId>(i)).constant;
    if (constant.empty()) continue;
    if (constant.dtype() != DataType::kString) bytes += constant.byte_size();
    if (elems != nullptr) *elems += constant.num_elements();
  }
  return bytes;
}

// What Edit gives beside the graph.
struct Edited {
  // What the result is compared with: the model before anything that must not change its results; null where
  // there is to be no run.
  std::unique_ptr<Graph> original;
  LateFactors factors;  // of the graph's constants
};

// Edits in the order that lets each see what it is about.
Edited Edit(Graph& graph, const Options& options, std::vector<std::string>& notes) {
  PassContext ctx = MakeContext();
  std::unique_ptr<Graph> original;
  if (!options.shapes.empty()) {
    ModelOptions model;
    model.model = options.inputs[0];
    model.shapes = options.shapes;
    SetInputShapes(graph, ToSessionOptions(model).input_shapes);
  }
  Verify(graph);
  InferShapes(graph);
  if (!options.extract.empty()) Extract(graph, options.extract);
  // The import of a Darknet network has no original to run beside it.
  const bool check = !options.no_check && (Edits(options) || !IsDarknet(options));
  if (check && !options.relu_alpha) original = graph.Clone();
  if (options.leaky) notes.push_back(fmt::format("{} spellings of Leaky ReLU", SpellLeakyRelu(graph, ctx)));
  if (options.relu_alpha) {
    notes.push_back(fmt::format("{} Relu made leaky", ReluToLeaky(graph, *options.relu_alpha)));
    if (check) original = graph.Clone();
  }
  const bool standard = graph.opsets.count("") != 0;
  if (!standard && options.opset) Fail("--opset: the model uses no operator of the standard domain");
  const int64_t opset = options.opset.value_or(standard ? graph.opsets.at("") : kNewestOpset);
  ctx.late_products = LeavesProducts(options, opset);
  const size_t nodes_before = graph.num_nodes();
  if (options.optimize) {
    OptimizeForExport(graph, options.disabled_passes, std::max(opset, kDarknetOpset), ctx);
  }
  if (options.half_weights) {
    const HalfWeights half = StoreWeightsAsHalf(graph, ctx);
    notes.push_back(fmt::format("{} constants stored as float16", half.stored));
    if (!half.kept.empty()) {
      notes.push_back(
          fmt::format("{} beyond its range kept, the first '{}'", half.kept.size(), half.kept[0]));
    }
  }
  if (standard) ConvertOpset(graph, opset, ctx);
  if (options.strip) Strip(graph);
  graph.Compact();
  Verify(graph);
  Edited edited = {std::move(original), {}};
  if (ctx.late_products) edited.factors = TakeLateProducts(graph);
  if (options.optimize) notes.push_back(fmt::format("{} of {} nodes left", graph.num_nodes(), nodes_before));
  return edited;
}

std::string CheckNote(const ConversionCheck& check) {
  if (!check.ran) return "not run: " + check.reason;
  const std::string note = check.largest_error == 0
                               ? "gives the same results"
                               : fmt::format("results differ by {:.2g} of the largest", check.largest_error);
  return check.not_finite ? note + ", of which some are not finite" : note;
}

// Writes the model beside its place, checks it there and puts it in its place. Weights that only `graph`
// holds are freed before the checks.
void Write(std::unique_ptr<Graph> graph, Edited edited, const Options& options,
           std::vector<std::string>& notes) {
  Progress progress("converting");
  const std::string name = std::filesystem::path(options.output).filename().string();
  const int64_t bytes = ConstantBytes(*graph);
  StagedFiles files(options.output);
  int64_t written = 0;
  const auto counted = [&](PutBytes put) {
    return [&, put](std::span<const std::byte> part) {
      put(part);
      written += static_cast<int64_t>(part.size());
      progress.Show(static_cast<double>(written) / static_cast<double>(std::max<int64_t>(bytes, 1)),
                    "writing");
    };
  };
  const PutBytes model = counted(files.Open(name));
  ExportOptions how;
  how.factors = std::move(edited.factors);
  if (options.external || bytes > kMostInline) {
    how.external_name = name + ".data";
    how.external = counted(files.Open(how.external_name));
  }
  ExportOnnx(*graph, model, how);
  files.Close();
  const Signature signature(*graph);
  graph.reset();
  progress.Show(1, "reading it back");
  CheckByImport(signature, files.staged(name));
  if (edited.original) {
    const auto stage = [&](std::string_view what) { progress.Show(1, what); };
    notes.push_back(
        CheckNote(CheckByRun(std::move(edited.original), files.staged(name), options.half_weights, stage)));
  }
  files.Commit();
}

// Memory that is given back stays with the process: the check packs weights layer by layer, and new pages cost more
// than the packing.
void KeepFreedMemory() {
  constexpr int kMost = 1 << 30;
  mallopt(M_MMAP_THRESHOLD, kMost);
  mallopt(M_TRIM_THRESHOLD, kMost);
}

int Run(const Options& options) {
  KeepFreedMemory();
  if (!options.disabled_passes.empty() && !options.optimize) Fail("--disable-pass goes with --optimize");
  // A place that cannot be written to is found out before the work.
  if (std::error_code error; std::filesystem::is_directory(options.output, error)) {
    Fail(fmt::format("'{}' is a folder, expected the name of a file", options.output));
  }
  std::unique_ptr<Graph> graph = ReadModel(options);
  std::vector<std::string> notes;
  Edited edited = Edit(*graph, options, notes);
  int64_t parameters = 0;
  ConstantBytes(*graph, &parameters);
  std::string line =
      fmt::format("{}: {} nodes, {} parameters", options.output, graph->num_nodes(), parameters);
  if (graph->opsets.count("") != 0) line += fmt::format(", opset {}", graph->opsets.at(""));
  Write(std::move(graph), std::move(edited), options, notes);
  if (IsDarknet(options) && options.inputs.size() == 1) line += ", random weights";
  for (const std::string& note : notes) line += "; " + note;
  // A stream may be standard output, where the model is.
  fmt::print(IsStream(options.output) ? stderr : stdout, "{}\n", line);
  return 0;
}

void AddDarknetOptions(CLI::App& verb, Options& options) {
  const std::string group = "Darknet networks";
  const auto only = [&](CLI::Option* option) {
    options.darknet_only.push_back(option->group(group));
    return option;
  };
  only(verb.add_option("--names", options.names, "File with the names of the classes, one a line"));
  only(verb.add_flag(
      "--decode", options.darknet.decode,
      "Outputs boxes, scores and classes of the first picture after non-maximum suppression instead of "
      "the heads (opset 11 or newer)"));
  only(verb.add_option("--threshold", options.darknet.decoding.threshold,
                       "With --decode: lowest score of a detection (0.25)"))
      ->check(CLI::Range(0.0, 1.0));
  only(verb.add_option("--nms", options.darknet.decoding.nms,
                       "With --decode: overlap from which the lesser box is dropped (0.45)"))
      ->check(CLI::Range(0.0, 1.0));
  only(verb.add_option("--batch", options.batch, "Pictures at once, or dynamic (1)"));
  only(verb.add_flag("--no-fold", options.no_fold, "Keeps BatchNormalization as a node of its own"));
  only(verb.add_option("--seed", options.darknet.seed, "Of the random weights where no file is given (1)"));
}

}  // namespace

Verb AddConvert(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("convert", "Converts models: Darknet to ONNX, ONNX to other ONNX");
  auto options = std::make_shared<Options>();
  verb->add_option("INPUT", options->inputs,
                   "MODEL.onnx, or NET.cfg and NET.weights; without weights random ones are made up")
      ->required();
  verb->add_option("-o,--output", options->output, "The ONNX file to write; - for standard output")->required();
  verb->add_option(
          "--opset", options->opset,
          fmt::format("The version of the operators to write, up to {} (as the model has it; Darknet: {})",
                      kNewestOpset, kDarknetOpset))
      ->check(CLI::Range(int64_t{1}, kNewestOpset));
  verb->add_flag("--optimize", options->optimize,
                 "Runs the passes and writes what they fused as standard operators, for any runtime");
  verb->add_option("--disable-pass", options->disabled_passes,
                   "With --optimize: leaves out the pass of this name; repeatable");
  AddShapesOption(*verb, options->shapes);
  verb->add_option("--extract", options->extract,
                   "FROM..TO keeps what lies between these values; commas separate several, none means all");
  verb->add_flag("--leaky", options->leaky, "Writes every spelling of Leaky ReLU as a LeakyRelu node");
  verb->add_option("--relu-to-leaky", options->relu_alpha, "Makes every Relu a LeakyRelu with this slope");
  verb->add_flag("--fp16-weights", options->half_weights,
                 "Stores weights as float16 and casts them back where they are used");
  verb->add_flag("--external-data", options->external,
                 "Puts weights in OUTPUT.data beside the model; done anyway above 2 GB");
  verb->add_flag("--strip", options->strip,
                 "Drops texts, unused nodes and constants, and shortens the names inside");
  verb->add_flag("--no-check", options->no_check,
                 "Leaves out the run of the original and the result on the same made-up inputs");
  AddDarknetOptions(*verb, *options);
  verb->footer(
      "Examples: sluice convert yolov3-tiny.cfg yolov3-tiny.weights -o yolov3-tiny.onnx --names coco.names\n"
      "          sluice convert model.onnx -o fast.onnx --optimize --shape image=1x3x416x416\n"
      "          sluice convert model.onnx -o old.onnx --opset 11\n"
      "          sluice convert model.onnx -o head.onnx --extract backbone/out..scores,boxes\n"
      "          sluice convert model.onnx -o small.onnx --leaky --strip --fp16-weights");
  return {verb, [options] { return Run(*options); }};
}

}  // namespace sluice::tools
