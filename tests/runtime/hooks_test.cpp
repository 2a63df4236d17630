#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <set>

#include "sluice/session.h"
#include "tests/graph/onnx_builder.h"

namespace sluice {
namespace {

// y = Softmax(x), x [N], step by step: the exponentials lie in the arena.
std::string Model() {
  test::ModelProto model = test::EmptyModel();
  test::GraphProto* graph = model.mutable_graph();
  test::SetType(graph->add_input(), "x", {0});
  graph->mutable_input(0)
      ->mutable_type()
      ->mutable_tensor_type()
      ->mutable_shape()
      ->mutable_dim(0)
      ->set_dim_param("N");
  test::AddNode(graph, "Exp", {"x"}, {"e"});
  test::AddNode(graph, "ReduceSum", {"e"}, {"s"});
  test::AddNode(graph, "Div", {"e", "s"}, {"y"});
  graph->add_output()->set_name("y");
  graph->mutable_output(0)->mutable_type()->mutable_tensor_type()->set_elem_type(1);
  return model.SerializeAsString();
}

Session Load(SessionOptions options) {
  const std::string bytes = Model();
  return Session::LoadBytes(std::as_bytes(std::span(bytes)), options);
}

NamedValues Input(int64_t n) {
  Tensor x(DataType::kFloat, {n});
  for (float& element : x.mutable_values<float>()) element = 1;
  return {{"x", x}};
}

class Counting : public Allocator {
 public:
  void* Allocate(size_t bytes) noexcept override {
    const std::lock_guard lock(mutex_);
    if (bytes > most) return nullptr;
    // What is not aligned as it must be is aligned to 16 bytes all the same.
    char* const memory = static_cast<char*>(std::aligned_alloc(64, (bytes + 127) / 64 * 64)) + shift;
    held_.insert({memory, bytes});
    ++count;
    return memory;
  }
  void Free(void* memory, size_t bytes) noexcept override {
    const std::lock_guard lock(mutex_);
    EXPECT_EQ(held_.erase({memory, bytes}), 1u);
    std::free(static_cast<char*>(memory) - shift);
  }
  size_t held() const { return held_.size(); }
  bool Has(const void* memory) const {
    for (const auto& [begin, bytes] : held_) {
      if (memory >= begin && memory < static_cast<const char*>(begin) + bytes) return true;
    }
    return false;
  }

  size_t most = SIZE_MAX;
  size_t shift = 0;
  int count = 0;

 private:
  std::mutex mutex_;
  std::set<std::pair<const void*, size_t>> held_;
};

TEST(HooksTest, ResultsAndArenasComeFromTheAllocator) {
  const auto allocator = std::make_shared<Counting>();
  Value kept;
  {
    SessionOptions options;
    options.allocator = allocator;
    const Session session = Load(options);
    for (int64_t n : {100, 2000, 100}) kept = session.Run(Input(n)).at("y");
    EXPECT_TRUE(allocator->Has(kept.tensor().data()));
    EXPECT_NEAR(kept.tensor().values<float>()[0], 0.01f, 1e-6f);
    // Three results, and an arena.
    EXPECT_GE(allocator->count, 4);
    // Memory of the caller's own for the result: the arena is there, and nothing is allocated.
    const int before = allocator->count;
    NamedValues outputs = {{"y", Tensor(DataType::kFloat, {100})}};
    session.RunInto(Input(100), outputs);
    EXPECT_EQ(allocator->count, before);
  }
  EXPECT_EQ(allocator->held(), 1u);
  kept = {};
  EXPECT_EQ(allocator->held(), 0u);
}

TEST(HooksTest, AnAllocatorThatFailsIsAnErrorAndLeavesTheSessionGood) {
  const auto allocator = std::make_shared<Counting>();
  SessionOptions options;
  options.allocator = allocator;
  const Session session = Load(options);
  session.Run(Input(100));
  allocator->most = 4096;
  for (int i = 0; i < 2; ++i) {
    try {
      session.Run(Input(100000));
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kOutOfMemory);
      EXPECT_NE(std::string(error.what()).find("the session's allocator has no "), std::string::npos);
    }
  }
  EXPECT_EQ(session.Run(Input(10)).at("y").tensor().num_elements(), 10);
  allocator->most = SIZE_MAX;
  allocator->shift = 16;
  EXPECT_THROW(session.Run(Input(1000)), Error);
  allocator->shift = 0;
  EXPECT_EQ(session.Run(Input(1000)).at("y").tensor().num_elements(), 1000);
}

TEST(HooksTest, TheLogTellsOfLoadsPlansAndKernels) {
  std::mutex mutex;
  std::vector<std::pair<LogLevel, std::string>> lines;
  SessionOptions options;
  options.max_plans = 1;
  options.log = [&](LogLevel level, std::string_view text) {
    const std::lock_guard lock(mutex);
    lines.emplace_back(level, text);
  };
  const auto count = [&](LogLevel level, const std::string& text) {
    return std::count_if(lines.begin(), lines.end(), [&](const auto& line) {
      return line.first == level && line.second.find(text) != std::string::npos;
    });
  };
  const Session session = Load(options);
  EXPECT_EQ(count(LogLevel::kInfo, "loaded a model of 1 inputs and 1 outputs"), 1);
  session.Run(Input(7));
  session.Run(Input(7));
  EXPECT_EQ(count(LogLevel::kInfo, "plan for 'x' float [7]"), 1);
  EXPECT_GE(count(LogLevel::kVerbose, "Exp"), 1);
  session.Run(Input(8));
  EXPECT_EQ(count(LogLevel::kInfo, "dropped 1 plans"), 1);
}

}  // namespace
}  // namespace sluice
