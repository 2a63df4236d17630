#include "graph/passes/activation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "graph/passes/match.h"
#include "graph/passes/rewrite.h"

namespace sluice {
namespace {

using Fn = RealFunction::Fn;
using Result = RealFunction::Result;

// The longest spelling known, of tanh-GELU, has 9 nodes; a few constants may be beside them.
constexpr size_t kMaxNodes = 16;
// float16's numbers are this far from what they stand for.
constexpr double kHalfTolerance = 2e-3, kFloatTolerance = 2e-6;

// Reads nodes as functions of the value x.
class Reader {
 public:
  // `reached` bounds how far nodes are followed.
  Reader(const Graph& graph, const PassContext& ctx, ValueId x, const std::vector<ValueId>& reached)
      : graph_(graph), ctx_(ctx), x_(x), type_(graph.value(x).type), reached_(reached) {}

  // Nothing where `value` is not computed from x and numbers alone.
  Result FunctionOf(ValueId value) {
    if (value == x_) return RealFunction::X();
    if (value == ValueId::kNone) return std::nullopt;
    if (const auto known = functions_.find(value); known != functions_.end()) return known->second;
    Result result;
    if (graph_.IsConstant(value)) {
      if (const auto number = Number(value)) result = RealFunction::Constant(*number);
    } else if (Reached(value)) {
      const Node& node = graph_.node(graph_.value(value).producer);
      const auto rule = Rules().find(node.op_type);
      if (rule != Rules().end() && IsOp(node, node.op_type) && node.outputs[0] == value &&
          !node.attrs.Has("axis")) {
        result = (this->*rule->second)(node);
      }
    }
    functions_[value] = result;
    return result;
  }

  static bool Knows(const Node& node) {
    return IsOp(node, node.op_type) && (Rules().contains(node.op_type) || IsCondition(node));
  }

  // The nodes between x and `value`.
  std::vector<NodeId> NodesOf(ValueId value) const {
    std::vector<NodeId> nodes;
    std::vector<ValueId> todo = {value};
    while (!todo.empty()) {
      const ValueId next = todo.back();
      todo.pop_back();
      if (next == x_ || next == ValueId::kNone || graph_.IsConstant(next)) continue;
      const NodeId producer = graph_.value(next).producer;
      if (std::find(nodes.begin(), nodes.end(), producer) != nodes.end()) continue;
      nodes.push_back(producer);
      const auto& inputs = graph_.node(producer).inputs;
      todo.insert(todo.end(), inputs.begin(), inputs.end());
    }
    return nodes;
  }

 private:
  using Rule = Result (Reader::*)(const Node&);

  bool Reached(ValueId value) const {
    return std::find(reached_.begin(), reached_.end(), value) != reached_.end();
  }

  static const std::map<std::string_view, Rule>& Rules() {
    static const std::map<std::string_view, Rule> rules = {{"Identity", &Reader::Same},
                                                           {"Neg", &Reader::Neg},
                                                           {"Abs", &Reader::Abs},
                                                           {"Relu", &Reader::Relu},
                                                           {"LeakyRelu", &Reader::Leaky},
                                                           {"PRelu", &Reader::PRelu},
                                                           {"Clip", &Reader::Clip},
                                                           {"HardSigmoid", &Reader::HardSigmoid},
                                                           {"HardSwish", &Reader::HardSwish},
                                                           {"Elu", &Reader::Elu},
                                                           {"Sigmoid", &Reader::Sigmoid},
                                                           {"Tanh", &Reader::Tanh},
                                                           {"Exp", &Reader::Exp},
                                                           {"Log", &Reader::Log},
                                                           {"Erf", &Reader::Erf},
                                                           {"Softplus", &Reader::Softplus},
                                                           {"Reciprocal", &Reader::Reciprocal},
                                                           {"Mish", &Reader::Mish},
                                                           {"Gelu", &Reader::Gelu},
                                                           {"Swish", &Reader::Swish},
                                                           {"Add", &Reader::Add},
                                                           {"Sum", &Reader::Add},
                                                           {"Sub", &Reader::Sub},
                                                           {"Mul", &Reader::Mul},
                                                           {"Div", &Reader::Div},
                                                           {"Pow", &Reader::Pow},
                                                           {"Max", &Reader::Max},
                                                           {"Min", &Reader::Min},
                                                           {"Where", &Reader::Where},
                                                           {"Cast", &Reader::Cast}};
    return rules;
  }

  static bool IsCondition(const Node& node) {
    static const std::set<std::string_view> kNames = {"Greater", "GreaterOrEqual", "Less", "LessOrEqual",
                                                      "Not"};
    return kNames.contains(node.op_type);
  }

  // A constant of equal elements that does not make x's shape grow.
  std::optional<double> Number(ValueId value) const {
    const GraphValue& constant = graph_.value(value);
    const DataType dtype = constant.constant.dtype();
    if (constant.constant.num_elements() != 1) return UniformNumber(value);
    const auto rank = RankOf(graph_, x_);
    if (constant.constant.rank() > static_cast<int64_t>(rank.value_or(0))) return std::nullopt;
    if (dtype == DataType::kInt32 || dtype == DataType::kInt64) {
      return static_cast<double>((*ConstantInts(graph_, value))[0]);
    }
    return ConstantScalar(graph_, ctx_, value);
  }

  std::optional<double> UniformNumber(ValueId value) const {
    if (!BroadcastsTo(graph_.value(value).type, type_)) return std::nullopt;
    const auto values = ConstantFloats(graph_, ctx_, value);
    if (!values || values->empty()) return std::nullopt;
    const auto other = [&](double v) { return v != (*values)[0]; };
    if (std::any_of(values->begin(), values->end(), other)) return std::nullopt;
    return (*values)[0];
  }

  Result In(const Node& node, size_t i) { return FunctionOf(InputOf(node, i)); }
  double Attr(const Node& node, std::string_view name, float fallback) const {
    return static_cast<double>(node.attrs.Float(name, fallback));
  }

  static Result Positive(const Result& x) {
    return x ? RealFunction::Max(*x, RealFunction::Constant(0)) : std::nullopt;
  }
  static Result Negative(const Result& x) {
    return x ? RealFunction::Min(*x, RealFunction::Constant(0)) : std::nullopt;
  }
  static Result Sum(const Result& a, const Result& b) {
    return a && b ? RealFunction::Add(*a, *b) : std::nullopt;
  }
  static Result Product(const Result& a, const Result& b) {
    return a && b ? RealFunction::Multiply(*a, *b) : std::nullopt;
  }
  static Result Times(const Result& a, double factor) {
    if (!a || !std::isfinite(factor)) return std::nullopt;
    return a->Scaled(factor);
  }
  static Result Plus(const Result& a, double term) {
    if (!a || !std::isfinite(term)) return std::nullopt;
    return a->Plus(term);
  }
  static Result Apply(Fn fn, const Result& a) { return a ? RealFunction::Apply(fn, *a) : std::nullopt; }
  static Result Bounded(Result x, double low, double high) {
    // Bounds beyond any float bound nothing.
    constexpr double kHuge = std::numeric_limits<float>::max();
    if (std::isnan(low) || std::isnan(high)) return std::nullopt;
    if (x && low > -kHuge) x = RealFunction::Max(*x, RealFunction::Constant(low));
    if (x && high < kHuge) x = RealFunction::Min(*x, RealFunction::Constant(high));
    return x;
  }
  static Result Gate(const Result& x, double slope, double offset) {
    return Bounded(Plus(Times(x, slope), offset), 0, 1);
  }

  Result Same(const Node& node) { return In(node, 0); }
  Result Neg(const Node& node) { return Times(In(node, 0), -1); }
  Result Abs(const Node& node) {
    const Result x = In(node, 0);
    return x ? RealFunction::Max(*x, x->Scaled(-1)) : std::nullopt;
  }
  Result Relu(const Node& node) { return Positive(In(node, 0)); }
  Result LeakyOf(const Result& x, double alpha) { return Sum(Positive(x), Times(Negative(x), alpha)); }
  Result Leaky(const Node& node) { return LeakyOf(In(node, 0), Attr(node, "alpha", 0.01f)); }
  Result PRelu(const Node& node) {
    const ValueId slope = InputOf(node, 1);
    const auto number = graph_.IsConstant(slope) ? Number(slope) : std::nullopt;
    return number ? LeakyOf(In(node, 0), *number) : std::nullopt;
  }
  Result Clip(const Node& node) {
    constexpr double kInf = std::numeric_limits<double>::infinity();
    double bounds[2] = {-kInf, kInf};
    for (size_t i = 0; i < 2; ++i) {
      const char* name = i == 0 ? "min" : "max";
      if (node.attrs.Has(name)) bounds[i] = Attr(node, name, 0);
      const ValueId bound = InputOf(node, 1 + i);
      if (bound == ValueId::kNone) continue;
      const auto number = graph_.IsConstant(bound) ? Number(bound) : std::nullopt;
      if (!number) return std::nullopt;
      bounds[i] = *number;
    }
    // With them crossed versions differ in what they do.
    return bounds[0] <= bounds[1] ? Bounded(In(node, 0), bounds[0], bounds[1]) : std::nullopt;
  }
  Result HardSigmoid(const Node& node) {
    return Gate(In(node, 0), Attr(node, "alpha", 0.2f), Attr(node, "beta", 0.5f));
  }
  Result HardSwish(const Node& node) {
    const Result x = In(node, 0);
    return Product(x, Gate(x, 1.0 / 6, 0.5));
  }
  Result Elu(const Node& node) {
    const Result x = In(node, 0);
    return Sum(Positive(x), Times(Plus(Apply(Fn::kExp, Negative(x)), -1), Attr(node, "alpha", 1)));
  }
  Result Sigmoid(const Node& node) { return Apply(Fn::kSigmoid, In(node, 0)); }
  Result Tanh(const Node& node) { return Apply(Fn::kTanh, In(node, 0)); }
  Result Exp(const Node& node) { return Apply(Fn::kExp, In(node, 0)); }
  Result Log(const Node& node) { return Apply(Fn::kLog, In(node, 0)); }
  Result Erf(const Node& node) { return Apply(Fn::kErf, In(node, 0)); }
  Result Softplus(const Node& node) { return Apply(Fn::kSoftplus, In(node, 0)); }
  Result Reciprocal(const Node& node) { return Apply(Fn::kReciprocal, In(node, 0)); }
  Result Mish(const Node& node) {
    const Result x = In(node, 0);
    return Product(x, Apply(Fn::kTanh, Apply(Fn::kSoftplus, x)));
  }
  Result Gelu(const Node& node) {
    const Result x = In(node, 0);
    Result inner = Times(x, std::sqrt(0.5));
    Fn fn = Fn::kErf;
    if (node.attrs.String("approximate", "none") == "tanh") {
      inner = Times(Sum(x, Times(Product(Product(x, x), x), 0.044715)), std::sqrt(2 / M_PI));
      fn = Fn::kTanh;
    }
    return Product(Times(x, 0.5), Plus(Apply(fn, inner), 1));
  }
  Result Swish(const Node& node) {
    const Result x = In(node, 0);
    return Product(x, Apply(Fn::kSigmoid, Times(x, Attr(node, "alpha", 1))));
  }
  Result Add(const Node& node) {
    Result total = In(node, 0);
    for (size_t i = 1; i < node.inputs.size(); ++i) total = Sum(total, In(node, i));
    return total;
  }
  Result Sub(const Node& node) { return Sum(In(node, 0), Times(In(node, 1), -1)); }
  Result Mul(const Node& node) { return Product(In(node, 0), In(node, 1)); }
  Result Div(const Node& node) { return Product(In(node, 0), Apply(Fn::kReciprocal, In(node, 1))); }
  Result Pow(const Node& node) {
    const ValueId exponent = InputOf(node, 1);
    const auto number = graph_.IsConstant(exponent) ? Number(exponent) : std::nullopt;
    const Result x = In(node, 0);
    if (!number) return std::nullopt;
    if (*number == 1) return x;
    if (*number == 2) return Product(x, x);
    return *number == 3 ? Product(Product(x, x), x) : std::nullopt;
  }
  Result Most(const Node& node, Result (*pick)(const RealFunction&, const RealFunction&)) {
    Result most = In(node, 0);
    for (size_t i = 1; i < node.inputs.size(); ++i) {
      const Result next = In(node, i);
      most = most && next ? pick(*most, *next) : std::nullopt;
    }
    return most;
  }
  Result Max(const Node& node) { return Most(node, RealFunction::Max); }
  Result Min(const Node& node) { return Most(node, RealFunction::Min); }
  Result Where(const Node& node) {
    const auto condition = ConditionOf(InputOf(node, 0));
    const Result a = In(node, 1), b = In(node, 2);
    return condition && a && b ? RealFunction::Select(*condition, *a, *b) : std::nullopt;
  }
  // Of a condition: 1 where it holds.
  Result Cast(const Node& node) {
    if (node.attrs.Int("to") != static_cast<int64_t>(type_.dtype)) return std::nullopt;
    const auto condition = ConditionOf(InputOf(node, 0));
    if (!condition) return std::nullopt;
    return RealFunction::Select(*condition, RealFunction::Constant(1), RealFunction::Constant(0));
  }

  std::optional<RealFunction::Condition> ConditionOf(ValueId value) {
    if (!Reached(value)) return std::nullopt;
    const Node& node = graph_.node(graph_.value(value).producer);
    if (!IsOp(node, node.op_type) || !IsCondition(node) || node.attrs.Has("axis")) return std::nullopt;
    if (node.op_type == "Not") {
      const auto condition = ConditionOf(node.inputs[0]);
      return condition ? std::optional(condition->Not()) : std::nullopt;
    }
    Result a = In(node, 0), b = In(node, 1);
    if (!a || !b) return std::nullopt;
    if (node.op_type.starts_with("Less")) std::swap(a, b);
    return RealFunction::Greater(*a, *b, node.op_type.ends_with("OrEqual"));
  }

  const Graph& graph_;
  const PassContext& ctx_;
  ValueId x_;
  const ValueType& type_;
  const std::vector<ValueId>& reached_;
  std::map<ValueId, Result> functions_;
};

// Results of nodes that Reader knows and that x reaches, nearest first.
std::vector<ValueId> ReachedFrom(const Graph& graph, ValueId x) {
  std::vector<ValueId> reached;
  std::vector<ValueId> todo = {x};
  for (size_t i = 0; i < todo.size() && reached.size() < kMaxNodes; ++i) {
    for (NodeId user : graph.value(todo[i]).users) {
      const Node& node = graph.node(user);
      if (!Reader::Knows(node) || std::find(todo.begin(), todo.end(), node.outputs[0]) != todo.end())
        continue;
      todo.push_back(node.outputs[0]);
      reached.push_back(node.outputs[0]);
    }
  }
  return reached;
}

}  // namespace

std::optional<Activation> FindActivation(const Graph& graph, const PassContext& ctx, ValueId x,
                                         const std::function<bool(const Activation&)>& wanted) {
  const DataType dtype = graph.value(x).type.dtype;
  // Post-ops keep their numbers as float.
  if (!IsFloatType(dtype) || dtype == DataType::kDouble) return std::nullopt;
  const bool half = dtype == DataType::kFloat16 || dtype == DataType::kBFloat16;
  const std::vector<ValueId> reached = ReachedFrom(graph, x);
  Reader reader(graph, ctx, x, reached);
  std::optional<Activation> best;
  for (ValueId result : reached) {
    const auto f = reader.FunctionOf(result);
    if (!f || graph.value(result).type.dtype != dtype) continue;
    auto ops = RecogniseFunction(*f, half ? kHalfTolerance : kFloatTolerance);
    if (!ops) continue;
    Activation found{result, std::move(*ops), reader.NodesOf(result)};
    if (best && found.nodes.size() <= best->nodes.size()) continue;
    const bool private_values = std::all_of(found.nodes.begin(), found.nodes.end(), [&](NodeId id) {
      const ValueId output = graph.node(id).outputs[0];
      if (output == result) return true;
      const auto& users = graph.value(output).users;
      return !graph.IsOutput(output) && std::all_of(users.begin(), users.end(), [&](NodeId user) {
        return std::find(found.nodes.begin(), found.nodes.end(), user) != found.nodes.end();
      });
    });
    if (private_values && wanted(found)) best = std::move(found);
  }
  return best;
}

}  // namespace sluice
