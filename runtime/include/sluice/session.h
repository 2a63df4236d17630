#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/custom_operator.h"
#include "sluice/accuracy.h"
#include "sluice/error.h"
#include "sluice/tensor.h"

#pragma GCC visibility push(default)

namespace sluice {

// Where a session takes the memory of its runs from. Any thread calls it, many at once.
class Allocator {
 public:
  virtual ~Allocator();
  // At least `bytes` bytes, aligned to 64, which stay until Free; null where there are none, which is an
  // Error{kOutOfMemory}. Must not throw.
  virtual void* Allocate(size_t bytes) noexcept = 0;
  // `memory` came from Allocate(bytes).
  virtual void Free(void* memory, size_t bytes) noexcept = 0;
};

enum class LogLevel {
  kInfo,     // a model was loaded, a plan was made or dropped, and how long it took
  kVerbose,  // what passes did, which kernels were chosen and which declined
};

struct SessionOptions {
  // Threads that runs may use, the caller's included. 0: as many as the processor affinity and the
  // cgroup quota allow. Sessions that ask for the same number share one pool.
  int threads = 0;
  // A tbb::task_arena of the program's own TBB to run in, instead of `threads`; it must outlive the session. Null:
  // none. Asynchronous runs are put into it too.
  void* tbb_arena = nullptr;
  // Of the arenas that runs compute in and of the results that they return. Null: the process's own. It lives
  // until the session and all results are gone.
  std::shared_ptr<Allocator> allocator;
  // Told what the session does, on whatever thread does it. Must not throw and must not use the session. Empty:
  // nothing is logged.
  std::function<void(LogLevel, std::string_view)> log;
  // Operators of the program's own, looked up before Sluice's.
  std::vector<std::shared_ptr<const CustomOperator>> operators;
  // Names of passes that are not run; see `sluice inspect --fusions`.
  std::vector<std::string> disabled_passes;
  // False: no pass at all; the model runs as it is written.
  bool passes = true;
  // Shapes that replace those that the model declares for an input: name -> shape, -1 leaves a size open.
  std::map<std::string, Shape> input_shapes;
  // Plans are made per combination of input shapes; at most this many are kept, the one used longest ago goes first.
  int max_plans = 16;
  // Empty: a cost model chooses the kernel of each step. Otherwise the kernels that could run a convolution
  // or matrix product are measured when a plan is made, the fastest is kept, and the choice is remembered in
  // this file, for this processor, version, number of threads and these shapes; what the file knows is not
  // measured again. Results may differ in their last bits from one choice to another. The file may be shared
  // by processes.
  std::string tuning_file;
  // What kernels may trade for speed; the cost model decides where it pays.
  Accuracy accuracy = Accuracy::kDefault;
  // About what the weights of a plan may take in the kernels' own order. Most of Winograd's forms take up to 4 times what
  // the model states (with Accuracy::kFast 7, at stride 2 9 times), so that the largest go without them where all would
  // take more. Not below what the model's weights are. By default there is no limit.
  int64_t max_weight_bytes = INT64_MAX;
  // What kept plans (their packed weights included) and the memory of past runs may hold together between runs.
  // Beyond it plans are dropped, but for the one used last, and then memory of runs. The model's own weights do not
  // count, nor does what is being used by a run.
  int64_t max_cached_bytes = int64_t{1} << 30;
  // Collect the time of every step; see Session::profile.
  bool profile = false;
  // Load reads the model's files into memory instead of mapping them. They may then be overwritten or cut while
  // the session is in use; of mapped files that ends the process. Costs the memory of weights that no kernel packs.
  bool copy_files = false;
  // A folder for compiled models, made if it is not there; empty: none, and no file is ever written but a tuning
  // file. Load looks there for what it has made of the same model (file, size, time of its last change) for the same
  // options, on the same kind of machine and by the same version before, maps that, which takes milliseconds, and
  // writes it where it is missing, stale or damaged: to another name first, so that any number of processes may use
  // the folder at once. Where the folder cannot be written the model is loaded as without it; `log` is told. Files in
  // it may be removed at any time.
  std::string cache_folder;
  // Load checks the checksums of a compiled model's weights too, for which all of them are read. Without it damaged
  // weights, unlike all other damage, go unseen and give wrong results.
  bool verify_compiled = false;
};

// A model's input or output. -1 is a size that may vary; dim_names has its name or "".
struct ValueInfo {
  std::string name;
  DataType dtype = DataType::kUndefined;
  bool has_shape = false;
  Shape shape;
  std::vector<std::string> dim_names;
  bool is_sequence = false;
  // May be absent, and may be a sequence though is_sequence is false.
  bool is_optional = false;
  // A map from key_type to dtype, or with is_sequence a sequence of those.
  bool is_map = false;
  DataType key_type = DataType::kUndefined;
  // An output that depends on an operator of which the standard states the distribution, not the numbers:
  // other implementations give others.
  bool is_random = false;
};

// What one step of the last plan cost, over all runs so far.
struct StepProfile {
  std::string node;                       // name of the node, or of its output
  std::string op;                         // "Conv + LeakyRelu(0.1)"
  std::string kernel;                     // "oneDNN jit:avx512_core", "reorder"
  std::vector<std::string> input_shapes;  // "float [1, 3, 416, 416] nchw"
  std::string output_shape;
  std::vector<std::string> declined;  // kernels preferred to this one, and why they do not do it
  int64_t tiles = 1;                  // independent pieces
  int64_t calls = 0;
  int64_t total_ns = 0;  // wall time between the start of the first tile and the end of the last
  int64_t flops = 0;     // of one call; 0 where not counted
};

// One tile's time, for trace files; kept for the last run only.
struct TraceEvent {
  int step = 0;          // index into the profile
  int thread = 0;        // small number of the thread
  int64_t begin_ns = 0;  // since the start of the run
  int64_t end_ns = 0;
};

// What a pass did to the graph, or why it left a place alone.
struct PassNote {
  std::string pass;
  std::string place;  // node
  std::string text;   // "fused LeakyRelu(0.1)", "kept: the value between has a second user"
  bool applied = false;
};

struct PlanInfo {
  int64_t arena_bytes = 0;      // memory of one run for intermediate values
  int64_t live_peak_bytes = 0;  // lower bound: the largest sum of values alive at a time
  int64_t packed_bytes = 0;     // weights in the kernels' own order
  int64_t flops = 0;            // multiplications and additions of one run
  int64_t steps = 0;
  int64_t reorders = 0;
};

// What a session keeps between runs; see SessionOptions::max_cached_bytes.
struct CacheInfo {
  int64_t plans = 0;             // kept; those of graphs inside nodes (bodies of loops) count too
  int64_t plans_made = 0;        // since the session was loaded
  int64_t plan_bytes = 0;        // of the kept plans and their packed weights; code made at run time is estimated
  int64_t idle_arena_bytes = 0;  // memory of past runs that waits for the next
};

// A value that a step of a run has just computed. Of a fused step it is what comes out at its end.
struct ObservedValue {
  std::string name;           // of the value in the model
  std::string node;
  std::string op;             // "Conv + LeakyRelu(0.1)"
  int64_t step = 0;           // place in the plan's order, which puts producers before users
  const Value* value = nullptr;  // tensors are row-major; valid during the call
};

// Limits of one run, and who watches it. Limits are looked at between the pieces of its work, which take well
// below a millisecond each on most models. A run that is stopped leaves the session as good as before.
struct RunOptions {
  // Error{kDeadlineExceeded} for a run that has not ended by then.
  std::optional<std::chrono::steady_clock::time_point> deadline = std::nullopt;
  // Error{kCancelled} once it is true; any thread may set it. Must outlive the run.
  const std::atomic<bool>* cancel = nullptr;
  // Called with every value that a step computes, one call at a time, on any of the run's threads, before the steps
  // that read the value. Constants, values inside nested graphs or between the operators of a step, and values that
  // are parts or other shapes of one seen before are not shown. What it throws ends the run. It must not run the
  // session.
  std::function<void(const ObservedValue&)> observer = nullptr;
  // Set, when the run ends well, to what each of its steps took, in the plan's order; needs no
  // SessionOptions::profile and costs other runs nothing. Must outlive the run.
  std::vector<StepProfile>* profile = nullptr;
};

using NamedValues = std::map<std::string, Value>;

// A model ready to run. Run may be called from any number of threads at once; everything else that
// is const is thread-safe too. Movable. Its end waits for asynchronous runs under way.
class Session {
 public:
  // An ONNX model, or what Compile has made of one. Compiled models are mapped and share their memory with every
  // process that has them loaded. They must have been compiled for this kind of machine, by this version and for these
  // options: accuracy, passes, max_weight_bytes, and input_shapes as far as it sets any; Error{kUnsupported} says what differs.
  // Throws Error{kInvalidModel, kUnsupported, kInvalidArgument, kOutOfMemory}; the message names the
  // file and the node.
  static Session Load(const std::string& path, const SessionOptions& options = {});
  // The bytes are copied as far as needed; external data is refused.
  static Session LoadBytes(std::span<const std::byte> model, const SessionOptions& options = {});

  // Writes the model as it runs to `file`: optimized, with packed weights and the kernels chosen, so that loading it
  // takes milliseconds. What was there before stays until the new file is complete. Sizes that the model leaves open
  // stay open; plans for combinations of shapes given, each as Prepare takes it, are made ready. Weights of nested
  // graphs are packed at their first run still. Throws as Load, and Error{kInvalidArgument} where the file cannot be
  // written.
  static void Compile(const std::string& model, const std::string& file, const SessionOptions& options = {},
                      std::span<const std::map<std::string, Shape>> shapes = {});

  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  const std::vector<ValueInfo>& inputs() const;
  const std::vector<ValueInfo>& outputs() const;
  const std::map<std::string, std::string>& metadata() const;
  int threads() const;

  // One value for each input; `outputs` names those wanted, empty for all. The results own their
  // memory. Throws Error{kInvalidArgument} for names, types or shapes that do not fit.
  NamedValues Run(const NamedValues& inputs, std::span<const std::string> outputs = {},
                  const RunOptions& options = {}) const;

  // The same into the caller's memory, by position: inputs[i] belongs to inputs()[i], outputs[i] to outputs()[i].
  // Inputs may be views (Tensor::Borrow) and are read where they are. An output that is a tensor of the right type
  // and of at least as many bytes as the result receives the elements and then has the result's shape; where the
  // plan knows the size it is computed right there. An empty output becomes a tensor of its own. A run with a plan
  // at hand and outputs given then allocates no memory but what oneDNN does for its primitives.
  // Outputs must overlap neither inputs nor each other. They are undefined after an Error.
  void RunInto(std::span<const Value> inputs, std::span<Value> outputs, const RunOptions& options = {}) const;
  // The same by name. The names in `outputs` are those wanted; values that are none become tensors of their own.
  void RunInto(const NamedValues& inputs, NamedValues& outputs, const RunOptions& options = {}) const;

  // Run soon on one of the session's threads, or of the process's where the session has the caller's alone. Tensors
  // that are views must live until the run has ended, and so must options.cancel.
  std::future<NamedValues> RunAsync(NamedValues inputs, std::vector<std::string> outputs = {},
                                    RunOptions options = {}) const;
  // `done` is called once, on the thread that ran: with the results, or with the error (always an Error) and no
  // results. It must not throw and must not destroy the session.
  using Done = std::function<void(NamedValues results, std::exception_ptr error)>;
  void RunAsync(NamedValues inputs, std::vector<std::string> outputs, RunOptions options, Done done) const;
  // RunInto likewise; `inputs` and `outputs` are the caller's until `done` is called.
  void RunIntoAsync(std::span<const Value> inputs, std::span<Value> outputs, RunOptions options,
                    std::function<void(std::exception_ptr error)> done) const;

  // Makes the plan for these input shapes now rather than at the first run.
  PlanInfo Prepare(const std::map<std::string, Shape>& input_shapes) const;

  CacheInfo cache() const;

  // Empty unless SessionOptions::profile. Of the plan used last.
  std::vector<StepProfile> profile() const;
  std::vector<TraceEvent> trace() const;
  // What the passes did at load.
  const std::vector<PassNote>& pass_notes() const;

 private:
  class [[gnu::visibility("hidden")]] Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The version of the library, "0.1.0".
std::string_view Version();

}  // namespace sluice

#pragma GCC visibility pop
