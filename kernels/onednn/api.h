#pragma once

// Shared by the files of kernels/onednn/ and included nowhere else. What differs between versions of
// oneDNN (2.x describes an operation, then a primitive; 3.x merges the two) is in here and in
// primitive_desc.h.

#include <oneapi/dnnl/dnnl.hpp>

#include <span>
#include <string>
#include <vector>

#include "kernels/layout.h"

namespace sluice::onednn {

using Md = dnnl::memory::desc;

const dnnl::engine& Engine();
// Of the calling thread.
dnnl::stream& Stream();

// Float tensors of rank 3 to 5 in one of our layouts.
Md ActivationDesc(const Shape& shape, Layout layout);
// Float tensors, row-major or with the strides given (elements).
Md PlainDesc(const Shape& shape);
Md StridedDesc(const Shape& shape, const std::vector<int64_t>& strides);
// The order of the elements is oneDNN's choice.
Md AnyDesc(const Shape& shape);
// Names an order of elements: the same text, the same bytes for the same tensor.
std::string FormatKey(const Md& desc);

// A primitive and what its arguments look like. Thread-safe.
class Primitive {
 public:
  struct Argument {
    int id;
    Md desc;
  };
  Primitive() = default;
  Primitive(dnnl::primitive primitive, std::vector<Argument> arguments);

  // One address for each argument, in their order; an argument of no bytes may be null. Single-threaded
  // if the caller holds a SingleThreaded. Throws Error{kInternal, kOutOfMemory}.
  void Execute(std::span<const void* const> data) const;

 private:
  dnnl::primitive primitive_;
  std::vector<Argument> arguments_;
};

}  // namespace sluice::onednn
