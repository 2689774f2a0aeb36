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
      frame_(root, std::move(base), limits, std::move(stop), visitor),
      who_("source " + frame_.name("")),
      prefix_([&] {
        const std::string key = client.key_of(frame_.path(""));
        return key.empty() ? key : key + '/';
      }()) {}

void S3Walk::run() {
  frame_.enter("", {entered_++, 0});
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
  if (!any_ && !frame_.path("").empty()) {
    throw Error(ErrorKind::source_missing, fmt::format("{}: no key below it", who_),
                "put it there, or publish a list without it");
  }
}

S3Page S3Walk::next_page(const std::string& token) {
  frame_.require_no_stop();
  return client_.list(prefix_, token, k_page_keys, who_, frame_.stop());
}

void S3Walk::take(const S3Listed& listed) {
  frame_.require_no_stop();
  if (!listed.key.starts_with(prefix_)) not_s3(who_, "the bucket's listing has other keys than were asked for");
  if (any_ && listed.key <= last_) not_s3(who_, "the bucket's listing is not in order");
  any_ = true;
  last_ = listed.key;
  const std::string path = listed.key.substr(prefix_.size());
  if (path.empty()) return;  // what marks the folder itself
  if (!excluded_.empty() && path.starts_with(excluded_)) return;
  if (!closed_.empty() && path.starts_with(closed_)) return frame_.hold(path, 1, 0);
  for (; !folders_.empty() && !path.starts_with(folders_.back()); folders_.pop_back()) frame_.leave();
  while (!files_.empty() && !path.starts_with(files_.back())) files_.pop_back();
  if (!enter_folders(path) || path.back() == '/') return;
  if (leads_nowhere(std::string_view(path).substr(path.rfind('/') + 1)))
    return problem(path, nowhere(frame_.name(path)));
  if (frame_.excludes(path)) return frame_.left_out(1);
  frame_.hold(path, 1, 0);
  frame_.found(path, root_.status_of(listed, frame_.path(path)));
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
      problem(path.substr(0, end), nowhere(frame_.name(path.substr(0, end))));
      return false;
    }
    if (!enter(path.substr(0, end))) return false;
  }
}

bool S3Walk::enter(const std::string& folder) {
  if (frame_.excludes(folder)) {
    excluded_ = folder + '/';
    frame_.left_out(1);
    return false;
  }
  for (const std::string& file : files_) {
    if (file != folder) continue;
    closed_ = folder + '/';
    problem(folder, {ErrorKind::name_conflict,
                     fmt::format("source {}: there are an object of that key and others below it", frame_.name(folder)),
                     "remove or rename one of them"});
    return false;
  }
  frame_.enter(folder, {entered_++, 0});
  frame_.hold(folder, 1, 0);
  FileStatus status;
  status.type = FileType::directory;
  folders_.push_back(folder + '/');
  frame_.found(folder, status);
  return true;
}

void S3Walk::problem(const std::string& path, const Error& error) {
  frame_.hold(path, 1, 0);
  frame_.problem(path, error);
}

}  // namespace zipmodule::storage
