#include "storage/target.hpp"

#include <fmt/format.h>

#include <cerrno>

#include "base/fd.hpp"

namespace zipmodule::storage {

void read_archive(const LocalSource& file, std::uint64_t offset, std::span<std::byte> buffer) {
  const ssize_t got = pread_full(file.fd, buffer, offset);
  if (got < 0) throw Error(ErrorKind::io, fmt::format("read the archive: {}", errno_text(errno)));
  if (static_cast<std::size_t>(got) != buffer.size()) {
    throw Error(ErrorKind::corrupt, "the archive is shorter than it was");
  }
}

}  // namespace zipmodule::storage
