// Beside a program's own OpenMP, TBB, protobuf, ONNX and OpenCV: beside_others_test FOLDER
#include <omp.h>
#include <onnx/checker.h>
#include <onnx/onnx_pb.h>
#include <onnx/shape_inference/implementation.h>
#include <sluice/session.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <atomic>
#include <cmath>
#include <fstream>
#include <opencv2/dnn.hpp>
#include <thread>

#include "check.h"

namespace {

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

int OpenMpTeam() {
  std::atomic<int> threads = 0;
#pragma omp parallel
  ++threads;
  return threads;
}

sluice::Tensor Input(const sluice::Session& session) {
  sluice::Tensor x(sluice::DataType::kFloat, session.inputs()[0].shape);
  float value = -1;
  for (float& element : x.mutable_values<float>()) element = value = value > 1 ? -1.f : value + 0.37f;
  return x;
}

bool Same(const sluice::Value& a, const sluice::Value& b) {
  const auto x = a.tensor().values<float>(), y = b.tensor().values<float>();
  return std::equal(x.begin(), x.end(), y.begin(), y.end());
}

}  // namespace

int main(int argc, char** argv) {
  CHECK(argc == 2);
  const std::string path = std::string(argv[1]) + "/conv.onnx";
  // As many threads as the arena below has, whatever the machine.
  const tbb::global_control threads(tbb::global_control::max_allowed_parallelism, 4);
  omp_set_num_threads(3);
  omp_set_dynamic(0);
  CHECK(OpenMpTeam() == 3);

  // The same messages from the ONNX library and from inside of Sluice.
  onnx::ModelProto model;
  CHECK(model.ParseFromString(ReadAll(path)));
  onnx::checker::check_model(model);
  onnx::shape_inference::InferShapes(model);
  const sluice::Session session = sluice::Session::Load(path);
  const sluice::Tensor x = Input(session);
  const sluice::Value want = session.Run({{"x", x}}).at("y");
  CHECK(OpenMpTeam() == 3);

  // OpenCV computes the same.
  cv::dnn::Net net = cv::dnn::readNetFromONNX(path);
  const int sizes[] = {1, 3, 128, 128};
  net.setInput(cv::Mat(4, sizes, CV_32F, const_cast<void*>(x.data())));
  const cv::Mat other = net.forward();
  const auto y = want.tensor().values<float>();
  CHECK(other.total() == y.size());
  for (size_t i = 0; i < y.size(); ++i) CHECK(std::fabs(other.ptr<float>()[i] - y[i]) < 1e-3f);

  // Inside of the program's tasks and teams, and in an arena of its own.
  std::atomic<int> wrong = 0;
  tbb::parallel_for(0, 20, [&](int) { wrong += !Same(session.Run({{"x", x}}).at("y"), want); });
#pragma omp parallel for
  for (int i = 0; i < 12; ++i) wrong += !Same(session.Run({{"x", x}}).at("y"), want);
  tbb::task_arena arena(3);
  {
    sluice::SessionOptions options;
    options.tbb_arena = &arena;
    const sluice::Session borrowed = sluice::Session::Load(path, options);
    CHECK(borrowed.threads() == 3);
    for (int i = 0; i < 5; ++i) wrong += !Same(borrowed.Run({{"x", x}}).at("y"), want);
    wrong += !Same(borrowed.RunAsync({{"x", x}}).get().at("y"), want);
    arena.execute([&] { wrong += !Same(borrowed.Run({{"x", x}}).at("y"), want); });
    // The arena's threads keep the program's OpenMP settings.
    std::atomic<int> wrong_teams = 0;
    arena.execute([&] {
      tbb::parallel_for(0, 50, [&](int) {
        omp_set_num_threads(2);
        borrowed.Run({{"x", x}});
        wrong_teams += omp_get_max_threads() != 2;
      });
    });
    CHECK(wrong_teams == 0);
  }
  // All at once.
  std::thread sluice_thread([&] {
    for (int i = 0; i < 20; ++i) wrong += !Same(session.Run({{"x", x}}).at("y"), want);
  });
  std::thread opencv_thread([&] {
    for (int i = 0; i < 5; ++i) {
      net.setInput(cv::Mat(4, sizes, CV_32F, const_cast<void*>(x.data())));
      net.forward();
    }
  });
  omp_set_num_threads(3);
  for (int i = 0; i < 20; ++i) CHECK(OpenMpTeam() == 3);
  sluice_thread.join();
  opencv_thread.join();
  CHECK(wrong == 0);
  google::protobuf::ShutdownProtobufLibrary();
  return 0;
}
