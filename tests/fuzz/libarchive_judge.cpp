#include "libarchive_judge.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <utf8proc.h>

#include <clocale>
#include <cstdlib>
#include <memory>

#include "finding.hpp"

namespace zipmodule::fuzz {
namespace {

struct Freer {
  void operator()(archive* a) const noexcept { archive_read_free(a); }
  void operator()(utf8proc_uint8_t* p) const noexcept { std::free(p); }
};
using Reader = std::unique_ptr<archive, Freer>;

// libarchive composes names on the way.
std::string composed(std::string_view name) {
  utf8proc_uint8_t* out = nullptr;
  const auto size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(name.data()), static_cast<utf8proc_ssize_t>(name.size()),
                   &out, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, Freer> owner(out);
  if (size < 0) return std::string(name);
  return {reinterpret_cast<const char*>(out), static_cast<std::size_t>(size)};
}

std::string read_data(archive* reader, std::size_t expected_size) {
  // A byte more than there should be.
  std::string data(expected_size + 1, '\0');
  std::size_t have = 0;
  for (;;) {
    const auto n = archive_read_data(reader, data.data() + have, data.size() - have);
    if (n < 0) finding(fmt::format("libarchive: {}", archive_error_string(reader)));
    if (n == 0) break;
    have += static_cast<std::size_t>(n);
  }
  data.resize(have);
  return data;
}

void compare(archive* reader, archive_entry* found, const zip::MemoryEntry& expected, bool seeking) {
  const char* name = archive_entry_pathname_utf8(found);
  if (name == nullptr || composed(name) != composed(expected.name))
    finding(fmt::format("libarchive reads '{}' as '{}'", expected.name, name == nullptr ? "nothing" : name));
  if ((archive_entry_filetype(found) == S_IFDIR) != expected.directory)
    finding(fmt::format("libarchive takes '{}' for type {:o}", expected.name, archive_entry_filetype(found)));
  const std::int64_t seconds = expected.mtime / 1'000'000'000;
  // It takes the extended timestamp, which is signed, for unsigned.
  if (expected.mtime >= 0 && seconds < std::int64_t{1} << 31)
    require(archive_entry_mtime(found) == seconds, "libarchive reads another time");
  if (seeking) {
    const mode_t mode = expected.directory || expected.executable ? 0755 : 0644;
    require(archive_entry_perm(found) == mode, "libarchive reads another mode");
  }
  require(archive_entry_size_is_set(found) != 0, "libarchive does not know a size before the data");
  require(archive_entry_size(found) == static_cast<std::int64_t>(expected.data.size()),
          "libarchive reads another size");
  if (read_data(reader, expected.data.size()) != expected.data)
    finding(fmt::format("libarchive reads other bytes of '{}'", expected.name));
}

void judge(std::string_view bytes, const std::vector<zip::MemoryEntry>& expected, bool seeking) {
  const Reader reader(archive_read_new());
  if (seeking)
    archive_read_support_format_zip_seekable(reader.get());
  else
    archive_read_support_format_zip_streamable(reader.get());
  if (archive_read_open_memory(reader.get(), bytes.data(), bytes.size()) != ARCHIVE_OK)
    finding(fmt::format("libarchive does not open it: {}", archive_error_string(reader.get())));
  archive_entry* found = nullptr;
  for (const auto& entry : expected) {
    if (archive_read_next_header(reader.get(), &found) != ARCHIVE_OK) {
      const char* problem = archive_error_string(reader.get());
      finding(fmt::format("libarchive, at '{}': {}", entry.name, problem == nullptr ? "the end" : problem));
    }
    compare(reader.get(), found, entry, seeking);
  }
  require(archive_read_next_header(reader.get(), &found) == ARCHIVE_EOF, "libarchive finds more entries");
}

}  // namespace

void judge_by_libarchive(std::string_view archive, const std::vector<zip::MemoryEntry>& expected) {
  // Names that are not ASCII come through in a UTF-8 locale only.
  static const bool k_utf8 = std::setlocale(LC_CTYPE, "C.UTF-8") != nullptr;
  require(k_utf8, "there is no locale C.UTF-8");
  // Its seeking reader does not find an end record at the very beginning of a file.
  if (!expected.empty()) judge(archive, expected, true);
  judge(archive, expected, false);
}

}  // namespace zipmodule::fuzz
