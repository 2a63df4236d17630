#include <numeric>

#include "kernels/strided_copy.h"
#include "tests/kernels/op_test_util.h"

// Concat, Split, Slice, Transpose, Pad, CenterCropPad, Expand, Tile, DepthToSpace, SpaceToDepth.

namespace sluice::test {
namespace {

Tensor Counting(const Shape& shape) {
  Tensor t(DataType::kInt64, shape);
  auto values = t.mutable_values<int64_t>();
  std::iota(values.begin(), values.end(), int64_t{0});
  return t;
}
Tensor Ints(const std::vector<int64_t>& v) {
  return Tensor::From<int64_t>({static_cast<int64_t>(v.size())}, v);
}
Attribute List(std::vector<int64_t> v) { return v; }

TEST(Concat, JoinsAlongTheAxis) {
  ExpectTensor(RunOp({"Concat", 13, {{"axis", int64_t{1}}}, {I({2, 1}, {1, 2}), I({2, 2}, {3, 4, 5, 6})}})[0],
               I({2, 3}, {1, 3, 4, 2, 5, 6}));
  ExpectTensor(RunOp({"Concat", 13, {{"axis", int64_t{-1}}}, {I({0}, {}), I({2}, {3, 4})}})[0],
               I({2}, {3, 4}));
  ExpectTensor(RunOp({"Concat", 1, {}, {I({1, 1}, {1}), I({1, 1}, {2})}})[0], I({1, 2}, {1, 2}));
  ExpectTensor(RunOp({"Concat",
                      13,
                      {{"axis", int64_t{0}}},
                      {Make<std::string>({1}, {"a"}), Make<std::string>({1}, {"b"})}})[0],
               Make<std::string>({2}, {"a", "b"}));
}

TEST(Concat, Refuses) {
  ExpectRefused({"Concat", 13, {{"axis", int64_t{2}}}, {I({2}, {1, 2})}}, "axis 2 is outside");
  ExpectRefused({"Concat", 13, {{"axis", int64_t{0}}}, {I({1, 2}, {1, 2}), I({1, 1}, {1})}},
                "expected [1, 2] but for axis 0");
}

TEST(Split, CutsEvenlyOrAsAsked) {
  auto out = RunOp({"Split", 13, {}, {I({4}, {1, 2, 3, 4})}, 2});
  ExpectTensor(out[0], I({2}, {1, 2}));
  ExpectTensor(out[1], I({2}, {3, 4}));
  out = RunOp(
      {"Split", 18, {{"num_outputs", int64_t{3}}, {"axis", int64_t{0}}}, {I({7}, {1, 2, 3, 4, 5, 6, 7})}, 3});
  ExpectTensor(out[2], I({1}, {7}));
  out = RunOp({"Split", 13, {{"axis", int64_t{1}}}, {I({2, 3}, {1, 2, 3, 4, 5, 6}), Ints({1, 2})}, 2});
  ExpectTensor(out[1], I({2, 2}, {2, 3, 5, 6}));
  ExpectRefused({"Split", 13, {}, {I({3}, {1, 2, 3}), Ints({1, 1})}, 2}, "does not cut");
  ExpectRefused({"Split", 13, {}, {I({3}, {1, 2, 3})}, 2}, "no multiple");
}

TEST(Slice, FollowsPythonSemantics) {
  const Tensor x = Counting({4, 5});
  ExpectTensor(RunOp({"Slice", 13, {}, {x, Ints({1, 0}), Ints({3, 1000}), Ints({0, 1}), Ints({1, 2})}})[0],
               I({2, 3}, {5, 7, 9, 10, 12, 14}));
  ExpectTensor(
      RunOp({"Slice", 10, {}, {Counting({5}), Ints({-1}), Ints({INT64_MIN}), Ints({0}), Ints({-2})}})[0],
      I({3}, {4, 2, 0}));
  ExpectTensor(RunOp({"Slice", 1, {{"starts", List({-2})}, {"ends", List({INT64_MAX})}}, {Counting({5})}})[0],
               I({2}, {3, 4}));
  ExpectTensor(RunOp({"Slice", 13, {}, {Counting({5}), Ints({3}), Ints({2})}})[0], I({0}, {}));
  ExpectTensor(
      RunOp({"Slice", 13, {}, {Counting({5}), Ints({4}), Ints({0}), Ints({0}), Ints({INT64_MIN})}})[0],
      I({1}, {4}));
}

TEST(Slice, Refuses) {
  ExpectRefused({"Slice", 13, {}, {Counting({5}), Ints({0}), Ints({1}), Ints({0}), Ints({0})}}, "step is 0");
  ExpectRefused({"Slice", 13, {}, {Counting({5}), Ints({0, 0}), Ints({1, 1}), Ints({0, 0})}}, "occurs twice");
}

TEST(Transpose, AgreesWithCoordinates) {
  std::mt19937 engine(7);
  for (int round = 0; round < 60; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    const auto rank = static_cast<size_t>(1 + engine() % 5);
    Shape shape, dst_shape;
    std::vector<int64_t> perm;
    for (size_t i = 0; i < rank; ++i) {
      shape.push_back(static_cast<int64_t>(engine() % (rank < 3 ? 70 : 9)));
      perm.push_back(static_cast<int64_t>(i));
    }
    std::shuffle(perm.begin(), perm.end(), engine);
    const Tensor x = Counting(shape);
    for (int64_t p : perm) dst_shape.push_back(shape[static_cast<size_t>(p)]);
    Tensor want(DataType::kInt64, dst_shape);
    const Shape src_strides = RowMajorStrides(shape), dst_strides = RowMajorStrides(dst_shape);
    for (int64_t i = 0; i < want.num_elements(); ++i) {
      int64_t at = 0;
      for (size_t d = 0; d < rank; ++d)
        at += i / dst_strides[d] % dst_shape[d] * src_strides[static_cast<size_t>(perm[d])];
      want.mutable_values<int64_t>()[static_cast<size_t>(i)] = at;
    }
    ExpectTensor(RunOp({"Transpose", 13, {{"perm", perm}}, {x}})[0], want);
  }
  ExpectTensor(RunOp({"Transpose", 1, {}, {I({2, 1}, {1, 2})}})[0], I({1, 2}, {1, 2}));
  ExpectRefused({"Transpose", 1, {{"perm", List({0, 0})}}, {I({1, 1}, {1})}}, "occurs twice");
}

TEST(Pad, HasAllModes) {
  const Tensor x = I({3}, {1, 2, 3});
  const auto pad = [&](const std::string& mode, std::vector<int64_t> pads) {
    return RunOp({"Pad", 19, {{"mode", mode}}, {x, Ints(pads)}})[0];
  };
  ExpectTensor(pad("constant", {1, 2}), I({6}, {0, 1, 2, 3, 0, 0}));
  ExpectTensor(pad("reflect", {2, 2}), I({7}, {3, 2, 1, 2, 3, 2, 1}));
  ExpectTensor(pad("edge", {2, 1}), I({6}, {1, 1, 1, 2, 3, 3}));
  ExpectTensor(pad("wrap", {2, 1}), I({6}, {2, 3, 1, 2, 3, 1}));
  ExpectTensor(pad("constant", {-1, 1}), I({3}, {2, 3, 0}));
  ExpectTensor(RunOp({"Pad", 18, {}, {I({1, 2}, {1, 2}), Ints({1, 0}), I({}, {9}), Ints({-1})}})[0],
               I({1, 3}, {9, 1, 2}));
  ExpectTensor(RunOp({"Pad", 2, {{"pads", List({1, 0})}, {"value", 5.0f}}, {F({1}, {1})}})[0],
               F({2}, {5, 1}));
}

TEST(Pad, Refuses) {
  const Tensor x = I({3}, {1, 2, 3});
  ExpectRefused({"Pad", 13, {}, {x, Ints({-2, -2})}}, "do not fit axis 0");
  ExpectRefused({"Pad", 13, {}, {x, Ints({1})}}, "expected 2");
  ExpectRefused({"Pad", 13, {}, {x, Ints({int64_t{1} << 50, 0})}}, "exceeds the machine's memory");
  ExpectRefused({"Pad", 13, {{"mode", std::string("odd")}}, {x, Ints({1, 0})}}, "unknown mode 'odd'");
}

TEST(Repeat, ExpandAndTile) {
  ExpectTensor(RunOp({"Expand", 8, {}, {I({2, 1}, {1, 2}), Ints({3, 1, 2})}})[0],
               I({3, 2, 2}, {1, 1, 2, 2, 1, 1, 2, 2, 1, 1, 2, 2}));
  ExpectTensor(RunOp({"Expand", 8, {}, {I({1}, {1}), Ints({0})}})[0], I({0}, {}));
  ExpectTensor(RunOp({"Tile", 6, {}, {I({1, 2}, {1, 2}), Ints({2, 2})}})[0],
               I({2, 4}, {1, 2, 1, 2, 1, 2, 1, 2}));
  ExpectTensor(RunOp({"Tile", 1, {}, {I({2}, {1, 2}), I({}, {2}), I({}, {0})}})[0], I({4}, {1, 2, 1, 2}));
  ExpectRefused({"Expand", 8, {}, {I({1}, {1}), Ints({int64_t{1} << 50})}}, "exceeds the machine's memory");
  ExpectRefused({"Tile", 6, {}, {I({1}, {1}), Ints({-1})}}, "negative");
}

TEST(DepthToSpace, BothModesAndBack) {
  const Tensor x = Counting({1, 8, 1, 2});
  ExpectTensor(RunOp({"DepthToSpace", 13, {{"blocksize", int64_t{2}}}, {x}})[0],
               I({1, 2, 2, 4}, {0, 4, 1, 5, 8, 12, 9, 13, 2, 6, 3, 7, 10, 14, 11, 15}));
  ExpectTensor(RunOp({"DepthToSpace", 13, {{"blocksize", int64_t{2}}, {"mode", std::string("CRD")}}, {x}})[0],
               I({1, 2, 2, 4}, {0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15}));
  const Tensor wide = RunOp({"DepthToSpace", 13, {{"blocksize", int64_t{2}}}, {x}})[0].tensor();
  ExpectTensor(RunOp({"SpaceToDepth", 13, {{"blocksize", int64_t{2}}}, {wide}})[0], x);
  ExpectRefused({"DepthToSpace", 13, {{"blocksize", int64_t{3}}}, {x}}, "no multiple of 9");
}

TEST(View, ReshapeFlattenSqueezeUnsqueeze) {
  const Tensor x = Counting({2, 3, 1});
  EXPECT_EQ(RunOp({"Reshape", 13, {}, {x, Ints({0, -1})}})[0].tensor().shape(), (Shape{2, 3}));
  EXPECT_EQ(RunOp({"Reshape", 1, {{"shape", List({6})}}, {x}})[0].tensor().shape(), (Shape{6}));
  EXPECT_EQ(RunOp({"Reshape", 14, {{"allowzero", int64_t{1}}}, {Counting({0, 2}), Ints({3, 0})}})[0]
                .tensor()
                .shape(),
            (Shape{3, 0}));
  EXPECT_EQ(RunOp({"Flatten", 13, {{"axis", int64_t{-1}}}, {x}})[0].tensor().shape(), (Shape{6, 1}));
  EXPECT_EQ(RunOp({"Squeeze", 13, {}, {x}})[0].tensor().shape(), (Shape{2, 3}));
  EXPECT_EQ(RunOp({"Unsqueeze", 11, {{"axes", List({0, -1})}}, {x}})[0].tensor().shape(),
            (Shape{1, 2, 3, 1, 1}));
  ExpectRefused({"Reshape", 13, {}, {x, Ints({4, -1})}}, "cannot reshape");
  ExpectRefused({"Reshape", 13, {}, {x, Ints({7})}}, "cannot reshape");
  ExpectRefused({"Squeeze", 13, {}, {x, Ints({0})}}, "is not 1");
}

TEST(Shape, StartAndEnd) {
  const Tensor x = Counting({2, 3, 4});
  ExpectTensor(RunOp({"Shape", 13, {}, {x}})[0], Ints({2, 3, 4}));
  ExpectTensor(RunOp({"Shape", 15, {{"start", int64_t{-2}}, {"end", int64_t{9}}}, {x}})[0], Ints({3, 4}));
  ExpectTensor(RunOp({"Size", 13, {}, {x}})[0], I({}, {24}));
}

TEST(Constant, AllForms) {
  ExpectTensor(RunOp({"Constant", 13, {{"value_ints", List({1, 2})}}})[0], Ints({1, 2}));
  ExpectTensor(RunOp({"Constant", 13, {{"value_float", 2.0f}}})[0], F({}, {2}));
  ExpectTensor(RunOp({"Constant", 1, {{"value", F({1}, {3})}}})[0], F({1}, {3}));
  ExpectTensor(RunOp({"ConstantOfShape", 9, {}, {Ints({2})}})[0], F({2}, {0, 0}));
  ExpectTensor(RunOp({"ConstantOfShape", 9, {{"value", I({1}, {7})}}, {Ints({})}})[0], I({}, {7}));
  ExpectTensor(RunOp({"Range", 11, {}, {I({}, {10}), I({}, {4}), I({}, {-2})}})[0], Ints({10, 8, 6}));
  ExpectTensor(RunOp({"Range", 11, {}, {F({}, {1}), F({}, {2}), F({}, {0.25})}})[0],
               F({4}, {1, 1.25, 1.5, 1.75}));
  ExpectRefused({"Range", 11, {}, {I({}, {0}), I({}, {INT64_MAX}), I({}, {1})}}, "large");
  ExpectRefused({"Range", 11, {}, {I({}, {0}), I({}, {5}), I({}, {0})}}, "delta is 0");
  ExpectRefused({"ConstantOfShape", 9, {}, {Ints({int64_t{1} << 50})}}, "exceeds the machine's memory");
}

TEST(Gather, PicksAndChecks) {
  const Tensor x = Counting({3, 2});
  ExpectTensor(RunOp({"Gather", 13, {}, {x, I({2}, {2, -3})}})[0], I({2, 2}, {4, 5, 0, 1}));
  ExpectTensor(RunOp({"Gather", 13, {{"axis", int64_t{1}}}, {x, I({}, {1})}})[0], Ints({1, 3, 5}));
  ExpectTensor(RunOp({"GatherElements", 13, {{"axis", int64_t{1}}}, {x, I({2, 2}, {0, 0, 1, -2})}})[0],
               I({2, 2}, {0, 0, 3, 2}));
  ExpectTensor(RunOp({"GatherND", 13, {}, {x, I({2, 2}, {0, 1, 2, 0})}})[0], Ints({1, 4}));
  ExpectTensor(RunOp({"GatherND", 13, {{"batch_dims", int64_t{1}}}, {x, I({3, 1}, {1, 0, 1})}})[0],
               Ints({1, 2, 5}));
  ExpectRefused({"Gather", 13, {}, {x, I({1}, {3})}}, "'test': index 3 is outside [-3, 3)");
  ExpectRefused({"GatherND", 13, {}, {x, I({1, 2}, {0, 2})}}, "index 2 is outside [-2, 2)");
}

TEST(Scatter, WritesAndReduces) {
  const Tensor x = I({3}, {1, 2, 3});
  ExpectTensor(RunOp({"ScatterElements", 13, {}, {x, I({2}, {0, -1}), I({2}, {8, 9})}})[0], Ints({8, 2, 9}));
  ExpectTensor(RunOp({"ScatterElements",
                      18,
                      {{"reduction", std::string("add")}},
                      {x, I({2}, {1, 1}), I({2}, {8, 9})}})[0],
               Ints({1, 19, 3}));
  ExpectTensor(
      RunOp(
          {"ScatterND", 18, {{"reduction", std::string("max")}}, {x, I({2, 1}, {1, 2}), I({2}, {8, 0})}})[0],
      Ints({1, 8, 3}));
  ExpectRefused({"ScatterND", 13, {}, {x, I({1, 1}, {3}), I({1}, {8})}}, "index 3 is outside");
  ExpectRefused({"ScatterElements", 13, {}, {x, I({1}, {0}), I({2}, {8, 9})}}, "expected the indices' shape");
}

}  // namespace
}  // namespace sluice::test
