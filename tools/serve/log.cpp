#include "tools/serve/log.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <shared_mutex>

#include "sluice/error.h"

namespace sluice::serve {
namespace {

constexpr size_t kQueuedLines = 8192;
constexpr size_t kMostFieldBytes = 2048;

struct State {
  LogOptions options;
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<spdlog::async_logger> logger;
};

// Held shared while a line is handed over, alone while the log starts or stops.
std::shared_mutex mutex;
std::unique_ptr<State> state;
std::atomic<int> lowest{static_cast<int>(LogLevel::kOff)};
std::atomic<bool> access_lines{false};
std::atomic<uint64_t> dropped_before{0};

std::string_view NameOf(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    default:
      return "error";
  }
}

std::string Now() {
  using namespace std::chrono;
  const auto now = system_clock::now();
  const auto ms = duration_cast<milliseconds>(now.time_since_epoch()).count() % 1000;
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(system_clock::to_time_t(now)), ms);
}

std::string Quoted(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

bool IsPlain(std::string_view text) {
  for (const char c : text) {
    if (c <= ' ' || c > '~' || c == '"' || c == '=' || c == '\\') return false;
  }
  return !text.empty();
}

std::string ValueText(const LogField& field, bool json) {
  if (const auto* text = std::get_if<std::string_view>(&field.value)) {
    const std::string_view cut = text->substr(0, kMostFieldBytes);
    return !json && IsPlain(cut) ? std::string(cut) : Quoted(cut);
  }
  if (const auto* number = std::get_if<int64_t>(&field.value)) return fmt::format("{}", *number);
  if (const auto* real = std::get_if<double>(&field.value)) return fmt::format("{:.6g}", *real);
  return std::get<bool>(field.value) ? "true" : "false";
}

std::string LineOf(const LogOptions& options, LogLevel level, std::string_view message,
                   std::initializer_list<LogField> fields) {
  std::string line;
  if (options.json) {
    line = fmt::format(R"({{"time":"{}","level":"{}","message":{})", Now(), NameOf(level), Quoted(message));
    for (const LogField& field : fields)
      line += fmt::format(",{}:{}", Quoted(field.name), ValueText(field, true));
    return line + "}";
  }
  line = fmt::format("{} {} {}", Now(), NameOf(level), message);
  for (const LogField& field : fields) line += fmt::format(" {}={}", field.name, ValueText(field, false));
  return line;
}

void Write(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) noexcept {
  try {
    const std::shared_lock lock(mutex);
    if (!state) return;
    state->logger->log(spdlog::level::critical, LineOf(state->options, level, message, fields));
  } catch (...) {  // a line that cannot be written must not end a request
  }
}

}  // namespace

void StartLog(const LogOptions& options) {
  auto fresh = std::make_unique<State>();
  fresh->options = options;
  fresh->pool = std::make_shared<spdlog::details::thread_pool>(kQueuedLines, 1);
  spdlog::sink_ptr sink;
  try {
    if (options.file.empty()) {
      sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    } else {
      sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.file);
    }
  } catch (const spdlog::spdlog_ex& error) {
    throw Error(ErrorCode::kInvalidArgument, error.what());
  }
  sink->set_pattern("%v");
  fresh->logger = std::make_shared<spdlog::async_logger>("sluice", sink, fresh->pool,
                                                         spdlog::async_overflow_policy::overrun_oldest);
  fresh->logger->flush_on(spdlog::level::critical);
  StopLog();
  const std::unique_lock lock(mutex);
  state = std::move(fresh);
  lowest = static_cast<int>(options.level);
  access_lines = options.access && options.level <= LogLevel::kInfo;
}

void StopLog() {
  std::unique_ptr<State> old;
  {
    const std::unique_lock lock(mutex);
    lowest = static_cast<int>(LogLevel::kOff);
    access_lines = false;
    old = std::move(state);
    if (old) dropped_before += old->pool->overrun_counter();
  }
}

void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) noexcept {
  if (Logs(level)) Write(level, message, fields);
}

bool Logs(LogLevel level) { return static_cast<int>(level) >= lowest && level != LogLevel::kOff; }

bool LogsAccess() { return access_lines; }

void LogAccess(std::initializer_list<LogField> fields) noexcept {
  if (access_lines) Write(LogLevel::kInfo, "request", fields);
}

uint64_t LogLinesDropped() {
  const std::shared_lock lock(mutex);
  return dropped_before + (state ? state->pool->overrun_counter() : 0);
}

}  // namespace sluice::serve
