#include "storage/s3_walk.hpp"

#include <fmt/format.h>

#include <string_view>

#include "storage/remote.hpp"
#include "storage/s3_root.hpp"

namespace zipmodule::storage {
namespace {

// The most that a page can have, and as many as servers send unasked.
constexpr unsigned k_page_keys = 1'000;
// Pages without a key that are followed: servers may skip over what was deleted.
constexpr int k_most_empty_pages = 100;

Error nowhere(const std::string& name) {
  return {ErrorKind::source_name, fmt::format("source {}: a key with an empty, '.' or '..' component is no file", name),
          "copy it to another key"};
}

}  // namespace

bool leads_nowhere(std::string_view component) noexcept {
  return component.empty() || component == "." || component == "..";
}

S3Walk::S3Walk(const S3Root& root, S3Client& client, std::string base, const WalkLimits& limits, std::stop_token stop,
               Visitor& visitor)
    : root_(root),
      client_(client),
      base_(std::move(base)),
      who_("source " + root.full_name(base_)),
      prefix_([&] {
        const std::string key = client.key_of(base_);
        return key.empty() ? key : key + '/';
      }()),
      limits_(limits),
      stop_(std::move(stop)),
      visitor_(visitor) {}

std::string S3Walk::name(const std::string& path) const { return root_.full_name(join(base_, path)); }

void S3Walk::run() {
  int empty_pages = 0;
  for (std::string token;;) {
    const S3Page page = next_page(token);
    for (const S3Listed& listed : page.objects) take(listed);
    if (!page.truncated) break;
    empty_pages = page.objects.empty() ? empty_pages + 1 : 0;
    if (page.next.empty() || page.next == token || empty_pages > k_most_empty_pages) {
      not_s3(who_, "the bucket's listing does not end");
    }
    token = page.next;
  }
  if (!any_ && !base_.empty()) {
    throw Error(ErrorKind::source_missing, fmt::format("{}: no key below it", who_),
                "put it there, or publish a list without it");
  }
}

S3Page S3Walk::next_page(const std::string& token) {
  if (stop_.stop_requested()) throw Error(ErrorKind::stopped, "the walk was stopped");
  return client_.list(prefix_, token, k_page_keys, who_, stop_);
}

void S3Walk::take(const S3Listed& listed) {
  if (stop_.stop_requested()) throw Error(ErrorKind::stopped, "the walk was stopped");
  if (!listed.key.starts_with(prefix_)) not_s3(who_, "the bucket's listing has other keys than were asked for");
  if (any_ && listed.key <= last_) not_s3(who_, "the bucket's listing is not in order");
  any_ = true;
  last_ = listed.key;
  const std::string path = listed.key.substr(prefix_.size());
  if (path.empty()) return;  // what marks the folder itself
  if (!closed_.empty() && path.starts_with(closed_)) return count(path);
  while (!folders_.empty() && !path.starts_with(folders_.back())) folders_.pop_back();
  while (!files_.empty() && !path.starts_with(files_.back())) files_.pop_back();
  if (!enter_folders(path) || path.back() == '/') return;
  if (leads_nowhere(std::string_view(path).substr(path.rfind('/') + 1))) return problem(path, nowhere(name(path)));
  count(path);
  visitor_.found(path, root_.status_of(listed, join(base_, path)));
  files_.push_back(path);
}

// Those that the path is in, and that were not found yet. False where one of them can't be entered.
bool S3Walk::enter_folders(const std::string& path) {
  for (;;) {
    const std::size_t begin = folders_.empty() ? 0 : folders_.back().size();
    const auto end = path.find('/', begin);
    if (end == std::string::npos) return true;
    if (leads_nowhere(std::string_view(path).substr(begin, end - begin))) {
      closed_ = path.substr(0, end + 1);
      problem(path.substr(0, end), nowhere(name(path.substr(0, end))));
      return false;
    }
    if (!enter(path.substr(0, end))) return false;
  }
}

bool S3Walk::enter(const std::string& folder) {
  for (const std::string& file : files_) {
    if (file != folder) continue;
    closed_ = folder + '/';
    problem(folder, {ErrorKind::name_conflict,
                     fmt::format("source {}: there are an object of that key and others below it", name(folder)),
                     "remove or rename one of them"});
    return false;
  }
  // The walked one is the first.
  if (folders_.size() + 2 > limits_.max_depth) {
    throw Error(ErrorKind::limit,
                fmt::format("source {} is more than {} folders deep", name(folder), limits_.max_depth),
                "raise limits.max_depth");
  }
  count(folder);
  FileStatus status;
  status.type = FileType::directory;
  folders_.push_back(folder + '/');
  visitor_.found(folder, status);
  return true;
}

void S3Walk::count(const std::string& path) {
  if (++names_ <= limits_.max_names) return;
  throw Error(ErrorKind::limit, fmt::format("source {}: more than {} names", name(path), limits_.max_names),
              "publish fewer files, or raise limits.max_entries");
}

void S3Walk::problem(const std::string& path, const Error& error) {
  count(path);
  visitor_.problem(path, error);
}

}  // namespace zipmodule::storage
