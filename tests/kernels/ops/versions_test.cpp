// The model's opset decides what an operator means: both sides of the standard's changes.
#include <cmath>

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

TEST(Versions, GroupNormalizationScalesGroupsIn18AndChannelsSince21) {
  // Groups {1, 3} and {2, 6}: normalised to -1 and 1 each.
  const Tensor x = F({1, 4, 1}, {1, 3, 2, 6});
  Attrs attrs = {{"num_groups", int64_t{2}}, {"epsilon", 0.0f}};
  ExpectTensor(RunOp({"GroupNormalization", 18, attrs, {x, F({2}, {2, 3}), F({2}, {0, 1})}})[0],
               F({1, 4, 1}, {-2, 2, -2, 4}));
  ExpectTensor(RunOp({"GroupNormalization", 21, attrs, {x, F({4}, {2, 3, 4, 5}), F({4}, {0, 1, 2, 3})}})[0],
               F({1, 4, 1}, {-2, 4, -2, 8}));
  ExpectRefused({"GroupNormalization", 21, attrs, {x, F({2}, {2, 3}), F({2}, {0, 1})}}, "GroupNormalization");
}

TEST(Versions, DftTakesItsAxisAsInputSince20) {
  // Along axis 1 of [1, 2, 2, 1]: sums and differences.
  const Tensor x = F({1, 2, 2, 1}, {1, 2, 3, 5});
  const Tensor want = F({1, 2, 2, 2}, {4, 0, 7, 0, -2, 0, -3, 0});
  ExpectTensor(RunOp({"DFT", 17, {{"axis", int64_t{1}}}, {x}})[0], want);
  ExpectTensor(RunOp({"DFT", 20, {}, {x, Tensor(), I({}, {1})}})[0], want);
  // The default is axis 1 in 17 and the last but one since.
  ExpectTensor(RunOp({"DFT", 17, {}, {x}})[0], want);
  ExpectTensor(RunOp({"DFT", 20, {}, {x}})[0], F({1, 2, 2, 2}, {3, 0, -1, 0, 8, 0, -2, 0}));
}

TEST(Versions, GridSampleRenamesItsModesIn20) {
  const Tensor x = F({1, 1, 1, 2}, {0, 4}), grid = F({1, 1, 1, 2}, {0, 0});
  const auto sample = [&](int opset, const char* mode) {
    return RunOp({"GridSample", opset, {{"mode", std::string(mode)}}, {x, grid}})[0];
  };
  ExpectTensor(sample(16, "bilinear"), F({1, 1, 1, 1}, {2}));
  ExpectTensor(sample(20, "linear"), F({1, 1, 1, 1}, {2}));
  ExpectTensor(sample(16, "bicubic"), F({1, 1, 1, 1}, {2.375f}));
  ExpectTensor(sample(20, "cubic"), F({1, 1, 1, 1}, {2.375f}));
  ExpectTensor(sample(16, "nearest"), F({1, 1, 1, 1}, {0}));
  ExpectRefused({"GridSample", 16, {{"mode", std::string("linear")}}, {x, grid}}, "mode");
  ExpectRefused({"GridSample", 20, {{"mode", std::string("bilinear")}}, {x, grid}}, "mode");
}

TEST(Versions, CastSaturatesFloat8UnlessToldSince19) {
  const auto cast = [](float value, std::optional<int64_t> saturate) {
    Attrs attrs = {{"to", int64_t{17}}};
    if (saturate) attrs["saturate"] = *saturate;
    const Value narrow = RunOp({"Cast", 19, attrs, {F({1}, {value})}})[0];
    return RunOp({"Cast", 19, {{"to", int64_t{1}}}, {narrow}})[0].tensor().values<float>()[0];
  };
  EXPECT_EQ(cast(1000, std::nullopt), 448);
  EXPECT_EQ(cast(1000, 1), 448);
  EXPECT_TRUE(std::isnan(cast(1000, 0)));
}

TEST(Versions, CastToPowersOfTwoRoundsSince24) {
  const auto cast = [](float value, const char* mode) {
    Attrs attrs = {{"to", int64_t{24}}};
    if (mode != nullptr) attrs["round_mode"] = std::string(mode);
    const Value narrow = RunOp({"Cast", 24, attrs, {F({1}, {value})}})[0];
    return RunOp({"Cast", 24, {{"to", int64_t{1}}}, {narrow}})[0].tensor().values<float>()[0];
  };
  EXPECT_EQ(cast(5, nullptr), 8);
  EXPECT_EQ(cast(5, "up"), 8);
  EXPECT_EQ(cast(5, "down"), 4);
  EXPECT_EQ(cast(5, "nearest"), 4);
  EXPECT_EQ(cast(6, "nearest"), 8);
  EXPECT_EQ(cast(-4, nullptr), 4);
  EXPECT_EQ(cast(3.4e38f, nullptr), 0x1p127f);
  EXPECT_EQ(cast(0, nullptr), 0x1p-127f);
  EXPECT_TRUE(std::isnan(cast(INFINITY, nullptr)));
  ExpectRefused({"Cast", 24, {{"to", int64_t{24}}, {"round_mode", std::string("even")}}, {F({1}, {1})}},
                "round_mode is 'even'");
}

TEST(Versions, CastToFloat4HasNoNaN) {
  const Value narrow = RunOp({"Cast", 23, {{"to", int64_t{23}}}, {F({4}, {NAN, -INFINITY, 2.5f, -0.2f})}})[0];
  ExpectTensor(RunOp({"Cast", 23, {{"to", int64_t{1}}}, {narrow}})[0], F({4}, {6, -6, 2, 0}));
}

TEST(Versions, RoiAlignMovesByHalfAPixelSince16) {
  const Tensor x = F({1, 1, 2, 2}, {0, 1, 2, 3}), rois = F({1, 4}, {0, 0, 1, 1}), batch = I({1}, {0});
  ExpectTensor(RunOp({"RoiAlign", 10, {}, {x, rois, batch}})[0], F({1, 1, 1, 1}, {1.5}));
  ExpectTensor(RunOp({"RoiAlign", 16, {}, {x, rois, batch}})[0], F({1, 1, 1, 1}, {0}));
  ExpectTensor(RunOp({"RoiAlign",
                      16,
                      {{"coordinate_transformation_mode", std::string("output_half_pixel")}},
                      {x, rois, batch}})[0],
               F({1, 1, 1, 1}, {1.5}));
}

TEST(Versions, UpsampleScalesByAttributesUntil9) {
  const Tensor x = F({1, 1, 1, 2}, {1, 2}), want = F({1, 1, 2, 4}, {1, 1, 2, 2, 1, 1, 2, 2});
  const Attrs first = {{"height_scale", 2.0f}, {"width_scale", 2.0f}};
  ExpectTensor(RunOp({"Upsample", 1, first, {x}})[0], want);
  ExpectTensor(RunOp({"Upsample", 7, {{"scales", std::vector<float>{1, 1, 2, 2}}}, {x}})[0], want);
  ExpectTensor(RunOp({"Upsample", 9, {}, {x, Floats({1, 1, 2, 2})}})[0], want);
}

TEST(Versions, ResizeKnowsItsNewerForms) {
  const Tensor x = F({1, 1, 1, 4}, {0, 4, 8, 12});
  const Tensor sizes = List({1, 1, 1, 2});
  // In 11 all four inputs are there, since 13 they may be left out.
  ExpectTensor(RunOp({"Resize", 11, {}, {x, Floats({}), Floats({}), sizes}})[0], F({1, 1, 1, 2}, {0, 8}));
  ExpectTensor(RunOp({"Resize", 13, {}, {x, Tensor(), Tensor(), sizes}})[0], F({1, 1, 1, 2}, {0, 8}));
  // 18: antialiasing, axes and the aspect ratio.
  const Attrs antialias = {{"mode", std::string("linear")}, {"antialias", int64_t{1}}};
  ExpectTensor(RunOp({"Resize", 18, antialias, {x, Tensor(), Tensor(), sizes}})[0],
               F({1, 1, 1, 2}, {2.5f, 9.5f}));
  Attrs policy = {{"keep_aspect_ratio_policy", std::string("not_larger")}, {"axes", Ints{2, 3}}};
  ExpectTensor(RunOp({"Resize", 18, policy, {x, Tensor(), Tensor(), List({5, 2})}})[0],
               F({1, 1, 1, 2}, {0, 8}));
  policy["keep_aspect_ratio_policy"] = std::string("not_smaller");
  EXPECT_EQ(RunOp({"Resize", 18, policy, {x, Tensor(), Tensor(), List({2, 2})}})[0].tensor().shape(),
            (Shape{1, 1, 2, 8}));
  // 19: half_pixel_symmetric.
  const Attrs symmetric = {{"mode", std::string("linear")},
                           {"coordinate_transformation_mode", std::string("half_pixel_symmetric")}};
  ExpectTensor(RunOp({"Resize", 19, symmetric, {x, Tensor(), Floats({1, 1, 1, 0.6f})}})[0],
               F({1, 1, 1, 2}, {8.0f / 3, 28.0f / 3}), 1e-4);
}

TEST(Versions, AxesOfShapesAndSizesCome) {
  const Tensor x =
      F({2, 3, 4}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23});
  ExpectTensor(RunOp({"Shape", 13, {}, {x}})[0], List({2, 3, 4}));
  ExpectTensor(RunOp({"Shape", 15, {{"start", int64_t{-2}}, {"end", int64_t{9}}}, {x}})[0], List({3, 4}));
  ExpectRefused({"Reshape", 13, {}, {F({0, 3}, {}), List({3, 0})}}, "cannot reshape");
  ExpectTensor(RunOp({"Reshape", 14, {{"allowzero", int64_t{1}}}, {F({0, 3}, {}), List({3, 0})}})[0],
               F({3, 0}, {}));
  // A size of zero copies the input's unless allowzero says that it is meant.
  ExpectRefused({"Reshape", 14, {}, {x, List({0, 2, 4})}}, "cannot reshape");
  ExpectTensor(RunOp({"Concat", 1, {}, {F({1, 1}, {1}), F({1, 1}, {2})}})[0], F({1, 2}, {1, 2}));
  ExpectTensor(RunOp({"Concat", 4, {{"axis", int64_t{0}}}, {F({1, 1}, {1}), F({1, 1}, {2})}})[0],
               F({2, 1}, {1, 2}));
  ExpectTensor(RunOp({"Tile", 1, {}, {F({1, 2}, {1, 2}), I({1}, {2}), I({1}, {0})}})[0],
               F({2, 2}, {1, 2, 1, 2}));
  ExpectTensor(RunOp({"Tile", 6, {}, {F({1, 2}, {1, 2}), List({2, 1})}})[0], F({2, 2}, {1, 2, 1, 2}));
  ExpectTensor(RunOp({"ArgMax", 11, {{"axis", int64_t{0}}}, {F({3}, {5, 5, 1})}})[0], I({1}, {0}));
  ExpectTensor(
      RunOp(
          {"ArgMax", 12, {{"axis", int64_t{0}}, {"select_last_index", int64_t{1}}}, {F({3}, {5, 5, 1})}})[0],
      I({1}, {1}));
  ExpectTensor(RunOp({"DepthToSpace", 1, {{"blocksize", int64_t{1}}}, {F({1, 1, 1, 1}, {3})}})[0],
               F({1, 1, 1, 1}, {3}));
}

TEST(Versions, SpaceToDepthHasModesSince28) {
  const Tensor x = F({1, 2, 2, 2}, {0, 1, 2, 3, 4, 5, 6, 7});
  const auto deep = [&](int opset, const char* mode) {
    Attrs attrs = {{"blocksize", int64_t{2}}};
    if (mode != nullptr) attrs["mode"] = std::string(mode);
    return RunOp({"SpaceToDepth", opset, attrs, {x}})[0];
  };
  ExpectTensor(deep(13, nullptr), F({1, 8, 1, 1}, {0, 4, 1, 5, 2, 6, 3, 7}));
  ExpectTensor(deep(28, "DCR"), F({1, 8, 1, 1}, {0, 4, 1, 5, 2, 6, 3, 7}));
  ExpectTensor(deep(28, "CRD"), F({1, 8, 1, 1}, {0, 1, 2, 3, 4, 5, 6, 7}));
  for (const char* mode : {"DCR", "CRD"}) {
    const Attrs attrs = {{"blocksize", int64_t{2}}, {"mode", std::string(mode)}};
    ExpectTensor(RunOp({"DepthToSpace", 28, attrs, {deep(28, mode)}})[0], x);
  }
}

TEST(Versions, BitShiftTakesSignedIntegersSince28) {
  const auto shift = [](int opset, const char* direction, const Tensor& x, const Tensor& bits) {
    return RunOp({"BitShift", opset, {{"direction", std::string(direction)}}, {x, bits}})[0];
  };
  const Tensor x = Make<int8_t>({4}, {-128, -3, 5, 64}), bits = Make<int8_t>({4}, {7, 1, 1, 1});
  ExpectTensor(shift(28, "RIGHT", x, bits), Make<int8_t>({4}, {-1, -2, 2, 32}));
  ExpectTensor(shift(28, "LEFT", x, bits), Make<int8_t>({4}, {0, -6, 10, -128}));
  ExpectTensor(shift(28, "RIGHT", Make<int8_t>({2}, {-1, 1}), Make<int8_t>({2}, {8, 8})),
               Make<int8_t>({2}, {-1, 0}));
  ExpectTensor(shift(11, "RIGHT", Make<uint8_t>({2}, {255, 6}), Make<uint8_t>({2}, {7, 1})),
               Make<uint8_t>({2}, {1, 3}));
  ExpectTensor(shift(11, "LEFT", Make<uint8_t>({2}, {255, 6}), Make<uint8_t>({2}, {8, 1})),
               Make<uint8_t>({2}, {0, 12}));
  ExpectRefused({"BitShift", 11, {{"direction", std::string("LEFT")}}, {x, bits}}, "int8");
}

TEST(Versions, PowTakesTwoTypesSince12) {
  const Tensor x = F({2}, {2, 3});
  ExpectTensor(RunOp({"Pow", 7, {}, {x, F({2}, {2, 2})}})[0], F({2}, {4, 9}));
  ExpectTensor(RunOp({"Pow", 12, {}, {x, I({2}, {2, 2})}})[0], F({2}, {4, 9}));
}

TEST(Versions, ConstantTakesPlainValuesSince12) {
  ExpectTensor(RunOp({"Constant", 11, {{"value", F({1}, {3})}}, {}})[0], F({1}, {3}));
  ExpectTensor(RunOp({"Constant", 12, {{"value_float", 3.0f}}, {}})[0], F({}, {3}));
  ExpectTensor(RunOp({"Constant", 12, {{"value_ints", Ints{1, 2}}}, {}})[0], List({1, 2}));
}

TEST(Versions, PadWrapsSince19) {
  const Tensor x = F({3}, {1, 2, 3});
  ExpectTensor(RunOp({"Pad", 19, {{"mode", std::string("wrap")}}, {x, List({2, 1})}})[0],
               F({6}, {2, 3, 1, 2, 3, 1}));
  ExpectTensor(RunOp({"Pad", 1, {{"paddings", Ints{1, 0}}, {"value", 7.0f}}, {x}})[0], F({4}, {7, 1, 2, 3}));
}

TEST(Versions, ReduceMaxTakesBooleansSince20) {
  const Tensor x = Make<bool>({2, 2}, {true, false, false, false});
  ExpectTensor(RunOp({"ReduceMax", 20, {}, {x, List({1})}})[0], Make<bool>({2, 1}, {true, false}));
  ExpectTensor(RunOp({"ReduceMin", 20, {}, {x, List({1})}})[0], Make<bool>({2, 1}, {false, false}));
}

TEST(Versions, ScattersReduceSince16) {
  const Tensor x = F({3}, {1, 2, 3}), indices = I({2}, {1, 1}), updates = F({2}, {5, 4});
  const auto scatter = [&](int opset, const char* reduction) {
    Attrs attrs;
    if (reduction != nullptr) attrs["reduction"] = std::string(reduction);
    return RunOp({"ScatterElements", opset, attrs, {x, indices, updates}})[0];
  };
  ExpectTensor(scatter(16, "add"), F({3}, {1, 11, 3}));
  ExpectTensor(scatter(16, "mul"), F({3}, {1, 40, 3}));
  ExpectTensor(scatter(18, "max"), F({3}, {1, 5, 3}));
  ExpectTensor(scatter(18, "min"), F({3}, {1, 2, 3}));
}

TEST(Versions, OptionalHasElementTakesPlainTensorsSince18) {
  ExpectTensor(RunOp({"OptionalHasElement", 18, {}, {F({1}, {1})}})[0], Make<bool>({}, {true}));
  ExpectTensor(RunOp({"OptionalHasElement", 18, {}, {}})[0], Make<bool>({}, {false}));
  ExpectTensor(RunOp({"OptionalGetElement", 18, {}, {F({1}, {1})}})[0], F({1}, {1}));
}

TEST(Versions, RecurrentNetworksHaveALayoutSince14) {
  const Tensor x = F({2, 1, 1}, {1, 2}), w = F({1, 1, 1}, {1}), r = F({1, 1, 1}, {0});
  const Attrs attrs = {{"hidden_size", int64_t{1}}, {"activations", std::vector<std::string>{"Relu"}}};
  ExpectTensor(RunOp({"RNN", 7, attrs, {x, w, r}})[0], F({2, 1, 1, 1}, {1, 2}));
  Attrs batchwise = attrs;
  batchwise["layout"] = int64_t{1};
  ExpectTensor(RunOp({"RNN", 14, batchwise, {F({1, 2, 1}, {1, 2}), w, r}})[0], F({1, 2, 1, 1}, {1, 2}));
}

}  // namespace
}  // namespace sluice::test
