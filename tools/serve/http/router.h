#pragma once

#include <functional>
#include <optional>

#include "tools/serve/access.h"
#include "tools/serve/front_end.h"
#include "tools/serve/http/message.h"
#include "tools/serve/http/routes.h"
#include "tools/serve/service.h"

namespace sluice::serve {

// Answers requests. Thread-safe.
class Router {
 public:
  using Respond = std::function<void(HttpReply)>;
  // Runs work that may take long on a thread where it disturbs nobody.
  using RunAside = std::function<void(std::function<void()>)>;

  Router(Service& service, const Access& access, const Limits& limits, RunAside aside)
      : service_(service), access_(access), limits_(limits), aside_(std::move(aside)) {}

  // What can be refused by its head, before the body is read. Notes the client's name in the request, and
  // counts against its rate: once a request.
  std::optional<HttpReply> Refuse(HttpRequest& head) const;

  // Of a request that was not refused. Calls `respond` exactly once, from any thread, maybe before it
  // returns.
  void Handle(HttpRequest request, Respond respond) const;

 private:
  HttpReply Answer(const Route& route, const HttpRequest& request) const;
  void Infer(const Route& route, HttpRequest request, Respond respond) const;
  void LoadOrUnload(const Route& route, HttpRequest request, Respond respond) const;

  Service& service_;
  const Access& access_;
  const Limits limits_;
  const RunAside aside_;
};

}  // namespace sluice::serve
