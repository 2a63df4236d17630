#include "runtime/c/handles.h"
#include "runtime/c/status.h"

namespace sluice::c {
namespace {

class ProgramAllocator : public Allocator {
 public:
  explicit ProgramAllocator(const sluice_allocator& functions) : functions_(functions) {}
  void* Allocate(size_t bytes) noexcept override { return functions_.allocate(bytes, functions_.user); }
  void Free(void* memory, size_t bytes) noexcept override { functions_.free(memory, bytes, functions_.user); }

 private:
  const sluice_allocator functions_;
};

// Sets something in the options that `handle` has.
template <typename Fn>
sluice_status Set(sluice_options* handle, Fn set) noexcept {
  return Guard([&] { set(Require(handle, "options").options); });
}

bool Flag(int32_t value, const char* name) {
  if (value != 0 && value != 1)
    Refuse(std::string(name) + " is " + std::to_string(value) + ", expected 0 or 1");
  return value == 1;
}

}  // namespace
}  // namespace sluice::c

using namespace sluice;     // NOLINT: this file defines the C functions alone
using namespace sluice::c;  // NOLINT

extern "C" {

sluice_status sluice_options_create(sluice_options** options) {
  return Guard([&] { Give(options, "options", [] { return new sluice_options(); }); });
}

void sluice_options_release(sluice_options* options) { delete options; }

sluice_status sluice_options_set_threads(sluice_options* options, int32_t threads) {
  return Set(options, [&](SessionOptions& o) {
    if (threads < 0) Refuse("threads is " + std::to_string(threads) + ", expected 0 or more");
    o.threads = threads;
  });
}

sluice_status sluice_options_set_tbb_arena(sluice_options* options, void* arena) {
  return Set(options, [&](SessionOptions& o) { o.tbb_arena = arena; });
}

sluice_status sluice_options_set_passes(sluice_options* options, int32_t enabled) {
  return Set(options, [&](SessionOptions& o) { o.passes = Flag(enabled, "enabled"); });
}

sluice_status sluice_options_disable_pass(sluice_options* options, const char* pass) {
  return Set(options, [&](SessionOptions& o) { o.disabled_passes.emplace_back(&Require(pass, "pass")); });
}

sluice_status sluice_options_set_input_shape(sluice_options* options, const char* input, const int64_t* shape,
                                             int32_t rank) {
  return Set(options, [&](SessionOptions& o) {
    if (rank < 0 || rank > SLUICE_MAX_RANK)
      Refuse("rank is " + std::to_string(rank) + ", expected 0 to " + std::to_string(SLUICE_MAX_RANK));
    if (rank > 0) Require(shape, "shape");
    o.input_shapes[&Require(input, "input")] = Shape(shape, shape + rank);
  });
}

sluice_status sluice_options_set_cache(sluice_options* options, int32_t max_plans, int64_t max_bytes) {
  return Set(options, [&](SessionOptions& o) {
    if (max_plans < 1) Refuse("max_plans is " + std::to_string(max_plans) + ", expected 1 or more");
    if (max_bytes < 0) Refuse("max_bytes is " + std::to_string(max_bytes) + ", expected 0 or more");
    o.max_plans = max_plans;
    o.max_cached_bytes = max_bytes;
  });
}

sluice_status sluice_options_set_tuning_file(sluice_options* options, const char* path) {
  return Set(options, [&](SessionOptions& o) { o.tuning_file = path == nullptr ? "" : path; });
}

sluice_status sluice_options_set_copy_files(sluice_options* options, int32_t enabled) {
  return Set(options, [&](SessionOptions& o) { o.copy_files = Flag(enabled, "enabled"); });
}

sluice_status sluice_options_set_cache_folder(sluice_options* options, const char* path) {
  return Set(options, [&](SessionOptions& o) { o.cache_folder = path == nullptr ? "" : path; });
}

sluice_status sluice_options_set_verify_compiled(sluice_options* options, int32_t enabled) {
  return Set(options, [&](SessionOptions& o) { o.verify_compiled = Flag(enabled, "enabled"); });
}

sluice_status sluice_options_set_accuracy(sluice_options* options, int32_t accuracy) {
  return Set(options, [&](SessionOptions& o) {
    if (accuracy < 0 || accuracy > 2) Refuse("accuracy is " + std::to_string(accuracy) + ", expected 0, 1 or 2");
    o.accuracy = static_cast<Accuracy>(accuracy);
  });
}

sluice_status sluice_options_set_max_weight_bytes(sluice_options* options, int64_t max_bytes) {
  return Set(options, [&](SessionOptions& o) {
    if (max_bytes < 0) Refuse("max_bytes is " + std::to_string(max_bytes) + ", expected 0 or more");
    o.max_weight_bytes = max_bytes;
  });
}

sluice_status sluice_options_set_profile(sluice_options* options, int32_t enabled) {
  return Set(options, [&](SessionOptions& o) { o.profile = Flag(enabled, "enabled"); });
}

sluice_status sluice_options_set_log(sluice_options* options, sluice_log_callback callback, void* user) {
  return Set(options, [&](SessionOptions& o) {
    o.log = nullptr;
    if (callback == nullptr) return;
    o.log = [callback, user](LogLevel level, std::string_view text) {
      callback(static_cast<int32_t>(level), std::string(text).c_str(), user);
    };
  });
}

sluice_status sluice_options_set_allocator(sluice_options* options, const sluice_allocator* allocator) {
  return Set(options, [&](SessionOptions& o) {
    o.allocator = nullptr;
    if (allocator == nullptr) return;
    const sluice_allocator& functions = Structure(allocator, "sluice_allocator");
    if (functions.allocate == nullptr || functions.free == nullptr)
      Refuse("sluice_allocator: allocate and free must be set");
    o.allocator = std::make_shared<ProgramAllocator>(functions);
  });
}

}  // extern "C"
