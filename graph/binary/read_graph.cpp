#include <algorithm>
#include <variant>

#include "graph/binary/graph_binary.h"
#include "graph/operator.h"
#include "graph/printable.h"
#include "graph/verify.h"

namespace sluice {
namespace {

constexpr uint64_t kDataTypes = static_cast<uint64_t>(DataType::kInt2) + 1;
constexpr uint64_t kPostOps = static_cast<uint64_t>(PostOp::Kind::kMul) + 1;

class GraphReader {
 public:
  GraphReader(ByteReader& from, const FindTensor& find, const OperatorLookup& lookup,
              std::vector<const Node*>& nodes, int depth)
      : from_(from), find_(find), lookup_(lookup), nodes_(nodes), depth_(depth) {
    if (depth > kMaxNesting)
      from_.Fail("graphs are nested too deeply, expected at most " + std::to_string(kMaxNesting));
  }

  std::unique_ptr<Graph> Read() {
    auto graph = std::make_unique<Graph>();
    for (std::string* text : {&graph->name, &graph->producer_name, &graph->producer_version, &graph->doc})
      *text = from_.Text();
    graph->ir_version = from_.Number<int64_t>();
    for (size_t left = from_.Count(16); left > 0; --left) {
      std::string domain = from_.Text();
      graph->opsets[std::move(domain)] = from_.Number<int64_t>();
    }
    for (size_t left = from_.Count(16); left > 0; --left) {
      std::string key = from_.Text();
      graph->metadata[std::move(key)] = from_.Text();
    }
    graph->by_rows = from_.Number<uint8_t>() != 0;
    for (size_t left = from_.Count(21); left > 0; --left) ReadValue(*graph);
    for (size_t left = from_.Count(60); left > 0; --left) ReadNode(*graph);
    graph->inputs = ReadIds(*graph, /*optional=*/false);
    graph->outputs = ReadIds(*graph, /*optional=*/false);
    return graph;
  }

 private:
  std::vector<ValueId> ReadIds(const Graph& graph, bool optional) {
    std::vector<ValueId> ids(from_.Count(4));
    for (ValueId& id : ids) {
      const auto number = from_.Number<int32_t>();
      if (number < (optional ? -1 : 0) || number >= static_cast<int64_t>(graph.num_values()))
        from_.Fail("a value that is used does not exist");
      id = static_cast<ValueId>(number);
    }
    return ids;
  }

  DataType ReadDataType() {
    return static_cast<DataType>(from_.Below<uint8_t>(kDataTypes, "an element type"));
  }

  ValueType ReadType() {
    ValueType type;
    type.dtype = ReadDataType();
    type.kind = static_cast<ValueType::Kind>(from_.Below<uint8_t>(4, "a kind of values"));
    type.key_type = ReadDataType();
    type.has_shape = from_.Flag();
    const size_t rank = from_.Count(16);
    for (size_t i = 0; i < rank; ++i) {
      const auto size = from_.Number<int64_t>();
      std::string symbol = from_.Text();
      if (size < -1 || (size >= 0 && !symbol.empty())) from_.Fail("a size is negative or has a name");
      type.shape.push_back(size >= 0 ? Dim(size) : symbol.empty() ? Dim() : Dim::Symbol(std::move(symbol)));
    }
    if (!type.has_shape && rank > 0) from_.Fail("a shape is there that is not known");
    return type;
  }

  void ReadValue(Graph& graph) {
    std::string name = from_.Text();
    ValueType type = ReadType();
    const ValueId id = graph.AddValue(std::move(name), std::move(type));
    if (!from_.Flag()) return;
    GraphValue& value = graph.value(id);
    value.constant = ReadTensor(/*may_lack_elements=*/depth_ == 0);
    if (value.constant.empty()) from_.Fail("a constant is no tensor");
  }

  Tensor ReadTensor(bool may_lack_elements) {
    const DataType type = ReadDataType();
    if (type == DataType::kUndefined) return {};
    Shape shape = from_.Numbers<int64_t>();
    int64_t bytes = 0;
    try {
      bytes = ByteSize(type, NumElements(shape));
    } catch (const Error& error) {
      from_.Fail(error.what());
    }
    if (type == DataType::kString) {
      // Each has its length at least.
      if (from_.Count(8) != static_cast<size_t>(NumElements(shape)))
        from_.Fail("strings do not fill their tensor");
      Tensor tensor(type, std::move(shape));
      for (std::string& text : tensor.mutable_values<std::string>()) text = from_.Text();
      return tensor;
    }
    if (bytes == 0) return Tensor(type, std::move(shape));
    return find_(from_.Number<uint32_t>(), type, std::move(shape), may_lack_elements);
  }

  void ReadNode(Graph& graph) {
    Node node;
    for (std::string* text : {&node.op_type, &node.domain, &node.name}) *text = from_.Text();
    node.since_version = from_.Number<int32_t>();
    Resolve(node);
    node.inputs = ReadIds(graph, /*optional=*/true);
    node.outputs = ReadIds(graph, /*optional=*/true);
    node.captures = from_.Number<int32_t>();
    if (node.captures < 0 || node.captures > static_cast<int64_t>(node.inputs.size()))
      from_.Fail("captures are out of range");
    for (size_t left = from_.Count(13); left > 0; --left) ReadPostOp(node);
    // Its place among the nodes comes before those of its nested graphs, which are read first.
    const size_t place = nodes_.size();
    nodes_.push_back(nullptr);
    for (size_t left = from_.Count(10); left > 0; --left) {
      std::string name = from_.Text();
      if (node.attrs.Has(name)) from_.Fail("attribute '" + Printable(name) + "' is there twice");
      node.attrs.Set(std::move(name), ReadAttribute());
    }
    nodes_[place] = &graph.node(graph.AddNode(std::move(node)));
  }

  void Resolve(Node& node) {
    const ResolvedOperator found = lookup_(node.domain, node.op_type, node.since_version);
    if (found.op == nullptr || found.since_version != node.since_version) {
      throw Error(ErrorCode::kUnsupported,
                  Describe(node) + ": no definition of version " + std::to_string(node.since_version));
    }
    node.op = found.op;
  }

  // Kernels rely on what the passes see to: who takes post-ops, and which of them have operands.
  void ReadPostOp(Node& node) {
    PostOp op;
    op.kind = static_cast<PostOp::Kind>(from_.Below<uint8_t>(kPostOps, "a post-op"));
    op.alpha = from_.Number<float>();
    op.beta = from_.Number<float>();
    op.operand = from_.Number<int32_t>();
    if (!node.op->takes_post_ops) from_.Fail(Describe(node) + " takes no post-ops");
    const bool binary =
        op.kind == PostOp::Kind::kPRelu || op.kind == PostOp::Kind::kAdd || op.kind == PostOp::Kind::kMul;
    const int64_t inputs = static_cast<int64_t>(node.inputs.size()) - node.captures;
    const bool fits = binary ? op.operand >= 0 && op.operand < inputs &&
                                   node.inputs[static_cast<size_t>(op.operand)] != ValueId::kNone
                             : op.operand == -1;
    if (!fits) from_.Fail(Describe(node) + ": a post-op's operand is out of range");
    node.post_ops.push_back(op);
  }

  Attribute ReadAttribute() {
    switch (from_.Number<uint8_t>()) {
      case 0:
        return from_.Number<int64_t>();
      case 1:
        return from_.Number<float>();
      case 2:
        return from_.Text();
      case 3:
        return from_.Numbers<int64_t>();
      case 4:
        return from_.Numbers<float>();
      case 5: {
        std::vector<std::string> texts(from_.Count(8));
        for (std::string& text : texts) text = from_.Text();
        return texts;
      }
      case 6:
        return ReadTensor(/*may_lack_elements=*/false);
      case 7: {
        std::vector<Tensor> tensors(from_.Count(1));
        for (Tensor& tensor : tensors) tensor = ReadTensor(/*may_lack_elements=*/false);
        return tensors;
      }
      case 8:
        return std::shared_ptr<Graph>(GraphReader(from_, find_, lookup_, nodes_, depth_ + 1).Read());
      default:
        from_.Fail("an attribute has no type");
    }
  }

  ByteReader& from_;
  const FindTensor& find_;
  const OperatorLookup& lookup_;
  std::vector<const Node*>& nodes_;
  const int depth_;
};

static_assert(std::variant_size_v<Attribute> == 9, "attributes are read by their place in the variant");

}  // namespace

std::unique_ptr<Graph> ReadGraph(ByteReader& from, const FindTensor& find, const OperatorLookup& lookup,
                                 std::vector<const Node*>& nodes) {
  std::unique_ptr<Graph> graph = GraphReader(from, find, lookup, nodes, 0).Read();
  Verify(*graph);
  return graph;
}

}  // namespace sluice
