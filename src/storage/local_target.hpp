// Archives delivered into a second folder of this host: another disk, or a network file system that is mounted.
#pragma once

#include <filesystem>
#include <string>

#include "storage/target.hpp"

namespace zipmodule::storage {

// The folder must be there: one that is made in the place of a disk that is not mounted would fill the disk below it. What was
// written is read again and compared. Links are relative symlinks, switched by rename.
class LocalTarget final : public Target {
 public:
  LocalTarget(std::string name, std::filesystem::path folder);

  unsigned parallel() const noexcept override { return 2; }
  std::uint64_t put(const LocalSource& file, const std::string& path, const std::stop_token& stop) override;
  void point(const std::string& link, const std::string& path, const std::stop_token& stop) override;
  bool unpoint(const std::string& link, const std::string& path, const std::stop_token& stop) override;
  void remove(const std::string& path, const std::stop_token& stop) override;
  Condition probe(const std::stop_token& stop) override;

 private:
  template <class What>
  auto told(What what) const;

  const std::filesystem::path folder_;
};

}  // namespace zipmodule::storage
