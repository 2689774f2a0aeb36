// What a configuration names, opened: the archive store, the content roots, the threads and memory that builds share.
#pragma once

#include <memory>
#include <string>

#include "archive/builder.hpp"
#include "archive/store.hpp"
#include "base/byte_budget.hpp"
#include "base/thread_pool.hpp"
#include "config/config.hpp"
#include "queue/worker.hpp"
#include "storage/target.hpp"

namespace zipmodule::run {

std::unique_ptr<const storage::Root> open_root(const config::Config& config, const std::string& name,
                                               const config::Place& place);

std::unique_ptr<storage::Target> open_target(const std::string& name, const config::Target& target);

// Content roots that can be opened; with `problems` those that can't are collected there instead of thrown, so that jobs
// which don't need them go on.
archive::Roots open_roots(const config::Config& config, std::vector<Error>* problems);

archive::PlanOptions plan_options(const config::Config& config);
queue::WorkerOptions worker_options(const config::Config& config);

// Owns them all; must outlive every build. Throws Error{store_unwritable, disk_full, io, config}.
class Site {
 public:
  explicit Site(const config::Config& config, archive::Folders folders = archive::Folders::made);

  const archive::Store& store() const noexcept { return store_; }
  const archive::Builder& builder() const noexcept { return builder_; }
  ThreadPool& pool() noexcept { return pool_; }

 private:
  archive::Store store_;
  archive::Roots roots_;
  ByteBudget budget_;
  ThreadPool pool_;
  archive::Builder builder_;
};

}  // namespace zipmodule::run
