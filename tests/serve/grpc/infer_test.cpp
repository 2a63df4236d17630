// ModelInfer: what a request carries to the service and back.
#include <unordered_map>

#include "tests/serve/grpc/fixture.h"

namespace sluice::serve {
namespace {

class GrpcInferTest : public GrpcTest {
 protected:
  // The tensor that the service gets of `request`.
  Tensor Received(const InferMessage& request) {
    Tensor tensor;
    service_.on_infer = [&](InferRequest received, auto done) {
      tensor = received.inputs.at(0).tensor.Clone();
      done(FakeService::Echo(received));
    };
    const auto [status, response] = Infer(request);
    EXPECT_TRUE(status.ok()) << status.error_message();
    service_.on_infer = nullptr;
    return tensor;
  }
  // `contents` fills in the typed field.
  template <typename Fill>
  static InferMessage Typed(const std::string& datatype, int64_t elements, Fill&& fill) {
    InferMessage request = Raw(datatype, {elements}, "");
    request.clear_raw_input_contents();
    fill(*request.mutable_inputs(0)->mutable_contents());
    return request;
  }
  template <typename T>
  static std::vector<T> Values(const Tensor& tensor) {
    return {tensor.values<T>().begin(), tensor.values<T>().end()};
  }
};

TEST_F(GrpcInferTest, RawTensorsComeBack) {
  const std::vector<float> values = {1.5f, -2, 3, 4e30f};
  const auto [status, response] = Infer(Request(values));
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.model_name(), "echo");
  EXPECT_EQ(response.model_version(), "1");
  EXPECT_EQ(response.id(), "id-1");
  ASSERT_EQ(response.outputs_size(), 1);
  EXPECT_EQ(response.outputs(0).datatype(), "FP32");
  EXPECT_EQ(response.outputs(0).shape(0), 2);
  ASSERT_EQ(response.raw_output_contents_size(), 1);
  EXPECT_EQ(response.raw_output_contents(0), std::string(reinterpret_cast<const char*>(values.data()), 16));
  const auto counts = service_.Counts(1);
  ASSERT_EQ(counts.size(), 1u);
  EXPECT_EQ(counts[0].protocol, "grpc");
  EXPECT_EQ(counts[0].model, "echo");
  EXPECT_EQ(counts[0].outcome, "success");
  EXPECT_GT(counts[0].network_ns, 0);
}

TEST_F(GrpcInferTest, LargeTensorsOfSeveralOutputsKeepTheirOrder) {
  InferMessage request = Request(std::vector<float>(2 * 70'000, 1.25f));
  for (const auto& [name, elements] :
       {std::pair("small", 3), std::pair("empty", 0), std::pair("large", 300'001)}) {
    auto& input = *request.add_inputs();
    input.set_name(name);
    input.set_datatype("UINT8");
    input.add_shape(elements);
    request.add_raw_input_contents(
        std::string(static_cast<size_t>(elements), static_cast<char>(elements % 251)));
  }
  const auto [status, response] = Infer(request);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.raw_output_contents_size(), 4);
  for (int i = 0; i < 4; ++i)
    EXPECT_TRUE(response.raw_output_contents(i) == request.raw_input_contents(i)) << i;
}

TEST_F(GrpcInferTest, RawNumbersAreBorrowedAndAligned) {
  bool borrowed = false;
  uintptr_t address = 1;
  service_.on_infer = [&](InferRequest request, auto done) {
    address = reinterpret_cast<uintptr_t>(request.inputs.at(0).tensor.data());
    borrowed = request.keep_alive != nullptr;
    done(FakeService::Echo(request));
  };
  InferMessage request = Request(std::vector<float>(20'000));
  request.set_model_name(std::string("echo"));
  EXPECT_TRUE(Infer(request).first.ok());
  EXPECT_TRUE(borrowed);
  EXPECT_EQ(address % 64, 0u);
}

TEST_F(GrpcInferTest, TypedContents) {
  EXPECT_EQ(Values<float>(Received(
                Typed("FP32", 2, [](auto& c) { c.add_fp32_contents(1.5f), c.add_fp32_contents(2); }))),
            (std::vector<float>{1.5f, 2}));
  EXPECT_EQ(Values<double>(Received(Typed("FP64", 1, [](auto& c) { c.add_fp64_contents(0.1); }))),
            std::vector<double>{0.1});
  EXPECT_EQ(Values<int8_t>(Received(
                Typed("INT8", 2, [](auto& c) { c.add_int_contents(-128), c.add_int_contents(127); }))),
            (std::vector<int8_t>{-128, 127}));
  EXPECT_EQ(Values<int16_t>(Received(Typed("INT16", 1, [](auto& c) { c.add_int_contents(-32768); }))),
            std::vector<int16_t>{-32768});
  EXPECT_EQ(Values<int32_t>(Received(Typed("INT32", 1, [](auto& c) { c.add_int_contents(-7); }))),
            std::vector<int32_t>{-7});
  EXPECT_EQ(Values<int64_t>(Received(Typed("INT64", 1, [](auto& c) { c.add_int64_contents(1LL << 40); }))),
            std::vector<int64_t>{1LL << 40});
  EXPECT_EQ(Values<uint8_t>(Received(Typed("UINT8", 1, [](auto& c) { c.add_uint_contents(255); }))),
            std::vector<uint8_t>{255});
  EXPECT_EQ(Values<uint16_t>(Received(Typed("UINT16", 1, [](auto& c) { c.add_uint_contents(65535); }))),
            std::vector<uint16_t>{65535});
  EXPECT_EQ(Values<uint32_t>(Received(Typed("UINT32", 1, [](auto& c) { c.add_uint_contents(1u << 31); }))),
            std::vector<uint32_t>{1u << 31});
  EXPECT_EQ(
      Values<uint64_t>(Received(Typed("UINT64", 1, [](auto& c) { c.add_uint64_contents(1ull << 63); }))),
      std::vector<uint64_t>{1ull << 63});
  EXPECT_EQ(Values<bool>(Received(
                Typed("BOOL", 2, [](auto& c) { c.add_bool_contents(true), c.add_bool_contents(false); }))),
            (std::vector<bool>{true, false}));
  EXPECT_EQ(Values<std::string>(Received(Typed(
                "BYTES", 2, [](auto& c) { c.add_bytes_contents("a\0b", 3), c.add_bytes_contents(""); }))),
            (std::vector<std::string>{std::string("a\0b", 3), ""}));
  EXPECT_EQ(Received(Typed("FP32", 0, [](auto&) {})).num_elements(), 0);
}

TEST_F(GrpcInferTest, TypedContentsThatDoNotFitAreRefused) {
  ExpectRefused(Typed("INT8", 1, [](auto& c) { c.add_int_contents(128); }), "128 is not of INT8");
  ExpectRefused(Typed("UINT16", 1, [](auto& c) { c.add_uint_contents(65536); }), "65536 is not of UINT16");
  ExpectRefused(Typed("FP32", 2, [](auto& c) { c.add_fp32_contents(1); }),
                "needs 2 elements in fp32_contents");
  ExpectRefused(Typed("FP32", 1, [](auto& c) { c.add_fp64_contents(1); }), "fp32_contents");
  ExpectRefused(Typed("FP32", 1, [](auto& c) { c.add_fp32_contents(1), c.add_int_contents(1); }),
                "nowhere else");
  ExpectRefused(Typed("FP16", 1, [](auto& c) { c.add_fp32_contents(1); }),
                "FP16 goes into raw_input_contents only");
  ExpectRefused(Typed("BF16", 0, [](auto&) {}), "BF16 goes into raw_input_contents only");
}

TEST_F(GrpcInferTest, HalvesAreRaw) {
  const Tensor half = Received(Raw("FP16", {2}, std::string("\x00\x3c\x00\x40", 4)));
  EXPECT_EQ(half.dtype(), DataType::kFloat16);
  const auto [status, response] = Infer(Raw("BF16", {1}, std::string("\x80\x3f", 2)));
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(response.outputs(0).datatype(), "BF16");
  EXPECT_EQ(response.raw_output_contents(0), std::string("\x80\x3f", 2));
}

TEST_F(GrpcInferTest, RawBytes) {
  const std::string raw("\x02\0\0\0hi\0\0\0\0\x03\0\0\0a\0b", 17);
  EXPECT_EQ(Values<std::string>(Received(Raw("BYTES", {3}, raw))),
            (std::vector<std::string>{"hi", "", std::string("a\0b", 3)}));
  const auto [status, response] = Infer(Raw("BYTES", {3, 1}, raw));
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.raw_output_contents(0), raw);
  // Beyond what answers copy.
  const std::string text(100'000, 'x');
  const uint32_t length = 100'000;
  const std::string large = std::string(reinterpret_cast<const char*>(&length), 4) + text;
  EXPECT_TRUE(Infer(Raw("BYTES", {1}, large)).second.raw_output_contents(0) == large);
}

TEST_F(GrpcInferTest, BytesBeyondTheirDataAreRefused) {
  ExpectRefused(Raw("BYTES", {1}, std::string("\x05\0\0\0hi", 6)), "element 0 of 1 lies beyond");
  ExpectRefused(Raw("BYTES", {1}, std::string("\xff\xff\xff\xffhi", 6)), "element 0 of 1 lies beyond");
  ExpectRefused(Raw("BYTES", {2}, std::string("\x02\0\0\0hi", 6)), "lies beyond");
  ExpectRefused(Raw("BYTES", {1}, std::string("\x01\0\0\0hi", 6)), "1 bytes more");
  ExpectRefused(Raw("BYTES", {1}, std::string("\x01\0", 2)), "lies beyond");
  ExpectRefused(Raw("BYTES", {int64_t{1} << 40}, std::string("\x01\0\0\0h", 5)), "lies beyond");
}

TEST_F(GrpcInferTest, SizesThatDoNotFitAreRefused) {
  ExpectRefused(Raw("FP32", {2, 2}, std::string(12, 0)), "needs 4 elements of 4 bytes, but 12 bytes came");
  ExpectRefused(Raw("FP32", {1}, std::string(5, 0)), "but 5 bytes came");
  ExpectRefused(Raw("FP32", {-1, 2}, std::string(8, 0)), "negative size");
  ExpectRefused(Raw("FP32", {INT64_MIN}, std::string(8, 0)), "negative size");
  ExpectRefused(Raw("FP32", {int64_t{1} << 62, 4}, std::string(8, 0)), "too many elements");
  ExpectRefused(Raw("FP64", {int64_t{1} << 61}, ""), "needs");
  ExpectRefused(Raw("FP32", std::vector<int64_t>(65, 1), std::string(4, 0)), "more than 64 dimensions");
  ExpectRefused(Raw("BOOL", {2}, std::string("\x01\x02", 2)), "0 and 1");
  ExpectRefused(Raw("FP31", {1}, std::string(4, 0)), "datatype 'FP31' is not known");
  ExpectRefused(Raw("", {1}, std::string(4, 0)), "is not known");
}

TEST_F(GrpcInferTest, MixedContentsAreRefused) {
  InferMessage request = Request();
  request.mutable_inputs(0)->mutable_contents()->add_fp32_contents(1);
  ExpectRefused(request, "contents beside raw_input_contents");
  request = Request();
  request.add_raw_input_contents("more");
  ExpectRefused(request, "one for each of the 1 inputs, but 2 came");
  *request.add_inputs() = request.inputs(0);
  request.add_inputs()->set_name("z");
  ExpectRefused(request, "one for each of the 3 inputs, but 2 came");
}

TEST_F(GrpcInferTest, ParametersOutputsAndVersionReachTheService) {
  InferRequest received;
  service_.on_infer = [&](InferRequest request, auto done) {
    InferResponse response = FakeService::Echo(request);
    response.parameters = {
        {"b", true}, {"i", int64_t{-3}}, {"u", uint64_t{1} << 63}, {"d", 0.5}, {"s", std::string("t")}};
    received = std::move(request);
    done(std::move(response));
  };
  InferMessage request = Request();
  request.set_model_version("3");
  auto& parameters = *request.mutable_parameters();
  parameters["timeout"].set_int64_param(5000);
  parameters["priority"].set_uint64_param(2);
  parameters["flag"].set_bool_param(true);
  parameters["text"].set_string_param("hello");
  parameters["number"].set_double_param(1.5);
  (*request.mutable_inputs(0)->mutable_parameters())["note"].set_string_param("n");
  request.add_outputs()->set_name("second");
  request.add_outputs()->set_name("first");
  const auto [status, response] = Infer(request);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(received.version, "3");
  EXPECT_EQ(received.outputs, (std::vector<std::string>{"second", "first"}));
  const Parameters expected = {{"timeout", int64_t{5000}},
                               {"priority", uint64_t{2}},
                               {"flag", true},
                               {"text", std::string("hello")},
                               {"number", 1.5}};
  EXPECT_EQ(received.parameters, expected);
  EXPECT_EQ(received.inputs.at(0).parameters.at("note"), Parameter(std::string("n")));
  EXPECT_FALSE(received.raw);
  EXPECT_FALSE(received.picture);
  EXPECT_FALSE(received.deadline.has_value());
  EXPECT_TRUE(response.parameters().at("b").bool_param());
  EXPECT_EQ(response.parameters().at("i").int64_param(), -3);
  EXPECT_EQ(response.parameters().at("u").uint64_param(), uint64_t{1} << 63);
  EXPECT_EQ(response.parameters().at("d").double_param(), 0.5);
  EXPECT_EQ(response.parameters().at("s").string_param(), "t");
}

TEST_F(GrpcInferTest, WhatIsNotSupportedSaysSo) {
  InferMessage request = Request();
  (*request.mutable_inputs(0)->mutable_parameters())["shared_memory_region"].set_string_param("r");
  ExpectRefused(request, "shared_memory_region", grpc::StatusCode::UNIMPLEMENTED);
  request = Request();
  (*request.mutable_parameters())["empty"];
  ExpectRefused(request, "parameter 'empty' has no value");
}

TEST_F(GrpcInferTest, ClassifiesOutputs) {
  service_.info.labels = {"cat", "dog"};
  InferMessage request = Request({1, 2, 5, 0});
  auto& output = *request.add_outputs();
  output.set_name("x");
  auto& classes = (*output.mutable_parameters())["classification"];
  classes.set_int64_param(1);
  const auto [status, response] = Infer(request);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.outputs(0).datatype(), "BYTES");
  ASSERT_EQ(response.raw_output_contents(0).size(), 2 * 4 + 14u + 14u);
  EXPECT_EQ(response.raw_output_contents(0).substr(4, 14), "2.000000:1:dog");
  EXPECT_EQ(response.raw_output_contents(0).substr(22), "5.000000:0:cat");
  service_.infers = 0;
  classes.set_int64_param(0);
  ExpectRefused(request, "classification");
  classes.set_string_param("1");
  ExpectRefused(request, "classification");
}

TEST_F(GrpcInferTest, ErrorsOfTheServiceBecomeStatuses) {
  const std::vector<std::pair<Reason, grpc::StatusCode>> expected = {
      {Reason::kInvalid, grpc::StatusCode::INVALID_ARGUMENT},
      {Reason::kUnauthenticated, grpc::StatusCode::UNAUTHENTICATED},
      {Reason::kNotFound, grpc::StatusCode::NOT_FOUND},
      {Reason::kTimeout, grpc::StatusCode::DEADLINE_EXCEEDED},
      {Reason::kCancelled, grpc::StatusCode::CANCELLED},
      {Reason::kTooLarge, grpc::StatusCode::RESOURCE_EXHAUSTED},
      {Reason::kRateLimited, grpc::StatusCode::RESOURCE_EXHAUSTED},
      {Reason::kOverloaded, grpc::StatusCode::RESOURCE_EXHAUSTED},
      {Reason::kUnavailable, grpc::StatusCode::UNAVAILABLE},
      {Reason::kUnsupported, grpc::StatusCode::UNIMPLEMENTED},
      {Reason::kInternal, grpc::StatusCode::INTERNAL},
  };
  for (const auto& [reason, code] : expected) {
    service_.on_infer = [reason = reason](InferRequest, auto done) {
      done(ServeError(reason, "für 'x'\n100 %"));
    };
    const grpc::Status status = Infer(Request()).first;
    EXPECT_EQ(status.error_code(), code);
    EXPECT_EQ(status.error_message(), "für 'x'\n100 %");
  }
}

TEST_F(GrpcInferTest, SaysWhenToTryAgain) {
  Start();
  service_.on_infer = [](InferRequest, auto done) {
    done(ServeError(Reason::kOverloaded, "the queue is full", 3));
  };
  grpc::ClientContext context;
  inference::ModelInferResponse response;
  EXPECT_EQ(stub().ModelInfer(&context, Request(), &response).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  const auto& trailing = context.GetServerTrailingMetadata();
  ASSERT_EQ(trailing.count("retry-after"), 1u);
  EXPECT_EQ(trailing.find("retry-after")->second, "3");
  EXPECT_EQ(trailing.find("grpc-retry-pushback-ms")->second, "3000");
}

TEST_F(GrpcInferTest, IdsAndTraces) {
  Start();
  std::string request_id, traceparent;
  service_.on_infer = [&](InferRequest request, auto done) {
    request_id = request.request_id;
    traceparent = request.traceparent;
    done(FakeService::Echo(request));
  };
  const std::string trace = "4bf92f3577b34da6a3ce929d0e0e4736";
  grpc::ClientContext context;
  context.AddMetadata("traceparent", "00-" + trace + "-00f067aa0ba902b7-01");
  context.AddMetadata("x-request-id", "mine-7");
  inference::ModelInferResponse response;
  ASSERT_TRUE(stub().ModelInfer(&context, Request(), &response).ok());
  EXPECT_EQ(request_id, "mine-7");
  EXPECT_EQ(traceparent.substr(0, 36), "00-" + trace + "-");
  EXPECT_EQ(traceparent.substr(52), "-01");
  EXPECT_EQ(context.GetServerTrailingMetadata().find("x-request-id")->second, "mine-7");
  EXPECT_EQ(context.GetServerTrailingMetadata().find("traceparent")->second, traceparent);
  for (const char* wrong : {"00-00000000000000000000000000000000-00f067aa0ba902b7-01", "nonsense",
                            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"}) {
    grpc::ClientContext other;
    other.AddMetadata("traceparent", wrong);
    ASSERT_TRUE(stub().ModelInfer(&other, Request(), &response).ok());
    EXPECT_EQ(traceparent.size(), 55u);
    EXPECT_EQ(traceparent.find(trace), std::string::npos);
    EXPECT_EQ(request_id.size(), 16u);
  }
}

TEST_F(GrpcInferTest, ProfileComesAsText) {
  service_.on_infer = [](InferRequest request, auto done) {
    InferResponse response = FakeService::Echo(request);
    response.profile.emplace_back().node = "conv1";
    done(std::move(response));
  };
  const auto [status, response] = Infer(Request());
  ASSERT_TRUE(status.ok());
  EXPECT_NE(response.parameters().at("profile").string_param().find("\"node\":\"conv1\""), std::string::npos);
}

TEST_F(GrpcInferTest, TypesWithoutANameAreAnError) {
  service_.on_infer = [](InferRequest request, auto done) {
    InferResponse response = FakeService::Echo(request);
    response.outputs.emplace_back("c", Tensor(DataType::kComplex64, {1}));
    done(std::move(response));
  };
  EXPECT_EQ(Infer(Request()).first.error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

}  // namespace
}  // namespace sluice::serve
