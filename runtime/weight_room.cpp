#include "runtime/weight_room.h"

#include <algorithm>
#include <map>
#include <set>

namespace sluice {
namespace {

// How many times what the model states a kernel's weights may take at most. Winograd's 3x3 at stride 1: the
// elements of a tile for each of the kernel's, (4 + 3 - 1)^2 / 3^2, and (6 + 3 - 1)^2 / 3^2; no form of
// others takes more than F(4x4) of 3x3 at stride 2 does: (2 * 4 + 3 - 2)^2 / 3^2.
constexpr double kGrowth = 4, kFastGrowth = 64.0 / 9, kMostGrowth = 9;

double GrowthOf(const Node& node, const Shape& weights, Accuracy accuracy) {
  const auto all = [](const std::vector<int64_t>& values, int64_t value) {
    return std::all_of(values.begin(), values.end(), [&](int64_t v) { return v == value; });
  };
  const std::vector<int64_t> kernel(weights.begin() + std::min<ptrdiff_t>(2, std::ssize(weights)),
                                    weights.end());
  if (all(kernel, 1)) return 1;
  if (node.op_type != "Conv" || !all(kernel, 3) || !all(node.attrs.Ints("strides", {}), 1))
    return kMostGrowth;
  return accuracy == Accuracy::kFast ? kFastGrowth : kGrowth;
}

struct Weights {
  double all = 0;                   // bytes of every constant
  std::map<int64_t, double> sizes;  // by the bytes of a convolution's weights: how much more those may take
};

void Count(const Graph& graph, Accuracy accuracy, Weights& weights) {
  for (size_t i = 0; i < graph.num_values(); ++i) {
    const Tensor& constant = graph.value(static_cast<ValueId>(i)).constant;
    if (!constant.empty()) weights.all += static_cast<double>(constant.byte_size());
  }
  std::set<ValueId> counted;
  for (NodeId id : graph.TopologicalOrder()) {
    const Node& node = graph.node(id);
    for (const auto& [name, attribute] : node.attrs.all()) {
      if (const auto* nested = std::get_if<std::shared_ptr<Graph>>(&attribute))
        Count(**nested, accuracy, weights);
    }
    if (node.op_type != "Conv" && node.op_type != "ConvTranspose") continue;
    const ValueId value = node.inputs[1];
    if (!graph.IsConstant(value) || !counted.insert(value).second) continue;
    const Tensor& constant = graph.value(value).constant;
    const auto bytes = static_cast<double>(constant.byte_size());
    weights.sizes[constant.byte_size()] += bytes * (GrowthOf(node, constant.shape(), accuracy) - 1);
  }
}

}  // namespace

int64_t MostGrownBytes(const Graph& graph, Accuracy accuracy, int64_t max_bytes) {
  if (max_bytes == INT64_MAX) return max_bytes;
  Weights weights;
  Count(graph, accuracy, weights);
  double room = static_cast<double>(max_bytes) - weights.all;
  int64_t most = -1;
  for (const auto& [bytes, more] : weights.sizes) {
    room -= more;
    if (room < 0) return most;
    most = bytes;
  }
  return room < 0 ? -1 : INT64_MAX;
}

}  // namespace sluice
