// The scheduler of a block's threads: a thread that must wait switches to a randomly chosen ready
// one. If none is ready, then either all have finished or there is a deadlock, which is reported.

#include "block.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "../cuda/device.cuh"
#include "check.h"
#include "report.h"

__thread uint3 threadIdx, blockIdx, blockDim, gridDim;

namespace tinybard::cuda::emulator {

__thread Block* block;
__thread bool isInEmulator;
__thread const char* currentStack;

namespace {

constexpr unsigned char POISON = 0xe5; // as float or bf16 about -1.4e23
constexpr unsigned char RED = 0xc3;    // the content of red zones
constexpr size_t RED_ZONE = 64;
const WarpOperation barrierOperation = {"__syncthreads", nullptr, true};

/** Returns the index of a randomly chosen set bit of the mask. */
int randomBit(unsigned mask, Random& random) {
  const int shift = random.next() & 31;
  const unsigned rotated = mask >> shift | mask << (-shift & 31);
  return (__builtin_ctz(rotated) + shift) & 31;
}

} // namespace

EmulatorScope::EmulatorScope(const char* operation) {
  isInEmulator = true;
  if (block) return;
  std::fprintf(stderr, "emulator: %s outside of a kernel\n", operation);
  std::abort();
}

Block::Block() : random{0}, stacks(MAX_THREADS) {
  memory.reset(new char[ARENA_SIZE + 128]);
  arena = memory.get() + (-(uintptr_t)memory.get() & 127);
}

// ---- scheduling

void Block::markReady(int i) {
  warps[i / LANES].ready |= 1u << i % LANES;
  readyWarps |= 1u << i / LANES;
}

void Block::setCurrent(int i) {
  current = i;
  threadIdx = threads[i].index;
}

/** Returns a ready thread, mostly of the same warp so that its lanes soon meet; -1 if none is. */
int Block::chooseThread() {
  if (readyWarps == 0) return -1;
  int w = current / LANES; // 0 initially
  if (warps[w].ready == 0 || current < 0 || random.oneIn(16)) w = randomBit(readyWarps, random);
  const int lane = randomBit(warps[w].ready, random);
  warps[w].ready &= ~(1u << lane);
  if (warps[w].ready == 0) readyWarps &= ~(1u << w);
  return w * LANES + lane;
}

/** Switches to a ready thread, saving in *save where to continue this one. */
void Block::switchThread(void** save) {
  const int next = chooseThread();
  if (next < 0) return tinybardSwitchStack(save, scheduler);
  if (next == current) return;
  setCurrent(next);
  Thread& thread = threads[next];
  if (thread.fiber < 0) {
    thread.fiber = freeFibers.back();
    freeFibers.pop_back();
    thread.stack = stacks.prepare(thread.fiber, entry);
  }
  currentStack = stacks.start(thread.fiber);
  tinybardSwitchStack(save, thread.stack);
}

void Block::entry() { block->runThreads(block->threads[block->current].fiber); }

/** The main function of a stack: runs the current thread, then others that have not started. */
void Block::runThreads(int fiber) {
  for (;;) {
    threads[current].fiber = fiber;
    isInEmulator = false;
    launch->body(launch->arguments.get());
    isInEmulator = true;
    for (AsyncCopy& copy : threads[current].copies) complete(copy);
    finished++;
    const int next = chooseThread();
    if (next >= 0) setCurrent(next);
    if (next >= 0 && threads[next].fiber < 0) continue;
    freeFibers.push_back(fiber);
    void* never;
    if (next >= 0) currentStack = stacks.start(threads[next].fiber);
    tinybardSwitchStack(&never, next < 0 ? scheduler : threads[next].stack);
  }
}

void Block::abandon() {
  isAbandoned = true;
  void* never;
  tinybardSwitchStack(&never, scheduler);
  __builtin_unreachable();
}

// ---- the life of a block

void Block::initialize() {
  const dim3 size = launch->block;
  count = (int)(size.x * size.y * size.z);
  finished = 0;
  atBarrier = 0;
  isAbandoned = false;
  readyWarps = 0;
  freeFibers.resize(MAX_THREADS);
  for (int i = 0; i < MAX_THREADS; i++) freeFibers[i] = MAX_THREADS - 1 - i;
  for (Warp& warp : warps) {
    warp.ready = 0;
    for (auto& operation : warp.pending) warp.unused.push_back(std::move(operation));
    warp.pending.clear();
  }
  for (int i = 0; i < count; i++) {
    Thread& thread = threads[i];
    thread.index = {i % size.x, i / size.x % size.y, i / (size.x * size.y)};
    thread.fiber = -1;
    thread.waitingFor = nullptr;
    thread.copies.clear();
    thread.committedGroups = 0;
    markReady(i);
  }
  static const SharedDeclaration dynamicMemory = {"DYNAMIC_SHARED memory", 0, 128};
  arrays.assign(1, {&dynamicMemory, arena, launch->sharedBytes});
  used = launch->sharedBytes;
  staticBytes = 0;
  std::memset(arena, POISON, used);
  std::memset(arena + used, RED, RED_ZONE);
}

bool Block::run(const Launch& toRun, uint3 index, uint64_t seed) {
  launch = &toRun;
  random.state = seed;
  isInEmulator = true;
  block = this;
  blockIdx = index;
  blockDim = {launch->block.x, launch->block.y, launch->block.z};
  gridDim = {launch->grid.x, launch->grid.y, launch->grid.z};
  initialize();
  if (checking) check::beginBlock(count);
  current = -1;
  switchThread(&scheduler); // returns when no thread is ready
  if (!isAbandoned && finished < count) reportDeadlock();
  if (!isAbandoned && finished == count) checkRedZones();
  block = nullptr;
  isInEmulator = false;
  currentStack = nullptr;
  return !isAbandoned && finished == count;
}

// ---- shared memory

void* Block::sharedArray(const SharedDeclaration& declaration) {
  for (const SharedArray& array : arrays) {
    if (array.declaration == &declaration) return array.begin;
  }
  // after a red zone, and aligned no better than promised
  const size_t alignment = std::max(declaration.alignment, (size_t)16);
  const size_t begin = ((used + RED_ZONE + alignment) & ~(2 * alignment - 1)) + alignment;
  staticBytes += declaration.bytes;
  if (staticBytes > MAX_STATIC_SHARED) fail("its shared arrays exceed 48 KB");
  const size_t total = staticBytes + launch->sharedBytes;
  if (total > maxSharedBytes())
    fail("its shared memory exceeds " + std::to_string(maxSharedBytes() / 1024) + " KB");
  if (total > MAX_STATIC_SHARED && launch->sharedBytes <= 32 * 1024) { // see launch(), device.cuh
    fail("its shared arrays and DYNAMIC_SHARED memory together exceed 48 KB");
  }
  std::memset(arena + used, RED, begin - used);
  std::memset(arena + begin, POISON, declaration.bytes);
  used = begin + declaration.bytes;
  std::memset(arena + used, RED, RED_ZONE);
  arrays.push_back({&declaration, arena + begin, declaration.bytes});
  return arena + begin;
}

const SharedArray* Block::findArray(const void* address) const {
  for (const SharedArray& array : arrays) {
    if ((size_t)((const char*)address - array.begin) < array.bytes) return &array;
  }
  return nullptr;
}

/** Reports a write past the end of an array. */
void Block::checkRedZones() {
  for (size_t i = 0; i < arrays.size(); i++) {
    const char* const end = arrays[i].begin + arrays[i].bytes;
    const char* const next = i + 1 < arrays.size() ? arrays[i + 1].begin : end + RED_ZONE;
    for (const char* at = end; at < next; at++) {
      if ((unsigned char)*at == RED) continue;
      reportThread(-1, "out of bounds: a thread has written " + std::to_string(at - end) +
                             " bytes past the end of shared " + arrays[i].name());
      isAbandoned = true;
      return;
    }
  }
}

// ---- barriers and warp operations

void Block::barrier(SourceLine line) {
  Thread& thread = threads[current];
  thread.waitingFor = &barrierOperation;
  thread.line = line;
  thread.mask = 0;
  if (++atBarrier < count) return switchThread(&thread.stack);
  for (int i = 0; i < count; i++) {
    if (threads[i].line.number == line.number) continue;
    fail("waits at a different barrier (" + toString(line) + ") than thread " +
         toString(threads[i].index) + " (" + toString(threads[i].line) + ")");
  }
  if (checking) check::barrier();
  atBarrier = 0;
  for (int i = 0; i < count; i++) {
    threads[i].waitingFor = nullptr;
    markReady(i);
  }
  switchThread(&thread.stack);
}

void Block::warpOperation(const WarpOperation& operation, unsigned mask, void* operand,
                          SourceLine line) {
  Thread& thread = threads[current];
  const unsigned bit = 1u << current % LANES;
  if (!(mask & bit)) {
    fail(std::string(operation.name) + " with a mask that does not include the calling lane");
  }
  Warp& warp = warps[current / LANES];
  const auto matches = [&](const PendingOperation& pending) {
    return pending.operation == &operation && pending.mask == mask &&
           (!operation.requiresSameLine || pending.line.number == line.number);
  };
  size_t i = 0;
  while (i < warp.pending.size() && !matches(*warp.pending[i])) i++;
  if (i == warp.pending.size()) {
    if (warp.unused.empty()) warp.unused.push_back(std::make_unique<PendingOperation>());
    warp.pending.push_back(std::move(warp.unused.back()));
    warp.unused.pop_back();
    warp.pending[i]->operation = &operation;
    warp.pending[i]->mask = mask;
    warp.pending[i]->arrived = 0;
    warp.pending[i]->line = line;
  }
  PendingOperation& pending = *warp.pending[i];
  pending.operands[current % LANES] = operand;
  pending.arrived |= bit;
  if (pending.arrived != mask) {
    thread.waitingFor = &operation;
    thread.line = line;
    thread.mask = mask;
    return switchThread(&thread.stack);
  }
  if (operation.execute) operation.execute(pending.operands, mask);
  const int first = current / LANES * LANES;
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    threads[first + __builtin_ctz(rest)].waitingFor = nullptr;
  }
  warp.ready |= mask & ~bit;
  if (warp.ready != 0) readyWarps |= 1u << current / LANES;
  warp.unused.push_back(std::move(warp.pending[i]));
  warp.pending.erase(warp.pending.begin() + i);
}

/** No thread is ready, but not all have finished: reports a waiting thread and a missing one. */
void Block::reportDeadlock() {
  isAbandoned = true;
  int waiting = -1;
  int missing = -1;
  for (int i = 0; i < count && missing < 0; i++) {
    const Thread& thread = threads[i];
    if (!thread.waitingFor) continue;
    const bool isAtBarrier = thread.waitingFor == &barrierOperation;
    waiting = i;
    for (int j = isAtBarrier ? 0 : i / LANES * LANES; j < count && missing < 0; j++) {
      const bool isSameWarp = j / LANES == i / LANES;
      const bool isExpected = isAtBarrier || (isSameWarp && thread.mask >> j % LANES & 1);
      if (!isExpected) continue;
      const bool isElsewhere = threads[j].waitingFor != thread.waitingFor ||
                               threads[j].mask != thread.mask ||
                               threads[j].line.number != thread.line.number;
      if (isElsewhere) missing = j;
    }
    if (isAtBarrier && missing < 0) missing = 0;
  }
  const Thread& thread = threads[waiting];
  std::string what = "deadlock: waits at " + toString(thread.line) + " for ";
  if (thread.waitingFor == &barrierOperation) {
    what += "a barrier that not all threads reach";
  } else {
    char mask[16];
    std::snprintf(mask, sizeof mask, "%08x", thread.mask);
    what += std::string(thread.waitingFor->name) + " that not all lanes of mask " + mask + " reach";
  }
  if (missing >= 0) {
    const Thread& other = threads[missing];
    what += "; thread " + toString(other.index);
    if (!other.waitingFor) what += " has finished";
    else what += std::string(" waits at ") + other.waitingFor->name + ", " + toString(other.line);
  } else {
    what += "; the block has no such lanes";
  }
  reportThread(waiting, what);
}

// ---- asynchronous copies: each completes at a random time between its start and the wait for it

void Block::complete(AsyncCopy& copy) {
  if (copy.isDone) return;
  copy.isDone = true;
  std::memcpy(copy.to, copy.from, (size_t)copy.validBytes);
  std::memset((char*)copy.to + copy.validBytes, 0, (size_t)(16 - copy.validBytes));
}

void Block::copyAsync(void* to, const void* from, int validBytes, const void* code) {
  if ((uintptr_t)to % 16 != 0 || (uintptr_t)from % 16 != 0) {
    fail("copyAsync: an address is not a multiple of 16");
  }
  if (validBytes < 0 || validBytes > 16) {
    fail("copyAsync of " + std::to_string(validBytes) + " bytes");
  }
  if (!isShared(to, 16)) fail("copyAsync to memory that is not shared");
  if (checking) {
    check::accessBy(current, check::AccessKind::read, from, (size_t)validBytes, code);
    check::accessBy(current, check::AccessKind::asyncWrite, to, 16, code);
  }
  Thread& thread = threads[current];
  thread.copies.push_back({to, from, validBytes, thread.committedGroups, false});
  if (random.oneIn(2)) complete(thread.copies.back());
  else std::memset(to, POISON, 16);
}

void Block::commitCopies() {
  Thread& thread = threads[current];
  thread.committedGroups++;
  for (AsyncCopy& copy : thread.copies) {
    if (random.oneIn(2)) complete(copy);
  }
}

void Block::waitForGroups(int pending) {
  Thread& thread = threads[current];
  size_t done = 0;
  for (; done < thread.copies.size(); done++) {
    AsyncCopy& copy = thread.copies[done];
    if (copy.group >= thread.committedGroups - pending) break;
    complete(copy);
    if (checking) check::copyCompleted(copy.to);
  }
  thread.copies.erase(thread.copies.begin(), thread.copies.begin() + done);
}

} // namespace tinybard::cuda::emulator
