#include "kernels/onednn/conv.h"

#include <string_view>

#include "kernels/onednn/api.h"
#include "kernels/onednn/attr.h"
#include "kernels/onednn/primitive_desc.h"

namespace sluice::onednn {
namespace {

Shape WithSpatial(Shape shape, const std::vector<int64_t>& spatial) {
  shape.insert(shape.end(), spatial.begin(), spatial.end());
  return shape;
}

class Implementation : public ConvPrimitive {
 public:
  template <typename Forward>
  static std::shared_ptr<const ConvPrimitive> MakeAs(const ConvProblem& p, dnnl::algorithm algorithm,
                                                     std::string* reason) {
    auto result = std::make_shared<Implementation>();
    Shape weights_shape = {p.oc / p.groups, p.ic / p.groups};
    std::vector<int64_t> weights_strides = {p.weights_oc_stride, p.weights_ic_stride};
    if (p.groups > 1) {
      weights_shape.insert(weights_shape.begin(), p.groups);
      weights_strides.insert(weights_strides.begin(), p.weights_group_stride);
    }
    weights_shape = WithSpatial(weights_shape, p.kernel);
    int64_t stride = 1;
    std::vector<int64_t> kernel_strides;
    for (size_t i = p.kernel.size(); i-- > 0; stride *= p.kernel[i]) {
      kernel_strides.insert(kernel_strides.begin(), stride);
    }
    weights_strides.insert(weights_strides.end(), kernel_strides.begin(), kernel_strides.end());
    result->plain_ = StridedDesc(weights_shape, weights_strides);

    ConvDescs descs;
    descs.src = ActivationDesc(WithSpatial({p.n, p.ic}, p.in), p.src_layout);
    descs.dst = ActivationDesc(WithSpatial({p.n, p.oc}, p.out), p.dst_layout);
    descs.weights = AnyDesc(weights_shape);
    if (p.has_bias) descs.bias = PlainDesc({p.oc});
    descs.strides = p.strides;
    for (int64_t d : p.dilations) descs.dilates.push_back(d - 1);
    descs.pads_begin = p.pads_begin;
    descs.pads_end = p.pads_end;
    std::vector<Primitive::Argument> operands;
    try {
      const dnnl::primitive_attr attr = MakeAttr(p.post_ops, descs.dst, 1, operands);
      const auto pd = MakeConvDesc<Forward>(descs, algorithm, attr);
      result->implementation_ = pd.impl_info_str();
      if (result->implementation_.starts_with("ref")) {
        *reason = "oneDNN has only its reference code for it";
        return nullptr;
      }
      result->packed_ = pd.weights_desc();
      result->scratch_bytes_ = static_cast<int64_t>(pd.scratchpad_desc().get_size());
      std::vector<Primitive::Argument> arguments = {
          {DNNL_ARG_SRC, descs.src}, {DNNL_ARG_WEIGHTS, result->packed_}, {DNNL_ARG_DST, descs.dst},
          {DNNL_ARG_SCRATCHPAD, pd.scratchpad_desc()}};
      if (p.has_bias) arguments.push_back({DNNL_ARG_BIAS, descs.bias});
      result->has_bias_ = p.has_bias;
      arguments.insert(arguments.end(), operands.begin(), operands.end());
      result->primitive_ = Primitive(Forward(pd), std::move(arguments));

      dnnl::primitive_attr reorder_attr;
      reorder_attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
      const dnnl::reorder::primitive_desc reorder(Engine(), result->plain_, Engine(), result->packed_,
                                                  reorder_attr);
      result->pack_scratch_bytes_ = static_cast<int64_t>(reorder.scratchpad_desc().get_size());
      result->pack_ = Primitive(dnnl::reorder(reorder), {{DNNL_ARG_FROM, result->plain_},
                                                         {DNNL_ARG_TO, result->packed_},
                                                         {DNNL_ARG_SCRATCHPAD, reorder.scratchpad_desc()}});
    } catch (const dnnl::error& error) {
      *reason = "oneDNN does not do it: " + std::string(error.what());
      return nullptr;
    }
    return result;
  }

  std::string implementation() const override { return implementation_; }
  int64_t packed_bytes() const override { return static_cast<int64_t>(packed_.get_size()); }
  std::string packed_format() const override { return FormatKey(plain_) + '>' + FormatKey(packed_); }
  int64_t pack_scratch_bytes() const override { return pack_scratch_bytes_; }
  int64_t scratch_bytes() const override { return scratch_bytes_; }

  void PackWeights(const float* weights, void* packed, void* scratch) const override {
    const void* data[] = {weights, packed, scratch};
    pack_.Execute(data);
  }

  void Execute(const float* src, const void* packed_weights, const float* bias, float* dst,
               std::span<const void* const> operands, void* scratch) const override {
    constexpr size_t kFixed = 5, kMaxOperands = 32;
    const void* data[kFixed + kMaxOperands] = {src, packed_weights, dst, scratch};
    size_t count = 4;
    if (has_bias_) data[count++] = bias;
    for (const void* operand : operands) data[count++] = operand;
    primitive_.Execute({data, count});
  }

 private:
  std::string implementation_;
  Md plain_, packed_;
  int64_t pack_scratch_bytes_ = 0, scratch_bytes_ = 0;
  bool has_bias_ = false;
  Primitive primitive_, pack_;
};

}  // namespace

std::shared_ptr<const ConvPrimitive> ConvPrimitive::Make(const ConvProblem& p, std::string* reason) {
  using dnnl::algorithm;
  return p.transposed ? Implementation::MakeAs<dnnl::deconvolution_forward>(
                            p, algorithm::deconvolution_direct, reason)
                      : Implementation::MakeAs<dnnl::convolution_forward>(
                            p, algorithm::convolution_direct, reason);
}

}  // namespace sluice::onednn
