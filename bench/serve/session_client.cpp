#include <stdexcept>

#include "bench/serve/client.h"
#include "sluice/session.h"
#include "tools/serve/datatypes.h"

namespace sluice::bench {
namespace {

class SessionClient : public Client {
 public:
  SessionClient(const std::string& path, const std::vector<BenchInput>& inputs)
      : bytes_(inputs), session_(Session::Load(path)) {
    for (BenchInput& input : bytes_) {
      const auto type = serve::ParseDatatype(input.datatype);
      if (!type) throw std::runtime_error(input.datatype + ": not a datatype");
      inputs_.emplace(input.name, Tensor::Borrow(*type, input.shape, input.bytes.data()));
    }
  }
  void Call() override { session_.Run(inputs_); }

 private:
  std::vector<BenchInput> bytes_;
  Session session_;
  NamedValues inputs_;
};

}  // namespace

std::unique_ptr<Client> NewSessionClient(const std::string& path, const std::vector<BenchInput>& inputs) {
  return std::make_unique<SessionClient>(path, inputs);
}

}  // namespace sluice::bench
