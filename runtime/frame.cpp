#include "runtime/frame.h"

#include <cstring>

#include "kernels/reorder.h"
#include "sluice/error.h"

namespace sluice {

Frame::Frame(const Plan& plan, int threads) : plan_(plan) {
  size_t shares = 0;
  for (const Step& step : plan.steps) {
    first_input_.push_back(step_inputs_.size());
    first_output_.push_back(step_outputs_.size());
    step_inputs_.resize(step_inputs_.size() + step.inputs.size());
    step_outputs_.resize(step_outputs_.size() + step.outputs.size());
    first_share_.push_back(shares);
    shares += static_cast<size_t>(TileShares::Count(step.tiles, threads));
  }
  first_share_.push_back(shares);
  first_input_.push_back(step_inputs_.size());
  first_output_.push_back(step_outputs_.size());
  addresses_.resize(plan.slots.size());
  dynamic_.resize(plan.dynamic_readers.size());
  dynamic_readers_ = std::make_unique<std::atomic<int>[]>(plan.dynamic_readers.size());
  counters_ = std::make_unique<Counters[]>(plan.steps.size());
  shares_ = std::make_unique<std::atomic<uint64_t>[]>(shares);
}

void Frame::EnableTrace() {
  int64_t count = 0;
  for (const Step& step : plan_.steps) {
    first_event_.push_back(count);
    count += std::max<int64_t>(step.tiles, 1);
  }
  events_.resize(static_cast<size_t>(count));
}

void Frame::Begin(std::span<const Value> inputs, std::byte* arena) {
  run_inputs_ = inputs;
  for (const TensorDesc& desc : plan_.results) results_.emplace_back(desc.dtype, desc.shape);
  for (size_t i = 0; i < plan_.inputs.size(); ++i) {
    if (plan_.inputs[i].dynamic >= 0) dynamic_[static_cast<size_t>(plan_.inputs[i].dynamic)] = inputs[i];
  }
  for (size_t i = 0; i < plan_.slots.size(); ++i) {
    const Place& place = plan_.slots[i].place;
    const auto index = static_cast<size_t>(place.index);
    const void* base = nullptr;
    switch (place.kind) {
      case Place::Kind::kArena: base = arena; break;
      case Place::Kind::kConstant: base = place.constant.data(); break;
      case Place::Kind::kInput: base = inputs[index].tensor().data(); break;
      case Place::Kind::kOutput: base = results_[index].data(); break;
      case Place::Kind::kDynamic: break;
    }
    addresses_[i] = base == nullptr ? nullptr : static_cast<std::byte*>(const_cast<void*>(base)) + place.offset;
  }
  for (size_t i = 0; i < plan_.dynamic_readers.size(); ++i) dynamic_readers_[i] = plan_.dynamic_readers[i];
  for (size_t s = 0; s < plan_.steps.size(); ++s) {
    const Step& step = plan_.steps[s];
    for (size_t i = 0; i < step.inputs.size(); ++i) {
      step_inputs_[first_input_[s] + i] =
          step.inputs[i] < 0 ? nullptr : addresses_[static_cast<size_t>(step.inputs[i])];
    }
    for (size_t i = 0; i < step.outputs.size(); ++i) {
      step_outputs_[first_output_[s] + i] =
          step.outputs[i] < 0 ? nullptr : addresses_[static_cast<size_t>(step.outputs[i])];
    }
    counters_[s].waiting.store(step.dependencies, std::memory_order_relaxed);
    tiles(static_cast<int>(s)).Reset(step.tiles);
    counters_[s].tiles_left.store(step.tiles, std::memory_order_relaxed);
  }
}

std::span<const void* const> Frame::inputs(int step) const {
  const auto s = static_cast<size_t>(step);
  return {step_inputs_.data() + first_input_[s], first_input_[s + 1] - first_input_[s]};
}

std::span<void* const> Frame::outputs(int step) const {
  const auto s = static_cast<size_t>(step);
  return {step_outputs_.data() + first_output_[s], first_output_[s + 1] - first_output_[s]};
}

Value Frame::Input(int step, int i) const {
  const int index = plan_.steps[static_cast<size_t>(step)].inputs[static_cast<size_t>(i)];
  if (index < 0) return {};
  const Slot& from = slot(index);
  if (from.place.kind == Place::Kind::kDynamic) return dynamic_[static_cast<size_t>(from.place.index)];
  return Tensor::Borrow(from.desc.dtype, from.desc.shape, addresses_[static_cast<size_t>(index)]);
}

Value Frame::Computed(int step, int i) const {
  const int index = plan_.steps[static_cast<size_t>(step)].outputs[static_cast<size_t>(i)];
  if (index < 0) return {};
  const Slot& from = slot(index);
  if (from.place.kind == Place::Kind::kDynamic) return dynamic_[static_cast<size_t>(from.place.index)];
  void* const address = addresses_[static_cast<size_t>(index)];
  if (from.desc.layout == Layout::kPlain) return Tensor::Borrow(from.desc.dtype, from.desc.shape, address);
  const TensorDesc plain{from.desc.dtype, from.desc.shape};
  Tensor copy(plain.dtype, plain.shape);
  for (int64_t tile = 0; tile < ReorderTiles(from.desc, plain); ++tile) {
    RunReorder(from.desc, address, plain, copy.mutable_data(), tile);
  }
  return copy;
}

void Frame::Output(int step, int i, Value value) {
  const Step& made_by = plan_.steps[static_cast<size_t>(step)];
  const int index = made_by.outputs[static_cast<size_t>(i)];
  if (index < 0) return;
  const Slot& to = slot(index);
  if (to.place.kind == Place::Kind::kDynamic) {
    dynamic_[static_cast<size_t>(to.place.index)] = value.Owned();
    return;
  }
  const Tensor& tensor = value.tensor();
  if (tensor.dtype() != to.desc.dtype || tensor.shape() != to.desc.shape) {
    throw Error(ErrorCode::kInvalidModel,
                Describe(*made_by.node) + ": output " + std::to_string(i) + " is " +
                    std::string(DataTypeName(tensor.dtype())) + " " + ToString(tensor.shape()) + ", expected " +
                    std::string(DataTypeName(to.desc.dtype)) + " " + ToString(to.desc.shape));
  }
  if (const int64_t bytes = tensor.byte_size(); bytes > 0) {
    std::memcpy(addresses_[static_cast<size_t>(index)], tensor.data(), static_cast<size_t>(bytes));
  }
}

void Frame::Release(int step) {
  for (int index : plan_.steps[static_cast<size_t>(step)].inputs) {
    if (index < 0 || slot(index).place.kind != Place::Kind::kDynamic) continue;
    const auto dynamic = static_cast<size_t>(slot(index).place.index);
    if (dynamic_readers_[dynamic].fetch_sub(1, std::memory_order_acq_rel) == 1) dynamic_[dynamic] = {};
  }
}

std::vector<Value> Frame::TakeOutputs() {
  std::vector<Value> outputs;
  for (const Plan::Output& output : plan_.outputs) {
    const Slot& from = slot(output.slot);
    const auto index = static_cast<size_t>(from.place.index);
    if (from.place.kind == Place::Kind::kDynamic) {
      outputs.push_back(dynamic_[index].Owned());
      continue;
    }
    if (from.place.kind == Place::Kind::kOutput && from.place.offset == 0 &&
        results_[index].dtype() == from.desc.dtype &&
        results_[index].num_elements() == from.desc.num_elements()) {
      outputs.emplace_back(results_[index].Reshaped(from.desc.shape));
      continue;
    }
    // A constant, an input handed through or a part of another value: the caller gets a copy.
    outputs.emplace_back(Tensor::Borrow(from.desc.dtype, from.desc.shape,
                                        addresses_[static_cast<size_t>(output.slot)]).Clone());
  }
  Abandon();
  return outputs;
}

void Frame::Abandon() {
  results_.clear();
  for (Value& value : dynamic_) value = {};
  run_inputs_ = {};
}

}  // namespace sluice
