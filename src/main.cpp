#include "cli/app.hpp"

int main(int argc, char** argv) { return zipmodule::cli::run_app(argc, argv); }
