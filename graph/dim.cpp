#include "graph/dim.h"

#include "sluice/error.h"

namespace sluice {
namespace {

Dim Checked(bool overflow, int64_t value) {
  if (overflow || value < 0) {
    throw Error(ErrorCode::kInvalidModel, "a size computed from the shapes is negative or too large");
  }
  return value;
}

}  // namespace

Dim operator+(const Dim& a, const Dim& b) {
  if (!a.known() || !b.known()) return b.is(0) ? a : a.is(0) ? b : Dim();
  int64_t value = 0;
  const bool overflow = __builtin_add_overflow(a.value(), b.value(), &value);
  return Checked(overflow, value);
}

Dim operator-(const Dim& a, const Dim& b) {
  if (!a.known() || !b.known()) return b.is(0) ? a : Dim();
  return Checked(false, a.value() - b.value());
}

Dim operator*(const Dim& a, const Dim& b) {
  if (!a.known() || !b.known()) return b.is(1) ? a : a.is(1) ? b : Dim();
  int64_t value = 0;
  const bool overflow = __builtin_mul_overflow(a.value(), b.value(), &value);
  return Checked(overflow, value);
}

SymShape ToSymShape(const Shape& shape) { return {shape.begin(), shape.end()}; }

std::optional<Shape> ToShape(const SymShape& shape) {
  Shape result;
  result.reserve(shape.size());
  for (const Dim& dim : shape) {
    if (!dim.known()) return std::nullopt;
    result.push_back(dim.value());
  }
  return result;
}

std::string ToString(const SymShape& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i) text += ", ";
    text += shape[i].known() ? std::to_string(shape[i].value())
                             : (shape[i].symbol().empty() ? "?" : shape[i].symbol());
  }
  return text + "]";
}

bool ValueType::IsConcrete() const {
  if (kind != Kind::kTensor || dtype == DataType::kUndefined || !has_shape) return false;
  for (const Dim& dim : shape) {
    if (!dim.known()) return false;
  }
  return true;
}

std::string ToString(const ValueType& type) {
  const std::string tensor = std::string(DataTypeName(type.dtype)) + " " +
                             (type.has_shape ? ToString(type.shape) : "of unknown shape");
  const std::string entries =
      "from " + std::string(DataTypeName(type.key_type)) + " to " + std::string(DataTypeName(type.dtype));
  switch (type.kind) {
    case ValueType::Kind::kTensor:
      return tensor;
    case ValueType::Kind::kSequence:
      return "sequence of " + (type.key_type == DataType::kUndefined ? std::string(DataTypeName(type.dtype))
                                                                     : "maps " + entries);
    case ValueType::Kind::kMap:
      return "map " + entries;
    case ValueType::Kind::kOptional:
      return "optional " + tensor;
  }
  return tensor;
}

}  // namespace sluice
