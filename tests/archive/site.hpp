// Content roots and an archive store in a directory of their own.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "archive/builder.hpp"
#include "archive/plan.hpp"
#include "archive/store.hpp"
#include "base/byte_budget.hpp"
#include "base/error.hpp"
#include "base/thread_pool.hpp"
#include "storage/local_root.hpp"
#include "support/catch.hpp"
#include "support/temp_dir.hpp"
#include "support/tree.hpp"

namespace zipmodule::archive {

inline constexpr std::int64_t k_file_time = 1'600'000'001;

// Roots 'default' and 'media' at <dir>/default and <dir>/media, a store at <dir>/store.
class TestSite {
 public:
  explicit TestSite(std::uint64_t min_free_bytes = 0) : store_(dir / "store", min_free_bytes) { open_roots(); }
  // On another file system.
  explicit TestSite(const std::filesystem::path& parent) : dir("archive", parent), store_(dir / "store", 0) {
    open_roots();
  }

  void open_roots() {
    for (const char* name : {"default", "media"}) {
      std::filesystem::create_directories(dir / name);
      roots_.emplace(name, std::make_shared<storage::LocalRoot>(name, dir / name, dir / "store"));
    }
    options.host = "testhost";
  }

  std::filesystem::path file(const std::string& path, const std::string& content = "content") const {
    test::write_file(dir / path, content, k_file_time);
    return dir / path;
  }
  const Store& store() const noexcept { return store_; }
  const Roots& roots() const noexcept { return roots_; }
  std::unique_ptr<storage::LocalFile> open(const std::string& root, const std::string& path) const {
    return dynamic_cast<const storage::LocalRoot&>(*roots_.at(root).for_attempt({})).open(path);
  }

  std::unique_ptr<Plan> plan(const std::string& files_json) const {
    return make_plan(parse_file_list(files_json), roots_, options, {});
  }
  // The names a list becomes.
  std::vector<std::string> names(const std::string& files_json) const {
    const auto made = plan(files_json);
    std::vector<std::string> result;
    for (std::size_t i = 0; i < made->size(); ++i) result.emplace_back(made->at(i).name);
    return result;
  }

  Builder builder(bool allow_empty = false) {
    return Builder(store_, roots_, {options, allow_empty}, {pool_, budget_});
  }
  FinishedBuild build(const std::string& files_json, zip::Level level = zip::Level::balanced) {
    return build_after(std::nullopt, files_json, level);
  }
  // The next build of the archive that `older` is of.
  FinishedBuild build_after(const std::optional<StoredFile>& older, const std::string& files_json,
                            zip::Level level = zip::Level::balanced) {
    BuilderOptions builder_options{options};
    builder_options.verify_reuse = verify_reuse;
    BuildProgress progress;
    measured = {};
    return Builder(store_, roots_, builder_options, {pool_, budget_})
        .build({"series/archive", files_json, level, options.skip_missing, older}, {}, progress, measured);
  }
  ThreadPool& pool() noexcept { return pool_; }
  zip::Resources resources() noexcept { return {pool_, budget_}; }

  test::TempDir dir{"archive"};
  PlanOptions options;
  VerifyReuse verify_reuse = VerifyReuse::sample;
  BuildMeasurements measured;  // of the last build

 private:
  Store store_;
  Roots roots_;
  ByteBudget budget_{64U << 20U};
  ThreadPool pool_{2};
};

// The Error that `work` throws.
inline Error error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error;
  }
  FAIL("nothing thrown");
  return {ErrorKind::internal, ""};
}

}  // namespace zipmodule::archive
