// ModelInfer: one request, one answer.
#include <grpcpp/server_context.h>

#include "tools/serve/grpc/calls.h"
#include "tools/serve/grpc/infer_request.h"
#include "tools/serve/grpc/infer_response.h"
#include "tools/serve/grpc/status.h"
#include "tools/serve/model_record.h"

namespace sluice::serve::rpc {
namespace {

int64_t Nanoseconds(Clock::duration time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
}

class InferCall : public grpc::ServerGenericBidiReactor {
 public:
  InferCall(Front& front, grpc::CallbackServerContext* context, std::string client)
      : front_(front), context_(context), facts_(FactsOf(*context, std::move(client))) {
    ++front_.calls;
    front_.waiting.Add(context_, received_ + std::chrono::milliseconds(front_.limits.body_timeout_ms));
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    front_.waiting.Remove(context_);
    if (!ok) return Refuse(ServeError(Reason::kInvalid, "there is no message"));
    try {
      Infer();
    } catch (const ServeError& error) {
      Refuse(error);
    } catch (const std::exception&) {
      Refuse(ServeError(Reason::kInternal, "internal error"));
    }
  }
  void OnCancel() override { *cancelled_ = true; }

  void OnDone() override {
    network_ns_ += Nanoseconds(Clock::now() - answered_);
    front_.service.CountRequest("grpc", model_, outcome_, network_ns_);
    --front_.calls;
    delete this;
  }

 private:
  void Infer() {
    std::shared_ptr<InferMessage> message = ReadInferMessage(request_, front_.limits, front_.budget);
    request_.Clear();
    model_ = message->message.model_name();
    id_ = message->message.id();
    InferRequest request = ToInferRequest(message, classes_);
    message.reset();
    if (!classes_.empty()) labels_ = front_.service.Info(model_, request.version).labels;
    Apply(facts_, request);
    context_->AddTrailingMetadata("x-request-id", facts_.request_id);
    if (!Metadata(*context_, "traceparent").empty())
      context_->AddTrailingMetadata("traceparent", facts_.traceparent);
    request.received = received_;
    request.cancelled = cancelled_;
    network_ns_ = Nanoseconds(Clock::now() - received_);
    front_.service.Infer(std::move(request), [this](Service::Answer answer) { Answer(std::move(answer)); });
  }

  void Answer(Service::Answer answer) {
    if (const auto* error = std::get_if<ServeError>(&answer)) return End(*error);
    answered_ = Clock::now();
    try {
      auto& response = std::get<InferResponse>(answer);
      ClassifyOutputs(classes_, labels_, response);
      response_ = WriteInferResponse(response, false);
    } catch (const ServeError& error) {
      return End(error);
    } catch (const std::exception&) {
      return End(ServeError(Reason::kInternal, "internal error"));
    }
    outcome_ = "success";
    front_.hold.Pass(facts_.deadline, [this] { StartWriteAndFinish(&response_, {}, grpc::Status::OK); });
  }

  // What the service has not seen.
  void Refuse(const ServeError& error) {
    LogRefusal(*context_, "ModelInfer", facts_, model_, id_, error, received_);
    End(error);
  }

  void End(const ServeError& error) {
    answered_ = Clock::now();
    outcome_ = ReasonName(error.reason());
    front_.hold.Pass(facts_.deadline, [this, status = StatusOf(error, *context_)] { Finish(status); });
  }

  Front& front_;
  grpc::CallbackServerContext* const context_;
  const CallFacts facts_;
  std::string model_, id_;
  ClassCounts classes_;
  std::vector<std::string> labels_;  // where there are classes_
  const char* outcome_ = "";
  const Clock::time_point received_ = Clock::now();
  Clock::time_point answered_ = received_;
  int64_t network_ns_ = 0;
  const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
  grpc::ByteBuffer request_, response_;
};

}  // namespace

grpc::ServerGenericBidiReactor* NewInferCall(Front& front, grpc::CallbackServerContext* context,
                                             std::string client) {
  return new InferCall(front, context, std::move(client));
}

}  // namespace sluice::serve::rpc
