#include <random>

#include "tests/serve/http/server.h"

namespace sluice::serve {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr char kSmall[] = R"({"inputs":[{"name":"x","shape":[1],"datatype":"INT32","data":[1]}]})";
constexpr char kInferHead[] = "POST /v2/models/echo/infer HTTP/1.1\r\nHost: test\r\n";

TEST_F(HttpTest, TakesChunksOfOneByte) {
  Client client = Connect();
  std::string body(200'000, ' ');
  body += kSmall;
  std::string chunks;
  for (const char c : body) chunks += std::string("1\r\n") + c + "\r\n";
  ASSERT_TRUE(
      client.Send(std::string(kInferHead) + "Transfer-Encoding: chunked\r\n\r\n" + chunks + "0\r\n\r\n"));
  EXPECT_EQ(client.Read().status, 200);
  // With extensions and trailers, which do not count as headers.
  const std::string with_more = std::string(kInferHead) + "Transfer-Encoding: chunked\r\n\r\n43;a=b\r\n" +
                                kSmall + "\r\n0\r\nContent-Encoding: gzip\r\nAuthorization: x\r\n\r\n";
  ASSERT_EQ(sizeof kSmall - 1, 0x43);
  ASSERT_TRUE(client.Send(with_more));
  EXPECT_EQ(client.Read().status, 200);
  EXPECT_EQ(client.Call("GET", "/v2").status, 200);
}

TEST_F(HttpTest, TakesRequestsByteByByte) {
  Client client = Connect();
  const std::string text = std::string(kInferHead) + "Content-Length: 67\r\n\r\n" + kSmall;
  for (int i = 0; i < 3; ++i)
    for (const char c : text) ASSERT_TRUE(client.Send({&c, 1}));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(client.Read().status, 200);
}

TEST_F(HttpTest, RefusesWhatCanBeReadInTwoWays) {
  for (const char* headers : {
           "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
           "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
           "Content-Length: -1\r\n\r\n",
           "Content-Length: 99999999999999999999999\r\n\r\n",
           "Content-Length: 0x5\r\n\r\nhello",
           "Content-Length: 5,5\r\n\r\nhello",
           "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
           "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
           "Transfer-Encoding: chunked\r\n\r\n1\r\nabcd\r\n\r\n",
           "Transfer-Encoding: gzip\r\n\r\n",
           "Bad Header: x\r\n\r\n",
           "Host: other\r\n\r\n",
           "X\r\n\r\n",
       }) {
    SCOPED_TRACE(headers);
    Client client = Connect();
    client.Send(std::string(kInferHead) + headers);
    int status = 0;
    ASSERT_NO_THROW(status = client.Read(false, seconds(5)).status);
    EXPECT_TRUE(status == 400 || status == 501) << status << " for " << headers;
    EXPECT_TRUE(client.AwaitEnd(seconds(5)));
  }
  EXPECT_EQ(service_.infers, 0);
}

TEST_F(HttpTest, RefusesWhatIsNotHttp) {
  for (const std::string& text :
       {std::string("\x16\x03\x01\x02\0\x01\0", 7) + std::string(200, '\x01'),
        std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), std::string("GET / HTTP/3.0\r\n\r\n"),
        std::string("GET\r\n\r\n"), std::string(1000, '\0'), std::string("\r\n\r\n\r\n\r\n")}) {
    Client client = Connect();
    client.Send(text);
    EXPECT_GE(client.Read().status, 400);
    EXPECT_TRUE(client.AwaitEnd(seconds(5)));
  }
}

TEST_F(HttpTest, LivesThroughGarbage) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const BinaryRequest binary = BinaryInfer("x", "FP32", "[2]", BytesOf<float>({1, 2}));
  const std::string requests[] = {
      std::string(kInferHead) + "Content-Length: 67\r\n\r\n" + kSmall,
      std::string(kInferHead) + binary.headers + "Content-Length: " + std::to_string(binary.body.size()) +
          "\r\n\r\n" + binary.body,
      std::string(kInferHead) + "Transfer-Encoding: chunked\r\n\r\n43\r\n" + kSmall + "\r\n0\r\n\r\n"};
  for (int i = 0; i < 1500; ++i) {
    std::string text = requests[random() % 3];
    for (unsigned edits = 1 + random() % 4; edits > 0; --edits) {
      const size_t place = random() % text.size();
      switch (random() % 4) {
        case 0:
          text[place] = static_cast<char>(random());
          break;
        case 1:
          text.erase(place, 1 + random() % 8);
          break;
        case 2:
          text.insert(place, text.substr(random() % text.size(), random() % 16));
          break;
        default:
          text.insert(place, 1, "0123456789,:[]{}\"\r\n-"[random() % 20]);
      }
      if (text.empty()) text = "x";
    }
    Client client = Connect();
    client.Send(text);
    client.Shutdown();
    client.AwaitEnd(seconds(10));
  }
  EXPECT_EQ(Infer(kSmall).status, 200);
}

TEST_F(HttpTest, LivesThroughRequestsCutOff) {
  const BinaryRequest binary = BinaryInfer("x", "FP32", "[2]", BytesOf<float>({1, 2}));
  const std::string text = std::string(kInferHead) + binary.headers +
                           "Content-Length: " + std::to_string(binary.body.size()) + "\r\n\r\n" + binary.body;
  for (size_t bytes = 0; bytes < text.size(); ++bytes) {
    Client client = Connect();
    client.Send(text.substr(0, bytes));
  }
  EXPECT_EQ(Infer(kSmall).status, 200);
}

}  // namespace
}  // namespace sluice::serve
