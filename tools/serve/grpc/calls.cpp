#include "tools/serve/grpc/calls.h"

#include <grpcpp/security/auth_context.h>
#include <grpcpp/server_context.h>

#include "tools/serve/grpc/methods.h"
#include "tools/serve/grpc/status.h"
#include "tools/serve/http/trace_context.h"
#include "tools/serve/model_record.h"
#include "tools/serve/refused_request.h"
#include "tools/serve/text.h"

namespace sluice::serve::rpc {
namespace {

constexpr std::string_view kService = "/inference.GRPCInferenceService/";

// Ends with a status, whatever comes.
class RefusedCall : public grpc::ServerGenericBidiReactor {
 public:
  explicit RefusedCall(const grpc::Status& status) { Finish(status); }
  void OnDone() override { delete this; }
};

// One message each way, answered at once or by a worker.
class PlainCall : public grpc::ServerGenericBidiReactor {
 public:
  PlainCall(Front& front, grpc::CallbackServerContext* context, const Method& method, std::string client)
      : front_(front), context_(context), method_(method), client_(std::move(client)) {
    ++front_.calls;
    front_.waiting.Add(context_, Clock::now() + std::chrono::milliseconds(front_.limits.body_timeout_ms));
    StartRead(&request_);
  }
  void OnReadDone(bool ok) override {
    front_.waiting.Remove(context_);
    if (!ok) return Finish({grpc::StatusCode::INVALID_ARGUMENT, "there is no message"});
    if (!method_.waits) return Answer();
    if (!front_.workers.Add([this] { Answer(); }))
      Refuse(ServeError(Reason::kOverloaded, "too many models are to be loaded already", 1));
  }
  void OnDone() override {
    --front_.calls;
    delete this;
  }

 private:
  void Answer() {
    try {
      response_ = method_.answer(request_, front_.limits.max_request_bytes, front_.service);
    } catch (const ServeError& error) {
      return Refuse(error);
    } catch (const std::exception&) {
      return Refuse(ServeError(Reason::kInternal, "internal error"));
    }
    front_.hold.Pass(DeadlineOf(*context_),
                     [this] { StartWriteAndFinish(&response_, {}, grpc::Status::OK); });
  }
  void Refuse(const ServeError& error) {
    LogRefusal(*context_, method_.name, FactsOf(*context_, std::move(client_)), "", "", error, received_);
    front_.hold.Pass(DeadlineOf(*context_), [this, status = StatusOf(error, *context_)] { Finish(status); });
  }

  Front& front_;
  grpc::CallbackServerContext* const context_;
  const Method& method_;
  std::string client_;
  const Clock::time_point received_ = Clock::now();
  grpc::ByteBuffer request_, response_;
};

}  // namespace

void Waiting::Add(grpc::CallbackServerContext* context, Clock::time_point until) {
  const std::lock_guard lock(mutex_);
  calls_.emplace(context, until);
}

void Waiting::Remove(grpc::CallbackServerContext* context) {
  const std::lock_guard lock(mutex_);
  calls_.erase(context);
}

void Waiting::Sweep(Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  for (const auto& [context, until] : calls_)
    if (until < now) context->TryCancel();
}

std::string_view Metadata(const grpc::CallbackServerContext& context, const char* name) {
  const auto& metadata = context.client_metadata();
  const auto found = metadata.find(name);
  return found != metadata.end() ? std::string_view(found->second.data(), found->second.size())
                                 : std::string_view();
}

std::string CheckCaller(const grpc::CallbackServerContext& context, const Access& access) {
  std::string name = access.Check(Metadata(context, "authorization"));
  if (!name.empty()) return name;
  const std::shared_ptr<const grpc::AuthContext> peer = context.auth_context();
  if (peer == nullptr || !peer->IsPeerAuthenticated()) return "";
  const std::vector<grpc::string_ref> names = peer->FindPropertyValues("x509_common_name");
  return names.empty() ? "" : std::string(names.front().data(), names.front().size());
}

CallFacts FactsOf(const grpc::CallbackServerContext& context, std::string client) {
  CallFacts facts;
  facts.client = std::move(client);
  facts.request_id = RequestIdOf(Metadata(context, "x-request-id"));
  facts.traceparent = TraceParent(Metadata(context, "traceparent"));
  facts.deadline = DeadlineOf(context);
  return facts;
}

std::optional<Clock::time_point> DeadlineOf(const grpc::CallbackServerContext& context) {
  const auto deadline = context.deadline(), now = std::chrono::system_clock::now();
  // No deadline is one in the infinite future.
  if (deadline >= now + std::chrono::hours(24 * 365)) return {};
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(deadline - now);
}

void LogRefusal(const grpc::CallbackServerContext& context, std::string_view method, const CallFacts& facts,
                std::string_view model, std::string_view id, const ServeError& error,
                Clock::time_point received) {
  // "ipv4:127.0.0.1:4711"
  const std::string peer = context.peer();
  const size_t begin = peer.find(':') + 1, end = peer.rfind(':');
  LogRefused({.protocol = "grpc",
              .call = method,
              .peer = begin <= end ? std::string_view(peer).substr(begin, end - begin) : peer,
              .model = model,
              .request_id = facts.request_id,
              .outcome = ReasonName(error.reason()),
              .error = error.what(),
              .id = id,
              .client = facts.client,
              .traceparent = facts.traceparent,
              .received = received});
}

void Apply(const CallFacts& facts, InferRequest& request) {
  request.client = facts.client;
  request.request_id = facts.request_id;
  request.traceparent = facts.traceparent;
  request.deadline = facts.deadline;
}

grpc::ServerGenericBidiReactor* Calls::CreateReactor(grpc::GenericCallbackServerContext* context) {
  ++front_.arrived;
  std::string_view name = context->method();
  const bool known = name.substr(0, kService.size()) == kService;
  name.remove_prefix(known ? kService.size() : 0);
  const bool infer = known && name == "ModelInfer", stream = known && name == "ModelStreamInfer";
  const Method* const method = known ? FindMethod(name) : nullptr;
  if (!infer && !stream && method == nullptr)
    return new RefusedCall({grpc::StatusCode::UNIMPLEMENTED, "this server has no such method"});
  try {
    std::string client;
    if (method == nullptr || method->needs_key) client = CheckCaller(*context, front_.access);
    if (infer) return NewInferCall(front_, context, std::move(client));
    if (stream) return NewStreamCall(front_, context, std::move(client));
    return new PlainCall(front_, context, *method, std::move(client));
  } catch (const ServeError& error) {
    if (infer || stream) front_.service.CountRequest("grpc", "", ReasonName(error.reason()), 0);
    const CallFacts facts = FactsOf(*context, "");
    context->AddTrailingMetadata("x-request-id", facts.request_id);
    LogRefusal(*context, name, facts, "", "", error, Clock::now());
    return new RefusedCall(StatusOf(error, *context));
  }
}

}  // namespace sluice::serve::rpc
