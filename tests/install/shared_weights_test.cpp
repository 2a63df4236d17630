// Sessions of one process hold the packed weights of a model once: shared_weights_test
#include <sluice/session.h>
#include <unistd.h>

#include <fstream>

#include "check.h"
#include "tests/e2e/tiny_model.h"

namespace {

int64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t all = 0, resident = 0;
  statm >> all >> resident;
  CHECK(resident > 0);
  return resident * sysconf(_SC_PAGESIZE);
}

}  // namespace

int main() {
  using sluice::test::Message;
  constexpr int64_t kSize = 4096, kBytes = kSize * kSize * 4;
  sluice::Session sessions[] = {
      [] {
        std::vector<float> weights(static_cast<size_t>(kSize * kSize));
        for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<float>(i % 13) - 6;
        const std::string attribute = Message()
                                          .Bytes(1, "value")
                                          .Bytes(5, sluice::test::FloatTensor({kSize, kSize}, weights))
                                          .Int(20, 4)
                                          .bytes();
        std::ofstream file("shared_weights.onnx", std::ios::binary);
        file << sluice::test::Model({{"Constant", {}, {"w"}, "", {attribute}}, {"MatMul", {"x", "w"}, {"y"}}},
                                    {{"x", 1, {"8", "4096"}}}, {{"y", 1, {"8", "4096"}}});
        CHECK(file.flush());
        return sluice::Session::Load("shared_weights.onnx");
      }(),
      sluice::Session::Load("shared_weights.onnx")};
  sluice::Tensor x(sluice::DataType::kFloat, {8, kSize});
  for (float& element : x.mutable_values<float>()) element = 0.5f;
  for (const sluice::Session& session : sessions) session.Run({{"x", x}});
  const int64_t with_two = ResidentBytes();
  const sluice::Session third = sluice::Session::Load("shared_weights.onnx");
  third.Run({{"x", x}});
  const int64_t with_three = ResidentBytes();
  sessions[0] = sluice::Session::Load("shared_weights.onnx");
  const auto again = third.Run({{"x", x}});
  std::printf("a model of %lld MB: %lld MB with two sessions, %lld MB with three\n",
              static_cast<long long>(kBytes >> 20), static_cast<long long>(with_two >> 20),
              static_cast<long long>(with_three >> 20));
  CHECK(with_three - with_two < kBytes / 4);
  // At most the packed weights and the file's mapped pages.
  CHECK(with_three < 2 * kBytes + (int64_t{64} << 20));
  unlink("shared_weights.onnx");
  return 0;
}
