#include "tools/serve/listener.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sluice::serve {
namespace {

class ListenerTest : public testing::TestWithParam<int> {
 protected:
  ~ListenerTest() override {
    for (const int descriptor : descriptors_) close(descriptor);
  }
  int Open(int flags = 0) {
    descriptors_.push_back(socket(GetParam(), SOCK_STREAM | flags, 0));
    return descriptors_.back();
  }
  bool Listen() {
    listener_ = Open(SOCK_NONBLOCK);
    size_ = GetParam() == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    place_.ss_family = static_cast<sa_family_t>(GetParam());
    if (GetParam() == AF_INET)
      reinterpret_cast<sockaddr_in&>(place_).sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
      reinterpret_cast<sockaddr_in6&>(place_).sin6_addr = in6addr_loopback;
    return bind(listener_, reinterpret_cast<sockaddr*>(&place_), size_) == 0 && listen(listener_, 16) == 0 &&
           getsockname(listener_, reinterpret_cast<sockaddr*>(&place_), &size_) == 0;
  }
  // A client that the system lets in within the time, and that says something at once.
  bool Connects(int milliseconds) {
    const int client = Open(SOCK_NONBLOCK);
    connect(client, reinterpret_cast<sockaddr*>(&place_), size_);
    pollfd wanted{client, POLLOUT, 0};
    return poll(&wanted, 1, milliseconds) == 1 && (wanted.revents & (POLLERR | POLLHUP)) == 0 &&
           write(client, "x", 1) == 1;
  }

  int listener_ = -1;
  sockaddr_storage place_{};
  socklen_t size_ = 0;

 private:
  std::vector<int> descriptors_;
};

TEST_P(ListenerTest, KeepsConnectionsThatAreThereAndMakesNoNewOnes) {
  if (!Listen()) GTEST_SKIP() << "no such addresses here";
  ASSERT_TRUE(Connects(5000));
  ASSERT_TRUE(Connects(5000));
  if (!RefuseHandshakes(listener_)) GTEST_SKIP() << "the system has no filters of sockets";
  EXPECT_FALSE(Connects(200));
  for (int i = 0; i < 2; ++i) {
    const int accepted = accept(listener_, nullptr, nullptr);
    ASSERT_GE(accepted, 0);
    char said = 0;
    EXPECT_EQ(read(accepted, &said, 1), 1);
    close(accepted);
  }
  EXPECT_LT(accept(listener_, nullptr, nullptr), 0);
}

INSTANTIATE_TEST_SUITE_P(Families, ListenerTest, testing::Values(AF_INET, AF_INET6));

TEST(Listener, SaysWhereItCannot) { EXPECT_FALSE(RefuseHandshakes(-1)); }

}  // namespace
}  // namespace sluice::serve
