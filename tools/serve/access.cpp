#include "tools/serve/access.h"

#include <openssl/crypto.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>

#include "sluice/error.h"
#include "tools/serve/api_keys.h"
#include "tools/serve/log.h"
#include "tools/serve/types.h"

namespace sluice::serve {
namespace {

constexpr auto kBetweenLooks = std::chrono::seconds(1);  // at the file's time of change
constexpr size_t kMostFileBytes = 4 << 20;

// What tells one state of a file from another.
struct FileState {
  int64_t seconds = 0, ns = 0, bytes = -1, inode = 0;
  bool operator==(const FileState&) const = default;
};

FileState Look(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return {};
  return {info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_size, static_cast<int64_t>(info.st_ino)};
}

std::string ReadKeyFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kMostFileBytes + 1, '\0');
  if (file) file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file && !file.eof()) throw Error(ErrorCode::kInvalidArgument, path + ": cannot be read");
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kMostFileBytes)
    throw Error(ErrorCode::kInvalidArgument, path + ": larger than 4 MiB, which no file of keys is");
  return text;
}

// As many tokens as requests may come at once; they come back at the rate of the key.
struct Bucket {
  double tokens = 0;
  Clock::time_point filled;
};

constexpr std::string_view kScheme = "bearer ";

// What follows "Bearer ", in any case; "" if it is something else.
std::string_view TokenOf(std::string_view authorization) {
  if (authorization.size() <= kScheme.size()) return {};
  for (size_t i = 0; i < kScheme.size(); ++i)
    if (std::tolower(static_cast<unsigned char>(authorization[i])) != kScheme[i]) return {};
  authorization.remove_prefix(kScheme.size());
  const size_t begin = std::min(authorization.find_first_not_of(' '), authorization.size());
  authorization.remove_prefix(begin);
  while (!authorization.empty() && authorization.back() == ' ') authorization.remove_suffix(1);
  return authorization;
}

}  // namespace

class Access::Impl {
 public:
  explicit Impl(const std::string& path) : path_(path) {
    if (path.empty()) return;
    state_ = Look(path);
    keys_ = ParseApiKeys(ReadKeyFile(path), path);
    looked_ = Clock::now();
  }

  bool open() const { return path_.empty(); }

  std::string Check(std::string_view authorization) {
    if (open()) return "";
    if (authorization.empty())
      throw ServeError(Reason::kUnauthenticated, "an API key is needed: Authorization: Bearer KEY");
    const std::string_view token = TokenOf(authorization);
    const Sha256 digest = DigestOf(token);
    const std::lock_guard lock(mutex_);
    ReadAgainIfChanged();
    // Every key is compared, so that the time says nothing of which one was near.
    const ApiKey* found = nullptr;
    for (const ApiKey& key : keys_)
      if (CRYPTO_memcmp(key.digest.data(), digest.data(), digest.size()) == 0) found = &key;
    if (found == nullptr || token.empty())
      throw ServeError(Reason::kUnauthenticated, "the API key is not known");
    TakeToken(*found);
    return found->name;
  }

 private:
  void ReadAgainIfChanged() {
    const auto now = Clock::now();
    if (now - looked_ < kBetweenLooks) return;
    looked_ = now;
    const FileState state = Look(path_);
    if (state == state_) return;
    state_ = state;
    try {
      keys_ = ParseApiKeys(ReadKeyFile(path_), path_);
      std::erase_if(buckets_, [&](const auto& bucket) {
        return std::none_of(keys_.begin(), keys_.end(),
                            [&](const ApiKey& key) { return key.name == bucket.first; });
      });
      Log(LogLevel::kInfo, "API keys read again", {{"keys", static_cast<int64_t>(keys_.size())}});
    } catch (const Error& error) {
      Log(LogLevel::kError, "API keys stay as they were", {{"why", error.what()}});
    }
  }

  void TakeToken(const ApiKey& key) {
    if (key.rate == 0) return;
    const auto now = Clock::now();
    const auto [place, is_new] = buckets_.try_emplace(key.name, Bucket{key.burst, now});
    Bucket& bucket = place->second;
    const double seconds = std::chrono::duration<double>(now - bucket.filled).count();
    bucket.tokens = std::min(key.burst, bucket.tokens + seconds * key.rate);
    bucket.filled = now;
    if (bucket.tokens < 1)
      throw ServeError(Reason::kRateLimited, "more requests than this API key may send",
                       static_cast<int>(std::min(3600.0, std::ceil((1 - bucket.tokens) / key.rate))));
    bucket.tokens -= 1;
  }

  const std::string path_;
  std::mutex mutex_;
  std::vector<ApiKey> keys_;
  std::map<std::string, Bucket> buckets_;  // by the key's name
  FileState state_;
  Clock::time_point looked_;
};

Access::Access(const std::string& path) : impl_(std::make_unique<Impl>(path)) {}
Access::~Access() = default;

std::string Access::Check(std::string_view authorization) const { return impl_->Check(authorization); }

}  // namespace sluice::serve
