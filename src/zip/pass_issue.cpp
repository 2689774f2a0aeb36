#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

#include "base/error.hpp"
#include "zip/codec.hpp"
#include "zip/large_entry.hpp"
#include "zip/pass.hpp"

namespace zipmodule::zip {
namespace {

// How many entries are looked at before their turn: some for each of the sessions with a host that they are fetched from.
constexpr std::size_t k_upcoming = 32;

// What a ticket counts beside the data: piece, task and vector.
constexpr std::uint64_t k_piece_overhead = 512;

// The open sources of all builds, at most: well below the 1,024 descriptors that a process has by default.
constexpr std::uint64_t k_open_sources_most = 512;
// As small sources' pieces hold no data, so little of the budget would let them open all at once.
constexpr std::uint64_t k_open_source_bytes = std::uint64_t{1} << 20U;

std::unique_ptr<Piece> new_piece(Piece::Role role, std::size_t entry) {
  auto piece = std::make_unique<Piece>();
  piece->role = role;
  piece->entry = entry;
  return piece;
}

}  // namespace

Pass::Pass(Output& output, const EntryList& entries, Content& content, const WriteOptions& options,
           const Resources& resources, const std::stop_token& stop, const std::vector<std::size_t>& must_store)
    : output_(output),
      entries_(entries),
      content_(content),
      options_(options),
      resources_(resources),
      must_store_(must_store),
      written_(entries.size()),
      outer_stop_(stop, [this] { stop_.request_stop(); }) {}

void Pass::run() {
  try {
    for (std::size_t i = 0; i < entries_.size() && !stop_.stop_requested(); ++i) issue(i);
    issue_older();
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

// What a piece counts that keeps a source open: as long as one of its pieces lives, so does the source's descriptor. An
// older archive has one for all of its entries.
std::uint64_t Pass::share_of_open(std::uint64_t bytes) const noexcept {
  return std::max({bytes, k_open_source_bytes, resources_.budget.capacity_bytes() / k_open_sources_most});
}

std::uint64_t Pass::share_of(const LargeEntry& large, std::uint64_t bytes) const noexcept {
  return large.raw_crc ? bytes : share_of_open(bytes);
}

Piece& Pass::append(std::unique_ptr<Piece> piece, std::optional<std::uint64_t> size, std::uint64_t bytes_in_flight,
                    Fetchers* fetchers) {
  const std::uint64_t share = bytes_in_flight + k_piece_overhead;
  if (fetchers != nullptr) piece->window = fetchers->window.acquire(share, stop_.get_token());
  piece->ticket = resources_.budget.acquire(share, stop_.get_token());
  return sequencer_.append(std::move(piece), size);
}

// Beyond this entry only where nobody but the fetchers would wait.
void Pass::look_ahead(std::size_t index) {
  const auto wanted = [&](std::size_t at) {
    return at == index || (at < index + k_upcoming && at < entries_.size() && content_.fetchers(at) != nullptr);
  };
  for (; wanted(upcoming_end_); ++upcoming_end_) {
    Upcoming next;
    const std::size_t at = upcoming_end_;
    const EntryView view = entries_.at(at);
    next.raw = content_.raw(at);
    Fetchers* const fetchers = next.raw || view.directory ? nullptr : content_.fetchers(at);
    if (fetchers != nullptr && view.size_bytes > k_chunk_bytes) {
      std::packaged_task<Opened()> task([this, at, view] { return open_large(at, view); });
      next.opened = task.get_future();
      submit_to(fetchers->pool, [task = std::move(task)](Timings& timings) mutable {
        const Stopwatch watch;
        task();
        timings.read += watch.seconds();
      });
    }
    upcoming_.push_back(std::move(next));
  }
}

void Pass::issue(std::size_t index) {
  look_ahead(index);
  const EntryView view = entries_.at(index);
  Upcoming next = std::move(upcoming_.front());
  upcoming_.pop_front();
  if (auto& raw = next.raw) {
    if (raw->check) issue_check(view, *raw);
    if (join_older(index, view, *raw)) return;
    issue_older();
    issue_raw(index, view, std::move(*raw));
    return;
  }
  issue_older();
  if (view.directory || view.size_bytes == 0) {
    issue_header_only(index, view);
  } else if (is_small(index, view)) {
    issue_small(index, view, nullptr);
  } else {
    issue_large(index, view, std::move(next.opened));
  }
}

void Pass::issue_check(const EntryView& view, RawData& raw) {
  auto ticket = resources_.budget.acquire(k_piece_overhead + view.name.size() + raw.check_bytes, stop_.get_token());
  submit([this, check = std::move(raw.check), ticket = std::move(ticket)](Timings&) { check(stop_.get_token()); });
}

void Pass::issue_header_only(std::size_t index, const EntryView& view) {
  const std::size_t header_bytes = local_header_size(view);
  Piece& piece = append(new_piece(Piece::Role::entry, index), header_bytes, view.name.size());
  Fetchers* const fetchers = view.directory ? nullptr : content_.fetchers(index);
  submit_to(fetchers != nullptr ? fetchers->pool : resources_.pool,
            [this, &piece, view, header_bytes](Timings& timings) {
              // An empty source is opened all the same: it may have grown or gone since the plan was made.
              if (!view.directory) content_.open(piece.entry)->require_unchanged();
              piece.data.resize(header_bytes);
              settle(sequencer_.ready(piece, header_bytes), timings);
            });
}

void Pass::issue_small(std::size_t index, const EntryView& view, std::unique_ptr<EntryReader> reader) {
  const std::uint64_t bytes = 2 * view.size_bytes + view.name.size();
  const std::uint64_t share = reader ? share_of_open(bytes) : bytes;
  auto made = new_piece(Piece::Role::entry, index);
  made->reader = std::move(reader);
  Fetchers* const fetchers = content_.fetchers(index);
  Piece& piece = append(std::move(made), std::nullopt, share, fetchers);
  submit_fetched(fetchers, piece, view.size_bytes, &Pass::make_small);
}

void Pass::submit_fetched(Fetchers* fetchers, Piece& piece, std::uint64_t bytes, Work work) {
  if (fetchers == nullptr) {
    submit([this, &piece, work](Timings& timings) { (this->*work)(piece, timings); });
    return;
  }
  submit_to(fetchers->pool, [this, &piece, bytes, work](Timings& timings) {
    const Stopwatch watch;
    piece.source.resize(static_cast<std::size_t>(bytes));
    read_source(piece, piece.source);
    timings.read += watch.seconds();
    submit([this, &piece, work](Timings& spent) { (this->*work)(piece, spent); });
  });
}

Method Pass::choose_method(std::size_t index, const EntryView& view, EntryReader& reader) const {
  if (std::binary_search(must_store_.begin(), must_store_.end(), index)) return Method::stored;
  const bool worth =
      worth_deflating(view.size_bytes, options_.level, [&](std::uint64_t at, std::span<std::byte> buffer) {
        if (reader.read_at(at, buffer) != buffer.size()) {
          throw Error(ErrorKind::source_changed, fmt::format("'{}' became shorter while it was read", view.name));
        }
      });
  return worth ? Method::deflated : Method::stored;
}

// Whether to deflate has to be known before an aligned entry has its place, and what is fetched is not asked for twice: up
// to a chunk of that is not aligned.
bool Pass::may_align(std::size_t index, std::uint64_t bytes) const {
  return options_.align && bytes >= k_align_from && (bytes > k_chunk_bytes || content_.fetchers(index) == nullptr);
}

bool Pass::is_small(std::size_t index, const EntryView& view) const {
  return view.size_bytes <= k_chunk_bytes && !may_align(index, view.size_bytes);
}

Pass::Opened Pass::open_large(std::size_t index, const EntryView& view) const {
  Opened opened;
  opened.reader = content_.open(index);
  opened.method = choose_method(index, view, *opened.reader);
  return opened;
}

void Pass::issue_large(std::size_t index, const EntryView& view, std::future<Opened> ahead) {
  Opened opened;
  try {
    opened = ahead.valid() ? ahead.get() : open_large(index, view);
  } catch (const std::future_error&) {  // a stop came before it was looked at
    throw Error(ErrorKind::stopped, "building was stopped");
  }
  auto large = std::make_shared<LargeEntry>();
  large->reader = std::move(opened.reader);
  large->fetchers = content_.fetchers(index);
  large->view = view;
  large->bytes_to_read = view.size_bytes;
  large->method = opened.method;
  if (large->method == Method::deflated && view.size_bytes <= k_chunk_bytes) {
    return issue_small(index, view, std::move(large->reader));
  }
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
  large->range = large->reader->file_range();
  // An older archive's data has its CRC already; a source's is read after it was shared.
  large->clone = large->range.has_value() && (large->raw_crc || large->reader->settled());
  const bool aligned = large->method == Method::stored && may_align(index, large->bytes_to_read);
  if (large->clone && aligned) large->chunk_bytes = k_aligned_chunk_bytes;
  large->chunks = static_cast<std::size_t>((large->bytes_to_read + large->chunk_bytes - 1) / large->chunk_bytes);
  large->crcs.resize(large->chunks);
  large->unread_chunks = large->chunks;
  large->unfinished_chunks = large->chunks;
  large->unfinished_parts = large->chunks + 1;
  auto header = new_piece(Piece::Role::header, index);
  header->large = large;
  header->align_next = aligned;
  const std::size_t header_bytes = local_header_size(large->view);
  Timings timings;
  settle(sequencer_.ready(append(std::move(header), header_bytes, 0), header_bytes), timings);
  for (std::size_t chunk = 0; chunk < large->chunks && !stop_.stop_requested(); ++chunk) {
    auto piece = new_piece(large->copied() ? Piece::Role::copy : Piece::Role::chunk, index);
    piece->large = large;
    piece->chunk = chunk;
    const std::uint64_t size = large->chunk_size(chunk);
    if (large->copied()) {
      const std::uint64_t share = share_of(*large, std::min<std::uint64_t>(size, k_chunk_bytes));
      settle(sequencer_.ready(append(std::move(piece), size, share), size), timings);
    } else {
      Fetchers* const fetchers = large->fetchers;
      const auto known = large->unpacked() ? std::optional(size) : std::nullopt;
      Piece& appended = append(std::move(piece), known, share_of(*large, 2 * size), fetchers);
      submit_fetched(fetchers, appended, size, &Pass::make_chunk);
    }
  }
}

// Adds the entry to the run that is growing, or begins one; false where it can't be copied with its header.
bool Pass::join_older(std::size_t index, const EntryView& view, RawData& raw) {
  if (!raw.header_too || (raw.method == Method::stored && may_align(index, raw.compressed_bytes))) return false;
  auto range = raw.reader->file_range();
  if (!range) return false;
  const std::size_t header_bytes = local_header_size(view);
  range->offset -= header_bytes;
  if (older_ && (older_->range.fd != range->fd || older_->range.offset + older_->bytes != range->offset)) issue_older();
  // where it lies in the older archive, until the run has its place
  written_[index] = {range->offset, raw.compressed_bytes, raw.crc, raw.method};
  if (!older_) {
    older_ = std::make_shared<OlderEntries>();
    older_->range = *range;
    older_->reader = std::move(raw.reader);
    older_->first = index;
  }
  older_->bytes += header_bytes + raw.compressed_bytes;
  older_->size_bytes += view.size_bytes;
  ++older_->count;
  return true;
}

void Pass::issue_older() {
  if (!older_) return;
  const auto run = std::exchange(older_, nullptr);
  const auto pieces = static_cast<std::size_t>((run->bytes + k_older_piece - 1) / k_older_piece);
  run->unfinished_pieces = pieces;
  Timings timings;
  for (std::size_t i = 0; i < pieces && !stop_.stop_requested(); ++i) {
    auto piece = new_piece(Piece::Role::copy, run->first);
    piece->older = run;
    piece->chunk = i;
    const std::uint64_t size = std::min(k_older_piece, run->bytes - i * k_older_piece);
    settle(sequencer_.ready(append(std::move(piece), size, size), size), timings);
  }
}

// 'Version needed' tells of an entry's place: 4.5 from 4 GiB on.
void Pass::renew_headers() {
  std::vector<std::byte> header;
  for (const std::size_t index : headers_to_renew_) {
    const EntryView view = entries_.at(index);
    header.resize(local_header_size(view));
    encode_local_header(view, written_[index], header);
    output_.write(header, written_[index].offset);
  }
}

std::uint64_t Pass::finish() {
  constexpr std::size_t k_flush_at = std::size_t{1} << 20U;
  renew_headers();
  const std::uint64_t central_offset = sequencer_.end();
  std::uint64_t at = central_offset;
  std::vector<std::byte> buffer;
  buffer.reserve(std::min<std::size_t>(k_flush_at + (std::size_t{128} << 10U), entries_.size() * 128 + 128));
  bool any_zip64 = false;
  const auto flush = [&] {
    output_.write(buffer, at);
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

}  // namespace zipmodule::zip
