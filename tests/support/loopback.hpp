// Ports of this host, for servers that tests start.
#pragma once

namespace zipmodule::test {

unsigned free_port();
// Whether somebody listens there.
bool answers(unsigned port);

}  // namespace zipmodule::test
