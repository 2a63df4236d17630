#include "graph/wire.h"

#include "sluice/error.h"

namespace sluice {
namespace {

constexpr int kMaxDepth = 64;

enum class Message { kNone, kModel, kGraph, kNode, kAttribute, kTensor, kSparse, kFunction };

// The messages on the way to tensors: which fields of a message hold which other.
Message Inside(Message parent, int field) {
  switch (parent) {
    case Message::kModel:
      return field == 7 ? Message::kGraph : field == 25 ? Message::kFunction : Message::kNone;
    case Message::kGraph:
      return field == 1    ? Message::kNode
             : field == 5  ? Message::kTensor
             : field == 15 ? Message::kSparse
                           : Message::kNone;
    case Message::kNode: return field == 5 ? Message::kAttribute : Message::kNone;
    case Message::kAttribute:
      return field == 5 || field == 10    ? Message::kTensor
             : field == 6 || field == 11  ? Message::kGraph
             : field == 22 || field == 23 ? Message::kSparse
                                          : Message::kNone;
    case Message::kSparse: return field == 1 || field == 2 ? Message::kTensor : Message::kNone;
    case Message::kFunction:
      return field == 7 ? Message::kNode : field == 11 ? Message::kAttribute : Message::kNone;
    default: return Message::kNone;
  }
}

constexpr int kTrainingInfo = 20;  // of ModelProto
constexpr int kRawData = 9;        // of TensorProto

class SkeletonBuilder {
 public:
  explicit SkeletonBuilder(const std::byte* origin) : origin_(origin) {}

  std::string Build(Message kind, std::span<const std::byte> message, int depth) {
    if (depth > kMaxDepth) throw Error(ErrorCode::kInvalidModel, "graphs are nested too deeply");
    std::string out;
    WireReader reader(message, origin_);
    for (WireReader::Field field; reader.Next(field);) {
      if (kind == Message::kModel && field.number == kTrainingInfo) continue;
      const Message inner = field.wire_type == 2 ? Inside(kind, field.number) : Message::kNone;
      if (inner != Message::kNone) {
        AppendBytes(out, field.number, Build(inner, field.bytes, depth + (inner == Message::kGraph)));
      } else if (kind == Message::kTensor && field.number == kRawData && field.wire_type == 2) {
        std::string index(8, '\0');
        for (int i = 0; i < 8; ++i) index[static_cast<size_t>(i)] = static_cast<char>(blobs_.size() >> (8 * i));
        blobs_.push_back(field.bytes);
        AppendBytes(out, field.number, index);
      } else {
        out.append(reinterpret_cast<const char*>(field.whole.data()), field.whole.size());
      }
    }
    return out;
  }

  std::vector<std::span<const std::byte>> blobs_;

 private:
  static void AppendVarint(std::string& out, uint64_t value) {
    for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
    out.push_back(static_cast<char>(value));
  }
  static void AppendBytes(std::string& out, int field, const std::string& bytes) {
    AppendVarint(out, static_cast<uint64_t>(field) << 3 | 2);
    AppendVarint(out, bytes.size());
    out += bytes;
  }

  const std::byte* origin_;
};

}  // namespace

void WireReader::Fail(const std::string& what) const {
  throw Error(ErrorCode::kInvalidModel,
              "not a valid ONNX file: " + what + " at byte " + std::to_string(rest_.data() - origin_));
}

uint64_t WireReader::Varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    if (rest_.empty()) Fail("number cut off");
    const auto byte = static_cast<uint64_t>(rest_[0]);
    rest_ = rest_.subspan(1);
    if (shift < 64) value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  Fail("number too long");
}

std::span<const std::byte> WireReader::Take(uint64_t count) {
  if (count > rest_.size()) {
    Fail("a field of " + std::to_string(count) + " bytes where " + std::to_string(rest_.size()) + " are left");
  }
  const auto taken = rest_.first(static_cast<size_t>(count));
  rest_ = rest_.subspan(static_cast<size_t>(count));
  return taken;
}

std::vector<uint64_t> WireReader::PackedVarints(std::span<const std::byte> bytes, const std::byte* origin) {
  WireReader reader(bytes, origin);
  std::vector<uint64_t> numbers;
  while (!reader.rest_.empty()) numbers.push_back(reader.Varint());
  return numbers;
}

bool WireReader::Next(Field& field) {
  if (rest_.empty()) return false;
  const std::byte* begin = rest_.data();
  const uint64_t tag = Varint();
  const uint64_t number = tag >> 3;
  if (number == 0 || number > 536870911) Fail("field number " + std::to_string(number));
  field = {};
  field.number = static_cast<int>(number);
  field.wire_type = static_cast<int>(tag & 7);
  switch (field.wire_type) {
    case 0: {
      const std::byte* first = rest_.data();
      field.varint = Varint();
      field.bytes = {first, rest_.data()};
      break;
    }
    case 1: field.bytes = Take(8); break;
    case 2: field.bytes = Take(Varint()); break;
    case 5: field.bytes = Take(4); break;
    default: Fail("wire type " + std::to_string(field.wire_type));
  }
  field.whole = {begin, rest_.data()};
  return true;
}

Skeleton SkeletonOf(std::span<const std::byte> model) {
  SkeletonBuilder builder(model.data());
  Skeleton skeleton;
  skeleton.model = builder.Build(Message::kModel, model, 0);
  skeleton.blobs = std::move(builder.blobs_);
  return skeleton;
}

}  // namespace sluice
