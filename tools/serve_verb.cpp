// sluice serve: the models of a folder behind HTTP and gRPC.
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <memory>
#include <optional>
#include <thread>

#include "sluice/error.h"
#include "tools/model_args.h"
#include "tools/serve/core.h"
#include "tools/serve/grpc/grpc_server.h"
#include "tools/serve/http/http_server.h"
#include "tools/serve/log.h"
#include "tools/serve/model_config.h"
#include "tools/verbs.h"

namespace sluice::tools {
namespace {

using serve::Clock;
using serve::Core;
using serve::FrontEnd;
using serve::Log;
using serve::LogLevel;

[[noreturn]] void Fail(const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); }

struct Options {
  serve::CoreOptions core;
  serve::FrontEndOptions front;
  serve::LogOptions log;
  int http_port = 8000, grpc_port = 8001;
  bool no_http = false, no_grpc = false;
  std::string control = "all";
  bool map_files = false;
  bool watch = false, no_watch = false;
  double interval = 2, settle = 1;
  double drain_delay = 0, drain_timeout = 30;
  std::string api_keys;
  std::string log_format = "text", log_level = "info";
  bool no_access_log = false;
  std::string max_request = "64M", max_header = "16K", max_inflight = "1G", max_queue_bytes = "1G", memory;
  double header_timeout = 10, body_timeout = 60, idle_timeout = 120;
};

void AddModelOptions(CLI::App& verb, Options& options) {
  auto& repository = options.core.repository;
  const char* const group = "Models";
  verb.add_option("--models", repository.folder,
                  "Folder of NAME/VERSION/model.onnx, NAME/model.onnx or NAME.onnx")
      ->required()
      ->group(group);
  verb.add_option("--model-control", options.control,
                  "all: every model serves, clients may load and unload; explicit: those of --load-model and "
                  "those that clients load; fixed: every model serves, clients may not load or unload (all)")
      ->check(CLI::IsMember({"all", "explicit", "fixed"}))
      ->group(group);
  verb.add_option("--load-model", repository.load,
                  "Serves this one from the start (explicit only); repeatable")
      ->group(group);
  verb.add_flag("--watch", options.watch, "Follows changes of the folder (unless --model-control explicit)")
      ->group(group);
  verb.add_flag("--no-watch", options.no_watch,
                "Looks at the folder at start, on SIGHUP and for load requests")
      ->group(group);
  verb.add_option("--watch-interval", options.interval, "Seconds between two looks at the folder (2)")
      ->check(CLI::Range(0.02, 86400.0))
      ->group(group);
  verb.add_option("--settle", options.settle,
                  "Seconds for which the files of a model must not have changed before it is loaded (1)")
      ->check(CLI::Range(0.0, 3600.0))
      ->group(group);
  verb.add_option("--max-versions", repository.max_versions,
                  "Newest versions of a model that serve; 0: all (0)")
      ->check(CLI::Range(0, 1'000'000))
      ->group(group);
  verb.add_option("--load-threads", repository.load_threads, "Models that load at the same time (2)")
      ->check(CLI::Range(1, 64))
      ->group(group);
  verb.add_flag("--map-files", options.map_files,
                "Maps model files instead of reading them into memory: less memory, but a model file that is "
                "overwritten or cut in place may end the server")
      ->group(group);
  verb.add_option("--threads", repository.session.threads,
                  "Threads that run models (0: what affinity and cgroup quota allow)")
      ->check(CLI::Range(0, 4096))
      ->group(group);
  verb.add_option("--max-plans", repository.session.max_plans,
                  "Plans (one for every combination of input sizes) that are kept for a model (16)")
      ->check(CLI::Range(1, 1'000'000))
      ->group(group);
  verb.add_option("--memory", options.memory,
                  "What plans and memory kept between runs may hold for a model, as 512M (1G)")
      ->group(group);
}

void AddNetworkOptions(CLI::App& verb, Options& options) {
  const char* const group = "Network";
  verb.add_option("--address", options.front.address,
                  "Address to listen at; 0.0.0.0 or :: for all of the machine's (127.0.0.1)")
      ->group(group);
  verb.add_option("--http-port", options.http_port, "0: any that is free, which is printed (8000)")
      ->check(CLI::Range(0, 65535))
      ->group(group);
  verb.add_option("--grpc-port", options.grpc_port, "0: any that is free, which is printed (8001)")
      ->check(CLI::Range(0, 65535))
      ->group(group);
  verb.add_flag("--no-http", options.no_http, "No HTTP")->group(group);
  verb.add_flag("--no-grpc", options.no_grpc, "No gRPC")->group(group);
  verb.add_option("--protocol-threads", options.front.threads,
                  "Threads that each protocol reads and writes with (2)")
      ->check(CLI::Range(1, 256))
      ->group(group);
  const char* const security = "Security";
  verb.add_option("--tls-cert", options.front.tls.certificate,
                  "PEM file of the certificate chain: TLS for both protocols")
      ->group(security);
  verb.add_option("--tls-key", options.front.tls.key, "PEM file of its private key")->group(security);
  verb.add_option("--tls-client-ca", options.front.tls.client_ca,
                  "PEM file of authorities; clients must show a certificate that one of them signed")
      ->group(security);
  verb.add_option(
          "--api-keys", options.api_keys,
          "File of API keys, read again when it changes: lines NAME KEY [REQUESTS_PER_SECOND [BURST]], KEY "
          "itself or sha256:HEX of it. Clients send `Authorization: Bearer KEY`; health probes and the "
          "files of the web page need none, /metrics does")
      ->group(security);
}

void AddLimitOptions(CLI::App& verb, Options& options) {
  const char* const group = "Limits";
  serve::Limits& limits = options.front.limits;
  verb.add_option("--max-request-size", options.max_request,
                  "Bytes of a request's body, decompressed too (64M)")
      ->group(group);
  verb.add_option("--max-header-size", options.max_header, "Bytes of a request's head (16K)")->group(group);
  verb.add_option("--max-json-depth", limits.max_json_depth, "Nested lists and objects (64)")
      ->check(CLI::Range(4, 1024))
      ->group(group);
  verb.add_option("--max-tensors", limits.max_tensors, "Inputs and requested outputs of a request (1024)")
      ->check(CLI::Range(1, 1'000'000))
      ->group(group);
  verb.add_option("--max-connections", limits.max_connections, "Connections of each protocol (16384)")
      ->check(CLI::Range(1, 1'000'000))
      ->group(group);
  verb.add_option("--max-inflight-size", options.max_inflight,
                  "Bytes of all requests being read or served (1G)")
      ->group(group);
  verb.add_option("--header-timeout", options.header_timeout, "Seconds for a request's head (10)")
      ->check(CLI::Range(0.1, 86400.0))
      ->group(group);
  verb.add_option("--body-timeout", options.body_timeout,
                  "Seconds for a body that makes no progress of 1 KiB/s (60)")
      ->check(CLI::Range(0.1, 86400.0))
      ->group(group);
  verb.add_option("--idle-timeout", options.idle_timeout,
                  "Seconds that a connection is kept without requests (120)")
      ->check(CLI::Range(0.1, 86400.0))
      ->group(group);
  verb.add_option("--max-queue", options.core.scheduler.max_queue,
                  "Requests of all models that may wait; one more is refused (4096)")
      ->check(CLI::Range(1, 1'000'000))
      ->group(group);
  verb.add_option("--max-queue-size", options.max_queue_bytes, "Bytes that they may hold (1G)")->group(group);
}

void AddLifeOptions(CLI::App& verb, Options& options) {
  const char* const group = "Shutdown and log";
  verb.add_option("--drain-delay", options.drain_delay,
                  "Seconds that SIGTERM and SIGINT leave everything as it is but /v2/health/ready (0)")
      ->check(CLI::Range(0.0, 86400.0))
      ->group(group);
  verb.add_option("--drain-timeout", options.drain_timeout,
                  "Seconds that requests in flight then have to end (30)")
      ->check(CLI::Range(0.0, 86400.0))
      ->group(group);
  verb.add_option("--log-format", options.log_format, "text or json, to standard error (text)")
      ->check(CLI::IsMember({"text", "json"}))
      ->group(group);
  verb.add_option("--log-level", options.log_level, "debug, info, warning, error or off (info)")
      ->check(CLI::IsMember({"debug", "info", "warning", "error", "off"}))
      ->group(group);
  verb.add_flag("--no-access-log", options.no_access_log, "No line for each request")->group(group);
}

int64_t Bytes(const char* option, const std::string& text) {
  try {
    const int64_t bytes = ParseByteCount(text);
    if (bytes > 0) return bytes;
  } catch (const Error& error) {
    Fail(fmt::format("{}: {}", option, error.what()));
  }
  Fail(fmt::format("{}: expected more than 0 bytes", option));
}

int64_t Milliseconds(double seconds) { return static_cast<int64_t>(seconds * 1000); }

// What options say together.
void Settle(Options& options) {
  auto& repository = options.core.repository;
  using Control = serve::RepositoryOptions::Control;
  repository.control = options.control == "all"        ? Control::kAll
                       : options.control == "explicit" ? Control::kExplicit
                                                       : Control::kFixed;
  if (options.watch && options.no_watch) Fail("--watch and --no-watch: expected one of them");
  if (!repository.load.empty() && repository.control != Control::kExplicit)
    Fail("--load-model goes with --model-control explicit");
  repository.watch = options.watch || (!options.no_watch && repository.control != Control::kExplicit);
  repository.session.copy_files = !options.map_files;
  repository.interval = std::chrono::milliseconds(Milliseconds(options.interval));
  repository.settle = std::chrono::milliseconds(Milliseconds(options.settle));
  if (!options.memory.empty()) repository.session.max_cached_bytes = ParseByteCount(options.memory);
  options.core.scheduler.threads = repository.session.threads;
  options.core.scheduler.max_queue_bytes = Bytes("--max-queue-size", options.max_queue_bytes);
  serve::Limits& limits = options.front.limits;
  limits.max_request_bytes = Bytes("--max-request-size", options.max_request);
  limits.max_header_bytes = Bytes("--max-header-size", options.max_header);
  limits.max_inflight_bytes = Bytes("--max-inflight-size", options.max_inflight);
  limits.header_timeout_ms = Milliseconds(options.header_timeout);
  limits.body_timeout_ms = Milliseconds(options.body_timeout);
  limits.idle_timeout_ms = Milliseconds(options.idle_timeout);
  const serve::TlsOptions& tls = options.front.tls;
  if (tls.certificate.empty() != tls.key.empty()) Fail("--tls-cert and --tls-key go together");
  if (!tls.client_ca.empty() && tls.certificate.empty())
    Fail("--tls-client-ca goes with --tls-cert and --tls-key");
  if (options.no_http && options.no_grpc) Fail("--no-http and --no-grpc: nothing is left to serve");
  if (!options.no_http && !options.no_grpc && options.http_port == options.grpc_port &&
      options.http_port != 0)
    Fail(fmt::format("--http-port and --grpc-port are both {}, expected two ports", options.http_port));
  options.log.json = options.log_format == "json";
  options.log.access = !options.no_access_log;
  options.log.level = options.log_level == "debug"     ? LogLevel::kDebug
                      : options.log_level == "info"    ? LogLevel::kInfo
                      : options.log_level == "warning" ? LogLevel::kWarning
                      : options.log_level == "error"   ? LogLevel::kError
                                                       : LogLevel::kOff;
}

// Lets as many files be open as connections may be, as far as the system allows.
void RaiseFileLimit(const Options& options) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = static_cast<rlim_t>(options.front.limits.max_connections) + 1024;
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min(limit.rlim_max, wanted);
  if (setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < wanted)
    Log(LogLevel::kWarning, "fewer files may be open than --max-connections asks for",
        {{"limit", static_cast<int64_t>(limit.rlim_cur)}, {"wanted", static_cast<int64_t>(wanted)}});
}

std::string Shapes(const std::vector<serve::TensorInfo>& tensors) {
  std::string text;
  for (size_t i = 0; i < tensors.size() && i < 4; ++i) {
    text += fmt::format("{}{} {}[", i > 0 ? ", " : "", tensors[i].name, tensors[i].datatype);
    for (size_t d = 0; d < tensors[i].shape.size(); ++d)
      text += fmt::format("{}{}", d > 0 ? "," : "", tensors[i].shape[d]);
    text += "]";
  }
  return tensors.size() > 4 ? text + ", ..." : text;
}

// For whoever started it at a terminal; a JSON log says the same in its own lines.
class Announcer {
 public:
  explicit Announcer(const Options& options) : quiet_(options.log.json), options_(options) {}

  void Listening(const char* protocol, const char* scheme, uint16_t port) const {
    const bool wide = options_.front.address.find(':') != std::string::npos;
    const std::string place =
        fmt::format("{}{}{}{}:{}", scheme, wide ? "[" : "", options_.front.address, wide ? "]" : "", port);
    Log(LogLevel::kInfo, "listening", {{"protocol", protocol}, {"address", place}});
    Print(fmt::format("{} at {}", protocol, place));
  }

  void Models(const Core& core) const {
    for (const serve::IndexEntry& entry : core.Index(false)) {
      if (entry.state != "READY") {
        Print(fmt::format("  {} {}: {}{}{}", entry.name, entry.version, entry.state,
                          entry.reason.empty() ? "" : ": ", entry.reason));
        continue;
      }
      try {
        const serve::ModelInfo info = core.Info(entry.name, entry.version);
        Print(fmt::format("  {} {}: {} -> {}", entry.name, entry.version, Shapes(info.inputs),
                          Shapes(info.outputs)));
      } catch (const serve::ServeError&) {  // gone in the meantime
      }
    }
  }

  void Print(const std::string& line) const {
    if (quiet_) return;
    // A reader that is gone must not end the server.
    const std::string text = line + "\n";
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
      std::clearerr(stdout);
  }

 private:
  bool quiet_;
  const Options& options_;
};

struct Servers {
  std::unique_ptr<FrontEnd> http, grpc;
};

// No new connections, then the end of what is in flight. Whether all was over in time.
bool DrainAll(Core& core, Servers& servers, Clock::time_point until) {
  std::atomic<bool> done{true};
  std::vector<std::thread> threads;
  for (FrontEnd* server : {servers.http.get(), servers.grpc.get()}) {
    if (server == nullptr) continue;
    threads.emplace_back([&done, server, until] {
      if (!server->Drain(until)) done = false;
    });
  }
  for (std::thread& thread : threads) thread.join();
  return core.Drain(until) && done;
}

// Signals come to Next alone, on the thread that made this; made before any other thread is.
class Signals {
 public:
  Signals() {
    sigemptyset(&set_);
    for (int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set_, number);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
  }
  // 0: none in that time.
  int Next(std::chrono::milliseconds most) const {
    const timespec time{static_cast<time_t>(most.count() / 1000),
                        static_cast<long>(most.count() % 1000 * 1'000'000)};
    const int number = sigtimedwait(&set_, nullptr, &time);
    return number > 0 ? number : 0;
  }

 private:
  sigset_t set_;
};

[[noreturn]] void EndAtOnce(int signal_number) {
  Log(LogLevel::kWarning, "second signal: ending at once");
  serve::StopLog();
  std::_Exit(128 + signal_number);
}

// Waits and looks for a second signal meanwhile.
void WaitUntil(const Signals& signals, Clock::time_point until, const std::function<bool()>& done) {
  while (!done() && Clock::now() < until) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    const int number =
        signals.Next(std::clamp(left, std::chrono::milliseconds(0), std::chrono::milliseconds(20)));
    if (number == SIGTERM || number == SIGINT) EndAtOnce(number);
  }
}

int Run(Options options) {
  Settle(options);
  const Signals signals;
  serve::StartLog(options.log);
  struct LogEnd {
    ~LogEnd() { serve::StopLog(); }
  } const log_end;
  RaiseFileLimit(options);
  const Announcer announcer(options);
  const auto start = Clock::now();

  auto core = std::make_unique<Core>(options.core);
  if (core->Index(false).empty()) {
    const std::string text =
        fmt::format("no models in '{}': expected NAME/VERSION/model.onnx, NAME/model.onnx or NAME.onnx",
                    options.core.repository.folder);
    if (!options.core.repository.watch && options.control != "explicit") Fail(text);
    Log(LogLevel::kWarning, text);
  }
  Servers servers;
  const bool secure = !options.front.tls.certificate.empty();
  const serve::Access access(options.api_keys);
  if (options.api_keys.empty() && options.front.tls.client_ca.empty() &&
      !options.front.address.starts_with("127.") && options.front.address != "::1" &&
      options.front.address != "localhost") {
    Log(LogLevel::kWarning,
        "whoever reaches this address may use the server: neither --api-keys nor --tls-client-ca",
        {{"address", options.front.address}});
  }
  if (!options.no_http) {
    options.front.port = static_cast<uint16_t>(options.http_port);
    servers.http = serve::NewHttpServer(options.front, *core, access);
    announcer.Listening("HTTP", secure ? "https://" : "http://", servers.http->port());
  }
  if (!options.no_grpc) {
    options.front.port = static_cast<uint16_t>(options.grpc_port);
    servers.grpc = serve::NewGrpcServer(options.front, *core, access);
    announcer.Listening("gRPC", secure ? "grpcs://" : "grpc://", servers.grpc->port());
  }

  bool announced = false;
  for (;;) {
    const int number = signals.Next(std::chrono::milliseconds(announced ? 1000 : 50));
    if (number == SIGHUP) {
      Log(LogLevel::kInfo, "looking for changes of the models");
      core->repository().Rescan();
    }
    if (number == SIGTERM || number == SIGINT) break;
    if (!announced && core->repository().WaitSettled(std::chrono::milliseconds(0))) {
      announced = true;
      announcer.Models(*core);
      const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
      const bool ready = core->Ready();
      Log(ready ? LogLevel::kInfo : LogLevel::kError,
          ready ? "ready" : "not ready: a model could not be loaded", {{"seconds", seconds}});
      announcer.Print(ready ? fmt::format("ready after {:.2f} s", seconds)
                            : "not ready: a model could not be loaded; the others serve");
    }
  }

  core->Leave();
  Log(LogLevel::kInfo, "shutting down: not ready any more", {{"drain_delay", options.drain_delay}});
  WaitUntil(signals, Clock::now() + std::chrono::milliseconds(Milliseconds(options.drain_delay)),
            [] { return false; });
  const auto until = Clock::now() + std::chrono::milliseconds(Milliseconds(options.drain_timeout));
  std::atomic<bool> over{false}, in_time{false};
  std::thread drain([&] {
    in_time = DrainAll(*core, servers, until);
    servers = {};
    core.reset();
    over = true;
  });
  WaitUntil(signals, Clock::time_point::max(), [&] { return over.load(); });
  drain.join();
  Log(in_time ? LogLevel::kInfo : LogLevel::kWarning,
      in_time ? "ended" : "ended; some requests were not over in time");
  return 0;
}

}  // namespace

Verb AddServe(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("serve", "Serves the models of a folder over HTTP and gRPC");
  auto options = std::make_shared<Options>();
  AddModelOptions(*verb, *options);
  AddNetworkOptions(*verb, *options);
  AddLimitOptions(*verb, *options);
  AddLifeOptions(*verb, *options);
  verb->footer(
      "Sizes are in bytes, with K, M or G. An optional model.json beside a model (NAME/model.json,\n"
      "NAME/VERSION/model.json, or NAME.json beside NAME.onnx) may state:\n" +
      serve::ModelJsonHelp() +
      "SIGTERM and SIGINT end it without losing a request, a second one at once; SIGHUP looks for changed\n"
      "models.\n"
      "Example: sluice serve --models models --http-port 8000");
  return {verb, [options] { return Run(*options); }};
}

}  // namespace sluice::tools
