#include "bench/plain_conv.h"

#include "kernels/ops/window.h"
#include "sluice/error.h"

// Of the OpenMP runtime that oneDNN is built on; its header is not everywhere.
extern "C" void omp_set_num_threads(int);

namespace sluice::bench {
namespace {

Tensor Floats(int64_t bytes, float value) {
  Tensor tensor(DataType::kFloat, {(bytes + 3) / 4});
  for (float& element : tensor.mutable_values<float>()) element = value;
  return tensor;
}

}  // namespace

PlainConv::PlainConv(const ConvLayer& layer, int threads) : threads_(threads) {
  const size_t axes = layer.src.size() - 2;
  Window window = ReadWindow(layer.attrs, axes, SpatialOf(layer.weights));
  onednn::ConvProblem p;
  p.transposed = layer.op_type == "ConvTranspose";
  p.n = layer.src[0];
  p.groups = layer.attrs.Int("group", 1);
  p.ic = layer.src[1];
  p.oc = layer.dst[1];
  p.in = SpatialOf(layer.src);
  p.out = SpatialOf(layer.dst);
  if (!p.transposed) ResolvePads(window, p.in);
  p.kernel = window.kernel;
  p.strides = window.strides;
  p.dilations = window.dilations;
  p.pads_begin = window.pads_begin;
  // oneDNN wants the padding that makes the sizes come out.
  for (size_t i = 0; i < axes; ++i) {
    const std::vector<int64_t>&few = p.transposed ? p.in : p.out, &many = p.transposed ? p.out : p.in;
    p.pads_end.push_back((few[i] - 1) * p.strides[i] + window.span(i) - many[i] - p.pads_begin[i]);
  }
  const int64_t taps = window.kernel_elems(), icg = p.ic / p.groups, ocg = p.oc / p.groups;
  p.weights_ic_stride = p.transposed ? ocg * taps : taps;
  p.weights_oc_stride = p.transposed ? taps : icg * taps;
  p.weights_group_stride = icg * ocg * taps;
  p.post_ops = {{{PostOp::Kind::kLeakyRelu, 0.1f}}};
  flops_ = 2 * p.n * (p.transposed ? p.ic * ocg * NumElements(p.in) : p.oc * icg * NumElements(p.out)) * taps;

  omp_set_num_threads(threads_);
  const Layout blocked = NativeBlockedLayout();
  std::string reason;
  for (const auto& [src, dst] :
       {std::pair{p.ic < 4 ? Layout::kPlain : blocked, blocked}, std::pair{blocked, blocked},
        std::pair{Layout::kChannelsLast, Layout::kChannelsLast}}) {
    p.src_layout = src;
    p.dst_layout = dst;
    primitive_ = onednn::ConvPrimitive::Make(p, &reason);
    if (primitive_) break;
  }
  if (!primitive_) throw Error(ErrorCode::kUnsupported, reason);
  src_ = Floats(TensorDesc{DataType::kFloat, layer.src, p.src_layout}.byte_size(), 0.5f);
  dst_ = Floats(TensorDesc{DataType::kFloat, layer.dst, p.dst_layout}.byte_size(), 0);
  packed_ = Floats(primitive_->packed_bytes(), 0);
  scratch_ = Floats(std::max(primitive_->scratch_bytes(), primitive_->pack_scratch_bytes()), 0);
  const Tensor weights = Floats(NumElements(layer.weights) * 4, 0.25f);
  primitive_->PackWeights(weights.values<float>().data(), packed_.mutable_data(), scratch_.mutable_data());
}

void PlainConv::Run() const {
  omp_set_num_threads(threads_);
  primitive_->Execute(src_.values<float>().data(), packed_.data(), nullptr,
                      const_cast<float*>(dst_.values<float>().data()), {},
                      const_cast<void*>(scratch_.data()));
}

}  // namespace sluice::bench
