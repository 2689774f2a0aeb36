#include "cli/app.hpp"

#include <array>
#include <csignal>
#include <exception>
#include <system_error>
#include <vector>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "cli/output.hpp"
#include "cli/verbs.hpp"

namespace zipmodule::cli {
namespace {

// In the order of the help text.
constexpr auto k_verbs = std::to_array<Verb (*)(const Globals&)>({
    run_verb,
    publish_verb,
    status_verb,
    explain_verb,
    retry_verb,
    cancel_verb,
    migrate_verb,
    prune_verb,
    check_config_verb,
    check_verb,
    store_verb,
    zip_verb,
    inspect_verb,
    bench_claim_verb,
});

int parse_and_run(int argc, char** argv) {
  Globals globals;
  std::vector<Verb> verbs;
  for (const auto verb : k_verbs) verbs.push_back(verb(globals));
  const auto action = parse_command_line(argc, argv, verbs, globals);
  const int exit_code = action();
  print("");  // whatever a verb left in stdout's buffer
  return exit_code;
}

}  // namespace

const char* version() noexcept { return ZIPMODULE_VERSION; }

int run_app(int argc, char** argv) {
  try {
    open_standard_descriptors();
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGXFSZ, SIG_IGN);  // the write that is over `ulimit -f` fails then, by name
    raise_descriptor_limit();
    return parse_and_run(argc, argv);
  } catch (const Error& error) {
    message(error.what(), error.hint());
    return traits_of(error.kind()).exit_code;
  } catch (const std::system_error& error) {
    // A reader that went away, as in `zipmodule status | head -1`.
    if (error.code() == std::errc::broken_pipe) return 0;
    message(error.what());
  } catch (const std::exception& error) {
    message(error.what());
  }
  return traits_of(ErrorKind::internal).exit_code;
}

}  // namespace zipmodule::cli
