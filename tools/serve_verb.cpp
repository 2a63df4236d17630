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
#include "tools/serve/core.h"
#include "tools/serve/grpc/grpc_server.h"
#include "tools/serve/http/http_server.h"
#include "tools/serve/log.h"
#include "tools/serve/model_config.h"
#include "tools/serve_options.h"
#include "tools/verbs.h"

namespace sluice::tools {
namespace {

using serve::Clock;
using serve::Core;
using serve::FrontEnd;
using serve::Log;
using serve::LogLevel;

// Lets as many files be open as connections may be, as far as the system allows.
void RaiseFileLimit(const ServeOptions& options) {
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
  explicit Announcer(const ServeOptions& options) : quiet_(options.log.json), options_(options) {}

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
  const ServeOptions& options_;
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

int Run(ServeOptions options) {
  options.Settle();
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
    if (!options.core.repository.watch && options.control != "explicit")
      throw Error(ErrorCode::kInvalidArgument, text);
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
  auto options = std::make_shared<ServeOptions>();
  AddServeOptions(*verb, *options);
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
