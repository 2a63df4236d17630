#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sluice/tensor.h"

namespace sluice::bench {

struct BenchInput {
  std::string name;
  std::string datatype;  // "FP32"
  Shape shape;
  std::string bytes;
};

// What asks a model for its answer, one request at a time.
class Client {
 public:
  virtual ~Client() = default;
  // Returns when the whole answer is there. Throws std::runtime_error that says what came instead.
  virtual void Call() = 0;
};

// The bytes of the request are made once. `connection`: clients with the same number share one.
std::unique_ptr<Client> NewGrpcClient(const std::string& address, const std::string& model,
                                      const std::vector<BenchInput>& inputs, int connection);
// Over a connection of its own.
std::unique_ptr<Client> NewHttpClient(const std::string& address, const std::string& model,
                                      const std::vector<BenchInput>& inputs);
// The session itself, in this process.
std::unique_ptr<Client> NewSessionClient(const std::string& path, const std::vector<BenchInput>& inputs);
// What the system takes to carry the bytes there and an answer back, with no server.
std::unique_ptr<Client> NewLoopbackClient(const std::vector<BenchInput>& inputs);

}  // namespace sluice::bench
