#include "tools/serve_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "sluice/error.h"
#include "tools/model_args.h"

namespace sluice::tools {
namespace {

using serve::LogLevel;

[[noreturn]] void Fail(const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); }

void AddModelOptions(CLI::App& verb, ServeOptions& options) {
  auto& repository = options.core.repository;
  const char* const group = "Models";
  verb.add_option(
          "--models", repository.folder,
          "Folder of NAME/VERSION/model.onnx, NAME/model.onnx or NAME.onnx; .sluice for compiled models")
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
  verb.add_option(
          "--cache", repository.session.cache_folder,
          "Folder where compiled models are kept: the same models load in milliseconds next time, and "
          "servers on one machine share their memory")
      ->group(group);
  verb.add_option("--threads", repository.session.threads,
                  "Threads that run models (0: what affinity and cgroup quota allow)")
      ->check(CLI::Range(0, 4096))
      ->group(group);
  verb.add_option("--max-plans", repository.session.max_plans,
                  "Plans (one for every combination of input sizes) that are kept for a model (16)")
      ->check(CLI::Range(1, 1'000'000))
      ->group(group);
  verb.add_option("--weight-memory", options.weight_memory,
                  "What a model's weights may take in the kernels' own order, as 512M; the largest "
                  "convolutions then go without Winograd (no limit)")
      ->group(group);
  verb.add_option("--memory", options.memory,
                  "What plans and memory kept between runs may hold for a model, as 512M (1G)")
      ->group(group);
}

void AddNetworkOptions(CLI::App& verb, ServeOptions& options) {
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
          "itself (8 characters and more) or sha256:HEX of it. Clients send `Authorization: Bearer KEY`; "
          "health probes and the "
          "files of the web page need none, /metrics does")
      ->group(security);
}

void AddLimitOptions(CLI::App& verb, ServeOptions& options) {
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
  verb.add_option(
          "--grpc-connection-age", options.grpc_connection_age,
          "Seconds, and a tenth more or less, after which clients of gRPC are asked to connect anew, so "
          "that they find servers that have come; calls above 256 KiB may fail then and have to be retried; "
          "0: never (0)")
      ->check(CLI::Range(0.0, 86400.0 * 7))
      ->group(group);
  verb.add_option("--max-queue", options.core.scheduler.max_queue,
                  "Requests of all models that may wait; one more is refused (4096)")
      ->check(CLI::Range(1, 1'000'000))
      ->group(group);
  verb.add_option("--max-queue-size", options.max_queue_bytes, "Bytes that they may hold (1G)")->group(group);
}

void AddLifeOptions(CLI::App& verb, ServeOptions& options) {
  const char* const group = "Shutdown and log";
  verb.add_option("--drain-delay", options.drain_delay,
                  "Seconds that SIGTERM and SIGINT leave everything as it is but /v2/health/ready (0)")
      ->check(CLI::Range(0.0, 86400.0))
      ->group(group);
  verb.add_option("--drain-timeout", options.drain_timeout,
                  "Seconds that requests in flight then have to end; where it is twice "
                  "--grpc-connection-age, connections "
                  "of gRPC too (30)")
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

}  // namespace

void ServeOptions::Settle() {
  auto& repository = core.repository;
  using Control = serve::RepositoryOptions::Control;
  repository.control = control == "all"        ? Control::kAll
                       : control == "explicit" ? Control::kExplicit
                                               : Control::kFixed;
  if (watch && no_watch) Fail("--watch and --no-watch: expected one of them");
  if (!repository.load.empty() && repository.control != Control::kExplicit)
    Fail("--load-model goes with --model-control explicit");
  repository.watch = watch || (!no_watch && repository.control != Control::kExplicit);
  repository.session.copy_files = !map_files;
  repository.interval = std::chrono::milliseconds(Milliseconds(interval));
  repository.settle = std::chrono::milliseconds(Milliseconds(settle));
  if (!weight_memory.empty()) repository.session.max_weight_bytes = ParseByteCount(weight_memory);
  if (!memory.empty()) repository.session.max_cached_bytes = ParseByteCount(memory);
  core.scheduler.threads = repository.session.threads;
  core.scheduler.max_queue_bytes = Bytes("--max-queue-size", max_queue_bytes);
  serve::Limits& limits = front.limits;
  limits.max_request_bytes = Bytes("--max-request-size", max_request);
  limits.max_header_bytes = Bytes("--max-header-size", max_header);
  limits.max_inflight_bytes = Bytes("--max-inflight-size", max_inflight);
  limits.header_timeout_ms = Milliseconds(header_timeout);
  limits.body_timeout_ms = Milliseconds(body_timeout);
  limits.idle_timeout_ms = Milliseconds(idle_timeout);
  if (grpc_connection_age > 0 && grpc_connection_age < 1)
    Fail(fmt::format("--grpc-connection-age is {}, expected 0 or at least 1", grpc_connection_age));
  limits.grpc_connection_age_ms = Milliseconds(grpc_connection_age);
  const serve::TlsOptions& tls = front.tls;
  if (tls.certificate.empty() != tls.key.empty()) Fail("--tls-cert and --tls-key go together");
  if (!tls.client_ca.empty() && tls.certificate.empty())
    Fail("--tls-client-ca goes with --tls-cert and --tls-key");
  if (no_http && no_grpc) Fail("--no-http and --no-grpc: nothing is left to serve");
  if (!no_http && !no_grpc && http_port == grpc_port && http_port != 0)
    Fail(fmt::format("--http-port and --grpc-port are both {}, expected two ports", http_port));
  log.json = log_format == "json";
  log.access = !no_access_log;
  log.level = log_level == "debug"     ? LogLevel::kDebug
              : log_level == "info"    ? LogLevel::kInfo
              : log_level == "warning" ? LogLevel::kWarning
              : log_level == "error"   ? LogLevel::kError
                                       : LogLevel::kOff;
}

void AddServeOptions(CLI::App& verb, ServeOptions& options) {
  AddModelOptions(verb, options);
  AddNetworkOptions(verb, options);
  AddLimitOptions(verb, options);
  AddLifeOptions(verb, options);
}

}  // namespace sluice::tools
