// The calls that ask and tell, and the health service.
#include "tests/serve/grpc/fixture.h"

namespace sluice::serve {
namespace {

class GrpcMethodsTest : public GrpcTest {
 protected:
  // Calls a method of the stub with a new context.
  template <typename Request, typename Response>
  grpc::Status Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response) {
    grpc::ClientContext context;
    return (stub().*method)(&context, request, response);
  }
  // SERVING 1, NOT_SERVING 2; 0 where the service does not know it.
  int Health(const std::string& name) {
    const std::string bytes =
        name.empty() ? "" : "\x0a" + std::string(1, static_cast<char>(name.size())) + name;
    const grpc::Slice slice(bytes);
    grpc::ByteBuffer request(&slice, 1), response;
    grpc::ClientContext context;
    grpc::GenericStub generic(channel_);
    grpc::Status status;
    std::mutex mutex;
    std::condition_variable changed;
    bool over = false;
    generic.UnaryCall(&context, "/grpc.health.v1.Health/Check", {}, &request, &response,
                      [&](const grpc::Status& result) {
                        const std::lock_guard lock(mutex);
                        status = result;
                        over = true;
                        changed.notify_all();
                      });
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return over; });
    if (status.error_code() == grpc::StatusCode::NOT_FOUND) return 0;
    EXPECT_TRUE(status.ok()) << status.error_message();
    grpc::Slice answer;
    EXPECT_TRUE(response.DumpToSingleSlice(&answer).ok());
    EXPECT_EQ(answer.size(), 2u);
    return answer.size() == 2 ? answer.begin()[1] : -1;
  }
};

TEST_F(GrpcMethodsTest, LiveAndReady) {
  inference::ServerLiveResponse live;
  EXPECT_TRUE(Call(&Stub::ServerLive, {}, &live).ok());
  EXPECT_TRUE(live.live());
  inference::ServerReadyResponse ready;
  EXPECT_TRUE(Call(&Stub::ServerReady, {}, &ready).ok());
  EXPECT_TRUE(ready.ready());
  service_.ready = false;
  EXPECT_TRUE(Call(&Stub::ServerReady, {}, &ready).ok());
  EXPECT_FALSE(ready.ready());
}

TEST_F(GrpcMethodsTest, ModelReady) {
  inference::ModelReadyRequest request;
  inference::ModelReadyResponse response;
  request.set_name("echo");
  request.set_version("1");
  EXPECT_TRUE(Call(&Stub::ModelReady, request, &response).ok());
  EXPECT_TRUE(response.ready());
  request.set_version("2");
  EXPECT_EQ(Call(&Stub::ModelReady, request, &response).error_code(), grpc::StatusCode::NOT_FOUND);
  request.set_name("../etc");
  EXPECT_EQ(Call(&Stub::ModelReady, request, &response).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(GrpcMethodsTest, Metadata) {
  inference::ServerMetadataResponse server;
  EXPECT_TRUE(Call(&Stub::ServerMetadata, {}, &server).ok());
  EXPECT_EQ(server.name(), "sluice");
  EXPECT_FALSE(server.version().empty());
  EXPECT_NE(std::find(server.extensions().begin(), server.extensions().end(), "binary_tensor_data"),
            server.extensions().end());

  service_.info.properties = {{"producer", "tests"}, {"broken", "\xff\xfe"}};
  inference::ModelMetadataRequest request;
  request.set_name("echo");
  inference::ModelMetadataResponse model;
  ASSERT_TRUE(Call(&Stub::ModelMetadata, request, &model).ok());
  EXPECT_EQ(model.name(), "echo");
  EXPECT_EQ(model.platform(), "onnx_onnxv1");
  ASSERT_EQ(model.versions_size(), 1);
  ASSERT_EQ(model.inputs_size(), 1);
  EXPECT_EQ(model.inputs(0).name(), "x");
  EXPECT_EQ(model.inputs(0).datatype(), "FP32");
  EXPECT_EQ(std::vector<int64_t>(model.inputs(0).shape().begin(), model.inputs(0).shape().end()),
            (std::vector<int64_t>{-1, 2}));
  EXPECT_EQ(model.properties().at("producer"), "tests");
  EXPECT_EQ(model.properties().count("broken"), 0u);
}

TEST_F(GrpcMethodsTest, ConfigLeavesOutTheBatchDimension) {
  inference::ModelConfigRequest request;
  request.set_name("echo");
  inference::ModelConfigResponse response;
  ASSERT_TRUE(Call(&Stub::ModelConfig, request, &response).ok());
  EXPECT_EQ(response.config().input(0).dims_size(), 2);
  EXPECT_FALSE(response.config().has_dynamic_batching());

  service_.info.max_batch_size = 8;
  service_.info.max_delay_us = 500;
  service_.info.inputs[0].datatype = "BYTES";
  ASSERT_TRUE(Call(&Stub::ModelConfig, request, &response).ok());
  EXPECT_EQ(response.config().max_batch_size(), 8);
  ASSERT_EQ(response.config().input(0).dims_size(), 1);
  EXPECT_EQ(response.config().input(0).dims(0), 2);
  EXPECT_EQ(response.config().input(0).data_type(), inference::TYPE_STRING);
  EXPECT_EQ(response.config().output(0).data_type(), inference::TYPE_FP32);
  EXPECT_EQ(response.config().dynamic_batching().max_queue_delay_microseconds(), 500u);
}

TEST_F(GrpcMethodsTest, Statistics) {
  inference::ModelStatisticsResponse response;
  ASSERT_TRUE(Call(&Stub::ModelStatistics, {}, &response).ok());
  ASSERT_EQ(response.model_stats_size(), 1);
  const inference::ModelStatistics& model = response.model_stats(0);
  EXPECT_EQ(model.inference_count(), 3u);
  EXPECT_EQ(model.inference_stats().success().ns(), 3000u);
  ASSERT_EQ(model.batch_stats_size(), 1);
  EXPECT_EQ(model.batch_stats(0).compute_output().ns(), 90u);
  inference::ModelStatisticsRequest request;
  request.set_name("none");
  EXPECT_EQ(Call(&Stub::ModelStatistics, request, &response).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(GrpcMethodsTest, Repository) {
  inference::RepositoryIndexResponse index;
  ASSERT_TRUE(Call(&Stub::RepositoryIndex, {}, &index).ok());
  ASSERT_EQ(index.models_size(), 1);
  EXPECT_EQ(index.models(0).state(), "READY");
  service_.ready = false;
  inference::RepositoryIndexRequest only_ready;
  only_ready.set_ready(true);
  ASSERT_TRUE(Call(&Stub::RepositoryIndex, only_ready, &index).ok());
  EXPECT_EQ(index.models_size(), 0);

  inference::RepositoryModelLoadRequest load;
  inference::RepositoryModelLoadResponse loaded;
  load.set_model_name("echo");
  EXPECT_TRUE(Call(&Stub::RepositoryModelLoad, load, &loaded).ok());
  EXPECT_EQ(service_.loads, 1);
  (*load.mutable_parameters())["config"].set_string_param("{}");
  EXPECT_EQ(Call(&Stub::RepositoryModelLoad, load, &loaded).error_code(), grpc::StatusCode::UNIMPLEMENTED);
  load.clear_parameters();
  load.set_repository_name("other");
  EXPECT_EQ(Call(&Stub::RepositoryModelLoad, load, &loaded).error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(service_.loads, 1);

  inference::RepositoryModelUnloadRequest unload;
  inference::RepositoryModelUnloadResponse unloaded;
  unload.set_model_name("echo");
  (*unload.mutable_parameters())["unload_dependents"].set_bool_param(true);
  EXPECT_TRUE(Call(&Stub::RepositoryModelUnload, unload, &unloaded).ok());
  EXPECT_EQ(service_.unloads, 1);
  unload.set_model_name("none");
  EXPECT_EQ(Call(&Stub::RepositoryModelUnload, unload, &unloaded).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(GrpcMethodsTest, UnknownMethodsAreUnimplemented) {
  Start();
  grpc::GenericStub generic(channel_);
  for (const char* name :
       {"/inference.GRPCInferenceService/TraceSetting", "/other.Service/ModelInfer", "/", "x"}) {
    grpc::ByteBuffer request, response;
    const grpc::Slice slice("");
    request = grpc::ByteBuffer(&slice, 1);
    grpc::ClientContext context;
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<grpc::Status> status;
    generic.UnaryCall(&context, name, {}, &request, &response, [&](const grpc::Status& result) {
      const std::lock_guard lock(mutex);
      status = result;
      changed.notify_all();
    });
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return status.has_value(); });
    EXPECT_EQ(status->error_code(), grpc::StatusCode::UNIMPLEMENTED) << name << status->error_message();
  }
}

TEST_F(GrpcMethodsTest, HealthFollowsTheService) {
  Start();
  EXPECT_EQ(Health(""), 1);
  EXPECT_EQ(Health("inference.GRPCInferenceService"), 1);
  EXPECT_EQ(Health("echo"), 1);
  EXPECT_EQ(Health("none"), 0);
  service_.ready = false;
  EXPECT_TRUE(Eventually([&] { return Health("") == 2; }));
  EXPECT_TRUE(Eventually([&] { return Health("echo") == 2; }));
  service_.ready = true;
  EXPECT_TRUE(Eventually([&] { return Health("") == 1 && Health("echo") == 1; }));
}

TEST_F(GrpcMethodsTest, KeysAreAskedForButNotForHealth) {
  const TempFolder folder;
  Start({}, folder.Write("keys", "alice secret-of-alice\nslow secret-of-slow 0.01 1\n"));
  EXPECT_EQ(Health(""), 1);
  inference::ServerReadyResponse ready;
  EXPECT_TRUE(Call(&Stub::ServerReady, {}, &ready).ok());
  inference::RepositoryIndexResponse index;
  EXPECT_EQ(Call(&Stub::RepositoryIndex, {}, &index).error_code(), grpc::StatusCode::UNAUTHENTICATED);
  ExpectRefused(Request(), "", grpc::StatusCode::UNAUTHENTICATED);

  std::string client;
  service_.on_infer = [&](InferRequest request, auto done) {
    client = request.client;
    done(FakeService::Echo(request));
  };
  const auto infer = [&](const std::string& key, grpc::ClientContext& context) {
    context.AddMetadata("authorization", "Bearer " + key);
    inference::ModelInferResponse response;
    return stub().ModelInfer(&context, Request(), &response);
  };
  grpc::ClientContext known, wrong, first, second;
  EXPECT_TRUE(infer("secret-of-alice", known).ok());
  EXPECT_EQ(client, "alice");
  EXPECT_EQ(infer("secret-of-bob", wrong).error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_TRUE(infer("secret-of-slow", first).ok());
  EXPECT_EQ(infer("secret-of-slow", second).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(second.GetServerTrailingMetadata().count("retry-after"), 1u);
  // Calls are counted once their answers are on the way, in any order.
  std::multiset<std::string> outcomes;
  for (const auto& count : service_.Counts(5)) outcomes.insert(count.outcome);
  EXPECT_EQ(outcomes, (std::multiset<std::string>{"rate_limited", "success", "success", "unauthenticated",
                                                  "unauthenticated"}));
}

}  // namespace
}  // namespace sluice::serve
