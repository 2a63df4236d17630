// Writes the models that the programs of this folder run: make_models FOLDER
#include <fstream>
#include <iostream>

#include "tests/e2e/tiny_model.h"

namespace {

using sluice::test::FloatTensor;
using sluice::test::Message;
using sluice::test::Model;
using sluice::test::TinyNode;

// AttributeProto: name = 1, f = 2, i = 3, t = 5, ints = 8, type = 20 (1: float, 2: int, 4: tensor, 7: ints).
std::string TensorAttribute(const std::string& name, const std::string& tensor) {
  return Message().Bytes(1, name).Bytes(5, tensor).Int(20, 4).bytes();
}

std::string IntAttribute(const std::string& name, int64_t value) {
  return Message().Bytes(1, name).Int(3, value).Int(20, 2).bytes();
}

std::string IntsAttribute(const std::string& name, const std::vector<int64_t>& values) {
  Message attribute;
  attribute.Bytes(1, name);
  for (int64_t value : values) attribute.Int(8, value);
  return attribute.Int(20, 7).bytes();
}

// Some importers insist on it.
std::string Kernel(int64_t size) { return IntsAttribute("kernel_shape", {size, size}); }

TinyNode Constant(const std::string& name, const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (int64_t size : shape) count *= size;
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) values[i] = (static_cast<float>(i * 7 % 11) - 5) / 16;
  return {"Constant", {}, {name}, "", {TensorAttribute("value", FloatTensor(shape, values))}};
}

// ModelProto: metadata_props = 14 {key = 1, value = 2}.
std::string Metadata(const std::string& key, const std::string& value) {
  return Message().Bytes(14, Message().Bytes(1, key).Bytes(2, value).bytes()).bytes();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const auto write = [&](const std::string& name, const std::string& bytes) {
    std::ofstream file(std::string(argv[1]) + "/" + name, std::ios::binary);
    file << bytes;
    if (!file.flush()) throw std::runtime_error("cannot write " + name);
  };
  try {
    // x [N, 8] -> y [N, 4]
    write("dense.onnx",
          Model({Constant("w", {8, 4}), {"MatMul", {"x", "w"}, {"p"}}, {"LeakyRelu", {"p"}, {"y"}}},
                {{"x", 1, {"N", "8"}}}, {{"y", 1, {"N", "4"}}}) +
              Metadata("author", "somebody") + Metadata("task", "none"));
    // Convolutions of the kinds that networks have, large enough for several pieces each.
    write("conv.onnx",
          Model({Constant("a", {32, 3, 3, 3}),
                 Constant("b", {64, 32, 3, 3}),
                 Constant("c", {64, 64, 1, 1}),
                 {"Conv",
                  {"x", "a"},
                  {"p"},
                  "",
                  {Kernel(3), IntsAttribute("pads", {1, 1, 1, 1}), IntsAttribute("strides", {2, 2})}},
                 {"LeakyRelu", {"p"}, {"q"}},
                 {"Conv", {"q", "b"}, {"r"}, "", {Kernel(3), IntsAttribute("pads", {1, 1, 1, 1})}},
                 {"LeakyRelu", {"r"}, {"s"}},
                 {"Conv", {"s", "c"}, {"t"}, "", {Kernel(1)}},
                 {"Sigmoid", {"t"}, {"y"}}},
                {{"x", 1, {"1", "3", "128", "128"}}}, {{"y", 1, {"1", "64", "64", "64"}}}));
    // What oneDNN computes.
    write("groups.onnx", Model({Constant("a", {64, 16, 3, 3}),
                                {"Conv", {"x", "a"}, {"p"}, "", {Kernel(3), IntAttribute("group", 4)}},
                                {"LeakyRelu", {"p"}, {"y"}}},
                               {{"x", 1, {"1", "64", "22", "22"}}}, {{"y", 1, {"1", "64", "20", "20"}}}));
    write("product.onnx", Model({Constant("a", {512, 512}), {"MatMul", {"x", "a"}, {"y"}}},
                                {{"x", 1, {"256", "512"}}}, {{"y", 1, {"256", "512"}}}));
    // Everything but what a library of primitives computes.
    write("plain.onnx", Model({{"Mul", {"x", "x"}, {"a"}},
                               {"Add", {"a", "x"}, {"b"}},
                               {"Sigmoid", {"b"}, {"c"}},
                               {"Transpose", {"c"}, {"d"}, "", {IntsAttribute("perm", {0, 2, 1})}},
                               {"ReduceSum", {"d"}, {"e"}},
                               {"Sub", {"d", "e"}, {"y"}}},
                              {{"x", 1, {"4", "200", "300"}}}, {{"y", 1, {"4", "300", "200"}}}));
    write("strings.onnx", Model({{"Identity", {"x"}, {"y"}}}, {{"x", 8, {"N"}}}, {{"y", 8, {"N"}}}));
    write("places.onnx", Model({{"NonZero", {"x"}, {"y"}}}, {{"x", 1, {"N"}}}, {{"y", 7, {"1", "M"}}}));
    write("sequence.onnx",
          Model({{"SequenceConstruct", {"x", "x"}, {"y"}}}, {{"x", 1, {"2"}}}, {{"y", 0, {}}}));
    // That of README's examples.
    write("model.onnx",
          Model({Constant("w", {8, 3, 3, 3}),
                 {"Conv", {"image", "w"}, {"c"}, "", {IntsAttribute("strides", {2, 2})}},
                 {"LeakyRelu", {"c"}, {"boxes"}}},
                {{"image", 1, {"1", "3", "416", "416"}}}, {{"boxes", 1, {"1", "8", "207", "207"}}}));
    // An operator of the program's own.
    write("custom.onnx", Model({{"ScaleBy", {"x"}, {"y"}, "example", {IntAttribute("factor", 3)}}},
                               {{"x", 1, {"N"}}}, {{"y", 1, {"N"}}}));
  } catch (const std::exception& error) {
    std::cerr << "make_models: " << error.what() << '\n';
    return 1;
  }
}
