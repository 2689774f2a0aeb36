#include "storage/read_ahead.hpp"

#include <algorithm>
#include <utility>

namespace zipmodule::storage {

ReadAhead::~ReadAhead() {
  for (Thread& thread : threads_) thread.request_stop();
}

std::shared_ptr<FolderRead> ReadAhead::request(std::shared_ptr<Folder> folder) {
  if (!std::exchange(started_, true)) {
    threads_ = start_threads("reading ahead", thread_count_, [this](const std::stop_token& stop) { work(stop); });
  }
  auto read = std::make_shared<FolderRead>(std::move(folder));
  {
    std::lock_guard lock(mutex_);
    waiting_.push_back(read);
  }
  requested_.notify_one();
  return read;
}

std::shared_ptr<Folder> ReadAhead::wait(FolderRead& read) {
  std::unique_lock lock(mutex_);
  if (read.state_ == FolderRead::State::waiting) {
    read.state_ = FolderRead::State::reading;
    std::erase_if(waiting_, [&](const auto& other) { return other.get() == &read; });
    lock.unlock();
    read.folder_->read();
    return read.folder_;
  }
  done_.wait(lock, [&] { return read.state_ == FolderRead::State::done; });
  if (read.error_) std::rethrow_exception(read.error_);
  return read.folder_;
}

void ReadAhead::drop(FolderRead& read) {
  std::lock_guard lock(mutex_);
  std::erase_if(waiting_, [&](const auto& other) { return other.get() == &read; });
}

void ReadAhead::work(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (requested_.wait(lock, stop, [&] { return !waiting_.empty(); }) && !stop.stop_requested()) {
    const std::shared_ptr<FolderRead> read = std::move(waiting_.front());
    waiting_.pop_front();
    read->state_ = FolderRead::State::reading;
    lock.unlock();
    std::exception_ptr error;
    try {
      read->folder_->read();
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    read->error_ = error;
    read->state_ = FolderRead::State::done;
    done_.notify_one();
  }
}

}  // namespace zipmodule::storage
