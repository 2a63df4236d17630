#include "tools/serve/refused_request.h"

#include "tools/serve/log.h"

namespace sluice::serve {

void LogRefused(const RefusedRequest& refused) {
  if (!LogsAccess()) return;
  const auto total = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - refused.received);
  LogAccess({{"request_id", refused.request_id},
             {"protocol", refused.protocol},
             {"call", refused.call.substr(0, refused.call.find('?'))},
             {"peer", refused.peer},
             {"model", refused.model},
             {"outcome", refused.outcome},
             {"error", refused.error},
             {"total_us", static_cast<int64_t>(total.count())},
             {"id", refused.id},
             {"client", refused.client},
             {"traceparent", refused.traceparent}});
}

void RefusedConnections::Log() {
  if (count_.load(std::memory_order_relaxed) == 0) return;
  serve::Log(LogLevel::kWarning, "connections refused: as many as --max-connections are open",
             {{"protocol", protocol_}, {"refused", count_.exchange(0, std::memory_order_relaxed)}});
}

}  // namespace sluice::serve
