#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/error.h"
#include "sluice/tensor.h"

#pragma GCC visibility push(default)

namespace sluice {

// The name and attributes of a node that uses a custom operator. Valid during the call that shows it.
// Attributes that are there with another type are an Error{kInvalidModel} that names node and attribute.
class OperatorNode {
 public:
  const std::string& name() const;
  // Of the definition that the model's operator set selects.
  int since_version() const;
  int num_inputs() const;
  int num_outputs() const;

  bool has_attribute(std::string_view attribute) const;
  int64_t Int(std::string_view attribute, int64_t fallback) const;
  float Float(std::string_view attribute, float fallback) const;
  std::string String(std::string_view attribute, std::string_view fallback) const;
  std::vector<int64_t> Ints(std::string_view attribute, std::vector<int64_t> fallback) const;
  std::vector<float> Floats(std::string_view attribute, std::vector<float> fallback) const;
  // Nothing (Tensor::empty) where the attribute is not there.
  Tensor TensorValue(std::string_view attribute) const;

 private:
  friend class CustomOperatorAccess;
  explicit OperatorNode(const void* node) : node_(node) {}
  const void* node_;
};

// Type and sizes of an operator's input or output. kUndefined: an absent input.
struct OperatorValue {
  DataType dtype = DataType::kUndefined;
  // -1: not known yet. Of an output that stays -1 once all sizes of the inputs are known, Compute decides.
  Shape shape;
  // Of an output of which not even the number of dimensions is known.
  bool has_shape = true;
  // Of an input: its elements if they are known before the run; null otherwise.
  const Tensor* constant = nullptr;
};

// One call of a custom operator: what it reads and where it writes. Valid during the call.
class ComputeContext {
 public:
  const OperatorNode& node() const { return node_; }
  int num_inputs() const { return static_cast<int>(inputs_.size()); }
  int num_outputs() const { return static_cast<int>(outputs_.size()); }
  // Sizes are all known now.
  const OperatorValue& input_type(int i) const { return input_types_[static_cast<size_t>(i)]; }
  const OperatorValue& output_type(int i) const { return output_types_[static_cast<size_t>(i)]; }
  // Dense row-major elements; null for an absent input.
  const void* input(int i) const { return inputs_[static_cast<size_t>(i)]; }
  // To be written; null for an output that nobody wants and where Infer left sizes open,
  // so that SetOutput is due. Strings are std::string objects.
  void* output(int i) const { return outputs_[static_cast<size_t>(i)]; }
  template <typename T>
  std::span<const T> input_values(int i) const {
    return {static_cast<const T*>(input(i)), static_cast<size_t>(NumElements(input_type(i).shape))};
  }
  template <typename T>
  std::span<T> output_values(int i) const {
    return {static_cast<T*>(output(i)), static_cast<size_t>(NumElements(output_type(i).shape))};
  }
  // An output of the type that Infer named and of a shape that fits the sizes that it knew.
  void SetOutput(int i, Tensor value) const;
  // fn(i) for every i in [0, n), spread over the session's threads; returns when all are done.
  void ParallelFor(int64_t n, const std::function<void(int64_t)>& fn) const;

 private:
  friend class CustomOperatorAccess;
  ComputeContext(const OperatorNode& node, void* run, std::span<const OperatorValue> input_types,
                 std::span<const OperatorValue> output_types, std::span<const void* const> inputs,
                 std::span<void* const> outputs)
      : node_(node),
        run_(run),
        input_types_(input_types),
        output_types_(output_types),
        inputs_(inputs),
        outputs_(outputs) {}
  const OperatorNode& node_;
  void* run_;
  std::span<const OperatorValue> input_types_, output_types_;
  std::span<const void* const> inputs_;
  std::span<void* const> outputs_;
};

// An operator that a program defines itself; registered in SessionOptions::operators. Its methods are called
// by any number of threads at once. What they throw ends the load or the run; an Error keeps its code,
// anything else becomes Error{kInternal}.
class CustomOperator {
 public:
  // The operator `name` of `domain` from version `since_version` of the domain on, until another definition
  // of the same name. Domains of the standard ("", "ai.onnx...") are refused at load.
  CustomOperator(std::string domain, std::string name, int since_version = 1)
      : domain_(std::move(domain)), name_(std::move(name)), since_version_(since_version) {}
  virtual ~CustomOperator();
  CustomOperator(const CustomOperator&) = delete;
  CustomOperator& operator=(const CustomOperator&) = delete;

  const std::string& domain() const { return domain_; }
  const std::string& name() const { return name_; }
  int since_version() const { return since_version_; }

  // One entry for each output of `node`. Types of inputs are known, single sizes may be open.
  virtual std::vector<OperatorValue> Infer(const OperatorNode& node,
                                           std::span<const OperatorValue> inputs) const = 0;
  virtual void Compute(const ComputeContext& context) const = 0;

 private:
  std::string domain_, name_;
  int since_version_;
};

}  // namespace sluice

#pragma GCC visibility pop
