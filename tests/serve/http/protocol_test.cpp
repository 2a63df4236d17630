#include <nlohmann/json.hpp>

#include "tests/serve/http/server.h"

namespace sluice::serve {
namespace {

using nlohmann::json;

TEST_F(HttpTest, AnswersProbes) {
  for (const char* path : {"/v2/health/live", "/v2/health/ready", "/v2/models/echo/ready",
                           "/v2/models/echo/versions/1/ready", "/v2/health/live/"}) {
    const auto answer = Call("GET", path);
    EXPECT_EQ(answer.status, 200) << path;
    EXPECT_EQ(answer.body, "") << path;
  }
  service_.ready = false;
  EXPECT_EQ(Call("GET", "/v2/health/live").status, 200);
  EXPECT_EQ(Call("GET", "/v2/health/ready").status, 400);
  EXPECT_EQ(Call("GET", "/v2/models/echo/ready").status, 400);
  EXPECT_EQ(Call("GET", "/v2/models/none/ready").status, 404);
}

TEST_F(HttpTest, DescribesServerAndModels) {
  for (const char* path : {"/v2", "/v2/", "v2"}) {
    const json server = json::parse(Call("GET", path).body);
    EXPECT_EQ(server["name"], "sluice");
    EXPECT_TRUE(server["version"].is_string());
    EXPECT_TRUE(server["extensions"].dump().find("binary_tensor_data") != std::string::npos);
  }
  for (const char* path : {"/v2/models/echo", "/v2/models/echo/versions/1", "/v2/models/%65cho?x=1"}) {
    const auto answer = Call("GET", path);
    EXPECT_EQ(answer.headers.at("content-type"), "application/json");
    EXPECT_EQ(answer.body, R"({"name":"echo","versions":["1"],"platform":"onnx_onnxv1",)"
                           R"("inputs":[{"name":"x","datatype":"FP32","shape":[-1,2]}],)"
                           R"("outputs":[{"name":"x","datatype":"FP32","shape":[-1,2]}]})");
  }
  service_.info.max_batch_size = 8;
  const json config = json::parse(Call("GET", "/v2/models/echo/config").body);
  EXPECT_EQ(config["max_batch_size"], 8);
  EXPECT_EQ(config["input"][0].dump(), R"({"data_type":"TYPE_FP32","dims":[2],"name":"x"})");
  EXPECT_TRUE(config.contains("dynamic_batching"));
}

TEST_F(HttpTest, TellsStatistics) {
  for (const char* path : {"/v2/models/stats", "/v2/models/echo/stats", "/v2/models/echo/versions/1/stats"}) {
    const json model = json::parse(Call("GET", path).body)["model_stats"][0];
    EXPECT_EQ(model["inference_count"], 3) << path;
    EXPECT_EQ(model["inference_stats"]["success"]["ns"], 3000) << path;
    EXPECT_EQ(model["batch_stats"][0]["compute_infer"]["ns"], 60) << path;
  }
  const auto metrics = Call("GET", "/metrics");
  EXPECT_EQ(metrics.headers.at("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_NE(metrics.body.find("sluice_up 1\n"), std::string::npos);
}

TEST_F(HttpTest, ManagesTheRepository) {
  EXPECT_EQ(Call("POST", "/v2/repository/index").body,
            R"([{"name":"echo","version":"1","state":"READY","reason":""}])");
  service_.ready = false;
  EXPECT_EQ(Call("POST", "/v2/repository/index", R"({"ready":true})").body, "[]");
  EXPECT_EQ(Call("POST", "/v2/repository/index", R"({"ready":1})").status, 400);
  EXPECT_EQ(Call("POST", "/v2/repository/index", "[").status, 400);
  EXPECT_EQ(Call("POST", "/v2/repository/models/echo/load").status, 200);
  EXPECT_EQ(Call("POST", "/v2/repository/models/echo/unload", "{}").status, 200);
  EXPECT_EQ(service_.loads, 1);
  EXPECT_EQ(service_.unloads, 1);
  const auto answer = Call("POST", "/v2/repository/models/none/load");
  EXPECT_EQ(answer.status, 404);
  EXPECT_EQ(answer.body, R"({"error":"model 'none' is not known"})");
}

TEST_F(HttpTest, SaysWhatIsWrongWithAPath) {
  for (const char* path :
       {"/v2/models", "/v2/nothing", "/v3", "/v2/models/echo/versions/x/infer", "/v2/models//infer",
        "/v2/models/echo/versions", "/v2/models/echo/infer/x", "/favicon.ico", "/v2/models/%zz",
        "/v2/models/%2", "/v2/models/..%2f..%2fetc/infer", "/v2/models/%2e%2e/infer",
        "/v2/models/a%00b/infer", "/../../etc/passwd", "/v2/repository/models/..%5c/load"}) {
    const auto answer = Call("POST", path, "{}");
    EXPECT_EQ(answer.status, 404) << path;
    EXPECT_EQ(json::parse(answer.body).size(), 1) << path;
  }
  EXPECT_EQ(Call("POST", "/v2/models/" + std::string(300, 'a') + "/infer", "{}").status, 404);
  EXPECT_EQ(service_.infers, 0);
  const auto answer = Call("GET", "/v2/models/echo/infer");
  EXPECT_EQ(answer.status, 405);
  EXPECT_EQ(answer.headers.at("allow"), "POST");
  EXPECT_EQ(Call("DELETE", "/v2/models/echo").status, 405);
  EXPECT_EQ(Call("POST", "/v2/health/live").status, 405);
  for (const char* path : {"/v2/systemsharedmemory/status", "/v2/cudasharedmemory/region/x/register",
                           "/v2/trace/setting", "/v2/logging", "/v2/models/echo/generate"})
    EXPECT_EQ(Call("POST", path, "{}").status, 501) << path;
}

TEST_F(HttpTest, AnswersHeadWithoutABody) {
  Client client = Connect();
  const auto head = client.Call("HEAD", "/v2");
  EXPECT_EQ(head.status, 200);
  const auto get = client.Call("GET", "/v2");
  EXPECT_EQ(head.headers.at("content-length"), std::to_string(get.body.size()));
}

TEST_F(HttpTest, KeepsConnectionsAndTheOrderOfPipelinedRequests) {
  Client client = Connect();
  std::string requests;
  for (int i = 0; i < 200; ++i) {
    const std::string body = R"({"id":")" + std::to_string(i) +
                             R"(","inputs":[{"name":"x","shape":[1],"datatype":"INT32","data":[1]}]})";
    requests += "POST /v2/models/echo/infer HTTP/1.1\r\nContent-Length: " + std::to_string(body.size()) +
                "\r\n\r\n" + body;
    requests += "GET /v2/health/live HTTP/1.1\r\n\r\n";
  }
  ASSERT_TRUE(client.Send(requests));
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(json::parse(client.Read().body)["id"], std::to_string(i));
    EXPECT_EQ(client.Read().status, 200);
  }
}

TEST_F(HttpTest, EndsTheConnectionWhereTheClientWantsIt) {
  Client closing = Connect();
  EXPECT_EQ(closing.Call("GET", "/v2", "", "Connection: close\r\n").headers.at("connection"), "close");
  EXPECT_TRUE(closing.AwaitEnd(std::chrono::seconds(2)));
  Client old = Connect();
  ASSERT_TRUE(old.Send("GET /v2 HTTP/1.0\r\n\r\n"));
  EXPECT_EQ(old.Read().status, 200);
  EXPECT_TRUE(old.AwaitEnd(std::chrono::seconds(2)));
  Client kept = Connect();
  ASSERT_TRUE(kept.Send("GET /v2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
  EXPECT_EQ(kept.Read().headers.at("connection"), "keep-alive");
  EXPECT_EQ(kept.Call("GET", "/v2").status, 200);
}

TEST_F(HttpTest, AsksForTheBodyOfThoseThatWait) {
  Client client = Connect();
  const std::string body = R"({"inputs":[{"name":"x","shape":[1],"datatype":"INT32","data":[1]}]})";
  ASSERT_TRUE(client.Send("POST /v2/models/echo/infer HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: " +
                          std::to_string(body.size()) + "\r\n\r\n"));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  ASSERT_TRUE(client.Send(body));
  EXPECT_EQ(client.Read().status, 200);
  // And refuses it where it would be refused anyway.
  Client refused = Connect();
  ASSERT_TRUE(refused.Send(
      "POST /v2/models/echo/nothing HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n"));
  EXPECT_EQ(refused.Read().status, 404);
}

TEST_F(HttpTest, PassesIdsAndTraces) {
  std::string request_id, trace;
  service_.on_infer = [&](InferRequest request, auto done) {
    request_id = request.request_id;
    trace = request.traceparent;
    done(FakeService::Echo(request));
  };
  const std::string body =
      R"({"id":"mine","inputs":[{"name":"x","shape":[1],"datatype":"INT32","data":[1]}]})";
  const std::string sent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  auto answer = Infer(body, "traceparent: " + sent + "\r\n");
  EXPECT_EQ(trace, sent);
  EXPECT_EQ(answer.headers.at("traceparent"), sent);
  EXPECT_EQ(answer.headers.at("x-request-id"), request_id);
  EXPECT_EQ(request_id.size(), 16);
  EXPECT_EQ(json::parse(answer.body)["id"], "mine");
  for (const char* broken : {"nonsense", "00-00000000000000000000000000000000-b7ad6b7169203331-01",
                             "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"}) {
    answer = Infer(body, "traceparent: " + std::string(broken) + "\r\n");
    EXPECT_NE(trace, broken);
    EXPECT_EQ(trace.size(), 55);
  }
}

TEST_F(HttpTest, RefusesPagesOfOtherSites) {
  EXPECT_EQ(Call("POST", "/v2/repository/models/echo/unload", "", "Sec-Fetch-Site: cross-site\r\n").status,
            403);
  EXPECT_EQ(Call("POST", "/v2/repository/models/echo/unload", "", "Sec-Fetch-Site: same-origin\r\n").status,
            200);
  EXPECT_EQ(service_.unloads, 1);
}

TEST_F(HttpTest, MapsErrorsOfTheService) {
  const std::pair<Reason, int> statuses[] = {
      {Reason::kInvalid, 400},     {Reason::kUnauthenticated, 401}, {Reason::kNotFound, 404},
      {Reason::kTimeout, 504},     {Reason::kCancelled, 499},       {Reason::kTooLarge, 413},
      {Reason::kRateLimited, 429}, {Reason::kOverloaded, 503},      {Reason::kUnavailable, 503},
      {Reason::kUnsupported, 501}, {Reason::kInternal, 500}};
  for (const auto& [reason, status] : statuses) {
    service_.on_infer = [reason = reason](InferRequest, auto done) {
      done(ServeError(reason, "a \"reason\"", 7));
    };
    const auto answer = Infer(R"({"inputs":[{"name":"x","shape":[1],"datatype":"INT32","data":[1]}]})");
    EXPECT_EQ(answer.status, status);
    EXPECT_EQ(answer.body, R"({"error":"a \"reason\""})");
    EXPECT_EQ(answer.headers.at("retry-after"), "7");
  }
  service_.on_infer = [](InferRequest, auto) { throw std::runtime_error("/secret/path"); };
  const auto answer = Infer(R"({"inputs":[{"name":"x","shape":[1],"datatype":"INT32","data":[1]}]})");
  EXPECT_EQ(answer.status, 500);
  EXPECT_EQ(answer.body, R"({"error":"internal error"})");
}

}  // namespace
}  // namespace sluice::serve
