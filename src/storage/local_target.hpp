// Archives delivered into a second folder of this host: another disk, or a network file system that is mounted.
#pragma once

#include <filesystem>
#include <string>

#include "storage/target.hpp"

namespace zipmodule::storage {

// The folder must be there: one that is made in the place of a disk that is not mounted would fill the disk below it.
// What was written is read again and compared.
class LocalTarget final : public Target {
 public:
  LocalTarget(std::string name, std::filesystem::path folder, tree::Access access = {});

  unsigned parallel() const noexcept override { return 2; }
  Condition probe(const std::stop_token& stop) override;

 private:
  std::optional<std::string> do_read_marker(const std::stop_token& stop) override;
  void do_write_marker(const std::string& text, const std::stop_token& stop) override;
  bool do_is_empty(const std::stop_token& stop) override;
  bool do_has_build(const std::string& build_id, const std::stop_token& stop) override;
  std::uint64_t do_put(const LocalSource& file, const std::string& build_id, const std::stop_token& stop) override;
  void do_point(const tree::Link& link, const std::stop_token& stop) override;
  bool do_unpoint(const tree::Link& link, const std::stop_token& stop) override;
  void do_remove(const std::string& build_id, const std::stop_token& stop) override;
  // It costs a look at a file.
  std::chrono::seconds marker_lasts() const noexcept override { return std::chrono::seconds(0); }

  template <class What>
  auto guarded(What what) const;

  const tree::Tree tree_;
};

}  // namespace zipmodule::storage
