// How web addresses are written and compared. Private to src/storage.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace zipmodule::storage {

// RFC 3986, section 2.3: all but the unreserved characters is percent-encoded; '/' between segments is kept in a path,
// and not in a part of a query.
std::string encoded_path(std::string_view path);
std::string encoded_part(std::string_view text);

// The text in lower case, as host and header names are compared.
std::string lower(std::string text);

// Whether the https address lies below one of the places (URLs without '/' at their ends). Addresses with a path that
// servers may take for another one never do.
bool leads_below(const std::string& url, const std::vector<std::string>& places);

// Scheme, host and port, for messages: the rest may hold what nobody else should know. "elsewhere" for what is no
// address.
std::string origin_of(const std::string& url);

// Whether `redirect` is the address itself with a '/' behind it.
bool is_same_with_slash(const std::string& url, const std::string& redirect);

}  // namespace zipmodule::storage
