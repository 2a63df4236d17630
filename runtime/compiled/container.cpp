#include "runtime/compiled/container.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "graph/printable.h"
#include "runtime/compiled/checksum.h"
#include "sluice/error.h"
#include "sluice/session.h"

namespace sluice {
namespace {

// No text and no other format begins so; a transfer as text would change it.
constexpr char kMagic[8] = {'\x93', 'S', 'L', 'U', 'I', 'C', 'E', '\n'};
// Counts up with every change of the header, of the tables or of the meaning of a format of packed weights.
constexpr uint32_t kFormat = 2;
constexpr uint64_t kPage = 4096;
constexpr uint64_t kChunk = uint64_t{1} << 20;

struct Header {
  char magic[8];
  uint32_t format;
  uint32_t byte_order;
  char library[32];  // its version, padded with zeros
  uint64_t file_bytes;
  uint64_t tables_bytes;
  uint64_t payload_offset;
  uint64_t payload_bytes;
  uint64_t tables_sum;  // of the tables and the chunks' checksums
  char unused[160];
  uint64_t header_sum;  // of all before it
};
static_assert(sizeof(Header) == 256);
constexpr uint32_t kByteOrder = 0x01020304;

uint64_t RoundUp(uint64_t size, uint64_t unit) { return (size + unit - 1) / unit * unit; }
uint64_t Chunks(uint64_t payload_bytes) { return RoundUp(payload_bytes, kChunk) / kChunk; }

std::span<const std::byte> Bytes(const Header& header) { return std::as_bytes(std::span(&header, 1)); }
uint64_t SumOf(const Header& header) { return Checksum(Bytes(header).first(offsetof(Header, header_sum))); }

[[noreturn]] void Damaged(const std::string& what) {
  throw Error(ErrorCode::kInvalidModel, "the compiled model is damaged: " + what);
}

void CheckWriter(const Header& header) {
  const std::string again = "; compile the model again with this one";
  if (header.format != kFormat) {
    throw Error(ErrorCode::kUnsupported, "the compiled model has format " + std::to_string(header.format) +
                                             ", this version of Sluice reads format " +
                                             std::to_string(kFormat) + again);
  }
  if (header.byte_order != kByteOrder)
    throw Error(ErrorCode::kUnsupported,
                "the compiled model was written by a machine of another byte order" + again);
  if (SumOf(header) != header.header_sum) Damaged("its header's checksum is wrong");
  const std::string_view library(header.library, strnlen(header.library, sizeof header.library));
  if (library != Version()) {
    throw Error(ErrorCode::kUnsupported, "the compiled model was written by Sluice " + Printable(library) +
                                             ", this is " + std::string(Version()) + again);
  }
}

// Calls fn with one chunk of the payload after the other.
template <typename Fn>
void ForEachChunk(std::span<const PayloadPart> parts, uint64_t payload_bytes, Fn fn) {
  std::vector<std::byte> chunk(kChunk);
  auto part = parts.begin();
  for (uint64_t begin = 0; begin < payload_bytes; begin += kChunk) {
    const uint64_t end = std::min(begin + kChunk, payload_bytes);
    std::fill(chunk.begin(), chunk.end(), std::byte(0));
    while (part != parts.end() && part->offset < end) {
      const uint64_t part_end = part->offset + part->bytes.size();
      const uint64_t from = std::max(begin, part->offset), to = std::min(end, part_end);
      std::copy_n(part->bytes.begin() + static_cast<int64_t>(from - part->offset), to - from,
                  chunk.begin() + static_cast<int64_t>(from - begin));
      if (part_end > end) break;
      ++part;
    }
    fn(std::span<const std::byte>(chunk).first(end - begin));
  }
}

}  // namespace

bool IsCompiledModel(std::span<const std::byte> file) {
  return file.size() >= sizeof kMagic && std::memcmp(file.data(), kMagic, sizeof kMagic) == 0;
}

Container OpenContainer(std::span<const std::byte> file) {
  Header header;
  if (!IsCompiledModel(file)) throw Error(ErrorCode::kInvalidModel, "not a compiled model");
  if (file.size() < sizeof header) Damaged("it ends after " + std::to_string(file.size()) + " bytes");
  std::memcpy(&header, file.data(), sizeof header);
  CheckWriter(header);
  if (header.file_bytes != file.size()) {
    Damaged("it has " + std::to_string(file.size()) + " bytes, expected " +
            std::to_string(header.file_bytes));
  }
  // A checksum that anybody can compute vouches for nothing: sizes are checked as if there were none.
  const uint64_t size = file.size();
  if (header.payload_bytes > size || header.payload_offset != size - header.payload_bytes ||
      header.payload_offset % kPage != 0) {
    Damaged("its payload lies outside of it");
  }
  const uint64_t sums_bytes = Chunks(header.payload_bytes) * sizeof(uint64_t);
  if (header.payload_offset < sizeof header || sums_bytes > header.payload_offset - sizeof header ||
      header.tables_bytes > header.payload_offset - sizeof header - sums_bytes) {
    Damaged("its tables lie outside of it");
  }
  const auto summed = file.subspan(sizeof header, header.tables_bytes + sums_bytes);
  if (Checksum(summed) != header.tables_sum) Damaged("its tables' checksum is wrong");
  return {summed.first(header.tables_bytes), file.subspan(header.payload_offset),
          summed.subspan(header.tables_bytes)};
}

void VerifyPayload(const Container& container) {
  for (uint64_t chunk = 0; chunk * kChunk < container.payload.size(); ++chunk) {
    const uint64_t begin = chunk * kChunk,
                   size = std::min<uint64_t>(kChunk, container.payload.size() - begin);
    uint64_t sum = 0;
    std::memcpy(&sum, container.chunk_sums.data() + chunk * sizeof sum, sizeof sum);
    if (Checksum(container.payload.subspan(begin, size)) != sum) {
      Damaged("the checksum of bytes " + std::to_string(begin) + " to " + std::to_string(begin + size) +
              " of its weights is wrong");
    }
  }
}

void WriteContainer(std::span<const std::byte> tables, std::span<const PayloadPart> parts,
                    uint64_t payload_bytes, const std::function<void(std::span<const std::byte>)>& sink) {
  std::vector<std::byte> summed(tables.begin(), tables.end());
  ForEachChunk(parts, payload_bytes, [&](std::span<const std::byte> chunk) {
    const uint64_t sum = Checksum(chunk);
    const auto bytes = std::as_bytes(std::span(&sum, 1));
    summed.insert(summed.end(), bytes.begin(), bytes.end());
  });
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.format = kFormat;
  header.byte_order = kByteOrder;
  std::copy_n(Version().begin(), std::min(Version().size(), sizeof header.library - 1), header.library);
  header.tables_bytes = tables.size();
  header.payload_offset = RoundUp(sizeof header + summed.size(), kPage);
  header.payload_bytes = payload_bytes;
  header.file_bytes = header.payload_offset + payload_bytes;
  header.tables_sum = Checksum(summed);
  header.header_sum = SumOf(header);
  sink(Bytes(header));
  summed.resize(header.payload_offset - sizeof header);
  sink(summed);
  ForEachChunk(parts, payload_bytes, sink);
}

}  // namespace sluice
