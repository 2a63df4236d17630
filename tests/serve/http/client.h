#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace sluice::serve {

// A plain TCP client that sends what a test writes, byte by byte where it wants, and reads answers of
// HTTP/1.1.
class Client {
 public:
  struct Answer {
    int status = 0;
    std::map<std::string, std::string> headers;  // names in lower case
    std::string body;
  };

  explicit Client(uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int on = 1;
    setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      ::close(socket_);
      throw std::runtime_error("cannot connect");
    }
  }
  Client(Client&& other) noexcept
      : socket_(std::exchange(other.socket_, -1)), input_(std::move(other.input_)) {}
  Client(const Client&) = delete;
  ~Client() { Close(); }

  void Close() {
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
  }
  void Shutdown() { ::shutdown(socket_, SHUT_WR); }

  // Whether all of it was taken; a server may hang up before.
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }

  // Bytes that no answer has taken.
  size_t received() const { return input_.size(); }

  // Whether the server hangs up within the time, whatever it says before.
  bool AwaitEnd(std::chrono::milliseconds wait) {
    const auto until = std::chrono::steady_clock::now() + wait;
    while (const auto more = Receive(until))
      if (*more == 0) return true;
    return false;
  }

  // The next answer, without the 100 that may come first. Throws std::runtime_error where none comes.
  Answer Read(bool head_only = false, std::chrono::milliseconds wait = std::chrono::seconds(20)) {
    const auto until = std::chrono::steady_clock::now() + wait;
    Answer answer;
    do {
      answer = ReadHead(until);
    } while (answer.status == 100);
    const auto length = answer.headers.find("content-length");
    if (head_only || length == answer.headers.end()) return answer;
    const size_t bytes = std::strtoull(length->second.c_str(), nullptr, 10);
    while (input_.size() < bytes) Need(until);
    answer.body = input_.substr(0, bytes);
    input_.erase(0, bytes);
    return answer;
  }

  Answer Call(std::string_view method, std::string_view path, std::string_view body = "",
              std::string_view headers = "") {
    std::string text = std::string(method) + " " + std::string(path) + " HTTP/1.1\r\nHost: test\r\n";
    text += headers;
    if (!body.empty() || method == "POST") text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    text += "\r\n";
    text += body;
    Send(text);
    return Read(method == "HEAD");
  }

 private:
  // Bytes received; nothing when the time is over; 0 at the end.
  std::optional<size_t> Receive(std::chrono::steady_clock::time_point until) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    pollfd wait = {socket_, POLLIN, 0};
    if (poll(&wait, 1, static_cast<int>(std::max<int64_t>(0, left.count()))) <= 0) return std::nullopt;
    char buffer[64 << 10];
    const ssize_t got = ::recv(socket_, buffer, sizeof buffer, 0);
    if (got <= 0) return 0;
    input_.append(buffer, static_cast<size_t>(got));
    return static_cast<size_t>(got);
  }
  void Need(std::chrono::steady_clock::time_point until) {
    const auto got = Receive(until);
    if (!got) throw std::runtime_error("no answer in time");
    if (*got == 0) throw std::runtime_error("the server hung up");
  }
  Answer ReadHead(std::chrono::steady_clock::time_point until) {
    size_t end;
    while ((end = input_.find("\r\n\r\n")) == std::string::npos) Need(until);
    std::string head = input_.substr(0, end + 2);
    input_.erase(0, end + 4);
    Answer answer;
    answer.status = std::atoi(head.substr(head.find(' ') + 1).c_str());
    for (size_t line = head.find("\r\n") + 2; line < head.size();) {
      const size_t stop = head.find("\r\n", line), colon = head.find(':', line);
      std::string name = head.substr(line, colon - line);
      std::transform(name.begin(), name.end(), name.begin(), ::tolower);
      answer.headers[name] = head.substr(colon + 2, stop - colon - 2);
      line = stop + 2;
    }
    return answer;
  }

  int socket_;
  std::string input_;
};

}  // namespace sluice::serve
