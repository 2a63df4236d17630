// Full queues, priorities, deadlines, shares of models, and the end of a scheduler.
#include "tests/serve/small_models.h"
#include "tools/serve/recorder.h"
#include "tools/serve/scheduler.h"

namespace sluice::serve::test {
namespace {

using namespace std::chrono_literals;

TEST(SchedulerLimits, FullQueuesRefuseAtOnce) {
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

TEST(SchedulerLimits, WaitingRequestsHoldBoundedMemory) {
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

TEST(SchedulerLimits, LowerNumbersOfPrioritiesOvertake) {
  Recorder recorder;
  Scheduler scheduler({.threads = 1}, recorder);
  const auto model = Serve(LinearModel(), "linear", {.default_priority = 3});
  Mailbox mailbox;
  {
    Blocker blocker(scheduler);
    for (int i = 0; i < 6; ++i) {
      InferRequest request = LinearRequest(1, 0);
      // The first two state none and 0: the default. Then 2, 2, 1, 1.
      if (i >= 1) request.parameters["priority"] = int64_t{i < 2 ? 0 : i < 4 ? 2 : 1};
      scheduler.Submit(model, std::move(request), mailbox.Slot(i));
    }
  }
  std::vector<int> order;
  for (const Mailbox::Letter& letter : mailbox.Wait(6)) order.push_back(letter.number);
  EXPECT_EQ(order, (std::vector<int>{4, 5, 2, 3, 0, 1}));
}

TEST(SchedulerLimits, DeadlinesDropWaitingRequestsInTime) {
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

TEST(SchedulerLimits, DeadlinesAndCancellationEndRuns) {
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

TEST(SchedulerLimits, TheModelsLimitOnTimeoutsHolds) {
  Recorder recorder;
  Scheduler scheduler({}, recorder);
  const auto model = Serve(CountingModel(), "counting", {.max_timeout_us = 30'000});
  InferRequest request = CountingRequest(kLong);
  request.parameters["timeout"] = int64_t{3'600'000'000};
  EXPECT_EQ(ReasonOf(RunOne(scheduler, model, std::move(request))), Reason::kTimeout);
  EXPECT_EQ(ReasonOf(RunOne(scheduler, model, CountingRequest(kLong))), Reason::kTimeout);
}

// A model with far more requests than it can run leaves another its share of the workers.
TEST(SchedulerLimits, OverloadOfOneModelLeavesOthersTheirShare) {
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
  // Ten of each, and a few for what is not known of the models at first; more where a busy machine stretches
  // runs of the quiet one, which counts as its share. In the order of arrival they would be all.
  EXPECT_LT(loud_mail.size(), static_cast<size_t>(kLoud) / 3);
  EXPECT_EQ(loud_mail.Wait(kLoud).size(), static_cast<size_t>(kLoud));
}

TEST(SchedulerLimits, EndsWhileBusy) {
  Recorder recorder;
  Mailbox mailbox;
  const auto model = Serve(CountingModel(), "counting");
  {
    Scheduler scheduler({.threads = 1}, recorder);
    for (int i = 0; i < 20; ++i) scheduler.Submit(model, CountingRequest(20'000), mailbox.Slot(i));
    mailbox.Wait(1);
  }
  const auto letters = mailbox.Wait(20);
  ASSERT_EQ(letters.size(), 20u);
  int unavailable = 0;
  for (const Mailbox::Letter& letter : letters)
    unavailable += ReasonOf(letter.answer) == Reason::kUnavailable;
  EXPECT_GE(unavailable, 1);
  EXPECT_LT(unavailable, 20);
}

// A batch of two goes on until nobody waits for it.
TEST(SchedulerLimits, BatchesEndWhenAllAreGone) {
  // x [batch, 1] -> y = x + n, counted up one by one, where n is the largest x.
  ModelProto proto = EmptyModel();
  GraphProto* graph = proto.mutable_graph();
  SetOpenType(graph->add_input(), "x", {-1, 1});
  SetOpenType(graph->add_output(), "y", {-1, 1});
  const ModelProto counting = CountingModel();
  *graph->add_initializer() = counting.graph().initializer(0);
  NodeProto* largest = AddNode(graph, "ReduceMax", {"x"}, {"most"});
  auto* keep = largest->add_attribute();
  keep->set_name("keepdims");
  keep->set_type(sluice_onnx::AttributeProto::INT);
  keep->set_i(0);
  NodeProto* cast = AddNode(graph, "Cast", {"most"}, {"n"});
  auto* to = cast->add_attribute();
  to->set_name("to");
  to->set_type(sluice_onnx::AttributeProto::INT);
  to->set_i(TensorProto::INT64);
  *graph->add_node() = counting.graph().node(0);
  for (auto* values : {graph->mutable_node(2)->mutable_attribute(0)->mutable_g()->mutable_input(2),
                       graph->mutable_node(2)->mutable_attribute(0)->mutable_g()->mutable_output(1)})
    SetOpenType(values, values->name(), {-1, 1});
  const auto model = Serve(proto, "rows", {.max_batch_size = 2});
  Recorder recorder;
  Scheduler scheduler({.threads = 1}, recorder);
  Mailbox mailbox;
  std::vector<std::shared_ptr<std::atomic<bool>>> flags;
  {
    Blocker blocker(scheduler);
    for (int i = 0; i < 2; ++i) {
      InferRequest request;
      request.inputs.push_back(Floats("x", {1, 1}, {1e12f}));
      flags.push_back(request.cancelled);
      scheduler.Submit(model, std::move(request), mailbox.Slot(i));
    }
  }
  std::this_thread::sleep_for(50ms);
  *flags[0] = true;
  ASSERT_EQ(mailbox.Wait(1).size(), 1u);
  EXPECT_FALSE(scheduler.Drain(Clock::now() + 50ms));
  EXPECT_EQ(mailbox.size(), 1u);
  *flags[1] = true;
  const auto letters = mailbox.Wait(2);
  ASSERT_EQ(letters.size(), 2u);
  for (const auto& letter : letters)
    EXPECT_EQ(ReasonOf(letter.answer), Reason::kCancelled) << TextOf(letter.answer);
  EXPECT_FALSE(ReasonOf(RunOne(scheduler, Serve(LinearModel(), "linear"), LinearRequest(1, 0))));
}

TEST(SchedulerLimits, DrainWaitsForWhatIsThere) {
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
