#include "storage/sftp_session.hpp"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <string_view>
#include <utility>

#include "storage/known_hosts.hpp"
#include "storage/remote.hpp"

namespace zipmodule::storage {
namespace {

using Clock = std::chrono::steady_clock;

// How soon a stop is seen by who waits for a host.
constexpr std::chrono::milliseconds k_look_for_stop{100};
// While an answer is waited for, the host is asked this often whether it is still there.
constexpr unsigned k_keepalive_seconds = 5;
// The longest name and path that are read: PATH_MAX, and no host has longer ones.
constexpr std::size_t k_path_bytes = 4'096;
// libssh2_sftp_read asks for four times as many bytes as the buffer holds, ahead of what is wanted. With a quarter of what is
// left, it asks for just that, all at once.
constexpr std::size_t k_asked_ahead = 4;

void begin_libssh2() {
  static const int initialized = libssh2_init(0);
  if (initialized != 0) throw Error(ErrorKind::internal, "libssh2 can't be initialized");
}

// Signs with SHA-1 only before libssh2 1.11 (RFC 8332).
constexpr bool k_rsa_is_sha1 = LIBSSH2_VERSION_NUM < 0x010b00;
constexpr std::string_view k_rsa_hint =
    "this system's libssh2 would sign with SHA-1 ('ssh-rsa'), which is broken and which current servers refuse; make "
    "an ed25519 key: ssh-keygen -t ed25519";

bool is_rsa(std::span<const unsigned char> blob) {
  constexpr std::string_view k_name("\0\0\0\7ssh-rsa", 11);
  return std::string_view(reinterpret_cast<const char*>(blob.data()), blob.size()).starts_with(k_name);
}

// OpenSSH's format has the public key's name inside, PEM's in its first line.
bool is_rsa_file(const std::filesystem::path& key) {
  std::ifstream file(key);
  std::string body;
  for (std::string line; std::getline(file, line);) {
    if (line.find("BEGIN RSA PRIVATE KEY") != std::string::npos) return true;
    if (!line.starts_with('-')) body += line;
  }
  body.resize(body.size() / 4 * 4);
  std::string decoded(body.size() / 4 * 3 + 1, '\0');
  EVP_DecodeBlock(reinterpret_cast<unsigned char*>(decoded.data()), reinterpret_cast<const unsigned char*>(body.data()),
                  static_cast<int>(body.size()));
  return decoded.find("ssh-rsa") != std::string::npos;
}

std::filesystem::path home() {
  const char* folder = std::getenv("HOME");
  return folder != nullptr ? folder : "/";
}

FileStatus to_status(const LIBSSH2_SFTP_ATTRIBUTES& attributes) {
  constexpr std::int64_t k_second = 1'000'000'000;
  FileStatus status;
  const unsigned long mode = (attributes.flags & LIBSSH2_SFTP_ATTR_PERMISSIONS) != 0 ? attributes.permissions : 0;
  if (LIBSSH2_SFTP_S_ISREG(mode)) status.type = FileType::regular;
  if (LIBSSH2_SFTP_S_ISDIR(mode)) status.type = FileType::directory;
  if (LIBSSH2_SFTP_S_ISLNK(mode)) status.type = FileType::symlink;
  status.executable = (mode & LIBSSH2_SFTP_S_IXUSR) != 0;
  if ((attributes.flags & LIBSSH2_SFTP_ATTR_SIZE) != 0) status.size_bytes = attributes.filesize;
  // Unsigned seconds of 32 bits in version 3 of the protocol.
  if ((attributes.flags & LIBSSH2_SFTP_ATTR_ACMODTIME) != 0) {
    status.mtime_ns = static_cast<std::int64_t>(attributes.mtime) * k_second;
  }
  // Nothing can be told of a file without them.
  constexpr unsigned long k_needed = LIBSSH2_SFTP_ATTR_SIZE | LIBSSH2_SFTP_ATTR_ACMODTIME;
  if (status.type == FileType::regular && (attributes.flags & k_needed) != k_needed) status.type = FileType::other;
  return status;
}

// Whether an agent answers at all: libssh2 asks it without a deadline. What it is asked for is the list of its keys
// (SSH_AGENTC_REQUEST_IDENTITIES, draft-miller-ssh-agent).
bool agent_answers(const char* path) {
  constexpr std::array<unsigned char, 5> k_request{0, 0, 0, 1, 11};
  constexpr int k_patience_ms = 2'000;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string_view name(path);
  if (name.size() >= sizeof address.sun_path) return false;
  name.copy(address.sun_path, name.size());
  const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return false;
  if (::send(socket.get(), k_request.data(), k_request.size(), MSG_NOSIGNAL) != ssize_t{k_request.size()}) return false;
  pollfd poll_for{socket.get(), POLLIN, 0};
  char first = 0;
  return ::poll(&poll_for, 1, k_patience_ms) > 0 && ::recv(socket.get(), &first, 1, MSG_DONTWAIT) == 1;
}

}  // namespace

SftpSession::SftpSession(const SftpOptions& options) : options_(options), silent_since_(Clock::now()) {}

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
  const auto silent = Clock::now() - silent_since_;
  if (silent > options_.timeout) {
    broken_ = true;
    throw lost(fmt::format("no answer for {} s", std::chrono::duration_cast<std::chrono::seconds>(silent).count()));
  }
  const int directions = session_ ? libssh2_session_block_directions(session_.get()) : 0;
  pollfd poll_for{socket_.get(), 0, 0};
  if ((directions & LIBSSH2_SESSION_BLOCK_OUTBOUND) != 0) poll_for.events |= POLLOUT;
  if ((directions & LIBSSH2_SESSION_BLOCK_INBOUND) != 0 || directions == 0) poll_for.events |= POLLIN;
  if (::poll(&poll_for, 1, static_cast<int>(k_look_for_stop.count())) > 0) return look_for_end();
  int next = 0;
  const bool may_ask = sftp_ && (directions & LIBSSH2_SESSION_BLOCK_OUTBOUND) == 0;
  if (silent > std::chrono::seconds(k_keepalive_seconds) && may_ask) libssh2_keepalive_send(session_.get(), &next);
}

// libssh2 does not always notice that the other side has closed the connection. What is left to read, it gets to read first.
void SftpSession::look_for_end() {
  char next = 0;
  const auto left = ::recv(socket_.get(), &next, 1, MSG_PEEK | MSG_DONTWAIT);
  if (left > 0 || (left < 0 && errno == EAGAIN)) return;
  if (std::exchange(ended_, true)) {
    broken_ = true;
    throw lost("the host has closed the connection");
  }
}

template <class Attempt>
int SftpSession::call(Attempt attempt) {
  heard();
  finish_half_closed();
  for (;;) {
    const int rc = attempt();
    if (rc != LIBSSH2_ERROR_EAGAIN) return rc;
    wait();
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
  return {ErrorKind::source_missing, fmt::format("source {}: no such file on {}", name, options_.host),
          "put it there, or publish a list without it"};
}

// Whether the last error is a status that the host answered with. libssh2 calls its own troubles with answers the same, and
// leaves the last status as it was.
bool SftpSession::is_status() const {
  if (libssh2_session_last_errno(session_.get()) != LIBSSH2_ERROR_SFTP_PROTOCOL) return false;
  const std::string_view said = last_words();
  return said == "SFTP Protocol Error" || said == "Failed opening remote file" || said == "SFTP READ error";
}

// After an operation on a path.
void SftpSession::fail_path(const std::string& name) {
  if (!is_status()) fail("source " + name);
  switch (libssh2_sftp_last_error(sftp_.get())) {
    case LIBSSH2_FX_NO_SUCH_FILE:
    case LIBSSH2_FX_NO_SUCH_PATH:
      throw missing(name);
    case LIBSSH2_FX_PERMISSION_DENIED:
      throw Error(ErrorKind::source_unreadable, fmt::format("source {}: permission denied on {}", name, options_.host),
                  fmt::format("give {} the right to read it there", options_.user));
    case LIBSSH2_FX_FAILURE:
      throw Error(ErrorKind::source_unreadable, fmt::format("source {}: {} answers 'failure'", name, options_.host),
                  "look whether it can be read there");
    default:
      fail("source " + name);
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
    const auto since = Clock::now();
    while (problem == EINPROGRESS) {
      if (stop_.stop_requested()) throw stopped_waiting();
      if (Clock::now() - since > options_.timeout) problem = ETIMEDOUT;
      pollfd poll_for{socket_.get(), POLLOUT, 0};
      if (::poll(&poll_for, 1, static_cast<int>(k_look_for_stop.count())) <= 0) continue;
      socklen_t size = sizeof problem;
      ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &problem, &size);
    }
    if (problem == 0) return;
  }
  throw lost(errno_text(problem));
}

void SftpSession::require_known_host() {
  auto files = options_.known_hosts;
  if (files.empty()) files = {home() / ".ssh/known_hosts", "/etc/ssh/ssh_known_hosts"};
  const KnownHosts known(session_.get(), files);
  const std::string algorithms = known.algorithms(options_.host, options_.port);
  const std::string scan = fmt::format(
      "compare it with the host's own (ssh-keygen -lf there), then add it: ssh-keyscan -t "
      "ed25519{} {} >> {}",
      options_.port == 22 ? "" : fmt::format(" -p {}", options_.port), options_.host, files.front().string());
  if (algorithms.empty()) {
    throw Error(
        ErrorKind::source_refused,
        fmt::format("{}: only an RSA key is known of this host, and this system's libssh2 could check that with "
                    "SHA-1 signatures ('ssh-rsa') alone",
                    where()),
        scan);
  }
  if (libssh2_session_method_pref(session_.get(), LIBSSH2_METHOD_HOSTKEY, algorithms.c_str()) != 0) {
    fail("choose the kinds of host keys");
  }
  if (call([&] { return libssh2_session_handshake(session_.get(), socket_.get()); }) != 0) {
    if (libssh2_session_last_errno(session_.get()) == LIBSSH2_ERROR_KEX_FAILURE) {
      broken_ = true;
      throw Error(ErrorKind::source_refused,
                  fmt::format("{}: no common algorithm; we ask for a host key of {}", where(), algorithms),
                  "SHA-1 ('ssh-rsa') and DSA are left out on purpose: give the host an ed25519 key");
    }
    fail("SSH handshake");
  }
  std::size_t size = 0;
  int type = 0;
  const char* key = libssh2_session_hostkey(session_.get(), &size, &type);
  if (key == nullptr) fail("read the host's key");
  const char* hash = libssh2_hostkey_hash(session_.get(), LIBSSH2_HOSTKEY_HASH_SHA256);
  std::array<unsigned char, 45> fingerprint{};
  if (hash != nullptr) {
    EVP_EncodeBlock(fingerprint.data(), reinterpret_cast<const unsigned char*>(hash), 32);
    fingerprint[43] = '\0';  // OpenSSH leaves the padding out
  }
  const auto refuse = [&](std::string_view what, const std::string& hint) {
    broken_ = true;
    throw Error(ErrorKind::source_refused,
                fmt::format("{}: {}: SHA256:{}", where(), what, reinterpret_cast<const char*>(fingerprint.data())),
                hint);
  };
  switch (known.judge(options_.host, options_.port, std::as_bytes(std::span(key, size)), type)) {
    case KnownHosts::Verdict::match:
      return;
    case KnownHosts::Verdict::mismatch:
      refuse("THE HOST'S KEY HAS CHANGED: someone may be in between",
             "nothing was sent. If the host was set up anew, remove its old line from known_hosts and " + scan);
      return;
    case KnownHosts::Verdict::revoked:
      refuse("the host's key is revoked", "nothing was sent. Its operator must make a new one");
      return;
    case KnownHosts::Verdict::unknown:
      refuse("the host's key is not in known_hosts", scan);
  }
}

void SftpSession::log_in() {
  if (options_.key.empty()) {
    if (log_in_by_agent()) return;
    for (const char* file : {".ssh/id_ed25519", ".ssh/id_ecdsa"}) {
      std::error_code ignored;
      if (std::filesystem::exists(home() / file, ignored) && log_in_by_file(home() / file)) return;
    }
  } else {
    std::error_code ignored;
    if (!std::filesystem::exists(options_.key, ignored)) {
      throw Error(ErrorKind::source_refused, fmt::format("{}: there is no key {}", where(), options_.key.string()),
                  "make it, or name another");
    }
    if (log_in_by_file(options_.key)) return;
  }
  broken_ = true;
  const std::string_view words = last_words();
  std::string hint = fmt::format("add the public key to {}'s authorized_keys there", options_.user);
  if (k_rsa_is_sha1 && !options_.key.empty() && is_rsa_file(options_.key)) hint = k_rsa_hint;
  throw Error(ErrorKind::source_refused,
              fmt::format("{}: login refused with {}{}{}", where(),
                          options_.key.empty() ? "the agent's keys and those of ~/.ssh" : options_.key.string(),
                          words.empty() ? "" : ": ", words),
              hint);
}

bool SftpSession::log_in_by_agent() {
  const char* const socket = std::getenv("SSH_AUTH_SOCK");
  if (socket == nullptr || !agent_answers(socket)) return false;
  const std::unique_ptr<LIBSSH2_AGENT, Freer<libssh2_agent_free>> agent(libssh2_agent_init(session_.get()));
  if (!agent || libssh2_agent_connect(agent.get()) != 0) return false;
  if (libssh2_agent_list_identities(agent.get()) != 0) return false;
  libssh2_agent_publickey* identity = nullptr;
  while (libssh2_agent_get_identity(agent.get(), &identity, identity) == 0) {
    if (k_rsa_is_sha1 && is_rsa({identity->blob, identity->blob_len})) continue;
    if (call([&] { return libssh2_agent_userauth(agent.get(), options_.user.c_str(), identity); }) == 0) return true;
  }
  return false;
}

bool SftpSession::log_in_by_file(const std::filesystem::path& key) {
  if (k_rsa_is_sha1 && is_rsa_file(key)) return false;
  const int rc = call([&] {
    return libssh2_userauth_publickey_fromfile_ex(
        session_.get(), options_.user.c_str(), static_cast<unsigned>(options_.user.size()), nullptr, key.c_str(), "");
  });
  if (rc == LIBSSH2_ERROR_SOCKET_DISCONNECT || rc == LIBSSH2_ERROR_SOCKET_RECV || rc == LIBSSH2_ERROR_SOCKET_SEND) {
    fail("log in");
  }
  return rc == 0;
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

std::string SftpSession::real_path(const std::string& path, const std::string& name) {
  std::array<char, k_path_bytes> target;
  const int size = call([&] {
    return libssh2_sftp_symlink_ex(sftp_.get(), path.c_str(), static_cast<unsigned>(path.size()), target.data(),
                                   static_cast<unsigned>(target.size()), LIBSSH2_SFTP_REALPATH);
  });
  if (size > 0) return {target.data(), static_cast<std::size_t>(size)};
  if (size < 0 && !is_status()) fail_path(name);
  const bool nowhere = size < 0 && libssh2_sftp_last_error(sftp_.get()) == LIBSSH2_FX_NO_SUCH_FILE;
  // Where a folder on the way is missing or closed, sshd's status is of no worth ('ok', 'failure', as it comes). What it says
  // of the path itself is: only a symlink that is there may lead nowhere.
  status(path, name);
  if (nowhere) throw missing(name);
  throw Error(ErrorKind::source_unreadable,
              fmt::format("source {}: {} does not tell where it leads", name, options_.host),
              fmt::format("give {} the right to read it there", options_.user));
}

FileStatus SftpSession::status(const std::string& path, const std::string& name) {
  LIBSSH2_SFTP_ATTRIBUTES attributes{};
  const int rc = call([&] {
    return libssh2_sftp_stat_ex(sftp_.get(), path.c_str(), static_cast<unsigned>(path.size()), LIBSSH2_SFTP_LSTAT,
                                &attributes);
  });
  if (rc != 0) fail_path(name);
  return to_status(attributes);
}

void SftpSession::list(const std::string& folder, const std::string& name, const std::function<void(Listed)>& found) {
  Handle handle;
  const int opened = call([&] {
    handle.reset(libssh2_sftp_open_ex(sftp_.get(), folder.c_str(), static_cast<unsigned>(folder.size()), 0, 0,
                                      LIBSSH2_SFTP_OPENDIR));
    return handle ? 0 : libssh2_session_last_errno(session_.get());
  });
  if (opened != 0) fail_path(name);
  try {
    while (auto listed = next_of(handle.get(), name)) {
      if (listed->file != "." && listed->file != "..") found(std::move(*listed));
    }
  } catch (...) {
    close_later(std::move(handle));
    throw;
  }
  close_later(std::move(handle));
}

std::optional<SftpSession::Listed> SftpSession::next_of(LIBSSH2_SFTP_HANDLE* folder, const std::string& name) {
  std::array<char, k_path_bytes> text;
  LIBSSH2_SFTP_ATTRIBUTES attributes{};
  const int size =
      call([&] { return libssh2_sftp_readdir_ex(folder, text.data(), text.size(), nullptr, 0, &attributes); });
  if (size < 0) fail_reading(name);
  if (size == 0) return std::nullopt;
  return Listed{{text.data(), static_cast<std::size_t>(size)}, to_status(attributes)};
}

void SftpSession::open(const std::string& label, const std::string& path, const std::string& name) {
  close_later(std::move(handle_));
  const int rc = call([&] {
    handle_.reset(libssh2_sftp_open_ex(sftp_.get(), path.c_str(), static_cast<unsigned>(path.size()), LIBSSH2_FXF_READ,
                                       0, LIBSSH2_SFTP_OPENFILE));
    return handle_ ? 0 : libssh2_session_last_errno(session_.get());
  });
  if (rc != 0) fail_path(name);
  open_label_ = label;
}

// Other requests may be under way: their answers would be taken for those of the next ones.
void SftpSession::fail_reading(const std::string& name) {
  broken_ = true;
  fail_path(name);
}

std::size_t SftpSession::read(std::uint64_t offset, std::span<std::byte> buffer, const std::string& name,
                              FileStatus* after) {
  LIBSSH2_SFTP_HANDLE* const handle = handle_.get();
  if (libssh2_sftp_tell64(handle) != offset) libssh2_sftp_seek64(handle, offset);
  LIBSSH2_SFTP_ATTRIBUTES attributes{};
  std::size_t got = 0;
  bool end = false;
  bool asking = false;  // for the status; behind the requests for bytes, which all are sent by the first call
  bool told = after == nullptr;
  heard();
  finish_half_closed();
  while ((got < buffer.size() && !end) || !told) {
    bool heard_something = false;
    bool must_ask_on = asking && !told && half_sent();
    if (got < buffer.size() && !end && !must_ask_on) {
      const std::size_t left = buffer.size() - got;
      const auto rc = libssh2_sftp_read(handle, reinterpret_cast<char*>(buffer.data() + got),
                                        std::max<std::size_t>(1, left / k_asked_ahead));
      if (rc < 0 && rc != LIBSSH2_ERROR_EAGAIN) fail_reading(name);
      if (rc >= 0) heard_something = true;
      if (rc > 0) got += static_cast<std::size_t>(rc);
      if (rc == 0) end = true;
      if (rc == LIBSSH2_ERROR_EAGAIN && half_sent()) {
        wait();
        continue;
      }
    }
    if (!told) {
      asking = true;
      const int rc = libssh2_sftp_fstat_ex(handle, &attributes, 0);
      if (rc != 0 && rc != LIBSSH2_ERROR_EAGAIN) fail_reading(name);
      told = rc == 0;
      heard_something = heard_something || told;
    }
    if (heard_something)
      heard();
    else
      wait();
  }
  if (after != nullptr) *after = to_status(attributes);
  return got;
}

}  // namespace zipmodule::storage
