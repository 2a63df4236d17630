#include "runtime/python/arrays.h"

#include <string>
#include <utility>

#include "sluice/error.h"

namespace sluice::python {
namespace {

struct Pair {
  DataType type;
  const char* dtype;
  bool own;  // NumPy's type means the same; otherwise it only holds the bits
};
constexpr Pair kPairs[] = {
    {DataType::kFloat, "float32", true},       {DataType::kDouble, "float64", true},
    {DataType::kFloat16, "float16", true},     {DataType::kBool, "bool", true},
    {DataType::kUInt8, "uint8", true},         {DataType::kUInt16, "uint16", true},
    {DataType::kUInt32, "uint32", true},       {DataType::kUInt64, "uint64", true},
    {DataType::kInt8, "int8", true},           {DataType::kInt16, "int16", true},
    {DataType::kInt32, "int32", true},         {DataType::kInt64, "int64", true},
    {DataType::kComplex64, "complex64", true}, {DataType::kComplex128, "complex128", true},
    {DataType::kString, "object", true},       {DataType::kBFloat16, "uint16", false},
    {DataType::kFloat8E4M3FN, "uint8", false}, {DataType::kFloat8E4M3FNUZ, "uint8", false},
    {DataType::kFloat8E5M2, "uint8", false},   {DataType::kFloat8E5M2FNUZ, "uint8", false},
    {DataType::kFloat8E8M0, "uint8", false},
};

[[noreturn]] void Refuse(const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); }

// Of an array of NumPy. `wanted` decides between types that share bits.
DataType TypeOf(const py::array& array, DataType wanted) {
  const char kind = array.dtype().kind();
  if (kind == 'U' || kind == 'S' || kind == 'O') return DataType::kString;
  for (const Pair& pair : kPairs) {
    if (!array.dtype().equal(py::dtype(pair.dtype))) continue;
    if (pair.type == wanted) return wanted;
  }
  for (const Pair& pair : kPairs) {
    if (pair.own && array.dtype().equal(py::dtype(pair.dtype))) return pair.type;
  }
  Refuse("an array of type " + std::string(py::str(array.dtype())) + " is given, which no tensor has");
}

Shape ShapeOf(const py::array& array) { return Shape(array.shape(), array.shape() + array.ndim()); }

Tensor Strings(const py::array& array) {
  Tensor tensor(DataType::kString, ShapeOf(array));
  const py::list items = array.attr("ravel")().attr("tolist")();
  auto to = tensor.mutable_values<std::string>();
  for (size_t i = 0; i < to.size(); ++i) {
    if (!py::isinstance<py::str>(items[i]) && !py::isinstance<py::bytes>(items[i]))
      Refuse("an array of objects has an element that is no string");
    to[i] = items[i].cast<std::string>();
  }
  return tensor;
}

Tensor FromArray(const py::handle& object, DataType wanted, std::vector<py::object>& keep) {
  const py::module_ numpy = py::module_::import("numpy");
  py::object as;
  if (py::isinstance<py::array>(object))
    as = py::reinterpret_borrow<py::object>(object);
  else if (py::hasattr(object, "__dlpack__"))
    as = numpy.attr("from_dlpack")(object);
  else if (py::hasattr(object, "dtype") || wanted == DataType::kUndefined)
    as = numpy.attr("asarray")(object);
  else  // numbers of Python have no type of their own
    as = numpy.attr("asarray")(object, DtypeOf(wanted));
  const py::array array = as;
  const DataType type = TypeOf(array, wanted);
  if (type == DataType::kString) return Strings(array);
  py::array contiguous = numpy.attr("ascontiguousarray")(array);
  Tensor tensor = Tensor::Borrow(type, ShapeOf(array), const_cast<void*>(contiguous.data()));
  keep.push_back(std::move(contiguous));
  return tensor;
}

Value FromDict(const py::handle& object, const ValueInfo& info) {
  const py::dict dict = py::reinterpret_borrow<py::dict>(object);
  std::vector<py::object> copied;
  const Tensor keys = FromArray(py::list(dict.attr("keys")()), info.key_type, copied);
  const Tensor values = FromArray(py::list(dict.attr("values")()), info.dtype, copied);
  return Value::Map(keys.Clone(), values.Clone());
}

py::array StringsOf(const Tensor& tensor) {
  py::list items;
  for (const std::string& text : tensor.values<std::string>()) {
    // Bytes that are no UTF-8 stay bytes.
    PyObject* decoded = PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), nullptr);
    if (decoded == nullptr) {
      PyErr_Clear();
      items.append(py::bytes(text));
    } else {
      items.append(py::reinterpret_steal<py::object>(decoded));
    }
  }
  py::array array = py::module_::import("numpy").attr("empty")(items.size(), "object");
  array[py::ellipsis()] = items;
  return array.reshape(tensor.shape());
}

py::array ToArray(const Tensor& tensor) {
  if (tensor.dtype() == DataType::kString) return StringsOf(tensor);
  auto owner = std::make_unique<Tensor>(tensor);
  void* data = owner->mutable_data();
  const py::capsule base(owner.get(), [](void* held) { delete static_cast<Tensor*>(held); });
  owner.release();
  return py::array(DtypeOf(tensor.dtype()), tensor.shape(), data, base);
}

py::object ToDict(const Value& value) {
  const py::list keys = ToArray(value.keys()).attr("tolist")(),
                 mapped = ToArray(value.mapped()).attr("tolist")();
  py::dict dict;
  for (size_t i = 0; i < keys.size(); ++i) dict[keys[i]] = mapped[i];
  return dict;
}

}  // namespace

py::dtype DtypeOf(DataType type) {
  for (const Pair& pair : kPairs) {
    if (pair.type == type) return py::dtype(pair.dtype);
  }
  throw Error(ErrorCode::kUnsupported,
              "a tensor of " + std::string(DataTypeName(type)) + " has no form in NumPy");
}

Value ToValue(const py::handle& object, const ValueInfo& info, std::vector<py::object>& keep) {
  if (object.is_none()) return Value();
  const bool list = py::isinstance<py::list>(object) || py::isinstance<py::tuple>(object);
  if (info.is_sequence) {
    if (!list) Refuse("input '" + info.name + "' is a sequence, expected a list");
    std::vector<Value> items;
    for (const py::handle& item : object)
      items.push_back(info.is_map ? FromDict(item, info) : Value(FromArray(item, info.dtype, keep)));
    return Value::Sequence(std::move(items), info.dtype);
  }
  if (info.is_map) {
    if (!py::isinstance<py::dict>(object)) Refuse("input '" + info.name + "' is a map, expected a dict");
    return FromDict(object, info);
  }
  return FromArray(object, info.dtype, keep);
}

py::object ToPython(const Value& value) {
  if (value.is_tensor()) return ToArray(value.tensor());
  if (value.is_map()) return ToDict(value);
  if (!value.is_sequence()) return py::none();
  py::list list;
  for (const Value& item : value.items()) list.append(ToPython(item));
  return list;
}

}  // namespace sluice::python
