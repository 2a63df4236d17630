#include "kernels/evaluate.h"

#include <cstring>

#include "graph/infer.h"
#include "graph/place.h"
#include "kernels/parallel.h"
#include "kernels/reorder.h"
#include "kernels/scratch.h"
#include "sluice/error.h"

namespace sluice {
namespace {

ValueType TypeOf(const Value& value) {
  if (value.is_map()) return ValueType::MapOf(value.keys().dtype(), value.element_type());
  if (value.is_sequence()) {
    const bool maps = !value.items().empty() && value.items()[0].is_map();
    return ValueType::SequenceOf(value.element_type(), maps ? value.items()[0].keys().dtype() : DataType::kUndefined);
  }
  if (value.is_none()) return {DataType::kUndefined, ValueType::Kind::kOptional, false, {}};
  return ValueType::Of(value.tensor().dtype(), ToSymShape(value.tensor().shape()));
}

class Evaluation : public RunContext::Dynamic {
 public:
  Evaluation(const Node& node, std::span<const Value> inputs,
             const PrepareContext::SubgraphMaker& make_subgraph)
      : node_(node), inputs_(inputs.begin(), inputs.end()), results_(node.outputs.size()) {
    inputs_.resize(node.inputs.size());
    Infer();
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const Value& value = inputs_[i];
      descs_.push_back(value.is_tensor() ? TensorDesc{value.tensor().dtype(), value.tensor().shape()}
                                         : TensorDesc());
      constants_.push_back(value.is_tensor() ? &value.tensor() : nullptr);
    }
    make_context_ = [this, make_subgraph] {
      return PrepareContext(node_, descs_, constants_, output_descs_, output_known_, make_subgraph);
    };
  }

  std::vector<Value> Run() { return Run(PrepareKernel(node_, make_context_)); }

  std::vector<Value> RunWith(size_t candidate) {
    PreparedStep step;
    step.kernel = node_.op->kernels.at(candidate)();
    PrepareContext ctx = make_context_();
    step.kernel->Prepare(ctx);
    step.request = ctx.request();
    for (int i = 0; i < ctx.num_outputs(); ++i) step.outputs.push_back(ctx.output(i));
    return Run(std::move(step));
  }

  Value GetInput(int i) const override { return inputs_[static_cast<size_t>(i)]; }
  void SetOutput(int i, Value value) override { results_[static_cast<size_t>(i)] = std::move(value); }

 private:
  void Infer() {
    std::vector<ValueType> types;
    for (const Value& value : inputs_) types.push_back(TypeOf(value));
    std::vector<const ValueType*> type_pointers;
    std::vector<const Tensor*> constants;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const bool absent = node_.inputs[i] == ValueId::kNone && inputs_[i].is_none();
      type_pointers.push_back(absent ? nullptr : &types[i]);
      constants.push_back(inputs_[i].is_tensor() ? &inputs_[i].tensor() : nullptr);
    }
    for (const ValueType& type : InferNode(node_, std::move(type_pointers), std::move(constants))) {
      const bool known = type.IsConcrete();
      output_known_.push_back(known);
      output_descs_.push_back({type.dtype, known ? *ToShape(type.shape) : Shape()});
    }
  }

  // The input in the layout that the kernel wants.
  Tensor InLayout(size_t i, Layout layout) {
    const TensorDesc wanted{descs_[i].dtype, descs_[i].shape, layout};
    Tensor copy(DataType::kUInt8, {wanted.byte_size()});
    const int64_t tiles = ReorderTiles(descs_[i], wanted);
    ForEachTile(tiles, [&](int64_t tile) {
      RunReorder(descs_[i], inputs_[i].tensor().data(), wanted, copy.mutable_data(), tile);
    });
    return copy;
  }

  // Output i, which is bytes of an input; in a layout of its own those are copied to raw[i].
  Tensor Shared(const PreparedStep& step, size_t i, const std::vector<const void*>& in, std::vector<Tensor>& raw) {
    const auto input = static_cast<size_t>(step.request.shares_input[i]);
    const TensorDesc& desc = step.outputs[i];
    const Tensor& source = inputs_[input].tensor();
    if (desc.layout == Layout::kPlain && desc.dtype == source.dtype() &&
        desc.num_elements() == source.num_elements()) {
      return source.Reshaped(desc.shape);
    }
    const int64_t bytes = desc.byte_size();
    Tensor copy = desc.layout == Layout::kPlain ? Tensor(desc.dtype, desc.shape) : Tensor(DataType::kUInt8, {bytes});
    if (bytes > 0) {
      std::memcpy(copy.mutable_data(), static_cast<const std::byte*>(in[input]) + step.request.shares_offset[i],
                  static_cast<size_t>(bytes));
    }
    if (desc.layout == Layout::kPlain) return copy;
    raw[i] = std::move(copy);
    return {};
  }

  std::vector<Value> Run(PreparedStep step) {
    std::vector<Tensor> reordered(inputs_.size());
    std::vector<const void*> in(inputs_.size(), nullptr);
    for (size_t i = 0; i < inputs_.size(); ++i) {
      if (!inputs_[i].is_tensor()) continue;
      in[i] = inputs_[i].tensor().data();
      if (step.request.input_layouts[i] != Layout::kPlain) {
        reordered[i] = InLayout(i, step.request.input_layouts[i]);
        in[i] = reordered[i].data();
      }
    }
    std::vector<Tensor> raw(step.outputs.size());
    std::vector<void*> out(step.outputs.size(), nullptr);
    bool all_shared = !step.outputs.empty();
    for (size_t i = 0; i < step.outputs.size(); ++i) {
      if (step.request.shares_input[i] >= 0) {
        results_[i] = Shared(step, i, in, raw);
        continue;
      }
      all_shared = false;
      if (node_.outputs[i] == ValueId::kNone || !output_known_[i]) continue;
      const TensorDesc& desc = step.outputs[i];
      if (desc.layout == Layout::kPlain) {
        results_[i] = Tensor(desc.dtype, desc.shape);
        out[i] = results_[i].tensor().mutable_data();
      } else {
        raw[i] = Tensor(DataType::kUInt8, {desc.byte_size()});
        out[i] = raw[i].mutable_data();
      }
    }
    if (!all_shared) {
      ForEachTile(step.kernel->tiles(), [&](int64_t tile) {
        const Scratch scratch(step.request.scratch_bytes);
        step.kernel->Run(RunContext(in, out, scratch.data(), this), tile);
      });
    }
    for (size_t i = 0; i < step.outputs.size(); ++i) {
      if (raw[i].empty()) continue;
      const TensorDesc plain{step.outputs[i].dtype, step.outputs[i].shape};
      Tensor result(plain.dtype, plain.shape);
      ForEachTile(ReorderTiles(step.outputs[i], plain), [&](int64_t tile) {
        RunReorder(step.outputs[i], raw[i].data(), plain, result.mutable_data(), tile);
      });
      results_[i] = std::move(result);
    }
    return std::move(results_);
  }

  const Node& node_;
  std::vector<Value> inputs_;
  std::vector<TensorDesc> descs_;
  std::vector<const Tensor*> constants_;
  std::vector<TensorDesc> output_descs_;
  std::vector<bool> output_known_;
  std::function<PrepareContext()> make_context_;
  std::vector<Value> results_;
};

}  // namespace

std::vector<Value> Evaluate(const Node& node, std::span<const Value> inputs,
                            const PrepareContext::SubgraphMaker& make_subgraph) {
  try {
    return Evaluation(node, inputs, make_subgraph).Run();
  } catch (const Error& error) {
    RethrowAt(Describe(node), error);
  }
}

std::vector<Value> EvaluateOrNone(const Node& node, std::span<const Value> inputs) {
  try {
    return Evaluate(node, inputs);
  } catch (const Error&) {
    return {};
  }
}

std::vector<Value> EvaluateWith(size_t candidate, const Node& node, std::span<const Value> inputs,
                                const PrepareContext::SubgraphMaker& make_subgraph) {
  return Evaluation(node, inputs, make_subgraph).RunWith(candidate);
}

}  // namespace sluice
