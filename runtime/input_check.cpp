#include "runtime/input_check.h"

#include <algorithm>

#include "graph/dim.h"

namespace sluice {
namespace {

// "'a', 'b' and 3 more".
std::string ListNames(const std::vector<ValueInfo>& values) {
  constexpr size_t kMost = 8;
  std::string text;
  for (size_t i = 0; i < std::min(values.size(), kMost); ++i)
    text += (i ? ", '" : "'") + values[i].name + "'";
  if (values.size() > kMost) text += " and " + std::to_string(values.size() - kMost) + " more";
  return text;
}

struct Bytes {
  uintptr_t begin = 0, end = 0;
};

// Of a sequence or a map nothing: nobody writes there.
Bytes BytesOf(const Value* value) {
  if (value == nullptr || !value->is_tensor()) return {};
  const auto begin = reinterpret_cast<uintptr_t>(value->tensor().data());
  return {begin, begin + static_cast<uintptr_t>(value->tensor().byte_size())};
}

bool Overlap(Bytes a, Bytes b) { return a.begin < b.end && b.begin < a.end; }

}  // namespace

bool IsAligned(const Tensor& tensor) {
  const auto size = static_cast<uintptr_t>(std::max(1, DataTypeBits(tensor.dtype()) / 8));
  return reinterpret_cast<uintptr_t>(tensor.data()) % std::min<uintptr_t>(size, 8) == 0;
}

void CheckInput(const ValueInfo& info, const Value& value) {
  const auto fail = [&](const std::string& what) {
    throw Error(ErrorCode::kInvalidArgument, "input '" + info.name + "': " + what);
  };
  const auto check_map = [&](const Value& map, const std::string& what) {
    if (!map.is_map()) fail(what + " is no map");
    if (map.keys().dtype() == info.key_type && map.element_type() == info.dtype) return;
    fail(what + " is a map from " + std::string(DataTypeName(map.keys().dtype())) + " to " +
         std::string(DataTypeName(map.element_type())) + ", expected one from " +
         std::string(DataTypeName(info.key_type)) + " to " + std::string(DataTypeName(info.dtype)));
  };
  if (info.is_sequence) {
    if (!value.is_sequence()) fail("expected a sequence");
    if (!info.is_map) return;
    for (size_t i = 0; i < value.items().size(); ++i)
      check_map(value.items()[i], "item " + std::to_string(i));
    return;
  }
  if (info.is_map) return check_map(value, "the value");
  if (value.is_sequence()) fail("expected a tensor, found a sequence");
  if (value.is_map()) fail("expected a tensor, found a map");
  if (value.is_none()) fail("no value");
  const Tensor& tensor = value.tensor();
  if (tensor.dtype() != info.dtype) {
    fail("expected " + std::string(DataTypeName(info.dtype)) + ", found " +
         std::string(DataTypeName(tensor.dtype())));
  }
  if (!info.has_shape) return;
  bool fits = tensor.shape().size() == info.shape.size();
  for (size_t i = 0; fits && i < info.shape.size(); ++i) {
    fits = info.shape[i] < 0 || info.shape[i] == tensor.shape()[i];
  }
  if (fits) return;
  SymShape expected;
  for (size_t i = 0; i < info.shape.size(); ++i) {
    expected.push_back(info.shape[i] >= 0 ? Dim(info.shape[i]) : Dim::Symbol(info.dim_names[i]));
  }
  fail("expected shape " + ToString(expected) + ", found " + ToString(tensor.shape()));
}

void CheckNoOverlap(std::span<const Value* const> inputs, std::span<Value* const> outputs,
                    const std::vector<ValueInfo>& input_infos, const std::vector<ValueInfo>& output_infos) {
  for (size_t o = 0; o < outputs.size(); ++o) {
    const Bytes bytes = BytesOf(outputs[o]);
    if (bytes.begin == bytes.end) continue;
    const auto fail = [&](const std::string& other) {
      throw Error(ErrorCode::kInvalidArgument,
                  "output '" + output_infos[o].name + "': the memory given overlaps that of " + other);
    };
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (Overlap(bytes, BytesOf(inputs[i]))) fail("input '" + input_infos[i].name + "'");
    }
    for (size_t i = 0; i < o; ++i) {
      if (Overlap(bytes, BytesOf(outputs[i]))) fail("output '" + output_infos[i].name + "'");
    }
  }
}

size_t IndexOf(const std::vector<ValueInfo>& known, const std::string& what, const std::string& name) {
  for (size_t i = 0; i < known.size(); ++i) {
    if (known[i].name == name) return i;
  }
  throw Error(ErrorCode::kInvalidArgument,
              "the model has no " + what + " '" + name + "'; it has " + ListNames(known));
}

}  // namespace sluice
