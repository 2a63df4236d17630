// What clients must not send, and limits.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <zlib.h>

#include "tests/serve/grpc/fixture.h"

namespace sluice::serve {
namespace {

class GrpcMisuseTest : public GrpcTest {
 protected:
  // The status of a call of ModelInfer with these bytes for a message.
  grpc::Status Send(const std::string& bytes) {
    stub();
    const grpc::Slice slice(bytes);
    grpc::ByteBuffer request(&slice, 1), response;
    grpc::ClientContext context;
    grpc::GenericStub generic(channel_);
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<grpc::Status> status;
    generic.UnaryCall(&context, "/inference.GRPCInferenceService/ModelInfer", {}, &request, &response,
                      [&](const grpc::Status& result) {
                        const std::lock_guard lock(mutex);
                        status = result;
                        changed.notify_all();
                      });
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return status.has_value(); });
    return *status;
  }
  int Connect() const {
    const int connection = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server_->port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(connection, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return connection;
  }
  // Whether the server ends the connection within that time.
  static bool Ends(int connection, int seconds) {
    timeval time{.tv_sec = seconds, .tv_usec = 0};
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
    char bytes[4096];
    for (;;) {
      const ssize_t count = recv(connection, bytes, sizeof bytes, 0);
      if (count == 0 || (count < 0 && errno != EAGAIN && errno != EWOULDBLOCK)) return true;
      if (count < 0) return false;
    }
  }
  // On a new connection: what was wrong on one may have ended it.
  void ExpectServes() {
    grpc::ClientContext context;
    inference::ModelInferResponse response;
    const grpc::Status status =
        inference::GRPCInferenceService::NewStub(NewChannel())->ModelInfer(&context, Request(), &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
};

TEST_F(GrpcMisuseTest, MessagesThatEndTooEarly) {
  const std::string whole = Request(std::vector<float>(50)).SerializeAsString();
  int refused = 0;
  for (size_t bytes = 0; bytes < whole.size(); ++bytes) {
    const grpc::Status status = Send(whole.substr(0, bytes));
    // A message may end between two fields; then something else is missing.
    EXPECT_TRUE(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT ||
                status.error_code() == grpc::StatusCode::NOT_FOUND || status.ok())
        << bytes << ": " << status.error_message();
    refused += status.error_code() == grpc::StatusCode::INVALID_ARGUMENT;
  }
  EXPECT_GT(refused, 200);
  ExpectServes();
}

TEST_F(GrpcMisuseTest, BytesThatAreNoMessage) {
  uint32_t state = 12345;
  for (int round = 0; round < 300; ++round) {
    std::string bytes(static_cast<size_t>(round), 0);
    for (char& byte : bytes) byte = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
    const grpc::Status status = Send(bytes);
    EXPECT_TRUE(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT ||
                status.error_code() == grpc::StatusCode::NOT_FOUND)
        << round << ": " << status.error_code() << status.error_message();
  }
  // Lengths beyond the message, at every depth; a group that never ends.
  for (const std::string& bytes :
       {std::string("\x3a\xff\xff\xff\xff\x0f"), std::string("\x2a\xff\xff\xff\x7f"),
        std::string("\x2a\x02\x2a\x7f"), std::string("\x2a\x04\x2a\x02\x42\x7f"), std::string(1000, '\x0b'),
        std::string("\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")})
    EXPECT_EQ(Send(bytes).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  ExpectServes();
}

TEST_F(GrpcMisuseTest, ChangedMessages) {
  const std::string whole = Request().SerializeAsString();
  uint32_t state = 99;
  for (int round = 0; round < 2000; ++round) {
    std::string bytes = whole;
    for (int change = 0; change < 1 + round % 4; ++change) {
      state = state * 1664525 + 1013904223;
      bytes[(state >> 8) % bytes.size()] = static_cast<char>(state >> 24);
    }
    const grpc::StatusCode code = Send(bytes).error_code();
    EXPECT_TRUE(code == grpc::StatusCode::OK || code == grpc::StatusCode::INVALID_ARGUMENT ||
                code == grpc::StatusCode::NOT_FOUND || code == grpc::StatusCode::UNIMPLEMENTED)
        << round << ": " << code;
  }
}

TEST_F(GrpcMisuseTest, LargeMessagesAreRefused) {
  const grpc::Status status = Infer(Request(std::vector<float>(25 << 20))).first;  // 100 MiB
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << status.error_message();
  EXPECT_EQ(service_.infers, 0);
  ExpectServes();
}

TEST_F(GrpcMisuseTest, ManyTensorsAndParametersAreRefused) {
  InferMessage request = Request();
  for (int i = 0; i < 1024; ++i) request.add_outputs()->set_name("x");
  ExpectRefused(request, "more than 1024 tensors", grpc::StatusCode::RESOURCE_EXHAUSTED);
  request = Request();
  for (int i = 0; i < 2000; ++i) request.add_inputs();
  ExpectRefused(request, "more than 1024 tensors", grpc::StatusCode::RESOURCE_EXHAUSTED);
  request = Request();
  for (int i = 0; i < 2000; ++i) request.add_raw_input_contents("");
  ExpectRefused(request, "more than 1024 tensors", grpc::StatusCode::RESOURCE_EXHAUSTED);
  request = Request();
  for (int i = 0; i < 2000; ++i)
    (*request.mutable_inputs(0)->mutable_parameters())[std::to_string(i)].set_bool_param(true);
  ExpectRefused(request, "more than 1024 parameters", grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(GrpcMisuseTest, BytesInFlightAreBounded) {
  FrontEndOptions options;
  options.limits.max_inflight_bytes = 3 << 20;
  Start(options);
  std::mutex mutex;
  std::vector<std::function<void()>> held;
  service_.on_infer = [&](InferRequest request, auto done) {
    const std::lock_guard lock(mutex);
    held.push_back([request = std::make_shared<InferRequest>(std::move(request)), done] {
      done(FakeService::Echo(*request));
    });
  };
  std::atomic<int> served{0}, refused{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 6; ++i)
    clients.emplace_back([&] {
      const grpc::Status status = Infer(Request(std::vector<float>(1 << 18))).first;  // 1 MiB
      if (status.ok()) ++served;
      if (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED) ++refused;
    });
  EXPECT_TRUE(Eventually([&] { return refused == 4; })) << refused;
  EXPECT_EQ(service_.infers, 2);
  for (const auto& answer : held) answer();
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(served, 2);
  held.clear();
  service_.on_infer = nullptr;
  // What they held is free again.
  EXPECT_TRUE(Infer(Request(std::vector<float>(1 << 18))).first.ok());
}

TEST_F(GrpcMisuseTest, StringsInContentsWeighMoreThanTheirBytes) {
  FrontEndOptions options;
  options.limits.max_inflight_bytes = 8 << 20;
  Start(options);
  InferMessage request = Raw("BYTES", {1'000'000}, "");
  request.clear_raw_input_contents();
  for (int i = 0; i < 1'000'000; ++i) request.mutable_inputs(0)->mutable_contents()->add_bytes_contents("");
  ExpectRefused(request, "too many bytes", grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(GrpcMisuseTest, CompressedMessages) {
  Start();
  for (const grpc_compression_algorithm algorithm : {GRPC_COMPRESS_GZIP, GRPC_COMPRESS_DEFLATE}) {
    grpc::ClientContext context;
    context.set_compression_algorithm(algorithm);
    inference::ModelInferResponse response;
    const InferMessage request = Request(std::vector<float>(200'000, 0.25f));
    const grpc::Status status = stub().ModelInfer(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_TRUE(response.raw_output_contents(0) == request.raw_input_contents(0));
    // Calls with small messages as well.
    grpc::ClientContext other;
    other.set_compression_algorithm(algorithm);
    inference::ModelReadyRequest ready;
    ready.set_name(std::string(400, 'x'));
    inference::ModelReadyResponse answer;
    EXPECT_EQ(stub().ModelReady(&other, ready, &answer).error_code(), grpc::StatusCode::NOT_FOUND);
  }
}

TEST_F(GrpcMisuseTest, CompressionDoesNotHideSize) {
  Start();
  grpc::ClientContext context;
  context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  inference::ModelInferResponse response;
  const grpc::Status status =
      stub().ModelInfer(&context, Request(std::vector<float>(25 << 20)), &response);  // 100 MiB of 0
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << status.error_message();
  EXPECT_NE(status.error_message().find("larger than 67108864 bytes"), std::string::npos)
      << status.error_message();
  EXPECT_EQ(service_.infers, 0);
  ExpectServes();
}

TEST_F(GrpcMisuseTest, GarbageOnThePort) {
  stub();
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), std::string(100'000, '\0'),
        std::string(100'000, '\xff'), std::string("\x16\x03\x01\x02\x00\x01", 6),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + std::string(50'000, '\xee')}) {
    const int connection = Connect();
    send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    EXPECT_TRUE(Ends(connection, 20)) << bytes.substr(0, 20);
    close(connection);
  }
  ExpectServes();
}

TEST_F(GrpcMisuseTest, ConnectionsThatSayNothingEnd) {
  FrontEndOptions options;
  options.limits.header_timeout_ms = 300;
  Start(options);
  const int connection = Connect();
  EXPECT_TRUE(Ends(connection, 10));
  close(connection);
  ExpectServes();
}

TEST_F(GrpcMisuseTest, AMessageThatNeverComesEndsItsCall) {
  FrontEndOptions options;
  options.limits.body_timeout_ms = 300;
  Start(options);
  grpc::ClientContext context;
  grpc::GenericStub generic(channel_);
  struct Reactor : grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
    void OnDone(const grpc::Status& result) override {
      const std::lock_guard lock(mutex);
      status = result;
      changed.notify_all();
    }
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<grpc::Status> status;
  } reactor;
  generic.PrepareBidiStreamingCall(&context, "/inference.GRPCInferenceService/ModelInfer", {}, &reactor);
  reactor.StartCall();
  std::unique_lock lock(reactor.mutex);
  ASSERT_TRUE(
      reactor.changed.wait_for(lock, std::chrono::seconds(10), [&] { return reactor.status.has_value(); }));
  EXPECT_FALSE(reactor.status->ok());
  lock.unlock();
  ExpectServes();
}

TEST_F(GrpcMisuseTest, ConnectionsAreLimited) {
  FrontEndOptions options;
  options.limits.max_connections = 3;
  Start(options);
  std::vector<int> connections;
  for (int i = 0; i < 3; ++i) connections.push_back(Connect());
  std::this_thread::sleep_for(milliseconds(50));
  const int one_more = Connect();
  EXPECT_TRUE(Ends(one_more, 5));
  close(one_more);
  for (const int connection : connections) close(connection);
  EXPECT_TRUE(Eventually([&] { return Infer(Request()).first.ok(); })) << "their places are free again";
}

TEST_F(GrpcMisuseTest, HeadersAreLimited) {
  Start();
  grpc::ClientContext context;
  context.AddMetadata("x-large", std::string(100'000, 'x'));
  inference::ModelInferResponse response;
  EXPECT_FALSE(stub().ModelInfer(&context, Request(), &response).ok());
  EXPECT_EQ(service_.infers, 0);
  ExpectServes();
}

}  // namespace
}  // namespace sluice::serve
