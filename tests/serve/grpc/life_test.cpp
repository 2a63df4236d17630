// Deadlines, clients that go, connections, TLS.
#include "sluice/error.h"
#include "tests/serve/grpc/held_calls.h"

namespace sluice::serve {
namespace {

class GrpcLifeTest : public HeldCallsTest {};

TEST_F(GrpcLifeTest, TheDeadlineReachesTheService) {
  std::optional<Clock::time_point> deadline;
  service_.on_infer = [&](InferRequest request, auto done) {
    deadline = request.deadline;
    done(FakeService::Echo(request));
  };
  Start();
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  inference::ModelInferResponse response;
  ASSERT_TRUE(stub().ModelInfer(&context, Request(), &response).ok());
  ASSERT_TRUE(deadline.has_value());
  const auto left = *deadline - Clock::now();
  EXPECT_LT(left, std::chrono::seconds(31));
  EXPECT_GT(left, std::chrono::seconds(25));
}

TEST_F(GrpcLifeTest, APassedDeadlineCancels) {
  Hold();
  Start();
  grpc::ClientContext context;
  // Time enough to arrive, on busy machines too.
  context.set_deadline(std::chrono::system_clock::now() + milliseconds(1000));
  inference::ModelInferResponse response;
  EXPECT_EQ(stub().ModelInfer(&context, Request(), &response).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  ASSERT_NE(Held(0), nullptr);
  EXPECT_TRUE(Eventually([&] { return Held(0)->cancelled->load(); }));
  Release();
  EXPECT_EQ(service_.Counts(1).size(), 1u);
  // One that has passed before it is sent never arrives.
  grpc::ClientContext late;
  late.set_deadline(std::chrono::system_clock::now() - std::chrono::seconds(1));
  EXPECT_EQ(stub().ModelInfer(&late, Request(), &response).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(service_.infers, 1);
}

TEST_F(GrpcLifeTest, AClientThatGoesCancels) {
  Hold();
  Start();
  grpc::ClientContext context;
  inference::ModelInferResponse response;
  grpc::Status status;
  std::thread client([&] { status = stub().ModelInfer(&context, Request(), &response); });
  ASSERT_TRUE(Eventually([&] { return Held(0) != nullptr; }));
  EXPECT_FALSE(Held(0)->cancelled->load());
  context.TryCancel();
  client.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(Eventually([&] { return Held(0)->cancelled->load(); }));
  // What the request borrows outlives the call.
  const std::shared_ptr<InferRequest> request = Held(0);
  Release();
  EXPECT_EQ(service_.Counts(1).size(), 1u);
  EXPECT_EQ(request->inputs.at(0).tensor.values<float>()[1], 2);
}

TEST_F(GrpcLifeTest, ConnectionsAreRenewedAtTheirAge) {
  FrontEndOptions options;
  options.limits.grpc_connection_age_ms = 300;
  Start(options);
  const auto ends_within = [&](std::chrono::seconds time) {
    EXPECT_TRUE(Infer(Request()).first.ok());
    EXPECT_EQ(channel_->GetState(false), GRPC_CHANNEL_READY);
    return channel_->WaitForStateChange(GRPC_CHANNEL_READY, std::chrono::system_clock::now() + time);
  };
  EXPECT_TRUE(ends_within(std::chrono::seconds(20)));
  EXPECT_TRUE(ends_within(std::chrono::seconds(20)));
  options.limits.grpc_connection_age_ms = 0;
  Start(options);
  EXPECT_FALSE(ends_within(std::chrono::seconds(1)));
}

// Descriptors of connections that ended are used again at once; none may be closed under the next connection.
TEST_F(GrpcLifeTest, EveryOneOfManyShortConnectionsIsServed) {
  Start();
  std::atomic<int> failed{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 5; ++i)
    clients.emplace_back([&] {
      for (int call = 0; call < 300; ++call) {
        const auto own = inference::GRPCInferenceService::NewStub(NewChannel());
        grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
        inference::ModelInferResponse response;
        failed += !own->ModelInfer(&context, Request(), &response).ok();
      }
    });
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(failed, 0);
}

TEST_F(GrpcLifeTest, TheAddressMustBeFree) {
  Start();
  const Access access("");
  FrontEndOptions options;
  options.port = server_->port();
  try {
    NewGrpcServer(options, service_, access);
    FAIL() << "two servers at one port";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(std::string(error.what()).find(std::to_string(options.port)), std::string::npos)
        << error.what();
  }
  options.port = 0;
  options.address = "no.such.host.invalid";
  EXPECT_THROW(NewGrpcServer(options, service_, access), Error);
}

TEST_F(GrpcLifeTest, ServesIpv6) {
  FrontEndOptions options;
  options.address = "::1";
  try {
    Start(options);
  } catch (const Error&) {
    GTEST_SKIP() << "this machine has no IPv6";
  }
  const auto channel =
      grpc::CreateChannel("[::1]:" + std::to_string(server_->port()), grpc::InsecureChannelCredentials());
  grpc::ClientContext context;
  inference::ServerLiveResponse live;
  EXPECT_TRUE(inference::GRPCInferenceService::NewStub(channel)->ServerLive(&context, {}, &live).ok());
}

class GrpcTlsTest : public GrpcLifeTest {
 protected:
  GrpcTlsTest() {
    const std::string script =
        "cd '" + folder_.path() +
        "' && exec 2>/dev/null && new='openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes' "
        "&& "
        "$new -x509 -days 2 -subj /CN=ca -keyout ca.key -out ca.pem && for who in server client; do "
        "$new -subj /CN=$who -keyout $who.key -out $who.csr && "
        "printf 'subjectAltName=DNS:localhost' > ext && openssl x509 -req -days 2 -in $who.csr -CA ca.pem "
        "-CAkey ca.key -CAcreateserial -extfile ext -out $who.pem; done";
    made_ = std::system(script.c_str()) == 0;
  }
  std::string Path(const std::string& name) const { return folder_.path() + "/" + name; }
  grpc::Status Live(const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    inference::ServerLiveResponse live;
    return inference::GRPCInferenceService::NewStub(NewChannel(credentials))->ServerLive(&context, {}, &live);
  }

  TempFolder folder_;
  bool made_ = false;
};

TEST_F(GrpcTlsTest, ServesWithACertificate) {
  ASSERT_TRUE(made_);
  FrontEndOptions options;
  options.tls = {.certificate = Path("server.pem"), .key = Path("server.key"), .client_ca = ""};
  Start(options);
  const grpc::Status status = Live(grpc::SslCredentials({folder_.Read("ca.pem"), "", ""}));
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_FALSE(Live(grpc::InsecureChannelCredentials()).ok());
}

TEST_F(GrpcTlsTest, AsksForCertificatesOfClients) {
  ASSERT_TRUE(made_);
  FrontEndOptions options;
  options.tls = {.certificate = Path("server.pem"), .key = Path("server.key"), .client_ca = Path("ca.pem")};
  Start(options);
  EXPECT_FALSE(Live(grpc::SslCredentials({folder_.Read("ca.pem"), "", ""})).ok());
  std::string client;
  service_.on_infer = [&](InferRequest request, auto done) {
    client = request.client;
    done(FakeService::Echo(request));
  };
  stub_ = inference::GRPCInferenceService::NewStub(NewChannel(grpc::SslCredentials(
      {folder_.Read("ca.pem"), folder_.Read("client.key"), folder_.Read("client.pem")})));
  const grpc::Status status = Infer(Request()).first;
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(client, "client");
}

TEST_F(GrpcTlsTest, FilesThatDoNotLoadAreNamed) {
  ASSERT_TRUE(made_);
  const Access access("");
  const auto expect = [&](const TlsOptions& tls, const std::string& text) {
    FrontEndOptions options;
    options.tls = tls;
    try {
      NewGrpcServer(options, service_, access);
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
    }
  };
  expect({.certificate = Path("none.pem"), .key = Path("server.key"), .client_ca = ""}, "none.pem");
  expect({.certificate = Path("server.pem"), .key = Path("client.key"), .client_ca = ""}, "client.key");
  expect({.certificate = Path("server.pem"), .key = Path("server.key"), .client_ca = Path("server.key")},
         "server.key");
  expect({.certificate = Path("server.pem"), .key = "", .client_ca = ""}, "key");
}

}  // namespace
}  // namespace sluice::serve
