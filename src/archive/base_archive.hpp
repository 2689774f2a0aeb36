// An older archive whose unchanged entries are copied instead of made again.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/fd.hpp"
#include "zip/entry.hpp"
#include "zip/reader.hpp"

namespace zipmodule::archive {

// The content of a plan, where entries with the same name, size and modification time (to the second, as archives hold it)
// are taken from the base. The base is untrusted: its structure is checked when it is opened, and every entry is decoded
// and compared with its CRC before it is copied. Must not outlive plan and content.
class BaseArchive final : public zip::Content {
 public:
  // Throws Error{io} where it can't be read, Error{corrupt} where its structure is broken.
  BaseArchive(const std::string& path, const zip::EntryList& plan, zip::Content& content);

  std::unique_ptr<zip::EntryReader> open(std::size_t index) override { return content_.open(index); }
  // Throws Error{corrupt} where the base's data is not what its CRC says.
  std::optional<zip::RawData> raw(std::size_t index) override;

  // How many entries came from the base; one that was asked for again in a second pass counts once.
  std::uint64_t reused() const noexcept {
    return static_cast<std::uint64_t>(std::count(reused_.begin(), reused_.end(), true));
  }

 private:
  const zip::EntryList& plan_;
  zip::Content& content_;
  Fd fd_;
  zip::ArchiveFile file_;
  std::unordered_map<std::string, zip::CentralRecord> records_;
  std::vector<bool> reused_;  // by entry
};

}  // namespace zipmodule::archive
