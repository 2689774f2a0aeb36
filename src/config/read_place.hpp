// How roots and targets are read from the file. Private to src/config.
#pragma once

#include <optional>

#include "config/place.hpp"
#include "config/section.hpp"

namespace zipmodule::config {

// An entry of content.roots: a path, a URL, or a mapping with either, how to talk to that host, and a marker. nullopt
// after reporting what is wrong with it.
std::optional<Place> read_place(Section& roots, const Section::Entry& entry, std::string& marker);

// An entry of archives.deliver, likewise; nothing can be written over https.
std::optional<Target> read_target(Section& targets, const Section::Entry& entry);

}  // namespace zipmodule::config
