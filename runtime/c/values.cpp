#include "runtime/c/values.h"

#include <algorithm>

namespace sluice::c {
namespace {

// What `owner` of a sluice_tensor points to.
struct Owner {
  Value value;
  std::vector<sluice_string> strings;
};

void CheckCount(const char* what, size_t given, size_t expected) {
  if (given == expected) return;
  Refuse(std::to_string(given) + " " + what + " given, the model has " + std::to_string(expected));
}

Tensor StringsOf(const sluice_tensor& tensor, std::span<const int64_t> shape, const std::string& what) {
  Tensor result(DataType::kString, Shape(shape.begin(), shape.end()));
  const auto* from = static_cast<const sluice_string*>(tensor.data);
  for (std::string& text : result.mutable_values<std::string>()) {
    if (from->data == nullptr && from->size > 0)
      Refuse(what + ": a string of " + std::to_string(from->size) + " bytes is NULL");
    text.assign(from->size > 0 ? from->data : "", from->size);
    ++from;
  }
  return result;
}

size_t BytesOf(DataType type, int64_t elems) {
  if (type == DataType::kString) return static_cast<size_t>(elems) * sizeof(sluice_string);
  return static_cast<size_t>(ByteSize(type, elems));
}

}  // namespace

DataType CheckedType(sluice_type type, const std::string& what) {
  if (type < 0 || type > SLUICE_INT2)
    Refuse(what + ": type is " + std::to_string(type) + ", expected a sluice_type");
  return static_cast<DataType>(type);
}

std::span<const int64_t> CheckedShape(const sluice_tensor& tensor, const std::string& what) {
  if (tensor.rank < 0 || tensor.rank > SLUICE_MAX_RANK) {
    Refuse(what + ": rank is " + std::to_string(tensor.rank) + ", expected 0 to " +
           std::to_string(SLUICE_MAX_RANK));
  }
  return {tensor.shape, static_cast<size_t>(tensor.rank)};
}

void TakeInputs(const Array<const sluice_tensor>& tensors, const std::vector<ValueInfo>& infos, Call& call) {
  CheckCount("inputs", tensors.size(), infos.size());
  call.inputs.resize(infos.size());
  for (size_t i = 0; i < infos.size(); ++i) {
    const sluice_tensor& tensor = tensors[i];
    // Built for errors alone: a steady run allocates nothing.
    const auto what = [&] { return "input '" + infos[i].name + "'"; };
    Value& value = call.inputs[i];
    if (tensor.type == SLUICE_UNDEFINED) {
      value = {};
      continue;
    }
    if (tensor.type < 0 || tensor.type > SLUICE_INT2) CheckedType(tensor.type, what());
    if (tensor.rank < 0 || tensor.rank > SLUICE_MAX_RANK) CheckedShape(tensor, what());
    const auto type = static_cast<DataType>(tensor.type);
    const std::span<const int64_t> shape(tensor.shape, static_cast<size_t>(tensor.rank));
    if (std::any_of(shape.begin(), shape.end(), [](int64_t size) { return size < 0; }))
      Refuse(what() + ": shape " + ToString(shape) + " has a negative size");
    const size_t needed = BytesOf(type, NumElements(shape));
    if (tensor.byte_size < needed) {
      Refuse(what() + ": byte_size is " + std::to_string(tensor.byte_size) + ", " +
             std::string(DataTypeName(type)) + " " + ToString(shape) + " has " + std::to_string(needed));
    }
    if (tensor.data == nullptr && needed > 0) Refuse(what() + ": data is NULL");
    if (!value.is_tensor()) value = Tensor::Borrow(type, Shape(shape.begin(), shape.end()), tensor.data);
    if (type == DataType::kString)
      value.tensor() = StringsOf(tensor, shape, what());
    else
      value.tensor().Rebind(type, shape, tensor.data);
  }
}

void TakeOutputs(const Array<sluice_tensor>& tensors, const std::vector<ValueInfo>& infos, Call& call) {
  CheckCount("outputs", tensors.size(), infos.size());
  call.outputs.resize(infos.size());
  for (size_t o = 0; o < infos.size(); ++o) {
    const sluice_tensor& tensor = tensors[o];
    const auto what = [&] { return "output '" + infos[o].name + "'"; };
    Value& value = call.outputs[o];
    if (tensor.data == nullptr) {
      if (tensor.owner != nullptr) Refuse(what() + ": data is NULL and owner is not");
      value = {};
      continue;
    }
    if (tensor.type <= 0 || tensor.type > SLUICE_INT2) {
      Refuse(what() + ": type is " + std::to_string(tensor.type) + ", expected " +
             std::to_string(static_cast<int>(infos[o].dtype)) + " (" +
             std::string(DataTypeName(infos[o].dtype)) + ")");
    }
    const auto type = static_cast<DataType>(tensor.type);
    if (type == DataType::kString) Refuse(what() + ": data must be NULL for strings");
    const size_t most = static_cast<size_t>(INT64_MAX) / 128;
    const int64_t elems = static_cast<int64_t>(std::min(tensor.capacity, most)) * 8 / DataTypeBits(type);
    if (!value.is_tensor()) value = Tensor::Borrow(type, {elems}, tensor.data);
    value.tensor().Rebind(type, {&elems, 1}, tensor.data);
  }
}

void GiveOutputs(Call& call, const Array<sluice_tensor>& tensors, const std::vector<ValueInfo>& infos) {
  std::vector<std::unique_ptr<Owner>> owners;
  for (size_t o = 0; o < infos.size(); ++o) {
    const Value& value = call.outputs[o];
    const auto fail = [&](const std::string& fact) {
      throw Error(ErrorCode::kUnsupported, "output '" + infos[o].name + "' " + fact);
    };
    if (!value.is_none() && !value.is_tensor()) fail("is no tensor; sequences and maps are for C++ alone");
    if (value.is_tensor() && value.tensor().rank() > SLUICE_MAX_RANK)
      fail("has " + std::to_string(value.tensor().rank()) + " dimensions, at most " +
           std::to_string(SLUICE_MAX_RANK) + " are for C");
    if (tensors[o].data != nullptr || value.is_none()) continue;
    if (owners.empty()) owners.resize(infos.size());
    owners[o] = std::make_unique<Owner>(Owner{value, {}});
    if (value.tensor().dtype() != DataType::kString) continue;
    for (const std::string& text : value.tensor().values<std::string>())
      owners[o]->strings.push_back({text.data(), text.size()});
  }
  for (size_t o = 0; o < infos.size(); ++o) {
    sluice_tensor& tensor = tensors[o];
    const Value& value = call.outputs[o];
    if (value.is_none()) {
      tensor.type = SLUICE_UNDEFINED;
      tensor.rank = 0;
      tensor.byte_size = 0;
      continue;
    }
    const Tensor& result = value.tensor();
    tensor.type = static_cast<sluice_type>(result.dtype());
    tensor.rank = static_cast<int32_t>(result.rank());
    std::copy(result.shape().begin(), result.shape().end(), tensor.shape);
    tensor.byte_size = BytesOf(result.dtype(), result.num_elements());
    if (tensor.data != nullptr) continue;
    Owner* const owner = owners[o].release();
    tensor.data =
        result.dtype() == DataType::kString ? owner->strings.data() : owner->value.tensor().mutable_data();
    tensor.capacity = tensor.byte_size;
    tensor.owner = owner;
  }
  // Tensors that the program owns now are not kept for the next run.
  if (!owners.empty()) std::fill(call.outputs.begin(), call.outputs.end(), Value());
}

sluice_tensor Describe(DataType type, std::span<const int64_t> shape, const void* data) {
  sluice_tensor tensor{};
  tensor.struct_size = sizeof(tensor);
  tensor.type = static_cast<sluice_type>(type);
  tensor.rank = static_cast<int32_t>(std::min<size_t>(shape.size(), SLUICE_MAX_RANK));
  std::copy_n(shape.begin(), tensor.rank, tensor.shape);
  tensor.data = const_cast<void*>(data);
  const bool known = std::all_of(shape.begin(), shape.end(), [](int64_t size) { return size >= 0; });
  if (known && type != DataType::kUndefined)
    tensor.byte_size = tensor.capacity = BytesOf(type, NumElements(shape));
  return tensor;
}

}  // namespace sluice::c

extern "C" void sluice_tensor_release(sluice_tensor* tensor) {
  if (tensor == nullptr) return;
  delete static_cast<sluice::c::Owner*>(tensor->owner);
  tensor->data = tensor->owner = nullptr;
  tensor->byte_size = tensor->capacity = 0;
}
