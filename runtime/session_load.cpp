// The ways to a session: from a model, from a compiled one, by the folder of compiled ones; and to compiled
// models.
#include <filesystem>

#include "graph/import.h"
#include "runtime/compiled/atomic_file.h"
#include "runtime/compiled/cache.h"
#include "runtime/compiled/container.h"
#include "runtime/compiled/facts.h"
#include "runtime/compiled/open_file.h"
#include "runtime/compiled/sources.h"
#include "runtime/session_impl.h"
#include "sluice/error.h"

namespace sluice {
namespace {

void Log(const SessionOptions& options, std::string_view kind, const std::string& text) {
  if (options.log) options.log(LogLevel::kInfo, std::string(kind) + text);
}

}  // namespace

// A model that is loaded to be compiled.
struct Session::Impl::Compilation {
  std::shared_ptr<ModelRecorder> recorder = std::make_shared<ModelRecorder>();
  std::vector<SourceFile> sources;
  std::unique_ptr<Impl> impl;

  Compilation(const std::string& model, const SessionOptions& options) {
    const std::vector<SourceFile> before = SourcesOf(model, {});
    impl = std::make_unique<Impl>(
        [&](const OperatorLookup& lookup) {
          std::vector<std::string> external;
          auto graph = ImportOnnx(model, options.copy_files, lookup, &external);
          sources = SourcesOf(model, external);
          sources[0] = before[0];
          return graph;
        },
        options, recorder);
  }

  void Write(const std::string& file, std::vector<Fact> facts) const {
    AtomicFile to(file);
    CompiledTables tables = impl->DescribeForCompiling();
    tables.facts = std::move(facts);
    tables.sources = sources;
    recorder->Write(std::move(tables), impl->executable_->graph(),
                    [&](std::span<const std::byte> bytes) { to.Write(bytes); });
    if (!Unchanged(sources)) {
      throw Error(ErrorCode::kInvalidArgument, sources[0].path + ": changed while it was compiled");
    }
    to.Commit();
  }
};

std::unique_ptr<Session::Impl> Session::Impl::Load(const std::string& path, const SessionOptions& options) {
  if (IsCompiledFile(path)) {
    return std::make_unique<Impl>(OpenCompiled([&](const OperatorLookup& lookup) {
                                    return OpenCompiledFile(path, options.copy_files, options.verify_compiled,
                                                            lookup);
                                  }),
                                  options);
  }
  if (!options.cache_folder.empty()) return LoadCached(path, options);
  return std::make_unique<Impl>(
      Import([&](const OperatorLookup& lookup) { return ImportOnnx(path, options.copy_files, lookup); }),
      options);
}

std::unique_ptr<Session::Impl> Session::Impl::LoadBytes(std::span<const std::byte> model,
                                                        const SessionOptions& options) {
  if (IsCompiledModel(model)) {
    return std::make_unique<Impl>(OpenCompiled([&](const OperatorLookup& lookup) {
                                    return OpenCompiledBytes(model, options.verify_compiled, lookup);
                                  }),
                                  options);
  }
  return std::make_unique<Impl>(
      Import([&](const OperatorLookup& lookup) { return ImportOnnxBytes(model, nullptr, lookup); }), options);
}

std::unique_ptr<Session::Impl> Session::Impl::LoadCached(const std::string& path,
                                                         const SessionOptions& options) {
  const CacheEntry entry = CacheEntryOf(path, options, PoolFor(options)->threads());
  const Fact key = {kCacheKey, entry.key};
  // The folder's files are replaced, never written to, so that they are safe to map whatever copy_files says.
  const OpenCompiled open = [&](const OperatorLookup& lookup) {
    auto model = OpenCompiledFile(entry.file, /*copy=*/false, options.verify_compiled, lookup);
    const CompiledTables& tables = model->tables();
    if (tables.facts.empty() || tables.facts.back() != key || tables.sources.empty())
      throw Error(ErrorCode::kUnsupported, "it is of another model or for other options");
    if (!Unchanged(tables.sources)) throw Error(ErrorCode::kUnsupported, "the model has changed since");
    return model;
  };
  if (IsCompiledFile(entry.file)) {
    try {
      auto impl = std::make_unique<Impl>(open, options);
      Log(options, kCacheNews, entry.file + "' of '" + path + "' is used");
      return impl;
    } catch (const Error& error) {
      Log(options, kCacheNews, entry.file + "' is made again: " + error.what());
    }
  }
  Compilation compilation(path, options);
  try {
    std::error_code error;
    std::filesystem::create_directories(options.cache_folder, error);
    std::vector<Fact> facts = FactsOf(options);
    facts.push_back(key);
    compilation.Write(entry.file, std::move(facts));
    Log(options, kCacheNews, entry.file + "' of '" + path + "' is written");
    // What was packed in memory goes; the file's pages are everybody's.
    return std::make_unique<Impl>(open, options);
  } catch (const Error& error) {
    Log(options, kCacheFailure, error.what());
  }
  compilation.recorder->Stop();
  return std::move(compilation.impl);
}

void Session::Impl::Compile(const std::string& model, const std::string& file, const SessionOptions& options,
                            std::span<const std::map<std::string, Shape>> shapes) {
  if (IsCompiledFile(model))
    throw Error(ErrorCode::kInvalidArgument, model + ": is a compiled model already");
  std::error_code error;
  if (std::filesystem::equivalent(model, file, error))
    throw Error(ErrorCode::kInvalidArgument, file + ": is the model itself, expected another file");
  const Compilation compilation(model, options);
  for (const auto& inputs : shapes) compilation.impl->Prepare(inputs);
  compilation.Write(file, FactsOf(options));
}

}  // namespace sluice
