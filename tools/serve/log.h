#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

namespace sluice::serve {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

struct LogOptions {
  bool json = false;  // one object a line; otherwise `time level message name=value ...`
  LogLevel level = LogLevel::kInfo;
  bool access = true;  // a line for every request
  std::string file;    // appended to; empty: standard error
};

struct LogField {
  std::string_view name;
  std::variant<std::string_view, int64_t, double, bool> value;
};

// The log of the process. Lines are written by a thread of their own: Log never waits for a disk or a reader;
// when they come faster than they can be written the oldest go, and are counted. Until StartLog and after
// StopLog nothing is written. Throws Error{kInvalidArgument} for a file that cannot be written.
void StartLog(const LogOptions& options);
// Writes what is left.
void StopLog();

// Thread-safe; does not throw. Text is escaped, so that no client can forge a line, and cut at 2 KiB a field.
void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {}) noexcept;
bool Logs(LogLevel level);

// A line of level info for a request, where options ask for them. The fields are for the caller to choose;
// nothing of headers but request id, traceparent and the key's name belongs there.
bool LogsAccess();
void LogAccess(std::initializer_list<LogField> fields) noexcept;

// Lines that were dropped so far.
uint64_t LogLinesDropped();

}  // namespace sluice::serve
