#include "storage/web_client.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/terminal_text.hpp"
#include "storage/http_address.hpp"

namespace zipmodule::storage {
namespace {

constexpr int k_most_redirects = 3;

// Of a server that answered, and not with what was asked for.
Error refusal(const std::string& name, long status) {
  const std::string text = fmt::format("{}: the server answers {}", name, status);
  if (status == 404 || status == 410) {
    return {ErrorKind::source_missing, text, "put it there, or publish a list without it"};
  }
  if (status == 416) return {ErrorKind::source_changed, text, "publish when its writer is finished"};
  if (!status_may_pass(status)) return {ErrorKind::source_unreadable, text, "let this host read it there"};
  return {status == 500 ? ErrorKind::source_unreadable : ErrorKind::source_unreachable, text,
          "look into the server's log"};
}

bool leads_to_folder(const HttpAnswer& answer, const std::string& url) {
  return answer.answered() && answer.is_redirect() && is_same_with_slash(url, answer.redirect);
}

}  // namespace

WebClient::WebClient(const HttpsOptions& options, const std::string& url)
    : places_([&] {
        auto places = options.redirects;
        places.push_back(url);
        return places;
      }()),
      http_({options.ca, false, false, options.connections, options.timeout}) {}

// From the beginning, each time: where it leads may be another place by now.
HttpAnswer WebClient::follow(HttpRequest request, bool anew, const std::stop_token& stop) {
  for (int redirects = 0;; ++redirects) {
    HttpAnswer answer = http_.try_once(request, anew, stop);
    answer.redirected = redirects > 0;
    if (!answer.answered() || !answer.is_redirect() || leads_to_folder(answer, request.url)) return answer;
    if (answer.redirect.empty() || redirects == k_most_redirects) {
      throw Error(
          ErrorKind::source_unreadable,
          fmt::format("{} is redirected {}", request.name, answer.redirect.empty() ? "to nowhere" : "again and again"),
          "look at it with a browser");
    }
    if (!leads_below(answer.redirect, places_)) {
      throw Error(ErrorKind::source_outside,
                  fmt::format("{} is redirected out of its content root, to {}", request.name,
                              printable(origin_of(answer.redirect))),
                  "allow the address it leads to by content.roots.NAME.redirects, or list the file from there");
    }
    request.url = answer.redirect;
  }
}

WebFile WebClient::ask(const std::string& url, std::uint64_t offset, std::span<std::byte> buffer,
                       const std::string& name, const std::stop_token& stop) {
  HttpRequest request;
  request.name = "source " + name;
  request.url = url;
  request.buffer = buffer;
  if (buffer.empty())
    request.method = "HEAD";
  else
    request.headers.emplace_back("Range", fmt::format("bytes={}-{}", offset, offset + buffer.size() - 1));
  const auto unreadable = [&](const std::string& what, const std::string& hint) {
    return Error(ErrorKind::source_unreadable, fmt::format("{}: {}", request.name, what), hint);
  };
  const HttpAnswer answer = http_.persist(
      request.name, [&](bool anew) { return follow(request, anew, stop); },
      [](const HttpAnswer& got) { return status_may_pass(got.status); }, stop);
  WebFile file;
  if (answer.is_redirect()) {
    file.folder = true;
    return file;
  }
  if (answer.status != 200 && answer.status != 206) throw refusal(request.name, answer.status);
  const std::string encoding = lower(answer.header("content-encoding"));
  if (!encoding.empty() && encoding != "identity") {
    throw unreadable("the server sends it compressed or in another encoding", "have it send files as they are");
  }
  file.status = answer.status;
  file.etag = answer.header("etag");
  file.last_modified = answer.header("last-modified");
  file.body_bytes = answer.body_bytes;
  file.size_bytes = answer.content_length;
  if (answer.status == 206) {
    const auto range = answer.content_range();
    if (!range || range->first != offset || range->last + 1 != std::min(offset + buffer.size(), range->whole) ||
        answer.too_long) {
      throw unreadable("the server sends another part than was asked for", "look at caches in between");
    }
    file.size_bytes = range->whole;
  }
  return file;
}

}  // namespace zipmodule::storage
