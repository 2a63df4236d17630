#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "sluice/session.h"
#include "tests/graph/onnx_builder.h"

namespace sluice {
namespace {

constexpr Shape::value_type kSize = 64;

// y = x * x * ... (matrix product, eight times).
std::string Model() {
  test::ModelProto model = test::EmptyModel();
  test::GraphProto* graph = model.mutable_graph();
  test::SetType(graph->add_input(), "x", {kSize, kSize});
  test::SetType(graph->add_output(), "y", {kSize, kSize});
  for (int i = 0; i < 8; ++i) {
    const auto name = [](int at) { return std::string("t").append(std::to_string(at)); };
    const std::string from = i == 0 ? "x" : name(i), to = i == 7 ? "y" : name(i + 1);
    test::AddNode(graph, "MatMul", {from, "x"}, {to});
  }
  return model.SerializeAsString();
}

Session Load(int threads) {
  SessionOptions options;
  options.threads = threads;
  const std::string bytes = Model();
  return Session::LoadBytes(std::as_bytes(std::span(bytes)), options);
}

Tensor Input() {
  Tensor x(DataType::kFloat, {kSize, kSize});
  for (size_t i = 0; float& element : x.mutable_values<float>()) element = static_cast<float>(i++ % 3) / 64;
  return x;
}

bool Same(const Value& a, const Value& b) {
  const auto x = a.tensor().values<float>(), y = b.tensor().values<float>();
  return std::equal(x.begin(), x.end(), y.begin(), y.end());
}

class AsyncTest : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Threads, AsyncTest, testing::Values(1, 2, 4));

TEST_P(AsyncTest, FuturesHaveTheResultsOfRun) {
  const Session session = Load(GetParam());
  const NamedValues inputs = {{"x", Input()}};
  const NamedValues want = session.Run(inputs);
  std::vector<std::future<NamedValues>> futures;
  for (int i = 0; i < 32; ++i) futures.push_back(session.RunAsync(inputs));
  for (auto& future : futures) EXPECT_TRUE(Same(future.get().at("y"), want.at("y")));
}

TEST_P(AsyncTest, ErrorsComeOutOfFuturesAndCallbacks) {
  const Session session = Load(GetParam());
  try {
    session.RunAsync({}).get();
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "input 'x' is missing");
  }
  std::atomic<bool> cancel = true;
  RunOptions options;
  options.cancel = &cancel;
  std::promise<ErrorCode> code;
  session.RunAsync({{"x", Input()}}, {}, options, [&](NamedValues results, std::exception_ptr error) {
    EXPECT_TRUE(results.empty());
    try {
      std::rethrow_exception(error);
    } catch (const Error& thrown) {
      code.set_value(thrown.code());
    }
  });
  EXPECT_EQ(code.get_future().get(), ErrorCode::kCancelled);
}

TEST_P(AsyncTest, TheEndOfASessionWaitsForItsRuns) {
  std::atomic<int> done = 0;
  std::mutex mutex;
  std::vector<std::thread::id> threads;
  {
    const Session session = Load(GetParam());
    for (int i = 0; i < 20; ++i) {
      session.RunAsync({{"x", Input()}}, {}, {}, [&](NamedValues results, std::exception_ptr error) {
        EXPECT_EQ(error, nullptr);
        EXPECT_EQ(results.count("y"), 1u);
        const std::lock_guard lock(mutex);
        threads.push_back(std::this_thread::get_id());
        ++done;
      });
    }
  }
  EXPECT_EQ(done, 20);
  EXPECT_EQ(std::count(threads.begin(), threads.end(), std::this_thread::get_id()), 0);
}

TEST_P(AsyncTest, WritesIntoTheCallersMemory) {
  const Session session = Load(GetParam());
  const std::vector<Value> inputs = {Input()};
  const Value want = session.Run({{"x", inputs[0]}}).at("y");
  std::vector<Value> outputs = {Tensor(DataType::kFloat, {kSize, kSize})};
  const void* const memory = outputs[0].tensor().data();
  std::promise<std::exception_ptr> done;
  session.RunIntoAsync(inputs, outputs, {}, [&](std::exception_ptr error) { done.set_value(error); });
  EXPECT_EQ(done.get_future().get(), nullptr);
  EXPECT_EQ(outputs[0].tensor().data(), memory);
  EXPECT_TRUE(Same(outputs[0], want));
}

// A run that another run's end starts, many times, without a thread that waits.
TEST_P(AsyncTest, CallbacksMayStartRuns) {
  const Session session = Load(GetParam());
  std::promise<void> end;
  std::atomic<int> left = 50;
  std::function<void()> next = [&] {
    session.RunAsync({{"x", Input()}}, {}, {}, [&](NamedValues, std::exception_ptr) {
      if (--left > 0)
        next();
      else
        end.set_value();
    });
  };
  next();
  end.get_future().get();
  EXPECT_EQ(left, 0);
}

}  // namespace
}  // namespace sluice
