// serve_load: clients that ask a server for a model's answers as fast as it gives them.
//   serve_load --grpc HOST:PORT --model M --input NAME:FP32:1x3x224x224 --clients 32 --seconds 5
// With several of --grpc, --http, --session and --loopback one client asks them in turn, so that they meet
// the same machine.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <iostream>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "bench/serve/client.h"
#include "tools/serve/datatypes.h"

namespace sluice::bench {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string grpc, http, session, model, json;
  std::vector<std::string> inputs;
  int clients = 1, connections = 0;
  double seconds = 3, warm_up = 0.5, pause_ms = 0;
  bool loopback = false, keep_going = false;
};

// NAME@FILE: its bytes, as one element.
BenchInput ReadInput(const std::string& name, const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  if (bytes.empty()) throw std::runtime_error(path + ": cannot be read");
  const auto size = static_cast<uint32_t>(bytes.size());
  std::string element(sizeof size, '\0');
  std::memcpy(element.data(), &size, sizeof size);
  return {name, "BYTES", {1}, element + bytes};
}

// NAME:DATATYPE:1x3x224x224, with numbers from 0 to 1 in it.
BenchInput ParseInput(const std::string& text) {
  if (const size_t at = text.find('@'); at != text.npos)
    return ReadInput(text.substr(0, at), text.substr(at + 1));
  const size_t shape_at = text.rfind(':'), type_at = text.rfind(':', shape_at - 1);
  if (shape_at == text.npos || type_at == text.npos)
    throw std::runtime_error(text + ": expected NAME:DATATYPE:SIZES");
  BenchInput input{text.substr(0, type_at), text.substr(type_at + 1, shape_at - type_at - 1), {}, {}};
  std::stringstream sizes(text.substr(shape_at + 1));
  for (std::string size; std::getline(sizes, size, 'x');) input.shape.push_back(std::stoll(size));
  const auto type = serve::ParseDatatype(input.datatype);
  if (!type || *type == DataType::kString)
    throw std::runtime_error(text + ": expected a datatype of numbers");
  input.bytes.resize(static_cast<size_t>(ByteSize(*type, NumElements(input.shape))));
  if (*type == DataType::kFloat) {
    std::mt19937 random(1);
    std::uniform_real_distribution<float> number(0, 1);
    for (size_t i = 0; i < input.bytes.size(); i += sizeof(float)) {
      const float value = number(random);
      std::memcpy(input.bytes.data() + i, &value, sizeof value);
    }
  }
  return input;
}

std::unique_ptr<Client> NewClient(const std::string& kind, const Options& options,
                                  const std::vector<BenchInput>& inputs, int number) {
  if (kind == "grpc")
    return NewGrpcClient(options.grpc, options.model, inputs, number % std::max(1, options.connections));
  if (kind == "loopback") return NewLoopbackClient(inputs);
  if (kind == "http") return NewHttpClient(options.http, options.model, inputs);
  return NewSessionClient(options.session, inputs);
}

// Sorts what it is given. Microseconds.
nlohmann::json Summary(std::vector<double>& latencies, double seconds, int64_t errors) {
  std::sort(latencies.begin(), latencies.end());
  const auto at = [&](double share) {
    if (latencies.empty()) return 0.0;
    return latencies[std::min(latencies.size() - 1,
                              static_cast<size_t>(share * static_cast<double>(latencies.size())))];
  };
  return {{"requests", latencies.size()},
          {"errors", errors},
          {"per_s", static_cast<double>(latencies.size()) / seconds},
          {"min_us", at(0)},
          {"p50_us", at(0.5)},
          {"p90_us", at(0.9)},
          {"p99_us", at(0.99)},
          {"max_us", at(1)}};
}

double Time(Client& client) {
  const auto start = Clock::now();
  client.Call();
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

// Each client asks again as soon as it has its answer, or after a pause.
nlohmann::json MeasureLoad(const std::string& kind, const Options& options,
                           const std::vector<BenchInput>& inputs) {
  std::vector<std::vector<double>> latencies(static_cast<size_t>(options.clients));
  std::atomic<bool> measuring{false}, over{false};
  std::atomic<int64_t> errors{0};
  std::atomic<int> connected{0};
  std::vector<std::thread> threads;
  std::map<std::string, int64_t> failures;
  std::mutex mutex;
  for (int number = 0; number < options.clients; ++number)
    threads.emplace_back([&, number] {
      auto& own = latencies[static_cast<size_t>(number)];
      std::unique_ptr<Client> client;
      while (!over) {
        try {
          if (!client) {
            client = NewClient(kind, options, inputs, number);
            ++connected;
          }
          const double time = Time(*client);
          if (measuring) own.push_back(time);
          if (options.pause_ms > 0)
            std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(options.pause_ms));
        } catch (const std::exception& error) {
          client.reset();
          ++errors;
          const std::lock_guard lock(mutex);
          ++failures[error.what()];
          if (!options.keep_going) return;
          std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
      }
    });
  const auto sleep = [](double seconds) {
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  };
  while (connected < options.clients && errors == 0) sleep(0.001);
  sleep(options.warm_up);
  measuring = true;
  const auto start = Clock::now();
  sleep(options.seconds);
  measuring = false;
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  over = true;
  for (std::thread& thread : threads) thread.join();
  if (errors > 0 && !options.keep_going) throw std::runtime_error(failures.begin()->first);
  std::vector<double> all;
  for (const auto& own : latencies) all.insert(all.end(), own.begin(), own.end());
  nlohmann::json result = Summary(all, seconds, errors);
  result["failures"] = failures;
  return result;
}

// One client that asks each in turn.
nlohmann::json MeasureInTurn(const std::vector<std::string>& kinds, const Options& options,
                             const std::vector<BenchInput>& inputs) {
  std::vector<std::unique_ptr<Client>> clients;
  for (const std::string& kind : kinds) clients.push_back(NewClient(kind, options, inputs, 0));
  std::vector<std::vector<double>> latencies(kinds.size());
  const auto start = Clock::now();
  const auto after = [&](double seconds) {
    return Clock::now() - start > std::chrono::duration<double>(seconds);
  };
  // Several of each, so that caches and clocks settle; the first of them does not count.
  constexpr int kInARow = 8;
  while (!after(options.warm_up + options.seconds))
    for (size_t i = 0; i < kinds.size(); ++i)
      for (int round = 0; round < kInARow; ++round)
        if (const double time = Time(*clients[i]); round > 0 && after(options.warm_up))
          latencies[i].push_back(time);
  nlohmann::json result;
  for (size_t i = 0; i < kinds.size(); ++i) result[kinds[i]] = Summary(latencies[i], options.seconds, 0);
  return result;
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Asks a server, or a session, for a model's answers and tells how long they take");
  app.add_option("--grpc", options.grpc, "HOST:PORT of gRPC");
  app.add_option("--http", options.http, "HOST:PORT of HTTP");
  app.add_option("--session", options.session, "The model file, run in this process");
  app.add_flag("--loopback", options.loopback, "The bytes alone, to a thread of this process and back");
  app.add_option("--model", options.model, "The model's name at the server");
  app.add_option("--input", options.inputs,
                 "NAME:DATATYPE:SIZES, as x:FP32:1x3x224x224, or NAME@PICTURE; repeatable")
      ->required();
  app.add_option("--clients", options.clients, "Clients that ask at once (1)")->check(CLI::Range(1, 4096));
  app.add_option("--connections", options.connections,
                 "Connections that clients of gRPC share (0: each has one of its own)")
      ->check(CLI::Range(0, 4096));
  app.add_option("--pause", options.pause_ms, "Milliseconds from an answer to the client's next request (0)")
      ->check(CLI::Range(0.0, 1e6));
  app.add_option("--seconds", options.seconds, "Measures for this long (3)")->check(CLI::Range(0.01, 1e6));
  app.add_option("--warm-up", options.warm_up, "Seconds before it measures (0.5)")
      ->check(CLI::Range(0.0, 1e6));
  app.add_flag("--keep-going", options.keep_going, "Counts errors instead of ending with the first");
  app.add_option("--json", options.json, "File for the figures");
  CLI11_PARSE(app, argc, argv);
  std::vector<BenchInput> inputs;
  for (const std::string& text : options.inputs) inputs.push_back(ParseInput(text));
  std::vector<std::string> kinds;
  if (!options.session.empty()) kinds.push_back("session");
  if (options.loopback) kinds.push_back("loopback");
  if (!options.http.empty()) kinds.push_back("http");
  if (!options.grpc.empty()) kinds.push_back("grpc");
  if (kinds.empty()) throw std::runtime_error("expected --grpc, --http, --session or --loopback");
  if (kinds.size() > 1 && options.clients > 1)
    throw std::runtime_error("--clients: expected one of --grpc, --http, --session and --loopback");
  if (options.connections == 0) options.connections = options.clients;
  nlohmann::json result;
  if (kinds.size() == 1)
    result[kinds[0]] = MeasureLoad(kinds[0], options, inputs);
  else
    result = MeasureInTurn(kinds, options, inputs);
  for (const auto& [kind, figures] : result.items()) {
    fmt::print(
        "{:8} {:9.1f} requests/s, p50 {:.0f} us, p90 {:.0f} us, p99 {:.0f} us, {} requests, {} errors\n",
        kind, figures["per_s"].get<double>(), figures["p50_us"].get<double>(),
        figures["p90_us"].get<double>(), figures["p99_us"].get<double>(), figures["requests"].get<int64_t>(),
        figures["errors"].get<int64_t>());
    if (figures.contains("failures"))
      for (const auto& [text, count] : figures["failures"].items())
        fmt::print("  {} times: {}\n", count.get<int64_t>(), text);
  }
  if (!options.json.empty() && !(std::ofstream(options.json) << result.dump(2) << '\n'))
    throw std::runtime_error(options.json + ": cannot be written");
  return 0;
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  try {
    return sluice::bench::Main(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "serve_load: " << error.what() << '\n';
    return 1;
  }
}
