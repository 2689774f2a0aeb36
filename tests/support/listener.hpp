// A tiny HTTP server on a port of the loopback interface, for what calls addresses.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.hpp"

namespace zipmodule::test {

struct HttpRequest {
  std::string method, path, headers, body;
};

// Records every request. Thread-safe. The destructor closes all connections.
class HttpListener {
 public:
  // What is sent back, bytes as they are: "HTTP/1.1 200 OK\r\n...\r\n\r\n". Empty: nothing, and the connection stays open.
  using Answer = std::function<std::string(const HttpRequest&)>;
  explicit HttpListener(Answer answer);
  ~HttpListener();
  HttpListener(const HttpListener&) = delete;
  HttpListener& operator=(const HttpListener&) = delete;

  std::string url(const std::string& path = "/") const;
  std::vector<HttpRequest> requests() const;
  // "GET /a/start, POST /a/fail"
  std::string log() const;

  static std::string status(const std::string& code_and_text, const std::string& more_headers = {});
  static Answer always(const std::string& answer);
  static Answer never() { return always({}); }

 private:
  void serve(const std::stop_token& stop);
  void talk(Fd connection, const std::stop_token& stop);

  const Answer answer_;
  int port_ = 0;  // before the socket, whose making sets it
  Fd socket_;
  mutable std::mutex mutex_;
  std::vector<HttpRequest> requests_;  // guarded by mutex_
  std::vector<Fd> silent_;             // the thread's own: connections that get no answer
  std::jthread thread_;
};

// A port of the loopback interface on which nobody listens: connecting is refused. It stays bound, so that nobody can
// take it meanwhile.
class RefusingPort {
 public:
  RefusingPort();
  std::string url(const std::string& path = "/") const;

 private:
  int port_ = 0;  // before the socket, whose making sets it
  Fd socket_;
};

}  // namespace zipmodule::test
