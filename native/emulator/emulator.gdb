# gdb commands, for x86-64, that show the other threads of the running block.
#   look 40   switches to the waiting thread 40 of the block: bt, frame, print work as usual
#   back      returns to the running thread; required before the program continues

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
  # the registers as tinybardSwitchStack() in fiber.cpp saved them
  set $thread = 'tinybard::cuda::emulator::block'->threads._M_impl._M_start + $arg0
  set $saved = (unsigned long*)$thread->stack
  set $r15 = $saved[0]
  set $r14 = $saved[1]
  set $r13 = $saved[2]
  set $r12 = $saved[3]
  set $rbx = $saved[4]
  set $rbp = $saved[5]
  set $rsp = (unsigned long)($saved + 7)
  set $rip = $saved[6]
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
