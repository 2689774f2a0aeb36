#include "storage/s3_xml.hpp"

#include <fmt/format.h>

#include <memory>
#include <pugixml.hpp>
#include <string_view>

#include "storage/remote.hpp"

namespace zipmodule::storage {
namespace {

std::unique_ptr<pugi::xml_document> document(const std::string& xml) {
  auto parsed = std::make_unique<pugi::xml_document>();
  // Keys may be blanks, and begin or end with them.
  const auto result = parsed->load_buffer(xml.data(), xml.size(), pugi::parse_default | pugi::parse_ws_pcdata_single);
  return result ? std::move(parsed) : nullptr;
}

std::string text_of(const pugi::xml_node& node, const char* name) { return node.child(name).text().get(); }

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// As encoding-type=url has it: XML has no place for control characters.
std::string decoded(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const int high = text[at] == '%' && at + 2 < text.size() ? digit(text[at + 1]) : -1;
    const int low = high >= 0 ? digit(text[at + 2]) : -1;
    if (low >= 0) {
      out += static_cast<char>(high * 16 + low);
      at += 2;
    } else {
      out += text[at] == '+' ? ' ' : text[at];
    }
  }
  return out;
}

}  // namespace

std::optional<S3Words> parse_error(const std::string& xml) {
  const auto parsed = document(xml);
  if (!parsed) return std::nullopt;
  const pugi::xml_node error = parsed->child("Error");
  if (!error) return std::nullopt;
  return S3Words{text_of(error, "Code"), text_of(error, "Message"), text_of(error, "Region"),
                 text_of(error, "Endpoint")};
}

std::optional<S3Page> parse_page(const std::string& xml) {
  const auto parsed = document(xml);
  if (!parsed) return std::nullopt;
  const pugi::xml_node list = parsed->child("ListBucketResult");
  if (!list) return std::nullopt;
  const bool encoded = text_of(list, "EncodingType") == "url";  // some servers don't know of it
  S3Page page;
  for (const pugi::xml_node& object : list.children("Contents")) {
    const auto size = number_of(text_of(object, "Size"));
    if (!size) return std::nullopt;
    const std::string key = text_of(object, "Key");
    page.objects.push_back({encoded ? decoded(key) : key, *size, strong_etag(text_of(object, "ETag")),
                            time_of(text_of(object, "LastModified")).value_or(-1)});
  }
  page.truncated = text_of(list, "IsTruncated") == "true";
  page.next = text_of(list, "NextContinuationToken");
  return page;
}

std::optional<S3Uploads> parse_uploads(const std::string& xml) {
  const auto parsed = document(xml);
  if (!parsed) return std::nullopt;
  const pugi::xml_node list = parsed->child("ListMultipartUploadsResult");
  if (!list) return std::nullopt;
  const bool encoded = text_of(list, "EncodingType") == "url";
  const auto key_of = [&](const std::string& text) { return encoded ? decoded(text) : text; };
  S3Uploads uploads;
  for (const pugi::xml_node& upload : list.children("Upload")) {
    uploads.uploads.push_back({key_of(text_of(upload, "Key")), text_of(upload, "UploadId")});
  }
  uploads.truncated = text_of(list, "IsTruncated") == "true";
  uploads.next_key = key_of(text_of(list, "NextKeyMarker"));
  uploads.next_id = text_of(list, "NextUploadIdMarker");
  return uploads;
}

std::optional<std::string> parse_upload_id(const std::string& xml) {
  const auto parsed = document(xml);
  if (!parsed) return std::nullopt;
  const std::string id = text_of(parsed->child("InitiateMultipartUploadResult"), "UploadId");
  return id.empty() ? std::nullopt : std::optional(id);
}

std::optional<std::string> parse_completed(const std::string& xml) {
  const auto parsed = document(xml);
  if (!parsed) return std::nullopt;
  const pugi::xml_node result = parsed->child("CompleteMultipartUploadResult");
  if (!result) return std::nullopt;
  return strong_etag(text_of(result, "ETag"));
}

std::string completion_of(const std::vector<std::string>& etags) {
  std::string xml = "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
  for (std::size_t i = 0; i < etags.size(); ++i) {
    std::string escaped;
    for (const char c : etags[i]) {
      if (c == '&' || c == '<' || c == '>')
        escaped += fmt::format("&#{};", static_cast<int>(c));
      else
        escaped += c;
    }
    xml += fmt::format("<Part><PartNumber>{}</PartNumber><ETag>\"{}\"</ETag></Part>", i + 1, escaped);
  }
  return xml + "</CompleteMultipartUpload>";
}

std::string strong_etag(const std::string& text) {
  if (text.starts_with("W/")) return {};
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') return text.substr(1, text.size() - 2);
  return text;
}

}  // namespace zipmodule::storage
