#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

#include "base/error.hpp"
#include "zip/codec.hpp"
#include "zip/crc.hpp"
#include "zip/large_entry.hpp"
#include "zip/pass.hpp"

namespace zipmodule::zip {
namespace {

Error became_shorter(std::string_view name) {
  return {ErrorKind::source_changed, fmt::format("'{}' became shorter while it was read", name)};
}

// An older archive ends before its entry does: it is broken, and the source is not to blame.
Error older_ends(std::string_view path) {
  return {ErrorKind::corrupt, fmt::format("{}: ends in the middle of an entry", path)};
}

Error ends_early(const LargeEntry& large) {
  if (!large.raw_crc) return became_shorter(large.view.name);
  return older_ends(large.range ? large.range->path : "the older archive of '" + std::string(large.view.name) + "'");
}

}  // namespace

void Pass::fail(std::exception_ptr error) {
  {
    std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
  }
  stop_.request_stop();
}

// Reads what the piece is made of.
void Pass::read_source(Piece& piece, std::span<std::byte> to) {
  if (piece.large) {
    LargeEntry& large = *piece.large;
    if (large.reader->read_at(large.chunk_offset(piece.chunk), to) != to.size()) throw became_shorter(large.view.name);
    end_reading(large);
    return;
  }
  const auto reader = piece.reader ? std::move(piece.reader) : content_.open(piece.entry);
  if (reader->read_at(0, to) != to.size()) throw became_shorter(entries_.at(piece.entry).name);
  reader->require_unchanged();
}

void Pass::make_small(Piece& piece, Timings& timings) {
  thread_local std::vector<std::byte> source;
  const EntryView view = entries_.at(piece.entry);
  const auto size = static_cast<std::size_t>(view.size_bytes);
  const std::size_t header = local_header_size(view);
  Stopwatch watch;
  if (piece.source.empty() && source.size() < size) source.resize(std::max(size, std::size_t{64} << 10U));
  const auto data = std::span(piece.source.empty() ? source : piece.source).first(size);
  if (piece.source.empty()) read_source(piece, data);
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
  piece.source = {};
  timings.compress += watch.lap();
  count_in(size);
  progress(size);
  const std::size_t total = piece.data.size();
  settle(sequencer_.ready(piece, total), timings);
}

// A chunk that is compressed, or was fetched.
void Pass::make_chunk(Piece& piece, Timings& timings) {
  thread_local std::vector<std::byte> source(k_chunk_bytes);
  LargeEntry& large = *piece.large;
  const auto size = static_cast<std::size_t>(large.chunk_size(piece.chunk));
  const auto data = std::span(piece.source.empty() ? source : piece.source).first(size);
  Stopwatch watch;
  if (piece.source.empty()) read_source(piece, data);
  timings.read += watch.lap();
  large.crcs[piece.chunk] = crc32(0, data);
  if (large.unpacked()) {
    piece.data = std::move(piece.source);
  } else {
    deflate_chunk(data, options_.level, piece.chunk + 1 == large.chunks, piece.data);
    piece.source = {};
  }
  large.compressed_bytes += piece.data.size();
  timings.compress += watch.lap();
  count_in(size);
  progress(size);
  end_making(large, piece.entry);
  const std::size_t total = piece.data.size();
  settle(sequencer_.ready(piece, total), timings);
}

// Of a chunk; the last one's asks whether the source is still the same.
void Pass::end_reading(LargeEntry& large) {
  if (large.unread_chunks.fetch_sub(1) == 1) large.reader->require_unchanged();
}

void Pass::end_making(LargeEntry& large, std::size_t index) {
  if (large.unfinished_chunks.fetch_sub(1) != 1) return;
  if (large.unpacked() || large.compressed_bytes < large.view.size_bytes) return;
  std::lock_guard lock(mutex_);
  not_shrunk_.push_back(index);
}

void Pass::settle(Sequencer::Pieces pieces, Timings& timings) {
  Stopwatch watch;
  for (auto& piece : pieces) {
    if (piece->role != Piece::Role::copy) {
      settle(*piece);
      piece.reset();
      continue;
    }
    // Whoever placed it has its own work; what has to be copied is anybody's.
    submit([this, copy = std::shared_ptr<Piece>(std::move(piece))](Timings& spent) {
      if (copy->older)
        copy_older(*copy, spent);
      else
        copy_chunk(*copy, spent);
    });
  }
  timings.write += watch.seconds();
}

void Pass::settle(Piece& piece) {
  Written& written = written_[piece.entry];
  switch (piece.role) {
    case Piece::Role::entry: {
      written.offset = piece.offset;
      const EntryView view = entries_.at(piece.entry);
      encode_local_header(view, written, std::span(piece.data).first(local_header_size(view)));
      output_.write(piece.data, piece.offset);
      return;
    }
    case Piece::Role::header:
      written.offset = piece.offset;  // the place; the bytes follow in end_part
      piece.large->header_bytes = static_cast<std::size_t>(piece.size());
      written.padding = static_cast<std::uint16_t>(piece.size() - local_header_size(piece.large->view));
      return end_part(*piece.large, piece.entry);
    case Piece::Role::chunk:
      output_.write(piece.data, piece.offset);
      return end_part(*piece.large, piece.entry);
    case Piece::Role::copy:
      return;
  }
}

// A chunk whose bytes go to the archive as they are: read, summed and written while they are in this core's cache.
void Pass::copy_chunk(const Piece& piece, Timings& timings) {
  thread_local std::vector<std::byte> buffer(k_step_bytes);
  LargeEntry& large = *piece.large;
  const std::uint64_t begin = large.chunk_offset(piece.chunk);
  const std::uint64_t bytes = piece.size();
  Stopwatch watch;
  std::uint64_t done = 0;
  std::uint64_t shared = 0;
  if (large.clone && large.raw_crc) {
    done = output_.copy({large.range->fd, large.range->offset + begin, large.range->path}, bytes, piece.offset);
    if (done != bytes) throw ends_early(large);
  } else if (large.clone) {
    shared = output_.clone({large.range->fd, large.range->offset + begin, large.range->path}, bytes, piece.offset);
  }
  timings.write += watch.lap();
  std::uint32_t crc = 0;
  while (done < bytes) {
    if (stop_.stop_requested()) return;
    const auto step = std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), bytes - done));
    if (large.reader->read_at(begin + done, step) != step.size()) throw ends_early(large);
    timings.read += watch.lap();
    if (!large.raw_crc) crc = crc32(crc, step);
    timings.compress += watch.lap();
    if (done + step.size() > shared) {
      const std::uint64_t known = shared > done ? shared - done : 0;
      output_.write(step.subspan(known), piece.offset + done + known);
    }
    timings.write += watch.lap();
    done += step.size();
  }
  large.crcs[piece.chunk] = crc;
  large.compressed_bytes += bytes;
  count_in(bytes);
  if (!large.raw_crc) progress(bytes);
  end_reading(large);
  end_making(large, piece.entry);
  end_part(large, piece.entry);
}

void Pass::copy_older(const Piece& piece, Timings& timings) {
  OlderEntries& run = *piece.older;
  Stopwatch watch;
  const std::uint64_t skipped = piece.chunk * k_older_piece;
  const FileRange range{run.range.fd, run.range.offset + skipped, run.range.path};
  if (output_.copy(range, piece.size(), piece.offset) != piece.size()) {
    throw older_ends(run.range.path);
  }
  timings.write += watch.lap();
  count_in(piece.size());
  if (piece.chunk == 0) {
    for (std::size_t i = run.first; i < run.first + run.count; ++i) {
      const std::uint64_t older = written_[i].offset;
      written_[i].offset = older - run.range.offset + piece.offset;
      if ((older >= k_zip64_size) == (written_[i].offset >= k_zip64_size)) continue;
      std::lock_guard lock(mutex_);
      headers_to_renew_.push_back(i);
    }
  }
  if (run.unfinished_pieces.fetch_sub(1) != 1) return;
  run.reader->require_unchanged();
  progress(run.size_bytes);
}

void Pass::end_part(LargeEntry& large, std::size_t index) {
  if (large.unfinished_parts.fetch_sub(1) != 1) return;
  Written& written = written_[index];
  written.method = large.method;
  written.compressed_bytes = large.compressed_bytes;
  for (std::size_t chunk = 0; chunk < large.chunks; ++chunk) {
    written.crc = crc32_of_both(written.crc, large.crcs[chunk], large.chunk_size(chunk));
  }
  if (large.raw_crc) {
    written.crc = *large.raw_crc;
    progress(large.view.size_bytes);
  }
  std::vector<std::byte> header(large.header_bytes);
  encode_local_header(large.view, written, header);
  output_.write(header, written.offset);
}

}  // namespace zipmodule::zip
