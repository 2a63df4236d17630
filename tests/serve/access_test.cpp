#include "tools/serve/access.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "sluice/error.h"
#include "tools/serve/api_keys.h"
#include "tools/serve/types.h"

namespace sluice::serve {
namespace {

class AccessTest : public testing::Test {
 protected:
  AccessTest() { std::filesystem::create_directory(folder_); }
  ~AccessTest() override { std::filesystem::remove_all(folder_); }

  // Replaces the file as administrators' tools do.
  std::string Write(const std::string& text) {
    const std::string path = folder_ + "/keys";
    std::ofstream(path + ".new") << text;
    std::filesystem::rename(path + ".new", path);
    return path;
  }
  static Reason ReasonOf(const Access& access, std::string_view authorization, int* retry = nullptr) {
    try {
      access.Check(authorization);
    } catch (const ServeError& error) {
      if (retry != nullptr) *retry = error.retry_after_s();
      return error.reason();
    }
    ADD_FAILURE() << "accepted: " << authorization;
    return Reason::kInternal;
  }

  const std::string folder_ = testing::TempDir() + "access" + std::to_string(getpid());
};

TEST_F(AccessTest, WithoutAFileEverybodyMay) {
  const Access access("");
  EXPECT_EQ(access.Check(""), "");
  EXPECT_EQ(access.Check("Bearer whatever"), "");
}

TEST_F(AccessTest, KnowsKeysByTheirNames) {
  const Access access(Write("# ours\n\nalice alice-secret\r\n  bob\tbob-secret-1 5\n"));
  EXPECT_EQ(access.Check("Bearer alice-secret"), "alice");
  EXPECT_EQ(access.Check("bearer   bob-secret-1 "), "bob");
  for (const char* wrong : {"", "Bearer", "Bearer ", "alice-secret", "Bearer alice-secre",
                            "Bearer alice-secrett", "Basic alice-secret", "Bearer ALICE-SECRET"})
    EXPECT_EQ(ReasonOf(access, wrong), Reason::kUnauthenticated) << wrong;
}

TEST_F(AccessTest, TakesDigestsForKeys) {
  std::string hex;
  for (const unsigned char byte : DigestOf("correct horse"))
    hex += "0123456789abcdef"[byte / 16], hex += "0123456789abcdef"[byte % 16];
  const Access access(Write("carol sha256:" + hex + "\n"));
  EXPECT_EQ(access.Check("Bearer correct horse"), "carol");
  EXPECT_EQ(ReasonOf(access, "Bearer sha256:" + hex), Reason::kUnauthenticated);
}

TEST_F(AccessTest, DigestIsSha256) {
  const Sha256 digest = DigestOf("abc");
  EXPECT_EQ(digest[0], 0xba);
  EXPECT_EQ(digest[31], 0xad);
}

TEST_F(AccessTest, LimitsTheRateOfAKey) {
  const Access access(Write("slow slow-secret 0.5 2\nfast fast-secret\n"));
  EXPECT_EQ(access.Check("Bearer slow-secret"), "slow");
  EXPECT_EQ(access.Check("Bearer slow-secret"), "slow");
  int retry = 0;
  EXPECT_EQ(ReasonOf(access, "Bearer slow-secret", &retry), Reason::kRateLimited);
  EXPECT_EQ(retry, 2);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(access.Check("Bearer fast-secret"), "fast");
}

TEST_F(AccessTest, TokensComeBack) {
  const Access access(Write("a a-secret-key 20 1\n"));
  access.Check("Bearer a-secret-key");
  EXPECT_EQ(ReasonOf(access, "Bearer a-secret-key"), Reason::kRateLimited);
  std::this_thread::sleep_for(std::chrono::milliseconds(80));
  EXPECT_EQ(access.Check("Bearer a-secret-key"), "a");
}

TEST_F(AccessTest, ReadsAChangedFileAndKeepsTheOldKeysIfItIsBroken) {
  const Access access(Write("old old-secret\n"));
  Write("new new-secret\n");
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  EXPECT_EQ(access.Check("Bearer new-secret"), "new");
  EXPECT_EQ(ReasonOf(access, "Bearer old-secret"), Reason::kUnauthenticated);
  Write("broken\n");
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  EXPECT_EQ(access.Check("Bearer new-secret"), "new");
}

TEST_F(AccessTest, SaysWhatIsWrongWithAFile) {
  const auto message = [&](const std::string& text) -> std::string {
    try {
      Access access(Write(text));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      const std::string what = error.what();
      return what.substr(what.find("keys") + 4);
    }
    return "accepted";
  };
  EXPECT_EQ(message(""), ": holds no key");
  EXPECT_EQ(message("# nothing\n"), ": holds no key");
  EXPECT_EQ(message("a a-secret-key\nb\n"),
            ":2: expected NAME KEY [REQUESTS_PER_SECOND [BURST]], found 1 words");
  EXPECT_EQ(message("a short\n"), ":1: a key has at least 8 characters, this one 5");
  EXPECT_EQ(message("a a-secret-key -1\n"), ":1: expected requests a second above 0, found '-1'");
  EXPECT_EQ(message("a a-secret-key nan\n"), ":1: expected requests a second above 0, found 'nan'");
  EXPECT_EQ(message("a a-secret-key 5 0\n"), ":1: expected a burst of at least 1, found '0'");
  EXPECT_EQ(message("a sha256:12\n"), ":1: expected 64 hexadecimal digits after sha256:");
  EXPECT_EQ(message("a a-secret-key\na b-secret-key\n"), ":2: name 'a' is there twice");
  EXPECT_EQ(message("a a-secret-key\nb a-secret-key\n"), ":2: this key is there twice");
  EXPECT_EQ(message("a\"} a-secret-key\n"), ":1: a name is up to 64 letters, digits and . _ - @");
  EXPECT_THROW(Access(folder_ + "/none"), Error);
  EXPECT_THROW(Access{folder_}, Error);
}

}  // namespace
}  // namespace sluice::serve
