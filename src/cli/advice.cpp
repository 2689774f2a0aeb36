#include "cli/advice.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "base/error.hpp"

namespace zipmodule::cli {
namespace {

struct Advice {
  ErrorKind kind;
  std::string_view text;
};

constexpr auto k_advice = std::to_array<Advice>({
    {ErrorKind::config, "The configuration of the worker's host lacks what this job needs: mend it there, then retry."},
    {ErrorKind::database, "The database was not reachable. Nothing is wrong with the job; it is tried again."},
    {ErrorKind::root_away,
     "A content root, or a disk below it, is not there: mount it (`zipmodule check`). Nothing is wrong with the job; "
     "it is tried every minute."},
    {ErrorKind::source_missing,
     "Put the file back, or publish the archive without it, or with --option on_missing=skip to leave out what is "
     "gone."},
    {ErrorKind::source_unreadable,
     "Let the user that runs zipmodule read it (try `namei -l` on its path); where it is on another host, mend there "
     "what the "
     "message names. Then retry."},
    {ErrorKind::source_type,
     "Only regular files and folders can be archived, and of web servers only files: replace it, or publish the "
     "archive "
     "without it."},
    {ErrorKind::source_outside,
     "A symlink or a redirect leads out of the content root. Put the file itself there, or name its folder as a root "
     "of its own; a redirect may be allowed by the root's 'redirects'."},
    {ErrorKind::source_changed, "It was written to while it was read. Publish again when whatever writes it is done."},
    {ErrorKind::source_unreachable,
     "The host that has the content did not answer: look whether it is up (`zipmodule check`). Nothing is wrong with "
     "the "
     "job; it is tried again."},
    {ErrorKind::source_refused,
     "The host that has the content refused the login, its key or certificate is not trusted, or the bucket does not "
     "exist: the message says which. Mend that (`zipmodule check`), then retry, or wait five minutes."},
    {ErrorKind::target_unreachable,
     "The place it is delivered to did not answer: look whether it is up (`zipmodule check`). Nothing is wrong with "
     "the "
     "archive; it is tried every minute."},
    {ErrorKind::target_refused,
     "The place it is delivered to refused the login, its key or certificate is not trusted, or the bucket does not "
     "exist: the message says which. Mend that (`zipmodule check`), then retry, or wait five minutes."},
    {ErrorKind::target_unwritable,
     "The place it is delivered to can't be written: look at its space and rights (`zipmodule check`). It is tried "
     "every "
     "minute."},
    {ErrorKind::source_name, "Rename the file, or give it another name in the archive with \"name\" in its element."},
    {ErrorKind::name_conflict,
     "Give one of the two another \"name\" or \"destination\", or set zip.on_duplicate to rename."},
    {ErrorKind::limit, "Publish fewer files in more archives, or raise the limit in the worker's configuration."},
    {ErrorKind::empty, "Publish at least one file, or set zip.allow_empty where an empty archive is wanted."},
    {ErrorKind::payload, "The stored file list can't be understood: publish it again."},
    {ErrorKind::disk_full, "Free space in the archive store. Nothing is wrong with the job; it is tried again."},
    {ErrorKind::disk_reserve,
     "Free space in the archive store, or lower archives.min_free. Nothing is wrong with the job; it is tried again."},
    {ErrorKind::store_unwritable, "Make archives.root writable for the user that runs zipmodule (`zipmodule check`)."},
    {ErrorKind::io, "Reading or writing failed: look at the system's log for the disk, and try `zipmodule check`."},
    {ErrorKind::open_files,
     "The worker had no file descriptor left: raise its limit of open files (systemd: LimitNOFILE). Nothing is wrong "
     "with "
     "the job; it is tried again."},
    {ErrorKind::threads,
     "The worker could start no further thread: raise its user's or container's limit of processes (ulimit -u, "
     "systemd: TasksMax). Nothing is wrong with the job; it is tried again."},
    {ErrorKind::verify, "What was written is not what was read: suspect memory or disk, and look at the system's log."},
    {ErrorKind::corrupt, "An archive on disk is damaged: `zipmodule check --deep` finds all such."},
    {ErrorKind::lease_lost, "Its worker went silent for longer than run.lease: killed, paused, or cut off."},
    {ErrorKind::stopped, "The run was stopped before the build was done; nothing is wrong with the job."},
    {ErrorKind::internal, "This is a bug in zipmodule: please report it with the message above."},
});

}  // namespace

std::string advice_for(std::string_view error_kind) {
  const auto kind = error_kind_from_code(error_kind);
  const auto found =
      std::find_if(k_advice.begin(), k_advice.end(), [&](const Advice& advice) { return advice.kind == kind; });
  return found == k_advice.end() ? std::string() : std::string(found->text);
}

}  // namespace zipmodule::cli
