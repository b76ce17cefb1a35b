# For gdb, on x86-64: the threads of the block that is running, beside the one that gdb shows.
#   look 40   goes to where thread 40 of the block waits: bt, frame, print work as usual
#   back      returns to the running thread; needed before the program goes on

set $isLooking = 0

define look
  frame 0
  if !$isLooking
    set $isLooking = 1
    set $running_rsp = $rsp
    set $running_rip = $rip
    set $running_rbp = $rbp
    set $running_rbx = $rbx
    set $running_r12 = $r12
    set $running_r13 = $r13
    set $running_r14 = $r14
    set $running_r15 = $r15
  end
  # as tinybardSwitchStack() of fiber.cpp left them
  set $thread = 'tinybard::cuda::emulator::block'->threads._M_impl._M_start + $arg0
  set $left = (unsigned long*)$thread->stack
  set $r15 = $left[0]
  set $r14 = $left[1]
  set $r13 = $left[2]
  set $r12 = $left[3]
  set $rbx = $left[4]
  set $rbp = $left[5]
  set $rsp = (unsigned long)($left + 7)
  set $rip = $left[6]
  bt -frame-arguments none 3
end

define back
  frame 0
  set $r15 = $running_r15
  set $r14 = $running_r14
  set $r13 = $running_r13
  set $r12 = $running_r12
  set $rbx = $running_rbx
  set $rbp = $running_rbp
  set $rip = $running_rip
  set $rsp = $running_rsp
  set $isLooking = 0
  frame 0
end
