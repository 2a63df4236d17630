#pragma once

#include <gtest/gtest.h>

#include <cctype>
#include <cmath>
#include <map>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "graph/infer.h"
#include "graph/operator.h"
#include "graph/verify.h"
#include "kernels/half.h"

namespace sluice::test {

// Graphs as text, one statement a line or so:
//
//   opset 11                                     17 unless stated
//   x: float [N, 3, 8, ?]                        an input
//   w = const [4, 3, 3, 3]                       float elements from a normal distribution
//   b = const [4] {1, 2, 3, 4}                   stated elements; also "const int64 [2] {0, -1}"
//   y = Conv(x, w, b) {pads: [1, 1, 1, 1]}       several outputs: "a, b = Split(x)"
//   z = Add(y, 0.5) + Relu                       numbers are float scalars, [1, 2] an int64 list, _ is
//   absent;
//                                                post-ops after +, those with an operand as Mul(b)
//   return z
class GraphParser {
 public:
  explicit GraphParser(std::string text) : text_(std::move(text)) {}

  std::unique_ptr<Graph> Parse() {
    graph_ = std::make_unique<Graph>();
    graph_->opsets[""] = 17;
    for (Skip(); at_ < text_.size(); Skip()) Statement();
    InferShapes(*graph_);
    Verify(*graph_);
    return std::move(graph_);
  }

 private:
  [[noreturn]] void Fail(const std::string& what) const {
    throw std::runtime_error("graph text: " + what + " at '" + text_.substr(at_, 30) + "'");
  }
  char Peek() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  void Skip() { Peek(); }
  bool Accept(char c) {
    if (Peek() != c) return false;
    ++at_;
    return true;
  }
  void Expect(char c) {
    if (!Accept(c)) Fail(std::string("expected '") + c + "'");
  }
  bool AtNumber() {
    const char c = Peek();
    return std::isdigit(static_cast<unsigned char>(c)) || c == '-' || text_.compare(at_, 3, "inf") == 0;
  }
  std::string Word() {
    Skip();
    const size_t begin = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_'))
      ++at_;
    if (begin == at_) Fail("expected a word");
    return text_.substr(begin, at_ - begin);
  }
  // `is_int`: it was written as an integer.
  double Number(bool* is_int = nullptr) {
    Skip();
    size_t length = 0;
    const std::string rest = text_.substr(at_, 40);
    const double value = std::stod(rest, &length);
    if (is_int) *is_int = rest.substr(0, length).find_first_of(".einf") == std::string::npos;
    at_ += length;
    return value;
  }
  template <typename Fn>
  void List(char open, char close, Fn item) {
    Expect(open);
    if (Accept(close)) return;
    do {
      item();
    } while (Accept(','));
    Expect(close);
  }
  std::vector<double> Numbers(char open, char close, bool* all_int = nullptr) {
    std::vector<double> values;
    if (all_int) *all_int = true;
    List(open, close, [&] {
      bool is_int = false;
      values.push_back(Number(&is_int));
      if (all_int) *all_int &= is_int;
    });
    return values;
  }

  static DataType TypeNamed(const std::string& name) {
    for (int i = 1; i < 20; ++i) {
      if (DataTypeName(static_cast<DataType>(i)) == name) return static_cast<DataType>(i);
    }
    return DataType::kUndefined;
  }

  void Statement() {
    std::vector<std::string> names = {Word()};
    if (names[0] == "opset") {
      graph_->opsets[""] = static_cast<int64_t>(Number());
      return;
    }
    if (names[0] == "return") {
      do {
        graph_->outputs.push_back(Find(Word()));
      } while (Accept(','));
      return;
    }
    if (Accept(':')) return Input(names[0]);
    while (Accept(',')) names.push_back(Word());
    Expect('=');
    const std::string op = Word();
    if (op == "const") return Constant(names[0]);
    Use(op, names);
  }

  void Input(const std::string& name) {
    const DataType dtype = TypeNamed(Word());
    SymShape shape;
    List('[', ']', [&] {
      if (Accept('?'))
        shape.push_back(Dim());
      else if (AtNumber())
        shape.push_back(static_cast<int64_t>(Number()));
      else
        shape.push_back(Dim::Symbol(Word()));
    });
    values_[name] = graph_->AddValue(name, ValueType::Of(dtype, shape));
    graph_->inputs.push_back(values_[name]);
  }

  void Constant(const std::string& name) {
    const DataType dtype =
        std::isalpha(static_cast<unsigned char>(Peek())) ? TypeNamed(Word()) : DataType::kFloat;
    Shape shape;
    if (Peek() == '[') {
      for (double size : Numbers('[', ']')) shape.push_back(static_cast<int64_t>(size));
    }
    std::vector<double> values;
    if (Peek() == '{') {
      values = Numbers('{', '}');
    } else {
      std::mt19937 engine(static_cast<uint32_t>(std::hash<std::string>()(name)));
      std::normal_distribution<double> normal;
      for (int64_t i = 0; i < NumElements(shape); ++i) values.push_back(normal(engine));
    }
    values_[name] = graph_->AddConstant(name, TensorOf(dtype, shape, values));
  }

  static Tensor TensorOf(DataType dtype, const Shape& shape, const std::vector<double>& values) {
    const auto as = [&]<typename T>(T) {
      Tensor tensor(dtype, shape);
      CheckElementCount(shape, values.size());
      std::transform(values.begin(), values.end(), tensor.mutable_values<T>().begin(),
                     [](double value) { return static_cast<T>(value); });
      return tensor;
    };
    switch (dtype) {
      case DataType::kFloat:
        return as(float());
      case DataType::kDouble:
        return as(double());
      case DataType::kFloat16:
        return as(Half());
      case DataType::kInt32:
        return as(int32_t());
      case DataType::kInt64:
        return as(int64_t());
      case DataType::kBool:
        return as(bool());
      default:
        throw std::runtime_error("graph text: no constants of this type");
    }
  }

  ValueId Find(const std::string& name) const {
    const auto found = values_.find(name);
    if (found == values_.end()) Fail("no value " + name);
    return found->second;
  }

  ValueId Argument() {
    if (AtNumber()) return graph_->AddConstant("number", Tensor::Scalar(static_cast<float>(Number())));
    if (Peek() == '[') {
      std::vector<int64_t> values;
      for (double value : Numbers('[', ']')) values.push_back(static_cast<int64_t>(value));
      const Shape shape = {static_cast<int64_t>(values.size())};
      return graph_->AddConstant("list", Tensor::From<int64_t>(shape, std::span<const int64_t>(values)));
    }
    const std::string name = Word();
    return name == "_" ? ValueId::kNone : Find(name);
  }

  void Use(const std::string& op, const std::vector<std::string>& names) {
    Node node;
    node.op_type = op;
    int64_t opset = graph_->opsets[""];
    // Operators newer than the graph, as passes put them in.
    if (FindOperator("", op, opset).op == nullptr) opset = 99;
    const ResolvedOperator found = FindOperator("", op, opset);
    if (found.op == nullptr) Fail("no operator " + op);
    node.op = found.op;
    node.since_version = found.since_version;
    List('(', ')', [&] { node.inputs.push_back(Argument()); });
    if (Peek() == '{') {
      List('{', '}', [&] {
        const std::string name = Word();
        Expect(':');
        node.attrs.Set(name, AttributeValue());
      });
    }
    while (Accept('+')) node.post_ops.push_back(ParsePostOp(node));
    for (const std::string& name : names) node.outputs.push_back(values_[name] = graph_->AddValue(name));
    graph_->AddNode(std::move(node));
  }

  Attribute AttributeValue() {
    bool is_int = false;
    if (Peek() == '[') {
      const std::vector<double> values = Numbers('[', ']', &is_int);
      if (is_int) return std::vector<int64_t>(values.begin(), values.end());
      return std::vector<float>(values.begin(), values.end());
    }
    if (!AtNumber()) return Word();
    const double value = Number(&is_int);
    if (is_int) return static_cast<int64_t>(value);
    return static_cast<float>(value);
  }

  PostOp ParsePostOp(Node& node) {
    const std::string name = Word();
    PostOp op{};
    int kind = 0;
    while (PostOpName(static_cast<PostOp::Kind>(kind)) != name) {
      if (++kind > static_cast<int>(PostOp::Kind::kMul)) Fail("no post-op " + name);
    }
    op.kind = static_cast<PostOp::Kind>(kind);
    if (op.kind >= PostOp::Kind::kPRelu) {
      Expect('(');
      while (op.operand < 0 && node.post_ops.empty() && node.op->max_inputs < 8 &&
             static_cast<int>(node.inputs.size()) < node.op->max_inputs) {
        node.inputs.push_back(ValueId::kNone);
      }
      op.operand = static_cast<int>(node.inputs.size());
      node.inputs.push_back(Argument());
      Expect(')');
    } else if (Accept('(')) {
      op.alpha = static_cast<float>(Number());
      if (Accept(',')) op.beta = static_cast<float>(Number());
      Expect(')');
    }
    return op;
  }

  std::string text_;
  size_t at_ = 0;
  std::unique_ptr<Graph> graph_;
  std::map<std::string, ValueId> values_;
};

inline std::unique_ptr<Graph> ParseGraph(const std::string& text) { return GraphParser(text).Parse(); }

// A node a line, in an order and with names that depend on the structure alone; constants by shape, single
// floats and short lists by value.
class GraphPrinter {
 public:
  explicit GraphPrinter(const Graph& graph) : graph_(graph) {}

  std::string Print() {
    for (ValueId id : graph_.inputs) names_[id] = graph_.value(id).name;
    std::string text;
    for (NodeId id : graph_.TopologicalOrder()) text += PrintNode(graph_.node(id)) + "\n";
    text += "return";
    for (ValueId id : graph_.outputs) text.append(" ").append(NameOf(id));
    return text;
  }

 private:
  static std::string Short(double value) {
    char text[40];
    std::snprintf(text, sizeof text, "%.5g", value);
    return text;
  }

  std::string NameOf(ValueId id) {
    if (id == ValueId::kNone) return "_";
    if (!graph_.IsConstant(id)) return names_[id];
    const Tensor& tensor = graph_.value(id).constant;
    if (tensor.dtype() == DataType::kFloat && tensor.num_elements() == 1)
      return Short(tensor.values<float>()[0]);
    if (tensor.dtype() == DataType::kInt64 && tensor.num_elements() <= 8)
      return ToString(tensor.values<int64_t>());
    return "const" + ToString(tensor.shape());
  }

  std::string PrintAttribute(const Attribute& attribute) const {
    return std::visit(
        [](const auto& value) -> std::string {
          using T = std::decay_t<decltype(value)>;
          if constexpr (std::is_same_v<T, int64_t>)
            return std::to_string(value);
          else if constexpr (std::is_same_v<T, float>)
            return Short(static_cast<double>(value));
          else if constexpr (std::is_same_v<T, std::string>)
            return value;
          else if constexpr (std::is_same_v<T, std::vector<int64_t>>)
            return ToString(value);
          else
            return "...";
        },
        attribute);
  }

  std::string PrintNode(const Node& node) {
    std::string outputs, inputs, attrs;
    for (ValueId output : node.outputs) {
      if (output != ValueId::kNone) names_[output] = std::string("%").append(std::to_string(count_++));
      outputs += (outputs.empty() ? "" : ", ") + NameOf(output);
    }
    size_t own = node.inputs.size();
    for (const PostOp& op : node.post_ops) {
      if (op.operand >= 0) own = std::min(own, static_cast<size_t>(op.operand));
    }
    while (own > 0 && node.inputs[own - 1] == ValueId::kNone) --own;
    for (size_t i = 0; i < own; ++i) inputs += (i ? ", " : "") + NameOf(node.inputs[i]);
    for (const auto& [name, attribute] : node.attrs.all()) {
      attrs += (attrs.empty() ? " {" : ", ") + name + ": " + PrintAttribute(attribute);
    }
    if (!attrs.empty()) attrs += "}";
    std::string text = outputs + " = " + node.op_type + "(" + inputs + ")" + attrs;
    for (const PostOp& op : node.post_ops) {
      text.append(" + ").append(ToString(op));
      if (op.operand >= 0)
        text.append("(").append(NameOf(node.inputs[static_cast<size_t>(op.operand)])).append(")");
    }
    return text;
  }

  const Graph& graph_;
  std::map<ValueId, std::string> names_;
  int count_ = 0;
};

inline std::string PrintGraph(const Graph& graph) { return GraphPrinter(graph).Print(); }

}  // namespace sluice::test
