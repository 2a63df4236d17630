#include "tools/serve/http/assets.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <set>
#include <string>

#include "tools/serve/web/files.h"

namespace sluice::serve {
namespace {

std::string Unpacked(std::string_view gzip) {
  z_stream stream = {};
  inflateInit2(&stream, 15 + 16);
  std::string text(1 << 20, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(gzip.data()));
  stream.avail_in = static_cast<uInt>(gzip.size());
  stream.next_out = reinterpret_cast<Bytef*>(text.data());
  stream.avail_out = static_cast<uInt>(text.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  text.resize(stream.total_out);
  inflateEnd(&stream);
  return text;
}

TEST(Assets, HasAPageAndNothingForOtherPaths) {
  const auto page = FindAsset("/");
  ASSERT_TRUE(page);
  EXPECT_EQ(page->content_type, "text/html; charset=utf-8");
  EXPECT_NE(Unpacked(page->gzip).find("<title>Sluice</title>"), std::string::npos);
  EXPECT_FALSE(FindAsset("/index.html"));
  EXPECT_FALSE(FindAsset("/../app.js"));
  EXPECT_FALSE(FindAsset(""));
}

TEST(Assets, HasEveryFileThatThePageNames) {
  if (WebFiles().empty()) GTEST_SKIP() << "built without Node.js and npm";
  const std::string page = Unpacked(FindAsset("/")->gzip);
  for (const char* name : {"app.js", "app.css", "icon.svg"}) {
    EXPECT_NE(page.find('"' + std::string(name) + '"'), std::string::npos) << name;
    EXPECT_TRUE(FindAsset('/' + std::string(name))) << name;
  }
  EXPECT_EQ(page.find("<style"), std::string::npos);
  EXPECT_EQ(page.find("<script>"), std::string::npos);
}

TEST(Assets, AreSmallAndDiffer) {
  size_t bytes = 0;
  std::set<std::string_view> tags;
  for (const WebFile& file : WebFiles()) {
    bytes += file.asset.gzip.size();
    EXPECT_TRUE(tags.insert(file.asset.etag).second);
    EXPECT_EQ(file.asset.etag.front(), '"');
    EXPECT_EQ(file.asset.etag.back(), '"');
  }
  EXPECT_LE(bytes, size_t{64} << 10);
}

}  // namespace
}  // namespace sluice::serve
