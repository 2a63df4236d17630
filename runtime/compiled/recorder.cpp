#include "runtime/compiled/recorder.h"

#include "graph/binary/graph_binary.h"
#include "graph/operator.h"
#include "kernels/candidates.h"
#include "runtime/compiled/step_key.h"

namespace sluice {
namespace {

constexpr uint64_t kPage = 4096;
// Larger ones begin at pages, so that one can be read without its neighbours.
constexpr uint64_t kSmall = uint64_t{64} << 10;

std::span<const std::byte> BytesOf(const Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.data()), static_cast<size_t>(tensor.byte_size())};
}

}  // namespace

// Gives places in the payload.
class ModelRecorder::Layout {
 public:
  uint64_t Add(std::span<const std::byte> bytes) {
    const uint64_t unit = bytes.size() < kSmall ? kPayloadAlignment : kPage;
    const uint64_t offset = (end_ + unit - 1) / unit * unit;
    parts_.push_back({offset, bytes});
    end_ = offset + PaddedBytes(bytes.size());
    return offset;
  }
  std::span<const PayloadPart> parts() const { return parts_; }
  uint64_t bytes() const { return end_; }

 private:
  std::vector<PayloadPart> parts_;
  uint64_t end_ = 0;
};

uint32_t ModelRecorder::Number(const Tensor& tensor) {
  const auto [found, added] = numbers_.try_emplace({tensor.data(), tensor.byte_size()}, constants_.size());
  if (added) constants_.push_back({tensor, 0});
  ++constants_[found->second].uses;
  return found->second;
}

void ModelRecorder::Begin(const Graph& graph) {
  ByteWriter bytes;
  std::vector<const Node*> nodes;
  WriteGraph(
      graph, [this](const Tensor& tensor) { return Number(tensor); }, bytes, nodes);
  graph_ = bytes.bytes();
  for (size_t i = 0; i < nodes.size(); ++i) nodes_[nodes[i]] = static_cast<uint32_t>(i);
  for (size_t i = 0; i < graph.num_values(); ++i) {
    const Tensor& constant = graph.value(static_cast<ValueId>(i)).constant;
    const auto number =
        constant.empty() ? numbers_.end() : numbers_.find({constant.data(), constant.byte_size()});
    value_constants_.push_back(number == numbers_.end() ? -1 : int64_t{number->second});
  }
}

void ModelRecorder::Stop() {
  const std::lock_guard lock(mutex_);
  constants_.clear();
  numbers_.clear();
  nodes_.clear();
  packed_.clear();
  choices_.clear();
}

ChooseKernel ModelRecorder::Watch(ChooseKernel inner) {
  return [this, inner = std::move(inner)](const Node& node,
                                          const std::function<PrepareContext()>& make_context) {
    const PackSourceScope scope(*this);
    PreparedStep step = inner(node, make_context);
    if (node.op->kernels.size() < 2) return step;
    std::string key = StepKey(node, make_context());
    const std::lock_guard lock(mutex_);
    if (const auto number = nodes_.find(&node); number != nodes_.end()) {
      choices_[{number->second, key}] = {number->second, key,
                                         static_cast<uint32_t>(CandidateOf(node, *step.kernel)),
                                         step.kernel->name(), step.declined};
    }
    return step;
  };
}

void ModelRecorder::Note(const Tensor& weights, const std::string& format, const PackedWeights& packed) {
  // What was computed while planning has no number; it is there again, and packed again, after loading.
  const std::lock_guard lock(mutex_);
  const auto number = numbers_.find({weights.data(), weights.byte_size()});
  if (number == numbers_.end()) return;
  packed_[{number->second, format}] = {packed, packed->byte_size()};
}

void ModelRecorder::Write(CompiledTables tables, const Graph& planned,
                          const std::function<void(std::span<const std::byte>)>& sink) const {
  std::vector<int> freed(constants_.size(), 0);
  for (size_t i = 0; i < value_constants_.size(); ++i) {
    const Tensor& constant = planned.value(static_cast<ValueId>(i)).constant;
    if (value_constants_[i] >= 0 && constant.data() == nullptr)
      ++freed[static_cast<size_t>(value_constants_[i])];
  }
  Layout layout;
  for (size_t i = 0; i < constants_.size(); ++i) {
    const auto bytes = BytesOf(constants_[i].tensor);
    const bool left_out = freed[i] == constants_[i].uses;
    tables.constants.push_back(
        {left_out ? CompiledTables::Constant::kLeftOut : layout.Add(bytes), bytes.size()});
  }
  const std::lock_guard lock(mutex_);
  std::vector<PackedWeights> held;  // until they are written
  std::map<const Tensor*, uint64_t> places;
  for (const auto& [key, packed] : packed_) {
    const PackedWeights weights = packed.weights.lock();
    // Those of candidates that were tried and not taken are gone.
    if (!weights || weights->byte_size() == 0) continue;
    held.push_back(weights);
    const auto [place, added] = places.try_emplace(weights.get(), 0);
    if (added) place->second = layout.Add(BytesOf(*weights));
    tables.packed.push_back(
        {key.first, key.second, place->second, static_cast<uint64_t>(weights->byte_size())});
  }
  for (const auto& [key, choice] : choices_) tables.choices.push_back(choice);
  tables.graph = graph_;
  const std::string bytes = WriteTables(tables);
  WriteContainer(std::as_bytes(std::span(bytes)), layout.parts(), layout.bytes(), sink);
}

}  // namespace sluice
