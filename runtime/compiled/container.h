#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

namespace sluice {

// The file of a compiled model, as far as it is about bytes:
//
//   header, 256 bytes    magic, format, version of the library, sizes, checksum of itself and of what follows
//   tables               runtime/compiled/tables.h
//   a checksum for each chunk of the payload
//   zeros up to a page
//   payload              elements of tensors and packed weights
//
// Numbers are as the machine has them: the file is for the kind of machine that wrote it.

// What the file begins with, whatever its version.
bool IsCompiledModel(std::span<const std::byte> file);

struct Container {
  std::span<const std::byte> tables;
  std::span<const std::byte> payload;
  std::span<const std::byte> chunk_sums;
};

// Where things lie in a file. Checks everything but the payload's bytes. Throws Error{kInvalidModel} for
// damage, Error{kUnsupported} for another format or version of the library.
Container OpenContainer(std::span<const std::byte> file);

// Reads the whole payload. Throws Error{kInvalidModel} that names the damaged place.
void VerifyPayload(const Container& container);

// What is put into the payload at `offset`; ascending, without overlaps.
struct PayloadPart {
  uint64_t offset;
  std::span<const std::byte> bytes;
};

// Writes a file; the payload has `payload_bytes`, zeros where no part is.
void WriteContainer(std::span<const std::byte> tables, std::span<const PayloadPart> parts,
                    uint64_t payload_bytes, const std::function<void(std::span<const std::byte>)>& sink);

}  // namespace sluice
