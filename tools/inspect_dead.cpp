#include "tools/inspect_dead.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "graph/edit/edits.h"
#include "graph/import.h"
#include "graph/infer.h"
#include "runtime/value_info.h"
#include "sluice/error.h"
#include "tools/dead_units.h"
#include "tools/files.h"
#include "tools/find_pictures.h"
#include "tools/terminal.h"
#include "tools/yolo.h"

namespace sluice::tools {
namespace {

using Json = nlohmann::ordered_json;

[[noreturn]] void Fail(const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); }

std::vector<ValueInfo> InfosOf(const Graph& graph, const std::vector<ValueId>& ids) {
  std::vector<ValueInfo> infos;
  for (ValueId id : ids) infos.push_back(InfoOf(graph.value(id)));
  return infos;
}

// What the command line leaves open is taken from the model: pictures are stretched to a stated size, and
// detectors that are known get pictures as `sluice detect` gives them.
PictureOptions Completed(PictureOptions picture, const ValueInfo& input,
                         const std::optional<DetectorFormat>& format) {
  const bool nhwc = picture.layout == "nhwc" ||
                    (picture.layout == "auto" && input.shape.size() == 4 && input.shape[1] != 1 &&
                     input.shape[1] != 3 && (input.shape[3] == 1 || input.shape[3] == 3));
  if (format) {
    if (picture.scale.empty()) picture.scale = {format->scale};
    if (picture.color == "auto") picture.color = format->color;
  }
  if (!picture.resize.empty() || !picture.letterbox.empty() || input.shape.size() < 3) return picture;
  const size_t rank = input.shape.size();
  const int64_t height = input.shape[rank - (nhwc ? 3 : 2)], width = input.shape[rank - (nhwc ? 2 : 1)];
  if (height <= 0 || width <= 0) return picture;
  (format && format->letterbox ? picture.letterbox : picture.resize) = fmt::format("{}x{}", width, height);
  return picture;
}

std::string List(const std::vector<int64_t>& channels) {
  constexpr size_t kMost = 8;
  std::string text;
  for (size_t i = 0; i < std::min(channels.size(), kMost); ++i)
    text += fmt::format("{}{}", i ? " " : "", channels[i]);
  return channels.size() > kMost ? text + " ..." : text;
}

void Print(const std::vector<ActivationInput>& activations, size_t pictures) {
  std::vector<std::vector<std::string>> rows = {
      {"negative", "never fire", "channels", "activation", "node", "which"}};
  size_t dead = 0, channels = 0;
  bool from_output = false;
  for (const ActivationInput& activation : activations) {
    const std::vector<int64_t> never = activation.never_fired();
    dead += never.size();
    channels += activation.fired.size();
    from_output |= activation.from_output;
    if (activation.count == 0) {
      rows.push_back({"not seen", "", "", activation.op, activation.node, ""});
      continue;
    }
    rows.push_back(
        {fmt::format("{:.1f} %{}", 100 * activation.negative_share(), activation.from_output ? " *" : ""),
         std::to_string(never.size()), std::to_string(activation.fired.size()), activation.op,
         activation.node, List(never)});
  }
  fmt::print("{}", FormatTable(rows));
  if (from_output)
    fmt::print("* seen behind the activation; after Relu and Clip this counts zeros as well\n");
  fmt::print("{} of {} channels never fire in {} picture{}\n", dead, channels, pictures,
             pictures == 1 ? "" : "s");
}

Json ToJson(const std::string& model, const std::vector<std::string>& pictures,
            const std::vector<ActivationInput>& activations) {
  Json list = Json::array();
  for (const ActivationInput& activation : activations) {
    list.push_back({{"node", activation.node},
                    {"operator", activation.op},
                    {"value", activation.value},
                    {"elements", activation.count},
                    {"negative_share", activation.negative_share()},
                    {"channels", activation.fired.size()},
                    {"never_fire", activation.never_fired()},
                    {"seen", activation.from_output ? "after" : "before"}});
  }
  return {{"model", model}, {"pictures", pictures}, {"activations", std::move(list)}};
}

}  // namespace

void ReportDead(const ModelOptions& model, const DeadOptions& options) {
  const SessionOptions session = ToSessionOptions(model);
  std::unique_ptr<Graph> graph = ReadExportedGraph(model.model);
  SetInputShapes(*graph, session.input_shapes);
  InferShapes(*graph);
  const std::vector<ValueInfo> inputs = InfosOf(*graph, graph->inputs);
  if (inputs.size() != 1) {
    Fail(fmt::format("--dead: expected a model with one input, a picture; '{}' has {}", model.model,
                     ListValues(inputs)));
  }
  const PictureOptions picture = Completed(
      options.picture, inputs[0], FindFormat(inputs, InfosOf(*graph, graph->outputs), graph->metadata));
  const std::vector<std::string> paths = FindPictures(options.pictures);
  DeadUnits units(std::move(graph), session.passes, model.threads);
  if (units.activations().empty()) {
    Fail(fmt::format("--dead: '{}' has no Relu, LeakyRelu, PRelu or Clip from 0", model.model));
  }
  {
    Progress progress("looking");
    for (size_t i = 0; i < paths.size(); ++i) {
      progress.Show(static_cast<double>(i) / static_cast<double>(paths.size()), paths[i]);
      bool was_picture = false;
      Value input = ReadInput(paths[i], inputs[0], picture, &was_picture);
      units.Run({std::move(input)});
    }
  }
  Print(units.activations(), paths.size());
  if (options.json.empty()) return;
  WriteFile(
      options.json,
      ToJson(model.model, paths, units.activations()).dump(2, ' ', false, Json::error_handler_t::replace) +
          "\n");
}

}  // namespace sluice::tools
