// ModelStreamInfer: requests and their answers, in the order of the requests; several are under way at a
// time, so that one client's can share a batch. An error answers its request alone.
#include <grpcpp/server_context.h>

#include <deque>

#include "tools/serve/grpc/calls.h"
#include "tools/serve/grpc/infer_request.h"
#include "tools/serve/grpc/infer_response.h"
#include "tools/serve/grpc/status.h"
#include "tools/serve/model_record.h"

namespace sluice::serve::rpc {
namespace {

// Requests of one stream that are under way; reading pauses beyond.
constexpr size_t kMostUnderWay = 64;
constexpr const char* kWantsFinal = "triton_enable_empty_final_response";
constexpr const char* kFinal = "triton_final_response";

class StreamCall : public grpc::ServerGenericBidiReactor {
 public:
  StreamCall(Front& front, grpc::CallbackServerContext* context, std::string client)
      : front_(front), context_(context), facts_(FactsOf(*context, std::move(client))) {
    ++front_.calls;
    StartSendInitialMetadata();
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      {
        const std::lock_guard lock(mutex_);
        ended_ = true;
      }
      return Continue();
    }
    auto answer = std::make_shared<Answer>();
    bool first = false;
    {
      const std::lock_guard lock(mutex_);
      answers_.push_back(answer);
      first = !std::exchange(any_, true);
    }
    Infer(answer, first);
    bool read = false;
    {
      const std::lock_guard lock(mutex_);
      read = answers_.size() < kMostUnderWay;
      paused_ = !read;
    }
    if (read) StartRead(&request_);
  }

  void OnWriteDone(bool ok) override {
    {
      const std::lock_guard lock(mutex_);
      writing_ = false;
      broken_ |= !ok;
    }
    Continue();
  }

  void OnCancel() override { *cancelled_ = true; }
  void OnDone() override {
    --front_.calls;
    delete this;
  }

 private:
  struct Answer {
    std::string model, id;
    bool wants_final = false;
    ClassCounts classes;
    std::vector<std::string> labels;  // where there are classes
    grpc::ByteBuffer bytes;
    bool there = false;  // under mutex_
  };

  void Infer(const std::shared_ptr<Answer>& answer, bool first) {
    const auto received = Clock::now();
    const auto refuse = [&](const ServeError& error) {
      LogRefusal(*context_, "ModelStreamInfer", facts_, answer->model, answer->id, error, received);
      Take(answer, error);
    };
    try {
      // The first was checked with the call.
      if (!first) front_.access.Check(Metadata(*context_, "authorization"));
      std::shared_ptr<InferMessage> message = ReadInferMessage(request_, front_.limits, front_.budget);
      request_.Clear();
      answer->model = message->message.model_name();
      answer->id = message->message.id();
      InferRequest request = ToInferRequest(message, answer->classes);
      message.reset();
      if (!answer->classes.empty())
        answer->labels = front_.service.Info(answer->model, request.version).labels;
      if (const auto wants = request.parameters.extract(kWantsFinal); !wants.empty())
        answer->wants_final = wants.mapped() == Parameter(true);
      Apply(facts_, request);
      request.cancelled = cancelled_;
      front_.service.Infer(std::move(request),
                           [this, answer](Service::Answer result) { Take(answer, std::move(result)); });
    } catch (const ServeError& error) {
      refuse(error);
    } catch (const std::exception&) {
      refuse(ServeError(Reason::kInternal, "internal error"));
    }
  }

  void Take(const std::shared_ptr<Answer>& answer, Service::Answer result) {
    const char* outcome = "success";
    const auto start = Clock::now();
    try {
      if (auto* response = std::get_if<InferResponse>(&result)) {
        if (answer->wants_final) response->parameters[kFinal] = true;
        ClassifyOutputs(answer->classes, answer->labels, *response);
        answer->bytes = WriteInferResponse(*response, true);
      }
    } catch (const ServeError& error) {
      result = error;
    } catch (const std::exception&) {
      result = ServeError(Reason::kInternal, "internal error");
    }
    if (const auto* error = std::get_if<ServeError>(&result)) {
      outcome = ReasonName(error->reason());
      answer->bytes = WriteStreamError(error->what(), answer->model, answer->id);
    }
    const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count();
    front_.service.CountRequest("grpc", answer->model, outcome, ns);
    {
      const std::lock_guard lock(mutex_);
      answer->there = true;
    }
    Continue();
  }

  // Does what can be done: writes the next answer, reads on, ends. The last call that matters finds the rest
  // done, and gRPC is called without the lock, since it may call back.
  void Continue() {
    bool write = false, read = false, finish = false;
    {
      const std::lock_guard lock(mutex_);
      if (broken_)  // nobody reads answers any more
        while (!answers_.empty() && answers_.front()->there) answers_.pop_front();
      if (!writing_ && !answers_.empty() && answers_.front()->there) {
        current_.Swap(&answers_.front()->bytes);
        answers_.pop_front();
        writing_ = write = true;
      }
      if (paused_ && answers_.size() < kMostUnderWay) {
        paused_ = false;
        read = true;
      }
      if (ended_ && !writing_ && answers_.empty() && !finished_) finished_ = finish = true;
    }
    if (write) StartWrite(&current_);
    if (read) StartRead(&request_);
    if (finish)
      Finish(*cancelled_ ? grpc::Status(grpc::StatusCode::CANCELLED, "cancelled") : grpc::Status::OK);
  }

  Front& front_;
  grpc::CallbackServerContext* const context_;
  const CallFacts facts_;
  const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
  grpc::ByteBuffer request_;  // being read
  std::mutex mutex_;
  std::deque<std::shared_ptr<Answer>> answers_;  // of requests under way
  grpc::ByteBuffer current_;                     // being written
  bool any_ = false, writing_ = false, paused_ = false, ended_ = false, broken_ = false, finished_ = false;
};

}  // namespace

grpc::ServerGenericBidiReactor* NewStreamCall(Front& front, grpc::CallbackServerContext* context,
                                              std::string client) {
  return new StreamCall(front, context, std::move(client));
}

}  // namespace sluice::serve::rpc
