#include "graph/opset/crossing.h"

#include <algorithm>

#include "graph/passes/match.h"
#include "graph/passes/rewrite.h"
#include "sluice/error.h"

namespace sluice {

void Crossing::Fail(const std::string& why) const {
  std::string text = Describe(node(), ResultName(graph_, node())) + ": ";
  if (up_) {
    text += "a version before " + std::to_string(boundary_) + " does not become version " +
            std::to_string(boundary_);
  } else {
    text += "version " + std::to_string(boundary_) + " does not become an older one";
  }
  throw Error(ErrorCode::kUnsupported, text + ", as opset " + std::to_string(opset()) + " asks: " + why);
}

ValueId Crossing::in(size_t i) const { return InputOf(node(), i); }

void Crossing::SetInput(size_t i, ValueId value) { SetOptionalInput(graph_, id_, i, value); }

void Crossing::DropInputs(size_t count) {
  for (size_t i = count; i < node().inputs.size(); ++i) graph_.SetInput(id_, i, ValueId::kNone);
  auto& inputs = node().inputs;
  if (inputs.size() > count) inputs.resize(count);
  while (!inputs.empty() && inputs.back() == ValueId::kNone) inputs.pop_back();
}

bool Crossing::UsesOutput(size_t i) const {
  const auto& outputs = node().outputs;
  if (i >= outputs.size() || outputs[i] == ValueId::kNone) return false;
  return !graph_.value(outputs[i]).users.empty() || graph_.IsOutput(outputs[i]);
}

void Crossing::DropOutputs(size_t count) {
  auto& outputs = node().outputs;
  while (outputs.size() > count) {
    graph_.SetOutput(id_, outputs.size() - 1, ValueId::kNone);
    outputs.pop_back();
  }
}

DataType Crossing::dtype(size_t i) const { return has_input(i) ? type(in(i)).dtype : DataType::kUndefined; }

std::optional<int64_t> Crossing::rank(size_t i) const {
  const auto rank = RankOf(graph_, in(i));
  return rank ? std::optional(static_cast<int64_t>(*rank)) : std::nullopt;
}

int64_t Crossing::NeedRank(size_t i) const {
  const auto known = rank(i);
  if (!known) Fail("the rank of input " + std::to_string(i) + " is not known; --shape may tell");
  return *known;
}

std::optional<Crossing::Ints> Crossing::ints(size_t i) const { return ConstantInts(graph_, in(i)); }
std::optional<Crossing::Numbers> Crossing::numbers(size_t i) const {
  return ConstantFloats(graph_, ctx_, in(i));
}

std::optional<Crossing::Ints> Crossing::NeedInts(size_t i, const char* what) const {
  const auto values = ints(i);
  if (!values && has_input(i)) Fail(std::string("its ") + what + " are not constant");
  return values;
}

std::optional<Crossing::Numbers> Crossing::NeedNumbers(size_t i, const char* what) const {
  const auto values = numbers(i);
  if (!values && has_input(i)) Fail(std::string("its ") + what + " are not constant");
  return values;
}

ValueId Crossing::Constant(const std::string& what, DataType type, const Shape& shape,
                           const Numbers& values) const {
  Tensor tensor = FloatTensor(ctx_, type, shape, values);
  if (tensor.empty()) Fail("a number of type " + std::string(DataTypeName(type)) + " is needed");
  return build_.Constant(what, std::move(tensor));
}

ValueId Crossing::Reshaped(ValueId value, const Shape& shape) const {
  if (graph_.IsConstant(value))
    return build_.Constant("reshaped", graph_.value(value).constant.Reshaped(shape));
  return build_.Reshape(value, shape);
}

void Crossing::Rename(ValueId old, ValueId value) {
  graph_.value(value).type = graph_.value(old).type;
  graph_.value(value).name = std::move(graph_.value(old).name);
  graph_.value(old).name.clear();
}

void Crossing::Replace(ValueId value) {
  const ValueId old = node().outputs[0];
  if (old == ValueId::kNone) return graph_.RemoveNode(id_);
  if (graph_.value(value).producer == NodeId::kNone || graph_.value(value).producer < id_) {
    value = build_.Op("Identity", {value});
  }
  graph_.ReplaceUses(old, value);
  Rename(old, value);
  graph_.RemoveNode(id_);
}

void Crossing::ChangeOutput(size_t i, const std::function<ValueId(ValueId)>& make) {
  const ValueId old = node().outputs[i];
  const ValueId plain = graph_.AddValue(graph_.value(old).name + "/before");
  graph_.SetOutput(id_, i, plain);
  const ValueId value = make(plain);
  graph_.ReplaceUses(old, value);
  Rename(old, value);
}

}  // namespace sluice
