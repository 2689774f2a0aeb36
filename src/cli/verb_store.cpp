#include <fmt/format.h>

#include <memory>
#include <string>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/signals.hpp"
#include "cli/format.hpp"
#include "cli/output.hpp"
#include "cli/verbs.hpp"
#include "config/config.hpp"
#include "run/store_control.hpp"

namespace zipmodule::cli {
namespace {

struct StoreArguments {
  std::string what = "show";
  std::string target;
  bool database = false;
};

int show(const Globals& globals, const config::Config& config) {
  const run::StoreView view = run::show_store(config);
  const auto& marker = view.state.marker;
  if (globals.json) {
    const auto or_null = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
    print_json(Json{{"root", config.archives.root.string()},
                    {"store", or_null(marker.store)},
                    {"database", or_null(marker.database)},
                    {"this_database", view.state.known.database},
                    {"usable", !view.refusal.has_value()},
                    {"problem", view.refusal ? Json(view.refusal->what()) : Json()},
                    {"hint", view.refusal ? Json(view.refusal->hint()) : Json()}});
  } else {
    print(fmt::format("{}: {}\n", printable(config.archives.root.string()),
                      marker.store.empty() ? "no store yet" : "store " + marker.store));
    if (!marker.database.empty()) print(fmt::format("  belongs to database {}\n", marker.database));
    print(fmt::format("  this is database    {}\n", view.state.known.database));
    if (view.refusal)
      print(fmt::format("  runs refuse it: {}\n  hint: {}\n", view.refusal->what(), view.refusal->hint()));
    else
      print("  runs use it\n");
  }
  return view.refusal ? traits_of(view.refusal->kind()).exit_code : 0;
}

int adopt(const config::Config& config, const std::string& target, const std::stop_token& stop) {
  if (!target.empty()) {
    run::adopt_target(config, target, stop);
    print(fmt::format("target {}: its place has a new marker; all current archives are delivered there again\n",
                      printable(target)));
    return 0;
  }
  const run::Adopted adopted = run::adopt_store(config, stop);
  print(fmt::format("{} is store {} of this database now\n", printable(config.archives.root.string()), adopted.store));
  if (adopted.learned > 0)
    print(fmt::format("  {} that the database did not know {} current now\n",
                      human_count(adopted.learned, "build", "builds"), adopted.learned == 1 ? "is" : "are"));
  if (adopted.unknown > 0)
    print(fmt::format("  {} to builds of archives that the database does not know: they stay; see zipmodule check\n",
                      human_count(adopted.unknown, "public name leads", "public names lead")));
  return 0;
}

int renew(const config::Config& config, bool database) {
  const std::string store = run::renew_store(config, database);
  print(fmt::format("{} is store {} now: what the database knew of it before is another store's\n",
                    printable(config.archives.root.string()), store));
  if (database) print("  the database has a new identity, too, and neither targets nor deliveries\n");
  return 0;
}

int store(const Globals& globals, const StoreArguments& arguments) {
  const auto config = config::load(globals.config_file);
  const SignalStop signals;
  log::configure(globals.verbosity);
  if (arguments.what == "show") return show(globals, config);
  if (arguments.what == "adopt") return adopt(config, arguments.target, signals.token());
  if (arguments.what == "renew") return renew(config, arguments.database);
  print(fmt::format("removed {}\n", human_count(run::sweep_store(config), "unknown build", "unknown builds")));
  return 0;
}

}  // namespace

Verb store_verb(const Globals& globals) {
  auto arguments = std::make_shared<StoreArguments>();
  return {
      .name = "store",
      .help = "Show or settle which archive store this is and which database it belongs to",
      .options =
          {
              {.name = "ACTION",
               .value = &arguments->what,
               .help = "show: what runs think of it. adopt: it belongs to this database from now on, and nothing that "
                       "was\nbuilt is lost. renew: it is a copy, and gets an identity of its own. sweep: remove all "
                       "builds that the\ndatabase does not know, but those that are public or young",
               .shown = "show|adopt|renew|sweep [show]",
               .one_of = {"show", "adopt", "renew", "sweep"}},
              {.name = "--target",
               .value = &arguments->target,
               .help = "With adopt: this target's place is the right one; everything is delivered there again",
               .shown = "NAME",
               .not_empty = true},
              {.name = "--database",
               .value = &arguments->database,
               .help = "With renew: the database gets a new identity as well, and forgets its targets and deliveries; "
                       "for a\nstaging host with a production's dump"},
          },
      .action = [&globals, arguments] { return store(globals, *arguments); },
  };
}

}  // namespace zipmodule::cli
