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

// Throws what the root's constructor throws for what can't be right at any time; nothing is looked up yet.
storage::RootPlace root_place(const config::Config& config, const std::string& name, const config::Place& place);

std::unique_ptr<storage::Target> open_target(const std::string& name, const config::Target& target,
                                             const tree::Access& access);

// All content roots, none of them looked up yet.
archive::Roots root_places(const config::Config& config);

archive::PlanOptions plan_options(const config::Config& config);
queue::ConnectionOptions connection_options(const config::Config& config);
// `store`: its id (identity.hpp); empty where that does not matter.
queue::WorkerOptions worker_options(const config::Config& config, const std::string& store);
// Mode and group of what is published. Throws Error{config} for a group that this host does not have.
tree::Access access_of(const config::Archives& archives);

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
