#pragma once

#include "kernels/onednn/api.h"

// How this oneDNN (2.x) makes primitive descriptors. In 3.x the constructors of primitive_desc take
// what `desc` takes here; that variant belongs in this file.

namespace sluice::onednn {

struct ConvDescs {
  Md src, weights, bias, dst;  // bias of no dimensions: none
  std::vector<int64_t> strides, dilates, pads_begin, pads_end;  // dilates: 0 is dense
};

template <typename Forward>  // dnnl::convolution_forward or dnnl::deconvolution_forward
typename Forward::primitive_desc MakeConvDesc(const ConvDescs& d, dnnl::algorithm algorithm,
                                              const dnnl::primitive_attr& attr) {
  constexpr auto kind = dnnl::prop_kind::forward_inference;
  using Desc = typename Forward::desc;
  const Desc desc = d.bias.data.ndims == 0
                        ? Desc(kind, algorithm, d.src, d.weights, d.dst, d.strides, d.dilates, d.pads_begin,
                               d.pads_end)
                        : Desc(kind, algorithm, d.src, d.weights, d.bias, d.dst, d.strides, d.dilates,
                               d.pads_begin, d.pads_end);
  return typename Forward::primitive_desc(desc, attr, Engine());
}

inline dnnl::matmul::primitive_desc MakeMatMulDesc(const Md& a, const Md& b, const Md& bias, const Md& dst,
                                                   const dnnl::primitive_attr& attr) {
  const dnnl::matmul::desc desc =
      bias.data.ndims == 0 ? dnnl::matmul::desc(a, b, dst) : dnnl::matmul::desc(a, b, bias, dst);
  return dnnl::matmul::primitive_desc(desc, attr, Engine());
}

}  // namespace sluice::onednn
