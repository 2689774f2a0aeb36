#include "tree_content.hpp"

#include <algorithm>
#include <cstring>

#include "base/fd.hpp"
#include "finding.hpp"
#include "zip/format.hpp"

namespace zipmodule::fuzz {
namespace {

using zip::MemoryEntry;

// A source that is no longer what it was; holds its own copy.
class TroubledReader final : public zip::EntryReader {
 public:
  TroubledReader(std::string_view planned, Trouble trouble) : data_(planned), text_(data_), trouble_(trouble) {
    if (trouble == Trouble::shrinks || trouble == Trouble::shrinks_unnoticed) data_.resize(data_.size() / 2);
    if (trouble == Trouble::grows) data_ += "more";
    if (trouble == Trouble::changes && !data_.empty()) data_[data_.size() / 2] ^= 1;
    text_ = zip::TextReader(data_);
  }
  std::size_t read_at(std::uint64_t offset, std::span<std::byte> buffer) override {
    if (trouble_ == Trouble::unreadable && offset + buffer.size() > data_.size() / 2) {
      throw Error(ErrorKind::source_unreadable, "bad sector");
    }
    return text_.read_at(offset, buffer);
  }
  void require_unchanged() override {
    if (trouble_ == Trouble::shrinks || trouble_ == Trouble::grows || trouble_ == Trouble::changes) {
      throw Error(ErrorKind::source_changed, "it changed");
    }
  }

 private:
  std::string data_;
  zip::TextReader text_;
  const Trouble trouble_;
};

// Bytes of a file from `begin` on.
class FileReader final : public zip::EntryReader {
 public:
  struct State {
    bool has_range = true;
    bool settled = false;
    bool changed = false;
  };
  FileReader(int fd, std::uint64_t begin, std::uint64_t bytes, State state)
      : fd_(fd), begin_(begin), bytes_(bytes), state_(state) {}
  std::size_t read_at(std::uint64_t offset, std::span<std::byte> buffer) override {
    require(offset + buffer.size() <= bytes_, "more is read than there should be");
    const auto n = pread_full(fd_, buffer, begin_ + offset);
    require(n >= 0, "a file in memory can't be read");
    return static_cast<std::size_t>(n);
  }
  void require_unchanged() override {
    if (state_.changed) throw Error(ErrorKind::corrupt, "the older archive changed");
  }
  std::optional<zip::FileRange> file_range() const override {
    if (!state_.has_range) return std::nullopt;
    return zip::FileRange{fd_, begin_, "a file in memory"};
  }
  bool settled() const override { return state_.settled; }

 private:
  const int fd_;
  const std::uint64_t begin_;
  const std::uint64_t bytes_;
  const State state_;
};

std::optional<ErrorKind> error_of(Trouble trouble) {
  switch (trouble) {
    case Trouble::none:
      return std::nullopt;
    case Trouble::gone:
      return ErrorKind::source_missing;
    case Trouble::unreadable:
      return ErrorKind::source_unreadable;
    case Trouble::shrinks:
    case Trouble::shrinks_unnoticed:
    case Trouble::grows:
    case Trouble::changes:
      return ErrorKind::source_changed;
    case Trouble::stops:
      return ErrorKind::stopped;
  }
  return std::nullopt;
}

}  // namespace

OlderArchive::OlderArchive(const std::string& content) : file(content) {
  const auto archive = file.archive();
  records = zip::records_of(archive);
  for (const auto& record : records) data_offsets.push_back(zip::read_local_header(archive, record));
}

TreeContent::TreeContent(const std::vector<MemoryEntry>& entries, Manner manner)
    : MemoryContent(entries), manner_(manner), troubles_(entries.size()), reused_(entries.size()) {
  if (!manner.source_ranges) return;
  for (const auto& entry : entries) files_.push_back(std::make_shared<zip::MemoryFile>(entry.data));
}

void TreeContent::reuse(const OlderArchive& older, const std::vector<std::optional<std::size_t>>& from) {
  older_ = &older;
  reused_ = from;
}

void TreeContent::trouble(std::size_t index, Trouble trouble) {
  const MemoryEntry& entry = entries()[index];
  if (entry.directory || reuses(index) || troubles_[index] != Trouble::none) return;
  // Of an empty source not a byte is read.
  const bool needs_bytes = trouble == Trouble::unreadable || trouble == Trouble::shrinks_unnoticed;
  if (needs_bytes && entry.data.empty()) return;
  troubles_[index] = trouble;
  if (const auto kind = error_of(trouble)) expected_errors_.insert(*kind);
}

void TreeContent::trouble_older(OlderTrouble trouble, std::uint64_t cut) {
  std::uint64_t end_of_last = 0;
  for (std::size_t i = 0; i < size(); ++i) {
    if (!reuses(i) || entries()[i].data.empty()) continue;
    const std::size_t older = *reused_[i];
    end_of_last = std::max(end_of_last, older_->data_offsets[older] + older_->records[older].compressed_bytes);
  }
  if (end_of_last == 0 || (trouble == OlderTrouble::fails_check && !manner_.with_check)) return;
  older_trouble_ = trouble;
  if (trouble == OlderTrouble::none) return;
  expected_errors_.insert(ErrorKind::corrupt);
  if (trouble != OlderTrouble::cut) return;
  expected_errors_.insert(ErrorKind::source_changed);
  cut_older_ = std::make_unique<zip::MemoryFile>(older_->file.content());
  cut_older_->resize(cut % end_of_last);
}

std::unique_ptr<zip::EntryReader> TreeContent::open(std::size_t index) {
  require(!reuses(index), "a source was opened whose data an older archive has");
  const std::string& data = entries()[index].data;
  const Trouble trouble = troubles_[index];
  if (trouble == Trouble::gone) throw Error(ErrorKind::source_missing, "it is gone");
  if (trouble == Trouble::stops) stop_.request_stop();
  if (trouble != Trouble::none && trouble != Trouble::stops) return std::make_unique<TroubledReader>(data, trouble);
  if (!manner_.source_ranges) return std::make_unique<zip::TextReader>(data);
  return std::make_unique<FileReader>(files_[index]->fd(), 0, data.size(), FileReader::State{true, manner_.settled});
}

// As the contract of RawData::header_too has it: all bytes but 'version needed'.
bool TreeContent::has_same_header(std::size_t index) const {
  const zip::CentralRecord& record = older_->records[*reused_[index]];
  const zip::EntryView view = at(index);
  std::vector<std::byte> ours(zip::local_header_size(view));
  const std::uint64_t data = older_->data_offsets[*reused_[index]];
  if (data - record.offset != ours.size()) return false;
  const auto method = static_cast<zip::Method>(record.method);
  zip::encode_local_header(view, {record.offset, record.compressed_bytes, record.crc, method}, ours);
  std::vector<std::byte> older(ours.size());
  pread_full(older_->file.fd(), older, record.offset);
  return std::equal(ours.begin() + 6, ours.end(), older.begin() + 6);
}

std::optional<zip::RawData> TreeContent::raw(std::size_t index) {
  if (!reuses(index)) return std::nullopt;
  const zip::CentralRecord& record = older_->records[*reused_[index]];
  const zip::MemoryFile& file = cut_older_ ? *cut_older_ : older_->file;
  const FileReader::State state{manner_.older_ranges, false, older_trouble_ == OlderTrouble::changes};
  zip::RawData raw;
  raw.reader =
      std::make_unique<FileReader>(file.fd(), older_->data_offsets[*reused_[index]], record.compressed_bytes, state);
  raw.compressed_bytes = record.compressed_bytes;
  raw.crc = record.crc;
  raw.method = static_cast<zip::Method>(record.method);
  raw.header_too = manner_.with_headers && has_same_header(index);
  if (manner_.with_check) {
    raw.check = [fails = older_trouble_ == OlderTrouble::fails_check](const std::stop_token&) {
      if (fails) throw Error(ErrorKind::corrupt, "the older archive does not decode");
    };
  }
  return raw;
}

}  // namespace zipmodule::fuzz
