#include "runtime/custom_operators.h"

#include <algorithm>

#include "graph/infer.h"
#include "graph/place.h"
#include "kernels/kernel.h"
#include "kernels/parallel.h"

namespace sluice {
namespace {

// Calls the program's code: what it throws beside Error is its own mistake, at this node.
template <typename Fn>
auto CallProgram(const Node& node, Fn fn) {
  try {
    return fn();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Error(ErrorCode::kInternal, Describe(node) + ": " + error.what());
  } catch (...) {
    throw Error(ErrorCode::kInternal,
                Describe(node) + ": the custom operator threw something that is no std::exception");
  }
}

struct Call {
  const RunContext& ctx;
  std::vector<bool> set;  // of outputs whose size the run decides
};

const Node& NodeOf(const void* node) { return *static_cast<const Node*>(node); }

// The getters of attributes name the attribute alone.
template <typename Fn>
auto AtNode(const void* node, Fn get) {
  try {
    return get(NodeOf(node).attrs);
  } catch (const Error& error) {
    throw Error(error.code(), Describe(NodeOf(node)) + ": " + error.what());
  }
}

}  // namespace

const std::string& OperatorNode::name() const { return NodeOf(node_).name; }
int OperatorNode::since_version() const { return NodeOf(node_).since_version; }
int OperatorNode::num_inputs() const { return static_cast<int>(NodeOf(node_).inputs.size()); }
int OperatorNode::num_outputs() const { return static_cast<int>(NodeOf(node_).outputs.size()); }
bool OperatorNode::has_attribute(std::string_view attribute) const {
  return NodeOf(node_).attrs.Has(attribute);
}
int64_t OperatorNode::Int(std::string_view attribute, int64_t fallback) const {
  return AtNode(node_, [&](const Attributes& attrs) { return attrs.Int(attribute, fallback); });
}
float OperatorNode::Float(std::string_view attribute, float fallback) const {
  return AtNode(node_, [&](const Attributes& attrs) { return attrs.Float(attribute, fallback); });
}
std::string OperatorNode::String(std::string_view attribute, std::string_view fallback) const {
  return AtNode(node_, [&](const Attributes& attrs) { return attrs.String(attribute, fallback); });
}
std::vector<int64_t> OperatorNode::Ints(std::string_view attribute, std::vector<int64_t> fallback) const {
  return AtNode(node_, [&](const Attributes& attrs) { return attrs.Ints(attribute, fallback); });
}
std::vector<float> OperatorNode::Floats(std::string_view attribute, std::vector<float> fallback) const {
  return AtNode(node_, [&](const Attributes& attrs) { return attrs.Floats(attribute, fallback); });
}
Tensor OperatorNode::TensorValue(std::string_view attribute) const {
  if (!has_attribute(attribute)) return {};
  return AtNode(node_, [&](const Attributes& attrs) { return attrs.TensorValue(attribute); });
}

CustomOperator::~CustomOperator() = default;

void ComputeContext::SetOutput(int i, Tensor value) const {
  const OperatorValue& type = output_type(i);
  bool fits = value.dtype() == type.dtype && (!type.has_shape || value.shape().size() == type.shape.size());
  for (size_t d = 0; fits && type.has_shape && d < type.shape.size(); ++d)
    fits = type.shape[d] < 0 || type.shape[d] == value.shape()[d];
  if (!fits) {
    throw Error(ErrorCode::kInvalidArgument,
                "output " + std::to_string(i) + " is " + std::string(DataTypeName(value.dtype())) + " " +
                    ToString(value.shape()) + ", inferred was " + std::string(DataTypeName(type.dtype)) +
                    (type.has_shape ? " " + ToString(type.shape) : ""));
  }
  auto& call = *static_cast<Call*>(run_);
  if (static_cast<size_t>(i) >= call.set.size())
    throw Error(ErrorCode::kInvalidArgument, "output " + std::to_string(i) + " is there to be written");
  call.set[static_cast<size_t>(i)] = true;
  call.ctx.SetOutput(i, std::move(value));
}

void ComputeContext::ParallelFor(int64_t n, const std::function<void(int64_t)>& fn) const {
  ForEachTile(n, fn);
}

// What the public classes keep from programs.
class CustomOperatorAccess {
 public:
  static const CustomOperator& Of(const Node& node) {
    return *static_cast<const CustomOperators::Definition*>(node.op)->custom;
  }

  static void Infer(InferContext& ctx) {
    std::vector<OperatorValue> inputs;
    for (int i = 0; i < ctx.num_inputs(); ++i) {
      OperatorValue& value = inputs.emplace_back();
      if (!ctx.has_input(i)) continue;
      if (ctx.input(i).kind != ValueType::Kind::kTensor)
        ctx.Fail("input " + std::to_string(i) + " is no tensor; custom operators take tensors");
      value.dtype = ctx.dtype(i);
      for (const Dim& dim : ctx.shape(i)) value.shape.push_back(dim.value());
      value.constant = ctx.constant(i);
    }
    const Node& node = ctx.node();
    const OperatorNode shown(&node);
    const std::vector<OperatorValue> outputs =
        CallProgram(node, [&] { return Of(node).Infer(shown, inputs); });
    if (static_cast<int>(outputs.size()) != ctx.num_outputs()) {
      ctx.Fail("the node has " + std::to_string(ctx.num_outputs()) + " outputs, Infer gave " +
               std::to_string(outputs.size()));
    }
    for (int i = 0; i < ctx.num_outputs(); ++i) {
      const OperatorValue& output = outputs[static_cast<size_t>(i)];
      if (DataTypeBits(output.dtype) == 0)
        ctx.Fail("Infer gave output " + std::to_string(i) + " no element type");
      if (!output.has_shape) {
        ctx.SetUnknownShape(i, output.dtype);
        continue;
      }
      SymShape shape;
      for (int64_t size : output.shape) {
        if (size < -1)
          ctx.Fail("Infer gave output " + std::to_string(i) + " the shape " + ToString(output.shape));
        shape.push_back(size < 0 ? Dim() : Dim(size));
      }
      ctx.SetOutput(i, output.dtype, std::move(shape));
    }
  }

  class CustomKernel : public Kernel {
   public:
    std::string name() const override { return "custom"; }

    void Prepare(PrepareContext& ctx) override {
      node_ = &ctx.node();
      for (int i = 0; i < ctx.num_inputs(); ++i) {
        inputs_.emplace_back();
        if (ctx.has_input(i)) inputs_.back() = {ctx.dtype(i), ctx.shape(i)};
      }
      for (int i = 0; i < ctx.num_outputs(); ++i) {
        const TensorDesc& desc = ctx.output(i);
        outputs_.push_back({desc.dtype, desc.shape, ctx.output_known(i)});
        set_by_run_ = set_by_run_ || !ctx.output_known(i);
      }
      if (!set_by_run_) return;
      // Sizes that Infer leaves open are gone from the descriptions.
      const OperatorNode shown(node_);
      std::vector<OperatorValue> inferred =
          CallProgram(*node_, [&] { return Of(*node_).Infer(shown, inputs_); });
      if (inferred.size() == outputs_.size()) outputs_ = std::move(inferred);
    }

    void Run(const RunContext& ctx, int64_t) const override {
      const OperatorNode shown(node_);
      Call call{ctx, std::vector<bool>(set_by_run_ ? outputs_.size() : 0)};
      const ComputeContext context(shown, &call, inputs_, outputs_, ctx.inputs().first(inputs_.size()),
                                   ctx.outputs());
      CallProgram(*node_, [&] { Of(*node_).Compute(context); });
      for (size_t i = 0; i < call.set.size(); ++i) {
        if (call.set[i] || ctx.outputs()[i] != nullptr || node_->outputs[i] == ValueId::kNone) continue;
        throw Error(ErrorCode::kInvalidArgument, "Compute did not set output " + std::to_string(i));
      }
    }

   private:
    const Node* node_ = nullptr;
    std::vector<OperatorValue> inputs_, outputs_;
    bool set_by_run_ = false;
  };
};

CustomOperators::CustomOperators(const std::vector<std::shared_ptr<const CustomOperator>>& operators) {
  for (const auto& custom : operators) {
    const auto fail = [&](const std::string& what) {
      throw Error(
          ErrorCode::kInvalidArgument,
          "custom operator '" + (custom ? custom->domain() + "." + custom->name() : "") + "': " + what);
    };
    if (!custom) fail("it is null");
    if (custom->name().empty()) fail("it has no name");
    // Passes rewrite those by their names.
    if (custom->domain().empty() || custom->domain() == "ai.onnx" || custom->domain().starts_with("ai.onnx."))
      fail("it needs a domain of its own, not one of the standard's");
    if (custom->since_version() < 1)
      fail("since_version is " + std::to_string(custom->since_version()) + ", expected 1 or more");
    for (const Definition& other : definitions_) {
      if (other.domain == custom->domain() && other.name == custom->name() &&
          other.versions[0] == custom->since_version())
        fail("version " + std::to_string(custom->since_version()) + " is registered twice");
    }
    Definition& definition = definitions_.emplace_back();
    definition.custom = custom;
    definition.domain = custom->domain();
    definition.name = custom->name();
    definition.versions = {custom->since_version()};
    definition.min_inputs = 0;
    definition.max_inputs = Operator::kMany;
    definition.max_outputs = Operator::kMany;
    definition.infer = CustomOperatorAccess::Infer;
    definition.kernels = {Make<CustomOperatorAccess::CustomKernel>};
    // It may have effects, or read what changes.
    definition.pure = false;
  }
}

ResolvedOperator CustomOperators::Find(std::string_view domain, std::string_view name, int64_t opset) const {
  ResolvedOperator best;
  for (const Definition& definition : definitions_) {
    const int version = definition.versions[0];
    if (definition.domain == domain && definition.name == name && version <= opset &&
        version > best.since_version)
      best = {&definition, version};
  }
  return best.op != nullptr ? best : FindOperator(domain, name, opset);
}

}  // namespace sluice
