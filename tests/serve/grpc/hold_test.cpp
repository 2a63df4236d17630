#include "tools/serve/grpc/hold.h"

#include <gtest/gtest.h>

namespace sluice::serve::rpc {
namespace {

using std::chrono::milliseconds;

TEST(HoldTest, AnswersPassUnlessItHolds) {
  Hold hold;
  int given = 0;
  hold.Pass({}, [&] { ++given; });
  EXPECT_EQ(given, 1);
  hold.Begin();
  hold.Pass({}, [&] { ++given; });
  hold.Pass(Clock::now() + std::chrono::hours(1), [&] { ++given; });
  EXPECT_EQ(given, 1);
  hold.End();
  EXPECT_EQ(given, 3);
  hold.Pass({}, [&] { ++given; });
  EXPECT_EQ(given, 4);
}

TEST(HoldTest, ADeadlineIsNotHeldPast) {
  Hold hold;
  int given = 0;
  hold.Begin();
  const auto start = Clock::now();
  EXPECT_FALSE(hold.Due(start + std::chrono::hours(1000)));
  hold.Pass(start + std::chrono::hours(1), [&] { ++given; });
  EXPECT_FALSE(hold.Due(start + std::chrono::minutes(29)));
  EXPECT_TRUE(hold.Due(start + std::chrono::minutes(31)));
  // Too little time is left to keep it at all, or none.
  hold.Pass(start + milliseconds(50), [&] { ++given; });
  hold.Pass(start - milliseconds(50), [&] { ++given; });
  EXPECT_EQ(given, 2);
  EXPECT_FALSE(hold.Due(start + std::chrono::minutes(29)));
  hold.End();
  EXPECT_EQ(given, 3);
  EXPECT_FALSE(hold.Due(start + std::chrono::hours(1000)));
}

}  // namespace
}  // namespace sluice::serve::rpc
