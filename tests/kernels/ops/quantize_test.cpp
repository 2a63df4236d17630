#include "kernels/quantized.h"
#include "tests/kernels/ops/conv_reference.h"

// QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear.

namespace sluice::test {
namespace {

Tensor U8(const Shape& shape, std::initializer_list<uint8_t> values) { return Make<uint8_t>(shape, values); }
Tensor I8(const Shape& shape, std::initializer_list<int8_t> values) { return Make<int8_t>(shape, values); }

std::vector<double> Elements(const Tensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.num_elements()));
  LoadAsFloat(tensor.dtype(), tensor.data(), 0, tensor.num_elements(), values.data());
  return {values.begin(), values.end()};
}

// A tensor of any quantised type.
Tensor Quantized(DataType type, const Shape& shape, const std::vector<int>& values) {
  Tensor tensor(type, shape);
  std::memset(tensor.mutable_data(), 0, static_cast<size_t>(tensor.byte_size()));
  const int bits = DataTypeBits(type);
  auto* bytes = static_cast<uint8_t*>(tensor.mutable_data());
  for (size_t i = 0; i < values.size(); ++i) {
    for (int bit = 0; bit < bits; ++bit) {
      const size_t at = i * static_cast<size_t>(bits) + static_cast<size_t>(bit);
      if (values[i] >> bit & 1) bytes[at / 8] = static_cast<uint8_t>(bytes[at / 8] | 1u << at % 8);
    }
  }
  return tensor;
}

struct Range {
  DataType type;
  int low, high;
};
const std::vector<Range> kTypes = {{DataType::kInt8, -128, 127},      {DataType::kUInt8, 0, 255},
                                   {DataType::kInt16, -32768, 32767}, {DataType::kUInt16, 0, 65535},
                                   {DataType::kInt4, -8, 7},          {DataType::kUInt4, 0, 15},
                                   {DataType::kInt2, -2, 1},          {DataType::kUInt2, 0, 3}};

TEST(QuantizeLinear, MatchesTheStandardsExamples) {
  const Tensor x = F({6}, {0, 2, 3, 1000, -254, -1000});
  ExpectTensor(RunOp({"QuantizeLinear", 10, {}, {x, F({}, {2}), U8({}, {128})}})[0],
               U8({6}, {128, 129, 130, 255, 1, 0}));
  ExpectTensor(RunOp({"QuantizeLinear", 10, {}, {x, F({}, {2})}})[0], U8({6}, {0, 1, 2, 255, 0, 0}));
  // Halves go to the even neighbour, NaN and infinities to the ends.
  ExpectTensor(
      RunOp({"QuantizeLinear",
             13,
             {},
             {F({7}, {0.5f, 1.5f, 2.5f, -0.5f, NAN, INFINITY, -INFINITY}), F({1}, {1}), I8({1}, {0})}})[0],
      I8({7}, {0, 2, 2, 0, -128, 127, -128}));
  ExpectTensor(RunOp({"QuantizeLinear", 21, {{"output_dtype", int64_t{3}}}, {x, F({}, {10})}})[0],
               I8({6}, {0, 0, 0, 100, -25, -100}));
  ExpectTensor(RunOp({"DequantizeLinear", 10, {}, {U8({4}, {0, 3, 128, 255}), F({}, {2}), U8({}, {128})}})[0],
               F({4}, {-256, -250, 0, 254}));
  ExpectTensor(RunOp({"DequantizeLinear", 13, {}, {Make<int32_t>({2}, {-3, 1000000}), F({}, {0.5f})}})[0],
               F({2}, {-1.5f, 500000}));
}

// Every type and scaling against the formula; the reverse returns what was quantised.
TEST(QuantizeLinear, RandomShapes) {
  std::mt19937 engine(3);
  for (int round = 0; round < 300 && !testing::Test::HasFailure(); ++round) {
    const Range range = kTypes[engine() % kTypes.size()];
    Shape shape;
    for (size_t axes = 1 + engine() % 4; axes > 0; --axes) shape.push_back(Draw(engine, {1, 2, 3, 5, 40}));
    if (engine() % 20 == 0) shape[0] = 0;
    const int64_t axis = static_cast<int64_t>(engine() % shape.size()), kind = Draw(engine, {0, 1, 2});
    Shape scales;
    Attrs attrs;
    int64_t block = shape[static_cast<size_t>(axis)];
    if (kind > 0) attrs["axis"] = engine() % 2 == 0 ? axis : axis - static_cast<int64_t>(shape.size());
    if (kind == 1) scales = {shape[static_cast<size_t>(axis)]};
    if (kind == 2) {
      block = Draw(engine, {1, 2, 3, 64});
      attrs["block_size"] = block;
      scales = shape;
      scales[static_cast<size_t>(axis)] = (shape[static_cast<size_t>(axis)] + block - 1) / block;
    }
    Tensor scale = Random(scales, static_cast<uint32_t>(round));
    for (float& value : scale.mutable_values<float>()) value = std::abs(value) + 0.05f;
    std::vector<int> zeros;
    for (int64_t i = 0; i < NumElements(scales); ++i) {
      zeros.push_back(range.low +
                      static_cast<int>(engine() % static_cast<unsigned>(range.high - range.low + 1)));
    }
    const bool has_zero = range.type == DataType::kUInt8 ? engine() % 2 == 0 : true;
    if (!has_zero) std::fill(zeros.begin(), zeros.end(), 0);
    const Tensor zero = has_zero ? Quantized(range.type, scales, zeros) : Tensor();
    const Tensor x =
        Random(shape, static_cast<uint32_t>(1000 + round), static_cast<float>(range.high) * 0.7f);
    SCOPED_TRACE("round " + std::to_string(round) + " " + std::string(DataTypeName(range.type)) +
                 ToString(shape) + ToString(scales));

    const Tensor q = RunOp({"QuantizeLinear", 25, attrs, {x, scale, zero}})[0].tensor();
    ASSERT_EQ(q.dtype(), range.type);
    const Tensor back = RunOp({"DequantizeLinear", 25, attrs, {q, scale, zero}})[0].tensor();
    const std::vector<double> got = Elements(q);
    int64_t inner = 1;
    for (size_t i = static_cast<size_t>(axis) + 1; i < shape.size(); ++i) inner *= shape[i];
    for (int64_t i = 0; i < x.num_elements(); ++i) {
      const int64_t position = i / inner % shape[static_cast<size_t>(axis)],
                    outer = i / inner / shape[static_cast<size_t>(axis)];
      const int64_t at =
          kind == 0   ? 0
          : kind == 1 ? position
                      : (outer * scales[static_cast<size_t>(axis)] + position / block) * inner + i % inner;
      const float s = scale.values<float>()[static_cast<size_t>(at)];
      const int z = zeros[static_cast<size_t>(at)];
      const double want =
          std::clamp(std::nearbyint(double{x.values<float>()[static_cast<size_t>(i)] / s}) + z,
                     static_cast<double>(range.low), static_cast<double>(range.high));
      ASSERT_EQ(got[static_cast<size_t>(i)], want) << i;
      ASSERT_NEAR(back.values<float>()[static_cast<size_t>(i)], (want - z) * s, 1e-4 * std::abs(want - z) * s)
          << i;
    }
  }
}

TEST(QuantizeLinear, OtherFloatTypes) {
  Tensor x(DataType::kFloat16, {3}), scale(DataType::kFloat16, {});
  const float values[] = {1, -3, 100};
  for (size_t i = 0; i < 3; ++i) x.mutable_values<Half>()[i] = Half(values[i]);
  scale.mutable_values<Half>()[0] = Half(0.5f);
  const Tensor q = RunOp({"QuantizeLinear", 19, {}, {x, scale, I8({}, {1})}})[0].tensor();
  ExpectTensor(q, I8({3}, {3, -5, 127}));
  const Tensor back = RunOp({"DequantizeLinear", 19, {}, {q, scale, I8({}, {1})}})[0].tensor();
  ASSERT_EQ(back.dtype(), DataType::kFloat16);
  EXPECT_EQ(float{back.values<Half>()[2]}, 63.0f);
  ExpectTensor(RunOp({"DequantizeLinear", 23, {{"output_dtype", int64_t{1}}}, {q, scale, I8({}, {1})}})[0],
               F({3}, {1, -3, 63}));
  ExpectTensor(RunOp({"QuantizeLinear", 13, {}, {Make<int32_t>({2}, {7, -9}), F({}, {2}), I8({}, {0})}})[0],
               I8({2}, {4, -4}));
}

TEST(QuantizeLinear, NarrowFloats) {
  const Tensor x = F({5}, {0, 1, -3, 2000, 0.3f}), scale = F({}, {2});
  const auto round_trip = [&](DataType type, int64_t saturate) {
    const Tensor q = RunOp({"QuantizeLinear",
                            23,
                            {{"output_dtype", static_cast<int64_t>(type)}, {"saturate", saturate}},
                            {x, scale}})[0]
                         .tensor();
    EXPECT_EQ(q.dtype(), type);
    return RunOp({"DequantizeLinear", 23, {}, {q, scale}})[0];
  };
  ExpectTensor(round_trip(DataType::kFloat8E4M3FN, 1), F({5}, {0, 1, -3, 896, 0.3125f}));
  ExpectTensor(round_trip(DataType::kFloat8E4M3FN, 0), F({5}, {0, 1, -3, NAN, 0.3125f}));
  ExpectTensor(round_trip(DataType::kFloat8E5M2, 1), F({5}, {0, 1, -3, 2048, 0.3125f}));
  ExpectTensor(round_trip(DataType::kFloat4E2M1, 1), F({5}, {0, 1, -3, 12, 0}));
}

TEST(QuantizeLinear, Misuse) {
  const Tensor x = Random({2, 3}, 1);
  ExpectRefused({"QuantizeLinear", 13, {}, {x, F({2}, {1, 1})}},
                "input 1 has 2 elements, expected 3, the size of axis 1");
  ExpectRefused({"QuantizeLinear", 10, {}, {x, F({3}, {1, 1, 1})}}, "expected one");
  ExpectRefused({"QuantizeLinear", 13, {{"axis", int64_t{2}}}, {x, F({3}, {1, 1, 1})}}, "axis 2 is outside");
  ExpectRefused({"QuantizeLinear", 13, {}, {x, F({1, 1}, {1})}}, "has rank 2");
  ExpectRefused({"QuantizeLinear", 21, {{"block_size", int64_t{2}}}, {x, F({2, 1}, {1, 1})}},
                "expected [2, 2]");
  ExpectRefused({"QuantizeLinear", 21, {{"block_size", int64_t{-2}}}, {x, F({2, 1}, {1, 1})}},
                "block_size is -2");
  ExpectRefused({"QuantizeLinear", 21, {{"output_dtype", int64_t{3}}}, {x, F({}, {1}), U8({}, {1})}},
                "output_dtype is int8, input 2 is uint8");
  ExpectRefused({"QuantizeLinear", 13, {}, {x, F({3}, {1, 1, 1}), U8({2}, {1, 1})}},
                "expected the shape of input 1");
  ExpectRefused({"DequantizeLinear", 13, {}, {U8({1}, {1}), F({}, {1}), I8({}, {1})}},
                "input 2 is int8, expected input 0's type, uint8");
  ExpectRefused({"DequantizeLinear", 13, {}, {U8({1}, {1}), I8({}, {1})}}, "input 1 is int8");
  ExpectRefused({"DequantizeLinear", 13, {}, {I({1}, {1}), F({}, {1})}}, "takes no elements of type int64");
}

TEST(DynamicQuantizeLinear, MatchesTheStandardsExamples) {
  auto out = RunOp({"DynamicQuantizeLinear", 11, {}, {F({6}, {0, 2, -3, -2.5f, 1.34f, 0.5f})}, 3});
  ExpectTensor(out[0], U8({6}, {153, 255, 0, 26, 221, 179}));
  ExpectTensor(out[1], F({}, {0.0196078438f}));
  ExpectTensor(out[2], U8({}, {153}));
  out = RunOp({"DynamicQuantizeLinear", 11, {}, {F({6}, {-1, -2.1f, -1.3f, -2.5f, -3.34f, -4})}, 3});
  ExpectTensor(out[0], U8({6}, {191, 121, 172, 96, 42, 0}));
  ExpectTensor(out[2], U8({}, {255}));
  out = RunOp({"DynamicQuantizeLinear", 11, {}, {F({2}, {0, 0})}, 3});
  ExpectTensor(out[0], U8({2}, {0, 0}));
  ExpectTensor(out[1], F({}, {1}));
  EXPECT_EQ(RunOp({"DynamicQuantizeLinear", 11, {}, {F({0}, {})}, 3})[0].tensor().shape(), (Shape{0}));
}

}  // namespace
}  // namespace sluice::test
