#include "tests/kernels/op_test_util.h"

// NonMaxSuppression, sequences, and If, Loop and Scan with runners that a test makes.

namespace sluice::test {
namespace {

TEST(NonMaxSuppression, DropsOverlaps) {
  const Tensor boxes = F({1, 3, 4}, {0, 0, 1, 1, 1, 1, 0, 0.1f, 0, 2, 1, 3}),
               scores = F({1, 1, 3}, {0.5f, 0.9f, 0.7f});
  ExpectTensor(
      RunOp({"NonMaxSuppression", 11, {}, {boxes, scores, I({1}, {3}), F({1}, {0.5f}), F({1}, {0})}})[0],
      I({2, 3}, {0, 0, 1, 0, 0, 2}));
  ExpectTensor(
      RunOp({"NonMaxSuppression", 11, {}, {boxes, scores, I({1}, {1}), F({1}, {0.5f}), F({1}, {0.8f})}})[0],
      I({1, 3}, {0, 0, 1}));
  ExpectTensor(RunOp({"NonMaxSuppression", 10, {}, {boxes, scores}})[0], I({0, 3}, {}));
  ExpectRefused({"NonMaxSuppression", 11, {}, {boxes, F({1, 1, 2}, {0, 0})}}, "expected [batch, n, 4]");
}

TEST(Sequence, BuildsAndTakesApart) {
  const Value two = RunOp({"SequenceConstruct", 11, {}, {I({1}, {1}), I({2}, {2, 3})}})[0];
  ExpectTensor(RunOp({"SequenceLength", 11, {}, {two}})[0], I({}, {2}));
  ExpectTensor(RunOp({"SequenceAt", 11, {}, {two, I({}, {-1})}})[0], I({2}, {2, 3}));
  ExpectTensor(RunOp({"ConcatFromSequence", 11, {{"axis", int64_t{0}}}, {two}})[0], I({3}, {1, 2, 3}));
  const Value three = RunOp({"SequenceInsert", 11, {}, {two, I({0}, {}), I({}, {0})}})[0];
  ASSERT_EQ(three.items().size(), 3u);
  EXPECT_EQ(three.items()[0].tensor().num_elements(), 0);
  EXPECT_EQ(RunOp({"SequenceErase", 11, {}, {three}})[0].items().size(), 2u);
  EXPECT_EQ(RunOp({"SequenceEmpty", 11, {{"dtype", int64_t{7}}}, {}})[0].element_type(), DataType::kInt64);
  const Value parts = RunOp({"SplitToSequence", 11, {}, {I({5}, {1, 2, 3, 4, 5}), I({}, {2})}})[0];
  ASSERT_EQ(parts.items().size(), 3u);
  ExpectTensor(parts.items()[2], I({1}, {5}));
  ExpectRefused({"SequenceAt", 11, {}, {two, I({}, {2})}}, "position 2 is outside [-2, 2)");
  ExpectRefused({"SequenceInsert", 11, {}, {two, F({1}, {1})}}, "inserting float into a sequence of int64");
  ExpectRefused({"SplitToSequence", 11, {}, {I({3}, {1, 2, 3}), I({2}, {2, 2})}}, "does not cut");
}

TEST(Optional, HoldsAndTells) {
  ExpectTensor(RunOp({"OptionalHasElement", 18, {}, {I({1}, {1})}})[0], Make<bool>({}, {true}));
  ExpectTensor(RunOp({"OptionalHasElement", 18, {}, {}})[0], Make<bool>({}, {false}));
  ExpectTensor(RunOp({"OptionalGetElement", 18, {}, {I({1}, {1})}})[0], I({1}, {1}));
}

// A nested graph in C++.
class Body : public SubgraphRunner {
 public:
  using Function = std::function<std::vector<Value>(std::vector<Value>)>;
  explicit Body(Function function) : function_(std::move(function)) {}
  std::vector<Value> Run(std::vector<Value> inputs) const override { return function_(std::move(inputs)); }

 private:
  Function function_;
};

std::shared_ptr<Graph> Signature(int inputs, const std::vector<DataType>& outputs) {
  auto graph = std::make_shared<Graph>();
  for (int i = 0; i < inputs; ++i) graph->inputs.push_back(graph->AddValue("in" + std::to_string(i)));
  for (DataType type : outputs)
    graph->outputs.push_back(graph->AddValue("out", ValueType{type, ValueType::Kind::kTensor, false, {}}));
  return graph;
}

std::vector<Value> RunNested(const OpCase& c, Body::Function function) {
  const Node node = MakeNode(c);
  return Evaluate(node, c.inputs, [&](std::shared_ptr<Graph>) { return std::make_shared<Body>(function); });
}

TEST(Loop, CarriesAndCollects) {
  const Attrs attrs = {{"body", Signature(3, {DataType::kBool, DataType::kInt64, DataType::kInt64})}};
  const auto body = [](std::vector<Value> in) -> std::vector<Value> {
    const int64_t i = in[0].tensor().values<int64_t>()[0], sum = in[2].tensor().values<int64_t>()[0] + i;
    return {Tensor::Scalar(sum < 6), Tensor::Scalar(sum), Tensor::Scalar(i * 10)};
  };
  auto out = RunNested({"Loop", 13, attrs, {I({}, {3}), Tensor(), I({}, {0})}, 2}, body);
  ExpectTensor(out[0], I({}, {3}));
  ExpectTensor(out[1], I({3}, {0, 10, 20}));
  out = RunNested({"Loop", 13, attrs, {Tensor(), Make<bool>({}, {true}), I({}, {0})}, 2}, body);
  ExpectTensor(out[0], I({}, {6}));
  ExpectTensor(out[1], I({4}, {0, 10, 20, 30}));
  out = RunNested({"Loop", 13, attrs, {I({}, {0}), Tensor(), I({}, {5})}, 2}, body);
  ExpectTensor(out[0], I({}, {5}));
  ExpectTensor(out[1], I({0}, {}));
  EXPECT_THROW(RunNested({"Loop", 13, attrs, {Tensor(), Tensor(), I({}, {5})}, 2}, body), Error);
}

TEST(Scan, WalksAxesInBothDirections) {
  const Attrs attrs = {{"body", Signature(2, {DataType::kInt64, DataType::kInt64})},
                       {"num_scan_inputs", int64_t{1}},
                       {"scan_input_axes", std::vector<int64_t>{1}},
                       {"scan_input_directions", std::vector<int64_t>{1}}};
  const auto out = RunNested({"Scan", 9, attrs, {I({}, {0}), I({1, 3}, {1, 2, 4})}, 2},
                             [](std::vector<Value> in) -> std::vector<Value> {
                               const Tensor sum = Tensor::Scalar(in[0].tensor().values<int64_t>()[0] +
                                                                 in[1].tensor().values<int64_t>()[0]);
                               return {sum, sum};
                             });
  ExpectTensor(out[0], I({}, {7}));
  ExpectTensor(out[1], I({3}, {4, 6, 7}));
}

TEST(Scan, Version8HasABatch) {
  const Attrs attrs = {{"body", Signature(2, {DataType::kInt64, DataType::kInt64})},
                       {"num_scan_inputs", int64_t{1}}};
  const auto add = [](std::vector<Value> in) -> std::vector<Value> {
    const Tensor sum =
        Tensor::Scalar(in[0].tensor().values<int64_t>()[0] + in[1].tensor().values<int64_t>()[0]);
    return {sum, sum};
  };
  const auto out =
      RunNested({"Scan", 8, attrs, {I({2}, {2, 1}), I({2}, {0, 10}), I({2, 2}, {1, 2, 3, 4})}, 2}, add);
  ExpectTensor(out[0], I({2}, {3, 13}));
  ExpectTensor(out[1], I({2, 2}, {1, 3, 13, 0}));
  EXPECT_THROW(
      RunNested({"Scan", 8, attrs, {I({2}, {3, 1}), I({2}, {0, 10}), I({2, 2}, {1, 2, 3, 4})}, 2}, add),
      Error);
}

TEST(If, TakesOneBranch) {
  const Attrs attrs = {{"then_branch", Signature(0, {DataType::kInt64})},
                       {"else_branch", Signature(0, {DataType::kInt64})}};
  const Node node = MakeNode({"If", 13, attrs, {Make<bool>({}, {false})}});
  const auto then_graph = node.attrs.Subgraph("then_branch");
  const std::vector<Value> condition = {Make<bool>({}, {false})};
  const auto out = Evaluate(node, condition, [&](std::shared_ptr<Graph> graph) {
    const int64_t result = graph == then_graph ? 1 : 2;
    return std::make_shared<Body>(
        [result](std::vector<Value>) -> std::vector<Value> { return {Tensor::Scalar(result)}; });
  });
  ExpectTensor(out[0], I({}, {2}));
}

}  // namespace
}  // namespace sluice::test
