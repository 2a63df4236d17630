#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/graph/onnx_builder.h"
#include "tools/serve/datatypes.h"
#include "tools/serve/model.h"
#include "tools/serve/scheduler.h"

namespace sluice::serve::test {

using sluice::test::AddFloats;
using sluice::test::AddNode;
using sluice::test::EmptyModel;
using sluice::test::GraphProto;
using sluice::test::ModelProto;
using sluice::test::NodeProto;
using sluice::test::TensorProto;

// -1 becomes a dimension of no name, but for the first, which is `batch`.
inline void SetOpenType(sluice_onnx::ValueInfoProto* info, const std::string& name,
                        std::initializer_list<int64_t> shape, int type = TensorProto::FLOAT) {
  info->set_name(name);
  auto* tensor = info->mutable_type()->mutable_tensor_type();
  tensor->set_elem_type(type);
  tensor->mutable_shape();
  bool first = true;
  for (int64_t size : shape) {
    auto* dim = tensor->mutable_shape()->add_dim();
    if (size >= 0)
      dim->set_dim_value(size);
    else if (first)
      dim->set_dim_param("batch");
    first = false;
  }
}

inline std::shared_ptr<const Model> Serve(const ModelProto& proto, const std::string& name,
                                          ModelConfig config = {}) {
  const std::string bytes = proto.SerializeAsString();
  Model model{.session = Session::LoadBytes(std::as_bytes(std::span(bytes))),
              .config = std::move(config),
              .info = {}};
  model.info.name = name;
  model.info.version = std::string("1");
  model.info.labels = model.config.labels;
  return std::make_shared<const Model>(std::move(model));
}

// x [batch, 4] -> y = x * w + b, [batch, 3], and z = -x.
inline ModelProto LinearModel() {
  ModelProto model = EmptyModel();
  GraphProto* graph = model.mutable_graph();
  SetOpenType(graph->add_input(), "x", {-1, 4});
  SetOpenType(graph->add_output(), "y", {-1, 3});
  SetOpenType(graph->add_output(), "z", {-1, 4});
  AddFloats(graph, "w", {4, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  AddFloats(graph, "b", {3}, {0.5f, -1, 2});
  AddNode(graph, "MatMul", {"x", "w"}, {"p"});
  AddNode(graph, "Add", {"p", "b"}, {"y"});
  AddNode(graph, "Neg", {"x"}, {"z"});
  return model;
}

// n INT64 [] and x [2] -> y = x + n, counted up one by one: a run as long as the request says.
inline ModelProto CountingModel() {
  ModelProto model = EmptyModel();
  GraphProto* graph = model.mutable_graph();
  SetOpenType(graph->add_input(), "n", {}, TensorProto::INT64);
  SetOpenType(graph->add_input(), "x", {2});
  SetOpenType(graph->add_output(), "y", {2});
  TensorProto* condition = graph->add_initializer();
  condition->set_name("go");
  condition->set_data_type(TensorProto::BOOL);
  condition->set_raw_data(std::string(1, '\1'));
  NodeProto* loop = AddNode(graph, "Loop", {"n", "go", "x"}, {"y"});
  auto* body = loop->add_attribute();
  body->set_name("body");
  body->set_type(sluice_onnx::AttributeProto::GRAPH);
  GraphProto* inner = body->mutable_g();
  inner->set_name("body");
  SetOpenType(inner->add_input(), "i", {}, TensorProto::INT64);
  SetOpenType(inner->add_input(), "c", {}, TensorProto::BOOL);
  SetOpenType(inner->add_input(), "v", {2});
  SetOpenType(inner->add_output(), "c_out", {}, TensorProto::BOOL);
  SetOpenType(inner->add_output(), "v_out", {2});
  AddFloats(inner, "one", {}, {1});
  AddNode(inner, "Identity", {"c"}, {"c_out"});
  AddNode(inner, "Add", {"v", "one"}, {"v_out"});
  return model;
}

inline InferInput Floats(const std::string& name, const Shape& shape, const std::vector<float>& values) {
  return {.name = name, .tensor = Tensor::From<float>(shape, values), .parameters = {}};
}

inline InferRequest LinearRequest(int64_t rows, float start) {
  std::vector<float> values;
  for (int64_t i = 0; i < 4 * rows; ++i) values.push_back(start += 0.25f);
  InferRequest request;
  request.inputs.push_back(Floats("x", {rows, 4}, values));
  return request;
}

inline InferRequest CountingRequest(int64_t steps) {
  InferRequest request;
  request.inputs.push_back({.name = "n", .tensor = Tensor::Scalar(steps), .parameters = {}});
  request.inputs.push_back(Floats("x", {2}, {0, 10}));
  return request;
}

// Collects answers in the order in which they come; requests are numbered. Answers may come after its end.
class Mailbox {
 public:
  struct Letter {
    int number;
    Service::Answer answer;
    Clock::time_point at;
  };

  std::function<void(Service::Answer)> Slot(int number) {
    return [box = box_, number](Service::Answer answer) {
      const std::lock_guard lock(box->mutex);
      box->letters.push_back({number, std::move(answer), Clock::now()});
      box->changed.notify_all();
    };
  }
  // The first `count` answers; fewer after a minute.
  std::vector<Letter> Wait(size_t count) {
    std::unique_lock lock(box_->mutex);
    box_->changed.wait_for(lock, std::chrono::minutes(1), [&] { return box_->letters.size() >= count; });
    return box_->letters;
  }
  size_t size() {
    const std::lock_guard lock(box_->mutex);
    return box_->letters.size();
  }

 private:
  struct Box {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<Letter> letters;
  };
  std::shared_ptr<Box> box_ = std::make_shared<Box>();
};

inline Service::Answer RunOne(Scheduler& scheduler, const std::shared_ptr<const Model>& model,
                              InferRequest request) {
  Mailbox mailbox;
  scheduler.Submit(model, std::move(request), mailbox.Slot(0));
  auto letters = mailbox.Wait(1);
  if (letters.empty()) return ServeError(Reason::kInternal, "no answer");
  return std::move(letters[0].answer);
}

// The error of an answer; nothing where it has none.
inline std::optional<Reason> ReasonOf(const Service::Answer& answer) {
  if (const auto* error = std::get_if<ServeError>(&answer)) return error->reason();
  return std::nullopt;
}
inline std::string TextOf(const Service::Answer& answer) {
  const auto* error = std::get_if<ServeError>(&answer);
  return error == nullptr ? "" : error->what();
}

inline constexpr int64_t kLong = int64_t{1} << 40;  // steps; never ends on its own

inline const Tensor& OutputOf(const Service::Answer& answer, const std::string& name) {
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
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
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

}  // namespace sluice::serve::test
