// What the protocol itself turns away is in the log like every other request.
#include <gtest/gtest.h>

#include "tests/serve/grpc/fixture.h"
#include "tests/serve/log_file.h"

namespace sluice::serve {
namespace {

class GrpcRefusedTest : public GrpcTest {
 protected:
  grpc::StatusCode Ask(const std::string& key, const InferMessage& request = Request()) {
    grpc::ClientContext context;
    if (!key.empty()) context.AddMetadata("authorization", "Bearer " + key);
    context.AddMetadata("x-request-id", "mine-1");
    context.AddMetadata("traceparent", kTrace);
    inference::ModelInferResponse response;
    return stub().ModelInfer(&context, request, &response).error_code();
  }
  LogFile log_;
};

TEST_F(GrpcRefusedTest, KeysAndRates) {
  const TempFolder folder;
  Start({}, folder.Write("keys", "ann first-secret-key 0.001 1\n"));
  EXPECT_EQ(Ask(""), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(Ask("first-secret-key"), grpc::StatusCode::OK);
  EXPECT_EQ(Ask("first-secret-key"), grpc::StatusCode::RESOURCE_EXHAUSTED);
  server_.reset();
  const auto lines = log_.Requests();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["outcome"], "unauthenticated");
  EXPECT_EQ(lines[0]["protocol"], "grpc");
  EXPECT_EQ(lines[0]["call"], "ModelInfer");
  EXPECT_EQ(lines[0]["peer"], "127.0.0.1");
  EXPECT_EQ(lines[0]["request_id"], "mine-1");
  EXPECT_EQ(lines[0]["traceparent"], kTrace);
  EXPECT_EQ(lines[1]["outcome"], "rate_limited");
}

TEST_F(GrpcRefusedTest, LimitsAndMistakes) {
  FrontEndOptions options;
  options.limits.max_tensors = 2;
  Start(options);
  InferMessage request = Request();
  for (int i = 0; i < 3; ++i) request.add_outputs()->set_name("x");
  EXPECT_EQ(Ask("", request), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Ask("", Raw("FP33", {1}, "1234")), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Ask(""), grpc::StatusCode::OK);  // which the service logs
  grpc::ClientContext context;
  inference::ModelMetadataRequest wrong;
  wrong.set_name("none");
  inference::ModelMetadataResponse response;
  EXPECT_EQ(stub().ModelMetadata(&context, wrong, &response).error_code(), grpc::StatusCode::NOT_FOUND);
  server_.reset();
  const auto lines = log_.Requests();
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0]["outcome"], "too_large");
  EXPECT_EQ(lines[1]["outcome"], "invalid");
  EXPECT_EQ(lines[1]["model"], "echo");
  EXPECT_EQ(lines[1]["id"], "id-1");
  EXPECT_EQ(lines[2]["outcome"], "not_found");
  EXPECT_EQ(lines[2]["call"], "ModelMetadata");
}

TEST_F(GrpcRefusedTest, RequestsOfStreams) {
  Start();
  grpc::ClientContext context;
  const auto stream = stub().ModelStreamInfer(&context);
  inference::ModelStreamInferResponse response;
  stream->Write(Raw("FP33", {1}, "1234"));
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_FALSE(response.error_message().empty());
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
  server_.reset();
  const auto lines = log_.Requests();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["call"], "ModelStreamInfer");
  EXPECT_EQ(lines[0]["outcome"], "invalid");
}

}  // namespace
}  // namespace sluice::serve
