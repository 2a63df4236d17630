#include "runtime/planner.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "graph/operator.h"
#include "kernels/reorder_kernel.h"
#include "runtime/cache_budget.h"
#include "runtime/fold_node.h"
#include "runtime/step_chain.h"
#include "runtime/storage.h"
#include "sluice/error.h"

namespace sluice {
namespace {

// Whether a value of this type has bytes of a size known now.
bool HasBytes(const ValueType& type) { return type.IsConcrete() && type.dtype != DataType::kString; }

TensorDesc PlainDesc(const ValueType& type) { return {type.dtype, *ToShape(type.shape)}; }

class Planner {
 public:
  Planner(const Graph& graph, const PrepareContext::SubgraphMaker& make_subgraph,
          const ReleaseConstant& release, const ChooseKernel& choose)
      : graph_(graph),
        make_subgraph_(make_subgraph),
        release_(release),
        choose_(choose),
        known_(graph.num_values()) {}

  Plan Make(std::span<const InputType> inputs) {
    for (size_t i = 0; i < known_.size(); ++i) {
      const Tensor& constant = graph_.value(static_cast<ValueId>(i)).constant;
      if (!constant.empty()) SetConstant(static_cast<ValueId>(i), &constant);
    }
    for (size_t i = 0; i < graph_.inputs.size(); ++i) BindInput(static_cast<int>(i), inputs[i]);
    for (NodeId id : graph_.TopologicalOrder()) PlanNode(graph_.node(id));
    AddWaiting();
    for (ValueId id : graph_.outputs) BindOutput(id);
    storage_.Finish(plan_);
    CountMemory(plan_, held_);
    return std::move(plan_);
  }

 private:
  // What is known of a graph value so far.
  struct Known {
    ValueType type;
    const Tensor* constant = nullptr;
    Layout layout = Layout::kPlain;  // the one its producer chose
    int uses_left = 0;               // nodes not planned yet and graph outputs
    size_t drops = 0;                // uses that do not read the elements when they run
    std::map<Layout, int> slots;     // by layout, the reordered copies made so far included
  };

  Known& KnownOf(ValueId id) { return known_[static_cast<size_t>(id)]; }

  int NewBuffer(Place::Kind kind, int index, int64_t bytes) {
    Place place;
    place.kind = kind;
    place.index = index;
    return storage_.AddBuffer(std::move(place), bytes);
  }

  // Makes `slot` the place of a value that a step or the caller provides.
  void Define(ValueId id, int slot) {
    Known& known = KnownOf(id);
    known.layout = storage_.desc(slot).layout;
    known.uses_left = static_cast<int>(graph_.value(id).users.size()) +
                      static_cast<int>(std::count(graph_.outputs.begin(), graph_.outputs.end(), id));
    Show(known, slot);
  }

  // Any use to come may read this slot.
  void Show(Known& known, int slot) {
    known.slots[storage_.desc(slot).layout] = slot;
    storage_.ExpectUses(storage_.BufferOf(slot), known.uses_left);
  }

  void SetConstant(ValueId id, const Tensor* tensor) {
    Known& known = KnownOf(id);
    known.type = ValueType::Of(tensor->dtype(), ToSymShape(tensor->shape()));
    known.constant = tensor;
  }

  int NewDynamicSlot() {
    const int index = static_cast<int>(plan_.dynamic_readers.size());
    plan_.dynamic_readers.push_back(0);
    return storage_.AddSlot({}, NewBuffer(Place::Kind::kDynamic, index, 0));
  }

  void BindInput(int index, const InputType& input) {
    const ValueId id = graph_.inputs[static_cast<size_t>(index)];
    ValueType& type = KnownOf(id).type;
    type = input.kind == ValueType::Kind::kTensor
               ? ValueType::Of(input.desc.dtype, ToSymShape(input.desc.shape))
               : ValueType{input.desc.dtype, input.kind, false, {}, input.key_type};
    // An empty sequence need not know what it would hold.
    if (type.kind == ValueType::Kind::kSequence && type.dtype == DataType::kUndefined) {
      type.dtype = graph_.value(id).type.dtype;
      type.key_type = graph_.value(id).type.key_type;
    }
    Plan::Input bound;
    if (HasBytes(type)) {
      Define(id, storage_.AddSlot(input.desc, NewBuffer(Place::Kind::kInput, index, input.desc.byte_size())));
    } else {
      const int slot = NewDynamicSlot();
      bound.dynamic = storage_.place(storage_.BufferOf(slot)).index;
      Define(id, slot);
    }
    plan_.inputs.push_back(bound);
  }

  int ConstantSlot(const Tensor& tensor, Layout layout) {
    const TensorDesc plain{tensor.dtype(), tensor.shape()};
    TensorDesc wanted = plain;
    wanted.layout = layout;
    const int buffer = NewBuffer(Place::Kind::kConstant, 0, 0);
    if (layout == Layout::kPlain) {
      storage_.place(buffer).constant = tensor;
    } else {
      Tensor copy(DataType::kUInt8, {wanted.byte_size()});
      for (int64_t tile = 0; tile < ReorderTiles(plain, wanted); ++tile) {
        RunReorder(plain, tensor.data(), wanted, copy.mutable_data(), tile);
      }
      plan_.info.packed_bytes += copy.byte_size();
      storage_.place(buffer).constant = std::move(copy);
    }
    return storage_.AddSlot(wanted, buffer);
  }

  // The slot of a value in a layout, reordered by a step of its own if there is none yet.
  int SlotOf(ValueId id, Layout layout) {
    if (id == ValueId::kNone) return Storage::kNone;
    Known& known = KnownOf(id);
    if (const auto found = known.slots.find(layout); found != known.slots.end()) return found->second;
    int slot = Storage::kNone;
    if (known.constant != nullptr) {
      slot = ConstantSlot(*known.constant, layout);
    } else {
      const int from = known.slots.at(known.layout);
      TensorDesc desc = storage_.desc(from);
      desc.layout = layout;
      slot = storage_.AddSlot(desc, NewBuffer(Place::Kind::kArena, 0, desc.byte_size()));
      Step step;
      step.value = graph_.value(id).name;
      step.kernel = std::make_unique<ReorderKernel>(storage_.desc(from), desc);
      step.inputs = {from};
      step.outputs = {slot};
      ++plan_.info.reorders;
      AddStep(std::move(step));
    }
    Show(known, slot);
    return slot;
  }

  void PlanNode(const Node& node) {
    if (waiting_ && !ReadsWaiting(node)) AddWaiting();
    std::vector<const ValueType*> types;
    std::vector<const Tensor*> constants;
    bool static_sizes = true;
    for (ValueId id : node.inputs) {
      types.push_back(id == ValueId::kNone ? nullptr : &KnownOf(id).type);
      constants.push_back(id == ValueId::kNone ? nullptr : KnownOf(id).constant);
      if (id != ValueId::kNone && !HasBytes(KnownOf(id).type)) static_sizes = false;
    }
    const std::vector<ValueType> outputs = InferNode(node, types, constants);
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i] == ValueId::kNone) continue;
      KnownOf(node.outputs[i]).type = outputs[i];
      if (!HasBytes(outputs[i])) static_sizes = false;
    }
    if (!Fold(node, constants, types, outputs)) {
      if (static_sizes)
        PlanKernel(node, constants, outputs);
      else
        PlanDynamic(node);
    }
    for (ValueId id : node.inputs) {
      if (id == ValueId::kNone) continue;
      --KnownOf(id).uses_left;
      for (const auto& [layout, slot] : KnownOf(id).slots) storage_.UseDone(storage_.BufferOf(slot));
    }
  }

  // Computes the node now where its result cannot depend on the run.
  bool Fold(const Node& node, std::span<const Tensor* const> constants,
            std::span<const ValueType* const> inputs, std::span<const ValueType> outputs) {
    auto results = FoldNode(node, constants, inputs, outputs, make_subgraph_);
    for (size_t i = 0; results && i < node.outputs.size(); ++i) {
      if (node.outputs[i] == ValueId::kNone) continue;
      plan_.constants.push_back(std::move((*results)[i].tensor()));
      SetConstant(node.outputs[i], &plan_.constants.back());
    }
    return results.has_value();
  }

  void PlanKernel(const Node& node, const std::vector<const Tensor*>& constants,
                  const std::vector<ValueType>& types) {
    std::vector<TensorDesc> inputs, outputs;
    for (ValueId id : node.inputs) {
      inputs.emplace_back();
      if (id == ValueId::kNone) continue;
      inputs.back() = PlainDesc(KnownOf(id).type);
      inputs.back().layout = KnownOf(id).layout;
    }
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      outputs.push_back(HasBytes(types[i]) ? PlainDesc(types[i]) : TensorDesc());
    }
    PreparedStep prepared = choose_(node, [&] {
      return PrepareContext(node, inputs, constants, outputs, std::vector<bool>(outputs.size(), true),
                            make_subgraph_);
    });
    const bool joins = waiting_ &&
                       prepared.request.input_layouts[0] == storage_.desc(waiting_->outputs[0]).layout &&
                       JoinsByRows(*waiting_, node, prepared);
    if (!joins) AddWaiting();

    Step step;
    step.node = &node;
    step.scratch_bytes = prepared.request.scratch_bytes;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      step.inputs.push_back(prepared.request.unread[i] || (joins && i == 0)
                                ? Storage::kNone
                                : SlotOf(node.inputs[i], prepared.request.input_layouts[i]));
    }
    bool runs = false;
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      step.outputs.push_back(Storage::kNone);
      if (node.outputs[i] == ValueId::kNone) continue;
      const TensorDesc& desc = prepared.outputs[i];
      if (const int shared = prepared.request.shares_input[i]; shared >= 0) {
        Define(node.outputs[i], storage_.AddView(desc, step.inputs[static_cast<size_t>(shared)],
                                                 prepared.request.shares_offset[i]));
        continue;
      }
      if (JoinParts(step, prepared.request, i, desc)) {
        Define(node.outputs[i], step.outputs[i]);
        step.outputs[i] = Storage::kNone;
        continue;
      }
      runs = true;
      if (step.outputs[i] == Storage::kNone) {
        int buffer = OverwrittenBuffer(step, prepared.request.in_place[i], desc);
        if (buffer == Storage::kNone) buffer = NewBuffer(Place::Kind::kArena, 0, desc.byte_size());
        step.outputs[i] = storage_.AddSlot(desc, buffer);
      }
      Define(node.outputs[i], step.outputs[i]);
    }
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (prepared.request.unread[i]) Drop(node.inputs[i]);
    }
    if (!runs) return;
    plan_.info.flops += prepared.kernel->flops();
    step.kernel = std::move(prepared.kernel);
    step.declined = std::move(prepared.declined);
    if (joins) step = JoinByRows(*std::exchange(waiting_, std::nullopt), std::move(step));
    waiting_ = std::move(step);
    if (!graph_.by_rows || node.outputs.size() != 1 || graph_.SingleUser(node.outputs[0]) == NodeId::kNone)
      AddWaiting();
  }

  // Whether the node is the one that may join the step that waits.
  bool ReadsWaiting(const Node& node) const {
    return !node.inputs.empty() && node.inputs[0] == waiting_->node->outputs[0];
  }

  void AddWaiting() {
    if (waiting_) AddStep(*std::exchange(waiting_, std::nullopt));
  }

  void Drop(ValueId id) {
    if (!graph_.IsConstant(id) || ++KnownOf(id).drops < graph_.value(id).users.size() || graph_.IsOutput(id))
      return;
    if (release_) release_(id);
  }

  // Where output `i` consists of inputs, gives it memory and has those of them made in it that can be;
  // true if all are, so that nothing is left to run.
  bool JoinParts(Step& step, const StepRequest& request, size_t i, const TensorDesc& desc) {
    std::vector<Storage::Part> parts;
    for (const StepRequest::Part& part : request.parts) {
      if (part.output == static_cast<int>(i)) {
        parts.push_back({step.inputs[static_cast<size_t>(part.input)], part.offset_bytes});
      }
    }
    if (parts.empty()) return false;
    step.outputs[i] = storage_.AddSlot(desc, NewBuffer(Place::Kind::kArena, 0, desc.byte_size()));
    return storage_.Join(step.outputs[i], parts);
  }

  // The memory of input `in_place` if the run made it and nobody but this one use needs it any more.
  int OverwrittenBuffer(const Step& step, int in_place, const TensorDesc& desc) {
    if (in_place < 0 || step.inputs[static_cast<size_t>(in_place)] == Storage::kNone) return Storage::kNone;
    const int buffer = storage_.BufferOf(step.inputs[static_cast<size_t>(in_place)]);
    if (storage_.place(buffer).kind != Place::Kind::kArena || storage_.uses_left(buffer) != 1 ||
        storage_.bytes(buffer) != desc.byte_size() ||
        !storage_.IsWhole(step.inputs[static_cast<size_t>(in_place)])) {
      return Storage::kNone;
    }
    return buffer;
  }

  void PlanDynamic(const Node& node) {
    AddWaiting();
    Step step;
    step.node = &node;
    for (ValueId id : node.inputs) step.inputs.push_back(SlotOf(id, Layout::kPlain));
    for (ValueId id : node.outputs) {
      step.outputs.push_back(Storage::kNone);
      if (id == ValueId::kNone) continue;
      int slot = Storage::kNone;
      if (const ValueType& type = KnownOf(id).type; HasBytes(type)) {
        const TensorDesc desc = PlainDesc(type);
        slot = storage_.AddSlot(desc, NewBuffer(Place::Kind::kArena, 0, desc.byte_size()));
      } else {
        slot = NewDynamicSlot();
      }
      step.outputs.back() = slot;
      Define(id, slot);
    }
    AddStep(std::move(step));
  }

  void AddStep(Step step) {
    if (step.kernel) step.tiles = step.kernel->tiles();
    for (int slot : step.inputs) CountDynamicReader(slot);
    storage_.Record(static_cast<int>(plan_.steps.size()), step.inputs, step.outputs);
    plan_.steps.push_back(std::move(step));
  }

  void CountDynamicReader(int slot) {
    if (slot == Storage::kNone) return;
    const Place& place = storage_.place(storage_.BufferOf(slot));
    if (place.kind == Place::Kind::kDynamic) ++plan_.dynamic_readers[static_cast<size_t>(place.index)];
  }

  // A result is written where the caller gets it, so that nothing is copied at the end.
  void BindOutput(ValueId id) {
    Plan::Output output;
    output.slot = SlotOf(id, Layout::kPlain);
    CountDynamicReader(output.slot);
    Place& place = storage_.place(storage_.BufferOf(output.slot));
    if (place.kind == Place::Kind::kArena && !storage_.IsWhole(output.slot)) {
      storage_.KeepToEnd(storage_.BufferOf(output.slot));
    } else if (place.kind == Place::Kind::kArena) {
      place.kind = Place::Kind::kOutput;
      place.index = static_cast<int>(plan_.results.size());
      plan_.results.push_back(storage_.desc(output.slot));
    }
    plan_.outputs.push_back(output);
  }

  const Graph& graph_;
  const PrepareContext::SubgraphMaker& make_subgraph_;
  const ReleaseConstant& release_;
  const ChooseKernel& choose_;
  HeldScope held_;  // notes from now on what kernels prepared on this thread hold
  std::vector<Known> known_;
  Storage storage_;
  // The step planned last, if the node behind it may join it; there are no other users of what it makes.
  std::optional<Step> waiting_;
  Plan plan_;
};

}  // namespace

Plan MakePlan(const Graph& graph, std::span<const InputType> inputs,
              const PrepareContext::SubgraphMaker& make_subgraph, const ReleaseConstant& release,
              const ChooseKernel& choose) {
  return Planner(graph, make_subgraph, release, choose).Make(inputs);
}

}  // namespace sluice
