#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "sluice/session.h"

// Values of the library as Python objects and back. All of it needs the interpreter's lock.
namespace sluice::python {

namespace py = pybind11;

// What the input `info` takes: an array of NumPy or a tensor that speaks DLPack, of which contiguous ones are
// views of the object's memory, which `keep` then holds; numbers and lists of them, converted; a list for a
// sequence, a dict for a map, None for an absent optional. Throws Error.
Value ToValue(const py::handle& object, const ValueInfo& info, std::vector<py::object>& keep);

// Tensors become arrays on the tensor's own memory, sequences lists, maps dicts, nothing None. bfloat16 and
// the 8-bit floats come as the unsigned integers that hold their bits, strings as an array of objects.
py::object ToPython(const Value& value);

// "float32"; the name that NumPy has for arrays of this type.
py::dtype DtypeOf(DataType type);

}  // namespace sluice::python
