// A custom operator in C++: custom_cpp_test FOLDER
#include <sluice/session.h>

#include <cstring>

#include "check.h"

namespace {

// example.ScaleBy: y = factor * x.
class ScaleBy : public sluice::CustomOperator {
 public:
  ScaleBy() : CustomOperator("example", "ScaleBy") {}

  std::vector<sluice::OperatorValue> Infer(const sluice::OperatorNode&,
                                           std::span<const sluice::OperatorValue> inputs) const override {
    return {{inputs[0].dtype, inputs[0].shape}};
  }

  void Compute(const sluice::ComputeContext& context) const override {
    const int64_t factor = context.node().Int("factor", 1);
    const auto x = context.input_values<float>(0);
    const auto y = context.output_values<float>(0);
    for (size_t i = 0; i < x.size(); ++i) y[i] = static_cast<float>(factor) * x[i];
  }
};

}  // namespace

int main(int argc, char** argv) {
  CHECK(argc == 2);
  const std::string path = std::string(argv[1]) + "/custom.onnx";
  sluice::SessionOptions options;
  options.operators = {std::make_shared<ScaleBy>()};
  const sluice::Session session = sluice::Session::Load(path, options);
  const float values[] = {1, -2, 5};
  const auto outputs = session.Run({{"x", sluice::Tensor::From<float>({3}, values)}});
  const auto y = outputs.at("y").tensor().values<float>();
  CHECK(y.size() == 3 && y[0] == 3 && y[1] == -6 && y[2] == 15);

  // Exceptions cross the library's border with their type.
  try {
    sluice::Session::Load(path);
    CHECK(!"loaded");
  } catch (const sluice::Error& error) {
    CHECK(error.code() == sluice::ErrorCode::kUnsupported);
    CHECK(std::strstr(error.what(), "example.ScaleBy") != nullptr);
  }
  return 0;
}
