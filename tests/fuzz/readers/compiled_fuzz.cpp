// Compiled models, as far as their reader goes. The first byte chooses: the rest is a file, or it is tables,
// of a file whose checksums are right.
#include "graph/binary/graph_binary.h"
#include "runtime/compiled/container.h"
#include "runtime/compiled/tables.h"
#include "tests/fuzz/readers/read.h"

namespace {

using namespace sluice;

// What an adversary may claim to have left out.
constexpr uint64_t kMostZeros = 1 << 16;

std::unique_ptr<Graph> ReadCompiled(std::span<const std::byte> file) {
  const Container container = OpenContainer(file);
  VerifyPayload(container);
  const CompiledTables tables = ReadTables(container.tables, container.payload.size());
  ByteReader bytes(std::as_bytes(std::span(tables.graph)));
  std::vector<const Node*> nodes;
  std::unique_ptr<Graph> graph = ReadGraph(
      bytes,
      [&](uint32_t number, DataType type, Shape shape, bool) {
        const auto size = static_cast<uint64_t>(ByteSize(type, NumElements(shape)));
        if (number >= tables.constants.size() || tables.constants[number].bytes != size)
          throw Error(ErrorCode::kInvalidModel, "no such constant");
        Tensor tensor(type, std::move(shape));
        if (tables.constants[number].offset == CompiledTables::Constant::kLeftOut) {
          if (size > kMostZeros) throw Error(ErrorCode::kInvalidModel, "too large");
          std::fill_n(static_cast<std::byte*>(tensor.mutable_data()), size, std::byte(0));
        } else {
          std::copy_n(container.payload.begin() + static_cast<int64_t>(tables.constants[number].offset), size,
                      static_cast<std::byte*>(tensor.mutable_data()));
        }
        return tensor;
      },
      FindOperator, nodes);
  bytes.End();
  return graph;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto bytes = std::as_bytes(std::span(data + 1, size - 1));
  if (data[0] % 2 == 0) {
    test::Read([&] { return ReadCompiled(bytes); });
    return 0;
  }
  constexpr uint64_t kPayload = 8192;
  std::vector<std::byte> file;
  WriteContainer(bytes, {}, kPayload,
                 [&](std::span<const std::byte> part) { file.insert(file.end(), part.begin(), part.end()); });
  test::Read([&] { return ReadCompiled(file); });
  return 0;
}
