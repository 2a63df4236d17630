#include "runtime/compiled/tables.h"

#include <cstring>

#include "graph/binary/bytes.h"

namespace sluice {
namespace {

// Beyond it nothing can be real, and sums do not overflow.
constexpr uint64_t kMostBytes = uint64_t{1} << 56;

void CheckPlace(const ByteReader& from, uint64_t offset, uint64_t bytes, uint64_t payload_bytes) {
  if (bytes == 0 || bytes > kMostBytes || offset % kPayloadAlignment != 0 || offset > payload_bytes ||
      PaddedBytes(bytes) > payload_bytes - offset) {
    from.Fail("weights lie outside of the file");
  }
}

// Calls read() for each item of a list.
template <typename T, typename Read>
std::vector<T> ReadList(ByteReader& from, size_t item_bytes, Read read) {
  std::vector<T> list(from.Count(item_bytes));
  for (T& item : list) read(item);
  return list;
}

CompiledTables Read(ByteReader& from, uint64_t payload_bytes) {
  CompiledTables tables;
  tables.facts = ReadList<Fact>(from, 16, [&](Fact& fact) {
    fact.first = from.Text();
    fact.second = from.Text();
  });
  tables.sources = ReadList<SourceFile>(from, 32, [&](SourceFile& file) {
    file.path = from.Text();
    file.bytes = from.Number<int64_t>();
    file.modified_ns = from.Number<int64_t>();
    file.inode = from.Number<uint64_t>();
  });
  tables.outputs = ReadList<CompiledTables::Output>(from, 9, [&](CompiledTables::Output& output) {
    output.name = from.Text();
    output.is_random = from.Flag();
  });
  tables.notes = ReadList<PassNote>(from, 25, [&](PassNote& note) {
    note.pass = from.Text();
    note.place = from.Text();
    note.text = from.Text();
    note.applied = from.Flag();
  });
  tables.constants = ReadList<CompiledTables::Constant>(from, 16, [&](CompiledTables::Constant& constant) {
    constant.offset = from.Number<uint64_t>();
    constant.bytes = from.Number<uint64_t>();
    if (constant.offset != CompiledTables::Constant::kLeftOut)
      CheckPlace(from, constant.offset, constant.bytes, payload_bytes);
    else if (constant.bytes == 0 || constant.bytes > kMostBytes)
      from.Fail("a constant has no possible size");
  });
  tables.packed = ReadList<CompiledTables::Packed>(from, 28, [&](CompiledTables::Packed& packed) {
    packed.constant = from.Below<uint32_t>(tables.constants.size(), "the constant of packed weights");
    packed.format = from.Text();
    packed.offset = from.Number<uint64_t>();
    packed.bytes = from.Number<uint64_t>();
    CheckPlace(from, packed.offset, packed.bytes, payload_bytes);
  });
  tables.choices = ReadList<CompiledTables::Choice>(from, 32, [&](CompiledTables::Choice& choice) {
    choice.node = from.Number<uint32_t>();
    choice.inputs = from.Text();
    choice.candidate = from.Number<uint32_t>();
    choice.kernel = from.Text();
    choice.declined = ReadList<std::string>(from, 8, [&](std::string& text) { text = from.Text(); });
  });
  return tables;
}

}  // namespace

std::string WriteTables(const CompiledTables& tables) {
  ByteWriter to;
  to.Count(tables.graph.size());
  to.Count(tables.facts.size());
  for (const auto& [name, value] : tables.facts) {
    to.Text(name);
    to.Text(value);
  }
  to.Count(tables.sources.size());
  for (const SourceFile& file : tables.sources) {
    to.Text(file.path);
    to.Number(file.bytes);
    to.Number(file.modified_ns);
    to.Number(file.inode);
  }
  to.Count(tables.outputs.size());
  for (const auto& output : tables.outputs) {
    to.Text(output.name);
    to.Number(static_cast<uint8_t>(output.is_random));
  }
  to.Count(tables.notes.size());
  for (const PassNote& note : tables.notes) {
    for (const std::string* text : {&note.pass, &note.place, &note.text}) to.Text(*text);
    to.Number(static_cast<uint8_t>(note.applied));
  }
  to.Count(tables.constants.size());
  for (const auto& constant : tables.constants) {
    to.Number(constant.offset);
    to.Number(constant.bytes);
  }
  to.Count(tables.packed.size());
  for (const auto& packed : tables.packed) {
    to.Number(packed.constant);
    to.Text(packed.format);
    to.Number(packed.offset);
    to.Number(packed.bytes);
  }
  to.Count(tables.choices.size());
  for (const auto& choice : tables.choices) {
    to.Number(choice.node);
    to.Text(choice.inputs);
    to.Number(choice.candidate);
    to.Text(choice.kernel);
    to.Count(choice.declined.size());
    for (const std::string& text : choice.declined) to.Text(text);
  }
  return to.bytes() + std::string(tables.graph);
}

CompiledTables ReadTables(std::span<const std::byte> bytes, uint64_t payload_bytes) {
  try {
    // The graph's size comes first, its bytes last.
    ByteReader size(bytes.first(std::min(bytes.size(), sizeof(uint64_t))));
    const auto graph_bytes = size.Number<uint64_t>();
    if (graph_bytes > bytes.size() - sizeof graph_bytes) size.Fail("the graph lies outside of the tables");
    ByteReader from(bytes.subspan(sizeof graph_bytes, bytes.size() - sizeof graph_bytes - graph_bytes));
    CompiledTables tables = Read(from, payload_bytes);
    from.End();
    tables.graph = {reinterpret_cast<const char*>(bytes.data() + bytes.size() - graph_bytes), graph_bytes};
    return tables;
  } catch (const Error& error) {
    throw Error(error.code(), std::string("the compiled model is damaged: its tables: ") + error.what());
  }
}

}  // namespace sluice
