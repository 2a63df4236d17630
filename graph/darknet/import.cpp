#include "graph/darknet/import.h"

#include <algorithm>

#include "graph/late_products.h"
#include "graph/mapped_file.h"
#include "graph/operator.h"
#include "sluice/error.h"

namespace sluice {
namespace {

using darknet::Head;
using darknet::Layer;
using darknet::Network;
using darknet::Section;

constexpr int64_t kOldestOpset = 9;

// Sizes whose products stay far from overflow, and tensors that a machine may hold.
void CheckSize(const Section& section, const Layer& x) {
  int64_t elems = 0;
  if (__builtin_mul_overflow(x.h, x.w, &elems) || __builtin_mul_overflow(elems, x.c, &elems) ||
      elems > darknet::kMost) {
    section.Fail("", "makes " + std::to_string(x.c) + " x " + std::to_string(x.h) + " x " +
                         std::to_string(x.w) + " elements, expected at most " +
                         std::to_string(darknet::kMost));
  }
}

// The input: a picture, or a vector.
Layer ReadNet(const Section& net) {
  if (net.name() != "net" && net.name() != "network") net.Fail("", "expected the first section to be [net]");
  net.Ignore({"batch",
              "subdivisions",
              "momentum",
              "decay",
              "angle",
              "saturation",
              "exposure",
              "hue",
              "aspect",
              "learning_rate",
              "burn_in",
              "max_batches",
              "policy",
              "steps",
              "scales",
              "gamma",
              "step",
              "scale",
              "power",
              "time_steps",
              "notruth",
              "random",
              "adam",
              "B1",
              "B2",
              "eps",
              "max_crop",
              "min_crop",
              "max_ratio",
              "min_ratio",
              "center",
              "clip",
              "flip",
              "mosaic",
              "mosaic_bound",
              "cutmix",
              "mixup",
              "blur",
              "gaussian_noise",
              "letter_box",
              "label_smooth_eps",
              "resize_step",
              "attention",
              "adversarial_lr",
              "max_chart_loss",
              "loss_scale",
              "dynamic_minibatch",
              "optimized_memory",
              "workspace_size_limit_MB",
              "track",
              "augment_speed",
              "sequential_subdivisions",
              "try_fix_nan",
              "num_sigmas_reject_badlabels",
              "ema_alpha",
              "badlabels_rejection_percentage",
              "contrastive",
              "contrastive_jit_flip",
              "contrastive_color",
              "unsupervised",
              "init_sequential_subdivisions",
              "sgdr_cycle",
              "sgdr_mult",
              "seq_scales",
              "hue_exposure",
              "equidistant_point",
              "badlabels_reject_threshold",
              "weights_reject_freq",
              "reject_threshold",
              "warmup",
              "cycle",
              "seen"});
  const bool vector = net.Has("inputs") && !net.Has("height") && !net.Has("width");
  if (vector) return {ValueId::kNone, net.Int("inputs", 0, 1), 1, 1, true};
  for (const char* key : {"height", "width"}) {
    if (!net.Has(key)) net.Fail(key, "missing");
  }
  const Layer picture = {ValueId::kNone, net.Int("channels", 3, 1), net.Int("height", 0, 1),
                         net.Int("width", 0, 1), false};
  CheckSize(net, picture);
  if (net.Int("inputs", picture.elems()) != picture.elems())
    net.Fail("inputs", "expected channels * height * width = " + std::to_string(picture.elems()));
  return picture;
}

// Keys that any section may have.
void ReadCommonKeys(const Section& section) {
  section.Ignore({"stopbackward", "onlyforward", "learning_rate", "learning_rate_scale", "burnin_update",
                  "train_only_bn", "dont_update", "dontsave", "keep_delta_gpu", "clip", "truth", "smooth",
                  "dynamic_minibatch", "show_details"});
  // The weights file lacks what they name.
  for (const char* key : {"dontload", "dontloadscales", "numload"}) {
    if (section.Int(key, 0) != 0) section.Fail(key, "not supported");
  }
}

std::string Joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += (text.empty() ? "" : "\n") + line;
  return text;
}

const char* NameOf(Head::Kind kind) {
  return kind == Head::Kind::kYolo ? "yolo" : kind == Head::Kind::kRegion ? "region" : "detection";
}

// {"input": [w, h], "resize": "stretch", "color": "rgb" or "gray", "scale": "1/255", "heads": [...]} where a
// head is
// {"output", "kind": "yolo" or "region", "classes", "anchors", "new_coords"} or
// {"output", "kind": "detection", "classes", "side", "num", "squared"}.
std::string DetectorText(const Network& net, const std::vector<std::string>& outputs) {
  const auto boolean = [](bool value) { return value ? "true" : "false"; };
  std::string text = "{\"input\": [" + std::to_string(net.input_w) + ", " + std::to_string(net.input_h) +
                     "], \"resize\": \"stretch\", \"color\": \"" + (net.input_c == 1 ? "gray" : "rgb") +
                     "\", \"scale\": \"1/255\", \"heads\": [";
  for (size_t i = 0; i < net.heads.size(); ++i) {
    const Head& head = net.heads[i];
    text += std::string(i == 0 ? "" : ", ") + "{\"output\": \"" + outputs[i] + "\", \"kind\": \"" +
            NameOf(head.kind) + "\", \"classes\": " + std::to_string(head.classes);
    if (head.kind == Head::Kind::kGrid) {
      text += ", \"side\": " + std::to_string(head.side) + ", \"num\": " + std::to_string(head.num) +
              ", \"squared\": " + boolean(head.squared) + "}";
      continue;
    }
    text += std::string(", \"new_coords\": ") + boolean(head.new_coords) + ", \"anchors\": [";
    for (size_t j = 0; j < head.anchors.size(); ++j)
      text += (j == 0 ? "" : ", ") + std::to_string(head.anchors[j]);
    text += "]}";
  }
  return text + "]}";
}

void SetOutput(Graph& graph, ValueId value, const std::string& name) {
  graph.value(value).name = name;
  graph.outputs.push_back(value);
}

void SetOutputs(Network& net, const DarknetOptions& options, Graph& graph) {
  if (options.decode) {
    const darknet::Decoded decoded = darknet::DecodeHeads(net, options.decoding);
    SetOutput(graph, decoded.boxes, "boxes");
    SetOutput(graph, decoded.scores, "scores");
    SetOutput(graph, decoded.classes, "classes");
    const Dim count = Dim::Symbol("detections");
    graph.value(decoded.boxes).type = ValueType::Of(DataType::kFloat, {count, 4});
    graph.value(decoded.scores).type = ValueType::Of(DataType::kFloat, {count});
    graph.value(decoded.classes).type = ValueType::Of(DataType::kInt64, {count});
    graph.metadata["sluice.resize"] = "stretch";
    return;
  }
  std::vector<std::string> names;
  for (const Head& head : net.heads) {
    names.push_back(std::string(NameOf(head.kind)) + "_" + std::to_string(names.size()));
    SetOutput(graph, head.layer.value, names.back());
  }
  if (names.empty()) {
    // A name of its own even where the last layer passes on what another made.
    SetOutput(graph, net.build.Op("Identity", {net.current.value}), "output");
  } else if (std::none_of(net.heads.begin(), net.heads.end(), [](const Head& head) { return head.tree; })) {
    graph.metadata["sluice.detector"] = DetectorText(net, names);
  }
}

void AddStates(const Network& net, Graph& graph) {
  for (const darknet::State& state : net.states) {
    graph.inputs.push_back(state.input);
    // The layer's own output may be the same value.
    const bool taken =
        std::find(graph.outputs.begin(), graph.outputs.end(), state.output) != graph.outputs.end();
    SetOutput(graph, taken ? net.build.Op("Identity", {state.output}) : state.output, state.name + "_next");
  }
}

void CheckNames(const Network& net, const DarknetOptions& options) {
  if (options.names.empty() || net.heads.empty() ||
      static_cast<int64_t>(options.names.size()) == net.heads[0].classes)
    return;
  throw Error(ErrorCode::kInvalidArgument, "the network has " + std::to_string(net.heads[0].classes) +
                                               " classes, the file of names " +
                                               std::to_string(options.names.size()));
}

std::string BaseName(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string file = slash == std::string::npos ? path : path.substr(slash + 1);
  return file.substr(0, file.rfind('.'));
}

}  // namespace

std::unique_ptr<Graph> ImportDarknetText(std::string_view cfg, const std::string& cfg_name,
                                         darknet::Weights weights, const DarknetOptions& options) {
  if (options.opset < kOldestOpset) {
    throw Error(ErrorCode::kInvalidArgument, "opset is " + std::to_string(options.opset) +
                                                 ", expected at least " + std::to_string(kOldestOpset));
  }
  const std::vector<Section> sections = darknet::ParseCfg(cfg, cfg_name);
  Layer input = ReadNet(sections[0]);
  sections[0].CheckAllRead();

  auto graph = std::make_unique<Graph>();
  graph->name = BaseName(cfg_name);
  graph->producer_name = "sluice";
  graph->ir_version = 8;
  const Dim batch = options.batch < 0 ? Dim::Symbol("N") : Dim(options.batch);
  SymShape shape = {batch, input.c};
  if (!input.flat) shape.insert(shape.end(), {Dim(input.h), Dim(input.w)});
  input.value = graph->AddValue(input.flat ? "input" : "image", ValueType::Of(DataType::kFloat, shape));
  graph->inputs.push_back(input.value);
  darknet::Weights numbers = std::move(weights);
  GraphBuilder build(*graph, options.opset);
  Network net{build, numbers, options.fold, batch, input.c, input.w, input.h, cfg_name, input, {}, {}, {}};
  for (size_t i = 1; i < sections.size(); ++i) {
    const Section& section = sections[i];
    const darknet::SectionBuilder builder = darknet::FindSection(section.name());
    if (builder == nullptr) section.Fail("", "unknown section, expected one of " + darknet::KnownSections());
    build.SetPrefix(section.name() + "_" + std::to_string(i - 1));
    ReadCommonKeys(section);
    try {
      net.current = builder(net, section);
    } catch (const Error& error) {
      // What is thrown below knows neither file nor section.
      if (std::string_view(error.what()).starts_with(cfg_name)) throw;
      throw Error(error.code(), section.Place() + " " + error.what());
    }
    section.CheckAllRead();
    CheckSize(section, net.current);
    net.layers.push_back(net.current);
  }
  if (net.layers.empty()) sections[0].Fail("", "no layers follow");
  numbers.Finish();
  CheckNames(net, options);
  SetOutputs(net, options, *graph);
  AddStates(net, *graph);
  if (!options.late) ComputeLateProducts(*graph);
  graph->metadata["source"] = "Darknet " + BaseName(cfg_name);
  if (numbers.made_up()) graph->metadata["weights"] = "random, seed " + std::to_string(options.seed);
  if (!options.names.empty()) graph->metadata["labels"] = Joined(options.names);
  return graph;
}

std::unique_ptr<Graph> ImportDarknet(const std::string& cfg, const std::string& weights,
                                     const DarknetOptions& options) {
  const std::shared_ptr<const MappedFile> text = MappedFile::Open(cfg);
  const auto bytes = text->bytes();
  const std::string_view view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (weights.empty()) return ImportDarknetText(view, cfg, darknet::Weights(options.seed, cfg), options);
  const std::shared_ptr<const MappedFile> file = MappedFile::Open(weights);
  return ImportDarknetText(view, cfg, darknet::Weights(file->bytes(), file, weights), options);
}

}  // namespace sluice
