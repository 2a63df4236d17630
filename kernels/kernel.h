#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/operator.h"
#include "kernels/layout.h"
#include "sluice/accuracy.h"

namespace sluice {

// A nested graph, ready to run. Thread-safe.
class SubgraphRunner {
 public:
  virtual ~SubgraphRunner() = default;
  // One value for each input of the nested graph, captures last; one result for each output. The
  // results own their memory.
  virtual std::vector<Value> Run(std::vector<Value> inputs) const = 0;
};

// Thrown by PrepareContext::Decline: this candidate does not do it, the next one is asked.
struct Declined {
  std::string reason;
};

// What a kernel asked for in Prepare; the planner and the evaluator obey it.
struct StepRequest {
  std::vector<Layout> input_layouts;
  std::vector<Layout> output_layouts;
  int64_t scratch_bytes = 0;
  // shares_input[i] >= 0: output i is bytes of that input, from shares_offset[i] on, and Run is not
  // called for it.
  std::vector<int> shares_input;
  std::vector<int64_t> shares_offset;
  // Where in an output the bytes of inputs belong; see PrepareContext::JoinInput.
  struct Part {
    int output, input;
    int64_t offset_bytes;
  };
  std::vector<Part> parts;
  // in_place[i] >= 0: output i may use the memory of that input (same size) if nobody reads it later.
  std::vector<int> in_place;
  // Inputs that Run does not read: a constant whose packed form the kernel holds.
  std::vector<bool> unread;
};

// Seen by a kernel once per plan. Sizes and element types of all tensor inputs are known.
class PrepareContext {
 public:
  using SubgraphMaker = std::function<std::shared_ptr<SubgraphRunner>(std::shared_ptr<Graph>)>;

  // inputs[i].dtype is kUndefined for absent inputs and for sequences; input_types tells those apart.
  // outputs[i].shape is meaningful where output_known[i].
  PrepareContext(const Node& node, std::vector<TensorDesc> inputs, std::vector<const Tensor*> constants,
                 std::vector<TensorDesc> outputs, std::vector<bool> output_known,
                 SubgraphMaker make_subgraph);

  const Node& node() const { return node_; }
  const Attributes& attrs() const { return node_.attrs; }
  int since_version() const { return node_.since_version; }
  // The operator's own inputs, without captures and operands of post-ops.
  int num_inputs() const { return num_inputs_; }
  bool has_input(int i) const;
  // Any index into node().inputs, operands of post-ops included. `layout` is the one that its
  // producer chose; a kernel that wants another asks by SetInputLayout.
  const TensorDesc& input(int i) const { return inputs_[i]; }
  const Shape& shape(int i) const { return inputs_[i].shape; }
  DataType dtype(int i) const { return inputs_[i].dtype; }
  // Null unless the elements are known; always row-major. Lives as long as the kernel, unless dropped.
  const Tensor* constant(int i) const { return i < static_cast<int>(constants_.size()) ? constants_[i] : nullptr; }
  int num_outputs() const { return static_cast<int>(outputs_.size()); }
  bool has_output(int i) const;
  const TensorDesc& output(int i) const { return outputs_[i]; }
  // False: the shape follows from the elements, and Run makes the output by RunContext::SetOutput.
  bool output_known(int i) const { return output_known_[i]; }
  const std::vector<PostOp>& post_ops() const { return node_.post_ops; }
  Accuracy accuracy() const { return accuracy_; }
  void set_accuracy(Accuracy accuracy) { accuracy_ = accuracy; }
  // Whether a kernel may keep weights of so many bytes in an order of its own that takes more.
  bool weights_may_grow(int64_t bytes) const { return bytes <= most_grown_bytes_; }
  void set_most_grown_bytes(int64_t bytes) { most_grown_bytes_ = bytes; }

  // Inputs arrive and outputs are wanted row-major unless said otherwise.
  void SetInputLayout(int i, Layout layout) { request_.input_layouts[i] = layout; }
  void SetOutputLayout(int i, Layout layout) {
    request_.output_layouts[i] = layout;
    outputs_[i].layout = layout;
  }
  // Private memory of one running tile, aligned to 64 bytes.
  void SetScratch(int64_t bytes) { request_.scratch_bytes = bytes; }
  // Output is the input's bytes, from `offset_bytes` on, under another shape: nothing runs.
  void ShareOutput(int output, int input, int64_t offset_bytes = 0) {
    request_.shares_input[output] = input;
    request_.shares_offset[output] = offset_bytes;
  }
  // The bytes of `input` make up those of `output` from `offset_bytes` on; the parts of an output cover
  // all of it. Where the planner can, it has the input made right there: Run then sees in(input) ==
  // out(output) + offset_bytes and leaves the part alone. If that holds for all parts, nothing runs.
  void JoinInput(int output, int input, int64_t offset_bytes) {
    request_.parts.push_back({output, input, offset_bytes});
  }
  // Run does not read this input: it is a constant that the kernel has in a form of its own. The elements
  // may be gone once Prepare is over.
  void DropInput(int i) { request_.unread[i] = true; }
  // Run reads each element of `input` before it writes the same place of `output`.
  void AllowInPlace(int output, int input) { request_.in_place[output] = input; }

  // Throws Declined.
  [[noreturn]] void Decline(std::string reason) const { throw Declined{std::move(reason)}; }
  // Throws Error{kUnsupported} / Error{kInvalidModel} with the node's name in front.
  [[noreturn]] void Unsupported(const std::string& message) const;
  [[noreturn]] void Fail(const std::string& message) const;

  // The nested graph in attribute `name`, for If, Loop and Scan.
  std::shared_ptr<SubgraphRunner> Subgraph(std::string_view name) const;

  const StepRequest& request() const { return request_; }

 private:
  const Node& node_;
  int num_inputs_;
  std::vector<TensorDesc> inputs_;
  std::vector<const Tensor*> constants_;
  std::vector<TensorDesc> outputs_;
  std::vector<bool> output_known_;
  SubgraphMaker make_subgraph_;
  Accuracy accuracy_ = Accuracy::kDefault;
  int64_t most_grown_bytes_ = INT64_MAX;
  StepRequest request_;
};

// Seen by a running tile. Pointers only: the kernel knows shapes and types since Prepare.
class RunContext {
 public:
  // Values that are no plain tensors, or whose shape Prepare did not know.
  class Dynamic {
   public:
    virtual ~Dynamic() = default;
    virtual Value GetInput(int i) const = 0;
    virtual void SetOutput(int i, Value value) = 0;
  };

  RunContext(std::span<const void* const> inputs, std::span<void* const> outputs, std::byte* scratch,
             Dynamic* dynamic)
      : inputs_(inputs), outputs_(outputs), scratch_(scratch), dynamic_(dynamic) {}

  // Null for an absent input.
  template <typename T>
  const T* in(int i) const {
    return static_cast<const T*>(i < static_cast<int>(inputs_.size()) ? inputs_[i] : nullptr);
  }
  // Null for an output that nobody wants.
  template <typename T>
  T* out(int i) const {
    return static_cast<T*>(i < static_cast<int>(outputs_.size()) ? outputs_[i] : nullptr);
  }
  std::span<const void* const> inputs() const { return inputs_; }
  std::span<void* const> outputs() const { return outputs_; }
  template <typename T>
  T* scratch() const {
    return reinterpret_cast<T*>(scratch_);
  }
  // Any input as a value; a tensor is a view that ends with the call.
  Value value(int i) const { return dynamic_->GetInput(i); }
  // For outputs that PrepareContext::output_known denies, and for sequences. Thread-safe for
  // different outputs.
  void SetOutput(int i, Value value) const { dynamic_->SetOutput(i, std::move(value)); }

 private:
  std::span<const void* const> inputs_;
  std::span<void* const> outputs_;
  std::byte* scratch_;
  Dynamic* dynamic_;
};

// Code that computes one node for one set of shapes.
class Kernel {
 public:
  virtual ~Kernel() = default;
  // Short, for profiles and `inspect --kernels`: "oneDNN conv", "plain".
  virtual std::string name() const { return "plain"; }
  // Once. Checks support, creates primitives, packs weights, books scratch. Throws Declined or Error.
  virtual void Prepare(PrepareContext&) = 0;
  // How many independent pieces the step has; 1 when splitting does not pay. Depends on shapes only,
  // never on the number of threads: so results do not either.
  virtual int64_t tiles() const { return 1; }
  // Multiplications and additions of all tiles together, for reports; 0 where nobody counts.
  virtual int64_t flops() const { return 0; }
  // One piece. Any thread, many at once: no writes to members, no allocation but for SetOutput.
  virtual void Run(const RunContext&, int64_t tile) const = 0;
  // So many tiles in a row, from a multiple of it on, share work where one thread runs them together.
  virtual int64_t together() const { return 1; }
  // Tiles [first, first + count) of such a row, with the results of Run.
  virtual void RunTogether(const RunContext& ctx, int64_t first, int64_t count) const {
    for (int64_t i = 0; i < count; ++i) Run(ctx, first + i);
  }
};

// A prepared kernel, which candidate it is and what it asked for.
struct PreparedStep {
  std::unique_ptr<Kernel> kernel;
  StepRequest request;
  std::vector<TensorDesc> outputs;          // with the layouts asked for
  std::vector<std::string> declined;        // "oneDNN conv: weights are not constant"
};

// Asks the candidates of ctx's node in order. Throws Error{kUnsupported} with all reasons if none does it.
// `make_context` gives a fresh context for every candidate.
PreparedStep PrepareKernel(const Node& node, const std::function<PrepareContext()>& make_context);

}  // namespace sluice
