#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/serve/fake_service.h"
#include "tests/serve/http/client.h"
#include "tools/serve/http/http_server.h"

namespace sluice::serve {

// An HTTP server of the fake service on a free port.
class HttpTest : public testing::Test {
 protected:
  Client Connect() { return Client(server().port()); }
  Client::Answer Call(std::string_view method, std::string_view path, std::string_view body = "",
                      std::string_view headers = "") {
    return Connect().Call(method, path, body, headers);
  }
  Client::Answer Infer(std::string_view body, std::string_view headers = "") {
    return Call("POST", "/v2/models/echo/infer", body, headers);
  }
  FrontEnd& server() {
    if (!server_) server_ = NewHttpServer(options_, service_, *access_);
    return *server_;
  }

  FakeService service_;
  FrontEndOptions options_;  // until the first use of server()
  std::unique_ptr<Access> access_ = std::make_unique<Access>("");
  std::unique_ptr<FrontEnd> server_;
};

// The body of a binary request for one input: JSON, then the bytes; and the header that says where.
struct BinaryRequest {
  std::string body, headers;
};
inline BinaryRequest BinaryInfer(const std::string& name, const std::string& datatype,
                                 const std::string& shape, std::string_view bytes,
                                 const std::string& more = "") {
  const std::string json = R"({"inputs":[{"name":")" + name + R"(","shape":)" + shape + R"(,"datatype":")" +
                           datatype + R"(","parameters":{"binary_data_size":)" +
                           std::to_string(bytes.size()) + "}}]" + more + "}";
  return {json + std::string(bytes),
          "Inference-Header-Content-Length: " + std::to_string(json.size()) + "\r\n"};
}
template <typename T>
std::string BytesOf(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

}  // namespace sluice::serve
