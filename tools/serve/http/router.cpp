#include "tools/serve/http/router.h"

#include <fmt/format.h>
#include <simdjson.h>

#include "sluice/error.h"
#include "tools/serve/http/assets.h"
#include "tools/serve/http/compression.h"
#include "tools/serve/http/infer_codec.h"
#include "tools/serve/http/metadata_json.h"
#include "tools/serve/http/trace_context.h"
#include "tools/serve/log.h"
#include "tools/serve/refused_request.h"

namespace sluice::serve {
namespace {

// Scripts, styles and pictures of the page are its own; nothing else is loaded, and nobody frames it.
constexpr char kContentSecurityPolicy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' "
    "blob:; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'";

HttpReply InternalError(const char* what) {
  Log(LogLevel::kError, "internal error of HTTP", {{"what", what}});
  return ErrorReply(ServeError(Reason::kInternal, "internal error"));
}

// The reply of `work`, or that of the error that it throws. Texts of errors that were not written for
// clients are logged and not sent.
template <typename Work>
HttpReply Guarded(const Work& work) {
  try {
    return work();
  } catch (const ServeError& error) {
    return ErrorReply(error);
  } catch (const std::bad_alloc&) {
    return ErrorReply(ServeError(Reason::kOverloaded, "no memory for this request now", 1));
  } catch (const std::exception& error) {
    return InternalError(error.what());
  }
}

HttpReply JsonReply(std::string json) {
  HttpReply reply;
  reply.text = std::move(json);
  return reply;
}

// No body; 400 is Triton's no.
HttpReply Probe(bool yes) {
  HttpReply reply;
  reply.status = yes ? 200 : 400;
  return reply;
}

HttpReply AssetReply(const std::string& path, const HttpRequest& request) {
  const std::optional<Asset> asset = FindAsset(path);
  if (!asset) throw ServeError(Reason::kNotFound, "nothing is served at this path");
  HttpReply reply;
  reply.headers = {
      {"ETag", std::string(asset->etag)},      {"Cache-Control", "no-cache"},
      {"X-Content-Type-Options", "nosniff"},   {"Referrer-Policy", "no-referrer"},
      {"Permissions-Policy", "camera=(self)"}, {"Content-Security-Policy", kContentSecurityPolicy}};
  if (request.header("if-none-match") == asset->etag) {
    reply.status = 304;
    return reply;
  }
  reply.content_type = asset->content_type;
  if (request.header("accept-encoding").find("gzip") != std::string_view::npos) {
    reply.headers.emplace_back("Content-Encoding", "gzip");
    reply.parts.emplace_back(asset->gzip.data(), asset->gzip.size());
  } else {
    Body plain(std::make_shared<ByteBudget>(int64_t{1} << 30));
    Decompress(asset->gzip, plain, size_t{64} << 20);
    reply.text = plain.text();
  }
  reply.headers.emplace_back("Vary", "Accept-Encoding");
  return reply;
}

// The body of an index call: {"ready": true} leaves out what does not serve.
bool OnlyReady(const HttpRequest& request) {
  if (!request.body || request.body->size() == 0) return false;
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  bool ready = false;
  if (parser.parse(request.body->text().data(), request.body->size(), false).get(object) != simdjson::SUCCESS)
    throw ServeError(Reason::kInvalid, "the request's body is no JSON object");
  const auto error = object["ready"].get(ready);
  if (error != simdjson::SUCCESS && error != simdjson::NO_SUCH_FIELD)
    throw ServeError(Reason::kInvalid, "'ready' is not a boolean");
  return ready;
}

// Errors that the service has not logged.
void LogError(const HttpRequest& request, const Route& route, const HttpReply& reply,
              std::string_view request_id) {
  if (reply.error.empty()) return;
  LogRefused({.protocol = "http",
              .call = request.target,
              .peer = request.peer,
              .model = route.model,
              .request_id = request_id,
              .outcome = reply.outcome,
              .error = reply.error,
              .client = request.client,
              .traceparent = request.header("traceparent"),
              .received = request.received});
}

bool IsOpen(Call call) { return call == Call::kLive || call == Call::kReady || call == Call::kAsset; }

}  // namespace

std::optional<HttpReply> Router::Refuse(HttpRequest& head) const {
  try {
    const Route route = ParseRoute(head.target);
    if (!IsOpen(route.call)) {
      std::string name = access_.Check(head.header("authorization"));
      if (!name.empty()) head.client = std::move(name);
    }
    if (route.call == Call::kUnknown) throw ServeError(Reason::kNotFound, "nothing is served at this path");
    if (route.call == Call::kUnsupported)
      throw ServeError(Reason::kUnsupported, "this call is not supported");
    if (route.call == Call::kAsset && !FindAsset(route.path))
      throw ServeError(Reason::kNotFound, "nothing is served at this path");
    const std::string_view methods = MethodsOf(route.call);
    if (methods.find(head.method) == std::string_view::npos || head.method.empty()) {
      HttpReply reply = ErrorReply(405, fmt::format("the method here is {}", methods));
      reply.headers.emplace_back("Allow", std::string(methods));
      return reply;
    }
    // Pages of other sites may not use a browser that reaches this server.
    const std::string_view site = head.header("sec-fetch-site");
    if (head.method == "POST" && (site == "cross-site" || site == "same-site"))
      return ErrorReply(403, "calls from pages of other sites are refused");
    return std::nullopt;
  } catch (const ServeError& error) {
    return ErrorReply(error);
  } catch (const std::exception& error) {
    return InternalError(error.what());
  }
}

void Router::Handle(HttpRequest request, Respond respond) const {
  const Route route = ParseRoute(request.target);
  if (route.call == Call::kInfer) return Infer(route, std::move(request), std::move(respond));
  if (route.call == Call::kLoad || route.call == Call::kUnload)
    return LoadOrUnload(route, std::move(request), std::move(respond));
  HttpReply reply = Guarded([&] { return Answer(route, request); });
  LogError(request, route, reply, RequestIdOf(request.header("x-request-id")));
  if (route.call != Call::kAsset) CompressReply(request.header("accept-encoding"), reply);
  respond(std::move(reply));
}

HttpReply Router::Answer(const Route& route, const HttpRequest& request) const {
  switch (route.call) {
    case Call::kAsset:
      return AssetReply(route.path, request);
    case Call::kMetrics: {
      HttpReply reply = JsonReply(service_.Metrics());
      reply.content_type = "text/plain; version=0.0.4; charset=utf-8";
      return reply;
    }
    case Call::kLive:
      return Probe(service_.Live());
    case Call::kReady:
      return Probe(service_.Ready());
    case Call::kServer:
      return JsonReply(ServerJson());
    case Call::kModelReady:
      return Probe(service_.ModelReady(route.model, route.version));
    case Call::kModel:
      return JsonReply(ModelJson(service_.Info(route.model, route.version)));
    case Call::kConfig:
      return JsonReply(ConfigJson(service_.Info(route.model, route.version)));
    case Call::kStatistics:
      return JsonReply(StatisticsJson(service_.Statistics(route.model, route.version)));
    case Call::kIndex:
      return JsonReply(IndexJson(service_.Index(OnlyReady(request))));
    default:
      throw ServeError(Reason::kInternal, "internal error");
  }
}

void Router::Infer(const Route& route, HttpRequest http, Respond respond) const {
  struct Context {
    ReplyForm form;
    std::vector<std::string> labels;
    std::string accept_encoding, model, trace, request_id;
    Respond respond;
  };
  auto context = std::make_shared<Context>();
  context->respond = std::move(respond);
  const auto finish = [context](HttpReply reply) {
    reply.model = std::move(context->model);
    reply.headers.emplace_back("X-Request-Id", std::move(context->request_id));
    reply.headers.emplace_back("Traceparent", std::move(context->trace));
    context->respond(std::move(reply));
  };
  context->model = route.model;
  context->request_id = RequestIdOf(http.header("x-request-id"));
  context->trace = TraceParent(http.header("traceparent"));
  context->accept_encoding = http.header("accept-encoding");
  InferRequest request;
  HttpReply failed = Guarded([&] {
    DecodedInfer decoded = DecodeInfer(http, limits_);
    context->form = std::move(decoded.form);
    request = std::move(decoded.request);
    if (!context->form.classes.empty()) context->labels = service_.Info(route.model, route.version).labels;
    return HttpReply();
  });
  if (failed.status != 200) {
    LogError(http, route, failed, context->request_id);
    return finish(std::move(failed));
  }
  request.model = route.model;
  request.version = route.version;
  request.request_id = context->request_id;
  request.traceparent = context->trace;
  request.client = std::move(http.client);
  request.received = http.received;
  request.cancelled = http.cancelled;
  http.body.reset();
  failed = Guarded([&] {
    service_.Infer(std::move(request), [context, finish](Service::Answer answer) {
      finish(Guarded([&] {
        if (const auto* error = std::get_if<ServeError>(&answer)) return ErrorReply(*error);
        auto& response = std::get<InferResponse>(answer);
        ClassifyOutputs(context->form.classes, context->labels, response);
        HttpReply reply = EncodeInfer(response, context->form);
        CompressReply(context->accept_encoding, reply);
        return reply;
      }));
    });
    return HttpReply();
  });
  if (failed.status != 200) finish(std::move(failed));
}

void Router::LoadOrUnload(const Route& route, HttpRequest request, Respond respond) const {
  aside_([this, route, request = std::move(request), respond = std::move(respond)] {
    HttpReply reply = Guarded([&] {
      route.call == Call::kLoad ? service_.Load(route.model) : service_.Unload(route.model);
      return HttpReply();
    });
    reply.model = route.model;
    LogError(request, route, reply, RequestIdOf(request.header("x-request-id")));
    respond(std::move(reply));
  });
}

}  // namespace sluice::serve
