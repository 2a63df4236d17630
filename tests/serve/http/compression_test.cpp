#include "tools/serve/http/compression.h"

#include <nlohmann/json.hpp>

#include "tests/serve/http/server.h"

namespace sluice::serve {
namespace {

using nlohmann::json;

std::string Inflate(std::string_view bytes) {
  Body body(std::make_shared<ByteBudget>(int64_t{1} << 30));
  Decompress(bytes, body, size_t{1} << 30);
  return std::string(body.text());
}

std::string LongRequest() {
  std::string data = "1";
  for (int i = 1; i < 1000; ++i) data += ",1";
  return R"({"inputs":[{"name":"x","shape":[1000],"datatype":"INT32","data":[)" + data + "]}]}";
}

TEST_F(HttpTest, TakesCompressedRequests) {
  for (const auto& [coding, name] :
       {std::pair{Coding::kGzip, "gzip"}, {Coding::kDeflate, "deflate"}, {Coding::kGzip, "GZIP"}}) {
    const auto answer =
        Infer(Compress(LongRequest(), coding), "Content-Encoding: " + std::string(name) + "\r\n");
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(json::parse(answer.body)["outputs"][0]["data"].size(), 1000);
  }
  // The header counts bytes of the request as it was.
  const BinaryRequest request = BinaryInfer("x", "FP32", "[2]", BytesOf<float>({1, 2}));
  const auto answer =
      Infer(Compress(request.body, Coding::kGzip), request.headers + "Content-Encoding: gzip\r\n");
  EXPECT_EQ(json::parse(answer.body)["outputs"][0]["data"], json({1, 2}));
}

TEST_F(HttpTest, RefusesBrokenCompression) {
  const std::string good = Compress(LongRequest(), Coding::kGzip);
  for (const std::string& body : {LongRequest(), good.substr(0, good.size() / 2),
                                  good.substr(0, good.size() - 4), good + "x", std::string("\x1f\x8b")})
    EXPECT_EQ(Infer(body, "Content-Encoding: gzip\r\n").body,
              R"({"error":"the request's compressed body is broken"})");
  EXPECT_EQ(Infer(good, "Content-Encoding: br\r\n").status, 400);
  EXPECT_EQ(Infer(good, "Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n").status, 400);
}

TEST_F(HttpTest, LimitsWhatCompressedRequestsGrowTo) {
  options_.limits.max_request_bytes = 1 << 20;
  const auto answer =
      Infer(Compress(std::string(100 << 20, '['), Coding::kGzip), "Content-Encoding: gzip\r\n");
  EXPECT_EQ(answer.status, 413);
}

TEST_F(HttpTest, CompressesForThoseThatAsk) {
  const auto answer = [&](const std::string& accepted, bool binary) {
    const BinaryRequest request = BinaryInfer("x", "INT32", "[1000]", std::string(4000, '\1'),
                                              binary ? R"(,"parameters":{"binary_data_output":true})" : "");
    return Infer(request.body, request.headers + "Accept-Encoding: " + accepted + "\r\n");
  };
  for (const char* accepted : {"gzip", "deflate", "gzip, deflate, br", "br;q=1, deflate;q=0.5"}) {
    const auto text = answer(accepted, false);
    ASSERT_TRUE(text.headers.contains("content-encoding")) << accepted;
    EXPECT_EQ(json::parse(Inflate(text.body))["outputs"][0]["data"].size(), 1000);
  }
  const auto tensors = answer("gzip", true);
  EXPECT_EQ(tensors.headers.at("content-encoding"), "gzip");
  const size_t json_bytes = std::stoul(tensors.headers.at("inference-header-content-length"));
  EXPECT_EQ(Inflate(tensors.body).substr(json_bytes), std::string(4000, '\1'));
  for (const char* accepted : {"identity", "br", "gzip;q=0", "gzip; q=0.0, identity"})
    EXPECT_FALSE(answer(accepted, false).headers.contains("content-encoding")) << accepted;
  // Many clients name what they know; compressing tensors costs them more than it saves.
  EXPECT_FALSE(answer("gzip, deflate", true).headers.contains("content-encoding"));
  // Short answers stay as they are.
  EXPECT_FALSE(Call("GET", "/v2", "", "Accept-Encoding: gzip\r\n").headers.contains("content-encoding"));
}

}  // namespace
}  // namespace sluice::serve
