#include <grpcpp/completion_queue.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>

#include <stdexcept>

#include "bench/serve/client.h"
#include "inference.pb.h"

namespace sluice::bench {
namespace {

// Channels to one address share a connection where their arguments are the same.
std::shared_ptr<grpc::Channel> Connect(const std::string& address, int connection) {
  grpc::ChannelArguments arguments;
  arguments.SetInt("sluice.connection", connection);
  arguments.SetMaxReceiveMessageSize(-1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

class GrpcClient : public Client {
 public:
  GrpcClient(const std::string& address, const std::string& model, const std::vector<BenchInput>& inputs,
             int connection)
      : stub_(Connect(address, connection)) {
    inference::ModelInferRequest request;
    request.set_model_name(model);
    for (const BenchInput& from : inputs) {
      auto& to = *request.add_inputs();
      to.set_name(from.name);
      to.set_datatype(from.datatype);
      to.mutable_shape()->Add(from.shape.begin(), from.shape.end());
      request.add_raw_input_contents(from.bytes);
    }
    const grpc::Slice slice(request.SerializeAsString());
    request_ = grpc::ByteBuffer(&slice, 1);
  }
  ~GrpcClient() override {
    queue_.Shutdown();
    void* tag = nullptr;
    for (bool ok = false; queue_.Next(&tag, &ok);) {
    }
  }

  void Call() override {
    grpc::ClientContext context;
    const auto call =
        stub_.PrepareUnaryCall(&context, "/inference.GRPCInferenceService/ModelInfer", request_, &queue_);
    grpc::ByteBuffer response;
    grpc::Status status;
    call->StartCall();
    call->Finish(&response, &status, this);
    void* tag = nullptr;
    bool ok = false;
    queue_.Next(&tag, &ok);
    if (!status.ok()) throw std::runtime_error("gRPC: " + status.error_message());
  }

 private:
  grpc::GenericStub stub_;
  grpc::CompletionQueue queue_;
  grpc::ByteBuffer request_;
};

}  // namespace

std::unique_ptr<Client> NewGrpcClient(const std::string& address, const std::string& model,
                                      const std::vector<BenchInput>& inputs, int connection) {
  return std::make_unique<GrpcClient>(address, model, inputs, connection);
}

}  // namespace sluice::bench
