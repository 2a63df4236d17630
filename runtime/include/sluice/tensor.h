#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "sluice/data_type.h"

#pragma GCC visibility push(default)

namespace sluice {

// Sizes of a tensor, outermost first; empty for a scalar. Row-major unless said otherwise.
using Shape = std::vector<int64_t>;

// Product of the sizes; 1 for a scalar. Throws Error{kInvalidArgument} on a negative size or where
// the product does not fit in int64_t.
int64_t NumElements(std::span<const int64_t> shape);

// Throws Error{kOutOfMemory} for more bytes than the machine has memory: systems that overcommit would
// grant them and end the process later.
void CheckMemory(int64_t bytes);

// "[1, 3, 416, 416]".
std::string ToString(std::span<const int64_t> shape);

// A dense row-major array of one element type. Copies share the elements (reference counting);
// Clone() copies them. Sharing is thread-safe, writing to shared elements is not.
class Tensor {
 public:
  // No tensor at all: dtype() is kUndefined, empty() is true. Stands for an absent optional.
  Tensor() = default;

  // Uninitialised numeric elements (strings are empty), aligned to 64 bytes.
  // Throws Error{kInvalidArgument} for sizes that overflow, Error{kOutOfMemory} if there is no memory.
  Tensor(DataType type, Shape shape);

  // A view of the caller's memory, which must outlive every copy of the result. For
  // DataType::kString, `data` points to std::string objects.
  static Tensor Borrow(DataType type, Shape shape, void* data);

  // Makes this tensor such a view. Allocates nothing if the tensor had as many dimensions before.
  void Rebind(DataType type, std::span<const int64_t> shape, void* data);

  // A view into memory that `owner` keeps alive.
  static Tensor Share(DataType type, Shape shape, void* data, std::shared_ptr<const void> owner);

  // A copy of `values`; T is one of the C++ types of element types (float, int64_t, bool, ...) or
  // std::string. Throws Error{kInvalidArgument} unless values.size() == NumElements(shape).
  template <typename T>
  static Tensor From(const Shape& shape, std::span<const T> values);

  template <typename T>
  static Tensor Scalar(T value) {
    return From<T>({}, std::span<const T>(&value, 1));
  }

  DataType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int64_t rank() const { return static_cast<int64_t>(shape_.size()); }
  bool empty() const { return dtype_ == DataType::kUndefined; }
  int64_t num_elements() const;
  int64_t byte_size() const;

  const void* data() const { return data_; }
  void* mutable_data() { return data_; }

  // Elements as T. The size of T must be that of the element type; this is asserted in debug builds.
  template <typename T>
  std::span<const T> values() const {
    return {static_cast<const T*>(data_), static_cast<size_t>(num_elements())};
  }
  template <typename T>
  std::span<T> mutable_values() {
    return {static_cast<T*>(data_), static_cast<size_t>(num_elements())};
  }

  // True if somebody else owns the memory (Borrow): the tensor must not outlive it.
  bool is_borrowed() const { return data_ != nullptr && owner_ == nullptr; }

  // The same elements under another shape with as many elements; shares the memory.
  Tensor Reshaped(Shape shape) const;
  Tensor Clone() const;

 private:
  DataType dtype_ = DataType::kUndefined;
  Shape shape_;
  void* data_ = nullptr;
  std::shared_ptr<const void> owner_;
};

template <typename T>
struct DataTypeOf;
#define SLUICE_DATA_TYPE_OF(T, kType)                   \
  template <>                                           \
  struct DataTypeOf<T> {                                \
    static constexpr DataType value = DataType::kType;  \
  }
SLUICE_DATA_TYPE_OF(float, kFloat);
SLUICE_DATA_TYPE_OF(double, kDouble);
SLUICE_DATA_TYPE_OF(uint8_t, kUInt8);
SLUICE_DATA_TYPE_OF(int8_t, kInt8);
SLUICE_DATA_TYPE_OF(uint16_t, kUInt16);
SLUICE_DATA_TYPE_OF(int16_t, kInt16);
SLUICE_DATA_TYPE_OF(uint32_t, kUInt32);
SLUICE_DATA_TYPE_OF(int32_t, kInt32);
SLUICE_DATA_TYPE_OF(uint64_t, kUInt64);
SLUICE_DATA_TYPE_OF(int64_t, kInt64);
SLUICE_DATA_TYPE_OF(bool, kBool);
SLUICE_DATA_TYPE_OF(std::string, kString);
#undef SLUICE_DATA_TYPE_OF

// Checks that `count` values fill `shape`; throws Error{kInvalidArgument} otherwise.
void CheckElementCount(const Shape& shape, size_t count);

template <typename T>
Tensor Tensor::From(const Shape& shape, std::span<const T> values) {
  CheckElementCount(shape, values.size());
  Tensor result(DataTypeOf<T>::value, shape);
  T* dst = static_cast<T*>(result.mutable_data());
  for (size_t i = 0; i < values.size(); ++i) dst[i] = values[i];
  return result;
}

// What flows between operators: a tensor, a sequence of values, a map, or nothing (an absent optional).
class Value {
 public:
  Value() = default;
  Value(Tensor tensor) : tensor_(std::move(tensor)) {}  // NOLINT: a tensor is a value
  static Value Sequence(std::vector<Value> items, DataType element_type = DataType::kUndefined);
  // values[i] belongs to keys[i]; sorted by key where they are not. Keys are int64 or string [n], values float,
  // double, int64 or string [n]. Throws Error{kInvalidArgument} for anything else and for a key that is there twice.
  static Value Map(Tensor keys, Tensor values);
  // The same of a map of the standard library.
  template <typename K, typename V>
  static Value Map(const std::map<K, V>& map);

  bool is_none() const { return !items_ && !map_ && tensor_.empty(); }
  bool is_tensor() const { return !tensor_.empty(); }
  bool is_sequence() const { return items_ != nullptr; }
  bool is_map() const { return map_ != nullptr; }
  const Tensor& tensor() const { return tensor_; }
  Tensor& tensor() { return tensor_; }
  // Requires is_sequence().
  const std::vector<Value>& items() const { return *items_; }
  // The same value with every borrowed tensor in it copied, so that it may be kept.
  Value Owned() const;
  // Element type of a sequence's tensors or of the values of its maps, known even when it is empty; kUndefined
  // if not stated.
  DataType element_type() const { return element_type_; }
  // Require is_map(): the keys in ascending order, and the value of each.
  const Tensor& keys() const { return map_->keys; }
  const Tensor& mapped() const { return map_->mapped; }
  // Requires is_map(). Throws Error{kInvalidArgument} unless K and V are the types of its keys and values.
  template <typename K, typename V>
  std::map<K, V> ToMap() const;

 private:
  struct Entries {
    Tensor keys, mapped;
  };
  void CheckMapOf(DataType key, DataType mapped) const;

  Tensor tensor_;
  std::shared_ptr<const std::vector<Value>> items_;
  std::shared_ptr<const Entries> map_;
  DataType element_type_ = DataType::kUndefined;
};

template <typename K, typename V>
Value Value::Map(const std::map<K, V>& map) {
  const Shape shape = {static_cast<int64_t>(map.size())};
  Tensor keys(DataTypeOf<K>::value, shape), mapped(DataTypeOf<V>::value, shape);
  size_t i = 0;
  for (const auto& [key, value] : map) {
    keys.mutable_values<K>()[i] = key;
    mapped.mutable_values<V>()[i++] = value;
  }
  return Map(std::move(keys), std::move(mapped));
}

template <typename K, typename V>
std::map<K, V> Value::ToMap() const {
  CheckMapOf(DataTypeOf<K>::value, DataTypeOf<V>::value);
  std::map<K, V> map;
  for (size_t i = 0; i < keys().template values<K>().size(); ++i)
    map.emplace_hint(map.end(), keys().template values<K>()[i], mapped().template values<V>()[i]);
  return map;
}

}  // namespace sluice

#pragma GCC visibility pop
