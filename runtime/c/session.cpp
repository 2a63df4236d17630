#include <algorithm>

#include "runtime/c/handles.h"
#include "runtime/c/status.h"

namespace {

std::vector<std::vector<const char*>> DimNames(const std::vector<sluice::ValueInfo>& infos) {
  std::vector<std::vector<const char*>> all;
  for (const sluice::ValueInfo& info : infos) {
    std::vector<const char*>& names = all.emplace_back();
    for (const std::string& name : info.dim_names) names.push_back(name.c_str());
  }
  return all;
}

}  // namespace

sluice_session::sluice_session(sluice::Session loaded)
    : input_dims(DimNames(loaded.inputs())),
      output_dims(DimNames(loaded.outputs())),
      metadata(loaded.metadata().begin(), loaded.metadata().end()),
      session(std::move(loaded)) {}

std::unique_ptr<sluice::c::Call> sluice_session::TakeCall() const {
  {
    const std::lock_guard lock(mutex);
    if (!calls.empty()) {
      std::unique_ptr<sluice::c::Call> call = std::move(calls.back());
      calls.pop_back();
      return call;
    }
  }
  return std::make_unique<sluice::c::Call>();
}

void sluice_session::GiveCall(std::unique_ptr<sluice::c::Call> call) const {
  const std::lock_guard lock(mutex);
  calls.push_back(std::move(call));
}

namespace sluice::c {
namespace {

const SessionOptions& OptionsOf(const sluice_options* handle) {
  static const SessionOptions defaults;
  return handle == nullptr ? defaults : handle->options;
}

template <typename T>
const T& At(const std::vector<T>& list, size_t index, const char* what) {
  if (index < list.size()) return list[index];
  Refuse(std::string(what) + " " + std::to_string(index) + " of " + std::to_string(list.size()));
}

void Fill(const std::vector<ValueInfo>& infos, const std::vector<std::vector<const char*>>& dims,
          size_t index, const char* what, sluice_value_info* out) {
  sluice_value_info& result = Structure(out, "sluice_value_info");
  const ValueInfo& info = At(infos, index, what);
  result.name = info.name.c_str();
  result.kind = info.is_sequence   ? SLUICE_KIND_SEQUENCE
                : info.is_optional ? SLUICE_KIND_OPTIONAL
                : info.is_map      ? SLUICE_KIND_MAP
                                   : SLUICE_KIND_TENSOR;
  result.type = static_cast<sluice_type>(info.dtype);
  result.rank = info.has_shape ? static_cast<int32_t>(info.shape.size()) : -1;
  result.shape = info.shape.data();
  result.dim_names = dims[index].data();
}

void Find(const std::vector<ValueInfo>& infos, const char* what, const char* name, size_t* index) {
  Require(name, "name");
  Require(index, "index");
  const auto found =
      std::find_if(infos.begin(), infos.end(), [&](const ValueInfo& info) { return info.name == name; });
  if (found == infos.end()) Refuse(std::string("the model has no ") + what + " '" + name + "'");
  *index = static_cast<size_t>(found - infos.begin());
}

RunOptions RunOptionsOf(const sluice_run_options* given) {
  RunOptions options;
  if (given == nullptr) return options;
  Structure(given, "sluice_run_options");
  if (given->timeout_ns < 0)
    Refuse("timeout_ns is " + std::to_string(given->timeout_ns) + ", expected 0 or more");
  if (given->timeout_ns > 0) {
    const auto now = std::chrono::steady_clock::now();
    const std::chrono::nanoseconds left = std::chrono::steady_clock::time_point::max() - now;
    // Beyond the end of the clock: no deadline.
    if (std::chrono::nanoseconds(given->timeout_ns) < left)
      options.deadline = now + std::chrono::nanoseconds(given->timeout_ns);
  }
  if (given->cancel != nullptr) options.cancel = &given->cancel->requested;
  return options;
}

// The values of a run, which go back to the session for the next one.
class BorrowedCall {
 public:
  explicit BorrowedCall(const sluice_session& session) : session_(session), call_(session.TakeCall()) {}
  ~BorrowedCall() { session_.GiveCall(std::move(call_)); }
  BorrowedCall(const BorrowedCall&) = delete;
  BorrowedCall& operator=(const BorrowedCall&) = delete;
  Call& operator*() const { return *call_; }

 private:
  const sluice_session& session_;
  std::unique_ptr<Call> call_;
};

struct AsyncRun {
  AsyncRun(const sluice_session& session, Array<sluice_tensor> tensors, sluice_done_callback done_callback,
           void* user_data)
      : infos(session.session.outputs()),
        call(session),
        outputs(tensors),
        done(done_callback),
        user(user_data) {}

  void End(const std::exception_ptr& error) noexcept {
    const sluice_status status = Guard([&] {
      if (error) std::rethrow_exception(error);
      GiveOutputs(*call, outputs, infos);
    });
    done(status, status == SLUICE_OK ? "" : sluice_last_error(), user);
  }

  const std::vector<ValueInfo>& infos;
  BorrowedCall call;
  Array<sluice_tensor> outputs;
  sluice_done_callback done;
  void* user;
};

}  // namespace
}  // namespace sluice::c

using namespace sluice;     // NOLINT: the rest of this file defines C functions alone
using namespace sluice::c;  // NOLINT

extern "C" {

sluice_status sluice_session_load(const char* path, const sluice_options* options, sluice_session** session) {
  return Guard([&] {
    Require(path, "path");
    Give(session, "session", [&] { return new sluice_session(Session::Load(path, OptionsOf(options))); });
  });
}

sluice_status sluice_session_load_bytes(const void* bytes, size_t size, const sluice_options* options,
                                        sluice_session** session) {
  return Guard([&] {
    if (size > 0 && bytes == nullptr) Refuse("bytes is NULL");
    const std::span model(static_cast<const std::byte*>(bytes), size);
    Give(session, "session", [&] { return new sluice_session(Session::LoadBytes(model, OptionsOf(options))); });
  });
}

sluice_status sluice_compile(const char* model, const char* file, const sluice_options* options) {
  return Guard([&] { Session::Compile(&Require(model, "model"), &Require(file, "file"), OptionsOf(options)); });
}

void sluice_session_release(sluice_session* session) { delete session; }

size_t sluice_session_num_inputs(const sluice_session* session) {
  return session == nullptr ? 0 : session->session.inputs().size();
}

size_t sluice_session_num_outputs(const sluice_session* session) {
  return session == nullptr ? 0 : session->session.outputs().size();
}

sluice_status sluice_session_input(const sluice_session* session, size_t index, sluice_value_info* info) {
  return Guard(
      [&] { Fill(Require(session, "session").session.inputs(), session->input_dims, index, "input", info); });
}

sluice_status sluice_session_output(const sluice_session* session, size_t index, sluice_value_info* info) {
  return Guard([&] {
    Fill(Require(session, "session").session.outputs(), session->output_dims, index, "output", info);
  });
}

sluice_status sluice_session_find_input(const sluice_session* session, const char* name, size_t* index) {
  return Guard([&] { Find(Require(session, "session").session.inputs(), "input", name, index); });
}

sluice_status sluice_session_find_output(const sluice_session* session, const char* name, size_t* index) {
  return Guard([&] { Find(Require(session, "session").session.outputs(), "output", name, index); });
}

size_t sluice_session_num_metadata(const sluice_session* session) {
  return session == nullptr ? 0 : session->metadata.size();
}

sluice_status sluice_session_metadata(const sluice_session* session, size_t index, const char** key,
                                      const char** value) {
  return Guard([&] {
    const auto& entry = At(Require(session, "session").metadata, index, "metadata entry");
    Require(key, "key");
    Require(value, "value") = entry.second.c_str();
    *key = entry.first.c_str();
  });
}

sluice_status sluice_session_find_metadata(const sluice_session* session, const char* key,
                                           const char** value) {
  return Guard([&] {
    const auto& entries = Require(session, "session").metadata;
    Require(key, "key");
    const auto found =
        std::find_if(entries.begin(), entries.end(), [&](const auto& entry) { return entry.first == key; });
    Require(value, "value") = found == entries.end() ? nullptr : found->second.c_str();
  });
}

int32_t sluice_session_threads(const sluice_session* session) {
  return session == nullptr ? 0 : session->session.threads();
}

sluice_status sluice_session_prepare(const sluice_session* session, const sluice_tensor* inputs,
                                     size_t num_inputs) {
  return Guard([&] {
    const std::vector<ValueInfo>& infos = Require(session, "session").session.inputs();
    const Array<const sluice_tensor> tensors(inputs, num_inputs, "sluice_tensor");
    if (num_inputs != infos.size())
      Refuse(std::to_string(num_inputs) + " inputs given, the model has " + std::to_string(infos.size()));
    std::map<std::string, Shape> shapes;
    for (size_t i = 0; i < num_inputs; ++i) {
      const std::string what = "input '" + infos[i].name + "'";
      if (CheckedType(tensors[i].type, what) == DataType::kUndefined) continue;
      if (CheckedType(tensors[i].type, what) != infos[i].dtype) {
        Refuse(what + ": expected " + std::string(DataTypeName(infos[i].dtype)) + ", found " +
               sluice_type_name(tensors[i].type));
      }
      const std::span<const int64_t> shape = CheckedShape(tensors[i], what);
      shapes[infos[i].name] = Shape(shape.begin(), shape.end());
    }
    session->session.Prepare(shapes);
  });
}

sluice_status sluice_cancel_create(sluice_cancel** cancel) {
  return Guard([&] { Give(cancel, "cancel", [] { return new sluice_cancel(); }); });
}

void sluice_cancel_release(sluice_cancel* cancel) { delete cancel; }

void sluice_cancel_request(sluice_cancel* cancel) {
  if (cancel != nullptr) cancel->requested = true;
}

void sluice_cancel_reset(sluice_cancel* cancel) {
  if (cancel != nullptr) cancel->requested = false;
}

sluice_status sluice_session_run(const sluice_session* session, const sluice_tensor* inputs,
                                 size_t num_inputs, sluice_tensor* outputs, size_t num_outputs,
                                 const sluice_run_options* options) {
  return Guard([&] {
    const Session& loaded = Require(session, "session").session;
    const RunOptions run_options = RunOptionsOf(options);
    const Array<const sluice_tensor> in(inputs, num_inputs, "sluice_tensor");
    const Array<sluice_tensor> out(outputs, num_outputs, "sluice_tensor");
    const BorrowedCall call(*session);
    TakeInputs(in, loaded.inputs(), *call);
    TakeOutputs(out, loaded.outputs(), *call);
    loaded.RunInto((*call).inputs, (*call).outputs, run_options);
    GiveOutputs(*call, out, loaded.outputs());
  });
}

sluice_status sluice_session_run_async(const sluice_session* session, const sluice_tensor* inputs,
                                       size_t num_inputs, sluice_tensor* outputs, size_t num_outputs,
                                       const sluice_run_options* options, sluice_done_callback done,
                                       void* user) {
  return Guard([&] {
    const Session& loaded = Require(session, "session").session;
    if (done == nullptr) Refuse("done is NULL");
    const RunOptions run_options = RunOptionsOf(options);
    const Array<const sluice_tensor> in(inputs, num_inputs, "sluice_tensor");
    const auto run = std::make_shared<AsyncRun>(
        *session, Array<sluice_tensor>(outputs, num_outputs, "sluice_tensor"), done, user);
    TakeInputs(in, loaded.inputs(), *run->call);
    TakeOutputs(run->outputs, loaded.outputs(), *run->call);
    loaded.RunIntoAsync((*run->call).inputs, (*run->call).outputs, run_options,
                        [run](const std::exception_ptr& error) { run->End(error); });
  });
}

sluice_status sluice_session_profile(const sluice_session* session, sluice_profile** profile) {
  return Guard([&] {
    auto result = std::make_unique<sluice_profile>();
    result->steps = Require(session, "session").session.profile();
    Give(profile, "profile", [&] { return result.release(); });
  });
}

void sluice_profile_release(sluice_profile* profile) { delete profile; }

size_t sluice_profile_num_steps(const sluice_profile* profile) {
  return profile == nullptr ? 0 : profile->steps.size();
}

sluice_status sluice_profile_step(const sluice_profile* profile, size_t index, sluice_step* step) {
  return Guard([&] {
    const StepProfile& from = At(Require(profile, "profile").steps, index, "step");
    sluice_step& to = Structure(step, "sluice_step");
    to.node = from.node.c_str();
    to.op = from.op.c_str();
    to.kernel = from.kernel.c_str();
    to.output_shape = from.output_shape.c_str();
    to.calls = from.calls;
    to.total_ns = from.total_ns;
    to.flops = from.flops;
  });
}

}  // extern "C"
