#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <thread>

#include "bench/serve/client.h"

namespace sluice::bench {
namespace {

constexpr size_t kAnswerBytes = 256;  // about an HTTP head and a few numbers

void Check(bool good) {
  if (!good) throw std::runtime_error(std::string("loopback: ") + std::strerror(errno));
}

void SendAll(int connection, const char* bytes, size_t count) {
  while (count > 0) {
    const ssize_t sent = send(connection, bytes, count, MSG_NOSIGNAL);
    Check(sent > 0);
    bytes += sent;
    count -= static_cast<size_t>(sent);
  }
}

// Whether all came before the other side ended.
bool ReceiveAll(int connection, char* bytes, size_t count) {
  while (count > 0) {
    const ssize_t came = recv(connection, bytes, count, 0);
    if (came <= 0) return false;
    bytes += came;
    count -= static_cast<size_t>(came);
  }
  return true;
}

// The bytes of a request to a thread of this process, and as many back as an answer has.
class LoopbackClient : public Client {
 public:
  explicit LoopbackClient(const std::vector<BenchInput>& inputs) {
    for (const BenchInput& input : inputs) request_ += input.bytes;
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in place{};
    place.sin_family = AF_INET;
    place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* address = reinterpret_cast<sockaddr*>(&place);
    socklen_t size = sizeof place;
    Check(bind(listener, address, size) == 0 && listen(listener, 1) == 0 &&
          getsockname(listener, address, &size) == 0);
    near_ = socket(AF_INET, SOCK_STREAM, 0);
    Check(connect(near_, address, size) == 0);
    far_ = accept(listener, nullptr, nullptr);
    close(listener);
    for (const int connection : {near_, far_}) {
      const int on = 1;
      setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    thread_ = std::thread([this] {
      std::vector<char> bytes(request_.size());
      const char answer[kAnswerBytes] = {};
      while (ReceiveAll(far_, bytes.data(), bytes.size())) SendAll(far_, answer, sizeof answer);
    });
  }
  ~LoopbackClient() override {
    shutdown(near_, SHUT_RDWR);
    thread_.join();
    close(near_);
    close(far_);
  }

  void Call() override {
    SendAll(near_, request_.data(), request_.size());
    char answer[kAnswerBytes];
    Check(ReceiveAll(near_, answer, sizeof answer));
  }

 private:
  std::string request_;
  int near_ = -1, far_ = -1;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Client> NewLoopbackClient(const std::vector<BenchInput>& inputs) {
  return std::make_unique<LoopbackClient>(inputs);
}

}  // namespace sluice::bench
