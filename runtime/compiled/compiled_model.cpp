#include "runtime/compiled/compiled_model.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "graph/binary/graph_binary.h"
#include "graph/operator.h"
#include "kernels/candidates.h"
#include "kernels/measuring.h"
#include "runtime/compiled/container.h"
#include "runtime/compiled/step_key.h"
#include "sluice/error.h"

namespace sluice {
namespace {

[[noreturn]] void Damaged(const std::string& what) {
  throw Error(ErrorCode::kInvalidModel, "the compiled model is damaged: " + what);
}

// Pages of zeros that take no memory.
std::shared_ptr<const void> ReserveZeros(uint64_t bytes) {
  CheckMemory(static_cast<int64_t>(bytes));
  void* const memory = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    throw Error(ErrorCode::kOutOfMemory, std::string("no addresses for constants: ") + std::strerror(errno));
  return {memory, [bytes](const void* p) { munmap(const_cast<void*>(p), bytes); }};
}

// Nothing if the kernel does not do it any more. What was measured need not be what is expected to be
// fastest, hence the scope.
std::optional<PreparedStep> PrepareChosen(const Node& node, const CompiledTables::Choice& choice,
                                          const std::function<PrepareContext()>& make_context) {
  for (int way = 0, ways = 1; way < ways; ++way) {
    const MeasuringScope scope(way, choice.kernel);
    std::vector<std::string> declined;
    auto step = PrepareCandidate(node, choice.candidate, make_context, declined);
    ways = scope.ways();
    if (!step || step->kernel->name() != choice.kernel) continue;
    step->declined = choice.declined;
    return step;
  }
  return std::nullopt;
}

Tensor View(DataType type, Shape shape, const std::byte* data, std::shared_ptr<const void> owner) {
  // Nobody writes to constants.
  return Tensor::Share(type, std::move(shape), const_cast<std::byte*>(data), std::move(owner));
}

}  // namespace

CompiledModel::CompiledModel(std::span<const std::byte> file, std::shared_ptr<const void> owner,
                             const OperatorLookup& lookup, bool verify)
    : owner_(std::move(owner)) {
  const Container container = OpenContainer(file);
  if (verify) VerifyPayload(container);
  payload_ = container.payload;
  tables_ = ReadTables(container.tables, payload_.size());
  PlaceConstants();
  ByteReader bytes(std::as_bytes(std::span(tables_.graph)));
  std::vector<const Node*> nodes;
  try {
    graph_ = ReadGraph(
        bytes,
        [this](uint32_t number, DataType type, Shape shape, bool may_lack_elements) {
          return Constant(number, type, std::move(shape), may_lack_elements);
        },
        lookup, nodes);
    bytes.End();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInvalidModel) throw;
    Damaged(std::string("its graph: ") + error.what());
  }
  if (graph_->outputs.size() != tables_.outputs.size()) Damaged("names and outputs differ in number");
  for (const CompiledTables::Packed& packed : tables_.packed) {
    const auto size = static_cast<int64_t>(packed.bytes);
    packed_[{packed.constant, packed.format, size}] = std::make_shared<const Tensor>(
        View(DataType::kUInt8, {size}, payload_.data() + packed.offset, owner_));
  }
  for (const CompiledTables::Choice& choice : tables_.choices) {
    if (choice.node >= nodes.size() || choice.candidate >= nodes[choice.node]->op->kernels.size())
      Damaged("a choice of a kernel is out of range");
    choices_[nodes[choice.node]][choice.inputs] = &choice;
  }
}

void CompiledModel::PlaceConstants() {
  uint64_t left_out = 0;
  for (const CompiledTables::Constant& constant : tables_.constants) {
    if (constant.offset != CompiledTables::Constant::kLeftOut) continue;
    if (__builtin_add_overflow(left_out, PaddedBytes(constant.bytes), &left_out) || left_out > INT64_MAX)
      Damaged("constants are too large");
  }
  if (left_out > 0) zeros_ = ReserveZeros(left_out);
  const auto* zeros = static_cast<const std::byte*>(zeros_.get());
  for (uint32_t i = 0; i < tables_.constants.size(); ++i) {
    const CompiledTables::Constant& constant = tables_.constants[i];
    places_.push_back(LeftOut(i) ? zeros : payload_.data() + constant.offset);
    if (LeftOut(i)) zeros += PaddedBytes(constant.bytes);
    numbers_[{places_.back(), static_cast<int64_t>(constant.bytes)}] = i;
  }
}

Tensor CompiledModel::Constant(uint32_t number, DataType type, Shape shape, bool may_lack_elements) {
  if (number >= places_.size()) Damaged("a constant has no elements");
  const auto bytes = static_cast<uint64_t>(ByteSize(type, NumElements(shape)));
  if (bytes != tables_.constants[number].bytes) {
    Damaged("a constant has " + std::to_string(tables_.constants[number].bytes) + " bytes, expected " +
            std::to_string(bytes));
  }
  if (LeftOut(number) && !may_lack_elements) Damaged("a constant is left out that is read");
  return View(type, std::move(shape), places_[number], LeftOut(number) ? zeros_ : owner_);
}

PackedWeights CompiledModel::Find(const Tensor& weights, const std::string& format, int64_t packed_bytes) {
  const auto number = numbers_.find({weights.data(), weights.byte_size()});
  if (number == numbers_.end()) return nullptr;  // computed while planning
  const auto found = packed_.find({number->second, format, packed_bytes});
  if (found != packed_.end()) return found->second;
  if (LeftOut(number->second)) {
    throw Error(ErrorCode::kInvalidModel,
                "the compiled model lacks weights in the order that a kernel wants; compile it again");
  }
  return nullptr;
}

ChooseKernel CompiledModel::Chooser(ChooseKernel inner) {
  return [this, inner = std::move(inner)](const Node& node,
                                          const std::function<PrepareContext()>& make_context) {
    const PackSourceScope scope(*this);
    const auto of_node = choices_.find(&node);
    if (of_node == choices_.end()) return inner(node, make_context);
    const auto choice = of_node->second.find(StepKey(node, make_context()));
    if (choice == of_node->second.end()) return inner(node, make_context);
    if (auto step = PrepareChosen(node, *choice->second, make_context)) return std::move(*step);
    return inner(node, make_context);
  };
}

void CompiledModel::CheckLeftOut(const Graph& graph) const {
  for (size_t i = 0; i < graph.num_values(); ++i) {
    const Tensor& constant = graph.value(static_cast<ValueId>(i)).constant;
    if (constant.empty() || constant.data() == nullptr) continue;
    const auto number = numbers_.find({constant.data(), constant.byte_size()});
    if (number != numbers_.end() && LeftOut(number->second))
      Damaged("constant '" + graph.value(static_cast<ValueId>(i)).name + "' is left out that is read");
  }
}

}  // namespace sluice
