#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string_view>

#include "bench/serve/client.h"

namespace sluice::bench {
namespace {

int Connect(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == address.npos) throw std::runtime_error(address + ": expected HOST:PORT");
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(address.substr(0, colon).c_str(), address.substr(colon + 1).c_str(), &hints, &found) != 0)
    throw std::runtime_error(address + ": no such host");
  const int connection = socket(found->ai_family, SOCK_STREAM, 0);
  const bool connected = connection >= 0 && connect(connection, found->ai_addr, found->ai_addrlen) == 0;
  freeaddrinfo(found);
  if (!connected) throw std::runtime_error(address + ": " + std::strerror(errno));
  const int on = 1;
  setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return connection;
}

// HTTP/1.1 with the binary tensor extension over one connection.
class HttpClient : public Client {
 public:
  HttpClient(const std::string& address, const std::string& model, const std::vector<BenchInput>& inputs)
      : connection_(Connect(address)) {
    nlohmann::json json = {{"inputs", nlohmann::json::array()},
                           {"parameters", {{"binary_data_output", true}}}};
    std::string binary;
    for (const BenchInput& input : inputs) {
      json["inputs"].push_back({{"name", input.name},
                                {"datatype", input.datatype},
                                {"shape", input.shape},
                                {"parameters", {{"binary_data_size", input.bytes.size()}}}});
      binary += input.bytes;
    }
    const std::string text = json.dump();
    request_ = "POST /v2/models/" + model + "/infer HTTP/1.1\r\nHost: " + address +
               "\r\nContent-Type: application/octet-stream\r\nInference-Header-Content-Length: " +
               std::to_string(text.size()) +
               "\r\nContent-Length: " + std::to_string(text.size() + binary.size()) + "\r\n\r\n" + text +
               binary;
    buffer_.resize(size_t{256} << 10);
  }
  ~HttpClient() override { close(connection_); }

  void Call() override {
    for (std::string_view rest = request_; !rest.empty();) {
      const ssize_t sent = send(connection_, rest.data(), rest.size(), MSG_NOSIGNAL);
      if (sent <= 0) throw std::runtime_error(std::string("HTTP: ") + std::strerror(errno));
      rest.remove_prefix(static_cast<size_t>(sent));
    }
    std::string head;
    size_t end = head.npos;
    while ((end = head.find("\r\n\r\n")) == head.npos) head.append(buffer_.data(), Receive());
    if (!head.starts_with("HTTP/1.1 200")) throw std::runtime_error("HTTP: " + head);
    size_t body = head.size() - end - 4;
    for (const size_t length = Length(head); body < length;) body += Receive();
  }

 private:
  size_t Receive() {
    const ssize_t count = recv(connection_, buffer_.data(), buffer_.size(), 0);
    if (count <= 0) throw std::runtime_error("HTTP: the connection ended");
    return static_cast<size_t>(count);
  }
  static size_t Length(const std::string& head) {
    constexpr std::string_view kName = "\r\nContent-Length: ";
    const size_t at = head.find(kName);
    if (at == head.npos) throw std::runtime_error("HTTP: no length: " + head);
    return std::stoull(head.substr(at + kName.size()));
  }

  int connection_;
  std::string request_;
  std::vector<char> buffer_;
};

}  // namespace

std::unique_ptr<Client> NewHttpClient(const std::string& address, const std::string& model,
                                      const std::vector<BenchInput>& inputs) {
  return std::make_unique<HttpClient>(address, model, inputs);
}

}  // namespace sluice::bench
