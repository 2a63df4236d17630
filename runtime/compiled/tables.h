#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sluice/session.h"

namespace sluice {

// What a compiled model depends on beside its source: name and value.
using Fact = std::pair<std::string, std::string>;

// A file that a compiled model was made of.
struct SourceFile {
  std::string path;
  int64_t bytes = 0;
  int64_t modified_ns = 0;  // since the epoch
  uint64_t inode = 0;

  bool operator==(const SourceFile&) const = default;
};

// Everything that a compiled model consists of but the elements of tensors and packed weights. Offsets are
// into the payload, and multiples of kPayloadAlignment.
struct CompiledTables {
  // The elements of a tensor of the graph.
  struct Constant {
    static constexpr uint64_t kLeftOut = ~uint64_t{0};
    uint64_t offset = kLeftOut;  // kLeftOut: kernels have them packed, and nobody else reads them
    uint64_t bytes = 0;
  };
  // See PackShared.
  struct Packed {
    uint32_t constant = 0;
    std::string format;
    uint64_t offset = 0, bytes = 0;
  };
  // The kernel that was chosen for a node with inputs of certain types, sizes and layouts.
  struct Choice {
    uint32_t node = 0;  // in the order of graph/binary/graph_binary.h
    std::string inputs;
    uint32_t candidate = 0;  // index into Operator::kernels
    std::string kernel;      // its name, which tells apart the ways in which one kernel may do it
    std::vector<std::string> declined;
  };
  struct Output {
    std::string name;
    bool is_random = false;
  };

  std::vector<Fact> facts;
  std::vector<SourceFile> sources;
  std::vector<Output> outputs;
  std::vector<PassNote> notes;
  std::vector<Constant> constants;
  std::vector<Packed> packed;
  std::vector<Choice> choices;
  std::string_view graph;  // as WriteGraph wrote it
};

constexpr uint64_t kPayloadAlignment = 64;
// What a tensor of so many bytes takes in the payload: vector loads may read to the end of the line behind
// it, as in memory that tensors own.
constexpr uint64_t PaddedBytes(uint64_t bytes) {
  return (bytes + kPayloadAlignment) / kPayloadAlignment * kPayloadAlignment;
}

std::string WriteTables(const CompiledTables& tables);

// Every offset and index is checked: what they name lies inside the payload and the lists. The graph is not
// looked at; it is a view of `bytes`. Throws Error{kInvalidModel}.
CompiledTables ReadTables(std::span<const std::byte> bytes, uint64_t payload_bytes);

}  // namespace sluice
