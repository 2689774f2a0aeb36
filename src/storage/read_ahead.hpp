// Reads folders before a walk gets to them. Private to src/storage.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <vector>

#include "base/threads.hpp"
#include "storage/folder.hpp"

namespace zipmodule::storage {

// A folder that is read, is being read or is waiting to be. Its folder is the owner's once wait() returned.
class FolderRead {
 public:
  explicit FolderRead(std::shared_ptr<Folder> folder) : folder_(std::move(folder)) {}

 private:
  friend class ReadAhead;
  enum class State { waiting, reading, done };
  const std::shared_ptr<Folder> folder_;
  State state_ = State::waiting;  // guarded by ReadAhead's mutex, as is the next
  std::exception_ptr error_;
};

// For one thread, the walk's. Its own threads are started with the first request, as many as can be; without any, the
// walk reads each folder itself. The destructor lets them end the folder
// they read, and leaves out what is waiting.
class ReadAhead {
 public:
  explicit ReadAhead(unsigned threads) : thread_count_(threads) {}
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  // Has the folder read by some thread.
  std::shared_ptr<FolderRead> request(std::shared_ptr<Folder> folder);
  // Returns the folder when it is read. What no thread has begun to read is read at once by the caller. Throws what
  // Folder::read threw.
  std::shared_ptr<Folder> wait(FolderRead& read);
  // For a request that is not wanted any more.
  void drop(FolderRead& read);

 private:
  void work(const std::stop_token& stop);

  const unsigned thread_count_;
  std::mutex mutex_;
  std::condition_variable_any requested_;
  std::condition_variable done_;
  std::deque<std::shared_ptr<FolderRead>> waiting_;
  bool started_ = false;         // used by the walk's thread alone
  std::vector<Thread> threads_;  // last: they end before the rest does
};

}  // namespace zipmodule::storage
