// Ends the process when a call waits for other ranks for too long: JavaScript cannot, since the
// call blocks its thread. Launchers then end the other ranks, or those have a watchdog too.
#pragma once

#include <string>

namespace tinybard::watchdog {

/** From now on, a Wait of more than `seconds` prints the message and ends the process with code 1.
 *  A second call changes both. */
void start(double seconds, const std::string& message);
/** Ends the watching. */
void stop();

/** Exists while a call waits for other ranks. There is one at a time. */
class Wait {
 public:
  Wait();
  ~Wait();
  Wait(const Wait&) = delete;
  Wait& operator=(const Wait&) = delete;
};

} // namespace tinybard::watchdog
