#include "graph/darknet/import.h"

#include <algorithm>

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

struct InputSize {
  int64_t c, h, w;
};

InputSize ReadNet(const Section& net) {
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
              "cycle"});
  if (net.Has("inputs")) net.Fail("inputs", "networks of vectors are not supported");
  return {net.Int("channels", 3, 1), net.Int("height", 0, 1), net.Int("width", 0, 1)};
}

std::string Joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += (text.empty() ? "" : "\n") + line;
  return text;
}

// {"input": [w, h], "resize": "stretch", "heads": [{"output", "kind", "classes", "anchors", "new_coords"}]}
std::string DetectorText(const Network& net, const std::vector<std::string>& outputs) {
  std::string text = "{\"input\": [" + std::to_string(net.input_w) + ", " + std::to_string(net.input_h) +
                     "], \"resize\": \"stretch\", \"heads\": [";
  for (size_t i = 0; i < net.heads.size(); ++i) {
    const Head& head = net.heads[i];
    text += std::string(i == 0 ? "" : ", ") + "{\"output\": \"" + outputs[i] + "\", \"kind\": \"" +
            (head.kind == Head::Kind::kRegion ? "region" : "yolo") +
            "\", \"classes\": " + std::to_string(head.classes) +
            ", \"new_coords\": " + (head.new_coords ? "true" : "false") + ", \"anchors\": [";
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
    return;
  }
  std::vector<std::string> names;
  for (const Head& head : net.heads) {
    names.push_back((head.kind == Head::Kind::kRegion ? "region_" : "yolo_") + std::to_string(names.size()));
    SetOutput(graph, head.layer.value, names.back());
  }
  if (names.empty()) {
    // A name of its own even where the last layer passes on what another made.
    SetOutput(graph, net.build.Op("Identity", {net.current.value}), "output");
  } else {
    graph.metadata["sluice.detector"] = DetectorText(net, names);
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
  const InputSize size = ReadNet(sections[0]);
  sections[0].CheckAllRead();

  auto graph = std::make_unique<Graph>();
  graph->name = BaseName(cfg_name);
  graph->producer_name = "sluice";
  graph->ir_version = 8;
  const Dim batch = options.batch < 0 ? Dim::Symbol("N") : Dim(options.batch);
  const ValueId image =
      graph->AddValue("image", ValueType::Of(DataType::kFloat, {batch, size.c, size.h, size.w}));
  graph->inputs.push_back(image);
  darknet::Weights numbers = std::move(weights);
  GraphBuilder build(*graph, options.opset);
  Network net{build, numbers, options.fold, size.w, size.h, {}, {}, {image, size.c, size.h, size.w, false}};
  for (size_t i = 1; i < sections.size(); ++i) {
    const Section& section = sections[i];
    const darknet::SectionBuilder builder = darknet::FindSection(section.name());
    if (builder == nullptr) section.Fail("", "unknown section, expected one of " + darknet::KnownSections());
    build.SetPrefix(section.name() + "_" + std::to_string(i - 1));
    net.current = builder(net, section);
    section.CheckAllRead();
    net.layers.push_back(net.current);
  }
  if (net.layers.empty()) sections[0].Fail("", "no layers follow");
  numbers.Finish();
  CheckNames(net, options);
  SetOutputs(net, options, *graph);
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
