#pragma once

#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "inference.grpc.pb.h"
#include "tests/serve/fake_service.h"
#include "tools/serve/grpc/grpc_server.h"

namespace sluice::serve {

using Stub = inference::GRPCInferenceService::Stub;
using InferMessage = inference::ModelInferRequest;
using std::chrono::milliseconds;

// The service of tests, which also keeps what the protocol counts.
class CountingService : public FakeService {
 public:
  struct Count {
    std::string protocol, model, outcome;
    int64_t network_ns = 0;
  };
  void CountRequest(std::string_view protocol, std::string_view model, std::string_view outcome,
                    int64_t network_ns) override {
    const std::lock_guard lock(mutex_);
    counts_.push_back({std::string(protocol), std::string(model), std::string(outcome), network_ns});
    changed_.notify_all();
  }
  // The first `wanted`; calls end for their client before they end here.
  std::vector<Count> Counts(size_t wanted) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(5), [&] { return counts_.size() >= wanted; });
    return counts_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Count> counts_;
};

// A server in this process and a client of it.
class GrpcTest : public testing::Test {
 protected:
  // Call it first where options are other than the usual.
  void Start(const FrontEndOptions& options = {}, const std::string& key_file = "") {
    access_ = std::make_unique<Access>(key_file);
    server_ = NewGrpcServer(options, service_, *access_);
    channel_ = NewChannel();
    stub_ = inference::GRPCInferenceService::NewStub(channel_);
  }
  std::string Address() const { return "127.0.0.1:" + std::to_string(server_->port()); }
  // With connections of its own.
  std::shared_ptr<grpc::Channel> NewChannel(
      std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials()) const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetMaxReceiveMessageSize(-1);
    arguments.SetSslTargetNameOverride("localhost");
    return grpc::CreateCustomChannel(Address(), credentials, arguments);
  }
  Stub& stub() {
    if (!stub_) Start();
    return *stub_;
  }

  // x FP32 [n, 2] in raw contents.
  static InferMessage Request(const std::vector<float>& values = {1, 2}) {
    InferMessage request;
    request.set_model_name("echo");
    request.set_id("id-1");
    auto& input = *request.add_inputs();
    input.set_name("x");
    input.set_datatype("FP32");
    input.add_shape(static_cast<int64_t>(values.size()) / 2);
    input.add_shape(2);
    request.add_raw_input_contents(values.data(), values.size() * sizeof(float));
    return request;
  }
  static InferMessage Raw(const std::string& datatype, const std::vector<int64_t>& shape,
                          const std::string& bytes) {
    InferMessage request = Request();
    request.mutable_inputs(0)->set_datatype(datatype);
    request.mutable_inputs(0)->mutable_shape()->Assign(shape.begin(), shape.end());
    request.set_raw_input_contents(0, bytes);
    return request;
  }

  std::pair<grpc::Status, inference::ModelInferResponse> Infer(const InferMessage& request) {
    grpc::ClientContext context;
    inference::ModelInferResponse response;
    const grpc::Status status = stub().ModelInfer(&context, request, &response);
    return {status, response};
  }
  void ExpectRefused(const InferMessage& request, const std::string& text,
                     grpc::StatusCode code = grpc::StatusCode::INVALID_ARGUMENT) {
    const grpc::Status status = Infer(request).first;
    EXPECT_EQ(status.error_code(), code) << status.error_message();
    EXPECT_NE(status.error_message().find(text), std::string::npos) << status.error_message();
    EXPECT_EQ(service_.infers, 0) << "the service was asked";
  }

  // Deleted after the server.
  CountingService service_;
  std::unique_ptr<Access> access_;
  std::unique_ptr<FrontEnd> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<Stub> stub_;
};

// A folder that ends with the test.
class TempFolder {
 public:
  TempFolder() : path_(testing::TempDir() + "sluice_grpc_" + std::to_string(getpid())) {
    std::filesystem::create_directory(path_);
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ + "/" + name) << text;
    return path_ + "/" + name;
  }
  std::string Read(const std::string& name) const {
    std::ifstream file(path_ + "/" + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// What a test waits for; false after ten seconds.
template <typename Condition>
bool Eventually(Condition&& condition) {
  for (int i = 0; i < 2000; ++i, std::this_thread::sleep_for(milliseconds(5)))
    if (condition()) return true;
  return false;
}

}  // namespace sluice::serve
