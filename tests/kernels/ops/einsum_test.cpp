#include "tests/kernels/ops/conv_reference.h"

namespace sluice::test {
namespace {

Attrs Equation(const std::string& text) { return {{"equation", text}}; }

TEST(Einsum, KnownForms) {
  const Tensor x = F({2, 3}, {1, 2, 3, 4, 5, 6}), y = F({3, 2}, {1, 0, 0, 1, 1, 1}),
               s = F({2, 2}, {1, 2, 3, 4});
  ExpectTensor(RunOp({"Einsum", 12, Equation("ij,jk"), {x, y}})[0], F({2, 2}, {4, 5, 10, 11}));
  ExpectTensor(RunOp({"Einsum", 12, Equation("ij,jk -> ki"), {x, y}})[0], F({2, 2}, {4, 10, 5, 11}));
  ExpectTensor(RunOp({"Einsum", 12, Equation("ij->ji"), {x}})[0], F({3, 2}, {1, 4, 2, 5, 3, 6}));
  ExpectTensor(RunOp({"Einsum", 12, Equation("ba"), {x}})[0], F({3, 2}, {1, 4, 2, 5, 3, 6}));
  ExpectTensor(RunOp({"Einsum", 12, Equation("ii->i"), {s}})[0], F({2}, {1, 4}));
  ExpectTensor(RunOp({"Einsum", 12, Equation("ii"), {s}})[0], F({}, {5}));
  ExpectTensor(RunOp({"Einsum", 12, Equation("ii,jj->"), {s, s}})[0], F({}, {25}));
  ExpectTensor(RunOp({"Einsum", 12, Equation("...i->..."), {x}})[0], F({2}, {6, 15}));
  ExpectTensor(RunOp({"Einsum", 12, Equation("i,j->ij"), {F({2}, {1, 2}), F({2}, {3, 4})}})[0],
               F({2, 2}, {3, 4, 6, 8}));
  ExpectTensor(RunOp({"Einsum", 12, Equation("i,i"), {F({2}, {1, 2}), F({2}, {3, 4})}})[0], F({}, {11}));
  ExpectTensor(RunOp({"Einsum", 12, Equation("ij,jk,kl->il"), {s, s, s}})[0], F({2, 2}, {37, 54, 81, 118}));
  ExpectTensor(RunOp({"Einsum", 12, Equation("ij->"), {F({0, 3}, {})}})[0], F({}, {0}));
  ExpectTensor(RunOp({"Einsum", 12, Equation("aB,Bc"), {x, y}})[0], F({2, 2}, {4, 5, 10, 11}));
  ExpectTensor(RunOp({"Einsum",
                      12,
                      Equation("ij,jk"),
                      {Make<int32_t>({1, 2}, {3, 4}), Make<int32_t>({2, 1}, {5, 6})}})[0],
               Make<int32_t>({1, 1}, {39}));
}

// Every assignment of positions to labels, one at a time.
TEST(Einsum, RandomEquations) {
  std::mt19937 engine(91);
  for (uint32_t round = 0; round < 300 && !testing::Test::HasFailure(); ++round) {
    const size_t num_labels = 1 + engine() % 5, num_inputs = 1 + engine() % 3;
    std::vector<int64_t> sizes;
    for (size_t i = 0; i < num_labels; ++i) {
      sizes.push_back(engine() % 40 == 0
                          ? 0
                          : Draw(engine, num_inputs == 3 ? std::initializer_list<int64_t>{1, 2, 3}
                                                         : std::initializer_list<int64_t>{1, 2, 3, 5, 9}));
    }
    std::string equation;
    std::vector<std::vector<size_t>> terms;
    std::vector<bool> used(num_labels, false);
    OpCase c{.op = "Einsum", .opset = 12};
    for (size_t i = 0; i < num_inputs; ++i) {
      if (i > 0) equation += ',';
      terms.emplace_back();
      Shape shape;
      for (size_t axes = engine() % 5; axes > 0; --axes) {
        const size_t label = engine() % num_labels;
        terms.back().push_back(label);
        used[label] = true;
        equation += static_cast<char>('a' + label);
        shape.push_back(engine() % 12 == 0 ? 1 : sizes[label]);
      }
      c.inputs.push_back(Random(shape, 10 * round + static_cast<uint32_t>(i)));
    }
    // A label that is 1 wherever it occurs has that size.
    for (size_t label = 0; label < num_labels; ++label) {
      int64_t size = 1;
      for (size_t i = 0; i < num_inputs; ++i) {
        for (size_t axis = 0; axis < terms[i].size(); ++axis) {
          if (terms[i][axis] == label && c.inputs[i].tensor().shape()[axis] != 1) size = sizes[label];
        }
      }
      sizes[label] = size;
    }
    std::vector<size_t> order, output;
    for (size_t i = 0; i < num_labels; ++i) order.push_back(i);
    std::shuffle(order.begin(), order.end(), engine);
    equation += "->";
    Shape shape;
    for (size_t label : order) {
      if (!used[label] || engine() % 2 == 0) continue;
      output.push_back(label);
      equation += static_cast<char>('a' + label);
      shape.push_back(sizes[label]);
    }
    std::vector<double> want(static_cast<size_t>(NumElements(shape)), 0);
    const int64_t total = NumElements(sizes);
    for (int64_t at = 0; at < total; ++at) {
      std::vector<int64_t> position(num_labels);
      int64_t rest = at;
      bool repeated = false;
      for (size_t i = 0; i < num_labels; ++i) {
        position[i] = rest % sizes[i];
        rest /= sizes[i];
        repeated |= !used[i] && position[i] > 0;
      }
      if (repeated) continue;
      double product = 1;
      for (size_t i = 0; i < num_inputs; ++i) {
        const Shape& in = c.inputs[i].tensor().shape();
        int64_t index = 0;
        for (size_t axis = 0; axis < in.size(); ++axis) {
          index = index * in[axis] + (in[axis] == 1 ? 0 : position[terms[i][axis]]);
        }
        product *= double{c.inputs[i].tensor().values<float>()[static_cast<size_t>(index)]};
      }
      int64_t index = 0;
      for (size_t label : output) index = index * sizes[label] + position[label];
      want[static_cast<size_t>(index)] += product;
    }
    c.attrs = Equation(equation);
    const Node node = MakeNode(c);
    const Tolerance tolerance = SumTolerance(DataType::kFloat, std::max<int64_t>(total, 1), 4);
    int ran = 0;
    for (size_t candidate = 0; candidate < node.op->kernels.size(); ++candidate) {
      std::string shapes;
      for (const Value& value : c.inputs) shapes += ' ' + ToString(value.tensor().shape());
      SCOPED_TRACE("round " + std::to_string(round) + " candidate " + std::to_string(candidate) + " " +
                   equation + shapes);
      try {
        ExpectTensor(EvaluateWith(candidate, node, c.inputs)[0], FloatTensor(shape, want), tolerance.atol,
                     1e-5);
        ++ran;
      } catch (const Declined&) {
      }
    }
    EXPECT_GT(ran, 0);
  }
}

// Attention's forms, large enough for oneDNN.
TEST(Einsum, MatrixForms) {
  const auto check = [](const std::string& equation, const Shape& a, const Shape& b) {
    SCOPED_TRACE(equation);
    OpCase c{"Einsum", 12, Equation(equation), {Random(a, 1), Random(b, 2)}};
    const Node node = MakeNode(c);
    const Tensor want = EvaluateWith(2, node, c.inputs)[0].tensor();
    ExpectTensor(EvaluateWith(1, node, c.inputs)[0], want, 1e-4);
    ExpectTensor(EvaluateWith(0, node, c.inputs)[0], want, 1e-4);
  };
  check("bhid,bhjd->bhij", {2, 3, 50, 64}, {2, 3, 40, 64});
  check("bihd,bjhd->bhij", {2, 50, 3, 64}, {2, 40, 3, 64});
  check("bhij,bjhd->bihd", {2, 3, 50, 40}, {2, 40, 3, 64});
  check("...ij,jk->...ik", {3, 4, 20, 30}, {30, 50});
  check("ij,jk->ki", {60, 70}, {70, 80});
  check("i...,ij->j...", {60, 2, 40}, {60, 70});
}

TEST(Einsum, Misuse) {
  const Tensor x = Random({2, 3}, 1);
  ExpectRefused({"Einsum", 12, Equation("ij,jk"), {x}}, "has 2 operands, the node has 1 inputs");
  ExpectRefused({"Einsum", 12, Equation("ijk"), {x}}, "operand 0 has 3 labels, input 0 has rank 2");
  ExpectRefused({"Einsum", 12, Equation("i"), {x}}, "operand 0 has 1 labels");
  ExpectRefused({"Einsum", 12, Equation("ij->ik"), {x}}, "a label that no operand has");
  ExpectRefused({"Einsum", 12, Equation("ij->ii"), {x}}, "a label twice");
  ExpectRefused({"Einsum", 12, Equation("i3"), {x}}, "unexpected '3'");
  ExpectRefused({"Einsum", 12, Equation("i......"), {x}}, "unexpected '.'");
  ExpectRefused({"Einsum", 12, Equation("ii"), {x}}, "do not broadcast");
}

}  // namespace
}  // namespace sluice::test
