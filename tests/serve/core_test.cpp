#include "tools/serve/core.h"

#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/serve/model_folder.h"
#include "tools/serve/log.h"

namespace sluice::serve {
namespace {

using namespace test;
using std::chrono::milliseconds;
using std::chrono::seconds;

class CoreTest : public ModelFolderTest {
 protected:
  CoreOptions CoreOpts() const {
    CoreOptions options;
    options.repository = Options();
    return options;
  }

  static InferRequest Request(const std::string& model, const std::string& version = "") {
    InferRequest request;
    request.model = model;
    request.version = version;
    request.inputs.push_back({"x", Tensor::From<float>({2}, std::vector<float>{0, 1}), {}});
    return request;
  }
  static Service::Answer Ask(Core& core, InferRequest request) {
    std::promise<Service::Answer> promise;
    auto future = promise.get_future();
    core.Infer(std::move(request), [&](Service::Answer answer) { promise.set_value(std::move(answer)); });
    return future.get();
  }
  static float First(const InferResponse& response) {
    for (const auto& [name, tensor] : response.outputs)
      if (name == "y") return tensor.values<float>()[0];
    return -1;
  }
  static std::optional<Reason> ReasonOf(const Service::Answer& answer) {
    if (const auto* error = std::get_if<ServeError>(&answer)) return error->reason();
    return std::nullopt;
  }
};

TEST_F(CoreTest, AnswersByNameAndVersion) {
  Put("m/1/model.onnx", AddingModel(1));
  Put("m/2/model.onnx", AddingModel(2));
  Core core(CoreOpts());
  ASSERT_TRUE(core.repository().WaitSettled(seconds(30)));
  EXPECT_TRUE(core.Ready());
  for (const auto& [version, adds] :
       std::vector<std::pair<std::string, float>>{{"", 2}, {"1", 1}, {"2", 2}}) {
    const Service::Answer answer = Ask(core, Request("m", version));
    const auto* response = std::get_if<InferResponse>(&answer);
    ASSERT_NE(response, nullptr);
    EXPECT_EQ(First(*response), adds);
    EXPECT_EQ(response->model, "m");
    EXPECT_EQ(response->version, version.empty() ? "2" : version);
  }
  EXPECT_EQ(ReasonOf(Ask(core, Request("none"))), Reason::kNotFound);
  EXPECT_EQ(ReasonOf(Ask(core, Request("m", "3"))), Reason::kNotFound);
  core.Unload("m");
  EXPECT_EQ(ReasonOf(Ask(core, Request("m"))), Reason::kUnavailable);
}

// Clients ask without a pause while the model is replaced again and again, also by broken files: no request
// fails, and each answer is of a model that was there.
TEST_F(CoreTest, NoRequestFailsWhileModelsAreReplaced) {
  Put("m/1/model.onnx", AddingModel(1));
  Core core(CoreOpts());
  ASSERT_TRUE(core.repository().WaitSettled(seconds(30)));
  std::atomic<bool> stop{false};
  std::atomic<int> newest{1};
  std::atomic<int64_t> answers{0}, failures{0};
  std::vector<std::thread> clients;
  for (int client = 0; client < 4; ++client) {
    clients.emplace_back([&] {
      float last = 1;
      while (!stop) {
        const Service::Answer answer = Ask(core, Request("m"));
        ++answers;
        const auto* response = std::get_if<InferResponse>(&answer);
        const float value = response == nullptr ? -1 : First(*response);
        // Never back to an older model.
        if (value < last || value > static_cast<float>(newest)) ++failures;
        last = value;
      }
    });
  }
  for (int round = 2; round <= 12; ++round) {
    newest = round;
    if (round % 3 == 0) {
      Put("m/1/model.onnx", "broken");
      EXPECT_TRUE(Soon([&] { return !EntryOf(core.repository(), "m", "1").reason.empty(); }));
    }
    Put("m/1/model.onnx", AddingModel(static_cast<float>(round)));
    EXPECT_TRUE(Soon([&] { return Added(*core.repository().Find("m", "")) == static_cast<float>(round); }));
  }
  stop = true;
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(failures, 0);
  EXPECT_GT(answers, 100);
}

TEST_F(CoreTest, LeavingIsNotReadyButServes) {
  Put("m.onnx", AddingModel(1));
  Core core(CoreOpts());
  ASSERT_TRUE(core.repository().WaitSettled(seconds(30)));
  core.Leave();
  EXPECT_FALSE(core.Ready());
  EXPECT_TRUE(core.Live());
  EXPECT_TRUE(core.ModelReady("m", ""));
  EXPECT_EQ(ReasonOf(Ask(core, Request("m"))), std::nullopt);
  EXPECT_TRUE(core.Drain(Clock::now() + seconds(5)));
}

TEST_F(CoreTest, StepTimesOnRequest) {
  Put("m.onnx", AddingModel(1));
  Core core(CoreOpts());
  ASSERT_TRUE(core.repository().WaitSettled(seconds(30)));
  InferRequest request = Request("m");
  request.parameters["profile"] = true;
  Service::Answer answer = Ask(core, std::move(request));
  ASSERT_EQ(ReasonOf(answer), std::nullopt);
  const auto& profile = std::get<InferResponse>(answer).profile;
  ASSERT_EQ(profile.size(), 1u);
  EXPECT_EQ(profile[0].op, "Add");
  EXPECT_EQ(profile[0].calls, 1);
  answer = Ask(core, Request("m"));
  EXPECT_TRUE(std::get<InferResponse>(answer).profile.empty());
}

TEST_F(CoreTest, CountsAndLogs) {
  Put("m.onnx", AddingModel(1));
  Put("bad.onnx", "");
  LogOptions log{.json = true, .file = Path(".log")};
  StartLog(log);
  {
    Core core(CoreOpts());
    ASSERT_TRUE(core.repository().WaitSettled(seconds(30)));
    EXPECT_EQ(core.Statistics("m", "").at(0).success.count, 0u);
    EXPECT_THROW(core.Statistics("nothing", ""), ServeError);
    InferRequest request = Request("m");
    request.id = "mine\n";
    request.request_id = "r1";
    request.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    request.client = "key-name";
    Ask(core, std::move(request));
    Ask(core, Request("none"));
    EXPECT_EQ(core.Statistics("m", "1").at(0).success.count, 1u);
    EXPECT_EQ(core.Statistics("", "").size(), 1u);
    const std::string metrics = core.Metrics();
    EXPECT_NE(metrics.find("sluice"), std::string::npos);
    EXPECT_NE(metrics.find("model=\"bad\""), std::string::npos) << "the failed load";
  }
  StopLog();
  std::ifstream file(Path(".log"));
  std::vector<nlohmann::json> requests;
  for (std::string line; std::getline(file, line);) {
    const auto json = nlohmann::json::parse(line);
    if (json["message"] == "request") requests.push_back(json);
    if (json["message"] == "cannot load") {
      EXPECT_EQ(json["model"], "bad");
    }
    EXPECT_EQ(line.find(dir_), std::string::npos) << line;
  }
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0]["outcome"], "ok");
  EXPECT_EQ(requests[0]["id"], "mine\n");
  EXPECT_EQ(requests[0]["request_id"], "r1");
  EXPECT_EQ(requests[0]["client"], "key-name");
  EXPECT_EQ(requests[0]["version"], "1");
  EXPECT_EQ(requests[0]["traceparent"], "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  EXPECT_GE(requests[0]["total_us"].get<int64_t>(), requests[0]["compute_us"].get<int64_t>());
  EXPECT_EQ(requests[1]["outcome"], "not_found");
}

}  // namespace
}  // namespace sluice::serve
