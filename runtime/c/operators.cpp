#include <array>
#include <deque>

#include "runtime/c/handles.h"
#include "runtime/c/status.h"
#include "sluice/custom_operator.h"

// One callback's view of a node; what it asked for lives as long.
struct sluice_node {
  explicit sluice_node(const sluice::OperatorNode& shown) : node(shown) {}
  const sluice::OperatorNode& node;
  mutable std::deque<std::string> strings;
  mutable std::deque<std::vector<int64_t>> ints;
  mutable std::deque<std::vector<float>> floats;
};

namespace sluice::c {
namespace {

// Calls what a program gave.
template <typename Fn>
void CallBack(Fn fn) {
  SetLastError("");
  if (const sluice_status status = fn(); status != SLUICE_OK) ThrowCallbackError(status);
}

// Tensors for a callback: in place for the usual few.
class Tensors {
 public:
  explicit Tensors(size_t count) {
    if (count > few_.size()) many_.resize(count);
    data_ = count > few_.size() ? many_.data() : few_.data();
  }
  sluice_tensor& operator[](size_t i) { return data_[i]; }
  sluice_tensor* data() { return data_; }

 private:
  std::array<sluice_tensor, 6> few_;
  std::vector<sluice_tensor> many_;
  sluice_tensor* data_;
};

class ProgramOperator : public CustomOperator {
 public:
  explicit ProgramOperator(const sluice_operator& definition)
      : CustomOperator(definition.domain, definition.name,
                       definition.since_version == 0 ? 1 : definition.since_version),
        definition_(definition) {}
  ~ProgramOperator() override {
    if (definition_.release != nullptr) definition_.release(definition_.user);
  }

  std::vector<OperatorValue> Infer(const OperatorNode& shown,
                                   std::span<const OperatorValue> inputs) const override {
    const sluice_node node(shown);
    const auto num_outputs = static_cast<size_t>(shown.num_outputs());
    Tensors in(inputs.size()), out(num_outputs);
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i].dtype == DataType::kString)
        throw Error(ErrorCode::kUnsupported, "strings are for custom operators in C++ alone");
      in[i] = Describe(inputs[i].dtype, inputs[i].shape,
                       inputs[i].constant == nullptr ? nullptr : inputs[i].constant->data());
    }
    for (size_t o = 0; o < num_outputs; ++o) out[o] = Describe(DataType::kUndefined, {}, nullptr);
    CallBack([&] { return definition_.infer(&node, in.data(), out.data(), definition_.user); });
    std::vector<OperatorValue> outputs;
    for (size_t o = 0; o < num_outputs; ++o) {
      const std::string what = "infer, output " + std::to_string(o);
      const std::span<const int64_t> shape = CheckedShape(out[o], what);
      outputs.push_back({CheckedType(out[o].type, what), Shape(shape.begin(), shape.end())});
      if (outputs.back().dtype == DataType::kString)
        throw Error(ErrorCode::kUnsupported, "strings are for custom operators in C++ alone");
    }
    return outputs;
  }

  void Compute(const ComputeContext& context) const override {
    const sluice_node node(context.node());
    const auto num_inputs = static_cast<size_t>(context.num_inputs()),
               num_outputs = static_cast<size_t>(context.num_outputs());
    Tensors in(num_inputs), out(num_outputs);
    for (size_t i = 0; i < num_inputs; ++i) {
      const OperatorValue& type = context.input_type(static_cast<int>(i));
      in[i] = Describe(type.dtype, type.shape, context.input(static_cast<int>(i)));
    }
    for (size_t o = 0; o < num_outputs; ++o) {
      const OperatorValue& type = context.output_type(static_cast<int>(o));
      for (int64_t size : type.shape) {
        if (size < 0)
          throw Error(ErrorCode::kUnsupported,
                      "output " + std::to_string(o) +
                          " has sizes that only a run decides; those are for custom operators in C++ alone");
      }
      out[o] = Describe(type.dtype, type.shape, context.output(static_cast<int>(o)));
    }
    CallBack([&] { return definition_.compute(&node, in.data(), out.data(), definition_.user); });
  }

 private:
  const sluice_operator definition_;
};

// Calls `get` if the node has the attribute.
template <typename Fn>
sluice_status Get(const sluice_node* node, const char* attribute, const void* value, Fn get) noexcept {
  return Guard([&] {
    Require(node, "node");
    Require(attribute, "attribute");
    Require(static_cast<const char*>(value), "value");
    if (node->node.has_attribute(attribute)) get(node->node);
  });
}

}  // namespace
}  // namespace sluice::c

using namespace sluice;     // NOLINT: the rest of this file defines C functions alone
using namespace sluice::c;  // NOLINT

extern "C" {

const char* sluice_node_name(const sluice_node* node) {
  return node == nullptr ? "" : node->node.name().c_str();
}
int32_t sluice_node_num_inputs(const sluice_node* node) {
  return node == nullptr ? 0 : node->node.num_inputs();
}
int32_t sluice_node_num_outputs(const sluice_node* node) {
  return node == nullptr ? 0 : node->node.num_outputs();
}

sluice_status sluice_node_int(const sluice_node* node, const char* attribute, int64_t* value) {
  return Get(node, attribute, value, [&](const OperatorNode& n) { *value = n.Int(attribute, 0); });
}

sluice_status sluice_node_float(const sluice_node* node, const char* attribute, float* value) {
  return Get(node, attribute, value, [&](const OperatorNode& n) { *value = n.Float(attribute, 0); });
}

sluice_status sluice_node_string(const sluice_node* node, const char* attribute, sluice_string* value) {
  return Get(node, attribute, value, [&](const OperatorNode& n) {
    const std::string& text = node->strings.emplace_back(n.String(attribute, ""));
    *value = {text.data(), text.size()};
  });
}

sluice_status sluice_node_ints(const sluice_node* node, const char* attribute, const int64_t** values,
                               size_t* count) {
  return Get(node, attribute, values, [&](const OperatorNode& n) {
    const std::vector<int64_t>& list = node->ints.emplace_back(n.Ints(attribute, {}));
    Require(count, "count") = list.size();
    *values = list.data();
  });
}

sluice_status sluice_node_floats(const sluice_node* node, const char* attribute, const float** values,
                                 size_t* count) {
  return Get(node, attribute, values, [&](const OperatorNode& n) {
    const std::vector<float>& list = node->floats.emplace_back(n.Floats(attribute, {}));
    Require(count, "count") = list.size();
    *values = list.data();
  });
}

sluice_status sluice_options_add_operator(sluice_options* options, const sluice_operator* definition) {
  return Guard([&] {
    const sluice_operator& given = Structure(definition, "sluice_operator");
    // From here on its destructor calls `release`.
    sluice_operator named = given;
    if (named.domain == nullptr) named.domain = "";
    if (named.name == nullptr) named.name = "";
    const auto made = std::make_shared<const ProgramOperator>(named);
    Require(options, "options");
    Require(given.domain, "domain");
    Require(given.name, "name");
    if (given.infer == nullptr || given.compute == nullptr)
      Refuse("sluice_operator: infer and compute must be set");
    if (given.since_version < 0)
      Refuse("since_version is " + std::to_string(given.since_version) + ", expected 0 or more");
    options->options.operators.push_back(made);
  });
}

}  // extern "C"
