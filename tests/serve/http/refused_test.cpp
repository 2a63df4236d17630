// What the protocol itself turns away is in the log like every other request.
#include <gtest/gtest.h>

#include "tests/serve/http/server.h"
#include "tests/serve/log_file.h"

namespace sluice::serve {
namespace {

class RefusedTest : public HttpTest {
 protected:
  void Limit(const std::string& keys) {
    const std::string path = testing::TempDir() + "sluice_refused_keys_" + std::to_string(getpid());
    std::ofstream(path) << keys;
    access_ = std::make_unique<Access>(path);
    std::remove(path.c_str());
  }
  LogFile log_;
};

TEST_F(RefusedTest, KeysAndRates) {
  Limit("ann first-secret-key 0.001 1\n");
  const std::string sent = std::string("X-Request-Id: mine-1\r\nTraceparent: ") + kTrace + "\r\n";
  const std::string key = "Authorization: Bearer first-secret-key\r\n";
  EXPECT_EQ(Call("GET", "/v2/models/echo?secret=1", "", sent).status, 401);
  EXPECT_EQ(Call("GET", "/v2/models/echo", "", key).status, 200);
  const Client::Answer limited = Call("GET", "/v2/models/echo", "", key);
  EXPECT_EQ(limited.status, 429);
  const auto lines = log_.Requests();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["outcome"], "unauthenticated");
  EXPECT_EQ(lines[0]["protocol"], "http");
  EXPECT_EQ(lines[0]["call"], "/v2/models/echo");
  EXPECT_EQ(lines[0]["peer"], "127.0.0.1");
  EXPECT_EQ(lines[0]["request_id"], "mine-1");
  EXPECT_EQ(lines[0]["traceparent"], kTrace);
  EXPECT_NE(lines[0]["error"].get<std::string>().find("API key"), std::string::npos);
  EXPECT_EQ(lines[1]["outcome"], "rate_limited");
  EXPECT_EQ(lines[1]["request_id"], limited.headers.at("x-request-id"));
}

TEST_F(RefusedTest, LimitsAndMistakes) {
  options_.limits.max_request_bytes = 1000;
  options_.limits.max_header_bytes = 2000;
  EXPECT_EQ(Infer(std::string(1001, ' ')).status, 413);
  EXPECT_EQ(Infer("{").status, 400);
  EXPECT_EQ(Call("GET", "/v2/models/none").status, 404);
  EXPECT_EQ(Call("POST", "/v2/repository/models/none/load").status, 404);
  EXPECT_EQ(Call("GET", "/v2/health/live", "", "Long: " + std::string(3000, 'x') + "\r\n").status, 431);
  // Whoever is served is for the service to log, and probes are no requests.
  EXPECT_EQ(Infer(R"({"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]})").status, 200);
  service_.ready = false;
  EXPECT_EQ(Call("GET", "/v2/health/ready").status, 400);
  const auto lines = log_.Requests();
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_EQ(lines[0]["outcome"], "too_large");
  EXPECT_EQ(lines[1]["outcome"], "invalid");
  EXPECT_EQ(lines[1]["model"], "echo");
  EXPECT_EQ(lines[2]["outcome"], "not_found");
  EXPECT_EQ(lines[2]["call"], "/v2/models/none");
  EXPECT_EQ(lines[3]["call"], "/v2/repository/models/none/load");
  EXPECT_NE(lines[4]["error"].get<std::string>().find("2000 bytes"), std::string::npos);
}

TEST_F(RefusedTest, RequestIdsOfClientsAreKeptWhereTheyArePlain) {
  const std::string body = R"({"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]})";
  EXPECT_EQ(Infer(body, "X-Request-Id: from-a-proxy\r\n").headers.at("x-request-id"), "from-a-proxy");
  EXPECT_EQ(Infer(body, "X-Request-Id: " + std::string(129, 'a') + "\r\n").headers.at("x-request-id").size(),
            16u);
  EXPECT_EQ(Infer(body).headers.at("x-request-id").size(), 16u);
}

}  // namespace
}  // namespace sluice::serve
