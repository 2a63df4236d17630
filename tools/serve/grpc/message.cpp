#include "tools/serve/grpc/message.h"

#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <grpc/byte_buffer_reader.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <zlib.h>

#include <algorithm>

#include "tools/serve/types.h"

namespace sluice::serve::rpc {
namespace {

using google::protobuf::io::ZeroCopyInputStream;

class SliceReader : public grpc::ProtoBufferReader {
 public:
  using ProtoBufferReader::ProtoBufferReader;
  bool compressed() { return reader()->buffer_in->data.raw.compression != GRPC_COMPRESS_NONE; }
};

[[noreturn]] void ThrowTooLarge(int64_t max_bytes) {
  throw ServeError(Reason::kTooLarge, "the request is larger than " + std::to_string(max_bytes) + " bytes");
}

std::string Inflate(ZeroCopyInputStream& source, int64_t max_bytes) {
  constexpr int kZlibOrGzip = 32 + MAX_WBITS;
  constexpr size_t kFirstBytes = 16 << 10;
  z_stream zlib{};
  if (inflateInit2(&zlib, kZlibOrGzip) != Z_OK)
    throw ServeError(Reason::kOverloaded, "no memory for this request now", 1);
  const std::unique_ptr<z_stream, int (*)(z_stream*)> end(&zlib, inflateEnd);
  std::string bytes;
  size_t filled = 0;
  int code = Z_OK;
  const void* data = nullptr;
  for (int size = 0; code != Z_STREAM_END && source.Next(&data, &size);) {
    zlib.next_in = static_cast<Bytef*>(const_cast<void*>(data));
    zlib.avail_in = static_cast<uInt>(size);
    // A full output may hide more of it inside zlib.
    while (code != Z_STREAM_END && (zlib.avail_in > 0 || filled == bytes.size())) {
      if (filled == bytes.size()) {
        // One byte more than the limit tells a message that is too large.
        if (static_cast<int64_t>(filled) > max_bytes) ThrowTooLarge(max_bytes);
        bytes.resize(std::min(static_cast<size_t>(max_bytes) + 1, std::max(kFirstBytes, 2 * filled)));
      }
      zlib.next_out = reinterpret_cast<Bytef*>(bytes.data() + filled);
      zlib.avail_out = static_cast<uInt>(bytes.size() - filled);
      code = inflate(&zlib, Z_NO_FLUSH);
      filled = bytes.size() - zlib.avail_out;
      if (code == Z_BUF_ERROR) break;  // wants more input
      if (code != Z_OK && code != Z_STREAM_END)
        throw ServeError(Reason::kInvalid, "the message does not decompress");
    }
    if (code == Z_BUF_ERROR) code = Z_OK;
  }
  if (code != Z_STREAM_END) throw ServeError(Reason::kInvalid, "the compressed message ends too early");
  if (static_cast<int64_t>(filled) > max_bytes) ThrowTooLarge(max_bytes);
  bytes.resize(filled);
  return bytes;
}

}  // namespace

MessageBytes::MessageBytes(grpc::ByteBuffer& buffer, int64_t max_bytes) {
  if (!buffer.Valid()) throw ServeError(Reason::kInvalid, "there is no message");
  auto slices = std::make_unique<SliceReader>(&buffer);
  if (!slices->status().ok()) throw ServeError(Reason::kInvalid, "the message cannot be read");
  size_ = static_cast<int64_t>(buffer.Length());
  if (size_ > max_bytes) ThrowTooLarge(max_bytes);
  if (!slices->compressed()) {
    stream_ = std::move(slices);
    return;
  }
  decompressed_ = Inflate(*slices, std::min<int64_t>(max_bytes, INT32_MAX - 1));
  size_ = static_cast<int64_t>(decompressed_.size());
  stream_ =
      std::make_unique<google::protobuf::io::ArrayInputStream>(decompressed_.data(), static_cast<int>(size_));
}

MessageBytes::~MessageBytes() = default;

void ReadMessage(grpc::ByteBuffer& buffer, int64_t max_bytes, google::protobuf::MessageLite& message) {
  MessageBytes bytes(buffer, max_bytes);
  if (!message.ParseFromZeroCopyStream(&bytes.stream()))
    throw ServeError(Reason::kInvalid, "the message is no " + message.GetTypeName());
}

grpc::ByteBuffer WriteMessage(const google::protobuf::MessageLite& message) {
  grpc::Slice slice(message.ByteSizeLong());
  message.SerializeWithCachedSizesToArray(const_cast<uint8_t*>(slice.begin()));
  return grpc::ByteBuffer(&slice, 1);
}

}  // namespace sluice::serve::rpc
