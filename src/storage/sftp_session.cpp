#include "storage/sftp_session.hpp"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <utility>

#include "storage/remote.hpp"

namespace zipmodule::storage {
namespace {

// How soon a stop is seen by who waits for a host.
constexpr std::chrono::milliseconds k_look_for_stop{100};
// While an answer is waited for, the host is asked this often whether it is still there.
constexpr unsigned k_keepalive_seconds = 5;
// Slower than this for the whole time-out is as good as silent.
constexpr std::uint64_t k_least_bytes_a_second = 1'024;

void begin_libssh2() {
  static const int initialized = libssh2_init(0);
  if (initialized != 0) throw Error(ErrorKind::internal, "libssh2 can't be initialized");
}

}  // namespace

SftpSession::SftpSession(const SftpOptions& options)
    : options_(options), deadline_({options.timeout, k_least_bytes_a_second, options.timeout, {}}) {}

// Delegating, so that the destructor runs when one of these steps throws.
SftpSession::SftpSession(const SftpOptions& options, std::stop_token stop) : SftpSession(options) {
  stop_ = std::move(stop);
  begin_libssh2();
  connect();
  session_.reset(libssh2_session_init());
  if (!session_) throw std::bad_alloc();
  libssh2_session_set_blocking(session_.get(), 0);
  libssh2_keepalive_config(session_.get(), 1, k_keepalive_seconds);
  require_known_host();
  log_in();
  const int rc = call([&] {
    sftp_.reset(libssh2_sftp_init(session_.get()));
    return sftp_ ? 0 : libssh2_session_last_errno(session_.get());
  });
  if (rc != 0) refuse_subsystem();
}

void SftpSession::refuse_subsystem() {
  broken_ = true;
  throw Error(
      ErrorKind::source_refused,
      fmt::format("{}: logged in, but the host does not start SFTP: {}", where(), last_words()),
      "look into sshd's log there: it needs 'Subsystem sftp'; a login whose shell is nologin needs 'ForceCommand "
      "internal-sftp'; a ChrootDirectory and all above it must be root's, and writable for nobody else");
}

// Nothing is waited for: the connection is cut first, so that libssh2 only frees what it has.
SftpSession::~SftpSession() {
  if (session_) {
    if (!broken_) libssh2_session_disconnect(session_.get(), "");
    ::shutdown(socket_.get(), SHUT_RDWR);
    libssh2_session_set_blocking(session_.get(), 1);
  }
  closing_.clear();
  handle_.reset();
  sftp_.reset();
}

std::string SftpSession::where() const {
  return options_.port == 22 ? fmt::format("sftp://{}@{}", options_.user, options_.host)
                             : fmt::format("sftp://{}@{}:{}", options_.user, options_.host, options_.port);
}

Error SftpSession::lost(const std::string& what) const {
  return {ErrorKind::source_unreachable, fmt::format("{}: {}", where(), what),
          "look whether the host is up and can be reached from here"};
}

void SftpSession::wait() {
  drive_closing();
  if (stop_.stop_requested()) {
    broken_ = true;
    throw stopped_waiting();
  }
  if (const auto why = deadline_.passed()) {
    broken_ = true;
    throw lost(*why);
  }
  const int directions = session_ ? libssh2_session_block_directions(session_.get()) : 0;
  pollfd poll_for{socket_.get(), 0, 0};
  if ((directions & LIBSSH2_SESSION_BLOCK_OUTBOUND) != 0) poll_for.events |= POLLOUT;
  if ((directions & LIBSSH2_SESSION_BLOCK_INBOUND) != 0 || directions == 0) poll_for.events |= POLLIN;
  if (::poll(&poll_for, 1, static_cast<int>(k_look_for_stop.count())) > 0) return look_for_end();
  int next = 0;
  const bool may_ask = sftp_ && (directions & LIBSSH2_SESSION_BLOCK_OUTBOUND) == 0;
  if (deadline_.silent() > std::chrono::seconds(k_keepalive_seconds) && may_ask)
    libssh2_keepalive_send(session_.get(), &next);
}

// libssh2 does not always notice that the other side has closed the connection. What is left to read, it gets to read
// first.
void SftpSession::look_for_end() {
  char next = 0;
  const auto left = ::recv(socket_.get(), &next, 1, MSG_PEEK | MSG_DONTWAIT);
  if (left > 0 || (left < 0 && errno == EAGAIN)) return;
  if (std::exchange(ended_, true)) {
    broken_ = true;
    throw lost("the host has closed the connection");
  }
}

// libssh2's, about its last error; good until the next call.
std::string_view SftpSession::last_words() const {
  char* text = nullptr;
  libssh2_session_last_error(session_.get(), &text, nullptr, 0);
  return text != nullptr ? text : "";
}

void SftpSession::fail(const std::string& doing) {
  broken_ = true;
  const std::string_view words = last_words();
  throw lost(fmt::format("{}: {}", doing, words.empty() ? "failed" : words));
}

Error SftpSession::missing(const std::string& name) const {
  return {ErrorKind::source_missing, fmt::format("{} {}: no such file on {}", options_.what, name, options_.host),
          options_.writes() ? "make the folder there" : "put it there, or publish a list without it"};
}

// Whether the last error is a status that the host answered with. libssh2 calls its own troubles with answers the same,
// and leaves the last status as it was.
bool SftpSession::is_status() const {
  if (libssh2_session_last_errno(session_.get()) != LIBSSH2_ERROR_SFTP_PROTOCOL) return false;
  const std::string_view said = last_words();
  return said == "SFTP Protocol Error" || said == "Failed opening remote file" || said == "SFTP READ error" ||
         said == "FXP write failed" || said == "fsync failed";
}

// After an operation on a path. Throws where the session is broken.
Error SftpSession::path_error(const std::string& name) {
  const std::string named = fmt::format("{} {}", options_.what, name);
  if (!is_status()) fail(named);
  switch (libssh2_sftp_last_error(sftp_.get())) {
    case LIBSSH2_FX_NO_SUCH_FILE:
    case LIBSSH2_FX_NO_SUCH_PATH:
      return missing(name);
    case LIBSSH2_FX_PERMISSION_DENIED:
      return {ErrorKind::source_unreadable, fmt::format("{}: permission denied on {}", named, options_.host),
              fmt::format("give {} the right to {} it there", options_.user, options_.writes() ? "write" : "read")};
    case LIBSSH2_FX_FAILURE:
      return {ErrorKind::source_unreadable, fmt::format("{}: {} answers 'failure'", named, options_.host),
              options_.writes() ? "look at the space and the rights there" : "look whether it can be read there"};
    default:
      fail(named);
  }
}

void SftpSession::connect() {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  const int rc = ::getaddrinfo(options_.host.c_str(), std::to_string(options_.port).c_str(), &hints, &found);
  if (rc != 0) throw lost(::gai_strerror(rc));
  const std::unique_ptr<addrinfo, Freer<::freeaddrinfo>> addresses(found);
  int problem = 0;
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    socket_ = Fd(::socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket_) {
      problem = errno;
      if (auto error = descriptors_error(problem, "connect to " + where())) throw Error(*error);
      continue;
    }
    const int on = 1;
    ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    problem = ::connect(socket_.get(), address->ai_addr, address->ai_addrlen) == 0 ? 0 : errno;
    Deadline deadline({options_.timeout, 0, {}, {}});
    while (problem == EINPROGRESS) {
      if (stop_.stop_requested()) throw stopped_waiting();
      if (deadline.passed()) problem = ETIMEDOUT;
      pollfd poll_for{socket_.get(), POLLOUT, 0};
      if (::poll(&poll_for, 1, static_cast<int>(k_look_for_stop.count())) <= 0) continue;
      socklen_t size = sizeof problem;
      ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &problem, &size);
    }
    if (problem == 0) return;
  }
  throw lost(errno_text(problem));
}

void SftpSession::close_later(Handle handle) {
  if (!handle) return;
  closing_.push_back(std::move(handle));
  drive_closing();
}

bool SftpSession::half_sent() const {
  return (libssh2_session_block_directions(session_.get()) & LIBSSH2_SESSION_BLOCK_OUTBOUND) != 0;
}

// A request that is half sent, of whatever kind, has to be sent whole before any other.
void SftpSession::drive_closing() {
  if (!session_ || broken_) return;
  for (auto one = closing_.begin(); one != closing_.end();) {
    if (half_closed_ ? one->get() != half_closed_ : half_sent()) {
      ++one;
      continue;
    }
    half_closed_ = nullptr;
    if (libssh2_sftp_close_handle(one->get()) == LIBSSH2_ERROR_EAGAIN) {
      if (half_sent()) half_closed_ = one->get();
      ++one;
      continue;
    }
    static_cast<void>(one->release());  // freed, whatever the answer was
    one = closing_.erase(one);
  }
}

void SftpSession::finish_half_closed() {
  while (half_closed_ != nullptr) wait();
}

}  // namespace zipmodule::storage
