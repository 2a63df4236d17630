#include "tools/serve/grpc/grpc_server.h"

#include <fmt/format.h>
#include <google/protobuf/stubs/logging.h>
#include <grpc/grpc.h>
#include <grpc/support/log.h>
#include <grpcpp/ext/health_check_service_server_builder_option.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <climits>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "sluice/error.h"
#include "tools/serve/grpc/acceptor.h"
#include "tools/serve/grpc/calls.h"
#include "tools/serve/grpc/tls.h"
#include "tools/serve/log.h"

namespace sluice::serve {
namespace {

using std::chrono::milliseconds;

constexpr const char* kServiceName = "inference.GRPCInferenceService";
// Of one connection; further ones wait at the client.
constexpr int kMaxStreams = 1024;
// Clients may ping as often; three too many too soon end the connection.
constexpr int kPingIntervalMs = 10'000;
constexpr int kPingStrikes = 2;
// A peer that has gone without a word is found out.
constexpr int kKeepaliveMs = 60'000, kKeepaliveTimeoutMs = 20'000;
// gRPC's own memory for what it has read and nobody took yet, beside the bytes of requests.
constexpr int64_t kQuotaBytes = int64_t{256} << 20;
constexpr auto kTick = milliseconds(100);
// So many looks at which no call has arrived: what clients had sent has come. Those that are late do not
// count: where this thread waits for a processor, so do those that bring calls.
constexpr int kQuietLooks = 100;
constexpr auto kLook = milliseconds(5), kLate = milliseconds(8);
// For which answers are kept back at most, so that no call arrives.
constexpr auto kHold = milliseconds(3000);

int AsInt(int64_t value) { return static_cast<int>(std::clamp<int64_t>(value, 0, INT_MAX)); }

void LogGrpc(gpr_log_func_args* args) {
  Log(args->severity == GPR_LOG_SEVERITY_ERROR ? LogLevel::kWarning : LogLevel::kDebug, "gRPC",
      {{"text", std::string_view(args->message)}});
}

// Of what a client sent that could not be parsed.
void LogProtobuf(google::protobuf::LogLevel, const char*, int, const std::string& message) {
  Log(LogLevel::kDebug, "protobuf", {{"text", std::string_view(message)}});
}

class GrpcServer : public FrontEnd {
 public:
  GrpcServer(const FrontEndOptions& options, Service& service, const Access& access)
      : front_(options.limits, service, access),
        calls_(front_),
        acceptor_(options.address, options.port, options.limits.max_connections) {
    gpr_set_log_function(LogGrpc);
    google::protobuf::SetLogHandler(LogProtobuf);
    grpc::EnableDefaultHealthCheckService(true);
    grpc::ServerBuilder builder;
    SetLimits(options.limits, builder);
    builder.RegisterCallbackGenericService(&calls_);
    auto sink = builder.experimental().AddExternalConnectionAcceptor(
        grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
        rpc::NewCredentials(options.tls));
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) throw Error(ErrorCode::kInternal, "gRPC: the server does not start");
    UpdateHealth();
    acceptor_.Start(std::move(sink));
    ticker_ = std::thread([this] { Tick(); });
  }

  ~GrpcServer() override {
    acceptor_.Stop();
    Shutdown(Clock::now());
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    ticker_.join();
  }

  uint16_t port() const override { return acceptor_.port(); }

  // gRPC's Shutdown refuses calls that are on their way to it, and gRPC has but one other way to end a
  // connection: its age. So Shutdown comes when all connections have ended of age, where they do and there is
  // time, or when no calls arrive any more; answers are kept back then, so that clients wait instead of
  // asking again.
  bool Drain(Clock::time_point until) override {
    acceptor_.End();
    const auto start = Clock::now();
    const milliseconds age(front_.limits.grpc_connection_age_ms);
    if (age.count() > 0 && start + 2 * age <= until)
      WaitForQuiet(start + age + age / 10 + kHold, [this] { return front_.calls == 0; });
    front_.hold.Begin();
    WaitForQuiet(std::min(Clock::now() + kHold, until), [] { return true; });
    Shutdown(until);
    return Clock::now() < until;
  }

 private:
  static void SetLimits(const Limits& limits, grpc::ServerBuilder& builder) {
    const int max_message = AsInt(limits.max_request_bytes);
    builder.SetMaxReceiveMessageSize(max_message);
    builder.SetMaxSendMessageSize(-1);
    builder.SetResourceQuota(grpc::ResourceQuota("sluice").Resize(
        static_cast<size_t>(std::max(kQuotaBytes, limits.max_inflight_bytes))));
    // See MessageBytes.
    builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreams);
    builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, AsInt(limits.max_header_bytes));
    builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, AsInt(limits.header_timeout_ms));
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, AsInt(limits.idle_timeout_ms));
    if (limits.grpc_connection_age_ms > 0)
      builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, AsInt(limits.grpc_connection_age_ms));
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kPingIntervalMs);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, kPingStrikes);
  }

  // Until no call has arrived for kQuietLooks while `idle` said so, no connection is open, or an answer that
  // is kept back can wait no longer.
  template <typename Function>
  void WaitForQuiet(Clock::time_point until, Function idle) {
    int quiet_looks = 0;
    auto looked = Clock::now();
    for (int64_t arrived = front_.arrived; acceptor_.Connections() > 0 && quiet_looks < kQuietLooks;) {
      std::this_thread::sleep_for(kLook);
      const auto now = Clock::now();
      const int64_t now_arrived = front_.arrived;
      if (!idle() || now_arrived != arrived) {
        quiet_looks = 0;
      } else if (now - looked < kLate) {
        ++quiet_looks;
      }
      arrived = now_arrived;
      looked = now;
      if (now >= until || front_.hold.Due(now)) break;
    }
  }

  void Shutdown(Clock::time_point until) {
    const std::lock_guard lock(shutdown_);
    if (std::exchange(shut_down_, true)) return;
    // Asks all connections to end and refuses new calls; what is kept back follows, so that clients know
    // before they ask again.
    grpc_completion_queue* const over = grpc_completion_queue_create_for_next(nullptr);
    grpc_server_shutdown_and_notify(server_->c_server(), over, nullptr);
    front_.hold.End();
    server_->Shutdown(std::chrono::system_clock::now() +
                      std::chrono::duration_cast<std::chrono::system_clock::duration>(until - Clock::now()));
    grpc_completion_queue_shutdown(over);
    while (grpc_completion_queue_next(over, gpr_inf_future(GPR_CLOCK_REALTIME), nullptr).type !=
           GRPC_QUEUE_SHUTDOWN) {
    }
    grpc_completion_queue_destroy(over);
  }

  // What the health service tells, which is asked by the name of a model as well.
  void UpdateHealth() {
    const bool ready = front_.service.Ready();
    std::map<std::string, bool> states;
    for (auto& [name, state] : health_) states[name] = false;
    states[""] = states[kServiceName] = ready;
    for (const IndexEntry& entry : front_.service.Index(false)) states[entry.name] |= entry.state == "READY";
    grpc::HealthCheckServiceInterface& health = *server_->GetHealthCheckService();
    for (const auto& [name, state] : states) {
      const auto known = health_.find(name);
      if (known == health_.end() || known->second != state) health.SetServingStatus(name, state);
    }
    health_ = std::move(states);
  }

  void Tick() {
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, kTick, [this] { return ending_; })) {
      lock.unlock();
      front_.waiting.Sweep(Clock::now());
      acceptor_.refused().Log();
      try {
        UpdateHealth();
      } catch (const std::exception& error) {
        Log(LogLevel::kWarning, "the health service is not up to date",
            {{"why", std::string_view(error.what())}});
      }
      lock.lock();
    }
  }

  rpc::Front front_;
  rpc::Calls calls_;
  rpc::Acceptor acceptor_;
  std::unique_ptr<grpc::Server> server_;
  std::map<std::string, bool> health_;
  std::mutex shutdown_;
  bool shut_down_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ending_ = false;
  std::thread ticker_;
};

}  // namespace

std::unique_ptr<FrontEnd> NewGrpcServer(const FrontEndOptions& options, Service& service,
                                        const Access& access) {
  return std::make_unique<GrpcServer>(options, service, access);
}

}  // namespace sluice::serve
