#include "tools/npy.h"

#include <gtest/gtest.h>

#include <cstring>

#include "kernels/half.h"
#include "sluice/error.h"
#include "tools/compare.h"

namespace sluice::tools {
namespace {

std::vector<std::byte> File(int version, const std::string& header, const std::string& data) {
  std::string text = "\x93NUMPY";
  text += {static_cast<char>(version), '\0', static_cast<char>(header.size()), '\0'};
  if (version > 1) text += {'\0', '\0'};
  text += header + data;
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

template <typename T>
std::string Raw(std::initializer_list<T> values) {
  std::string text(values.size() * sizeof(T), '\0');
  std::memcpy(text.data(), values.begin(), text.size());
  return text;
}

void ExpectRefused(const std::vector<std::byte>& bytes, const std::string& part) {
  try {
    ParseNpy(bytes, "x.npy");
    ADD_FAILURE() << "not refused: " << part;
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  }
}

TEST(Npy, ReadsEveryVersionOfTheFormat) {
  for (int version : {1, 2, 3}) {
    const Tensor tensor = ParseNpy(
        File(version, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }\n", Raw<float>({1.5f, -2})), "x");
    EXPECT_EQ(tensor.dtype(), DataType::kFloat);
    EXPECT_EQ(tensor.shape(), (Shape{2, 1}));
    EXPECT_EQ(tensor.values<float>()[1], -2);
  }
}

TEST(Npy, TurnsFortranOrderAround) {
  const Tensor tensor = ParseNpy(
      File(1, "{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3), }", Raw<int16_t>({1, 4, 2, 5, 3, 6})), "x");
  const auto values = tensor.values<int16_t>();
  EXPECT_EQ(std::vector<int16_t>(values.begin(), values.end()), (std::vector<int16_t>{1, 2, 3, 4, 5, 6}));
}

TEST(Npy, SwapsBigEndianElements) {
  const Tensor tensor = ParseNpy(
      File(1, "{'descr': '>u2', 'fortran_order': False, 'shape': (2,), }", std::string("\1\2\3\4", 4)), "x");
  EXPECT_EQ(tensor.values<uint16_t>()[0], 0x0102);
  EXPECT_EQ(tensor.values<uint16_t>()[1], 0x0304);
}

TEST(Npy, ReadsScalarsAndEmptyArrays) {
  EXPECT_EQ(ParseNpy(File(1, "{'descr': '<i8', 'fortran_order': False, 'shape': (), }", Raw<int64_t>({7})), "x")
                .values<int64_t>()[0],
            7);
  EXPECT_EQ(ParseNpy(File(1, "{'descr': '<i8', 'fortran_order': True, 'shape': (3, 0), }", ""), "x").shape(),
            (Shape{3, 0}));
}

TEST(Npy, ReadsBytesAndUnicodeAsStrings) {
  const Tensor bytes =
      ParseNpy(File(1, "{'descr': '|S3', 'fortran_order': False, 'shape': (2,), }", std::string("abcd\0\0", 6)), "x");
  EXPECT_EQ(bytes.values<std::string>()[0], "abc");
  EXPECT_EQ(bytes.values<std::string>()[1], "d");
  const Tensor unicode = ParseNpy(
      File(3, "{'descr': '<U2', 'fortran_order': False, 'shape': (1,), }", Raw<uint32_t>({0xe9, 0x1f600})), "x");
  EXPECT_EQ(unicode.values<std::string>()[0], "\xc3\xa9\xf0\x9f\x98\x80");
}

TEST(Npy, EveryTypeSurvivesWritingAndReading) {
  for (DataType type : {DataType::kFloat, DataType::kUInt8, DataType::kInt8, DataType::kUInt16, DataType::kInt16,
                        DataType::kInt32, DataType::kInt64, DataType::kBool, DataType::kFloat16, DataType::kDouble,
                        DataType::kUInt32, DataType::kUInt64, DataType::kComplex64, DataType::kComplex128,
                        DataType::kBFloat16, DataType::kFloat8E4M3FN, DataType::kFloat8E5M2, DataType::kUInt4,
                        DataType::kInt4, DataType::kFloat4E2M1, DataType::kUInt2, DataType::kInt2}) {
    for (const Shape& shape : {Shape{}, Shape{5}, Shape{2, 3}, Shape{0, 4}}) {
      Tensor tensor(type, shape);
      auto* bytes = static_cast<uint8_t*>(tensor.mutable_data());
      // The padding of an odd number of 4-bit elements is zero.
      std::memset(bytes, 0, static_cast<size_t>(tensor.byte_size()));
      const bool packed = DataTypeBits(type) < 8;
      for (int64_t i = 0; i < tensor.byte_size() - (packed ? 1 : 0); ++i) {
        bytes[i] = type == DataType::kBool ? i & 1 : static_cast<uint8_t>(1 + 7 * i % 60);
      }
      const Tensor read = AsDeclared(ParseNpy(FormatNpy(tensor), "x"), type);
      ASSERT_EQ(read.dtype(), type) << DataTypeName(type);
      ASSERT_EQ(read.shape(), shape) << DataTypeName(type);
      EXPECT_EQ(std::memcmp(read.data(), tensor.data(), static_cast<size_t>(tensor.byte_size())), 0)
          << DataTypeName(type);
    }
  }
}

TEST(Npy, StringsSurviveWritingAndReading) {
  const std::vector<std::string> texts = {"", "caf\xc3\xa9", "\xf0\x9f\x98\x80 x"};
  const Tensor tensor = Tensor::From<std::string>({3}, texts);
  EXPECT_TRUE(Compare(ParseNpy(FormatNpy(tensor), "x"), tensor, {}).equal);
}

TEST(Npy, ElementsStartAtAMultipleOf64Bytes) {
  for (int rank = 0; rank < 20; ++rank) {
    const Tensor tensor(DataType::kUInt8, Shape(static_cast<size_t>(rank), 1));
    EXPECT_EQ((FormatNpy(tensor).size() - 1) % 64, 0u) << rank;
  }
}

TEST(Npy, RefusesWhatIsNoArray) {
  const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
  ExpectRefused({}, "no .npy");
  ExpectRefused(File(4, good, Raw<float>({1, 2})), "version 4");
  ExpectRefused(File(1, good, Raw<float>({1})), "takes 8 bytes, the file has 4");
  ExpectRefused(File(1, good, Raw<float>({1, 2, 3})), "takes 8 bytes, the file has 12");
  ExpectRefused(File(1, "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", ""), "'|O'");
  ExpectRefused(File(1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", ""), "records");
  ExpectRefused(File(1, "{'descr': '<f4', 'shape': (2,), }", ""), "lacks");
  ExpectRefused(File(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }", ""), "tuple");
  ExpectRefused(File(1, "{'descr': '<f4", ""), "garbled");
  ExpectRefused(File(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", ""), "64 bits");
}

TEST(Npy, RefusesSizesThatOverflow) {
  const auto bytes =
      File(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 2), }", Raw<float>({1}));
  EXPECT_THROW(ParseNpy(bytes, "x"), Error);
  EXPECT_THROW(
      ParseNpy(File(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (2305843009213693952,), }", ""), "x"), Error);
}

TEST(Npy, EveryTruncationIsRefused) {
  const std::vector<std::byte> whole = FormatNpy(Tensor::From<float>({2}, std::vector<float>{1, 2}));
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THROW(ParseNpy(std::span(whole).first(size), "x"), Error) << size;
  }
}

}  // namespace
}  // namespace sluice::tools
