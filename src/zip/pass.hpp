// One pass over a plan: what the threads that write an archive share.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <vector>

#include "base/clock.hpp"
#include "zip/entry.hpp"
#include "zip/format.hpp"
#include "zip/output.hpp"
#include "zip/sequencer.hpp"
#include "zip/writer.hpp"

namespace zipmodule::zip {

struct Timings {
  double read = 0;
  double compress = 0;
  double write = 0;
  double cpu = 0;
};

// The caller's thread issues the entries in order (pass_issue.cpp), the pool's threads make and write the pieces
// (pass_work.cpp). A second pass is made only where an entry turned out not to shrink.
class Pass {
 public:
  Pass(Output& output, const EntryList& entries, Content& content, const WriteOptions& options,
       const Resources& resources, const std::stop_token& stop, const std::vector<std::size_t>& must_store);

  // Issues all entries in order and waits for the threads. Throws the first error.
  void run();

  // Appends the central directory; the file is whole then. Returns its size.
  std::uint64_t finish();

  std::vector<std::size_t> take_not_shrunk() { return std::move(not_shrunk_); }
  Timings timings() const { return timings_; }
  std::uint64_t bytes_in() const { return bytes_in_.load(); }

 private:
  // A large entry's source, opened and judged.
  struct Opened {
    std::unique_ptr<EntryReader> reader;
    Method method = Method::stored;
  };
  // An entry that is looked at before its turn.
  struct Upcoming {
    std::optional<RawData> raw;
    std::future<Opened> opened;  // where it is fetched, and large
  };

  // by the thread that plans
  void look_ahead(std::size_t index);
  void issue(std::size_t index);
  void issue_check(const EntryView& view, RawData& raw);
  void issue_header_only(std::size_t index, const EntryView& view);
  // `reader`: of its source, where that is open already, or null.
  void issue_small(std::size_t index, const EntryView& view, std::unique_ptr<EntryReader> reader);
  void issue_large(std::size_t index, const EntryView& view, std::future<Opened> ahead);
  Opened open_large(std::size_t index, const EntryView& view) const;
  void issue_raw(std::size_t index, const EntryView& view, RawData raw);
  void issue_chunks(std::size_t index, const std::shared_ptr<LargeEntry>& large);
  bool join_older(std::size_t index, const EntryView& view, RawData& raw);
  void issue_older();
  Method choose_method(std::size_t index, const EntryView& view, EntryReader& reader) const;
  std::uint64_t share_of_open(std::uint64_t bytes) const noexcept;
  std::uint64_t share_of(const LargeEntry& large, std::uint64_t bytes) const noexcept;
  bool is_small(std::size_t index, const EntryView& view) const;
  bool may_align(std::size_t index, std::uint64_t bytes) const;
  // With fetchers, the same share of their window.
  Piece& append(std::unique_ptr<Piece> piece, std::optional<std::uint64_t> size, std::uint64_t bytes_in_flight,
                Fetchers* fetchers = nullptr);
  // Has `bytes` of the piece fetched, and `work` done by the pool when they are here; without fetchers at once.
  using Work = void (Pass::*)(Piece&, Timings&);
  void submit_fetched(Fetchers* fetchers, Piece& piece, std::uint64_t bytes, Work work);
  void renew_headers();

  // by the pool
  void read_source(Piece& piece, std::span<std::byte> to);
  void make_small(Piece& piece, Timings& timings);
  void make_chunk(Piece& piece, Timings& timings);
  void end_reading(LargeEntry& large);
  void end_making(LargeEntry& large, std::size_t index);
  void settle(Sequencer::Pieces pieces, Timings& timings);
  void settle(Piece& piece);
  void copy_chunk(const Piece& piece, Timings& timings);
  void copy_older(const Piece& piece, Timings& timings);
  void end_part(LargeEntry& large, std::size_t index);

  // Runs `work` on the pool, with its timings and errors carried back.
  template <class Task>
  void submit(Task task) {
    submit_to(resources_.pool, std::move(task));
  }
  template <class Task>
  void submit_to(ThreadPool& pool, Task task);
  void fail(std::exception_ptr error);
  void count_in(std::uint64_t bytes) { bytes_in_ += bytes; }
  void progress(std::uint64_t source_bytes) {
    if (options_.progress != nullptr) *options_.progress += source_bytes;
  }

  // constant after construction
  Output& output_;
  const EntryList& entries_;
  Content& content_;
  const WriteOptions& options_;
  const Resources& resources_;
  const std::vector<std::size_t>& must_store_;  // sorted

  // the planning thread's own
  std::deque<Upcoming> upcoming_;
  std::size_t upcoming_end_ = 0;         // the entry behind the last of them
  std::shared_ptr<OlderEntries> older_;  // the run that entries are being added to

  Sequencer sequencer_;
  std::vector<Written> written_;  // each element set by the thread that writes the entry
  std::atomic<std::uint64_t> bytes_in_{0};
  std::stop_source stop_;
  std::stop_callback<std::function<void()>> outer_stop_;

  std::mutex mutex_;
  std::condition_variable idle_;
  std::size_t running_ = 0;  // guarded by mutex_, as all below
  std::exception_ptr error_;
  std::vector<std::size_t> not_shrunk_;
  // copied from the other side of 4 GiB, which a local header tells
  std::vector<std::size_t> headers_to_renew_;
  Timings timings_;
};

template <class Task>
void Pass::submit_to(ThreadPool& pool, Task task) {
  {
    std::lock_guard lock(mutex_);
    ++running_;
  }
  // A std::function must be copyable, what it holds need not be.
  pool.submit([this, shared = std::make_shared<Task>(std::move(task))]() mutable {
    Timings timings;
    if (!stop_.stop_requested()) {
      const double cpu_before = thread_cpu_seconds();
      try {
        (*shared)(timings);
      } catch (...) {
        fail(std::current_exception());
      }
      timings.cpu = thread_cpu_seconds() - cpu_before;
    }
    // It holds pieces, with their sources and shares of the budget: run() may return once this is counted as done.
    shared.reset();
    std::lock_guard lock(mutex_);
    timings_.read += timings.read;
    timings_.compress += timings.compress;
    timings_.write += timings.write;
    timings_.cpu += timings.cpu;
    if (--running_ == 0) idle_.notify_all();
  });
}

}  // namespace zipmodule::zip
