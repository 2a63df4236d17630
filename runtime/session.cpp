#include "sluice/session.h"

#include <new>
#include <stdexcept>

#include "runtime/session_impl.h"

namespace sluice {
namespace {

// Lets nothing but Error out: what the standard library throws comes from sizes in the model or the inputs.
template <typename Fn>
auto OnlyErrors(Fn fn) {
  try {
    return fn();
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::kOutOfMemory, "out of memory");
  } catch (const std::length_error&) {
    throw Error(ErrorCode::kOutOfMemory, "a size is larger than memory can be");
  } catch (const std::exception& error) {
    throw Error(ErrorCode::kInternal, error.what());
  }
}

// The same of what is about a file, which messages name.
template <typename Fn>
auto AtFile(const std::string& path, Fn fn) {
  try {
    return OnlyErrors(fn);
  } catch (const Error& error) {
    if (std::string_view(error.what()).find(path) != std::string_view::npos) throw;
    throw Error(error.code(), path + ": " + error.what());
  }
}

// Null if fn throws nothing.
template <typename Fn>
std::exception_ptr ErrorOf(Fn fn) {
  try {
    OnlyErrors(fn);
    return nullptr;
  } catch (...) {
    return std::current_exception();
  }
}

}  // namespace

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Session Session::Load(const std::string& path, const SessionOptions& options) {
  return AtFile(path, [&] { return Session(Impl::Load(path, options)); });
}

Session Session::LoadBytes(std::span<const std::byte> model, const SessionOptions& options) {
  return OnlyErrors([&] { return Session(Impl::LoadBytes(model, options)); });
}

void Session::Compile(const std::string& model, const std::string& file, const SessionOptions& options,
                      std::span<const std::map<std::string, Shape>> shapes) {
  AtFile(model, [&] { Impl::Compile(model, file, options, shapes); });
}

const std::vector<ValueInfo>& Session::inputs() const { return impl_->inputs(); }
const std::vector<ValueInfo>& Session::outputs() const { return impl_->outputs(); }
const std::map<std::string, std::string>& Session::metadata() const { return impl_->metadata(); }
int Session::threads() const { return impl_->pool().threads(); }

NamedValues Session::Run(const NamedValues& inputs, std::span<const std::string> outputs,
                         const RunOptions& options) const {
  return OnlyErrors([&] { return impl_->Run(inputs, outputs, options); });
}

void Session::RunInto(std::span<const Value> inputs, std::span<Value> outputs,
                      const RunOptions& options) const {
  OnlyErrors([&] { impl_->RunInto(inputs, outputs, options); });
}

void Session::RunInto(const NamedValues& inputs, NamedValues& outputs, const RunOptions& options) const {
  OnlyErrors([&] { impl_->RunInto(inputs, outputs, options); });
}

std::future<NamedValues> Session::RunAsync(NamedValues inputs, std::vector<std::string> outputs,
                                           RunOptions options) const {
  const auto promise = std::make_shared<std::promise<NamedValues>>();
  std::future<NamedValues> future = promise->get_future();
  RunAsync(std::move(inputs), std::move(outputs), std::move(options),
           [promise](NamedValues results, std::exception_ptr error) {
             if (error)
               promise->set_exception(error);
             else
               promise->set_value(std::move(results));
           });
  return future;
}

void Session::RunAsync(NamedValues inputs, std::vector<std::string> outputs, RunOptions options,
                       Done done) const {
  struct Run {
    NamedValues inputs;
    std::vector<std::string> outputs;
    RunOptions options;
    Done done;
  };
  OnlyErrors([&] {
    const auto run = std::make_shared<Run>(
        Run{std::move(inputs), std::move(outputs), std::move(options), std::move(done)});
    impl_->Async([impl = impl_.get(), run] {
      NamedValues results;
      const std::exception_ptr error =
          ErrorOf([&] { results = impl->Run(run->inputs, run->outputs, run->options); });
      run->done(std::move(results), error);
    });
  });
}

void Session::RunIntoAsync(std::span<const Value> inputs, std::span<Value> outputs, RunOptions options,
                           std::function<void(std::exception_ptr error)> done) const {
  OnlyErrors([&] {
    impl_->Async([impl = impl_.get(), inputs, outputs, options = std::move(options), done = std::move(done)] {
      done(ErrorOf([&] { impl->RunInto(inputs, outputs, options); }));
    });
  });
}

PlanInfo Session::Prepare(const std::map<std::string, Shape>& input_shapes) const {
  return OnlyErrors([&] { return impl_->Prepare(input_shapes); });
}

CacheInfo Session::cache() const { return impl_->cache(); }

std::vector<StepProfile> Session::profile() const { return impl_->executable().profile(); }
std::vector<TraceEvent> Session::trace() const { return impl_->executable().trace(); }
const std::vector<PassNote>& Session::pass_notes() const { return impl_->pass_notes(); }

}  // namespace sluice
