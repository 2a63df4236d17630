// ModelStreamInfer.
#include <deque>

#include "tests/serve/grpc/fixture.h"

namespace sluice::serve {
namespace {

class GrpcStreamTest : public GrpcTest {
 protected:
  using Response = inference::ModelStreamInferResponse;
  using Stream = grpc::ClientReaderWriter<InferMessage, Response>;

  static InferMessage Numbered(int number) {
    InferMessage request = Request({static_cast<float>(number), 0});
    request.set_id(std::to_string(number));
    return request;
  }
};

TEST_F(GrpcStreamTest, AnswersInOrderThoughTheServiceDoesNot) {
  // Two at a time, the later first.
  std::mutex mutex;
  std::function<void()> held;
  service_.on_infer = [&](InferRequest request, auto done) {
    auto answer = [request = std::make_shared<InferRequest>(std::move(request)), done] {
      done(FakeService::Echo(*request));
    };
    std::function<void()> earlier;
    {
      const std::lock_guard lock(mutex);
      if (!held) {
        held = answer;
        return;
      }
      earlier = std::exchange(held, nullptr);
    }
    answer();
    earlier();
  };
  constexpr int kRequests = 500;
  grpc::ClientContext context;
  const auto stream = stub().ModelStreamInfer(&context);
  std::thread writer([&] {
    for (int i = 0; i < kRequests; ++i) ASSERT_TRUE(stream->Write(Numbered(i)));
    stream->WritesDone();
  });
  Response response;
  int count = 0;
  for (; stream->Read(&response); ++count) {
    EXPECT_EQ(response.error_message(), "");
    EXPECT_EQ(response.infer_response().id(), std::to_string(count));
    float value = -1;
    ASSERT_EQ(response.infer_response().raw_output_contents_size(), 1);
    std::memcpy(&value, response.infer_response().raw_output_contents(0).data(), sizeof value);
    EXPECT_EQ(value, static_cast<float>(count));
  }
  writer.join();
  EXPECT_EQ(count, kRequests);
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(GrpcStreamTest, AnErrorAnswersItsRequestAlone) {
  service_.on_infer = [](InferRequest request, auto done) {
    if (request.id == "3") return done(ServeError(Reason::kOverloaded, "the queue is full"));
    done(FakeService::Echo(request));
  };
  grpc::ClientContext context;
  const auto stream = stub().ModelStreamInfer(&context);
  for (int i = 0; i < 6; ++i) {
    InferMessage request = Numbered(i);
    if (i == 2) request.mutable_inputs(0)->set_shape(0, -1);
    if (i == 4) request.mutable_inputs(0)->mutable_contents()->add_fp32_contents(1);
    ASSERT_TRUE(stream->Write(request));
  }
  stream->WritesDone();
  Response response;
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(stream->Read(&response)) << i;
    EXPECT_EQ(response.infer_response().id(), std::to_string(i));
    EXPECT_EQ(!response.error_message().empty(), i >= 2 && i <= 4) << response.error_message();
    const std::string expected = i == 2 ? "negative" : i == 3 ? "the queue is full" : i == 4 ? "beside" : "";
    EXPECT_NE(response.error_message().find(expected), std::string::npos) << response.error_message();
  }
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_TRUE(stream->Finish().ok());
  const auto counts = service_.Counts(6);
  ASSERT_EQ(counts.size(), 6u);
}

TEST_F(GrpcStreamTest, SaysWhatIsFinalWhereAsked) {
  bool seen = false;
  service_.on_infer = [&](InferRequest request, auto done) {
    seen = request.parameters.count("triton_enable_empty_final_response") > 0;
    done(FakeService::Echo(request));
  };
  grpc::ClientContext context;
  const auto stream = stub().ModelStreamInfer(&context);
  InferMessage request = Numbered(0);
  ASSERT_TRUE(stream->Write(request));
  (*request.mutable_parameters())["triton_enable_empty_final_response"].set_bool_param(true);
  ASSERT_TRUE(stream->Write(request));
  stream->WritesDone();
  Response response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.infer_response().parameters().count("triton_final_response"), 0u);
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_TRUE(response.infer_response().parameters().at("triton_final_response").bool_param());
  EXPECT_FALSE(seen) << "a matter of the protocol, not of the service";
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(GrpcStreamTest, ReadsNoMoreThanItsShareAhead) {
  std::mutex mutex;
  std::deque<std::function<void()>> held;
  service_.on_infer = [&](InferRequest request, auto done) {
    const std::lock_guard lock(mutex);
    held.push_back([request = std::make_shared<InferRequest>(std::move(request)), done] {
      done(FakeService::Echo(*request));
    });
  };
  constexpr int kRequests = 200;
  grpc::ClientContext context;
  const auto stream = stub().ModelStreamInfer(&context);
  std::thread writer([&] {
    for (int i = 0; i < kRequests; ++i) stream->Write(Numbered(i));
    stream->WritesDone();
  });
  EXPECT_TRUE(Eventually([&] { return service_.infers == 64; }));
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_EQ(service_.infers, 64);
  std::atomic<bool> over{false};
  std::thread answers([&] {
    while (!over) {
      std::function<void()> next;
      {
        const std::lock_guard lock(mutex);
        if (!held.empty()) {
          next = std::move(held.front());
          held.pop_front();
        }
      }
      if (next) next();
    }
  });
  int count = 0;
  for (Response response; stream->Read(&response);) ++count;
  EXPECT_EQ(count, kRequests);
  EXPECT_TRUE(stream->Finish().ok());
  over = true;
  answers.join();
  writer.join();
}

TEST_F(GrpcStreamTest, CancelReachesEveryRequest) {
  std::mutex mutex;
  std::vector<std::shared_ptr<InferRequest>> held;
  std::vector<std::function<void(Service::Answer)>> dones;
  service_.on_infer = [&](InferRequest request, auto done) {
    const std::lock_guard lock(mutex);
    held.push_back(std::make_shared<InferRequest>(std::move(request)));
    dones.push_back(done);
  };
  grpc::ClientContext context;
  const auto stream = stub().ModelStreamInfer(&context);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(stream->Write(Numbered(i)));
  ASSERT_TRUE(Eventually([&] { return service_.infers == 3; }));
  context.TryCancel();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(Eventually([&] { return held[0]->cancelled->load() && held[2]->cancelled->load(); }));
  for (const auto& done : dones) done(ServeError(Reason::kCancelled, "cancelled"));
  EXPECT_EQ(service_.Counts(3).size(), 3u);
}

TEST_F(GrpcStreamTest, EmptyStreamsEnd) {
  grpc::ClientContext context;
  const auto stream = stub().ModelStreamInfer(&context);
  stream->WritesDone();
  Response response;
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_TRUE(stream->Finish().ok());
}

}  // namespace
}  // namespace sluice::serve
