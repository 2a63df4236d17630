#include "bench/conv_layers.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "graph/import.h"
#include "graph/infer.h"
#include "graph/passes/pass.h"
#include "kernels/evaluate.h"
#include "kernels/ops/window.h"
#include "sluice/error.h"

namespace sluice::bench {
namespace {

std::string Joined(const std::vector<int64_t>& sizes, char separator = 'x') {
  std::string text;
  for (int64_t size : sizes) {
    if (!text.empty()) text += separator;
    text += std::to_string(size);
  }
  return text;
}

bool AllOnes(const std::vector<int64_t>& sizes) {
  return std::all_of(sizes.begin(), sizes.end(), [](int64_t size) { return size == 1; });
}

// Tells any two layers apart: shapes and everything of the window.
std::string Key(const ConvLayer& layer) {
  const Window w = ReadWindow(layer.attrs, layer.src.size() - 2, SpatialOf(layer.weights));
  return layer.op_type + Joined(layer.src) + '|' + Joined(layer.weights) + '|' + Joined(layer.dst) + '|' +
         Joined(w.strides) + '|' + Joined(w.dilations) + '|' + Joined(w.pads_begin) + '|' +
         Joined(w.pads_end);
}

std::string NameOf(const std::string& network, const ConvLayer& layer) {
  const Window w = ReadWindow(layer.attrs, layer.src.size() - 2, SpatialOf(layer.weights));
  std::string name = network + '/';
  if (layer.op_type == "ConvTranspose") name += "transposed-";
  if (layer.src[0] != 1) name.append("n").append(std::to_string(layer.src[0])) += '-';
  name += Joined({layer.src.begin() + 1, layer.src.end()}) + '-' + std::to_string(layer.dst[1]) + "-k" +
          Joined(w.kernel);
  if (!AllOnes(w.strides)) name += "-s" + std::to_string(w.strides[0]);
  if (!AllOnes(w.dilations)) name += "-d" + std::to_string(w.dilations[0]);
  if (const int64_t groups = layer.attrs.Int("group", 1); groups != 1) name += "-g" + std::to_string(groups);
  return name;
}

}  // namespace

std::vector<ConvLayer> ConvLayersOf(const std::string& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".onnx") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  if (files.empty()) throw Error(ErrorCode::kInvalidArgument, "no .onnx file in '" + folder + "'");

  std::vector<ConvLayer> layers;
  std::set<std::string> seen;
  for (const auto& file : files) {
    const std::unique_ptr<Graph> graph = ImportOnnx(file.string());
    InferShapes(*graph);
    PassContext passes;
    passes.evaluate = EvaluateOrNone;
    RunPasses(*graph, {}, passes);
    for (NodeId id : graph->TopologicalOrder()) {
      const Node& node = graph->node(id);
      if (node.op_type != "Conv" && node.op_type != "ConvTranspose") continue;
      const ValueType &src = graph->value(node.inputs[0]).type, &weights = graph->value(node.inputs[1]).type,
                      &dst = graph->value(node.outputs[0]).type;
      if (!src.IsConcrete() || !weights.IsConcrete() || !dst.IsConcrete() || src.dtype != DataType::kFloat)
        continue;
      ConvLayer layer{
          "", node.op_type, node.attrs, *ToShape(src.shape), *ToShape(weights.shape), *ToShape(dst.shape)};
      if (!seen.insert(Key(layer)).second) continue;
      layer.name = NameOf(file.stem().string(), layer);
      layers.push_back(std::move(layer));
    }
  }
  return layers;
}

}  // namespace sluice::bench
