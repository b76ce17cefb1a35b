// The threads of a block take turns: whoever has to wait chooses, by chance, another that can go
// on. When none can, all have ended, or they wait for each other for ever, which is reported.

#include "block.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "check.h"
#include "report.h"

__thread uint3 threadIdx, blockIdx, blockDim, gridDim;

namespace tinybard::cuda::emulator {

__thread Block* block;
__thread bool isInside;
__thread const char* ownStack;

namespace {

constexpr unsigned char POISON = 0xe5; // of these bytes each float is no number, and each bf16
constexpr unsigned char RED = 0xc3;
constexpr size_t RED_ZONE = 64;
const Operation barrierOperation = {"__syncthreads", nullptr, true};

/** A bit of the mask, by chance. */
int anyOf(unsigned mask, Random& random) {
  const int turn = random.next() & 31;
  const unsigned turned = mask >> turn | mask << (-turn & 31);
  return (__builtin_ctz(turned) + turn) & 31;
}

} // namespace

Inside::Inside(const char* asked) {
  isInside = true;
  if (block) return;
  std::fprintf(stderr, "emulator: %s, but no kernel is running\n", asked);
  std::abort();
}

Block::Block() : random{0}, stacks(MOST_THREADS) {
  memory.reset(new char[ARENA + 128]);
  arena = memory.get() + (-(uintptr_t)memory.get() & 127);
}

// ---- turns

void Block::setReady(int i) {
  warps[i / LANES].ready |= 1u << i % LANES;
  readyWarps |= 1u << i / LANES;
}

void Block::setRunning(int i) {
  current = i;
  threadIdx = threads[i].index;
}

/** A thread that can go on, mostly of the same warp, for then its lanes soon meet; -1: none. */
int Block::choose() {
  if (readyWarps == 0) return -1;
  int w = current / LANES; // 0 at first
  if (warps[w].ready == 0 || current < 0 || random.oneIn(16)) w = anyOf(readyWarps, random);
  const int lane = anyOf(warps[w].ready, random);
  warps[w].ready &= ~(1u << lane);
  if (warps[w].ready == 0) readyWarps &= ~(1u << w);
  return w * LANES + lane;
}

/** Leaves the running thread, noting in *save from where, for one that can go on. */
void Block::goOn(void** save) {
  const int next = choose();
  if (next < 0) return tinybardSwitchStack(save, home);
  if (next == current) return;
  setRunning(next);
  Thread& thread = threads[next];
  if (thread.fiber < 0) {
    thread.fiber = spareFibers.back();
    spareFibers.pop_back();
    thread.stack = stacks.begin(thread.fiber, entry);
  }
  ownStack = stacks.at(thread.fiber);
  tinybardSwitchStack(save, thread.stack);
}

void Block::entry() { block->runThreads(block->threads[block->current].fiber); }

/** What a stack is for: the running thread, then others that have not begun. */
void Block::runThreads(int fiber) {
  for (;;) {
    threads[current].fiber = fiber;
    isInside = false;
    launch->body(launch->arguments.get());
    isInside = true;
    for (Copy& copy : threads[current].copies) land(copy);
    ended++;
    const int next = choose();
    if (next >= 0) setRunning(next);
    if (next >= 0 && threads[next].fiber < 0) continue;
    spareFibers.push_back(fiber);
    void* never;
    if (next >= 0) ownStack = stacks.at(threads[next].fiber);
    tinybardSwitchStack(&never, next < 0 ? home : threads[next].stack);
  }
}

void Block::giveUp() {
  isGivenUp = true;
  void* never;
  tinybardSwitchStack(&never, home);
  __builtin_unreachable();
}

// ---- a block from begin to end

void Block::begin() {
  const dim3 size = launch->block;
  count = (int)(size.x * size.y * size.z);
  ended = atBarrier = 0;
  isGivenUp = false;
  readyWarps = 0;
  spareFibers.resize(MOST_THREADS);
  for (int i = 0; i < MOST_THREADS; i++) spareFibers[i] = MOST_THREADS - 1 - i;
  for (Warp& warp : warps) {
    warp.ready = 0;
    for (auto& gathering : warp.open) warp.spare.push_back(std::move(gathering));
    warp.open.clear();
  }
  for (int i = 0; i < count; i++) {
    Thread& thread = threads[i];
    thread.index = {i % size.x, i / size.x % size.y, i / (size.x * size.y)};
    thread.fiber = -1;
    thread.waitsAt = nullptr;
    thread.copies.clear();
    thread.groups = 0;
    setReady(i);
  }
  static const Site dynamicSite = {"memory of DYNAMIC_SHARED", 0, 128};
  arrays.assign(1, {&dynamicSite, arena, launch->sharedBytes});
  used = launch->sharedBytes;
  inSites = 0;
  std::memset(arena, POISON, used);
  std::memset(arena + used, RED, RED_ZONE);
}

bool Block::run(const Launch& launched, uint3 index, uint64_t seed) {
  launch = &launched;
  random.state = seed;
  isInside = true;
  block = this;
  blockIdx = index;
  blockDim = {launch->block.x, launch->block.y, launch->block.z};
  gridDim = {launch->grid.x, launch->grid.y, launch->grid.z};
  begin();
  if (checking) check::beginBlock(count);
  current = -1;
  goOn(&home); // comes back when no thread can go on
  if (!isGivenUp && ended < count) reportStuck();
  if (!isGivenUp && ended == count) checkRedZones();
  block = nullptr;
  isInside = false;
  ownStack = nullptr;
  return !isGivenUp && ended == count;
}

// ---- shared memory

void* Block::shared(const Site& site) {
  for (const SharedArray& array : arrays) {
    if (array.site == &site) return array.begin;
  }
  // just behind a red zone, and no better aligned than is promised
  const size_t alignment = std::max(site.alignment, (size_t)16);
  const size_t begin = ((used + RED_ZONE + alignment) & ~(2 * alignment - 1)) + alignment;
  inSites += site.bytes;
  if (inSites > MOST_STATIC_SHARED) fail("its shared arrays take more than 48 KB");
  const size_t all = inSites + launch->sharedBytes;
  if (all > MOST_SHARED) fail("its shared memory takes more than 227 KB");
  if (all > MOST_STATIC_SHARED && launch->sharedBytes <= 32 * 1024) { // see launch(), device.cuh
    fail("its shared arrays, beside the memory of DYNAMIC_SHARED, take more than 48 KB");
  }
  std::memset(arena + used, RED, begin - used);
  std::memset(arena + begin, POISON, site.bytes);
  used = begin + site.bytes;
  std::memset(arena + used, RED, RED_ZONE);
  arrays.push_back({&site, arena + begin, site.bytes});
  return arena + begin;
}

const SharedArray* Block::arrayAt(const void* address) const {
  for (const SharedArray& array : arrays) {
    if ((size_t)((const char*)address - array.begin) < array.bytes) return &array;
  }
  return nullptr;
}

/** Whether a thread has written behind an array. */
void Block::checkRedZones() {
  for (size_t i = 0; i < arrays.size(); i++) {
    const char* const end = arrays[i].begin + arrays[i].bytes;
    const char* const next = i + 1 < arrays.size() ? arrays[i + 1].begin : end + RED_ZONE;
    for (const char* at = end; at < next; at++) {
      if ((unsigned char)*at == RED) continue;
      noteOf(-1, "out of bounds: a thread has written " + std::to_string(at - end) +
                     " bytes behind shared " + arrays[i].site->name);
      isGivenUp = true;
      return;
    }
  }
}

// ---- meetings

void Block::barrier(Here here) {
  Thread& thread = threads[current];
  thread.waitsAt = &barrierOperation;
  thread.here = here;
  thread.mask = 0;
  if (++atBarrier < count) return goOn(&thread.stack);
  for (int i = 0; i < count; i++) {
    if (threads[i].here.line == here.line) continue;
    fail("waits at another barrier (" + text(here) + ") than thread " + text(threads[i].index) +
         " (" + text(threads[i].here) + ")");
  }
  if (checking) check::barrier();
  atBarrier = 0;
  for (int i = 0; i < count; i++) {
    threads[i].waitsAt = nullptr;
    setReady(i);
  }
  goOn(&thread.stack);
}

void Block::gather(const Operation& operation, unsigned mask, void* offer, Here here) {
  Thread& thread = threads[current];
  const unsigned bit = 1u << current % LANES;
  if (!(mask & bit)) fail(std::string(operation.name) + " whose mask is without the lane itself");
  Warp& warp = warps[current / LANES];
  size_t i = 0;
  while (i < warp.open.size() && !(warp.open[i]->operation == &operation &&
                                   warp.open[i]->mask == mask &&
                                   (!operation.isOneLine || warp.open[i]->here.line == here.line)))
    i++;
  if (i == warp.open.size()) {
    if (warp.spare.empty()) warp.spare.push_back(std::make_unique<Gathering>());
    warp.open.push_back(std::move(warp.spare.back()));
    warp.spare.pop_back();
    warp.open[i]->operation = &operation;
    warp.open[i]->mask = mask;
    warp.open[i]->arrived = 0;
    warp.open[i]->here = here;
  }
  Gathering& gathering = *warp.open[i];
  gathering.offers[current % LANES] = offer;
  gathering.arrived |= bit;
  if (gathering.arrived != mask) {
    thread.waitsAt = &operation;
    thread.here = here;
    thread.mask = mask;
    return goOn(&thread.stack);
  }
  if (operation.forAll) operation.forAll(gathering.offers, mask);
  const int first = current / LANES * LANES;
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    threads[first + __builtin_ctz(rest)].waitsAt = nullptr;
  }
  warp.ready |= mask & ~bit;
  if (warp.ready != 0) readyWarps |= 1u << current / LANES;
  warp.spare.push_back(std::move(warp.open[i]));
  warp.open.erase(warp.open.begin() + i);
}

/** No thread can go on, but not all have ended: says who waits, and for whom. */
void Block::reportStuck() {
  isGivenUp = true;
  int waiting = -1, missing = -1;
  for (int i = 0; i < count && missing < 0; i++) {
    const Thread& thread = threads[i];
    if (!thread.waitsAt) continue;
    const bool atBarrier = thread.waitsAt == &barrierOperation;
    waiting = i;
    for (int j = atBarrier ? 0 : i / LANES * LANES; j < count && missing < 0; j++) {
      if (!atBarrier && (j / LANES != i / LANES || !(thread.mask >> j % LANES & 1))) continue;
      if (threads[j].waitsAt != thread.waitsAt || threads[j].mask != thread.mask ||
          threads[j].here.line != thread.here.line) missing = j;
    }
    if (atBarrier && missing < 0) missing = 0;
  }
  const Thread& thread = threads[waiting];
  std::string what = "waits at " + text(thread.here) + " for ever: ";
  if (thread.waitsAt == &barrierOperation) {
    what += "a barrier that not all threads reach";
  } else {
    char mask[16];
    std::snprintf(mask, sizeof mask, "%08x", thread.mask);
    what += std::string(thread.waitsAt->name) + " that not all lanes of mask " + mask + " reach";
  }
  if (missing >= 0) {
    const Thread& other = threads[missing];
    what += "; thread " + text(other.index);
    if (!other.waitsAt) what += " has ended";
    else what += std::string(" waits at ") + other.waitsAt->name + ", " + text(other.here);
  } else {
    what += "; the block has no such lanes";
  }
  noteOf(waiting, what);
}

// ---- copies on their way

void Block::land(Copy& copy) {
  if (copy.isDone) return;
  copy.isDone = true;
  std::memcpy(copy.to, copy.from, (size_t)copy.valid);
  std::memset((char*)copy.to + copy.valid, 0, (size_t)(16 - copy.valid));
}

void Block::copy(void* to, const void* from, int valid, const void* code) {
  if ((uintptr_t)to % 16 != 0 || (uintptr_t)from % 16 != 0) {
    fail("copyAsync: an address is no multiple of 16");
  }
  if (valid < 0 || valid > 16) fail("copyAsync of " + std::to_string(valid) + " bytes");
  if (!isShared(to, 16)) fail("copyAsync to memory that is not shared");
  if (checking) {
    check::accessOf(current, check::How::read, from, (size_t)valid, code);
    check::accessOf(current, check::How::fill, to, 16, code);
  }
  Thread& thread = threads[current];
  thread.copies.push_back({to, from, valid, thread.groups, false});
  if (random.oneIn(2)) land(thread.copies.back());
  else std::memset(to, POISON, 16);
}

void Block::commit() {
  Thread& thread = threads[current];
  thread.groups++;
  for (Copy& copy : thread.copies) {
    if (random.oneIn(2)) land(copy);
  }
}

void Block::waitForGroups(int pending) {
  Thread& thread = threads[current];
  size_t done = 0;
  for (; done < thread.copies.size(); done++) {
    Copy& copy = thread.copies[done];
    if (copy.group >= thread.groups - pending) break;
    land(copy);
    if (checking) check::landed(copy.to);
  }
  thread.copies.erase(thread.copies.begin(), thread.copies.begin() + done);
}

} // namespace tinybard::cuda::emulator
