// Where an archive lies below a store or a target. Every path follows from an id or from the names that publish let in;
// no text from elsewhere becomes a path.
#pragma once

#include <string>
#include <string_view>

namespace zipmodule {

enum class ArchiveFormat { zip };

// With its dot.
std::string_view suffix_of(ArchiveFormat format) noexcept;

// Whether it is 32 lowercase hexadecimal digits.
bool is_build_id(std::string_view text) noexcept;

// "builds/ab/abcdef....zip". Throws Error{internal} for what is no build id.
std::string build_path(std::string_view build_id, ArchiveFormat format = ArchiveFormat::zip);

// "public/<series>/<archive>.zip". Throws Error{payload} for names that publish would not have let in.
std::string public_path(std::string_view series, std::string_view archive, ArchiveFormat format = ArchiveFormat::zip);

}  // namespace zipmodule
