#include "runtime/compiled/tables.h"

#include <gtest/gtest.h>

#include "sluice/error.h"

namespace sluice {
namespace {

CompiledTables Sample() {
  CompiledTables tables;
  tables.facts = {{"accuracy", "fast"}, {"", ""}};
  tables.sources = {{"/a/model.onnx", 7, -1, 9}};
  tables.outputs = {{"y", false}, {"z", true}};
  tables.notes = {{"pass", "place", "text", true}};
  tables.constants = {{0, 100}, {CompiledTables::Constant::kLeftOut, 5000}, {128, 64}};
  tables.packed = {{1, "winograd 4", 256, 128}};
  tables.choices = {{3, "float[1]", 2, "winograd 4", {"not float"}}};
  tables.graph = "the graph";
  return tables;
}
constexpr uint64_t kPayload = 256 + 192;

CompiledTables Read(const std::string& bytes, uint64_t payload = kPayload) {
  return ReadTables(std::as_bytes(std::span(bytes)), payload);
}

TEST(CompiledTables, ComeBack) {
  const CompiledTables tables = Sample();
  const std::string bytes = WriteTables(tables);
  const CompiledTables read = Read(bytes);
  EXPECT_EQ(read.facts, tables.facts);
  EXPECT_EQ(read.sources, tables.sources);
  ASSERT_EQ(read.outputs.size(), 2u);
  EXPECT_EQ(read.outputs[1].name, "z");
  EXPECT_TRUE(read.outputs[1].is_random);
  ASSERT_EQ(read.notes.size(), 1u);
  EXPECT_EQ(read.notes[0].place, "place");
  ASSERT_EQ(read.constants.size(), 3u);
  EXPECT_EQ(read.constants[1].offset, CompiledTables::Constant::kLeftOut);
  ASSERT_EQ(read.packed.size(), 1u);
  EXPECT_EQ(read.packed[0].format, "winograd 4");
  ASSERT_EQ(read.choices.size(), 1u);
  EXPECT_EQ(read.choices[0].kernel, "winograd 4");
  EXPECT_EQ(read.choices[0].declined, std::vector<std::string>{"not float"});
  EXPECT_EQ(read.graph, "the graph");
  // Written again they are the same.
  EXPECT_EQ(WriteTables(read), bytes);
}

// What lies outside of the payload is refused, with the room that vector loads need behind it.
TEST(CompiledTables, CheckPlaces) {
  const auto refused = [](const auto& change) {
    CompiledTables tables = Sample();
    change(tables);
    EXPECT_THROW(Read(WriteTables(tables)), Error);
  };
  EXPECT_THROW(Read(WriteTables(Sample()), kPayload - 1), Error);
  refused([](CompiledTables& t) { t.constants[0].offset = 32; });
  refused([](CompiledTables& t) { t.constants[0].offset = 1 << 20; });
  refused([](CompiledTables& t) { t.constants[0].bytes = kPayload; });
  refused([](CompiledTables& t) { t.constants[0].bytes = ~uint64_t{0}; });
  refused([](CompiledTables& t) { t.constants[0].bytes = 0; });
  refused([](CompiledTables& t) { t.constants[1].bytes = 0; });
  refused([](CompiledTables& t) { t.constants[1].bytes = ~uint64_t{0}; });
  refused([](CompiledTables& t) { t.packed[0].offset = ~uint64_t{63}; });
  refused([](CompiledTables& t) { t.packed[0].bytes = kPayload - 256; });
  refused([](CompiledTables& t) { t.packed[0].constant = 3; });
}

TEST(CompiledTables, EndsAnywhereAreRefused) {
  const std::string bytes = WriteTables(Sample());
  for (size_t size = 0; size < bytes.size(); ++size) EXPECT_THROW(Read(bytes.substr(0, size)), Error) << size;
  EXPECT_THROW(Read(bytes + "x"), Error);
}

// A list that claims more items than there are bytes must not take the memory for them.
TEST(CompiledTables, LengthsAreBounded) {
  std::string bytes = WriteTables(Sample());
  for (size_t at = 0; at + 8 <= bytes.size(); ++at) {
    std::string damaged = bytes;
    damaged.replace(at, 8, 8, '\x7f');
    try {
      Read(damaged);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidModel);
    }
  }
}

}  // namespace
}  // namespace sluice
