#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <filesystem>
#include <fstream>
#include <thread>

#include "sluice/error.h"
#include "tests/serve/certificates.h"
#include "tests/serve/http/server.h"

namespace sluice::serve {
namespace {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;

class TlsTest : public HttpTest {
 protected:
  TlsTest() {
    std::filesystem::create_directory(folder_);
    Install(Certificate("server one", &authority_));
    authority_.WriteCertificate(folder_ + "/ca.pem");
    options_.tls.certificate = folder_ + "/server.pem";
    options_.tls.key = folder_ + "/server.key";
  }
  ~TlsTest() override {
    server_.reset();
    std::filesystem::remove_all(folder_);
  }
  void Install(const Certificate& certificate) const {
    certificate.WriteCertificate(folder_ + "/server.pem");
    certificate.WriteKey(folder_ + "/server.key");
  }

  // The text of an answer, or of the error of OpenSSL that came instead; `seen` is the server's name.
  std::string Get(const std::string& request, const Certificate* own = nullptr, std::string* seen = nullptr,
                  int newest = TLS1_3_VERSION) {
    asio::io_context io;
    ssl::context context(ssl::context::tls_client);
    context.load_verify_file(folder_ + "/ca.pem");
    context.set_verify_mode(ssl::verify_peer);
    SSL_CTX_set_max_proto_version(context.native_handle(), newest);
    SSL_CTX_set_security_level(context.native_handle(), 0);
    if (own != nullptr) {
      own->WriteCertificate(folder_ + "/own.pem");
      own->WriteKey(folder_ + "/own.key");
      context.use_certificate_chain_file(folder_ + "/own.pem");
      context.use_private_key_file(folder_ + "/own.key", ssl::context::pem);
    }
    ssl::stream<asio::ip::tcp::socket> stream(io, context);
    stream.lowest_layer().connect({asio::ip::address_v4::loopback(), server().port()});
    boost::system::error_code error;
    stream.handshake(ssl::stream_base::client, error);
    if (error) return error.message();
    if (seen != nullptr) {
      char name[100] = {};
      X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get0_peer_certificate(stream.native_handle())),
                                NID_commonName, name, sizeof name);
      *seen = name;
    }
    asio::write(stream, asio::buffer(request), error);
    std::string answer;
    asio::read(stream, asio::dynamic_buffer(answer), error);
    return answer.empty() ? error.message() : answer;
  }

  const std::string folder_ = testing::TempDir() + "tls" + std::to_string(getpid());
  const Certificate authority_{"authority"};
  const std::string probe_ = "GET /v2/health/live HTTP/1.1\r\nConnection: close\r\n\r\n";
};

TEST_F(TlsTest, ServesOverTls) {
  EXPECT_EQ(Get(probe_).substr(0, 15), "HTTP/1.1 200 OK");
  EXPECT_EQ(Get(probe_, nullptr, nullptr, TLS1_2_VERSION).substr(0, 15), "HTTP/1.1 200 OK");
  EXPECT_NE(Get(probe_, nullptr, nullptr, TLS1_1_VERSION).substr(0, 4), "HTTP");
  // Large bodies both ways.
  const BinaryRequest request = BinaryInfer("x", "UINT8", "[5000000]", std::string(5'000'000, 'a'),
                                            R"(,"parameters":{"binary_data_output":true})");
  const std::string answer =
      Get("POST /v2/models/echo/infer HTTP/1.1\r\nConnection: close\r\n" + request.headers +
          "Content-Length: " + std::to_string(request.body.size()) + "\r\n\r\n" + request.body);
  EXPECT_EQ(answer.substr(answer.size() - 5'000'000), std::string(5'000'000, 'a'));
  // Plain HTTP on that port is nothing.
  Client plain = Connect();
  plain.Send("GET /v2 HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(plain.AwaitEnd(std::chrono::seconds(5)));
}

TEST_F(TlsTest, KnowsClientsByTheirCertificates) {
  options_.tls.client_ca = folder_ + "/ca.pem";
  std::string client;
  service_.on_infer = [&](InferRequest request, auto done) {
    client = request.client;
    done(FakeService::Echo(request));
  };
  const std::string body = R"({"inputs":[{"name":"x","shape":[1],"datatype":"INT32","data":[1]}]})";
  const std::string request = "POST /v2/models/echo/infer HTTP/1.1\r\nConnection: close\r\nContent-Length: " +
                              std::to_string(body.size()) + "\r\n\r\n" + body;
  EXPECT_NE(Get(request).substr(0, 4), "HTTP");
  const Certificate stranger("stranger"), robot("robot", &authority_);
  EXPECT_NE(Get(request, &stranger).substr(0, 4), "HTTP");
  EXPECT_EQ(client, "");
  EXPECT_EQ(Get(request, &robot).substr(0, 15), "HTTP/1.1 200 OK");
  EXPECT_EQ(client, "robot");
}

TEST_F(TlsTest, ReadsNewCertificates) {
  std::string seen;
  Get(probe_, nullptr, &seen);
  EXPECT_EQ(seen, "server one");
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  Install(Certificate("server two", &authority_));
  Get(probe_, nullptr, &seen);
  EXPECT_EQ(seen, "server two");
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  std::ofstream(folder_ + "/server.key") << "broken";
  Get(probe_, nullptr, &seen);
  EXPECT_EQ(seen, "server two");
}

TEST_F(TlsTest, EndsHandshakesThatDoNotCome) {
  options_.limits.header_timeout_ms = 200;
  Client silent = Connect();
  EXPECT_TRUE(silent.AwaitEnd(std::chrono::seconds(5)));
}

TEST_F(TlsTest, SaysWhichFileIsWrong) {
  const auto message = [&] {
    try {
      NewHttpServer(options_, service_, *access_);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  Certificate("other").WriteKey(folder_ + "/server.key");
  EXPECT_EQ(message().find(folder_ + "/server.key: not the key of the certificate"), 0) << message();
  options_.tls.certificate = folder_ + "/none.pem";
  EXPECT_EQ(message().find(folder_ + "/none.pem: not a chain of certificates"), 0) << message();
  options_.tls = {};
  options_.port = server().port();
  EXPECT_EQ(message(),
            "cannot listen on 127.0.0.1 port " + std::to_string(options_.port) + ": Address already in use");
  options_.address = "nowhere";
  EXPECT_EQ(message(), "--address: expected an IP address, found 'nowhere'");
}

}  // namespace
}  // namespace sluice::serve
