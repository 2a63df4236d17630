#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

#include "graph/import.h"
#include "sluice/error.h"
#include "tests/e2e/tiny_model.h"

// Values from .pb files.

namespace sluice::test {
namespace {

using Kind = ValueType::Kind;

Value Read(const std::string& bytes, Kind kind) {
  char path[] = "/tmp/sluice-value-XXXXXX";
  close(mkstemp(path));
  std::ofstream(path, std::ios::binary) << bytes;
  struct Remove {
    const char* path;
    ~Remove() { std::remove(path); }
  } remove{path};
  return ReadValueProto(path, kind);
}
std::string MessageOf(const std::string& bytes, Kind kind) {
  try {
    Read(bytes, kind);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// SequenceProto: tensor_values = 3, map_values = 6.
std::string Floats(const std::vector<float>& values) {
  Message sequence;
  for (float value : values) sequence.Bytes(3, FloatTensor({}, {value}));
  return sequence.bytes();
}

TEST(ReadValue, MapsWithEitherKey) {
  // MapProto: key_type = 2, keys = 3, string_keys = 4, values = 5.
  const std::string ints = Message().Int(2, 7).Int(3, 9).Int(3, -2).Bytes(5, Floats({1, 2})).bytes();
  EXPECT_EQ((Read(ints, Kind::kMap).ToMap<int64_t, float>()), (std::map<int64_t, float>{{9, 1}, {-2, 2}}));
  const std::string packed = Message().Int(2, 7).Bytes(3, "\x05\x81\x01").Bytes(5, Floats({1, 2})).bytes();
  EXPECT_EQ((Read(packed, Kind::kMap).ToMap<int64_t, float>()), (std::map<int64_t, float>{{5, 1}, {129, 2}}));
  const std::string strings =
      Message().Int(2, 8).Bytes(4, "b").Bytes(4, "a").Bytes(5, Floats({1, 2})).bytes();
  EXPECT_EQ((Read(strings, Kind::kMap).ToMap<std::string, float>()),
            (std::map<std::string, float>{{"b", 1}, {"a", 2}}));
  const Value sequence = Read(Message().Bytes(6, strings).Bytes(6, strings).bytes(), Kind::kSequence);
  ASSERT_EQ(sequence.items().size(), 2u);
  EXPECT_TRUE(sequence.items()[1].is_map());
  EXPECT_TRUE(Read(Message().Bytes(6, ints).bytes(), Kind::kOptional).is_map());
}

TEST(ReadValue, RefusesBrokenMaps) {
  EXPECT_NE(MessageOf(Message().Int(2, 7).Int(3, 1).bytes(), Kind::kMap).find("1 keys and 0 values"),
            std::string::npos);
  const std::string twice = Message().Int(2, 7).Int(3, 1).Int(3, 1).Bytes(5, Floats({1, 2})).bytes();
  EXPECT_NE(MessageOf(twice, Kind::kMap).find("key 1 is there twice"), std::string::npos);
  const std::string wide =
      Message().Int(2, 7).Int(3, 1).Bytes(5, Message().Bytes(3, FloatTensor({2}, {1, 2})).bytes()).bytes();
  EXPECT_NE(MessageOf(wide, Kind::kMap).find("not single elements of one type"), std::string::npos);
  EXPECT_NE(MessageOf("\x1a\x02\xff\xff", Kind::kMap), "no error");
}

}  // namespace
}  // namespace sluice::test
