// The list of a publish (CONTRACT.md, 'files') as values.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace zipmodule::archive {

// One element: which source, and where it goes.
struct Listed {
  std::string url;   // 's3://bucket/key' and the like, instead of root and path: a root that covers it has them
  std::string root;  // 'default' where the source names none
  std::string path;  // relative to the root, without a trailing '/'; empty: the root itself
  bool contents_only = false;  // the source ended in '/': what is in the folder, without the folder
  std::string destination;     // folder in the archive, without slashes at its ends; empty: top level
  std::string name;            // file or folder name in the archive; empty: as in the source
};

// Whether the source is written as a URL: sftp://, s3:// or https://.
bool is_url(std::string_view source) noexcept;

// Splits 'root:path'. A prefix before the first ':' that has no '/' is the root's name.
Listed parse_source(std::string_view source);

// Parses the JSON array and hands out element by element. publish has validated it; what gets here all the same throws
// Error{payload} naming the element. What `take` throws goes on to the caller.
void for_each_listed(std::string_view json, const std::function<void(const Listed&)>& take);
// The same as a whole.
std::vector<Listed> parse_file_list(std::string_view json);

}  // namespace zipmodule::archive
