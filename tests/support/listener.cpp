#include "support/listener.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <stdexcept>

namespace zipmodule::test {
namespace {

// How often a stop is looked for.
constexpr int k_poll_ms = 20;

Fd bound_socket(int& port) {
  // Whoever tests behind a proxy can't reach this through it.
  ::setenv("no_proxy", "127.0.0.1", 1);
  Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  void* const raw = &address;
  auto* const generic = static_cast<sockaddr*>(raw);
  if (!socket || ::bind(socket.get(), generic, size) != 0 || ::getsockname(socket.get(), generic, &size) != 0)
    throw std::runtime_error("no socket on the loopback interface");
  port = ntohs(address.sin_port);
  return socket;
}

bool readable(int fd) {
  pollfd waiting{fd, POLLIN, 0};
  return ::poll(&waiting, 1, k_poll_ms) > 0;
}

std::string url_of(int port, const std::string& path) { return "http://127.0.0.1:" + std::to_string(port) + path; }

// Nullopt-like: an empty method where more has to be read.
HttpRequest parse(const std::string& text) {
  HttpRequest request;
  const auto end = text.find("\r\n\r\n");
  if (end == std::string::npos) return request;
  const std::string head = text.substr(0, end + 2);
  std::size_t length = 0;
  if (const auto at = head.find("Content-Length: "); at != std::string::npos)
    length = std::strtoul(head.c_str() + at + 16, nullptr, 10);
  if (text.size() < end + 4 + length) return request;
  request.method = head.substr(0, head.find(' '));
  request.path =
      head.substr(request.method.size() + 1, head.find(' ', request.method.size() + 1) - request.method.size() - 1);
  request.headers = head.substr(head.find("\r\n") + 2);
  request.body = text.substr(end + 4, length);
  return request;
}

}  // namespace

HttpListener::HttpListener(Answer answer) : answer_(std::move(answer)), socket_(bound_socket(port_)) {
  if (::listen(socket_.get(), 16) != 0) throw std::runtime_error("listen on the loopback interface");
  thread_ = std::jthread([this](const std::stop_token& stop) { serve(stop); });
}

HttpListener::~HttpListener() {
  thread_.request_stop();
  thread_.join();
}

std::string HttpListener::url(const std::string& path) const { return url_of(port_, path); }

std::vector<HttpRequest> HttpListener::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

std::string HttpListener::log() const {
  std::string text;
  for (const auto& request : requests()) text += (text.empty() ? "" : ", ") + request.method + " " + request.path;
  return text;
}

std::string HttpListener::status(const std::string& code_and_text, const std::string& more_headers) {
  return "HTTP/1.1 " + code_and_text + "\r\nContent-Length: 0\r\nConnection: close\r\n" + more_headers + "\r\n";
}

HttpListener::Answer HttpListener::always(const std::string& answer) {
  return [answer](const HttpRequest&) { return answer; };
}

void HttpListener::serve(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    if (!readable(socket_.get())) continue;
    Fd connection(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (connection) talk(std::move(connection), stop);
  }
}

void HttpListener::talk(Fd connection, const std::stop_token& stop) {
  std::string text;
  while (!stop.stop_requested()) {
    if (!readable(connection.get())) continue;
    std::array<char, 4096> buffer{};
    const auto count = ::recv(connection.get(), buffer.data(), buffer.size(), 0);
    if (count <= 0) return;
    text.append(buffer.data(), static_cast<std::size_t>(count));
    const HttpRequest request = parse(text);
    if (request.method.empty()) continue;
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    const std::string answer = answer_(request);
    if (answer.empty()) {
      silent_.push_back(std::move(connection));
    } else if (::send(connection.get(), answer.data(), answer.size(), MSG_NOSIGNAL) < 0) {
      return;
    }
    return;
  }
}

RefusingPort::RefusingPort() : socket_(bound_socket(port_)) {}

std::string RefusingPort::url(const std::string& path) const { return url_of(port_, path); }

}  // namespace zipmodule::test
