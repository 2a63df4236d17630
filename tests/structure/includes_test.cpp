// Includes point one way only, and third parties stay behind their fences.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <string>

namespace sluice::test {
namespace {

namespace fs = std::filesystem;

struct Include {
  std::string file;  // relative to the root of the repository
  std::string path;  // as written between <> or ""
};

std::vector<Include> IncludesBelow(const std::string& folder) {
  static const std::regex kInclude(R"re(^\s*#\s*include\s*[<"]([^>"]+)[>"])re");
  const fs::path root = SLUICE_SOURCE_DIR;
  std::vector<Include> includes;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root / folder)) {
    const std::string extension = entry.path().extension().string();
    if (extension != ".h" && extension != ".cpp") continue;
    std::ifstream file(entry.path());
    std::smatch match;
    for (std::string line; std::getline(file, line);) {
      if (std::regex_search(line, match, kInclude)) {
        includes.push_back({fs::relative(entry.path(), root).string(), match[1]});
      }
    }
  }
  return includes;
}

bool Below(const std::string& path, const std::string& folder) { return path.rfind(folder + "/", 0) == 0; }

// sluice/ public types  <-  graph  <-  kernels  <-  runtime  <-  tools, bench, tests
TEST(Includes, PointOneWay) {
  const std::vector<std::string> order = {"graph", "kernels", "runtime", "tools", "bench", "tests"};
  for (size_t from = 0; from < 3; ++from) {
    const std::vector<Include> includes = IncludesBelow(order[from]);
    EXPECT_FALSE(includes.empty()) << order[from];
    for (const Include& include : includes) {
      for (size_t to = from + 1; to < order.size(); ++to) {
        EXPECT_FALSE(Below(include.path, order[to])) << include.file << " includes " << include.path;
      }
    }
  }
  for (const Include& include : IncludesBelow("tools")) {
    EXPECT_FALSE(Below(include.path, "tests") || Below(include.path, "bench"))
        << include.file << " includes " << include.path;
  }
}

// The public headers need the standard library and each other, nothing else.
TEST(Includes, PublicHeadersStandAlone) {
  for (const Include& include : IncludesBelow("runtime/include")) {
    const bool standard =
        include.path.find('.') == std::string::npos || include.path.find('/') == std::string::npos;
    EXPECT_TRUE(Below(include.path, "sluice") || standard) << include.file << " includes " << include.path;
    EXPECT_FALSE(Below(include.path, "dnnl") || Below(include.path, "tbb")) << include.file;
  }
}

struct Fence {
  std::string what;                  // a pattern of included paths
  std::vector<std::string> allowed;  // beginnings of files that may
};

TEST(Includes, ThirdPartiesStayBehindTheirFences) {
  const Fence fences[] = {
      {R"((.*\.pb\.h|google/protobuf/.*))",
       {"graph/import", "graph/export", "graph/wire", "graph/read_value", "tools/serve/grpc/"}},
      {R"((oneapi/)?dnnl.*)", {"kernels/onednn/"}},
      {R"((tbb|oneapi/tbb)/.*)", {"kernels/parallel.cpp", "runtime/executor.cpp", "runtime/thread_pool."}},
      {R"(hwy/.*)", {"kernels/simd/"}},
      {R"(omp\.h)", {"kernels/onednn/"}},
      {R"(re2/.*)", {"kernels/ops/regex_full_match.cpp"}},
      {R"((png|turbojpeg|tiffio|openjpeg)\.h|webp/.*)", {"kernels/image/", "tools/picture_file.cpp"}},
  };
  for (const std::string folder : {"graph", "kernels", "runtime", "tools"}) {
    for (const Include& include : IncludesBelow(folder)) {
      for (const Fence& fence : fences) {
        if (!std::regex_match(include.path, std::regex(fence.what))) continue;
        const bool allowed =
            std::any_of(fence.allowed.begin(), fence.allowed.end(),
                        [&](const std::string& begin) { return include.file.rfind(begin, 0) == 0; });
        EXPECT_TRUE(allowed) << include.file << " includes " << include.path;
      }
    }
  }
}

// Highway's MaskedLoad wants aligned memory on some targets, and reads beyond the mask: LoadFirst does neither.
TEST(Simd, MaskedLoadsAreOurOwn) {
  const fs::path folder = fs::path(SLUICE_SOURCE_DIR) / "kernels";
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file() || entry.path().filename() == "masked-inl.h") continue;
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) {
      EXPECT_EQ(line.find("hn::MaskedLoad("), std::string::npos) << entry.path() << ": " << line;
    }
  }
}

// The agreed shape of the repository.
TEST(Layout, HasNoOtherTopLevelFolder) {
  const std::set<std::string> agreed = {"runtime", "kernels", "graph", "tools", "bench", "tests", "build"};
  for (const fs::directory_entry& entry : fs::directory_iterator(SLUICE_SOURCE_DIR)) {
    const std::string name = entry.path().filename().string();
    const bool counts = entry.is_directory() && name[0] != '.';
    EXPECT_TRUE(!counts || agreed.count(name)) << name;
  }
}

}  // namespace
}  // namespace sluice::test
