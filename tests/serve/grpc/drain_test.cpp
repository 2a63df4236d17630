// The end of a server under load: no call that got a connection is lost.
#include "tests/serve/grpc/held_calls.h"

namespace sluice::serve {
namespace {

class GrpcDrainTest : public HeldCallsTest {};

TEST_F(GrpcDrainTest, DrainEndsWhatIsInFlight) {
  Hold();
  Start();
  grpc::Status status;
  std::thread client([&] { status = Infer(Request()).first; });
  ASSERT_TRUE(Eventually([&] { return Held(0) != nullptr; }));
  std::atomic<bool> drained{false};
  bool in_time = false;
  std::thread drain([&] {
    in_time = server_->Drain(Clock::now() + std::chrono::seconds(20));
    drained = true;
  });
  // No new connections, while what came over the old one is served.
  inference::ServerLiveResponse live;
  EXPECT_TRUE(Eventually([&] {
    const auto other = inference::GRPCInferenceService::NewStub(NewChannel());
    grpc::ClientContext context;
    return other->ServerLive(&context, {}, &live).error_code() == grpc::StatusCode::UNAVAILABLE;
  }));
  EXPECT_FALSE(drained);
  Release();
  client.join();
  drain.join();
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(in_time);
  grpc::ClientContext after;
  EXPECT_EQ(stub().ServerLive(&after, {}, &live).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(GrpcDrainTest, DrainSaysWhatDidNotEndInTime) {
  Hold();
  Start();
  std::thread client([&] { EXPECT_FALSE(Infer(Request()).first.ok()); });
  ASSERT_TRUE(Eventually([&] { return Held(0) != nullptr; }));
  std::thread release([&] {
    EXPECT_TRUE(Eventually([&] { return Held(0)->cancelled->load(); }));
    Release();
  });
  EXPECT_FALSE(server_->Drain(Clock::now() + milliseconds(300)));
  client.join();
  release.join();
}

// Every client has always a call under way, and none of them ever pauses: only answers that are kept back
// make room for the end.
TEST_F(GrpcDrainTest, NoCallOfClientsThatNeverPauseIsLost) {
  Start();
  std::atomic<int> connected{0}, answered{0};
  std::vector<std::string> failures;
  std::vector<std::thread> clients;
  const auto shared = NewChannel();
  for (int i = 0; i < 6; ++i)
    clients.emplace_back([&, i] {
      // One connection for the odd ones, one each for the even ones.
      const auto own = inference::GRPCInferenceService::NewStub(i % 2 == 1 ? shared : NewChannel());
      for (int call = 0;; ++call) {
        grpc::ClientContext context;
        if (i >= 4) context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
        inference::ModelInferResponse response;
        const grpc::Status status = own->ModelInfer(&context, Request(), &response);
        if (!status.ok()) {
          const std::lock_guard lock(mutex_);
          failures.push_back(status.error_message());
          return;
        }
        connected += call == 0;
        ++answered;
      }
    });
  ASSERT_TRUE(Eventually([&] { return connected == 6 && answered > 100; }));
  EXPECT_TRUE(server_->Drain(Clock::now() + std::chrono::seconds(60)));
  for (std::thread& client : clients) client.join();
  // There was a connection for all calls but each client's last, for which nobody listened any more.
  EXPECT_EQ(failures.size(), 6u);
  for (const std::string& text : failures)
    EXPECT_NE(text.find("Connection refused"), std::string::npos) << text << " after " << answered;
}

// Calls that come whether or not others are answered: the connection ends of age, and no call with it.
TEST_F(GrpcDrainTest, ADrainWaitsForTheAgeOfConnections) {
  struct Call {
    grpc::ClientContext context;
    inference::ModelInferResponse response;
  };
  FrontEndOptions options;
  options.limits.grpc_connection_age_ms = 1000;
  Start(options);
  const InferMessage request = Request();
  std::atomic<int> under_way{0}, answered{0};
  std::atomic<bool> over{false};
  std::string lost;
  std::thread client([&] {
    for (; !over; std::this_thread::sleep_for(milliseconds(1))) {
      const auto call = std::make_shared<Call>();
      ++under_way;
      stub().async()->ModelInfer(
          &call->context, &request, &call->response, [&, call](const grpc::Status& status) {
            answered += status.ok();
            if (!status.ok()) {
              over = true;
              const std::lock_guard lock(mutex_);
              if (status.error_message().find("Connection refused") == std::string::npos)
                lost = status.error_message();
            }
            --under_way;
          });
    }
  });
  ASSERT_TRUE(Eventually([&] { return answered > 100; }));
  EXPECT_TRUE(server_->Drain(Clock::now() + std::chrono::seconds(60)));
  client.join();
  ASSERT_TRUE(Eventually([&] { return under_way == 0; }));
  const std::lock_guard lock(mutex_);
  EXPECT_EQ(lost, "") << "after " << answered;
}

TEST_F(GrpcDrainTest, DrainOfAnIdleServerIsQuick) {
  Start();
  EXPECT_TRUE(Infer(Request()).first.ok());
  const auto start = Clock::now();
  EXPECT_TRUE(server_->Drain(start + std::chrono::seconds(30)));
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(5));
}

}  // namespace
}  // namespace sluice::serve
