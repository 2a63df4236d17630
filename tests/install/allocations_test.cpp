// Counts what steady runs into the caller's memory allocate: allocations_test FOLDER [--print]
// All of malloc's kin is replaced in the whole process. glibc only.
#include <execinfo.h>
#include <sluice/session.h>
#include <sluice/sluice.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <functional>

#include "check.h"

extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* memory, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
}

namespace {

std::atomic<bool> counting = false;
std::atomic<bool> tell = false;
std::atomic<int64_t> own = 0, of_onednn = 0;

// Where libdnnl lies.
uintptr_t onednn_begin = 0, onednn_end = 0;

void FindOneDnn() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("libdnnl") == std::string::npos) continue;
    char* end = nullptr;
    const uintptr_t first = std::strtoull(line.c_str(), &end, 16), last = std::strtoull(end + 1, nullptr, 16);
    if (onednn_begin == 0) onednn_begin = first;
    onednn_end = last;
  }
}

// Counts an allocation, apart where oneDNN is among the callers: its primitives keep their arguments in a
// map.
void Count() {
  if (!counting.load(std::memory_order_relaxed)) return;
  static thread_local bool inside = false;
  if (inside) return;
  inside = true;
  void* callers[40];
  const int count = backtrace(callers, 40);
  bool in_onednn = false;
  for (int i = 0; i < count; ++i) {
    const auto address = reinterpret_cast<uintptr_t>(callers[i]);
    in_onednn = in_onednn || (address >= onednn_begin && address < onednn_end);
  }
  (in_onednn ? of_onednn : own).fetch_add(1, std::memory_order_relaxed);
  if (!in_onednn && tell.exchange(false)) backtrace_symbols_fd(callers, count, 2);
  inside = false;
}

}  // namespace

extern "C" {
__attribute__((visibility("default"))) void* malloc(size_t size) {
  Count();
  return __libc_malloc(size);
}
__attribute__((visibility("default"))) void* calloc(size_t count, size_t size) {
  Count();
  return __libc_calloc(count, size);
}
__attribute__((visibility("default"))) void* realloc(void* memory, size_t size) {
  Count();
  return __libc_realloc(memory, size);
}
__attribute__((visibility("default"))) void* memalign(size_t alignment, size_t size) {
  Count();
  return __libc_memalign(alignment, size);
}
__attribute__((visibility("default"))) void* aligned_alloc(size_t alignment, size_t size) {
  return memalign(alignment, size);
}
__attribute__((visibility("default"))) int posix_memalign(void** memory, size_t alignment, size_t size) {
  *memory = memalign(alignment, size);
  return *memory == nullptr ? ENOMEM : 0;
}
}

namespace {

struct Counts {
  int64_t own, of_onednn;
};

constexpr int kRuns = 200;

// What `run` allocates in kRuns calls once caches and pools are full. A thread of TBB that takes part for the
// first time allocates its own, so a few rounds may pass until none does.
Counts Measure(const std::function<void()>& run) {
  for (int round = 0;; ++round) {
    for (int i = 0; i < kRuns; ++i) run();
    own = of_onednn = 0;
    counting = true;
    for (int i = 0; i < kRuns; ++i) run();
    counting = false;
    if (own == 0 || round == 5) return {own, of_onednn};
  }
}

// A tensor of whatever the model says, with memory of its own.
sluice::Tensor TensorFor(const sluice::ValueInfo& info) {
  sluice::Shape shape = info.shape;
  for (int64_t& size : shape) size = size < 0 ? 3 : size;
  sluice::Tensor tensor(info.dtype, shape);
  float value = 0;
  for (float& element : tensor.mutable_values<float>()) element = value = value > 1 ? -1 : value + 0.3f;
  return tensor;
}

sluice_tensor Describe(sluice::Tensor& tensor) {
  sluice_tensor result = SLUICE_INIT(sluice_tensor);
  result.type = static_cast<sluice_type>(tensor.dtype());
  result.rank = static_cast<int32_t>(tensor.rank());
  std::copy(tensor.shape().begin(), tensor.shape().end(), result.shape);
  result.data = tensor.mutable_data();
  result.byte_size = result.capacity = static_cast<size_t>(tensor.byte_size());
  return result;
}

bool failed = false;

void Report(const std::string& what, Counts counts, bool onednn_expected) {
  std::printf("%-44s %6.2f allocations a run, %6.2f of oneDNN\n", what.c_str(),
              static_cast<double>(counts.own) / kRuns, static_cast<double>(counts.of_onednn) / kRuns);
  if (counts.own != 0 || (!onednn_expected && counts.of_onednn != 0)) failed = true;
}

void Test(const std::string& folder, const std::string& model, int threads, bool onednn) {
  const std::string what = model + ", " + std::to_string(threads) + " threads, ";
  {
    sluice::SessionOptions options;
    options.threads = threads;
    const sluice::Session session = sluice::Session::Load(folder + "/" + model, options);
    std::vector<sluice::Value> inputs = {TensorFor(session.inputs()[0])},
                               outputs = {TensorFor(session.outputs()[0])};
    Report(what + "C++ by position", Measure([&] { session.RunInto(inputs, outputs); }), onednn);
    const sluice::NamedValues named_inputs = {{"x", inputs[0]}};
    sluice::NamedValues named_outputs = {{"y", outputs[0]}};
    Report(what + "C++ by name", Measure([&] { session.RunInto(named_inputs, named_outputs); }), onednn);
  }
  sluice_options* options = nullptr;
  sluice_session* session = nullptr;
  CHECK(sluice_options_create(&options) == SLUICE_OK);
  CHECK(sluice_options_set_threads(options, threads) == SLUICE_OK);
  CHECK(sluice_session_load((folder + "/" + model).c_str(), options, &session) == SLUICE_OK);
  const sluice::Session shapes = sluice::Session::Load(folder + "/" + model);
  sluice::Tensor x = TensorFor(shapes.inputs()[0]), y = TensorFor(shapes.outputs()[0]);
  sluice_tensor input = Describe(x), output = Describe(y);
  Report(what + "C",
         Measure([&] { CHECK(sluice_session_run(session, &input, 1, &output, 1, nullptr) == SLUICE_OK); }),
         onednn);
  sluice_session_release(session);
  sluice_options_release(options);
}

}  // namespace

int main(int argc, char** argv) {
  CHECK(argc >= 2);
  void* callers[4];
  backtrace(callers, 4);  // loads what it needs
  FindOneDnn();
  CHECK(onednn_begin != 0);
  tell = argc > 2;
  for (int threads : {1, 2, 4}) {
    Test(argv[1], "dense.onnx", threads, false);
    Test(argv[1], "plain.onnx", threads, false);
    Test(argv[1], "conv.onnx", threads, false);
    Test(argv[1], "groups.onnx", threads, true);
    Test(argv[1], "product.onnx", threads, true);
  }
  // Runs whose results are made for the caller are seen to allocate.
  const sluice::Session session = sluice::Session::Load(std::string(argv[1]) + "/dense.onnx");
  const sluice::NamedValues inputs = {{"x", TensorFor(session.inputs()[0])}};
  CHECK(Measure([&] { session.Run(inputs); }).own > 0);
  return failed ? 1 : 0;
}
