#include "tools/serve/core.h"

#include <atomic>
#include <chrono>
#include <utility>

#include "tools/serve/log.h"
#include "tools/serve/model_record.h"
#include "tools/serve/recorder.h"

namespace sluice::serve {
namespace {

// What the line of a request says of it; kept beside the request, which the scheduler takes.
struct Asked {
  std::string model, version, id, request_id, traceparent, client;
  Clock::time_point received;
};

void LogRequest(const Asked& asked, const Service::Answer& answer) {
  const int64_t total_us =
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - asked.received).count();
  if (const auto* error = std::get_if<ServeError>(&answer)) {
    LogAccess({{"request_id", asked.request_id},
               {"model", asked.model},
               {"version", asked.version},
               {"outcome", ReasonName(error->reason())},
               {"error", error->what()},
               {"total_us", total_us},
               {"id", asked.id},
               {"client", asked.client},
               {"traceparent", asked.traceparent}});
    return;
  }
  const auto& response = std::get<InferResponse>(answer);
  LogAccess({{"request_id", asked.request_id},
             {"model", response.model},
             {"version", response.version},
             {"outcome", "ok"},
             {"total_us", total_us},
             {"queue_us", response.timing.queue_ns / 1000},
             {"batch_us", response.timing.batch_ns / 1000},
             {"compute_us", response.timing.compute_ns / 1000},
             {"batch_size", response.timing.batch_size},
             {"id", asked.id},
             {"client", asked.client},
             {"traceparent", asked.traceparent}});
}

}  // namespace

class Core::Impl {
 public:
  explicit Impl(const CoreOptions& options)
      : repository(WithRecorder(options.repository, recorder)),
        scheduler(WithLog(options.scheduler), recorder) {}

  static RepositoryOptions WithRecorder(RepositoryOptions options, Recorder& recorder) {
    options.on_load = [&recorder](const std::string& model, bool success, int64_t ns) {
      recorder.CountLoad(model, success, ns);
    };
    options.on_forget = [&recorder](const std::string& model, const std::string& version) {
      recorder.Forget(model, version);
    };
    return options;
  }

  static SchedulerOptions WithLog(SchedulerOptions options) {
    options.on_failure = [](const InferRequest& request, const std::string& what) {
      Log(LogLevel::kError, "a request failed inside",
          {{"request_id", request.request_id}, {"model", request.model}, {"reason", what}});
    };
    return options;
  }

  Recorder recorder;
  Repository repository;
  Scheduler scheduler;
  std::atomic<bool> leaving{false};
};

Core::Core(const CoreOptions& options) : impl_(std::make_unique<Impl>(options)) {}
Core::~Core() = default;

void Core::Infer(InferRequest request, std::function<void(Answer)> done) {
  if (LogsAccess()) {
    Asked asked{request.model,       request.version, request.id,      request.request_id,
                request.traceparent, request.client,  request.received};
    done = [asked = std::move(asked), done = std::move(done)](Answer answer) {
      LogRequest(asked, answer);
      done(std::move(answer));
    };
  }
  std::shared_ptr<const Model> model;
  try {
    model = impl_->repository.Find(request.model, request.version);
  } catch (const ServeError& error) {
    return done(error);
  }
  impl_->scheduler.Submit(std::move(model), std::move(request), std::move(done));
}

bool Core::Live() const { return true; }
bool Core::Ready() const { return !impl_->leaving && impl_->repository.Ready(); }
bool Core::ModelReady(std::string_view model, std::string_view version) const {
  return impl_->repository.ModelReady(model, version);
}
ModelInfo Core::Info(std::string_view model, std::string_view version) const {
  return impl_->repository.Info(model, version);
}

std::vector<ModelStatistics> Core::Statistics(std::string_view model, std::string_view version) const {
  if (!model.empty()) impl_->repository.ModelReady(model, version);  // whether it is known
  // Models that no request has reached yet have statistics too.
  for (const auto& serving : impl_->repository.Serving())
    impl_->recorder.For(serving->info.name, serving->info.version);
  return impl_->recorder.Statistics(model, version);
}

std::vector<IndexEntry> Core::Index(bool only_ready) const { return impl_->repository.Index(only_ready); }
void Core::Load(std::string_view model) { impl_->repository.Load(model); }
void Core::Unload(std::string_view model) { impl_->repository.Unload(model); }
std::string Core::Metrics() const { return impl_->recorder.Text(); }
void Core::CountRequest(std::string_view protocol, std::string_view model, std::string_view outcome,
                        int64_t network_ns) {
  impl_->recorder.CountRequest(protocol, model, outcome, network_ns);
}

void Core::Leave() { impl_->leaving = true; }

bool Core::Drain(Clock::time_point until) { return impl_->scheduler.Drain(until); }

Repository& Core::repository() { return impl_->repository; }

}  // namespace sluice::serve
