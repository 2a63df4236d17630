#include "tools/serve/recorder.h"

#include <algorithm>
#include <sstream>
#include <thread>

#include "tools/serve/model_record.h"

namespace sluice::serve {
namespace {

// The value of a series in the text of /metrics; nothing where there is none.
std::optional<double> ValueOf(const std::string& text, const std::string& series) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(series + " ")) return std::stod(line.substr(series.size() + 1));
  return std::nullopt;
}

TEST(Recorder, StatisticsAndMetricsSayTheSame) {
  Recorder recorder;
  const auto record = recorder.For("m", "3");
  record->Succeeded({.queue_ns = 3'000'000, .batch_ns = 50'000, .compute_ns = 250'000, .batch_size = 2},
                    4'000'000);
  record->Succeeded({.queue_ns = 1'000'000, .batch_ns = 50'000, .compute_ns = 250'000, .batch_size = 2},
                    2'000'000);
  record->Failed(Reason::kTimeout, 7'000'000);
  record->Executed(2, 30'000, 250'000, 20'000);
  record->AddQueued(5);
  record->AddQueued(-2);
  const auto statistics = recorder.Statistics("m", "3").at(0);
  EXPECT_EQ(statistics.success.count, 2u);
  EXPECT_EQ(statistics.success.ns, 6'000'000u);
  EXPECT_EQ(statistics.fail.count, 1u);
  EXPECT_EQ(statistics.queue.ns, 4'000'000u);
  EXPECT_EQ(statistics.inference_count, 2u);
  EXPECT_EQ(statistics.execution_count, 1u);
  EXPECT_GT(statistics.last_inference_ms, 1'600'000'000'000u);
  ASSERT_EQ(statistics.batches.size(), 1u);
  EXPECT_EQ(statistics.batches[0].batch_size, 2u);
  EXPECT_EQ(statistics.batches[0].compute_infer.ns, 250'000u);

  const std::string text = recorder.Text(), labels = "{model=\"m\",version=\"3\"}";
  EXPECT_EQ(ValueOf(text, "sluice_inference_request_success" + labels), 2);
  EXPECT_EQ(ValueOf(text, R"(sluice_inference_request_failure{model="m",version="3",reason="timeout"})"), 1);
  EXPECT_EQ(ValueOf(text, R"(sluice_inference_request_failure{model="m",version="3",reason="internal"})"), 0);
  EXPECT_EQ(ValueOf(text, "sluice_inference_count" + labels), 2);
  EXPECT_EQ(ValueOf(text, "sluice_inference_exec_count" + labels), 1);
  EXPECT_EQ(ValueOf(text, "sluice_inference_request_duration_us" + labels), 6000);
  EXPECT_EQ(ValueOf(text, "sluice_inference_queue_duration_us" + labels), 4000);
  EXPECT_EQ(ValueOf(text, "sluice_inference_pending_request_count" + labels), 3);
  EXPECT_EQ(ValueOf(text, "sluice_inference_queue_seconds_count" + labels), 2);
  EXPECT_EQ(ValueOf(text, R"(sluice_inference_queue_seconds_bucket{model="m",version="3",le="0.001"})"), 1);
  EXPECT_EQ(ValueOf(text, R"(sluice_inference_queue_seconds_bucket{model="m",version="3",le="+Inf"})"), 2);
  EXPECT_EQ(ValueOf(text, R"(sluice_inference_batch_size_bucket{model="m",version="3",le="1"})"), 0);
  EXPECT_EQ(ValueOf(text, R"(sluice_inference_batch_size_bucket{model="m",version="3",le="2"})"), 1);
  EXPECT_GT(ValueOf(text, "process_resident_memory_bytes"), 1e6);
  EXPECT_GT(ValueOf(text, "process_cpu_seconds_total"), 0);
  EXPECT_GT(ValueOf(text, "process_open_fds"), 2);
}

// Every family is announced once, with its series behind it, as parsers ask.
TEST(Recorder, FamiliesAreWhole) {
  Recorder recorder;
  for (const char* model : {"a", "b"}) recorder.For(model, "1")->Succeeded({}, 1);
  recorder.CountLoad("a", true, 5);
  recorder.CountLoad("b", false, 5);
  std::istringstream lines(recorder.Text());
  std::vector<std::string> families;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# TYPE ")) {
      families.push_back(line.substr(7, line.find(' ', 7) - 7));
    } else if (!line.starts_with("#")) {
      EXPECT_TRUE(line.starts_with(families.back())) << line;
    }
  }
  EXPECT_GT(families.size(), 15u);
  std::sort(families.begin(), families.end());
  EXPECT_EQ(std::adjacent_find(families.begin(), families.end()), families.end());
}

TEST(Recorder, NamesOfClientsMakeNoSeries) {
  Recorder recorder;
  recorder.For("known", "1");
  for (int i = 0; i < 100; ++i) recorder.CountRequest("http", "made-up-" + std::to_string(i), "404", 1000);
  recorder.CountRequest("http", "known", "200", 1000);
  const std::string text = recorder.Text();
  EXPECT_EQ(text.find("made-up"), std::string::npos);
  EXPECT_EQ(ValueOf(text, R"(sluice_requests{protocol="http",model="",outcome="404"})"), 100);
  EXPECT_EQ(ValueOf(text, R"(sluice_requests{protocol="http",model="known",outcome="200"})"), 1);
}

TEST(Recorder, ForgottenVersionsEnd) {
  Recorder recorder;
  const auto old = recorder.For("m", "1");
  recorder.For("m", "10");
  recorder.For("m", "2");
  const auto all = recorder.Statistics("m", "");
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[1].version, "2");
  EXPECT_EQ(all[2].version, "10");
  recorder.Forget("m", "1");
  old->Succeeded({}, 5);
  EXPECT_EQ(recorder.Statistics("m", "").size(), 2u);
  EXPECT_EQ(recorder.Text().find("version=\"1\""), std::string::npos);
  // Counts from the beginning when it is back.
  EXPECT_EQ(recorder.For("m", "1")->Read().statistics.success.count, 0u);
}

TEST(Recorder, CountsOfManyThreadsAddUp) {
  Recorder recorder;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i < 1000; ++i) {
          const auto record = recorder.For("m", std::to_string(i % 3));
          record->Executed(2, 1, 1, 1);
          recorder.CountRequest("grpc", "m", "ok", 1);
          if (i % 200 == 0) recorder.Text();
        }
      });
  }
  uint64_t executions = 0;
  for (const ModelStatistics& statistics : recorder.Statistics("", ""))
    executions += statistics.execution_count;
  EXPECT_EQ(executions, 4000u);
  EXPECT_EQ(ValueOf(recorder.Text(), R"(sluice_requests{protocol="grpc",model="m",outcome="ok"})"), 4000);
}

}  // namespace
}  // namespace sluice::serve
