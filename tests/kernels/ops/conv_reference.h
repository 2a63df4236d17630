#pragma once

#include <cmath>
#include <functional>
#include <random>

#include "graph/post_op.h"
#include "tests/kernels/op_test_util.h"
#include "tests/tolerance.h"

namespace sluice::test {

inline double ApplyPostOp(const PostOp& op, double x, double operand) {
  const auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
  switch (op.kind) {
    case PostOp::Kind::kLeakyRelu: return x >= 0 ? x : op.alpha * x;
    case PostOp::Kind::kRelu: return std::max(x, 0.0);
    case PostOp::Kind::kClip: return std::min(std::max(x, double{op.alpha}), double{op.beta});
    case PostOp::Kind::kSigmoid: return sigmoid(x);
    case PostOp::Kind::kSilu: return x * sigmoid(op.alpha * x);
    case PostOp::Kind::kHardSigmoid: return std::min(std::max(op.alpha * x + op.beta, 0.0), 1.0);
    case PostOp::Kind::kHardSwish: return x * std::min(std::max(op.alpha * x + op.beta, 0.0), 1.0);
    case PostOp::Kind::kTanh: return std::tanh(x);
    case PostOp::Kind::kElu: return x >= 0 ? x : op.alpha * std::expm1(x);
    case PostOp::Kind::kMish: return x * std::tanh(std::log1p(std::exp(x)));
    case PostOp::Kind::kGeluErf: return x / 2 * (1 + std::erf(x / std::sqrt(2.0)));
    case PostOp::Kind::kGeluTanh:
      return x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case PostOp::Kind::kLinear: return op.alpha * x + op.beta;
    case PostOp::Kind::kAbs: return std::abs(x);
    case PostOp::Kind::kExp: return std::exp(x);
    case PostOp::Kind::kSqrt: return std::sqrt(x);
    case PostOp::Kind::kSquare: return x * x;
    case PostOp::Kind::kPRelu: return x >= 0 ? x : operand * x;
    case PostOp::Kind::kAdd: return x + operand;
    case PostOp::Kind::kMul: return x * operand;
  }
  return x;
}

// The element of `operand`, broadcast to `shape`, at flat position `at` of `shape`.
inline double BroadcastAt(const Tensor& operand, const Shape& shape, int64_t at) {
  int64_t index = 0, step = 1;
  for (int64_t i = 0; i < static_cast<int64_t>(shape.size()); ++i) {
    const size_t axis = shape.size() - 1 - static_cast<size_t>(i);
    const int64_t position = at % shape[axis];
    at /= shape[axis];
    if (i >= operand.rank()) continue;
    const int64_t size = operand.shape()[static_cast<size_t>(operand.rank() - 1 - i)];
    if (size > 1) index += position * step;
    step *= size;
  }
  return operand.values<float>()[static_cast<size_t>(index)];
}

inline void ApplyPostOps(const Node& node, const std::vector<Value>& inputs, const Shape& shape,
                         std::vector<double>& values) {
  for (const PostOp& op : node.post_ops) {
    for (size_t i = 0; i < values.size(); ++i) {
      const double operand =
          op.operand < 0 ? 0 : BroadcastAt(inputs[static_cast<size_t>(op.operand)].tensor(), shape, static_cast<int64_t>(i));
      values[i] = ApplyPostOp(op, values[i], operand);
    }
  }
}

// A convolution with everything stated, summed in double, one output element at a time.
struct ConvCase {
  int64_t n = 1, groups = 1, ic = 1, oc = 1;
  std::vector<int64_t> in, kernel, strides, dilations, pads;  // pads: begins, then ends
  bool bias = false;

  size_t axes() const { return in.size(); }
  std::vector<int64_t> out() const {
    std::vector<int64_t> result;
    for (size_t i = 0; i < axes(); ++i) {
      result.push_back((in[i] + pads[i] + pads[axes() + i] - ((kernel[i] - 1) * dilations[i] + 1)) / strides[i] + 1);
    }
    return result;
  }
  Attrs attrs() const {
    return {{"strides", strides}, {"dilations", dilations}, {"pads", pads}, {"group", groups}, {"kernel_shape", kernel}};
  }
  static Shape With(Shape shape, const std::vector<int64_t>& spatial) {
    shape.insert(shape.end(), spatial.begin(), spatial.end());
    return shape;
  }
  Shape src_shape() const { return With({n, ic}, in); }
  Shape weights_shape() const { return With({oc, ic / groups}, kernel); }
  int64_t reduction() const { return ic / groups * NumElements(kernel); }
  std::string Describe() const {
    return "n " + std::to_string(n) + " groups " + std::to_string(groups) + " ic " + std::to_string(ic) + " oc " +
           std::to_string(oc) + " in " + ToString(in) + " kernel " + ToString(kernel) + " strides " +
           ToString(strides) + " dilations " + ToString(dilations) + " pads " + ToString(pads);
  }

  // In type T of inputs; src and weights are read as double.
  template <typename T>
  std::vector<double> Reference(const Tensor& src, const Tensor& weights, const Tensor& bias_tensor) const {
    const auto x = src.values<T>();
    const auto w = weights.values<T>();
    const std::vector<int64_t> o = out();
    const int64_t in_elems = NumElements(in), out_elems = NumElements(o), taps = NumElements(kernel);
    const int64_t icg = ic / groups, ocg = oc / groups;
    std::vector<double> result(static_cast<size_t>(n * oc * out_elems));
    std::vector<int64_t> source(static_cast<size_t>(taps));
    for (int64_t p = 0; p < out_elems; ++p) {
      for (int64_t t = 0; t < taps; ++t) {
        int64_t rest_p = p, rest_t = t, at = 0, step = 1;
        for (size_t i = axes(); i-- > 0;) {
          const int64_t position = rest_p % o[i] * strides[i] + rest_t % kernel[i] * dilations[i] - pads[i];
          rest_p /= o[i];
          rest_t /= kernel[i];
          if (position < 0 || position >= in[i]) at = -1;
          if (at >= 0) at += position * step;
          step *= in[i];
        }
        source[static_cast<size_t>(t)] = at;
      }
      for (int64_t image = 0; image < n; ++image) {
        for (int64_t c = 0; c < oc; ++c) {
          double sum = bias ? static_cast<double>(bias_tensor.values<T>()[static_cast<size_t>(c)]) : 0;
          for (int64_t k = 0; k < icg; ++k) {
            const int64_t plane = (image * ic + c / ocg * icg + k) * in_elems;
            for (int64_t t = 0; t < taps; ++t) {
              const int64_t at = source[static_cast<size_t>(t)];
              if (at < 0) continue;
              sum += static_cast<double>(x[static_cast<size_t>(plane + at)]) *
                     static_cast<double>(w[static_cast<size_t>((c * icg + k) * taps + t)]);
            }
          }
          result[static_cast<size_t>((image * oc + c) * out_elems + p)] = sum;
        }
      }
    }
    return result;
  }
};

inline Tensor FloatTensor(const Shape& shape, const std::vector<double>& values) {
  Tensor tensor(DataType::kFloat, shape);
  auto to = tensor.mutable_values<float>();
  for (size_t i = 0; i < values.size(); ++i) to[i] = static_cast<float>(values[i]);
  return tensor;
}

inline int64_t Draw(std::mt19937& engine, std::initializer_list<int64_t> choices) {
  return choices.begin()[engine() % choices.size()];
}

// Any small convolution: tails, groups, depthwise, one to three axes, every stride, dilation and pad.
inline ConvCase DrawConv(std::mt19937& engine) {
  ConvCase c;
  const size_t axes = static_cast<size_t>(Draw(engine, {1, 2, 2, 2, 3}));
  c.n = Draw(engine, {1, 1, 2, 3});
  c.bias = engine() % 2 == 0;
  const int64_t kind = Draw(engine, {0, 0, 0, 1, 2});
  if (kind == 0) {
    c.ic = Draw(engine, {1, 3, 5, 7, 16, 17, 19, 32, 33});
    c.oc = Draw(engine, {1, 3, 5, 7, 16, 17, 19, 32, 33});
  } else if (kind == 1) {
    c.groups = c.ic = c.oc = Draw(engine, {3, 8, 16, 17, 33, 40});
  } else {
    c.groups = Draw(engine, {2, 3, 4});
    c.ic = c.groups * Draw(engine, {1, 2, 3, 8, 16});
    c.oc = c.groups * Draw(engine, {1, 2, 5, 8, 16});
  }
  for (size_t i = 0; i < axes; ++i) {
    c.kernel.push_back(Draw(engine, {1, 1, 2, 3, 3, 3, 5}));
    c.strides.push_back(Draw(engine, {1, 1, 2, 3}));
    c.dilations.push_back(Draw(engine, {1, 1, 1, 2, 3}));
    const int64_t span = (c.kernel[i] - 1) * c.dilations[i] + 1;
    c.in.push_back(span + static_cast<int64_t>(engine() % (axes == 3 ? 5 : 14)));
  }
  for (size_t side = 0; side < 2; ++side) {
    for (size_t i = 0; i < axes; ++i) c.pads.push_back(static_cast<int64_t>(engine() % static_cast<unsigned>(c.kernel[i])));
  }
  return c;
}

}  // namespace sluice::test
