#include <sys/resource.h>

#include <atomic>
#include <condition_variable>
#include <fstream>
#include <future>
#include <mutex>
#include <thread>

#include "tests/sanitized.h"
#include "tests/serve/http/server.h"

namespace sluice::serve {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr char kSmall[] = R"({"inputs":[{"name":"x","shape":[1],"datatype":"INT32","data":[1]}]})";
constexpr char kInferHead[] = "POST /v2/models/echo/infer HTTP/1.1\r\nHost: test\r\n";

// Memory that this process holds.
int64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  int64_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

// Requests that wait until the test lets them go on.
class HeldTest : public HttpTest {
 protected:
  HeldTest() {
    service_.on_infer = [this](InferRequest request, auto done) {
      const std::lock_guard lock(mutex_);
      held_.emplace_back(std::move(request), std::move(done));
      changed_.notify_all();
    };
  }
  ~HeldTest() override {
    server_.reset();
    Release();
  }
  void AwaitHeld(size_t requests) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, seconds(10), [&] { return held_.size() >= requests; }));
  }
  void Release() {
    std::vector<std::pair<InferRequest, std::function<void(Service::Answer)>>> held;
    {
      const std::lock_guard lock(mutex_);
      held.swap(held_);
    }
    for (auto& [request, done] : held) done(FakeService::Echo(request));
  }
  static std::string Request(std::string_view body = kSmall) {
    return std::string(kInferHead) + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
           std::string(body);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::pair<InferRequest, std::function<void(Service::Answer)>>> held_;
};

TEST_F(HttpTest, LimitsBodies) {
  options_.limits.max_request_bytes = 1000;
  Client stated = Connect();
  // Refused by its head; the client may go on sending all the same.
  ASSERT_TRUE(stated.Send(std::string(kInferHead) + "Content-Length: 1001\r\n\r\n" + std::string(1001, ' ')));
  const auto answer = stated.Read();
  EXPECT_EQ(answer.status, 413);
  EXPECT_EQ(answer.body, R"({"error":"the request is larger than 1000 bytes"})");
  Client chunked = Connect();
  chunked.Send(std::string(kInferHead) + "Transfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 11; ++i) chunked.Send("64\r\n" + std::string(100, ' ') + "\r\n");
  EXPECT_EQ(chunked.Read().status, 413);
  EXPECT_TRUE(chunked.AwaitEnd(seconds(5)));
  EXPECT_EQ(Infer(kSmall).status, 200);
}

TEST_F(HttpTest, TakesBodiesOf100Megabytes) {
  options_.limits.max_request_bytes = int64_t{128} << 20;
  const BinaryRequest request = BinaryInfer("x", "UINT8", "[104857600]", std::string(100 << 20, 'a'));
  service_.on_infer = [](InferRequest request, auto done) {
    InferResponse response;
    response.outputs.emplace_back("n", Tensor::Scalar<int64_t>(request.inputs[0].tensor.byte_size()));
    done(std::move(response));
  };
  const auto answer = Infer(request.body, request.headers);
  EXPECT_NE(answer.body.find("\"data\":[104857600]"), std::string::npos) << answer.body;
  options_.limits.max_request_bytes = int64_t{64} << 20;
  server_.reset();
  EXPECT_EQ(Infer(request.body, request.headers).status, 413);
}

TEST_F(HttpTest, TakesJsonOfManyMegabytes) {
  std::string data = "0";
  for (int i = 1; i < 4'000'000; ++i) data += ",0";
  const auto answer =
      Infer(R"({"inputs":[{"name":"x","shape":[4000000],"datatype":"FP32","data":[)" + data + "]}]}");
  EXPECT_EQ(answer.status, 200);
  EXPECT_NE(answer.body.find("\"data\":[" + data + "]"), std::string::npos);
}

TEST_F(HttpTest, LimitsHeads) {
  options_.limits.max_header_bytes = 2000;
  EXPECT_EQ(Call("GET", "/v2", "", "X: " + std::string(1800, 'x') + "\r\n").status, 200);
  EXPECT_EQ(Call("GET", "/v2", "", "X: " + std::string(2000, 'x') + "\r\n").status, 431);
  EXPECT_EQ(Call("GET", "/" + std::string(3000, 'x')).status, 431);
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "a:\r\n";
  EXPECT_EQ(Call("GET", "/v2", "", many).status, 431);
}

TEST_F(HttpTest, LimitsTensorsAndDepth) {
  options_.limits.max_tensors = 10;
  options_.limits.max_json_depth = 8;
  std::string outputs = R"({"name":"0"})";
  for (int i = 1; i < 10; ++i) outputs += R"(,{"name":")" + std::to_string(i) + "\"}";
  const std::string input = R"({"name":"x","shape":[1],"datatype":"INT32","data":[1]})";
  EXPECT_EQ(Infer(R"({"inputs":[)" + input + R"(],"outputs":[)" + outputs + "]}").status, 413);
  const auto nested = [&](size_t depth) {
    return R"({"inputs":[{"name":"x","shape":[1],"datatype":"INT32","data":)" + std::string(depth, '[') +
           "1" + std::string(depth, ']') + "}]}";
  };
  EXPECT_EQ(Infer(nested(8)).status, 200);
  EXPECT_EQ(Infer(nested(9)).body, R"({"error":"input 'x': data is nested more than 8 deep"})");
  EXPECT_EQ(Infer(nested(1'000'000)).status, 400);
  // Also where nobody looks.
  const std::string deep = std::string(1'000'000, '[');
  EXPECT_EQ(Infer(deep).status, 400);
  EXPECT_EQ(Infer(R"({"x":)" + deep + "}").status, 400);
  EXPECT_EQ(Infer(R"({"inputs":[{"x":)" + deep).status, 400);
}

TEST_F(HttpTest, EndsSlowHeads) {
  options_.limits.header_timeout_ms = 200;
  Client slow = Connect();
  const auto start = Clock::now();
  slow.Send("GET /v2 HTTP/1.1\r\n");
  std::thread drip([&] {
    for (int i = 0; i < 100 && slow.Send("a: b\r\n"); ++i) std::this_thread::sleep_for(milliseconds(20));
  });
  EXPECT_EQ(slow.Read().status, 408);
  EXPECT_TRUE(slow.AwaitEnd(seconds(10)));
  EXPECT_LT(Clock::now() - start, seconds(5));
  drip.join();
}

TEST_F(HttpTest, EndsSlowBodiesAndKeepsSteadyOnes) {
  options_.limits.body_timeout_ms = 1000;
  for (const char* encoding :
       {"Content-Length: 100000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n186a0\r\n"}) {
    Client slow = Connect();
    slow.Send(std::string(kInferHead) + encoding);
    std::atomic<bool> over{false};
    std::thread drip([&] {
      while (!over && slow.Send(" ")) std::this_thread::sleep_for(milliseconds(20));
    });
    EXPECT_EQ(slow.Read().status, 408);
    over = true;
    drip.join();
  }
  // 10 KiB/s for longer than the timeout.
  Client steady = Connect();
  steady.Send(std::string(kInferHead) + "Content-Length: 15360\r\n\r\n");
  for (int i = 0; i < 15; ++i) {
    EXPECT_TRUE(steady.Send(std::string(1024, ' ')));
    std::this_thread::sleep_for(milliseconds(100));
  }
  EXPECT_EQ(steady.Read().status, 400);
}

TEST_F(HttpTest, EndsIdleConnections) {
  options_.limits.idle_timeout_ms = 200;
  Client client = Connect();
  EXPECT_EQ(client.Call("GET", "/v2").status, 200);
  EXPECT_FALSE(client.AwaitEnd(milliseconds(100)));
  EXPECT_TRUE(client.AwaitEnd(seconds(2)));
}

TEST_F(HttpTest, EndsConnectionsThatDoNotReadTheirAnswers) {
  options_.limits.body_timeout_ms = 300;
  service_.on_infer = [](InferRequest, auto done) {
    InferResponse response;
    response.outputs.emplace_back("y", Tensor(DataType::kUInt8, {64 << 20}));
    done(std::move(response));
  };
  const BinaryRequest request =
      BinaryInfer("x", "UINT8", "[1]", "a", R"(,"parameters":{"binary_data_output":true})");
  Client client = Connect();
  client.Send(std::string(kInferHead) + request.headers +
              "Content-Length: " + std::to_string(request.body.size()) + "\r\n\r\n" + request.body);
  std::this_thread::sleep_for(seconds(1));
  // What the kernel holds still comes, then the end.
  EXPECT_TRUE(client.AwaitEnd(seconds(5)));
  EXPECT_LT(client.received(), size_t{64} << 20);
}

TEST_F(HttpTest, LimitsConnections) {
  options_.limits.max_connections = 3;
  std::vector<Client> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(Connect());
    EXPECT_EQ(clients.back().Call("GET", "/v2").status, 200);
  }
  const auto refused = Connect().Read();
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.headers.at("retry-after"), "1");
  clients.pop_back();
  std::this_thread::sleep_for(milliseconds(100));
  EXPECT_EQ(Connect().Call("GET", "/v2").status, 200);
}

TEST_F(HttpTest, HoldsTenThousandIdleConnections) {
  rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  // Both ends are in this process.
  const size_t count = std::min<size_t>(10'000, (files.rlim_cur - 500) / 2);
  const int64_t before = ResidentBytes();
  std::vector<Client> clients;
  for (size_t i = 0; i < count; ++i) {
    clients.push_back(Connect());
    if (i % 10 == 0) {
      ASSERT_EQ(clients.back().Call("GET", "/v2/health/live").status, 200);
    }
  }
  EXPECT_EQ(Infer(kSmall).status, 200);
  const int64_t each = (ResidentBytes() - before) / static_cast<int64_t>(count);
  RecordProperty("connections", static_cast<int>(count));
  RecordProperty("bytes_each", static_cast<int>(each));
  if (!test::kSanitized) {
    EXPECT_LT(each, 16 << 10);
  }
  for (size_t i = 0; i < count; i += 100) EXPECT_EQ(clients[i].Call("GET", "/v2/health/live").status, 200);
}

TEST_F(HeldTest, LimitsBytesInFlight) {
  options_.limits.max_inflight_bytes = 4 << 20;
  const BinaryRequest request = BinaryInfer("x", "UINT8", "[1048576]", std::string(1 << 20, 'a'));
  const std::string text = std::string(kInferHead) + request.headers +
                           "Content-Length: " + std::to_string(request.body.size()) + "\r\n\r\n" +
                           request.body;
  std::vector<Client> clients;
  for (size_t i = 0; i < 3; ++i) {
    clients.push_back(Connect());
    ASSERT_TRUE(clients.back().Send(text));
    AwaitHeld(i + 1);
  }
  Client refused = Connect();
  refused.Send(text);
  const auto answer = refused.Read();
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.headers.at("retry-after"), "1");
  EXPECT_EQ(answer.body, R"({"error":"too many bytes of requests in flight"})");
  Release();
  for (Client& client : clients) EXPECT_EQ(client.Read().status, 200);
  Client again = Connect();
  ASSERT_TRUE(again.Send(text));
  AwaitHeld(1);
}

TEST_F(HeldTest, CancelsWhereTheClientIsGone) {
  Client client = Connect();
  ASSERT_TRUE(client.Send(Request()));
  AwaitHeld(1);
  EXPECT_FALSE(held_[0].first.cancelled->load());
  client.Close();
  for (int i = 0; i < 200 && !held_[0].first.cancelled->load(); ++i)
    std::this_thread::sleep_for(milliseconds(10));
  EXPECT_TRUE(held_[0].first.cancelled->load());
  Release();
  // And not where more requests wait behind.
  Client pipelining = Connect();
  ASSERT_TRUE(pipelining.Send(Request() + Request()));
  AwaitHeld(1);
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_FALSE(held_[0].first.cancelled->load());
  Release();
  EXPECT_EQ(pipelining.Read().status, 200);
  AwaitHeld(1);
  Release();
  EXPECT_EQ(pipelining.Read().status, 200);
}

TEST_F(HeldTest, EndsWithRequestsInTheAir) {
  Client client = Connect();
  ASSERT_TRUE(client.Send(Request()));
  AwaitHeld(1);
  server_.reset();
  EXPECT_TRUE(held_[0].first.cancelled->load());
  Release();
  EXPECT_TRUE(client.AwaitEnd(seconds(1)));
}

TEST_F(HeldTest, DrainsWithoutLosingARequest) {
  Client busy = Connect(), idle = Connect(), fresh = Connect();
  EXPECT_EQ(idle.Call("GET", "/v2").status, 200);
  ASSERT_TRUE(busy.Send(Request()));
  AwaitHeld(1);
  auto drained = std::async([&] { return server().Drain(Clock::now() + seconds(10)); });
  std::this_thread::sleep_for(milliseconds(100));
  EXPECT_THROW(Connect().Call("GET", "/v2"), std::runtime_error);
  // An open connection is still served, and then closed.
  ASSERT_TRUE(fresh.Send(Request()));
  AwaitHeld(2);
  Release();
  for (Client* client : {&busy, &fresh}) {
    const auto answer = client->Read();
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.headers.at("connection"), "close");
    EXPECT_TRUE(client->AwaitEnd(seconds(1)));
    client->Close();
  }
  EXPECT_TRUE(idle.AwaitEnd(seconds(5)));
  idle.Close();
  EXPECT_TRUE(drained.get());
}

TEST_F(HeldTest, DrainsNoLongerThanItMay) {
  Client busy = Connect();
  ASSERT_TRUE(busy.Send(Request()));
  AwaitHeld(1);
  EXPECT_FALSE(server().Drain(Clock::now() + milliseconds(200)));
}

TEST_F(HttpTest, AsksForKeys) {
  const std::string path = testing::TempDir() + "keys" + std::to_string(getpid());
  std::ofstream(path) << "alice alice-secret\nslow slow-secret 0.1 1\n";
  access_ = std::make_unique<Access>(path);
  std::string client;
  service_.on_infer = [&](InferRequest request, auto done) {
    client = request.client;
    done(FakeService::Echo(request));
  };
  for (const char* target : {"/v2", "/v2/models/echo", "/metrics", "/v2/models/none", "/v2/nothing"}) {
    const auto answer = Call("GET", target);
    EXPECT_EQ(answer.status, 401) << target;
    EXPECT_EQ(answer.headers.at("www-authenticate"), "Bearer");
  }
  EXPECT_EQ(Call("GET", "/v2/health/live").status, 200);
  EXPECT_EQ(Call("GET", "/v2/health/ready").status, 200);
  EXPECT_EQ(Infer(kSmall).status, 401);
  EXPECT_EQ(Infer(kSmall, "Authorization: Bearer alice-secrez\r\n").status, 401);
  EXPECT_EQ(Infer(kSmall, "Authorization: Bearer alice-secret\r\nAuthorization: Bearer x\r\n").status, 400);
  EXPECT_EQ(Infer(kSmall, "Authorization: Bearer alice-secret\r\n").status, 200);
  EXPECT_EQ(client, "alice");
  EXPECT_EQ(Infer(kSmall, "Authorization: Bearer slow-secret\r\n").status, 200);
  const auto limited = Infer(kSmall, "Authorization: Bearer slow-secret\r\n");
  EXPECT_EQ(limited.status, 429);
  EXPECT_EQ(limited.headers.at("retry-after"), "10");
  unlink(path.c_str());
}

}  // namespace
}  // namespace sluice::serve
