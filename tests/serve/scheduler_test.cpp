#include "tools/serve/scheduler.h"

#include <atomic>
#include <random>

#include "tests/serve/small_models.h"
#include "tools/serve/recorder.h"

namespace sluice::serve::test {
namespace {

using namespace std::chrono_literals;

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

// Draws requests of all kinds from several threads: each is answered once, with the bits of its own run, and
// the statistics know of each.
TEST(Scheduler, AnswersEachOfManyRandomRequestsOnce) {
  const auto linear =
      Serve(LinearModel(), "linear", {.max_batch_size = 6, .max_delay_us = 300, .max_queue = 60});
  const auto counting = Serve(CountingModel(), "counting", {.max_queue = 10});
  constexpr int kThreads = 4, kEach = 400;
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  Recorder recorder;
  std::atomic<int> answered{0}, good{0}, invalid{0}, overloaded{0}, late{0}, cancelled{0}, wrong{0};
  {
    Scheduler scheduler({}, recorder);
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937 random(seed + static_cast<unsigned>(t));
        for (int i = 0; i < kEach; ++i) {
          const bool slow = random() % 8 == 0;
          InferRequest request = slow ? CountingRequest(random() % 3000)
                                      : LinearRequest(1 + random() % 3, static_cast<float>(random() % 100));
          const float first = request.inputs.back().tensor.values<float>()[0];
          if (!slow && random() % 3 == 0) request.outputs = {"z"};
          if (random() % 20 == 0) request.inputs[0].name = "none";
          if (random() % 10 == 0) request.parameters["timeout"] = static_cast<int64_t>(1 + random() % 3000);
          if (random() % 5 == 0) request.parameters["priority"] = static_cast<int64_t>(random() % 5);
          const auto flag = request.cancelled;
          const auto calls = std::make_shared<std::atomic<int>>(0);
          scheduler.Submit(slow ? counting : linear, std::move(request),
                           [&, slow, first, calls](Service::Answer answer) {
                             ++answered;
                             if (++*calls != 1) ++wrong;
                             if (const auto reason = ReasonOf(answer)) {
                               switch (*reason) {
                                 case Reason::kInvalid:
                                   ++invalid;
                                   break;
                                 case Reason::kOverloaded:
                                   ++overloaded;
                                   break;
                                 case Reason::kTimeout:
                                   ++late;
                                   break;
                                 case Reason::kCancelled:
                                   ++cancelled;
                                   break;
                                 default:
                                   ++wrong;
                               }
                               return;
                             }
                             ++good;
                             if (!slow && OutputOf(answer, "z").values<float>()[0] != -first) ++wrong;
                           });
          if (random() % 15 == 0) *flag = true;
          if (random() % 4 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random() % 500));
        }
      });
    }
    threads.clear();
    EXPECT_TRUE(scheduler.Drain(Clock::now() + 60s));
    EXPECT_EQ(answered, kThreads * kEach);
  }
  EXPECT_EQ(answered, kThreads * kEach);
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(good, 0);
  EXPECT_GT(invalid, 0);
  uint64_t succeeded = 0, failed = 0;
  for (const ModelStatistics& statistics : recorder.Statistics("", "")) {
    succeeded += statistics.success.count;
    failed += statistics.fail.count;
    uint64_t executions = 0, inferences = 0;
    for (const BatchStatistics& batch : statistics.batches) {
      executions += batch.compute_infer.count;
      inferences += batch.compute_infer.count * batch.batch_size;
    }
    EXPECT_EQ(executions, statistics.execution_count);
    EXPECT_EQ(inferences, statistics.inference_count);
  }
  EXPECT_EQ(succeeded, static_cast<uint64_t>(good));
  EXPECT_EQ(failed, static_cast<uint64_t>(invalid + overloaded + late + cancelled));
  EXPECT_NE(
      recorder.Text().find("sluice_inference_pending_request_count{model=\"linear\",version=\"1\"} 0\n"),
      std::string::npos);
}

// Two rows come out for each that goes in, so that a batch cannot be taken apart.
TEST(Scheduler, ModelsThatCannotBatchRunRequestsAlone) {
  ModelProto proto = EmptyModel();
  GraphProto* graph = proto.mutable_graph();
  SetOpenType(graph->add_input(), "x", {-1, 4});
  SetOpenType(graph->add_output(), "y", {-1, 4});
  NodeProto* concat = AddNode(graph, "Concat", {"x", "x"}, {"twice"});
  auto* axis = concat->add_attribute();
  axis->set_name("axis");
  axis->set_type(sluice_onnx::AttributeProto::INT);
  axis->set_i(0);
  AddNode(graph, "Neg", {"twice"}, {"y"});
  const auto model = Serve(proto, "twice", {.max_batch_size = 4});
  Recorder recorder;
  Scheduler scheduler({.threads = 1}, recorder);
  Mailbox mailbox;
  {
    Blocker blocker(scheduler);
    for (int i = 0; i < 4; ++i)
      scheduler.Submit(model, LinearRequest(1, static_cast<float>(i)), mailbox.Slot(i));
  }
  for (const Mailbox::Letter& letter : mailbox.Wait(4)) {
    ASSERT_FALSE(ReasonOf(letter.answer)) << TextOf(letter.answer);
    const Tensor& y = OutputOf(letter.answer, "y");
    EXPECT_EQ(y.shape(), (Shape{2, 4}));
    EXPECT_EQ(y.values<float>()[0], -static_cast<float>(letter.number) - 0.25f);
  }
}

// A request that the model refuses takes no other with it.
TEST(Scheduler, OneBadRequestFailsAlone) {
  ModelProto proto = EmptyModel();
  GraphProto* graph = proto.mutable_graph();
  SetOpenType(graph->add_input(), "i", {-1, 1}, TensorProto::INT64);
  SetOpenType(graph->add_output(), "y", {-1, 1});
  AddFloats(graph, "table", {3}, {10, 20, 30});
  AddNode(graph, "Gather", {"table", "i"}, {"y"});
  const auto model = Serve(proto, "table", {.max_batch_size = 4});
  Recorder recorder;
  Scheduler scheduler({.threads = 1}, recorder);
  Mailbox mailbox;
  {
    Blocker blocker(scheduler);
    for (const int64_t index : {0, 1, 7, 2}) {
      InferRequest request;
      request.inputs.push_back(
          {.name = "i", .tensor = Tensor::From<int64_t>({1, 1}, std::span(&index, 1)), .parameters = {}});
      scheduler.Submit(model, std::move(request), mailbox.Slot(static_cast<int>(index)));
    }
  }
  for (const Mailbox::Letter& letter : mailbox.Wait(4)) {
    if (letter.number == 7) {
      EXPECT_EQ(ReasonOf(letter.answer), Reason::kInvalid) << TextOf(letter.answer);
    } else {
      ASSERT_FALSE(ReasonOf(letter.answer)) << TextOf(letter.answer);
      EXPECT_EQ(OutputOf(letter.answer, "y").values<float>()[0],
                10.0f * static_cast<float>(letter.number + 1));
    }
  }
}

TEST(Scheduler, ShowsTheStepsOfARun) {
  Recorder recorder;
  Scheduler scheduler({}, recorder);
  InferRequest request = LinearRequest(1, 0);
  request.parameters["profile"] = true;
  const Service::Answer answer = RunOne(scheduler, Serve(LinearModel(), "linear"), std::move(request));
  ASSERT_FALSE(ReasonOf(answer)) << TextOf(answer);
  const auto& profile = std::get<InferResponse>(answer).profile;
  ASSERT_GE(profile.size(), 2u);
  for (const StepProfile& step : profile) EXPECT_EQ(step.calls, 1) << step.op;
}

}  // namespace
}  // namespace sluice::serve::test
