// Archives delivered into a folder of another host over SFTP.
#pragma once

#include <memory>
#include <string>

#include "storage/sftp_options.hpp"
#include "storage/target.hpp"

namespace zipmodule::storage {

class SftpHost;
class SftpSession;

// The folder itself must be there. A file is written under a hidden name, has the host sync it (where that knows how
// to), is closed, its size compared, and renamed. The protocol's version 3 has no checksums: SSH itself sees to it that
// what arrives is what was sent; `read_back` also reads it again and compares. An upload whose connection is lost goes
// on where it was.
//
// Links are relative symlinks. libssh2 before 1.11 can't replace one in one step: for a round trip there is none.
class SftpTarget final : public Target {
 public:
  // `folder`: absolute, or relative to where the login begins.
  // `mode`: of the files; folders get the matching search bits.
  SftpTarget(std::string name, SftpOptions options, std::string folder, bool read_back, mode_t mode = 0644);
  ~SftpTarget() override;

  unsigned parallel() const noexcept override;
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
  void write_small(SftpSession& session, const std::string& path, const std::string& text) const;
  void make_folders(SftpSession& session, const std::string& path) const;

  const std::string folder_;
  const bool read_back_;
  const mode_t mode_;
  const std::unique_ptr<SftpHost> host_;
};

}  // namespace zipmodule::storage
