#include "runtime/compiled/open_file.h"

#include <algorithm>
#include <array>
#include <fstream>

#include "graph/mapped_file.h"
#include "runtime/compiled/container.h"

namespace sluice {
namespace {

std::shared_ptr<CompiledModel> OpenMemory(Tensor memory, bool verify, const OperatorLookup& lookup) {
  const auto owner = std::make_shared<const Tensor>(std::move(memory));
  return std::make_shared<CompiledModel>(std::as_bytes(owner->values<uint8_t>()), owner, lookup, verify);
}

}  // namespace

bool IsCompiledFile(const std::string& path) {
  std::array<char, 8> head{};
  std::ifstream file(path, std::ios::binary);
  return file.read(head.data(), head.size()) && IsCompiledModel(std::as_bytes(std::span(head)));
}

std::shared_ptr<CompiledModel> OpenCompiledFile(const std::string& path, bool copy, bool verify,
                                                const OperatorLookup& lookup) {
  if (copy) return OpenMemory(ReadFile(path), /*verify=*/true, lookup);
  const std::shared_ptr<const MappedFile> file = MappedFile::OpenShared(path);
  return std::make_shared<CompiledModel>(file->bytes(), file, lookup, verify);
}

std::shared_ptr<CompiledModel> OpenCompiledBytes(std::span<const std::byte> bytes, bool verify,
                                                 const OperatorLookup& lookup) {
  Tensor memory(DataType::kUInt8, {static_cast<int64_t>(bytes.size())});
  std::copy(bytes.begin(), bytes.end(), static_cast<std::byte*>(memory.mutable_data()));
  return OpenMemory(std::move(memory), verify, lookup);
}

std::unique_ptr<Graph> ImportModel(const std::string& path) {
  if (!IsCompiledFile(path)) return ImportOnnx(path);
  return OpenCompiledFile(path, /*copy=*/false, /*verify=*/false, FindOperator)->TakeGraph();
}

}  // namespace sluice
