#include "tools/serve/scheduler.h"

#include <algorithm>
#include <atomic>
#include <random>

#include "tests/serve/small_models.h"
#include "tools/serve/recorder.h"

namespace sluice::serve::test {
namespace {

using namespace std::chrono_literals;

constexpr int64_t kLong = int64_t{1} << 40;  // steps; never ends on its own

const Tensor& OutputOf(const Service::Answer& answer, const std::string& name) {
  const InferResponse& response = std::get<InferResponse>(answer);
  const auto found = std::find_if(response.outputs.begin(), response.outputs.end(),
                                  [&](const auto& output) { return output.first == name; });
  if (found == response.outputs.end()) throw std::runtime_error("no output " + name);
  return found->second;
}

// A worker that is kept busy until the end of its scope.
class Blocker {
 public:
  Blocker(Scheduler& scheduler, int workers = 1) : workers_(workers) {
    for (int i = 0; i < workers; ++i) {
      InferRequest request = CountingRequest(kLong);
      request.cancelled = cancelled_;
      scheduler.Submit(model_, std::move(request), mailbox_.Slot(i));
    }
    std::this_thread::sleep_for(30ms);
  }
  ~Blocker() { Release(); }
  void Release() {
    cancelled_->store(true);
    mailbox_.Wait(static_cast<size_t>(workers_));
  }

 private:
  const int workers_;
  std::shared_ptr<const Model> model_ = Serve(CountingModel(), "blocker");
  std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
  Mailbox mailbox_;
};

TEST(Scheduler, AnswersOneRequest) {
  Recorder recorder;
  Scheduler scheduler({}, recorder);
  InferRequest request = LinearRequest(2, 0);
  request.id = "seven";
  const Service::Answer answer = RunOne(scheduler, Serve(LinearModel(), "linear"), std::move(request));
  ASSERT_TRUE(std::holds_alternative<InferResponse>(answer)) << TextOf(answer);
  const InferResponse& response = std::get<InferResponse>(answer);
  EXPECT_EQ(response.model, "linear");
  EXPECT_EQ(response.version, "1");
  EXPECT_EQ(response.id, "seven");
  ASSERT_EQ(response.outputs.size(), 2u);
  EXPECT_EQ(response.outputs[0].first, "y");
  EXPECT_EQ(response.outputs[1].second.values<float>()[7], -2.0f);
  EXPECT_FLOAT_EQ(response.outputs[0].second.values<float>()[0], 0.25f + 4 * 0.5f + 7 * 0.75f + 10 + 0.5f);
  EXPECT_GT(response.timing.compute_ns, 0);
  EXPECT_TRUE(scheduler.Drain(Clock::now() + 1s));
}

TEST(Scheduler, OutputsComeInTheOrderWanted) {
  Recorder recorder;
  Scheduler scheduler({}, recorder);
  InferRequest request = LinearRequest(1, 0);
  request.outputs = {"z", "y"};
  const Service::Answer answer = RunOne(scheduler, Serve(LinearModel(), "linear"), std::move(request));
  ASSERT_TRUE(std::holds_alternative<InferResponse>(answer)) << TextOf(answer);
  EXPECT_EQ(std::get<InferResponse>(answer).outputs[0].first, "z");
  EXPECT_EQ(std::get<InferResponse>(answer).outputs[1].first, "y");
}

// Requests that wait behind a busy worker run together; each gets the bits of its rows in one run of all.
TEST(Scheduler, WaitingRequestsShareAnExecution) {
  Recorder recorder;
  Scheduler scheduler({.threads = 1}, recorder);
  const auto model = Serve(LinearModel(), "linear", {.max_batch_size = 8});
  Mailbox mailbox;
  std::vector<float> rows;
  {
    Blocker blocker(scheduler);
    const int64_t sizes[] = {1, 2, 1, 3, 1};
    for (int i = 0; i < 5; ++i) {
      InferRequest request = LinearRequest(sizes[i], static_cast<float>(10 * i));
      const auto values = request.inputs[0].tensor.values<float>();
      rows.insert(rows.end(), values.begin(), values.end());
      scheduler.Submit(model, std::move(request), mailbox.Slot(i));
    }
  }
  const auto letters = mailbox.Wait(5);
  ASSERT_EQ(letters.size(), 5u);
  const NamedValues together = model->session.Run({{"x", Tensor::From<float>({8, 4}, rows)}});
  const auto expected = together.at("y").tensor().values<float>();
  size_t at = 0;
  for (const Mailbox::Letter& letter : letters) {
    const Tensor& y = OutputOf(letter.answer, "y");
    EXPECT_EQ(std::get<InferResponse>(letter.answer).timing.batch_size, 8);
    for (float value : y.values<float>()) EXPECT_EQ(value, expected[at++]);
  }
  EXPECT_EQ(at, expected.size());
  const auto statistics = recorder.Statistics("linear", "");
  ASSERT_EQ(statistics.size(), 1u);
  EXPECT_EQ(statistics[0].execution_count, 1u);
  EXPECT_EQ(statistics[0].inference_count, 8u);
  EXPECT_EQ(statistics[0].success.count, 5u);
}

TEST(Scheduler, RequestsForOtherOutputsDoNotMix) {
  Recorder recorder;
  Scheduler scheduler({.threads = 1}, recorder);
  const auto model = Serve(LinearModel(), "linear", {.max_batch_size = 8});
  Mailbox mailbox;
  {
    Blocker blocker(scheduler);
    for (int i = 0; i < 4; ++i) {
      InferRequest request = LinearRequest(1, 0);
      if (i % 2 == 1) request.outputs = {"z"};
      scheduler.Submit(model, std::move(request), mailbox.Slot(i));
    }
  }
  for (const Mailbox::Letter& letter : mailbox.Wait(4)) {
    const InferResponse& response = std::get<InferResponse>(letter.answer);
    EXPECT_EQ(response.outputs.size(), letter.number % 2 == 1 ? 1u : 2u);
    EXPECT_EQ(response.timing.batch_size, 2);
  }
}

TEST(Scheduler, FullQueuesRefuseAtOnce) {
  Recorder recorder;
  Scheduler scheduler({.threads = 1}, recorder);
  const auto model = Serve(LinearModel(), "linear", {.max_queue = 3});
  Mailbox mailbox;
  {
    Blocker blocker(scheduler);
    for (int i = 0; i < 5; ++i) scheduler.Submit(model, LinearRequest(1, 0), mailbox.Slot(i));
    const auto refused = mailbox.Wait(2);
    ASSERT_EQ(refused.size(), 2u);
    for (const Mailbox::Letter& letter : refused) {
      EXPECT_GE(letter.number, 3);
      ASSERT_EQ(ReasonOf(letter.answer), Reason::kOverloaded);
      EXPECT_GE(std::get<ServeError>(letter.answer).retry_after_s(), 1);
    }
  }
  EXPECT_EQ(mailbox.Wait(5).size(), 5u);
}

TEST(Scheduler, WaitingRequestsHoldBoundedMemory) {
  Recorder recorder;
  Scheduler scheduler({.threads = 1, .max_queue_bytes = 1000}, recorder);
  const auto linear = Serve(LinearModel(), "linear"), other = Serve(LinearModel(), "other");
  Mailbox mailbox;
  Blocker blocker(scheduler);
  for (int i = 0; i < 4; ++i)
    scheduler.Submit(linear, LinearRequest(10, 0), mailbox.Slot(i));  // 160 bytes each
  const auto letters = mailbox.Wait(1);
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_EQ(letters[0].number, 3);
  EXPECT_EQ(ReasonOf(letters[0].answer), Reason::kOverloaded);
  // The half that one model cannot take is there for another.
  scheduler.Submit(other, LinearRequest(10, 0), mailbox.Slot(4));
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(mailbox.size(), 1u);
  blocker.Release();
  EXPECT_EQ(mailbox.Wait(5).size(), 5u);
}

TEST(Scheduler, HigherPrioritiesOvertake) {
  Recorder recorder;
  Scheduler scheduler({.threads = 1}, recorder);
  const auto model = Serve(LinearModel(), "linear", {.default_priority = -1});
  Mailbox mailbox;
  {
    Blocker blocker(scheduler);
    for (int i = 0; i < 6; ++i) {
      InferRequest request = LinearRequest(1, 0);
      if (i >= 2) request.parameters["priority"] = int64_t{i / 2};
      scheduler.Submit(model, std::move(request), mailbox.Slot(i));
    }
  }
  std::vector<int> order;
  for (const Mailbox::Letter& letter : mailbox.Wait(6)) order.push_back(letter.number);
  EXPECT_EQ(order, (std::vector<int>{4, 5, 2, 3, 0, 1}));
}

TEST(Scheduler, DeadlinesDropWaitingRequestsInTime) {
  Recorder recorder;
  Scheduler scheduler({.threads = 1}, recorder);
  const auto model = Serve(LinearModel(), "linear");
  Mailbox mailbox;
  Blocker blocker(scheduler);
  const Clock::time_point begin = Clock::now();
  InferRequest by_protocol = LinearRequest(1, 0), by_parameter = LinearRequest(1, 0);
  by_protocol.deadline = begin + 40ms;
  by_parameter.parameters["timeout"] = uint64_t{40'000};
  scheduler.Submit(model, std::move(by_protocol), mailbox.Slot(0));
  scheduler.Submit(model, std::move(by_parameter), mailbox.Slot(1));
  const auto letters = mailbox.Wait(2);
  ASSERT_EQ(letters.size(), 2u);
  for (const Mailbox::Letter& letter : letters) {
    EXPECT_EQ(ReasonOf(letter.answer), Reason::kTimeout);
    EXPECT_GE(letter.at - begin, 35ms);
    EXPECT_LT(letter.at - begin, 2s);
  }
}

TEST(Scheduler, DeadlinesAndCancellationEndRuns) {
  Recorder recorder;
  Scheduler scheduler({.threads = 2}, recorder);
  const auto model = Serve(CountingModel(), "counting", {.default_timeout_us = 50'000});
  InferRequest cancelled = CountingRequest(kLong);
  cancelled.parameters["timeout"] = int64_t{3'600'000'000};
  const auto flag = cancelled.cancelled;
  Mailbox mailbox;
  scheduler.Submit(model, std::move(cancelled), mailbox.Slot(1));
  EXPECT_EQ(ReasonOf(RunOne(scheduler, model, CountingRequest(kLong))), Reason::kTimeout);
  EXPECT_EQ(mailbox.size(), 0u);
  *flag = true;
  const auto letters = mailbox.Wait(1);
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_EQ(ReasonOf(letters[0].answer), Reason::kCancelled);
  // The workers are free again.
  EXPECT_TRUE(scheduler.Drain(Clock::now() + 5s));
  const Service::Answer after = RunOne(scheduler, model, CountingRequest(5));
  EXPECT_EQ(OutputOf(after, "y").values<float>()[1], 15);
}

TEST(Scheduler, TheModelsLimitOnTimeoutsHolds) {
  Recorder recorder;
  Scheduler scheduler({}, recorder);
  const auto model = Serve(CountingModel(), "counting", {.max_timeout_us = 30'000});
  InferRequest request = CountingRequest(kLong);
  request.parameters["timeout"] = int64_t{3'600'000'000};
  EXPECT_EQ(ReasonOf(RunOne(scheduler, model, std::move(request))), Reason::kTimeout);
  EXPECT_EQ(ReasonOf(RunOne(scheduler, model, CountingRequest(kLong))), Reason::kTimeout);
}

// A model with far more requests than it can run leaves another its share of the workers.
TEST(Scheduler, OverloadOfOneModelLeavesOthersTheirShare) {
  Recorder recorder;
  Scheduler scheduler({.threads = 1}, recorder);
  const auto loud = Serve(CountingModel(), "loud", {.max_queue = 10'000});
  const auto quiet = Serve(CountingModel(), "quiet");
  Mailbox loud_mail, quiet_mail;
  constexpr int kLoud = 300, kQuiet = 10;
  {
    Blocker blocker(scheduler);
    for (int i = 0; i < kLoud; ++i) scheduler.Submit(loud, CountingRequest(1000), loud_mail.Slot(i));
    for (int i = 0; i < kQuiet; ++i) scheduler.Submit(quiet, CountingRequest(1000), quiet_mail.Slot(i));
  }
  quiet_mail.Wait(kQuiet);
  // Ten of each, and a few for what is not known of the models at first.
  EXPECT_LT(loud_mail.size(), 40u);
  EXPECT_EQ(loud_mail.Wait(kLoud).size(), static_cast<size_t>(kLoud));
}

TEST(Scheduler, EndsWhileBusy) {
  Recorder recorder;
  Mailbox mailbox;
  const auto model = Serve(CountingModel(), "counting");
  {
    Scheduler scheduler({.threads = 1}, recorder);
    for (int i = 0; i < 20; ++i) scheduler.Submit(model, CountingRequest(20'000), mailbox.Slot(i));
    std::this_thread::sleep_for(10ms);
  }
  const auto letters = mailbox.Wait(20);
  ASSERT_EQ(letters.size(), 20u);
  int unavailable = 0;
  for (const Mailbox::Letter& letter : letters)
    unavailable += ReasonOf(letter.answer) == Reason::kUnavailable;
  EXPECT_GE(unavailable, 1);
  EXPECT_LT(unavailable, 20);
}

TEST(Scheduler, DrainWaitsForWhatIsThere) {
  Recorder recorder;
  Scheduler scheduler({.threads = 1}, recorder);
  Mailbox mailbox;
  Blocker blocker(scheduler);
  scheduler.Submit(Serve(LinearModel(), "linear"), LinearRequest(1, 0), mailbox.Slot(0));
  EXPECT_FALSE(scheduler.Drain(Clock::now() + 20ms));
  blocker.Release();
  EXPECT_TRUE(scheduler.Drain(Clock::now() + 10s));
  EXPECT_EQ(mailbox.size(), 1u);
}

}  // namespace
}  // namespace sluice::serve::test
