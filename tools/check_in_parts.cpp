#include "tools/check_in_parts.h"

#include <algorithm>
#include <map>
#include <set>

#include "graph/edit/edits.h"
#include "graph/import.h"
#include "graph/infer.h"
#include "runtime/value_info.h"
#include "sluice/error.h"
#include "tools/model_args.h"
#include "tools/run_nodes.h"

namespace sluice::tools {
namespace {

// Below it a run takes a fraction of a second on one slow core.
constexpr double kMuchWork = 5e9;
// Height and width of small pictures: what detectors divide by 32 keeps two rows, so that every weight of a
// 3x3 convolution meets a pixel.
constexpr int64_t kSmall = 64;

// Multiplications and additions of convolutions; what varies counts once.
double ConvolutionWork(const Graph& graph) {
  double work = 0;
  for (NodeId id : graph.TopologicalOrder()) {
    const Node& node = graph.node(id);
    if (node.op_type != "Conv" || !graph.IsConstant(node.inputs[1])) continue;
    const Tensor& weights = graph.value(node.inputs[1]).constant;
    double elems = 1;
    for (const Dim& dim : graph.value(node.outputs[0]).type.shape) {
      if (dim.known()) elems *= static_cast<double>(dim.value());
    }
    if (weights.rank() > 0 && weights.shape()[0] > 0)
      work += 2 * elems * static_cast<double>(weights.num_elements() / weights.shape()[0]);
  }
  return work;
}

// Noise for the graph's inputs, pictures made small; empty where there are none to make small.
std::vector<Value> SmallInputs(const Graph& graph) {
  std::vector<Value> inputs;
  bool smaller = false;
  for (ValueId id : graph.inputs) {
    ValueInfo info = InfoOf(graph.value(id));
    for (size_t i = 2; i < info.shape.size() && info.shape.size() == 4; ++i) {
      smaller |= info.shape[i] > kSmall;
      info.shape[i] = std::min(info.shape[i], kSmall);
    }
    inputs.push_back(Noise(info, kSeed + inputs.size()));
  }
  return smaller ? inputs : std::vector<Value>();
}

// What computes `to` from the values `from`.
std::unique_ptr<Graph> RestOf(const Graph& whole, const std::vector<std::string>& from,
                              const std::vector<std::string>& to) {
  std::unique_ptr<Graph> rest = whole.Clone();
  ExtractSubgraph(*rest, from, to);
  return rest;
}

std::map<std::string, Value> NoiseFor(const Graph& graph) {
  std::map<std::string, Value> inputs;
  for (ValueId id : graph.inputs) {
    const GraphValue& value = graph.value(id);
    inputs[value.name] = Noise(InfoOf(value), kSeed + inputs.size());
  }
  return inputs;
}

std::map<std::string, Value> RunOn(const std::map<std::string, Value>& inputs, std::unique_ptr<Graph> graph) {
  std::vector<Value> given;
  for (ValueId id : graph->inputs) given.push_back(inputs.at(graph->value(id).name));
  std::vector<std::string> names;
  for (ValueId id : graph->outputs) names.push_back(graph->value(id).name);
  std::vector<Value> outputs = RunAsWritten(std::move(graph), given);
  std::map<std::string, Value> results;
  for (size_t i = 0; i < names.size(); ++i) results[names[i]] = std::move(outputs[i]);
  return results;
}

void Join(const std::map<std::string, Value>& got, const std::map<std::string, Value>& want,
          std::vector<ComparedOutput>& outputs) {
  for (const auto& [name, value] : want) outputs.push_back({name, got.at(name), value});
}

}  // namespace

std::optional<std::vector<ComparedOutput>> RunInParts(const Graph& original, const std::string& file,
                                                      const std::function<void(std::string_view)>& stage) {
  if (HasNestedGraphs(original) || ConvolutionWork(original) < kMuchWork) return std::nullopt;
  std::vector<ComparedOutput> compared;
  try {
    const std::vector<Value> inputs = SmallInputs(original);
    if (inputs.empty()) return std::nullopt;
    stage("running the original");
    const auto want = RunAsFarAsPossible(original.Clone(), inputs);
    stage("running the result");
    std::unique_ptr<Graph> converted = ImportOnnx(file);
    InferShapes(*converted);
    if (HasNestedGraphs(*converted)) return std::nullopt;
    std::set<std::string> wanted;
    for (const auto& [name, value] : want) wanted.insert(name);
    auto got = RunAsFarAsPossible(converted->Clone(), inputs, wanted);
    std::vector<std::string> from, to;
    for (const auto& [name, value] : want) {
      if (got.count(name) == 0) return std::nullopt;
    }
    Join(got, want, compared);
    std::set<std::string> outputs;
    for (ValueId id : original.outputs) outputs.insert(original.value(id).name);
    for (const std::string& name : outputs) {
      if (want.count(name) == 0) to.push_back(name);
    }
    if (to.empty()) return compared;
    for (const auto& [name, value] : want) {
      if (outputs.count(name) == 0) from.push_back(name);
    }
    std::unique_ptr<Graph> rest = RestOf(original, from, to);
    const auto noise = NoiseFor(*rest);
    const auto rest_want = RunOn(noise, std::move(rest));
    Join(RunOn(noise, RestOf(*converted, from, to)), rest_want, compared);
  } catch (const Error&) {
    return std::nullopt;  // the run of the whole tells what is wrong, if anything is
  }
  return compared;
}

}  // namespace sluice::tools
