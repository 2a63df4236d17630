#include "tools/serve/request_check.h"

#include "tests/serve/small_models.h"

namespace sluice::serve::test {
namespace {

// The reason and text of the refusal; "accepted" where there is none.
std::string Refusal(const Model& model, const InferRequest& request, Reason reason = Reason::kInvalid) {
  try {
    CheckRequest(model, request);
  } catch (const ServeError& error) {
    EXPECT_EQ(error.reason(), reason) << error.what();
    return error.what();
  }
  return "accepted";
}

InferRequest RawRequest(const std::string& bytes) {
  InferRequest request;
  request.raw = true;
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  request.inputs.push_back(
      {.name = "",
       .tensor = Tensor::From<uint8_t>({static_cast<int64_t>(bytes.size())}, std::span(data, bytes.size())),
       .parameters = {}});
  return request;
}

// x of the type and shape -> y, the same.
std::shared_ptr<const Model> Copy(std::initializer_list<int64_t> shape, int type = TensorProto::FLOAT,
                                  ModelConfig config = {}) {
  ModelProto proto = EmptyModel();
  SetOpenType(proto.mutable_graph()->add_input(), "x", shape, type);
  SetOpenType(proto.mutable_graph()->add_output(), "y", shape, type);
  AddNode(proto.mutable_graph(), "Identity", {"x"}, {"y"});
  return Serve(proto, "copy", std::move(config));
}

TEST(RequestCheck, AcceptsWhatFits) {
  const auto model = Serve(LinearModel(), "linear");
  InferRequest request = LinearRequest(3, 0);
  request.outputs = {"z"};
  request.parameters = {
      {"timeout", int64_t{1500}}, {"priority", uint64_t{2}}, {"profile", true}, {"other", 1.5}};
  const CheckedRequest checked = CheckRequest(*model, request);
  EXPECT_EQ(checked.rows, 3);
  EXPECT_EQ(checked.bytes, 3 * 4 * 4);
  EXPECT_EQ(checked.timeout_us, 1500);
  EXPECT_EQ(checked.priority, 2);
  request.parameters["priority"] = int64_t{0};
  EXPECT_EQ(CheckRequest(*model, request).priority, model->config.default_priority);
  EXPECT_TRUE(checked.profile);
  EXPECT_EQ(checked.outputs, std::vector<std::string>{"z"});
}

TEST(RequestCheck, SaysWhatDoesNotFit) {
  const auto model = Serve(LinearModel(), "linear");
  const auto with = [](const std::function<void(InferRequest&)>& change) {
    InferRequest request = LinearRequest(1, 0);
    change(request);
    return request;
  };
  const std::pair<std::function<void(InferRequest&)>, std::string> cases[] = {
      {[](auto& r) { r.inputs.clear(); }, "input 'x' is missing"},
      {[](auto& r) { r.inputs.push_back(r.inputs[0]); }, "input 'x' is there twice"},
      {[](auto& r) { r.inputs[0].name = "q"; }, "the model has no input 'q'; it has 'x'"},
      {[](auto& r) { r.inputs[0].name = std::string(300, 'n'); },
       "the model has no input '" + std::string(80, 'n') + "...'; it has 'x'"},
      {[](auto& r) { r.inputs[0].tensor = r.inputs[0].tensor.Reshaped({4}); },
       "input 'x': expected shape [-1, 4], found [4]"},
      {[](auto& r) {
         r.inputs[0].tensor = r.inputs[0].tensor.Reshaped({2, 2});
       },
       "input 'x': expected shape [-1, 4], found [2, 2]"},
      {[](auto& r) {
         r.inputs[0].tensor = Tensor(DataType::kInt32, {1, 4});
       },
       "input 'x': expected datatype FP32, found INT32"},
      {[](auto& r) { r.inputs[0].tensor = Tensor(DataType::kString, {1}); },
       "input 'x': expected datatype FP32, found BYTES"},
      {[](auto& r) { r.inputs[0].tensor = Tensor(); }, "input 'x' has no datatype"},
      {[](auto& r) {
         r.outputs = {"z", "q"};
       },
       "the model has no output 'q'; it has 'y', 'z'"},
      {[](auto& r) {
         r.outputs = {"z", "z"};
       },
       "output 'z' is asked for twice"},
      {[](auto& r) { r.outputs = {"boxes"}; }, "the model has no output 'boxes'; it has 'y', 'z'"},
      {[](auto& r) { r.parameters["timeout"] = int64_t{-1}; },
       "parameter 'timeout': expected microseconds from 0, found -1"},
      {[](auto& r) { r.parameters["timeout"] = std::string("5"); },
       "parameter 'timeout': expected a whole number"},
      {[](auto& r) { r.parameters["timeout"] = 0.5; }, "parameter 'timeout': expected a whole number"},
      {[](auto& r) { r.parameters["priority"] = uint64_t{1} << 63; },
       "parameter 'priority': expected 1, the first, to 100, or 0 for the default, found "
       "9223372036854775807"},
      {[](auto& r) { r.parameters["profile"] = int64_t{1}; }, "parameter 'profile': expected true or false"},
      {[](auto& r) { r.parameters["top"] = int64_t{1001}; },
       "parameter 'top': expected 0 to 1000, found 1001"},
      {[](auto& r) { r.picture = true; },
       "the model takes no pictures: its model.json says nothing of 'pictures'"},
  };
  for (const auto& [change, text] : cases) EXPECT_EQ(Refusal(*model, with(change)), text);
}

TEST(RequestCheck, RawBytesGetTheirShape) {
  const auto open = Copy({-1, 4});
  EXPECT_EQ(CheckRequest(*open, RawRequest(std::string(48, 'x'))).inputs[0].shape(), (Shape{3, 4}));
  EXPECT_EQ(Refusal(*open, RawRequest(std::string(47, 'x'))),
            "input 'x': FP32 [-1, 4] is a multiple of 16 bytes, found 47");
  const auto fixed = Copy({2, 2}, TensorProto::INT64);
  EXPECT_EQ(CheckRequest(*fixed, RawRequest(std::string(32, 'x'))).inputs[0].shape(), (Shape{2, 2}));
  EXPECT_EQ(Refusal(*fixed, RawRequest(std::string(64, 'x'))),
            "input 'x': INT64 [2, 2] is 32 bytes, found 64");
  EXPECT_EQ(Refusal(*Copy({-1, -1, 4}), RawRequest(std::string(64, 'x'))),
            "input 'x': a raw request states no shape, and [-1, -1, 4] has more than one open size");
  EXPECT_EQ(Refusal(*Serve(CountingModel(), "counting"), RawRequest("x")),
            "a raw request has one input, the model has 2: 'n', 'x'");
  InferRequest two = RawRequest("x");
  two.inputs.push_back(two.inputs[0]);
  EXPECT_EQ(Refusal(*open, two), "a raw request has one input, found 2");
  const Tensor text = CheckRequest(*Copy({-1}, TensorProto::STRING), RawRequest("hello")).inputs[0];
  EXPECT_EQ(text.values<std::string>()[0], "hello");
}

TEST(RequestCheck, BatchesNeedOpenFirstSizes) {
  const ModelConfig batching = {.max_batch_size = 4};
  EXPECT_TRUE(CanBatch(*Copy({-1, 4}, TensorProto::FLOAT, batching)));
  EXPECT_FALSE(CanBatch(*Copy({-1, 4})));
  EXPECT_FALSE(CanBatch(*Copy({4, -1}, TensorProto::FLOAT, batching)));
  EXPECT_FALSE(CanBatch(*Copy({}, TensorProto::FLOAT, batching)));
  EXPECT_FALSE(CanBatch(*Serve(CountingModel(), "counting", batching)));
}

TEST(RequestCheck, OutputsThatNoTensorCarriesAreLeftOut) {
  ModelProto proto = LinearModel();
  auto* output = proto.mutable_graph()->add_output();
  output->set_name("s");
  output->mutable_type()->mutable_sequence_type()->mutable_elem_type()->mutable_tensor_type()->set_elem_type(
      TensorProto::FLOAT);
  AddNode(proto.mutable_graph(), "SequenceConstruct", {"y", "z"}, {"s"});
  const auto model = Serve(proto, "sequence");
  EXPECT_EQ(Refusal(*model, LinearRequest(1, 0)), "accepted");
  InferRequest request = LinearRequest(1, 0);
  request.outputs = {"s"};
  EXPECT_EQ(Refusal(*model, request, Reason::kUnsupported),
            "output 's' is a sequence, which the protocol cannot carry");
}

}  // namespace
}  // namespace sluice::serve::test
