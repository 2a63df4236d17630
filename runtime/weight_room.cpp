#include "runtime/weight_room.h"

#include <map>
#include <set>

namespace sluice {
namespace {

// The elements of a tile for each of the kernel's: (4 + 3 - 1)^2 / 3^2, and (6 + 3 - 1)^2 / 3^2.
constexpr double kGrowth = 4, kFastGrowth = 64.0 / 9;

struct Weights {
  int64_t all = 0;                   // bytes of every constant
  std::map<int64_t, int64_t> sizes;  // of a convolution's weights: how many there are
};

void Count(const Graph& graph, Weights& weights) {
  for (size_t i = 0; i < graph.num_values(); ++i) {
    const Tensor& constant = graph.value(static_cast<ValueId>(i)).constant;
    if (!constant.empty()) weights.all += constant.byte_size();
  }
  std::set<ValueId> counted;
  for (NodeId id : graph.TopologicalOrder()) {
    const Node& node = graph.node(id);
    for (const auto& [name, attribute] : node.attrs.all()) {
      if (const auto* nested = std::get_if<std::shared_ptr<Graph>>(&attribute)) Count(**nested, weights);
    }
    if (node.op_type != "Conv" && node.op_type != "ConvTranspose") continue;
    const ValueId value = node.inputs[1];
    if (graph.IsConstant(value) && counted.insert(value).second)
      ++weights.sizes[graph.value(value).constant.byte_size()];
  }
}

}  // namespace

int64_t MostGrownBytes(const Graph& graph, Accuracy accuracy, int64_t max_bytes) {
  if (max_bytes == INT64_MAX) return max_bytes;
  Weights weights;
  Count(graph, weights);
  const double more = (accuracy == Accuracy::kFast ? kFastGrowth : kGrowth) - 1;
  double room = static_cast<double>(max_bytes) - static_cast<double>(weights.all);
  int64_t most = -1;
  for (const auto& [bytes, count] : weights.sizes) {
    room -= more * static_cast<double>(bytes) * static_cast<double>(count);
    if (room < 0) return most;
    most = bytes;
  }
  return room < 0 ? -1 : INT64_MAX;
}

}  // namespace sluice
