#include "kernels/narrow.h"
#include "tests/kernels/op_test_util.h"

// Operators that move elements below 8 bits, against the same operators on bytes; BitCast.

namespace sluice::test {
namespace {

// Every type below 8 bits.
constexpr DataType kTypes[] = {DataType::kUInt4, DataType::kInt4, DataType::kFloat4E2M1, DataType::kUInt2,
                               DataType::kInt2};

// Elements' bits, counting up.
Tensor Counting(DataType type, const Shape& shape) {
  Tensor bytes(DataType::kUInt8, shape);
  int i = 0;
  for (uint8_t& value : bytes.mutable_values<uint8_t>())
    value = static_cast<uint8_t>(7 * ++i & ((1 << DataTypeBits(type)) - 1));
  return PackNarrow(type, bytes);
}

void ExpectBits(const Value& got, DataType type, const Tensor& bytes) {
  ASSERT_EQ(got.tensor().dtype(), type);
  ExpectTensor(UnpackNarrow(got.tensor()), bytes);
}

// The operator with its narrow inputs gives what it gives for their bytes.
void Check(OpCase c, const std::vector<size_t>& narrow, const Shape& shape) {
  for (DataType type : kTypes) {
    SCOPED_TRACE(c.op + " of " + std::string(DataTypeName(type)));
    OpCase bytes = c;
    for (size_t i : narrow) {
      c.inputs[i] = Counting(type, i == 0 ? shape : Shape{});
      bytes.inputs[i] = UnpackNarrow(c.inputs[i].tensor());
    }
    ExpectBits(RunOp(c)[0], type, RunOp(bytes)[0].tensor());
  }
}

TEST(AnyBits, MoveLikeBytes) {
  const Shape shape = {3, 5, 7};
  Check({"Transpose", 25, {{"perm", std::vector<int64_t>{2, 0, 1}}}, {Tensor()}}, {0}, shape);
  Check({"Transpose", 25, {}, {Tensor()}}, {0}, shape);
  Check({"Transpose", 25, {{"perm", std::vector<int64_t>{0, 1, 2}}}, {Tensor()}}, {0}, shape);
  for (const char* mode : {"constant", "reflect", "edge", "wrap"}) {
    const Tensor pads = I({6}, {1, 0, 2, 0, 2, -1});
    Check({"Pad", 25, {{"mode", std::string(mode)}}, {Tensor(), pads}}, {0}, shape);
    Check({"Pad", 25, {{"mode", std::string(mode)}}, {Tensor(), pads, Tensor()}}, {0, 2}, shape);
  }
  Check({"Reshape", 25, {}, {Tensor(), I({2}, {15, -1})}}, {0}, shape);
  Check({"Flatten", 25, {}, {Tensor()}}, {0}, shape);
  Check({"Unsqueeze", 25, {}, {Tensor(), I({1}, {1})}}, {0}, shape);
  Check({"Squeeze", 25, {}, {Tensor(), I({1}, {0})}}, {0}, {1, 5, 7});
  Check({"Identity", 25, {}, {Tensor()}}, {0}, shape);
}

TEST(AnyBits, FillAndAskForShapes) {
  for (DataType type : kTypes) {
    const Tensor value = Counting(type, {1});
    const Value got = RunOp({"ConstantOfShape", 25, {{"value", value}}, {I({2}, {3, 5})}})[0];
    Tensor want(DataType::kUInt8, {3, 5});
    for (uint8_t& x : want.mutable_values<uint8_t>()) x = UnpackNarrow(value).values<uint8_t>()[0];
    ExpectBits(got, type, want);
    ExpectTensor(RunOp({"Shape", 25, {}, {Counting(type, {3, 5})}})[0], I({2}, {3, 5}));
    ExpectTensor(RunOp({"Size", 25, {}, {Counting(type, {3, 5})}})[0], I({}, {15}));
  }
}

TEST(AnyBits, SequencesSplitAndJoin) {
  for (DataType type : kTypes) {
    const Tensor whole = Counting(type, {5, 3});
    const Value parts = RunOp({"SplitToSequence", 24, {}, {whole, I({}, {2})}})[0];
    EXPECT_EQ(parts.items().size(), 3u);
    ExpectBits(RunOp({"ConcatFromSequence", 11, {{"axis", int64_t{0}}}, {parts}})[0], type,
               UnpackNarrow(whole));
  }
}

TEST(BitCast, KeepsBits) {
  const auto cast = [](const Tensor& x, DataType to) {
    return RunOp({"BitCast", 26, {{"to", static_cast<int64_t>(to)}}, {x}})[0];
  };
  ExpectTensor(cast(F({3}, {1.0f, -2.5f, 3.75f}), DataType::kInt32),
               Make<int32_t>({3}, {1065353216, -1071644672, 1081081856}));
  ExpectTensor(cast(Make<int32_t>({1, 2}, {1065353216, -1071644672}), DataType::kFloat),
               F({1, 2}, {1.0f, -2.5f}));
  ExpectTensor(cast(Make<double>({}, {-2.5}), DataType::kInt64), I({}, {-4610560118520545280}));
  ExpectTensor(cast(Make<int8_t>({4}, {-1, -128, 127, 0}), DataType::kUInt8),
               Make<uint8_t>({4}, {255, 128, 127, 0}));
  ExpectTensor(cast(Make<bool>({2}, {true, false}), DataType::kUInt8), Make<uint8_t>({2}, {1, 0}));
  ExpectTensor(cast(Make<uint16_t>({2}, {32768, 65535}), DataType::kInt16), Make<int16_t>({2}, {-32768, -1}));
  ExpectBits(cast(Counting(DataType::kUInt4, {5}), DataType::kFloat4E2M1), DataType::kFloat4E2M1,
             UnpackNarrow(Counting(DataType::kUInt4, {5})));
  ExpectRefused({"BitCast", 26, {{"to", int64_t{7}}}, {F({1}, {1})}},
                "expected a type of as many bits as float");
  ExpectRefused({"BitCast", 26, {{"to", int64_t{8}}}, {F({1}, {1})}}, "to is string");
  ExpectRefused({"BitCast", 26, {{"to", int64_t{99}}}, {F({1}, {1})}}, "to is 99");
}

}  // namespace
}  // namespace sluice::test
