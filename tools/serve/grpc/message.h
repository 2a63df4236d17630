#pragma once

#include <google/protobuf/io/zero_copy_stream.h>
#include <google/protobuf/message_lite.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <memory>
#include <string>

namespace sluice::serve::rpc {

// The bytes of a message as it came, decompressed where the client compressed them. gRPC's own decompression
// is off: it knows no limit.
class MessageBytes {
 public:
  // `buffer` must outlive it. Throws ServeError{kTooLarge} beyond max_bytes, {kInvalid} where they do not
  // decompress.
  MessageBytes(grpc::ByteBuffer& buffer, int64_t max_bytes);
  ~MessageBytes();

  google::protobuf::io::ZeroCopyInputStream& stream() { return *stream_; }
  int64_t size() const { return size_; }

 private:
  std::unique_ptr<google::protobuf::io::ZeroCopyInputStream> stream_;
  std::string decompressed_;
  int64_t size_ = 0;
};

// Throws ServeError as MessageBytes does, and {kInvalid} for bytes that are no such message.
void ReadMessage(grpc::ByteBuffer& buffer, int64_t max_bytes, google::protobuf::MessageLite& message);

grpc::ByteBuffer WriteMessage(const google::protobuf::MessageLite& message);

}  // namespace sluice::serve::rpc
