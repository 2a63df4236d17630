#include "bench/layer_step.h"

#include "graph/operator.h"
#include "kernels/parallel.h"
#include "kernels/scratch.h"
#include "sluice/error.h"

namespace sluice::bench {
namespace {

Tensor Noise(const Shape& shape) {
  Tensor tensor(DataType::kFloat, shape);
  uint32_t bits = 1;
  for (float& value : tensor.mutable_values<float>()) {
    bits = bits * 1664525u + 1013904223u;
    value = static_cast<float>(bits >> 8) / static_cast<float>(1 << 23) - 1.0f;
  }
  return tensor;
}

Node NodeOf(const std::string& op_type, Attributes attrs) {
  constexpr int kOpset = 13;
  Node node;
  node.op_type = op_type;
  node.attrs = std::move(attrs);
  const ResolvedOperator found = FindOperator("", op_type, kOpset);
  node.op = found.op;
  node.since_version = found.since_version;
  node.outputs = {static_cast<ValueId>(9)};
  return node;
}

}  // namespace

LayerStep::LayerStep(const ConvLayer& layer, bool leaky, const std::string& candidate)
    : node_(NodeOf(layer.op_type, layer.attrs)) {
  node_.inputs = {static_cast<ValueId>(0), static_cast<ValueId>(1)};
  if (leaky) node_.post_ops = {{PostOp::Kind::kLeakyRelu, 0.1f}};
  const Layout blocked = NativeBlockedLayout();
  const TensorDesc src{DataType::kFloat, layer.src,
                       layer.src[1] < BlockOf(blocked) ? Layout::kPlain : blocked};
  const TensorDesc weights{DataType::kFloat, layer.weights};
  weights_ = Noise(layer.weights);
  Prepare(node_, {src, weights}, {nullptr, &weights_}, {DataType::kFloat, layer.dst}, candidate);
}

LayerStep::LayerStep(const LayerStep& before) : node_(NodeOf("LeakyRelu", {})) {
  node_.inputs = {static_cast<ValueId>(0)};
  node_.attrs.Set("alpha", 0.1f);
  Prepare(node_, {before.output()}, {nullptr}, {DataType::kFloat, before.output().shape}, "");
  inputs_[0] = before.output_data();
}

void LayerStep::Prepare(const Node& node, const std::vector<TensorDesc>& inputs,
                        const std::vector<const Tensor*>& constants, const TensorDesc& output,
                        const std::string& candidate) {
  std::string reasons;
  for (const KernelFactory& make : node.op->kernels) {
    PrepareContext ctx(node, inputs, constants, {output}, {true}, {});
    kernel_ = make();
    try {
      kernel_->Prepare(ctx);
    } catch (const Declined& declined) {
      reasons += "; " + kernel_->name() + ": " + declined.reason;
      continue;
    }
    if (!kernel_->name().starts_with(candidate)) continue;
    TensorDesc src = inputs[0];
    src.layout = ctx.request().input_layouts[0];
    src_ = Noise({src.byte_size() / static_cast<int64_t>(sizeof(float))});
    dst_desc_ = ctx.output(0);
    dst_ = Tensor(DataType::kUInt8, {dst_desc_.byte_size()});
    scratch_bytes_ = ctx.request().scratch_bytes;
    inputs_ = {src_.data()};
    if (constants.size() > 1) inputs_.push_back(constants[1]->data());
    outputs_ = {dst_.mutable_data()};
    return;
  }
  throw Error(ErrorCode::kUnsupported, "no kernel '" + candidate + "' for it" + reasons);
}

void LayerStep::Run() const {
  ForEachTile(kernel_->tiles(), [&](int64_t tile) {
    const Scratch scratch(scratch_bytes_);
    kernel_->Run(RunContext(inputs_, outputs_, scratch.data(), nullptr), tile);
  });
}

}  // namespace sluice::bench
