#include "archive/plan.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <malloc.h>
#include <sys/stat.h>

#include <string>
#include <vector>

#include "archive/site.hpp"
#include "storage/local_root.hpp"

namespace zipmodule::archive {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using Names = std::vector<std::string>;

struct Content {
  Content() {
    site.file("default/album/b.txt");
    site.file("default/album/a.txt");
    site.file("default/album/sub/c.txt");
    fs::create_directories(site.dir / "default/album/void");
    site.file("default/cover.jpg");
    site.file("media/cover.jpg", "another");
  }
  TestSite site;
};

TEST_CASE("lists become entries, in their order") {
  const Content content;
  const auto [json, names] = GENERATE(table<std::string, Names>({
      {R"([{"source": "cover.jpg"}])", {"cover.jpg"}},
      {R"([{"source": "album"}])",
       {"album/", "album/a.txt", "album/b.txt", "album/sub/", "album/sub/c.txt", "album/void/"}},
      {R"([{"source": "album/"}])", {"a.txt", "b.txt", "sub/", "sub/c.txt", "void/"}},
      {R"([{"source": "album/sub"}])", {"sub/", "sub/c.txt"}},
      {R"([{"source": "album/sub", "name": "s"}])", {"s/", "s/c.txt"}},
      {R"([{"source": "album/sub", "destination": "x/y"}])", {"x/y/sub/", "x/y/sub/c.txt"}},
      {R"([{"source": "album/sub/", "destination": "x"}])", {"x/c.txt"}},
      {R"([{"source": "album/void"}])", {"void/"}},
      {R"([{"source": "album/a.txt", "name": "z.txt", "destination": "d"}])", {"d/z.txt"}},
      {R"([{"source": "media:"}])", {"cover.jpg"}},
      {R"([{"source": "cover.jpg"}, {"source": "media:cover.jpg"}])", {"cover.jpg", "cover (1).jpg"}},
      {R"([{"source": "media:cover.jpg"}, {"source": "cover.jpg", "destination": "d"}])", {"cover.jpg", "d/cover.jpg"}},
      {R"([{"source": "album/a.txt"}, {"source": "album/a.txt"}])", {"a.txt", "a (1).txt"}},
      {R"([{"source": "album/sub"}, {"source": "album/void", "name": "sub"}])", {"sub/", "sub/c.txt"}},
      {"[]", {}},
  }));
  CAPTURE(json);
  CHECK(content.site.names(json) == names);
}

TEST_CASE("an entry says what its source is") {
  const Content content;
  const fs::path path = content.site.dir / "default/cover.jpg";
  fs::permissions(path, static_cast<fs::perms>(04755));
  test::set_mtime(path, 1'234'567'890, 123'456'789);
  const auto plan = content.site.plan(R"([{"source": "cover.jpg", "name": "c"}, {"source": "album/void"}])");
  const auto file = plan->at(0);
  CHECK(file.size_bytes == 7);
  CHECK(file.mtime == 1'234'567'890'123'456'789);
  CHECK(file.executable);
  CHECK_FALSE(file.directory);
  CHECK(plan->at(1).directory);
  CHECK_FALSE(plan->at(1).executable);
  CHECK(plan->source_name(0) == "default:cover.jpg");
  CHECK(plan->source_name(1) == "default:album/void");
  CHECK(plan->content_bytes() == 7);
  CHECK(plan->files() == 1);
}

TEST_CASE("an entry's source is opened, whatever its name in the archive became") {
  const Content content;
  const auto plan = content.site.plan(R"([{"source": "cover.jpg"}, {"source": "media:cover.jpg"},
                                          {"source": "album/a.txt", "name": "very else", "destination": "d"}])");
  const Names expected{"content", "another", "content"};
  for (std::size_t i = 0; i < plan->size(); ++i) {
    std::string text(7, '\0');
    CHECK(plan->open(i)->read_at(0, std::as_writable_bytes(std::span(text))) == 7);
    CHECK(text == expected[i]);
  }
}

TEST_CASE("every source is found again from its name, wherever it went and however it was renamed") {
  const Content content;
  content.site.file("default/album/album/a.txt");
  const auto plan = content.site.plan(R"([{"source": "album"}, {"source": "album/", "destination": "album"},
      {"source": "album/album/", "destination": "x/album"}, {"source": "album", "name": "lbum"},
      {"source": "media:", "destination": "album"}, {"source": "album/a.txt", "name": "a"}])");
  Names sources;
  for (std::size_t i = 0; i < plan->size(); ++i)
    sources.push_back(fmt::format("{} < {}", plan->at(i).name, plan->source_name(i)));
  CHECK(sources == Names{"album/ < default:album",
                         "album/a.txt < default:album/a.txt",
                         "album/album/ < default:album/album",
                         "album/album/a.txt < default:album/album/a.txt",
                         "album/b.txt < default:album/b.txt",
                         "album/sub/ < default:album/sub",
                         "album/sub/c.txt < default:album/sub/c.txt",
                         "album/void/ < default:album/void",
                         "album/a (1).txt < default:album/a.txt",
                         "album/album/a (1).txt < default:album/album/a.txt",
                         "album/b (1).txt < default:album/b.txt",
                         "album/sub/c (1).txt < default:album/sub/c.txt",
                         "x/album/a.txt < default:album/album/a.txt",
                         "lbum/ < default:album",
                         "lbum/a.txt < default:album/a.txt",
                         "lbum/album/ < default:album/album",
                         "lbum/album/a.txt < default:album/album/a.txt",
                         "lbum/b.txt < default:album/b.txt",
                         "lbum/sub/ < default:album/sub",
                         "lbum/sub/c.txt < default:album/sub/c.txt",
                         "lbum/void/ < default:album/void",
                         "album/cover.jpg < media:cover.jpg",
                         "a < default:album/a.txt"});
}

TEST_CASE("a hundred thousand entries of one folder are planned in order, in the memory that is promised") {
  const Content content;
  const fs::path folder = content.site.dir / "default/a folder with a name of its own/many";
  fs::create_directories(folder);
  constexpr std::size_t k_files = 100'000;
  for (std::size_t i = 0; i < k_files; ++i)
    Fd(::open((folder / fmt::format("{:06}", i)).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  const auto in_use = [] {
    const auto info = ::mallinfo2();
    return info.uordblks + info.hblkhd;
  };
  const auto before = in_use();
  const auto plan =
      content.site.plan(R"([{"source": "a folder with a name of its own/many/", "destination": "many"}])");
  const auto after = in_use();
  REQUIRE(plan->size() == k_files);
  for (std::size_t i = 0; i < k_files; i += 997) {
    REQUIRE(plan->at(i).name == fmt::format("many/{:06}", i));
    REQUIRE(plan->source_name(i) == fmt::format("default:a folder with a name of its own/many/{:06}", i));
  }
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr bool k_allocator_tells = false;
#else
  constexpr bool k_allocator_tells = true;
#endif
  const std::size_t name_bytes = std::string_view("many/000000").size();
  if (k_allocator_tells) {
    CHECK(after - before > k_files * (48 + name_bytes));
    CHECK(after - before < k_files * (52 + name_bytes));
  }
}

TEST_CASE("a name that a rename would make too long is an error that names the entry") {
  const Content content;
  const std::string deep = [] {
    std::string path;
    while (path.size() < 65'500) path += std::string(99, 'd') + "/";
    return path + std::string(65'535 - path.size() - 1, 'd');
  }();
  const std::string json = fmt::format(
      R"([{{"source": "cover.jpg", "name": "c", "destination": "{0}"}}, {{"source": "cover.jpg", "name": "c", "destination": "{0}"}}])",
      deep.substr(0, 65'533));
  const Error error = error_of([&] { content.site.plan(json); });
  CHECK(error.kind() == ErrorKind::source_name);
  CHECK_THAT(error.what(), Contains("65535 is the most"));
}

TEST_CASE("a source that changed after it was listed is not opened") {
  const Content content;
  const auto plan = content.site.plan(R"([{"source": "album/"}])");
  content.site.file("default/album/a.txt", "longer content");
  CHECK(error_of([&] { plan->open(0); }).kind() == ErrorKind::source_changed);
  fs::remove(content.site.dir / "default/album/b.txt");
  CHECK(error_of([&] { plan->open(1); }).kind() == ErrorKind::source_missing);
  // The same name, size and time, but another file.
  content.site.file("default/album/new", "content");
  fs::rename(content.site.dir / "default/album/new", content.site.dir / "default/album/sub/c.txt");
  CHECK(error_of([&] { plan->open(3); }).kind() == ErrorKind::source_changed);
}

TEST_CASE("a root that this host does not have is an error that names both") {
  const Content content;
  const Error error = error_of([&] { content.site.plan(R"([{"source": "cover.jpg"}, {"source": "video:x"}])"); });
  CHECK(error.kind() == ErrorKind::config);
  CHECK_THAT(error.what(), Contains("'video'") && Contains("testhost"));
  CHECK_THAT(error.hint(), Contains("content.roots.video"));
}

TEST_CASE("limits are told with their figure and their key, and hold exactly") {
  Content content;
  const std::string json = R"([{"source": "album"}])";  // six entries of 21 bytes, three folders deep at most
  content.site.options.max_entries = 6;
  content.site.options.max_bytes = 21;
  content.site.options.max_depth = 2;
  CHECK(content.site.names(json).size() == 6);

  content.site.options.max_entries = 5;
  Error error = error_of([&] { content.site.plan(json); });
  CHECK(error.kind() == ErrorKind::limit);
  CHECK_THAT(error.full_text(), Contains("5") && Contains("limits.max_entries"));

  content.site.options.max_entries = 6;
  content.site.options.max_bytes = 20;
  error = error_of([&] { content.site.plan(json); });
  CHECK(error.kind() == ErrorKind::limit);
  CHECK_THAT(error.full_text(), Contains("20") && Contains("limits.max_bytes"));

  content.site.options.max_bytes = 21;
  content.site.options.max_depth = 1;
  error = error_of([&] { content.site.plan(json); });
  CHECK(error.kind() == ErrorKind::limit);
  CHECK_THAT(error.full_text(), Contains("1") && Contains("limits.max_depth"));
}

TEST_CASE("the excluded file does not count, also where it makes one name too many") {
  Content content;
  content.site.options.excluded = storage::LocalRoot::file_at(content.site.dir / "default/album/a.txt");
  REQUIRE(content.site.options.excluded);
  content.site.options.max_entries = 4;
  CHECK(content.site.names(R"([{"source": "album/"}])").size() == 4);
  content.site.options.max_entries = 3;
  CHECK(error_of([&] { content.site.plan(R"([{"source": "album/"}])"); }).kind() == ErrorKind::limit);
}

TEST_CASE("a folder listed twice holds no more names than one listed once") {
  Content content;
  fs::create_directories(content.site.dir / "default/empty/folder");
  content.site.options.max_entries = 2;
  CHECK(content.site.names(R"([{"source": "empty"}, {"source": "empty"}])").size() == 2);
}

TEST_CASE("sparse files count with their logical size") {
  Content content;
  fs::resize_file(content.site.dir / "default/cover.jpg", std::uintmax_t{300} << 30U);
  CHECK(error_of([&] { content.site.plan(R"([{"source": "cover.jpg"}])"); }).kind() == ErrorKind::limit);
}

TEST_CASE("a missing source is an error by name") {
  const Content content;
  const Error error =
      error_of([&] { content.site.plan(R"([{"source": "cover.jpg"}, {"source": "media:gone.jpg"}])"); });
  CHECK(error.kind() == ErrorKind::source_missing);
  CHECK_THAT(error.what(), Contains("media:gone.jpg"));
}

TEST_CASE("several missing sources are all named, up to twenty of them and their number") {
  Content content;
  fs::create_symlink("nowhere", content.site.dir / "default/album/dangling");
  Error error = error_of([&] {
    content.site.plan(
        R"([{"source": "gone.jpg"}, {"source": "album"}, {"source": "cover.jpg"}, {"source": "media:none/x"}])");
  });
  CHECK(error.kind() == ErrorKind::source_missing);
  CHECK(error.what() == std::string("3 sources are missing: default:gone.jpg, default:album/dangling, media:none/x"));
  CHECK_FALSE(error.hint().empty());

  const auto list_of = [](int sources, const std::string& name) {
    std::string json;
    for (int i = 0; i < sources; ++i) json += fmt::format(R"({}{{"source": "{}{}"}})", i == 0 ? "[" : ", ", name, i);
    return json + "]";
  };
  error = error_of([&] { content.site.plan(list_of(100, "gone")); });
  CHECK_THAT(error.what(), Catch::Matchers::StartsWith("100 sources are missing: default:gone0, default:gone1, ") &&
                               Catch::Matchers::EndsWith("default:gone19 and 80 more"));
  // Within what telemetry keeps, however long the names are.
  error = error_of([&] { content.site.plan(list_of(100, std::string(200, 'n') + "/" + std::string(200, 'n'))); });
  CHECK(error.full_text().size() < 4'000);
  CHECK_THAT(error.what(), Contains("100 sources are missing: default:nnn") && Contains(" more"));
}

TEST_CASE("a missing source whose name differs in Unicode form or case from one that is there is told which") {
  Content content;
  content.site.file("default/B\u00fccher/e\u0301t\u00e9.jpg");
  content.site.file("default/B\u00fccher/caf\xe9.txt");
  content.site.file("default/IMG.JPG");
  const auto [source, there] = GENERATE(table<std::string, std::string>({
      {"B\u00fccher/\u00e9t\u00e9.jpg", "default:B\u00fccher/e\u0301t\u00e9.jpg"},
      {"Bu\u0308cher/\u00e9te\u0301.jpg", "default:B\u00fccher/e\u0301t\u00e9.jpg"},
      {"Bu\u0308cher", "default:B\u00fccher"},
      {"img.jpg", "default:IMG.JPG"},
  }));
  const std::string json = fmt::format(R"([{{"source": "{}"}}])", source);
  Error error = error_of([&] { content.site.plan(json); });
  CHECK(error.kind() == ErrorKind::source_missing);
  CHECK_THAT(error.what(), Contains(source));
  CHECK_THAT(error.hint(), Contains("'" + there + "' is there"));
  // The first that has one gives the hint for all.
  error = error_of([&] { content.site.plan(R"([{"source": "gone"}, )" + json.substr(1)); });
  CHECK_THAT(error.hint(), Contains("'" + there + "' is there"));
}

TEST_CASE("a missing source that nothing looks like has the ordinary hint") {
  const Content content;
  for (const char* source : {"gone", "album/gone", "gone/a.txt", "cover.jpg/x"}) {
    const Error error = error_of([&] { content.site.plan(fmt::format(R"([{{"source": "{}"}}])", source)); });
    CHECK(error.kind() == ErrorKind::source_missing);
    CHECK_THAT(error.hint(), Contains("put it there"));
  }
}

TEST_CASE("excluded names are left out of folders and counted, but never what the list names") {
  Content content;
  content.site.options.exclude =
      std::make_shared<storage::Exclusion>(std::vector<std::string>{"._*", "void", "sub/c*"});
  content.site.file("default/album/._a.txt");
  content.site.file("default/._cover.jpg");
  auto plan = content.site.plan(R"([{"source": "album"}, {"source": "._cover.jpg"}, {"source": "album/void"}])");
  Names names;
  for (std::size_t i = 0; i < plan->size(); ++i) names.emplace_back(plan->at(i).name);
  CHECK(names == Names{"album/", "album/a.txt", "album/b.txt", "album/sub/", "._cover.jpg", "void/"});
  CHECK(plan->files_excluded() == 3);
  CHECK(plan->files() == 3);
  content.site.options.exclude = nullptr;
  CHECK(content.site.plan(R"([{"source": "album"}])")->files_excluded() == 0);
}

TEST_CASE("with 'skip' what is missing is listed in an entry of its own, by 'root:path'") {
  Content content;
  content.site.options.skip_missing = true;
  fs::create_symlink("nowhere", content.site.dir / "default/album/dangling");
  const auto plan =
      content.site.plan(R"([{"source": "media:gone.jpg"}, {"source": "album/"}, {"source": "none/at/all"}])");
  CHECK(plan->missing() == Names{"media:gone.jpg", "default:album/dangling", "default:none/at/all"});
  const std::size_t last = plan->size() - 1;
  CHECK(plan->at(last).name == k_missing_entry);
  CHECK(plan->source_name(last) == k_missing_entry);
  std::string text(plan->at(last).size_bytes, '\0');
  const auto reader = plan->open(last);
  CHECK(reader->read_at(0, std::as_writable_bytes(std::span(text))) == text.size());
  CHECK(reader->read_at(text.size(), std::as_writable_bytes(std::span(text))) == 0);
  reader->require_unchanged();
  CHECK_THAT(text, Contains("\nmedia:gone.jpg\n") && Contains("\ndefault:album/dangling\n") &&
                       Contains("\ndefault:none/at/all\n"));
}

TEST_CASE("what is missing counts as an entry, so that its list is bounded too") {
  Content content;
  content.site.options.skip_missing = true;
  content.site.options.max_entries = 2;
  CHECK(content.site.names(R"([{"source": "gone"}, {"source": "cover.jpg"}])") ==
        Names{"cover.jpg", std::string(k_missing_entry)});
  const Error error =
      error_of([&] { content.site.plan(R"([{"source": "gone"}, {"source": "cover.jpg"}, {"source": "gone too"}])"); });
  CHECK(error.kind() == ErrorKind::limit);
}

TEST_CASE("with 'skip' the list of what is missing gives way to a source of its name") {
  Content content;
  content.site.options.skip_missing = true;
  content.site.file("default/MISSING-FILES.txt");
  CHECK(content.site.names(R"([{"source": "MISSING-FILES.txt"}, {"source": "gone"}])") ==
        Names{"MISSING-FILES.txt", "MISSING-FILES (1).txt"});
}

TEST_CASE("with 'skip' an archive of which nothing is there is an error, and so is what is there and can't be read") {
  Content content;
  content.site.options.skip_missing = true;
  Error error = error_of([&] { content.site.plan(R"([{"source": "gone"}, {"source": "media:gone too"}])"); });
  CHECK(error.kind() == ErrorKind::empty);
  CHECK_THAT(error.what(), Contains("default:gone"));
  ::mkfifo((content.site.dir / "default/album/fifo").c_str(), 0644);
  error = error_of([&] { content.site.plan(R"([{"source": "album"}])"); });
  CHECK(error.kind() == ErrorKind::source_type);
  CHECK_THAT(error.what(), Contains("default:album/fifo"));
}

TEST_CASE("a file listed as 'file/' is an error that says so") {
  const Content content;
  const Error error = error_of([&] { content.site.plan(R"([{"source": "cover.jpg/"}])"); });
  CHECK(error.kind() == ErrorKind::source_type);
}

TEST_CASE("a source whose name is not UTF-8 is an error that names it, unless it is given another") {
  const Content content;
  content.site.file("default/odd/caf\xe9.txt");
  const Error error = error_of([&] { content.site.plan(R"([{"source": "odd"}])"); });
  CHECK(error.kind() == ErrorKind::source_name);
  CHECK_THAT(error.what(), Contains("not UTF-8") && Contains("default:odd/caf"));
}

TEST_CASE("a backslash or control character in a source's name is an error that names it") {
  const Content content;
  for (const std::string name : {"a\\b", "a\nb", "\x1b[31m"}) {
    content.site.file("default/odd/" + name);
    CHECK(error_of([&] { content.site.plan(R"([{"source": "odd"}])"); }).kind() == ErrorKind::source_name);
    fs::remove_all(content.site.dir / "default/odd");
  }
}

TEST_CASE("what would be both a file and a folder is an error") {
  const Content content;
  const Error error =
      error_of([&] { content.site.plan(R"([{"source": "cover.jpg", "name": "album"}, {"source": "album"}])"); });
  CHECK(error.kind() == ErrorKind::name_conflict);
}

TEST_CASE("duplicates are renamed and told, or an error where that was chosen") {
  Content content;
  const std::string json = R"([{"source": "cover.jpg"}, {"source": "media:cover.jpg"}])";
  const auto warnings = content.site.plan(json)->warnings();
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], Contains("'cover.jpg'") && Contains("'cover (1).jpg'"));
  content.site.options.on_duplicate = zip::OnDuplicate::fail;
  CHECK(error_of([&] { content.site.plan(json); }).kind() == ErrorKind::name_conflict);
}

TEST_CASE("names that trouble Windows are told, and replaced where that was chosen") {
  Content content;
  content.site.file("default/w/what?.txt");
  content.site.file("default/w/what*.txt");
  content.site.file("default/w/" + std::string(245, 'n'));
  const std::string json = R"([{"source": "w/"}])";
  CHECK(content.site.plan(json)->warnings().size() == 3);
  content.site.options.portable_names = true;
  CHECK(content.site.names(json) == Names{std::string(245, 'n'), "what_.txt", "what_ (1).txt"});
}

TEST_CASE("names are made portable before they are judged") {
  Content content;
  content.site.options.portable_names = true;
  for (const char* name : {"Q: what.txt", "AC\\DC.txt", "line\nbreak", "aux .txt"})
    content.site.file(fmt::format("default/w/{}", name));
  CHECK(content.site.names(R"([{"source": "w/"}, {"source": "w/Q: what.txt"}])") ==
        Names{"AC_DC.txt", "Q_ what.txt", "aux _.txt", "line_break", "Q_ what (1).txt"});
  content.site.file("default/odd/caf\xe9.txt");
  CHECK(error_of([&] { content.site.plan(R"([{"source": "odd"}])"); }).kind() == ErrorKind::source_name);
}

TEST_CASE("folders that are one after they were made portable are kept apart, with all that is in them") {
  Content content;
  content.site.options.portable_names = true;
  content.site.file("default/w/a?/x", "of ?");
  content.site.file("default/w/a*/x", "of *");
  content.site.file("default/w/a*/y", "of * too");
  const auto plan = content.site.plan(R"([{"source": "w/"}])");
  std::vector<std::string> found;
  for (std::size_t i = 0; i < plan->size(); ++i)
    found.push_back(fmt::format("{} < {}", plan->at(i).name, plan->source_name(i)));
  CHECK(found == Names{"a_/ < default:w/a*", "a_/x < default:w/a*/x", "a_/y < default:w/a*/y", "a_ (1)/ < default:w/a?",
                       "a_ (1)/x < default:w/a?/x"});
}

TEST_CASE("two sources of 255 bytes that become one name are both in the archive, under names that disks can hold") {
  Content content;
  const std::string name = std::string(251, 'n') + ".jpg";
  content.site.file("default/a/" + name);
  content.site.file("default/b/" + name);
  CHECK(content.site.names(R"([{"source": "a/"}, {"source": "b/"}])") ==
        Names{name, std::string(247, 'n') + " (1).jpg"});
  const Error error = error_of(
      [&] { content.site.plan(fmt::format(R"([{{"source": "cover.jpg", "name": "{}"}}])", std::string(256, 'n'))); });
  CHECK(error.kind() == ErrorKind::source_name);
  CHECK_THAT(error.what(), Contains("default:cover.jpg") && Contains("256 bytes; 255 is the most"));
}

TEST_CASE("warnings are a thousand at most, and all are counted") {
  const Content content;
  for (int i = 0; i < 1'100; ++i) content.site.file("default/w/" + std::to_string(i) + "?", "");
  const auto plan = content.site.plan(R"([{"source": "w"}])");
  CHECK(plan->warnings().size() == 1'000);
  CHECK(plan->warned() == 1'100);
}

TEST_CASE("the store is never a source") {
  TestSite site;
  Roots roots;
  roots.emplace("default", std::make_shared<storage::LocalRoot>("default", site.dir.path(), site.dir / "store"));
  for (const char* json :
       {R"([{"source": "store"}])", R"([{"source": "store/builds/"}])", R"([{"source": "default:"}])"}) {
    const Error error = error_of([&] { make_plan(parse_file_list(json), roots, site.options, {}); });
    CHECK(error.kind() == ErrorKind::source_outside);
  }
}

TEST_CASE("the excluded file is left out wherever it is met") {
  Content content;
  content.site.options.excluded = storage::LocalRoot::file_at(content.site.dir / "default/album/a.txt");
  REQUIRE(content.site.options.excluded);
  CHECK(content.site.names(R"([{"source": "album/"}, {"source": "album/a.txt"}])") ==
        Names{"b.txt", "sub/", "sub/c.txt", "void/"});
}

TEST_CASE("a stop ends the planning") {
  const Content content;
  std::stop_source stop;
  stop.request_stop();
  const auto list = parse_file_list(R"([{"source": "album"}])");
  CHECK(error_of([&] { make_plan(list, content.site.roots(), content.site.options, stop.get_token()); }).kind() ==
        ErrorKind::stopped);
}

}  // namespace
}  // namespace zipmodule::archive
