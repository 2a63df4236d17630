#include "runtime/frame.h"

#include <algorithm>
#include <cstring>

#include "kernels/reorder.h"
#include "sluice/error.h"

namespace sluice {
namespace {

// The memory has at least as many bytes as a tensor of this shape.
void SetShape(Tensor& tensor, const Shape& shape) {
  if (tensor.shape() == shape) return;
  void* const memory = tensor.mutable_data();
  if (tensor.is_borrowed()) {
    tensor.Rebind(tensor.dtype(), shape, memory);
  } else {
    const DataType type = tensor.dtype();
    tensor = Tensor::Share(type, shape, memory, std::make_shared<const Tensor>(std::move(tensor)));
  }
}

void CheckMemoryFor(size_t output, const Tensor& memory, DataType type, const Shape& shape) {
  if (memory.dtype() != type) {
    throw OutputError{output, "the memory given is for " + std::string(DataTypeName(memory.dtype())) +
                                  ", the result is " + std::string(DataTypeName(type))};
  }
  if (const int64_t bytes = ByteSize(type, NumElements(shape)); memory.byte_size() < bytes) {
    throw OutputError{output, "the memory given has " + std::to_string(memory.byte_size()) +
                                  " bytes, the result " + ToString(shape) + " has " + std::to_string(bytes)};
  }
}

// Throws OutputError where `value` is no tensor of that type or has more bytes.
void CopyInto(size_t output, const Value& value, Tensor& tensor) {
  if (!value.is_tensor()) throw OutputError{output, "the memory given is for a tensor, the result is none"};
  const Tensor& from = value.tensor();
  CheckMemoryFor(output, tensor, from.dtype(), from.shape());
  const int64_t bytes = from.byte_size();
  if (from.dtype() == DataType::kString) {
    const auto strings = from.values<std::string>();
    std::copy(strings.begin(), strings.end(), static_cast<std::string*>(tensor.mutable_data()));
  } else if (bytes > 0) {
    std::memcpy(tensor.mutable_data(), from.data(), static_cast<size_t>(bytes));
  }
  SetShape(tensor, from.shape());
}

}  // namespace

Frame::Frame(const Plan& plan, int threads, std::shared_ptr<Allocator> allocator)
    : plan_(plan),
      allocator_(std::move(allocator)),
      results_(plan.results.size()),
      result_memory_(plan.results.size()),
      written_by_result_(plan.results.size()) {
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

bool Frame::IsResult(const Slot& from) const {
  if (from.place.kind != Place::Kind::kOutput || from.place.offset != 0) return false;
  const TensorDesc& result = plan_.results[static_cast<size_t>(from.place.index)];
  return result.dtype == from.desc.dtype && result.num_elements() == from.desc.num_elements();
}

// Kernels write to the caller's memory where that is aligned as elements are; the first output that shows a
// result gives the memory.
void Frame::BindResults(std::span<Value* const> outputs) {
  std::fill(written_by_result_.begin(), written_by_result_.end(), -1);
  std::fill(result_memory_.begin(), result_memory_.end(), nullptr);
  for (size_t o = 0; o < plan_.outputs.size(); ++o) {
    const Slot& from = slot(plan_.outputs[o].slot);
    if (outputs[o] == nullptr || !outputs[o]->is_tensor()) continue;
    if (from.place.kind != Place::Kind::kDynamic)
      CheckMemoryFor(o, outputs[o]->tensor(), from.desc.dtype, from.desc.shape);
    if (!IsResult(from)) continue;
    const auto result = static_cast<size_t>(from.place.index);
    void* const memory = outputs[o]->tensor().mutable_data();
    const auto bytes = static_cast<uintptr_t>(std::max(1, DataTypeBits(from.desc.dtype) / 8));
    if (result_memory_[result] != nullptr || memory == nullptr ||
        reinterpret_cast<uintptr_t>(memory) % bytes != 0)
      continue;
    result_memory_[result] = memory;
    written_by_result_[result] = static_cast<int>(o);
  }
  for (size_t r = 0; r < plan_.results.size(); ++r) {
    if (result_memory_[r] != nullptr) continue;
    results_[r] = AllocateTensor(allocator_, plan_.results[r].dtype, plan_.results[r].shape);
    result_memory_[r] = results_[r].mutable_data();
  }
}

void Frame::Begin(std::span<const Value* const> inputs, std::span<Value* const> outputs, std::byte* arena) {
  BindResults(outputs);
  for (size_t i = 0; i < plan_.inputs.size(); ++i) {
    if (plan_.inputs[i].dynamic >= 0) dynamic_[static_cast<size_t>(plan_.inputs[i].dynamic)] = *inputs[i];
  }
  for (size_t i = 0; i < plan_.slots.size(); ++i) {
    const Place& place = plan_.slots[i].place;
    const auto index = static_cast<size_t>(place.index);
    const void* base = nullptr;
    switch (place.kind) {
      case Place::Kind::kArena:
        base = arena;
        break;
      case Place::Kind::kConstant:
        base = place.constant.data();
        break;
      case Place::Kind::kInput:
        base = inputs[index]->tensor().data();
        break;
      case Place::Kind::kOutput:
        base = result_memory_[index];
        break;
      case Place::Kind::kDynamic:
        break;
    }
    addresses_[i] =
        base == nullptr ? nullptr : static_cast<std::byte*>(const_cast<void*>(base)) + place.offset;
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
                    std::string(DataTypeName(tensor.dtype())) + " " + ToString(tensor.shape()) +
                    ", expected " + std::string(DataTypeName(to.desc.dtype)) + " " + ToString(to.desc.shape));
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

Value Frame::Result(const Plan::Output& output) {
  const Slot& from = slot(output.slot);
  const auto index = static_cast<size_t>(from.place.index);
  if (from.place.kind == Place::Kind::kDynamic) return dynamic_[index].Owned();
  if (IsResult(from) && written_by_result_[index] < 0) return results_[index].Reshaped(from.desc.shape);
  // A constant, an input handed through or a part of another value: the caller gets a copy.
  Tensor copy = AllocateTensor(allocator_, from.desc.dtype, from.desc.shape);
  if (const int64_t bytes = copy.byte_size(); bytes > 0) {
    std::memcpy(copy.mutable_data(), addresses_[static_cast<size_t>(output.slot)],
                static_cast<size_t>(bytes));
  }
  return copy;
}

void Frame::FinishOutputs(std::span<Value* const> outputs) {
  for (size_t o = 0; o < plan_.outputs.size(); ++o) {
    if (outputs[o] == nullptr) continue;
    const Plan::Output& output = plan_.outputs[o];
    if (!outputs[o]->is_tensor()) {
      *outputs[o] = Result(output);
      continue;
    }
    const Slot& from = slot(output.slot);
    if (from.place.kind == Place::Kind::kDynamic) {
      CopyInto(o, dynamic_[static_cast<size_t>(from.place.index)], outputs[o]->tensor());
    } else if (IsResult(from) &&
               written_by_result_[static_cast<size_t>(from.place.index)] == static_cast<int>(o)) {
      SetShape(outputs[o]->tensor(), from.desc.shape);
    } else {
      const int64_t bytes = from.desc.byte_size();
      if (bytes > 0) {
        std::memcpy(outputs[o]->tensor().mutable_data(), addresses_[static_cast<size_t>(output.slot)],
                    static_cast<size_t>(bytes));
      }
      SetShape(outputs[o]->tensor(), from.desc.shape);
    }
  }
  Abandon();
}

void Frame::Abandon() {
  for (Tensor& result : results_) result = {};
  for (Value& value : dynamic_) value = {};
}

}  // namespace sluice
