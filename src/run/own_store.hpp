// What root makes in a store, its own user can't use: a lock file alone would keep that user's runs from their work.
#pragma once

#include <filesystem>

namespace zipmodule::run {

// Throws Error{store_unwritable} where the store's marker belongs to another user than this one, or this is root and
// the folder is another user's. Changes nothing.
void require_own_store(const std::filesystem::path& root);

}  // namespace zipmodule::run
