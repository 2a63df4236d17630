#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sluice/tensor.h"

namespace sluice {

// One size of a tensor: a number, a name that stands for an unknown number, or unknown.
// Arithmetic keeps numbers exact (checked for overflow) and gives unknown otherwise.
class Dim {
 public:
  Dim() = default;
  Dim(int64_t value) : value_(value) {}  // NOLINT: a number is a size
  static Dim Symbol(std::string name) {
    Dim dim;
    dim.symbol_ = std::move(name);
    return dim;
  }

  bool known() const { return value_ >= 0; }
  // -1 where it is not known.
  int64_t value() const { return value_; }
  // Empty where there is none.
  const std::string& symbol() const { return symbol_; }
  bool is(int64_t value) const { return value_ == value; }

  // Equal for certain: the same number or the same name.
  bool operator==(const Dim& other) const {
    return known() ? value_ == other.value_ : !symbol_.empty() && symbol_ == other.symbol_;
  }

 private:
  int64_t value_ = -1;
  std::string symbol_;
};

// Throw Error{kInvalidModel} on overflow or on a negative result.
Dim operator+(const Dim& a, const Dim& b);
Dim operator-(const Dim& a, const Dim& b);
Dim operator*(const Dim& a, const Dim& b);

using SymShape = std::vector<Dim>;

SymShape ToSymShape(const Shape& shape);
// Nothing if any size is not known.
std::optional<Shape> ToShape(const SymShape& shape);
// "[N, 3, 416, ?]".
std::string ToString(const SymShape& shape);

// The type of a value. A tensor's shape may be unknown as a whole (has_shape false).
struct ValueType {
  enum class Kind : uint8_t { kTensor, kSequence, kOptional, kMap };

  DataType dtype = DataType::kUndefined;  // of the elements, for sequences of the tensors in it, for maps of the values
  Kind kind = Kind::kTensor;
  bool has_shape = false;
  SymShape shape;
  DataType key_type = DataType::kUndefined;  // of a map, or of the maps in a sequence or an optional

  static ValueType Of(DataType dtype, SymShape shape) {
    return {dtype, Kind::kTensor, true, std::move(shape)};
  }
  static ValueType MapOf(DataType key_type, DataType dtype) { return {dtype, Kind::kMap, false, {}, key_type}; }
  static ValueType SequenceOf(DataType dtype, DataType key_type = DataType::kUndefined) {
    return {dtype, Kind::kSequence, false, {}, key_type};
  }
  // A tensor with element type, rank and all sizes known.
  bool IsConcrete() const;
};

// "float [N, 3, 416, 416]".
std::string ToString(const ValueType& type);

}  // namespace sluice
