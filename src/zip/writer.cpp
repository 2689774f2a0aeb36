#include "zip/writer.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/fd.hpp"
#include "zip/codec.hpp"
#include "zip/crc.hpp"
#include "zip/format.hpp"
#include "zip/sequencer.hpp"

namespace zipmodule::zip {

// What the chunks of one large entry share. Lives until its last chunk and its header are written.
struct LargeEntry {
  // constant after construction
  std::unique_ptr<EntryReader> reader;
  EntryView view;
  Method method = Method::stored;
  std::uint64_t bytes_to_read = 0;       // the entry's size, or its compressed size where that is copied
  std::optional<std::uint32_t> raw_crc;  // set where compressed data is copied
  std::size_t chunks = 0;

  bool copied() const noexcept { return method == Method::stored || raw_crc.has_value(); }
  std::uint64_t chunk_size(std::size_t chunk) const noexcept {
    return std::min<std::uint64_t>(k_chunk_bytes, bytes_to_read - chunk * k_chunk_bytes);
  }

  // each element written by the chunk's own thread
  std::vector<std::uint32_t> crcs;

  std::atomic<std::uint64_t> compressed_bytes{0};
  std::atomic<std::size_t> unfinished_chunks{0};
  std::atomic<std::size_t> unfinished_parts{
      0};  // chunks, and the header's place; whoever ends the last writes the header
};

namespace {

// What a ticket counts beside the data: piece, task and vector.
constexpr std::uint64_t k_piece_overhead = 512;

struct Timings {
  double read = 0;
  double compress = 0;
  double write = 0;
  double cpu = 0;
};

// Writes from this size on go to the file one after the other. ext4 and XFS let one thread at a time write to a file, and
// the others spin: of 2 GB stored by two threads that was a quarter of all CPU time (1.63 s, 1.14 s with a mutex to sleep
// on). Small writes are over before a thread could sleep: 8 % slower with it.
constexpr std::size_t k_write_alone_from = std::size_t{64} << 10U;

// One pass over the plan. A second one is made only where an entry turned out not to shrink.
class Pass {
 public:
  Pass(int fd, const std::string& path, const EntryList& entries, Content& content, const WriteOptions& options,
       const Resources& resources, const std::stop_token& stop, const std::vector<std::size_t>& must_store)
      : fd_(fd),
        path_(path),
        entries_(entries),
        content_(content),
        options_(options),
        resources_(resources),
        must_store_(must_store),
        written_(entries.size()),
        outer_stop_(stop, [this] { stop_.request_stop(); }) {}

  // Issues all entries in order and waits for the threads. Throws the first error.
  void run() {
    try {
      for (std::size_t i = 0; i < entries_.size() && !stop_.stop_requested(); ++i) issue(i);
    } catch (...) {
      fail(std::current_exception());
    }
    {
      std::unique_lock lock(mutex_);
      idle_.wait(lock, [&] { return running_ == 0; });
      if (error_) std::rethrow_exception(error_);
    }
    if (stop_.stop_requested()) throw Error(ErrorKind::stopped, "building was stopped");
  }

  // Appends the central directory; the file is whole then.
  std::uint64_t finish();

  std::vector<std::size_t> take_not_shrunk() { return std::move(not_shrunk_); }
  Timings timings() const { return timings_; }
  std::uint64_t bytes_in() const { return bytes_in_.load(); }

 private:
  void issue(std::size_t index);
  void issue_header_only(std::size_t index, const EntryView& view);
  void issue_small(std::size_t index, const EntryView& view);
  void issue_large(std::size_t index, const EntryView& view);
  void issue_raw(std::size_t index, const EntryView& view, RawData raw);
  void issue_chunks(std::size_t index, const std::shared_ptr<LargeEntry>& large);
  Method choose_method(std::size_t index, const EntryView& view, EntryReader& reader);

  void make_small(Piece& piece, Timings& timings);
  void make_chunk(Piece& piece, std::size_t chunk, Timings& timings);
  void end_reading(LargeEntry& large, std::size_t index);
  void write_all(Sequencer::Pieces pieces, Timings& timings);
  void write_piece(Piece& piece);
  void end_part(const std::shared_ptr<LargeEntry>& large, std::size_t index);

  // Runs `work` on the pool, with its timings and errors carried back.
  template <class Work>
  void submit(Work work);
  void fail(std::exception_ptr error);
  void write(std::span<const std::byte> data, std::uint64_t offset) {
    std::unique_lock lock(writing_, std::defer_lock);
    if (data.size() >= k_write_alone_from) lock.lock();
    if (!pwrite_full(fd_, data, offset)) throw store_error(errno, "write " + path_);
  }
  void count_in(std::uint64_t bytes) {
    bytes_in_ += bytes;
    if (options_.progress != nullptr) *options_.progress += bytes;
  }

  // constant after construction
  const int fd_;
  const std::string& path_;
  const EntryList& entries_;
  Content& content_;
  const WriteOptions& options_;
  const Resources& resources_;
  const std::vector<std::size_t>& must_store_;  // sorted

  Sequencer sequencer_;
  std::vector<Written> written_;  // each element set by the thread that writes the entry
  std::atomic<std::uint64_t> bytes_in_{0};
  std::stop_source stop_;
  std::stop_callback<std::function<void()>> outer_stop_;

  std::mutex writing_;  // held while a large piece is written; guards nothing
  std::mutex mutex_;
  std::condition_variable idle_;
  std::size_t running_ = 0;  // guarded by mutex_, as all below
  std::exception_ptr error_;
  std::vector<std::size_t> not_shrunk_;
  Timings timings_;
};

template <class Work>
void Pass::submit(Work work) {
  {
    std::lock_guard lock(mutex_);
    ++running_;
  }
  resources_.pool.submit([this, work = std::move(work)]() mutable {
    Timings timings;
    if (!stop_.stop_requested()) {
      const double cpu_before = thread_cpu_seconds();
      try {
        work(timings);
      } catch (...) {
        fail(std::current_exception());
      }
      timings.cpu = thread_cpu_seconds() - cpu_before;
    }
    std::lock_guard lock(mutex_);
    timings_.read += timings.read;
    timings_.compress += timings.compress;
    timings_.write += timings.write;
    timings_.cpu += timings.cpu;
    if (--running_ == 0) idle_.notify_all();
  });
}

void Pass::fail(std::exception_ptr error) {
  {
    std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
  }
  stop_.request_stop();
}

void Pass::issue(std::size_t index) {
  const EntryView view = entries_.at(index);
  if (view.directory || view.size_bytes == 0) {
    issue_header_only(index, view);
  } else if (auto raw = content_.raw(index)) {
    issue_raw(index, view, std::move(*raw));
  } else if (view.size_bytes <= k_chunk_bytes) {
    issue_small(index, view);
  } else {
    issue_large(index, view);
  }
}

void Pass::issue_header_only(std::size_t index, const EntryView& view) {
  auto ticket = resources_.budget.acquire(view.name.size() + k_piece_overhead, stop_.get_token());
  Piece& piece = sequencer_.append(index, nullptr, local_header_size(view), std::move(ticket));
  submit([this, &piece, view](Timings& timings) {
    // An empty source is opened all the same: it may have grown or gone since the plan was made.
    if (!view.directory) content_.open(piece.entry)->require_unchanged();
    piece.data.resize(local_header_size(view));
    const std::size_t size = piece.data.size();
    write_all(sequencer_.ready(piece, size), timings);
  });
}

void Pass::issue_small(std::size_t index, const EntryView& view) {
  const std::uint64_t bytes = 2 * view.size_bytes + view.name.size() + k_piece_overhead;
  auto ticket = resources_.budget.acquire(bytes, stop_.get_token());
  Piece& piece = sequencer_.append(index, nullptr, std::nullopt, std::move(ticket));
  submit([this, &piece](Timings& timings) { make_small(piece, timings); });
}

void Pass::make_small(Piece& piece, Timings& timings) {
  thread_local std::vector<std::byte> source;
  const EntryView view = entries_.at(piece.entry);
  const auto size = static_cast<std::size_t>(view.size_bytes);
  const std::size_t header = local_header_size(view);
  Stopwatch watch;
  if (source.size() < size) source.resize(std::max(size, std::size_t{64} << 10U));
  const auto data = std::span(source).first(size);
  {
    const auto reader = content_.open(piece.entry);
    if (reader->read_at(0, data) != size) {
      throw Error(ErrorKind::source_changed, fmt::format("'{}' became shorter while it was read", view.name));
    }
    reader->require_unchanged();
  }
  timings.read += watch.lap();
  Written& written = written_[piece.entry];
  written.crc = crc32(0, data);
  piece.data.resize(header);
  if (options_.level != Level::store && deflate_entry(data, options_.level, piece.data)) {
    written.method = Method::deflated;
  } else {
    piece.data.insert(piece.data.end(), data.begin(), data.end());
  }
  written.compressed_bytes = piece.data.size() - header;
  timings.compress += watch.lap();
  count_in(size);
  const std::size_t total = piece.data.size();
  write_all(sequencer_.ready(piece, total), timings);
}

Method Pass::choose_method(std::size_t index, const EntryView& view, EntryReader& reader) {
  if (std::binary_search(must_store_.begin(), must_store_.end(), index)) return Method::stored;
  const bool worth =
      worth_deflating(view.size_bytes, options_.level, [&](std::uint64_t at, std::span<std::byte> buffer) {
        if (reader.read_at(at, buffer) != buffer.size()) {
          throw Error(ErrorKind::source_changed, fmt::format("'{}' became shorter while it was read", view.name));
        }
      });
  return worth ? Method::deflated : Method::stored;
}

void Pass::issue_large(std::size_t index, const EntryView& view) {
  auto large = std::make_shared<LargeEntry>();
  large->reader = content_.open(index);
  large->view = view;
  large->bytes_to_read = view.size_bytes;
  large->method = choose_method(index, view, *large->reader);
  issue_chunks(index, large);
}

void Pass::issue_raw(std::size_t index, const EntryView& view, RawData raw) {
  auto large = std::make_shared<LargeEntry>();
  large->reader = std::move(raw.reader);
  large->view = view;
  large->bytes_to_read = raw.compressed_bytes;
  large->method = raw.method;
  large->raw_crc = raw.crc;
  issue_chunks(index, large);
}

void Pass::issue_chunks(std::size_t index, const std::shared_ptr<LargeEntry>& large) {
  large->chunks = static_cast<std::size_t>((large->bytes_to_read + k_chunk_bytes - 1) / k_chunk_bytes);
  large->crcs.resize(large->chunks);
  large->unfinished_chunks = large->chunks;
  large->unfinished_parts = large->chunks + 1;
  const std::size_t header_bytes = local_header_size(large->view);
  auto ticket = resources_.budget.acquire(k_piece_overhead, stop_.get_token());
  Piece& header = sequencer_.append(index, large, header_bytes, std::move(ticket));
  submit(
      [this, &header, header_bytes](Timings& timings) { write_all(sequencer_.ready(header, header_bytes), timings); });
  for (std::size_t chunk = 0; chunk < large->chunks && !stop_.stop_requested(); ++chunk) {
    const std::uint64_t size = large->chunk_size(chunk);
    ticket = resources_.budget.acquire((large->copied() ? 1 : 2) * size + k_piece_overhead, stop_.get_token());
    Piece& piece =
        sequencer_.append(index, large, large->copied() ? std::optional(size) : std::nullopt, std::move(ticket));
    submit([this, &piece, chunk](Timings& timings) { make_chunk(piece, chunk, timings); });
  }
}

void Pass::make_chunk(Piece& piece, std::size_t chunk, Timings& timings) {
  thread_local std::vector<std::byte> source(k_chunk_bytes);
  LargeEntry& large = *piece.large;
  const auto size = static_cast<std::size_t>(large.chunk_size(chunk));
  Stopwatch watch;
  if (large.copied()) piece.data.resize(size);
  const auto data = large.copied() ? std::span(piece.data) : std::span(source).first(size);
  if (large.reader->read_at(chunk * k_chunk_bytes, data) != size) {
    throw Error(ErrorKind::source_changed, fmt::format("'{}' became shorter while it was read", large.view.name));
  }
  timings.read += watch.lap();
  if (!large.raw_crc) large.crcs[chunk] = crc32(0, data);
  if (!large.copied()) deflate_chunk(data, options_.level, chunk + 1 == large.chunks, piece.data);
  large.compressed_bytes += piece.data.size();
  timings.compress += watch.lap();
  count_in(size);
  if (large.unfinished_chunks.fetch_sub(1) == 1) end_reading(large, piece.entry);
  const std::size_t total = piece.data.size();
  write_all(sequencer_.ready(piece, total), timings);
}

void Pass::end_reading(LargeEntry& large, std::size_t index) {
  large.reader->require_unchanged();
  if (large.copied() || large.compressed_bytes < large.view.size_bytes) return;
  std::lock_guard lock(mutex_);
  not_shrunk_.push_back(index);
}

void Pass::write_all(Sequencer::Pieces pieces, Timings& timings) {
  Stopwatch watch;
  for (auto& piece : pieces) {
    write_piece(*piece);
    piece.reset();
  }
  timings.write += watch.seconds();
}

void Pass::write_piece(Piece& piece) {
  if (!piece.large) {
    Written& written = written_[piece.entry];
    written.offset = piece.offset;
    const EntryView view = entries_.at(piece.entry);
    encode_local_header(view, written, std::span(piece.data).first(local_header_size(view)));
    write(piece.data, piece.offset);
    return;
  }
  if (piece.data.empty()) {
    written_[piece.entry].offset = piece.offset;  // the header's place; its bytes follow in end_part
  } else {
    write(piece.data, piece.offset);
  }
  end_part(piece.large, piece.entry);
}

void Pass::end_part(const std::shared_ptr<LargeEntry>& large, std::size_t index) {
  if (large->unfinished_parts.fetch_sub(1) != 1) return;
  Written& written = written_[index];
  written.method = large->method;
  written.compressed_bytes = large->compressed_bytes;
  for (std::size_t chunk = 0; chunk < large->chunks; ++chunk) {
    written.crc = crc32_of_both(written.crc, large->crcs[chunk], large->chunk_size(chunk));
  }
  if (large->raw_crc) written.crc = *large->raw_crc;
  std::vector<std::byte> header(local_header_size(large->view));
  encode_local_header(large->view, written, header);
  write(header, written.offset);
}

std::uint64_t Pass::finish() {
  constexpr std::size_t k_flush_at = std::size_t{1} << 20U;
  const std::uint64_t central_offset = sequencer_.end();
  std::uint64_t at = central_offset;
  std::vector<std::byte> buffer;
  buffer.reserve(std::min<std::size_t>(k_flush_at + (std::size_t{128} << 10U), entries_.size() * 128 + 128));
  bool any_zip64 = false;
  const auto flush = [&] {
    write(buffer, at);
    at += buffer.size();
    buffer.clear();
  };
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const EntryView view = entries_.at(i);
    any_zip64 = any_zip64 || needs_zip64(view, written_[i]);
    append_central_record(view, written_[i], buffer);
    if (buffer.size() >= k_flush_at) flush();
  }
  append_end_records(entries_.size(), central_offset, at + buffer.size() - central_offset, any_zip64, buffer);
  // the end records are not part of the central directory's size
  flush();
  return at;
}

}  // namespace

WriteResult write_archive(int fd, const std::string& path, const EntryList& entries, Content& content,
                          const WriteOptions& options, const Resources& resources, const std::stop_token& stop) {
  if (entries.size() == 0 && !options.allow_empty) {
    throw Error(ErrorKind::empty, "the archive would have no entries", "list at least one source");
  }
  WriteResult result;
  result.entries = entries.size();
  std::vector<std::size_t> must_store;
  for (;;) {
    Pass pass(fd, path, entries, content, options, resources, stop, must_store);
    pass.run();
    const Timings timings = pass.timings();
    result.read_seconds += timings.read;
    result.compress_seconds += timings.compress;
    result.write_seconds += timings.write;
    result.cpu_seconds += timings.cpu;
    result.bytes_in = pass.bytes_in();
    const auto not_shrunk = pass.take_not_shrunk();
    if (not_shrunk.empty()) {
      result.bytes_out = pass.finish();
      return result;
    }
    // The samples of these promised more than the whole kept. What follows them stands at the wrong place, so all is
    // written once more with them stored: at most one more pass, and only for content made to mislead the samples.
    must_store.insert(must_store.end(), not_shrunk.begin(), not_shrunk.end());
    std::sort(must_store.begin(), must_store.end());
    if (options.progress != nullptr) *options.progress -= result.bytes_in;
    if (::ftruncate(fd, 0) != 0) throw store_error(errno, "truncate " + path);
  }
}

}  // namespace zipmodule::zip
