// What the command says to models that were made to do harm: one line that names the place, and status 1.
#include "tests/e2e/command.h"
#include "tests/e2e/tiny_model.h"

namespace sluice::test {
namespace {

using HostileModel = CommandTest;

// Relu of x, plus an initializer whose elements lie in another file.
std::string WithExternalData(const std::string& location, int64_t elems) {
  const auto entry = [](const std::string& key, const std::string& value) {
    return Message().Bytes(1, key).Bytes(2, value).bytes();
  };
  const std::string tensor = Message()
                                 .Int(1, elems)
                                 .Int(2, 1)
                                 .Bytes(8, "weights")
                                 .Bytes(13, entry("location", location))
                                 .Int(14, 1)
                                 .bytes();
  const std::string node =
      Message().Bytes(1, "weights").Bytes(2, "y").Bytes(3, "copy").Bytes(4, "Identity").bytes();
  const std::string graph = Message()
                                .Bytes(1, node)
                                .Bytes(2, "g")
                                .Bytes(5, tensor)
                                .Bytes(12, Message().Bytes(1, "y").bytes())
                                .bytes();
  return Message().Int(1, 8).Bytes(7, graph).Bytes(8, Message().Int(2, 17).bytes()).bytes();
}

TEST_F(HostileModel, CannotReachOutOfItsFolder) {
  std::filesystem::create_directory(Path("model"));
  Spill(Path("secret.bin"), std::string(8, 'x'));
  std::filesystem::create_symlink(Path("secret.bin"), Path("model/link.bin"));
  std::filesystem::create_hard_link(Path("secret.bin"), Path("model/hard.bin"));
  Spill(Path("model/short.bin"), std::string(7, 'x'));
  const std::string model = Path("model/m.onnx");
  for (const auto& [location, fact] :
       std::vector<std::pair<std::string, std::string>>{{"../secret.bin", "leaves the model's folder"},
                                                        {"x/../../secret.bin", "leaves the model's folder"},
                                                        {Path("secret.bin"), "absolute path"},
                                                        {"link.bin", "symbolic link"},
                                                        {"hard.bin", "hard links"},
                                                        {"short.bin", "which has 7"},
                                                        {"absent.bin", "No such file"}}) {
    Spill(model, WithExternalData(location, 2));
    ExpectRefused({"run", model}, {model, "tensor 'weights'", location, fact});
  }
}

TEST_F(HostileModel, AsksForMoreMemoryThanThereIs) {
  const std::string huge = "17592186044416";
  Spill(Path("huge.onnx"), Model({{"Relu", {"x"}, {"y"}}}, {{"x", 1, {huge}}}, {{"y", 1, {huge}}}));
  ExpectRefused({"run", Path("huge.onnx")}, {"bytes exceeds"});
  Spill(Path("over.onnx"),
        Model({{"Relu", {"x"}, {"y"}}}, {{"x", 1, {huge, huge}}}, {{"y", 1, {huge, huge}}}));
  ExpectRefused({"run", Path("over.onnx")}, {"too many elements"});
  Spill(Path("join.onnx"), Model({{"Concat", {"x", "x", "x"}, {"y"}}}, {{"x", 1, {"N"}}}, {{"y", 1, {"M"}}}));
  ExpectRefused({"run", Path("join.onnx"), "--shape", "x=" + huge}, {"join.onnx"});
}

TEST_F(HostileModel, DoesNotHoldTogether) {
  const std::vector<TinyValue> x = {{"x", 1, {"2", "3"}}}, y = {{"y", 1, {"2", "3"}}};
  const auto refuse = [&](const std::string& model, const std::vector<std::string>& parts) {
    Spill(Path("m.onnx"), model);
    ExpectRefused({"run", Path("m.onnx")}, parts);
  };
  refuse(Model({{"Add", {"x", "w"}, {"y"}}}, x, y), {"m.onnx", "Add 'Add_node'", "'w'", "neither produced"});
  refuse(Model({{"Relu", {"x"}, {"y"}}, {"Neg", {"x"}, {"y"}}}, x, y), {"m.onnx", "'y'", "twice"});
  refuse(Model({{"Add", {"x", "z"}, {"y"}}, {"Relu", {"y"}, {"z"}}}, x, y), {"cycle", "Add 'Add_node'"});
  refuse(Model({{"Relu", {"x", "x"}, {"y"}}}, x, y), {"Relu 'Relu_node'", "expected 1 inputs, found 2"});
  refuse(Model({{"Conv", {"x", "x"}, {"y"}}}, x, y), {"Conv 'Conv_node'", "rank 2, expected at least 3"});
  refuse(Model({{"Relu", {"x"}, {"y"}}}, x, {{"z", 1, {"2", "3"}}}), {"m.onnx", "output 'z'"});
  refuse(Model({{"Relu", {"x"}, {"y"}}}, {x[0], x[0]}, y), {"m.onnx", "'x'", "twice"});
}

}  // namespace
}  // namespace sluice::test
