// The model's opset decides what an operator means: both sides of the standard's changes.
#include "tests/kernels/op_test_util.h"

namespace sluice::test {
namespace {

using Ints = std::vector<int64_t>;

Tensor List(const Ints& v) { return Tensor::From<int64_t>({static_cast<int64_t>(v.size())}, v); }
Tensor Floats(const std::vector<float>& v) {
  return Tensor::From<float>({static_cast<int64_t>(v.size())}, v);
}

TEST(Versions, SoftmaxFlattensBefore13) {
  const Tensor x = F({1, 2, 2}, {0, 0, 0, 0});
  ExpectTensor(RunOp({"Softmax", 12, {}, {x}})[0], F({1, 2, 2}, {0.25, 0.25, 0.25, 0.25}));
  ExpectTensor(RunOp({"Softmax", 13, {}, {x}})[0], F({1, 2, 2}, {0.5, 0.5, 0.5, 0.5}));
}

TEST(Versions, AttributesBecomeInputs) {
  const Tensor x = F({1, 3}, {-1, 0, 5});
  ExpectTensor(RunOp({"Clip", 6, {{"min", 0.0f}, {"max", 2.0f}}, {x}})[0], F({1, 3}, {0, 0, 2}));
  ExpectTensor(RunOp({"Clip", 11, {}, {x, F({}, {0}), F({}, {2})}})[0], F({1, 3}, {0, 0, 2}));
  ExpectRefused({"Clip", 6, {}, {x, F({}, {0})}}, "inputs");
  const Ints pads = {0, 1, 0, 0};
  ExpectTensor(RunOp({"Pad", 2, {{"pads", pads}}, {x}})[0], F({1, 4}, {0, -1, 0, 5}));
  ExpectTensor(RunOp({"Pad", 11, {}, {x, List(pads)}})[0], F({1, 4}, {0, -1, 0, 5}));
  ExpectTensor(RunOp({"Pad", 18, {}, {x, List({1, 0}), Tensor(), List({1})}})[0], F({1, 4}, {0, -1, 0, 5}));
  ExpectTensor(RunOp({"Squeeze", 11, {{"axes", Ints{0}}}, {x}})[0], F({3}, {-1, 0, 5}));
  ExpectTensor(RunOp({"Squeeze", 13, {}, {x, List({0})}})[0], F({3}, {-1, 0, 5}));
  ExpectTensor(RunOp({"Unsqueeze", 11, {{"axes", Ints{0}}}, {x}})[0], F({1, 1, 3}, {-1, 0, 5}));
  ExpectTensor(RunOp({"Unsqueeze", 13, {}, {x, List({0})}})[0], F({1, 1, 3}, {-1, 0, 5}));
  ExpectTensor(RunOp({"ReduceSum", 11, {{"axes", Ints{1}}}, {x}})[0], F({1, 1}, {4}));
  ExpectTensor(RunOp({"ReduceSum", 13, {}, {x, List({1})}})[0], F({1, 1}, {4}));
  ExpectTensor(RunOp({"ReduceMean", 13, {{"axes", Ints{0}}}, {x}})[0], F({1, 3}, {-1, 0, 5}));
  ExpectTensor(RunOp({"ReduceMean", 18, {}, {x, List({0})}})[0], F({1, 3}, {-1, 0, 5}));
  ExpectTensor(RunOp({"Slice", 1, {{"starts", Ints{1}}, {"ends", Ints{9}}, {"axes", Ints{1}}}, {x}})[0],
               F({1, 2}, {0, 5}));
  ExpectTensor(RunOp({"Slice", 10, {}, {x, List({-1}), List({-9}), List({1}), List({-2})}})[0],
               F({1, 2}, {5, -1}));
  ExpectTensor(RunOp({"TopK", 1, {{"k", int64_t{1}}}, {x}, 2})[1], I({1, 1}, {2}));
  ExpectTensor(RunOp({"TopK", 10, {}, {x, List({1})}, 2})[1], I({1, 1}, {2}));
  ExpectTensor(RunOp({"TopK", 11, {{"largest", int64_t{0}}}, {x, List({1})}, 2})[1], I({1, 1}, {0}));
  ExpectTensor(RunOp({"Reshape", 1, {{"shape", Ints{3}}}, {x}})[0], F({3}, {-1, 0, 5}));
  ExpectTensor(RunOp({"Reshape", 5, {}, {x, List({3})}})[0], F({3}, {-1, 0, 5}));
}

TEST(Versions, SplitTakesUnevenPartsSince18) {
  const Tensor x = F({3}, {1, 2, 3});
  ExpectTensor(RunOp({"Split", 2, {{"split", Ints{1, 2}}}, {x}, 2})[1], F({2}, {2, 3}));
  ExpectTensor(RunOp({"Split", 13, {}, {x, List({1, 2})}, 2})[1], F({2}, {2, 3}));
  ExpectRefused({"Split", 13, {}, {x}, 2}, "no multiple of 2");
  ExpectTensor(RunOp({"Split", 18, {{"num_outputs", int64_t{2}}}, {x}, 2})[1], F({1}, {3}));
}

TEST(Versions, BroadcastingWasAskedForBefore7) {
  const Tensor x = F({2, 2}, {1, 2, 3, 4}), y = F({2}, {10, 20});
  const Attrs along_first = {{"broadcast", int64_t{1}}, {"axis", int64_t{0}}};
  ExpectTensor(RunOp({"Add", 6, along_first, {x, y}})[0], F({2, 2}, {11, 12, 23, 24}));
  ExpectTensor(RunOp({"Add", 7, {}, {x, y}})[0], F({2, 2}, {11, 22, 13, 24}));
}

TEST(Versions, ResizeIsAsymmetricIn10AndHasAxesSince18) {
  const Tensor x = F({1, 1, 1, 2}, {0, 4});
  const Attrs linear = {{"mode", std::string("linear")}};
  ExpectTensor(RunOp({"Resize", 10, linear, {x, Floats({1, 1, 1, 2})}})[0], F({1, 1, 1, 4}, {0, 2, 4, 4}));
  ExpectTensor(RunOp({"Upsample", 9, linear, {x, Floats({1, 1, 1, 2})}})[0], F({1, 1, 1, 4}, {0, 2, 4, 4}));
  ExpectTensor(RunOp({"Resize", 11, linear, {x, Floats({}), Floats({1, 1, 1, 2})}})[0],
               F({1, 1, 1, 4}, {0, 1, 3, 4}));
  Attrs axes = linear;
  axes["axes"] = Ints{3};
  ExpectTensor(RunOp({"Resize", 18, axes, {x, Tensor(), Floats({2})}})[0], F({1, 1, 1, 4}, {0, 1, 3, 4}));
}

TEST(Versions, DropoutDoesNothingAtInference) {
  const Tensor x = F({2}, {1, 2});
  ExpectTensor(RunOp({"Dropout", 7, {{"ratio", 0.5f}}, {x}})[0], x);
  ExpectTensor(RunOp({"Dropout", 12, {}, {x, F({}, {0.5})}})[0], x);
}

TEST(Versions, PoolsRoundUpWhereTheModelAsks) {
  const auto pool = [](int opset, int64_t ceil, const Tensor& x) {
    return RunOp(
        {"MaxPool", opset, {{"kernel_shape", Ints{2}}, {"strides", Ints{2}}, {"ceil_mode", ceil}}, {x}})[0];
  };
  const Tensor three = F({1, 1, 3}, {1, 2, 3});
  ExpectTensor(pool(10, 0, three), F({1, 1, 1}, {2}));
  ExpectTensor(pool(10, 1, three), F({1, 1, 2}, {2, 3}));
  // Less than one window is one window.
  ExpectTensor(pool(10, 1, F({1, 1, 1}, {7})), F({1, 1, 1}, {7}));
  ExpectRefused({"MaxPool", 10, {{"kernel_shape", Ints{2}}}, {F({1, 1, 1}, {7})}}, "the window spans 2");
}

TEST(Versions, BatchNormalizationAgreesAtInference) {
  // Version 14 of BatchNormalization counts its outputs differently; at inference all agree.
  const Tensor x = F({1, 2, 1}, {3, 5}), one = F({2}, {1, 1}), zero = F({2}, {0, 0});
  for (int opset : {7, 9, 14, 15})
    ExpectTensor(
        RunOp({"BatchNormalization", opset, {{"epsilon", 0.0f}}, {x, one, zero, one, F({2}, {4, 4})}})[0],
        F({1, 2, 1}, {1, 2}));
}

}  // namespace
}  // namespace sluice::test
