#include "runtime/compiled/container.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "sluice/error.h"
#include "sluice/session.h"

namespace sluice {
namespace {

std::span<const std::byte> Bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

std::string Written(const std::string& tables, std::span<const PayloadPart> parts, uint64_t payload_bytes) {
  std::string file;
  WriteContainer(Bytes(tables), parts, payload_bytes, [&](std::span<const std::byte> bytes) {
    file.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  });
  return file;
}

// Parts within chunks, over their ends and behind gaps.
struct Sample {
  std::string large = std::string(3'000'000, 'a'), small = "small";
  std::string file;
  uint64_t small_at = 4'000'000, payload_bytes = 4'000'064;

  Sample() {
    for (size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 7 + i / 255);
    const PayloadPart parts[] = {{64, Bytes(large)}, {small_at, Bytes(small)}};
    file = Written("some tables", parts, payload_bytes);
  }
};

void ExpectRefused(const std::string& file, ErrorCode code, const std::string& part) {
  try {
    VerifyPayload(OpenContainer(Bytes(file)));
    ADD_FAILURE() << "accepted; expected: " << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(Container, GivesBackWhatWasWritten) {
  const Sample sample;
  EXPECT_TRUE(IsCompiledModel(Bytes(sample.file)));
  const Container container = OpenContainer(Bytes(sample.file));
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(container.tables.data()), container.tables.size()),
            "some tables");
  ASSERT_EQ(container.payload.size(), sample.payload_bytes);
  EXPECT_EQ((container.payload.data() - Bytes(sample.file).data()) % 4096, 0);
  EXPECT_EQ(std::memcmp(container.payload.data() + 64, sample.large.data(), sample.large.size()), 0);
  EXPECT_EQ(std::memcmp(container.payload.data() + sample.small_at, "small", 5), 0);
  EXPECT_EQ(container.payload[0], std::byte(0));
  EXPECT_EQ(container.payload[sample.payload_bytes - 1], std::byte(0));
  VerifyPayload(container);
}

TEST(Container, MayHaveNoPayload) {
  const Container container = OpenContainer(Bytes(Written("t", {}, 0)));
  EXPECT_EQ(container.tables.size(), 1u);
  EXPECT_TRUE(container.payload.empty());
  VerifyPayload(container);
}

TEST(Container, NoticesEveryChangedByteOfHeaderAndTables) {
  std::string file = Written("the tables", {}, 0);
  for (size_t i = 0; i < 256 + 10; ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      file[i] = static_cast<char>(file[i] ^ (1 << bit));
      EXPECT_THROW(OpenContainer(Bytes(file)), Error) << "byte " << i;
      file[i] = static_cast<char>(file[i] ^ (1 << bit));
    }
  }
  EXPECT_NO_THROW(OpenContainer(Bytes(file)));
}

TEST(Container, NoticesAChangedByteOfThePayload) {
  const Sample sample;
  for (const size_t offset :
       {size_t{0}, size_t{64}, size_t{2'097'151}, size_t{2'097'152}, size_t{4'000'063}}) {
    std::string file = sample.file;
    file[file.size() - sample.payload_bytes + offset] ^= 0x10;
    EXPECT_NO_THROW(OpenContainer(Bytes(file)));
    ExpectRefused(file, ErrorCode::kInvalidModel, "of its weights is wrong");
  }
}

TEST(Container, NoticesEveryLength) {
  const std::string file = Sample().file;
  for (const size_t size :
       {file.size() - 1, file.size() / 2, size_t{4096}, size_t{256}, size_t{255}, size_t{8}}) {
    ExpectRefused(file.substr(0, size), ErrorCode::kInvalidModel, "damaged");
  }
  ExpectRefused(file + "x", ErrorCode::kInvalidModel, "expected " + std::to_string(file.size()));
  ExpectRefused("", ErrorCode::kInvalidModel, "not a compiled model");
  ExpectRefused("ONNX or so", ErrorCode::kInvalidModel, "not a compiled model");
}

TEST(Container, NamesOtherVersions) {
  std::string file = Written("t", {}, 0);
  file[8] = 77;
  ExpectRefused(file, ErrorCode::kUnsupported, "has format 77");
  EXPECT_TRUE(IsCompiledModel(Bytes(file)));
}

}  // namespace
}  // namespace sluice
