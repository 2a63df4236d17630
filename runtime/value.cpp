#include <algorithm>
#include <numeric>

#include "sluice/error.h"
#include "sluice/tensor.h"

namespace sluice {
namespace {

[[noreturn]] void Refuse(const std::string& message) {
  throw Error(ErrorCode::kInvalidArgument, "a map: " + message);
}

std::string Named(const Tensor& tensor) {
  return std::string(DataTypeName(tensor.dtype())) + " " + ToString(tensor.shape());
}

// visit(a pointer to the elements' C++ type) for the types that a map may have; false for any other.
template <typename Visit>
bool VisitMapType(DataType type, Visit visit) {
  if (type == DataType::kInt64) visit(static_cast<int64_t*>(nullptr));
  else if (type == DataType::kString) visit(static_cast<std::string*>(nullptr));
  else if (type == DataType::kFloat) visit(static_cast<float*>(nullptr));
  else if (type == DataType::kDouble) visit(static_cast<double*>(nullptr));
  else return false;
  return true;
}

// The elements of `tensor` [n] in the order of `places`.
Tensor Permuted(const Tensor& tensor, const std::vector<size_t>& places) {
  Tensor result(tensor.dtype(), tensor.shape());
  VisitMapType(tensor.dtype(), [&](auto* tag) {
    using T = std::remove_pointer_t<decltype(tag)>;
    for (size_t i = 0; i < places.size(); ++i) result.mutable_values<T>()[i] = tensor.values<T>()[places[i]];
  });
  return result;
}

}  // namespace

Value Value::Sequence(std::vector<Value> items, DataType element_type) {
  Value result;
  if (element_type == DataType::kUndefined && !items.empty()) {
    element_type = items[0].is_tensor() ? items[0].tensor().dtype() : items[0].element_type();
  }
  result.items_ = std::make_shared<const std::vector<Value>>(std::move(items));
  result.element_type_ = element_type;
  return result;
}

Value Value::Map(Tensor keys, Tensor values) {
  if (keys.rank() != 1 || (keys.dtype() != DataType::kInt64 && keys.dtype() != DataType::kString))
    Refuse("keys are " + Named(keys) + ", expected int64 or string [n]");
  if (values.shape() != keys.shape() || !VisitMapType(values.dtype(), [](auto*) {}))
    Refuse("values are " + Named(values) + ", expected float, double, int64 or string " + ToString(keys.shape()));
  VisitMapType(keys.dtype(), [&](auto* tag) {
    using K = std::remove_pointer_t<decltype(tag)>;
    const auto order = [&](const auto& key) { return key.template values<K>(); };
    if (!std::is_sorted(order(keys).begin(), order(keys).end())) {
      std::vector<size_t> places(order(keys).size());
      std::iota(places.begin(), places.end(), size_t{0});
      std::sort(places.begin(), places.end(), [&](size_t a, size_t b) { return order(keys)[a] < order(keys)[b]; });
      keys = Permuted(keys, places);
      values = Permuted(values, places);
    }
    const auto twice = std::adjacent_find(order(keys).begin(), order(keys).end());
    if (twice == order(keys).end()) return;
    if constexpr (std::is_same_v<K, std::string>) Refuse("key '" + *twice + "' is there twice");
    else Refuse("key " + std::to_string(*twice) + " is there twice");
  });
  Value result;
  result.element_type_ = values.dtype();
  result.map_ = std::make_shared<const Entries>(Entries{std::move(keys), std::move(values)});
  return result;
}

Value Value::Owned() const {
  if (map_) {
    if (!keys().is_borrowed() && !mapped().is_borrowed()) return *this;
    Value result = *this;
    result.map_ = std::make_shared<const Entries>(Entries{keys().Clone(), mapped().Clone()});
    return result;
  }
  if (!items_) return tensor_.is_borrowed() ? Value(tensor_.Clone()) : *this;
  std::vector<Value> items;
  for (const Value& item : *items_) items.push_back(item.Owned());
  return Sequence(std::move(items), element_type_);
}

void Value::CheckMapOf(DataType key, DataType mapped) const {
  if (!map_) throw Error(ErrorCode::kInvalidArgument, "the value is no map");
  if (key == keys().dtype() && mapped == this->mapped().dtype()) return;
  Refuse("it is from " + std::string(DataTypeName(keys().dtype())) + " to " +
         std::string(DataTypeName(this->mapped().dtype())) + ", read as one from " + std::string(DataTypeName(key)) +
         " to " + std::string(DataTypeName(mapped)));
}

}  // namespace sluice
