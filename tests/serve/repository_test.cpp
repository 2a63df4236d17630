#include "tools/serve/repository.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <thread>

#include "sluice/error.h"
#include "tests/serve/model_folder.h"

namespace sluice::serve {
namespace {

using namespace test;
namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;

class RepositoryTest : public ModelFolderTest {
 protected:
  // Settled, whatever came of it.
  static void Await(const Repository& repository) { ASSERT_TRUE(repository.WaitSettled(seconds(30))); }
  static float Adds(const Repository& repository, const std::string& name, const std::string& version = "") {
    return Added(*repository.Find(name, version));
  }
};

TEST_F(RepositoryTest, ServesAllLayoutsAndVersions) {
  Put("triton/1/model.onnx", AddingModel(1));
  Put("triton/3/model.onnx", AddingModel(3));
  Put("triton/12/model.onnx", AddingModel(12));
  Put("triton/012/model.onnx", AddingModel(99));  // no version
  Put("flat/model.onnx", AddingModel(20));
  Put("bare.onnx", AddingModel(30));
  Put("notes/readme.txt", "no model");
  const Repository repository(Options());
  Await(repository);
  EXPECT_TRUE(repository.Ready());
  EXPECT_EQ(Adds(repository, "triton"), 12);
  EXPECT_EQ(Adds(repository, "triton", "1"), 1);
  EXPECT_EQ(Adds(repository, "triton", "3"), 3);
  EXPECT_EQ(Adds(repository, "flat"), 20);
  EXPECT_EQ(Adds(repository, "bare", "1"), 30);
  const ModelInfo info = repository.Info("triton", "3");
  EXPECT_EQ(info.versions, (std::vector<std::string>{"1", "3", "12"}));
  EXPECT_EQ(info.version, "3");
  ASSERT_EQ(info.inputs.size(), 1u);
  EXPECT_EQ(info.inputs[0].datatype, "FP32");
  EXPECT_EQ(info.inputs[0].shape, (Shape{2}));
  EXPECT_EQ(repository.Index(true).size(), 5u);
  EXPECT_EQ(repository.Index(false).size(), 5u);
}

TEST_F(RepositoryTest, LooksNamesUpAndNowhereElse) {
  Put("m/1/model.onnx", AddingModel(1));
  Put("m/2/other.txt", "");
  Repository repository(Options());
  Await(repository);
  for (const std::string& name : {std::string("../m"), std::string("m/1"), std::string(""), std::string("M"),
                                  std::string("m\0", 2), std::string(100'000, 'm'), dir_ + "/m"}) {
    EXPECT_EQ(Refusal([&] { repository.Find(name, ""); }), Reason::kNotFound) << name.substr(0, 50);
    EXPECT_EQ(Refusal([&] { repository.Load(name); }), Reason::kNotFound) << name.substr(0, 50);
    EXPECT_EQ(Refusal([&] { repository.Unload(name); }), Reason::kNotFound) << name.substr(0, 50);
    EXPECT_EQ(Refusal([&] { repository.ModelReady(name, ""); }), Reason::kNotFound) << name.substr(0, 50);
  }
  for (const std::string version :
       {"2", "0", "01", "-1", "1 ", "+1", "1.0", "../1", "99999999999999999999"}) {
    EXPECT_EQ(Refusal([&] { repository.Find("m", version); }), Reason::kNotFound) << version;
  }
  try {
    repository.Find(std::string(100'000, 'x') + "\n", "");
    FAIL();
  } catch (const ServeError& error) {
    EXPECT_LT(std::string(error.what()).size(), 200u);
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
  }
}

TEST_F(RepositoryTest, OthersServeWhereOneFailsAtStart) {
  Put("bad/1/model.onnx", "this is no model");
  Put("good/1/model.onnx", AddingModel(1));
  const Repository repository(Options());
  Await(repository);
  EXPECT_EQ(Adds(repository, "good"), 1);
  EXPECT_FALSE(repository.Ready());
  EXPECT_EQ(Refusal([&] { repository.Find("bad", ""); }), Reason::kUnavailable);
  EXPECT_FALSE(repository.ModelReady("bad", ""));
  const IndexEntry entry = EntryOf(repository, "bad", "1");
  EXPECT_EQ(entry.state, "UNAVAILABLE");
  EXPECT_NE(entry.reason.find("bad/1/model.onnx"), std::string::npos) << entry.reason;
  EXPECT_EQ(entry.reason.find(dir_), std::string::npos) << entry.reason;
  // Once it is put right it serves, and all is ready.
  Put("bad/1/model.onnx", AddingModel(5));
  EXPECT_TRUE(Soon([&] { return repository.Ready(); }));
  EXPECT_EQ(Adds(repository, "bad"), 5);
  EXPECT_EQ(EntryOf(repository, "bad", "1").reason, "");
}

TEST_F(RepositoryTest, ABrokenReplacementLeavesTheOldOneServing) {
  Put("m/1/model.onnx", AddingModel(1));
  std::atomic<int> good{0}, bad{0};
  RepositoryOptions options = Options();
  options.on_load = [&](const std::string&, bool success, int64_t) { ++(success ? good : bad); };
  const Repository repository(options);
  Await(repository);
  const auto old = repository.Find("m", "");
  Put("m/1/model.onnx", AddingModel(2).substr(0, 60));
  EXPECT_TRUE(Soon([&] { return !EntryOf(repository, "m", "1").reason.empty(); }));
  EXPECT_EQ(EntryOf(repository, "m", "1").state, "READY");
  EXPECT_TRUE(repository.Ready());
  EXPECT_EQ(repository.Find("m", ""), old);
  // A broken newer version neither takes its place.
  Put("m/2/model.onnx", "");
  EXPECT_TRUE(Soon([&] { return EntryOf(repository, "m", "2").state == "UNAVAILABLE"; }));
  EXPECT_EQ(Adds(repository, "m"), 1);
  EXPECT_TRUE(repository.Ready());

  Put("m/1/model.onnx", AddingModel(3));
  EXPECT_TRUE(Soon([&] { return Adds(repository, "m") == 3; }));
  EXPECT_EQ(EntryOf(repository, "m", "1").reason, "");
  EXPECT_EQ(Added(*old), 1);  // whoever holds it still runs it
  EXPECT_EQ(good, 2);
  EXPECT_EQ(bad, 2);
}

TEST_F(RepositoryTest, NeverServesAHalfCopiedFile) {
  Put("m/1/model.onnx", AddingModel(1));
  RepositoryOptions options = Options();
  options.settle = milliseconds(1500);
  const Repository repository(options);
  Await(repository);
  // Copied in place, in more time than the files need to settle, with much shorter pauses: busy machines
  // stretch them.
  const std::string bytes = AddingModel(2, 50'000);
  fs::create_directories(Path("m/2"));
  std::ofstream file(Path("m/2/model.onnx"), std::ios::binary);
  for (size_t at = 0; at < bytes.size(); at += bytes.size() / 40) {
    file << bytes.substr(at, bytes.size() / 40) << std::flush;
    std::this_thread::sleep_for(milliseconds(50));
    EXPECT_EQ(Adds(repository, "m"), 1);
    const IndexEntry entry = EntryOf(repository, "m", "2");
    EXPECT_NE(entry.state, "READY");
    EXPECT_EQ(entry.reason, entry.state.empty() ? "" : "its files still change");
  }
  file.close();
  EXPECT_TRUE(Soon([&] { return Adds(repository, "m") == 2; }));
}

TEST_F(RepositoryTest, TakesARenamedFileOrFolderAtOnce) {
  Put("m/1/model.onnx", AddingModel(1));
  fs::last_write_time(Path("m/1/model.onnx"), fs::file_time_type::clock::now() - std::chrono::hours(48));
  RepositoryOptions options = Options();
  options.settle = std::chrono::minutes(60);
  options.interval = std::chrono::minutes(60);
  const Repository repository(options);
  Await(repository);
  Put("m/1/model.onnx", AddingModel(2));
  EXPECT_TRUE(Soon([&] { return Adds(repository, "m") == 2; }));
  Spill(Path(".new/model.onnx"), AddingModel(3));
  Spill(Path(".new/model.json"), R"({"max_queue": 7})");
  fs::rename(Path(".new"), Path("m/2"));
  EXPECT_TRUE(Soon([&] { return Adds(repository, "m") == 3; }));
  EXPECT_EQ(repository.Find("m", "2")->config.max_queue, 7);
  // What is written in place must settle.
  Spill(Path("m/2/model.onnx"), AddingModel(4));
  std::this_thread::sleep_for(milliseconds(300));
  EXPECT_EQ(Adds(repository, "m"), 3);
}

TEST_F(RepositoryTest, FilesOfModelsInUseMayBeOverwrittenAndCut) {
  constexpr int64_t kBallast = 200'000;
  Put("m/1/model.onnx", AddingModel(7, kBallast));
  RepositoryOptions options = Options();
  options.watch = false;
  const Repository repository(options);
  Await(repository);
  const auto model = repository.Find("m", "");
  const auto sum = [&] {
    const NamedValues outputs =
        model->session.Run({{"x", Tensor::From<float>({2}, std::vector<float>{0, 1})}});
    double total = 0;
    for (float value : outputs.at("w").tensor().values<float>()) total += value;
    return total;
  };
  EXPECT_EQ(sum(), 7.0 * kBallast);
  Spill(Path("m/1/model.onnx"), std::string(4 * kBallast, 'x'));
  EXPECT_EQ(sum(), 7.0 * kBallast);
  fs::resize_file(Path("m/1/model.onnx"), 0);
  EXPECT_EQ(sum(), 7.0 * kBallast);
}

TEST_F(RepositoryTest, LoadsAndUnloadsOnRequest) {
  Put("a/1/model.onnx", AddingModel(1));
  Put("b/1/model.onnx", AddingModel(2));
  Put("bad/1/model.onnx", "no model");
  RepositoryOptions options = Options();
  options.control = RepositoryOptions::Control::kExplicit;
  options.load = {"a"};
  options.watch = false;
  Repository repository(options);
  Await(repository);
  EXPECT_TRUE(repository.Ready());
  EXPECT_EQ(Adds(repository, "a"), 1);
  EXPECT_EQ(Refusal([&] { repository.Find("b", ""); }), Reason::kUnavailable);
  EXPECT_EQ(EntryOf(repository, "b", "1").reason, "not loaded");
  repository.Load("b");
  EXPECT_EQ(Adds(repository, "b"), 2);
  EXPECT_EQ(Refusal([&] { repository.Load("bad"); }), Reason::kUnavailable);
  EXPECT_TRUE(repository.Ready());
  // Without watching, a load request finds what is new, of this model alone.
  Put("a/2/model.onnx", AddingModel(10));
  Put("b/2/model.onnx", AddingModel(20));
  repository.Load("a");
  EXPECT_EQ(Adds(repository, "a"), 10);
  EXPECT_EQ(Refusal([&] { repository.Find("b", "2"); }), Reason::kNotFound);
  Put("c.onnx", AddingModel(30));
  repository.Load("c");
  EXPECT_EQ(Adds(repository, "c"), 30);

  const auto held = repository.Find("a", "2");
  repository.Unload("a");
  EXPECT_EQ(Refusal([&] { repository.Find("a", ""); }), Reason::kUnavailable);
  EXPECT_FALSE(repository.ModelReady("a", "2"));
  EXPECT_EQ(EntryOf(repository, "a", "2").state, "UNLOADING");
  EXPECT_EQ(EntryOf(repository, "a", "1").state, "UNAVAILABLE");
  EXPECT_EQ(Added(*held), 10);
  EXPECT_TRUE(repository.Ready());
  repository.Load("a");
  EXPECT_EQ(Adds(repository, "a"), 10);
}

TEST_F(RepositoryTest, FixedModelsAreNotForClientsToChange) {
  Put("a/1/model.onnx", AddingModel(1));
  RepositoryOptions options = Options();
  options.control = RepositoryOptions::Control::kFixed;
  Repository repository(options);
  Await(repository);
  EXPECT_EQ(Refusal([&] { repository.Unload("a"); }), Reason::kUnavailable);
  EXPECT_EQ(Refusal([&] { repository.Load("a"); }), Reason::kUnavailable);
  EXPECT_EQ(Adds(repository, "a"), 1);
}

TEST_F(RepositoryTest, WithoutWatchingChangesWaitForARescan) {
  Put("a/1/model.onnx", AddingModel(1));
  RepositoryOptions options = Options();
  options.watch = false;
  Repository repository(options);
  Await(repository);
  Put("a/1/model.onnx", AddingModel(2));
  Put("b.onnx", AddingModel(3));
  std::this_thread::sleep_for(milliseconds(400));
  EXPECT_EQ(Adds(repository, "a"), 1);
  repository.Rescan();
  EXPECT_TRUE(Soon([&] { return Adds(repository, "a") == 2; }));
  EXPECT_TRUE(Soon([&] { return repository.Index(true).size() == 2; }));
}

TEST_F(RepositoryTest, WhatIsDeletedGoesOutOfService) {
  Put("a/1/model.onnx", AddingModel(1));
  Put("a/2/model.onnx", AddingModel(2));
  Put("b.onnx", AddingModel(3));
  std::vector<std::string> forgotten;
  std::mutex mutex;
  RepositoryOptions options = Options();
  options.on_forget = [&](const std::string& model, const std::string& version) {
    const std::lock_guard lock(mutex);
    forgotten.push_back(model + " " + version);
  };
  const Repository repository(options);
  Await(repository);
  fs::remove_all(Path("a/2"));
  EXPECT_TRUE(Soon([&] { return Adds(repository, "a") == 1; }));
  fs::remove(Path("b.onnx"));
  EXPECT_TRUE(Soon([&] { return Refusal([&] { repository.Find("b", ""); }) == Reason::kNotFound; }));
  EXPECT_TRUE(Soon([&] { return repository.Index(false).size() == 1; }));
  EXPECT_TRUE(repository.Ready());
  const std::lock_guard lock(mutex);
  EXPECT_EQ(forgotten, (std::vector<std::string>{"a 2", "b 1"}));
}

TEST_F(RepositoryTest, AFolderThatVanishesLeavesEverythingServing) {
  Put("a/1/model.onnx", AddingModel(1));
  const Repository repository(Options());
  Await(repository);
  fs::rename(dir_, dir_ + ".away");
  std::this_thread::sleep_for(milliseconds(500));
  EXPECT_EQ(Adds(repository, "a"), 1);
  fs::rename(dir_ + ".away", dir_);
  Put("a/2/model.onnx", AddingModel(2));
  EXPECT_TRUE(Soon([&] { return Adds(repository, "a") == 2; }));
}

TEST_F(RepositoryTest, KeepsOnlyTheNewestVersionsIfToldTo) {
  for (int version : {1, 2, 3})
    Put(fmt::format("m/{}/model.onnx", version), AddingModel(static_cast<float>(version)));
  RepositoryOptions options = Options();
  options.max_versions = 2;
  const Repository repository(options);
  Await(repository);
  EXPECT_TRUE(repository.Ready());
  EXPECT_EQ(repository.Info("m", "").versions, (std::vector<std::string>{"2", "3"}));
  EXPECT_EQ(Refusal([&] { repository.Find("m", "1"); }), Reason::kUnavailable);
  Put("m/4/model.onnx", AddingModel(4));
  EXPECT_TRUE(Soon([&] { return repository.Info("m", "").versions == std::vector<std::string>{"3", "4"}; }));
}

TEST_F(RepositoryTest, FollowsLinksInsideTheFolderOnly) {
  const std::string outside = dir_ + ".outside";
  Spill(outside + "/1/model.onnx", AddingModel(1));
  Spill(Path(".store/v7/model.onnx"), AddingModel(7));
  fs::create_directories(Path("inside"));
  fs::create_directory_symlink(Path(".store/v7"), Path("inside/1"));
  fs::create_directory_symlink(outside, Path("dir"));
  fs::create_directories(Path("file/1"));
  fs::create_symlink(outside + "/1/model.onnx", Path("file/1/model.onnx"));
  fs::create_symlink("/nowhere", Path("broken.onnx"));
  fs::create_symlink("broken2.onnx", Path("broken2.onnx"));
  const Repository repository(Options());
  Await(repository);
  EXPECT_EQ(Adds(repository, "inside"), 7);
  for (const char* name : {"dir", "file"}) {
    EXPECT_EQ(Refusal([&] { repository.Find(name, ""); }), Reason::kUnavailable);
    EXPECT_NE(EntryOf(repository, name, "1").reason.find("leaves the model repository"), std::string::npos);
  }
  for (const char* name : {"broken", "broken2"})
    EXPECT_EQ(EntryOf(repository, name, "1").state, "UNAVAILABLE");
  fs::remove_all(outside);
}

TEST_F(RepositoryTest, ReadsModelJson) {
  Put("m/model.json", R"({"max_queue": 5, "default_priority": 3})");
  Put("m/1/model.json", R"({"max_queue": 6})");
  Put("m/1/model.onnx", AddingModel(1));
  Put("bare.onnx", AddingModel(2));
  Put("bare.json", R"({"max_queue": 8, "labels": "bare.names"})");
  Put("bare.names", "cat\ndog\n");
  const Repository repository(Options());
  Await(repository);
  EXPECT_EQ(repository.Find("m", "")->config.max_queue, 6);
  EXPECT_EQ(repository.Find("m", "")->config.default_priority, 3);
  EXPECT_EQ(repository.Find("bare", "")->config.max_queue, 8);
  EXPECT_EQ(repository.Info("bare", "").labels, (std::vector<std::string>{"cat", "dog"}));
  // A change is a change of the model; a mistake leaves what serves.
  Put("m/model.json", R"({"max_queue": 5, "default_priority": 4})");
  EXPECT_TRUE(Soon([&] { return repository.Find("m", "")->config.default_priority == 4; }));
  Put("m/model.json", R"({"max_qeue": 5})");
  EXPECT_TRUE(Soon([&] { return !EntryOf(repository, "m", "1").reason.empty(); }));
  const std::string reason = EntryOf(repository, "m", "1").reason;
  EXPECT_NE(reason.find("m/model.json"), std::string::npos) << reason;
  EXPECT_NE(reason.find("max_qeue"), std::string::npos) << reason;
  EXPECT_EQ(repository.Find("m", "")->config.default_priority, 4);
}

TEST_F(RepositoryTest, RefusesBatchesOfModelsOfOneSize) {
  Put("m/model.json", R"({"max_batch_size": 4})");
  Put("m/1/model.onnx", AddingModel(1));
  const Repository repository(Options());
  Await(repository);
  EXPECT_NE(EntryOf(repository, "m", "1").reason.find("max_batch_size is 4"), std::string::npos);
}

TEST_F(RepositoryTest, SaysWhatIsWrongWithTheFolder) {
  RepositoryOptions options = Options();
  options.folder = Path("nowhere");
  EXPECT_THROW(Repository{options}, Error);
  options.folder = Path("file");
  Spill(options.folder, "");
  EXPECT_THROW(Repository{options}, Error);
  options = Options();
  options.control = RepositoryOptions::Control::kExplicit;
  options.load = {"nothing"};
  EXPECT_THROW(Repository{options}, Error);
}

}  // namespace
}  // namespace sluice::serve
