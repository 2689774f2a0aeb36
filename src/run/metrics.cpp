#include "run/metrics.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <utility>

#include "base/error.hpp"
#include "base/fd.hpp"

namespace zipmodule::run {
namespace {

// A label's value may hold anything but these three as they are.
std::string escaped(const std::string& text) {
  std::string result;
  for (const char letter : text) {
    if (letter == '\\' || letter == '"') result += '\\';
    if (letter == '\n') {
      result += "\\n";
    } else {
      result += letter;
    }
  }
  return result;
}

class Exposition {
 public:
  explicit Exposition(const std::string& host) : host_(escaped(host)) {}

  // What follows belongs to this name.
  void gauge(const char* name, const char* help) {
    name_ = name;
    text_ += fmt::format("# HELP {0} {1}\n# TYPE {0} gauge\n", name, help);
  }
  template <class Value>
  void sample(const Value& value, const std::string& label = {}, const std::string& label_value = {}) {
    const std::string more = label.empty() ? "" : fmt::format(",{}=\"{}\"", label, escaped(label_value));
    text_ += fmt::format("{}{{instance_host=\"{}\"{}}} {}\n", name_, host_, more, value);
  }
  template <class Value>
  void gauge(const char* name, const char* help, const Value& value) {
    gauge(name, help);
    sample(value);
  }
  std::string take() { return std::move(text_); }

 private:
  std::string host_;
  std::string name_;
  std::string text_;
};

void expose_run(Exposition& to, const Ending& ending) {
  // Whole milliseconds: a double's shortest form of a time of today would be 1.7e+09.
  const auto time = [](double seconds) { return fmt::format("{:.3f}", seconds); };
  to.gauge("zipmodule_run_start_timestamp_seconds", "When the last run began.", time(ending.started_at));
  to.gauge("zipmodule_run_end_timestamp_seconds", "When the last run ended, however it did.", time(ending.ended_at));
  to.gauge("zipmodule_run_duration_seconds", "How long the last run took.", time(ending.seconds));
  to.gauge("zipmodule_run_success", "Whether the last run ended well: 1 or 0.", ending.exit_code == 0 ? 1 : 0);
  to.gauge("zipmodule_run_exit_code", "The exit code of the last run.", ending.exit_code);
  to.gauge("zipmodule_run_outcome", "How the last run ended: 1 for the outcome that stands in the table run.");
  for (const char* outcome : {"done", "failed", "stopped", "timeout", "database", "error"})
    to.sample(ending.outcome == outcome ? 1 : 0, "outcome", outcome);
  to.gauge("zipmodule_run_jobs", "Attempts of the last run: claimed, and how they ended.");
  to.sample(ending.claimed, "result", "claimed");
  to.sample(ending.done, "result", "done");
  to.sample(ending.failed, "result", "failed");
}

void expose_queue(Exposition& to, const queue::Gauges& queue) {
  to.gauge("zipmodule_queue_jobs", "Jobs of the whole queue by state: pending (due), waiting, running, failed.");
  to.sample(queue.due, "state", "pending");
  to.sample(queue.waiting, "state", "waiting");
  to.sample(queue.running, "state", "running");
  to.sample(queue.failed, "state", "failed");
  to.gauge("zipmodule_queue_oldest_due_age_seconds", "How long the oldest due job has been due; 0 where none is.",
           fmt::format("{:.3f}", queue.oldest_due_seconds));
  to.gauge("zipmodule_queue_oldest_pending_age_seconds",
           "Since when the oldest unbuilt job is pending, also while it waits or is built; 0 where none is.",
           fmt::format("{:.3f}", queue.oldest_pending_seconds));
  to.gauge("zipmodule_undelivered_archives", "Copies of archives that are still to go to some target.",
           queue.undelivered);
  to.gauge("zipmodule_undelivered_oldest_age_seconds",
           "How long the oldest of them has been on its way; 0 where none is.",
           fmt::format("{:.3f}", queue.oldest_delivery_seconds));
  to.gauge("zipmodule_unseen_stores", "Stores with current archives that no run has seen for an hour.",
           queue.unseen_stores);
  if (!queue.success_at) return;
  to.gauge("zipmodule_run_last_success_timestamp_seconds", "When this host's last run that ended well ended.",
           fmt::format("{:.3f}", *queue.success_at));
}

}  // namespace

std::string metrics_text(const Metrics& metrics) {
  Exposition to(metrics.host);
  to.gauge("zipmodule_build_info", "The version that ran: always 1.");
  to.sample(1, "version", metrics.version);
  expose_run(to, metrics.ending);
  if (metrics.queue) expose_queue(to, *metrics.queue);
  if (metrics.store_free_bytes)
    to.gauge("zipmodule_store_free_bytes", "Bytes free on the file system of archives.root.",
             *metrics.store_free_bytes);
  return to.take();
}

void write_metrics(const std::filesystem::path& path, const std::string& text) {
  const std::string temporary = path.string() + ".tmp";
  // Whatever a crash left there is written over; a link is not followed.
  Fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!fd) throw store_error(errno, "create " + temporary);
  // The exporter is another user, whatever the umask.
  if (::fchmod(fd.get(), 0644) != 0 || !pwrite_full(fd.get(), std::as_bytes(std::span(text)), 0))
    throw store_error(errno, "write " + temporary);
  close_or_throw(std::move(fd), temporary);
  if (std::rename(temporary.c_str(), path.c_str()) != 0)
    throw store_error(errno, fmt::format("rename {} to {}", temporary, path.string()));
}

void try_metrics(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored))
    throw Error(ErrorKind::config, path.string() + " is a folder", "let run.metrics_file name a file in it");
  // Not a name that ends in .prom: the exporter would read it.
  std::string temporary = path.string() + ".check.XXXXXX";
  const Fd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) {
    throw Error(ErrorKind::config, fmt::format("create a file beside {}: {}", path.string(), errno_text(errno)),
                "make its folder, and make it writable for the user that runs zipmodule");
  }
  if (::unlink(temporary.c_str()) != 0)
    throw Error(ErrorKind::config, fmt::format("remove {}: {}", temporary, errno_text(errno)),
                "remove it by hand, and look who may rename and remove in its folder");
}

}  // namespace zipmodule::run
