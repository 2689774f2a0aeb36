// What the system says of files, as values and errors of this folder. Private to src/storage.
#pragma once

#include <sys/stat.h>

#include <string>

#include "base/error.hpp"
#include "storage/root.hpp"

namespace zipmodule::storage {

// `settled` stays false: the open file knows.
FileStatus to_status(const struct stat& s) noexcept;
// When it changed last, in ns since 1970.
std::int64_t changed_ns(const struct stat& s) noexcept;

// `name`: "root:path".
Error source_error(int error_number, const std::string& name);
Error wrong_type(const std::string& name);  // neither regular file nor folder
Error changed(const std::string& name);     // while it was read

}  // namespace zipmodule::storage
