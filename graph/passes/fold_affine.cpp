//   x --> Conv(w, b) --> BatchNormalization --> y       becomes       x --> Conv(w', b') --> y
//   x --> Mul(c) --> Conv(w, b) --> y                   becomes       x --> Conv(w', b') --> y
//
// and likewise Mul, Div, Add and Sub by constants, for Conv, ConvTranspose, Gemm and MatMul with constant
// weights: everything that is channel by channel y[c] = scale[c] * x[c] + shift[c]. In front of a convolution
// that pads, only a scale folds: the zeros of the padding would have to be shifted as well.

#include <algorithm>
#include <cmath>

#include "graph/late_products.h"
#include "graph/passes/match.h"
#include "graph/passes/passes.h"
#include "graph/passes/rewrite.h"

namespace sluice {
namespace {

using Numbers = std::vector<double>;

constexpr int kMulVersion = 7;  // the first that broadcasts as all do since

void Multiply(Numbers& factors, const Numbers& by) {
  if (factors.empty()) factors.assign(by.size(), 1);
  for (size_t i = 0; i < factors.size(); ++i) factors[i] *= by[i];
}

struct Affine {
  Numbers scale, shift;
  bool shifts = false;
};

// Weights of a linear operator: output channel o reads input channel i through the elements that At() lists.
class Linear {
 public:
  // Nothing unless the node is one of them, with constant float weights and bias.
  static std::optional<Linear> Of(const Graph& graph, const PassContext& ctx, NodeId id);

  int64_t inputs = 0, outputs = 0;  // channels
  size_t input_axis = 0, output_axis = 0, rank = 0;
  bool pads = false;  // zeros enter beside the input's values
  bool takes_bias = false;

  void ScaleOutputs(const Affine& affine);
  void ScaleInputs(const Affine& affine);
  void Store(Graph& graph, const PassContext& ctx, NodeId id) const;

 private:
  // Calls fn(output channel, input channel, element of weights) for rows [begin, end) of the weights.
  template <typename Fn>
  void EachWeight(int64_t begin, int64_t end, Fn fn) const;
  // Calls fn(weights), a span of float or double.
  template <typename Fn>
  void WithWeights(Fn fn) const;
  double Factor(size_t output, size_t input) const {
    return (output_factors_.empty() ? 1 : output_factors_[output]) *
           (input_factors_.empty() ? 1 : input_factors_[input]);
  }
  // The weights times their factors, in double.
  Tensor Product(const PassContext& ctx) const;
  // Takes over those of a late product; false where they do not go with the node's channels.
  bool TakeFactors(const Tensor& factors);
  // The factors as such a product has them; empty where they vary along both axes or with the group, or the
  // weights are not of float.
  Tensor FactorsBeside(const PassContext& ctx) const;

  ValueId source_ = ValueId::kNone;         // the constant that the weights are
  Tensor weights_;                          // float as they are, other types in double
  Numbers output_factors_, input_factors_;  // what they are multiplied by, for each channel; empty: 1
  Numbers bias_;
  Shape weights_shape_;
  DataType dtype_ = DataType::kUndefined;
  bool inputs_first_ = false;  // [inputs, outputs / groups, taps], else [outputs, inputs / groups, taps]
  int64_t groups_ = 1, taps_ = 1;
  bool is_gemm_ = false;
};

std::optional<Linear> Linear::Of(const Graph& graph, const PassContext& ctx, NodeId id) {
  const Node& node = graph.node(id);
  Linear result;
  const bool conv = IsOp(node, "Conv"), transposed = IsOp(node, "ConvTranspose"),
             matmul = IsOp(node, "MatMul");
  result.is_gemm_ = IsOp(node, "Gemm");
  if (!conv && !transposed && !matmul && !result.is_gemm_) return std::nullopt;
  const auto rank = RankOf(graph, node.inputs[0]);
  if (!rank) return std::nullopt;
  result.source_ = node.inputs[1];
  const NodeId product = graph.value(result.source_).producer;
  const bool late = ctx.late_products && product != NodeId::kNone && IsLateProduct(graph, product);
  if (late) result.source_ = graph.node(product).inputs[0];
  if (!graph.IsConstant(result.source_)) return std::nullopt;
  const Tensor& weights = graph.value(result.source_).constant;
  result.weights_shape_ = weights.shape();
  result.dtype_ = weights.dtype();
  result.rank = *rank;
  result.takes_bias = !matmul;
  const Shape& shape = weights.shape();
  if (conv || transposed) {
    if (shape.size() < 3 || shape.size() != *rank) return std::nullopt;
    result.groups_ = node.attrs.Int("group", 1);
    for (size_t i = 2; i < shape.size(); ++i) result.taps_ *= shape[i];
    result.inputs_first_ = transposed;
    result.input_axis = result.output_axis = 1;
    result.outputs = conv ? shape[0] : shape[1] * result.groups_;
    result.inputs = conv ? shape[1] * result.groups_ : shape[0];
    if (result.groups_ < 1 || shape[0] % result.groups_ != 0) return std::nullopt;
    const std::string auto_pad = node.attrs.String("auto_pad", "NOTSET");
    result.pads = transposed || (auto_pad != "NOTSET" && auto_pad != "VALID");
    for (int64_t pad : node.attrs.Ints("pads", {})) result.pads |= pad != 0;
  } else {
    if (shape.size() != 2 || *rank < 2) return std::nullopt;
    if (result.is_gemm_ && (node.attrs.Int("transA", 0) != 0 || node.attrs.Float("alpha", 1) != 1 ||
                            node.attrs.Float("beta", 1) != 1)) {
      return std::nullopt;
    }
    result.inputs_first_ = !result.is_gemm_ || node.attrs.Int("transB", 0) == 0;
    result.inputs = result.inputs_first_ ? shape[0] : shape[1];
    result.outputs = result.inputs_first_ ? shape[1] : shape[0];
    result.input_axis = result.output_axis = *rank - 1;
  }
  const ValueId bias = InputOf(node, 2);
  if (bias == ValueId::kNone) {
    result.bias_.assign(static_cast<size_t>(result.outputs), 0);
  } else {
    const auto values = ConstantAlong(graph, ctx, bias, 2, 1, result.outputs);
    if (!values || (!result.is_gemm_ && graph.value(bias).constant.rank() != 1)) return std::nullopt;
    result.bias_ = *values;
  }
  if (!IsFloatType(result.dtype_)) return std::nullopt;
  result.weights_ =
      result.dtype_ == DataType::kFloat ? weights : ConvertTensor(ctx, weights, DataType::kDouble);
  if (result.weights_.empty()) return std::nullopt;
  if (late && !result.TakeFactors(graph.value(graph.node(product).inputs[1]).constant)) return std::nullopt;
  return result;
}

template <typename Fn>
void Linear::EachWeight(int64_t begin, int64_t end, Fn fn) const {
  const int64_t cols = weights_shape_[1], rows_per_group = weights_shape_[0] / groups_;
  for (int64_t r = begin; r < end; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      const int64_t far = r / rows_per_group * cols + c;  // the column's channel among all groups'
      for (int64_t t = 0; t < taps_; ++t) {
        const auto at = static_cast<size_t>((r * cols + c) * taps_ + t);
        if (inputs_first_)
          fn(static_cast<size_t>(far), static_cast<size_t>(r), at);
        else
          fn(static_cast<size_t>(r), static_cast<size_t>(far), at);
      }
    }
  }
}

template <typename Fn>
void Linear::WithWeights(Fn fn) const {
  if (weights_.dtype() == DataType::kFloat)
    fn(weights_.values<float>());
  else
    fn(weights_.values<double>());
}

Tensor Linear::Product(const PassContext& ctx) const {
  if (output_factors_.empty() && input_factors_.empty()) return weights_;
  Tensor product(weights_.dtype(), weights_shape_);
  // Enough to be worth a thread's start; new memory, whose pages come as they are written, is most of the
  // time.
  constexpr int64_t kPieceElems = 1 << 18;
  const int64_t rows = weights_shape_[0], row_elems = std::max<int64_t>(1, weights_shape_[1] * taps_);
  const int64_t rows_per_piece = std::max<int64_t>(1, kPieceElems / row_elems);
  const int64_t pieces = (rows + rows_per_piece - 1) / rows_per_piece;
  WithWeights([&](auto weights) {
    using T = std::remove_const_t<typename decltype(weights)::element_type>;
    T* const to = product.mutable_values<T>().data();
    const auto multiply = [&](int64_t piece) {
      const int64_t begin = piece * rows_per_piece, end = std::min(rows, begin + rows_per_piece);
      EachWeight(begin, end, [&](size_t output, size_t input, size_t at) {
        to[at] = static_cast<T>(static_cast<double>(weights[at]) * Factor(output, input));
      });
    };
    if (ctx.for_each && pieces > 1) {
      ctx.for_each(pieces, multiply);
    } else {
      for (int64_t piece = 0; piece < pieces; ++piece) multiply(piece);
    }
  });
  return product;
}

void Linear::ScaleOutputs(const Affine& affine) {
  Multiply(output_factors_, affine.scale);
  for (size_t i = 0; i < bias_.size(); ++i) bias_[i] = bias_[i] * affine.scale[i] + affine.shift[i];
}

void Linear::ScaleInputs(const Affine& affine) {
  if (affine.shifts) {
    WithWeights([&](auto weights) {
      EachWeight(0, weights_shape_[0], [&](size_t output, size_t input, size_t at) {
        bias_[output] += static_cast<double>(weights[at]) * Factor(output, input) * affine.shift[input];
      });
    });
  }
  Multiply(input_factors_, affine.scale);
}

bool Linear::TakeFactors(const Tensor& factors) {
  const bool along_rows = factors.shape()[0] == weights_shape_[0] && factors.shape()[1] == 1;
  Numbers& side = along_rows == inputs_first_ ? input_factors_ : output_factors_;
  // Those along the second axis are the same for all groups.
  const auto count = static_cast<size_t>(along_rows == inputs_first_ ? inputs : outputs);
  const auto values = factors.values<float>();
  if (values.size() != count) return false;
  side.assign(values.begin(), values.end());
  return true;
}

Tensor Linear::FactorsBeside(const PassContext& ctx) const {
  const bool by_output = !output_factors_.empty();
  if (dtype_ != DataType::kFloat || by_output == !input_factors_.empty()) return {};
  const bool along_rows = by_output != inputs_first_;
  if (!along_rows && groups_ > 1) return {};
  Shape shape(weights_shape_.size(), 1);
  shape[along_rows ? 0 : 1] = weights_shape_[along_rows ? 0 : 1];
  return FloatTensor(ctx, DataType::kFloat, shape, by_output ? output_factors_ : input_factors_);
}

void Linear::Store(Graph& graph, const PassContext& ctx, NodeId id) const {
  const ValueId old = graph.node(id).inputs[1];
  const NodeId product = graph.value(old).producer;
  const std::string name = graph.value(old).name;
  if (const Tensor factors = ctx.late_products ? FactorsBeside(ctx) : Tensor(); !factors.empty()) {
    const ValueId beside = graph.AddConstant(name + "/factors", factors);
    graph.SetInput(id, 1, AddOp(graph, MakeOp("Mul", kMulVersion, {source_, beside}), name));
  } else {
    graph.SetInput(id, 1, graph.AddConstant(name, ConvertTensor(ctx, Product(ctx), dtype_)));
    // Not kept until the graph is compacted: weights are most of a model.
    if (graph.value(source_).users.empty() && !graph.IsOutput(source_)) graph.value(source_).constant = {};
  }
  if (product != NodeId::kNone) RemoveUnused(graph, product);
  if (!takes_bias) return;
  SetOptionalInput(graph, id, 2,
                   graph.AddConstant(name + "/bias", FloatTensor(ctx, dtype_, {outputs}, bias_)));
}

class Folding {
 public:
  Folding(Graph& graph, PassContext& ctx) : graph_(graph), ctx_(ctx) {}

  // Into the producer of x.
  bool FoldAfter(NodeId id) {
    const Node& node = graph_.node(id);
    const auto x = Source(node);
    if (!x) return false;
    const NodeId producer = ExclusiveProducer(graph_, *x);
    if (producer == NodeId::kNone) return false;
    auto linear = Linear::Of(graph_, ctx_, producer);
    if (!linear) return false;
    const auto affine = AffineOf(node, *x, linear->rank, linear->output_axis, linear->outputs);
    if (!affine) return false;
    const Node& target = graph_.node(producer);
    if (affine->shifts && !linear->takes_bias) {
      ctx_.Kept(graph_, node, "the " + target.op_type + " before it has no bias to take the shift");
      return false;
    }
    linear->ScaleOutputs(*affine);
    ctx_.Applied(graph_, node, "folded into the weights of " + Describe(target, graph_.value(*x).name));
    linear->Store(graph_, ctx_, producer);
    Absorb(graph_, id, *x);
    return true;
  }

  // Into the only user of y.
  bool FoldBefore(NodeId id) {
    const Node& node = graph_.node(id);
    const auto x = Source(node);
    if (!x) return false;
    const NodeId user = graph_.SingleUser(node.outputs[0]);
    if (user == NodeId::kNone || graph_.node(user).inputs[0] != node.outputs[0]) return false;
    auto linear = Linear::Of(graph_, ctx_, user);
    if (!linear) return false;
    const ValueType& type = graph_.value(*x).type;
    if (!type.has_shape || type.shape.size() != linear->rank ||
        !type.shape[linear->input_axis].is(linear->inputs)) {
      return false;
    }
    const auto affine = AffineOf(node, *x, linear->rank, linear->input_axis, linear->inputs);
    if (!affine) return false;
    const Node& target = graph_.node(user);
    const std::string place = Describe(target, graph_.value(target.outputs[0]).name);
    if (affine->shifts && (linear->pads || !linear->takes_bias)) {
      ctx_.Kept(graph_, node,
                "its shift does not fold into " + place + ", which " +
                    (linear->pads ? "pads its input with zeros" : "has no bias"));
      return false;
    }
    linear->ScaleInputs(*affine);
    ctx_.Applied(graph_, node, "folded into the weights of " + place);
    linear->Store(graph_, ctx_, user);
    Bypass(graph_, id, *x);
    return true;
  }

 private:
  // The input that is no constant of an operator that may be channel-wise affine.
  std::optional<ValueId> Source(const Node& node) const {
    if (IsOp(node, "BatchNormalization")) return node.inputs[0];
    if (!IsOp(node, "Mul") && !IsOp(node, "Add") && !IsOp(node, "Sub") && !IsOp(node, "Div"))
      return std::nullopt;
    if (graph_.IsConstant(node.inputs[1])) return node.inputs[0];
    if (graph_.IsConstant(node.inputs[0]) && node.op_type != "Div") return node.inputs[1];
    return std::nullopt;
  }

  std::optional<Affine> AffineOf(const Node& node, ValueId x, size_t rank, size_t axis, int64_t channels) {
    const auto values = [&](ValueId id) { return ConstantAlong(graph_, ctx_, id, rank, axis, channels); };
    Affine affine;
    const auto count = static_cast<size_t>(channels);
    if (node.op_type == "BatchNormalization") {
      if (axis != 1 || node.attrs.Int("spatial", 1) == 0 || node.attrs.Int("training_mode", 0) != 0 ||
          !OnlyFirstOutputUsed(graph_, node)) {
        return std::nullopt;
      }
      std::vector<Numbers> of;
      for (size_t i = 1; i < 5; ++i) {
        auto parameter = ConstantFloats(graph_, ctx_, InputOf(node, i));
        if (!parameter || parameter->size() != count) return std::nullopt;
        of.push_back(std::move(*parameter));
      }
      const double epsilon = static_cast<double>(node.attrs.Float("epsilon", 1e-5f));
      affine.shifts = true;
      for (size_t i = 0; i < count; ++i) {
        affine.scale.push_back(of[0][i] / std::sqrt(of[3][i] + epsilon));
        affine.shift.push_back(of[1][i] - of[2][i] * affine.scale.back());
      }
    } else {
      // An old Add with `axis` aligns its second operand in another way.
      if (node.attrs.Has("axis")) return std::nullopt;
      const bool first = node.inputs[0] == x;
      const auto operand = values(first ? node.inputs[1] : node.inputs[0]);
      if (!operand) return std::nullopt;
      for (double value : *operand) {
        const std::string& op = node.op_type;
        affine.scale.push_back(op == "Mul"             ? value
                               : op == "Div"           ? 1 / value
                               : op == "Sub" && !first ? -1
                                                       : 1);
        affine.shift.push_back(op == "Add" ? value : op == "Sub" ? (first ? -value : value) : 0);
      }
      affine.shifts = node.op_type == "Add" || node.op_type == "Sub";
    }
    for (size_t i = 0; i < count; ++i) {
      if (std::isfinite(affine.scale[i]) && std::isfinite(affine.shift[i])) continue;
      ctx_.Kept(graph_, node, "its factor for channel " + std::to_string(i) + " is not finite");
      return std::nullopt;
    }
    return affine;
  }

  Graph& graph_;
  PassContext& ctx_;
};

bool Run(Graph& graph, PassContext& ctx) {
  Folding folding(graph, ctx);
  bool changed = false;
  for (NodeId id : graph.TopologicalOrder()) {
    if (graph.alive(id)) changed |= folding.FoldAfter(id);
  }
  // From the last, so that the one before meets the same operator.
  const std::vector<NodeId> order = graph.TopologicalOrder();
  for (size_t i = order.size(); i-- > 0;) {
    if (graph.alive(order[i])) changed |= folding.FoldBefore(order[i]);
  }
  return changed;
}

}  // namespace

const Pass kFoldAffine = {"fold-affine",
                          "folds BatchNormalization and constant factors and terms into weights", Run};

}  // namespace sluice
