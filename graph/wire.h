#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace sluice {

// Reads the fields of one serialized protobuf message. Throws Error{kInvalidModel} that gives the
// byte where the message is broken, counted from `origin`.
class WireReader {
 public:
  struct Field {
    int number = 0;
    int wire_type = 0;                  // 0 varint, 1 fixed64, 2 bytes, 5 fixed32
    uint64_t varint = 0;                // wire type 0
    std::span<const std::byte> bytes;   // payload; of varints and fixed ones their encoding
    std::span<const std::byte> whole;   // with tag and length
  };

  WireReader(std::span<const std::byte> message, const std::byte* origin) : rest_(message), origin_(origin) {}
  // False at the end.
  bool Next(Field& field);
  // The numbers of a packed repeated field.
  static std::vector<uint64_t> PackedVarints(std::span<const std::byte> bytes, const std::byte* origin);

 private:
  uint64_t Varint();
  std::span<const std::byte> Take(uint64_t count);
  [[noreturn]] void Fail(const std::string& what) const;

  std::span<const std::byte> rest_;
  const std::byte* origin_;
};

// An ONNX ModelProto without its bulk: every TensorProto.raw_data is replaced by 8 bytes, the index
// (little-endian) of its bytes in `blobs`, so that parsing copies no weights. Training information is
// left out. Throws Error{kInvalidModel} for broken messages and graphs nested more than 64 deep.
struct Skeleton {
  std::string model;
  std::vector<std::span<const std::byte>> blobs;  // views of the model given
};
Skeleton SkeletonOf(std::span<const std::byte> model);

}  // namespace sluice
