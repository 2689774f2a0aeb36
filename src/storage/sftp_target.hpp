// Archives delivered into a folder of another host over SFTP.
#pragma once

#include <memory>
#include <string>

#include "storage/sftp_options.hpp"
#include "storage/target.hpp"

namespace zipmodule::storage {

class SftpHost;
class SftpSession;

// The folder itself must be there. A file is written under a hidden name, has the host sync it (where that knows how to), is
// closed, its size compared, and renamed. The protocol's version 3 has no checksums: SSH itself sees to it that what arrives is
// what was sent; `read_back` also reads it again and compares. An upload whose connection is lost goes on where it was.
//
// Links are relative symlinks. libssh2 before 1.11 can't replace one in one step: for a round trip there is none.
class SftpTarget final : public Target {
 public:
  // `folder`: absolute, or relative to where the login begins.
  SftpTarget(std::string name, SftpOptions options, std::string folder, bool read_back);
  ~SftpTarget() override;

  unsigned parallel() const noexcept override;
  std::uint64_t put(const LocalSource& file, const std::string& path, const std::stop_token& stop) override;
  void point(const std::string& link, const std::string& path, const std::stop_token& stop) override;
  bool unpoint(const std::string& link, const std::string& path, const std::stop_token& stop) override;
  void remove(const std::string& path, const std::stop_token& stop) override;
  Condition probe(const std::stop_token& stop) override;

 private:
  template <class Work>
  auto with_session(const std::stop_token& stop, Work work);
  std::string there(const std::string& path) const;
  std::string label(const std::string& path) const;
  bool is_there(SftpSession& session, const std::string& path, std::uint64_t size_bytes) const;
  void upload(SftpSession& session, const LocalSource& file, const std::string& path,
              std::uint64_t& acknowledged) const;
  void forget_part(const std::string& path, const std::stop_token& stop) noexcept;
  void open_part(SftpSession& session, const std::string& path, std::uint64_t offset) const;
  void compare(SftpSession& session, const LocalSource& file, const std::string& path) const;
  void require_folder(SftpSession& session) const;
  void make_folders(SftpSession& session, const std::string& path) const;

  const std::string folder_;
  const bool read_back_;
  const std::unique_ptr<SftpHost> host_;
};

}  // namespace zipmodule::storage
