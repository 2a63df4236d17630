// Sluice as a worker of compare.py; the protocol is described there.
#include <sys/resource.h>

#include <charconv>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "sluice/session.h"
#include "tools/files.h"
#include "tools/model_args.h"
#include "tools/terminal.h"

namespace {

using Json = nlohmann::json;
using namespace sluice;

void Reply(const Json& json) { std::cout << json.dump() << std::endl; }

// "NAME=1x3x416x416=FILE" of little-endian floats.
void ReadInput(const std::string& text, NamedValues& inputs, SessionOptions& options) {
  const size_t first = text.find('='), second = text.find('=', first + 1);
  if (second == std::string::npos)
    throw Error(ErrorCode::kInvalidArgument, "'" + text + "': expected NAME=SHAPE=FILE");
  const std::string name = text.substr(0, first), file = text.substr(second + 1);
  const Shape shape = tools::ParseShape(text.substr(first + 1, second - first - 1));
  const std::vector<std::byte> bytes = tools::ReadFile(file);
  Tensor tensor(DataType::kFloat, shape);
  if (static_cast<int64_t>(bytes.size()) != tensor.byte_size()) {
    throw Error(ErrorCode::kInvalidArgument, file + ": expected " + std::to_string(tensor.byte_size()) +
                                                 " bytes, found " + std::to_string(bytes.size()));
  }
  std::copy(bytes.begin(), bytes.end(), static_cast<std::byte*>(tensor.mutable_data()));
  options.input_shapes[name] = shape;
  inputs[name] = std::move(tensor);
}

Json WriteOutputs(const Session& session, const NamedValues& inputs, const std::string& folder) {
  const NamedValues results = session.Run(inputs);
  Json shapes = Json::object();
  for (size_t i = 0; i < session.outputs().size(); ++i) {
    const Tensor& tensor = results.at(session.outputs()[i].name).tensor();
    std::ofstream(folder + "/" + std::to_string(i) + ".f32", std::ios::binary)
        .write(static_cast<const char*>(tensor.data()), tensor.byte_size());
    shapes[session.outputs()[i].name] = tensor.shape();
  }
  return shapes;
}

void Work(int argc, char** argv) {
  if (argc < 3)
    throw Error(ErrorCode::kInvalidArgument, "usage: sluice_worker MODEL THREADS NAME=SHAPE=FILE...");
  SessionOptions options;
  options.threads = std::atoi(argv[2]);
  NamedValues inputs;
  for (int i = 3; i < argc; ++i) ReadInput(argv[i], inputs, options);
  const tools::Stopwatch load;
  const Session session = Session::Load(argv[1], options);
  Reply({{"load_ms", load.ms()}, {"version", Version()}});
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command, argument;
    words >> command >> argument;
    if (command == "run") {
      Json ms = Json::array();
      for (int i = 0, count = std::atoi(argument.c_str()); i < count; ++i) {
        const tools::Stopwatch watch;
        session.Run(inputs);
        ms.push_back(watch.ms());
      }
      Reply({{"ms", std::move(ms)}});
    } else if (command == "outputs") {
      Reply({{"shapes", WriteOutputs(session, inputs, argument)}});
    } else if (command == "memory") {
      struct rusage usage = {};
      getrusage(RUSAGE_SELF, &usage);
      Reply({{"peak_rss_bytes", int64_t{usage.ru_maxrss} * 1024}});
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    Work(argc, argv);
  } catch (const std::exception& error) {
    Reply({{"error", error.what()}});
    return 1;
  }
}
