#pragma once

#include <cstdint>
#include <string>

#include "tools/serve/core.h"
#include "tools/serve/front_end.h"
#include "tools/serve/log.h"

namespace CLI {
class App;
}

namespace sluice::tools {

// The options of `sluice serve`. Times in seconds, sizes as text with K, M or G, as they are given; Settle
// puts them where they are used.
struct ServeOptions {
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
  std::string max_request = "64M", max_header = "16K", max_inflight = "1G", max_queue_bytes = "1G", memory,
              weight_memory;
  double header_timeout = 10, body_timeout = 60, idle_timeout = 120, grpc_connection_age = 0;

  // What options say together. Throws Error{kInvalidArgument} where they contradict each other.
  void Settle();
};

// Adds them to the verb, in groups. `options` is filled when the command line is parsed.
void AddServeOptions(CLI::App& verb, ServeOptions& options);

inline int64_t Milliseconds(double seconds) { return static_cast<int64_t>(seconds * 1000); }

}  // namespace sluice::tools
