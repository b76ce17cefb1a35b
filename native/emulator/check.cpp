// The checks of accesses. Shadow cells record the last write to each location of shared and device
// memory and the reads since then; a new access is compared with them (happens_before.h).

#include "check.h"

#include <link.h>
#include <sys/mman.h>

#include <vector>

#include "../kernel.h"
#include "block.h"
#include "happens_before.h"
#include "report.h"

namespace tinybard::cuda::emulator {

bool checking = false;

namespace check {
namespace {

/** The accesses to a location: a byte of shared memory, or two bytes of device memory. */
struct ShadowCell {
  Access write;
  Access reads[2]; // of several, two from different blocks or warps if there are such
};

struct Buffer {
  const char* begin;
  const char* end;
  const char* limit; // the end of the part that may be accessed
};

constexpr size_t UNIT = 256; // the alignment of buffers

struct State {
  HappensBefore order;
  std::vector<ShadowCell> shared = std::vector<ShadowCell>(ARENA_SIZE);
  char* base = nullptr; // device memory
  size_t bytes = 0;
  ShadowCell* cells = nullptr; // of device memory, one for two bytes
  uint32_t* units = nullptr;   // the index of the buffer that contains each UNIT, or 0
  std::vector<Buffer> buffers = {{}};
  std::vector<uint32_t> unusedIndices; // in buffers
  const char* imageBegin = nullptr;    // this program or library
  const char* imageEnd = nullptr;
};

/** For dl_iterate_phdr: finds the loaded image that contains this function. */
int findImage(dl_phdr_info* info, size_t, void* state) {
  const char* begin = nullptr;
  const char* end = nullptr;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr)& segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD) continue;
    const char* const at = reinterpret_cast<const char*>(info->dlpi_addr + segment.p_vaddr);
    if (!begin) begin = at;
    end = at + segment.p_memsz;
  }
  const char* const self = reinterpret_cast<const char*>(&findImage);
  if (self < begin || self >= end) return 0;
  static_cast<State*>(state)->imageBegin = begin;
  static_cast<State*>(state)->imageEnd = end;
  return 1;
}

State& state() {
  static State& instance = *[] {
    State* const created = new State;
    dl_iterate_phdr(findImage, created);
    return created;
  }();
  return instance;
}

/** Reserves zeroed memory whose pages are allocated on first use; null if impossible. */
template <class T>
T* reserveZeros(size_t count) {
  void* const memory = mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<T*>(memory);
}

/** Sets the buffer index of the units of a buffer. */
void setUnits(const Buffer& buffer, uint32_t index) {
  const size_t first = (size_t)(buffer.begin - state().base) / UNIT;
  const size_t count = ((size_t)(buffer.end - buffer.begin) + UNIT - 1) / UNIT;
  for (size_t i = 0; i < count; i++) state().units[first + i] = index;
}

bool isDeviceMemory(const void* at) {
  return (size_t)((const char*)at - state().base) < state().bytes;
}

// ---- reports

/** The access that is being checked. */
struct CheckedAccess {
  int thread;
  AccessKind kind;
  const char* at;
  size_t bytes;
  const void* code;

  bool isRead() const { return kind == AccessKind::read; }
  std::string verb() const { return isRead() ? "reads" : "writes"; }
  [[noreturn]] void fail(const std::string& error, const std::string& rest) const {
    failThread(thread, error + " at " + sourceLine(code) + ": it " + verb() + " " + rest);
  }
};

/** Describes an address: "shared tile", or "byte 4 of a buffer of 400". */
std::string describe(const char* at) {
  if (const SharedArray* array = block->findArray(at)) return "shared " + array->name();
  const Buffer& buffer = state().buffers[state().units[(size_t)(at - state().base) / UNIT]];
  return "byte " + std::to_string(at - buffer.begin) + " of a buffer of " +
         std::to_string(buffer.limit - buffer.begin);
}

std::string accessLine(const Access& access) {
  return sourceLine(state().imageBegin + access.code);
}

[[noreturn]] void reportRace(const CheckedAccess& access, const char* at, const Access& other,
                             const char* did) {
  access.fail("race", describe(at) + ", " + did + " by " + state().order.nameOf(other) + " at " +
                         accessLine(other) + ", with no barrier in between");
}

[[noreturn]] void reportOutside(const CheckedAccess& access, const char* begin, size_t bytes,
                                const std::string& of) {
  const int64_t offset = access.at - begin;
  std::string where = std::to_string(access.bytes) + " bytes, ";
  if (offset < 0) where += std::to_string(-offset) + " before the start of ";
  if (offset >= (int64_t)bytes) where += std::to_string(offset - bytes) + " past the end of ";
  if (offset >= 0 && offset < (int64_t)bytes) where += "partly inside ";
  access.fail("out of bounds", where + of + " of " + std::to_string(bytes));
}

[[noreturn]] void reportOutsideShared(const CheckedAccess& access) {
  const SharedArray* nearest = nullptr;
  for (int64_t step = 0; !nearest && step < (int64_t)ARENA_SIZE; step++) {
    nearest = block->findArray(access.at - step);
    if (!nearest) nearest = block->findArray(access.at + step);
  }
  if (!nearest) access.fail("out of bounds", "shared memory, but the block has none");
  reportOutside(access, nearest->begin, nearest->bytes, "shared " + nearest->name());
}

[[noreturn]] void reportOutsideBuffers(const CheckedAccess& access) {
  const State& all = state();
  const int64_t unit = (access.at - all.base) / (int64_t)UNIT, count = (int64_t)(all.bytes / UNIT);
  for (int64_t step = 0; step < 1 << 16; step++) {
    for (const int64_t at : {unit - step, unit + step}) {
      if (at < 0 || at >= count || all.units[at] == 0) continue;
      const Buffer& buffer = all.buffers[all.units[at]];
      reportOutside(access, buffer.begin, (size_t)(buffer.limit - buffer.begin), "a buffer");
    }
  }
  access.fail("out of bounds", "device memory outside of all buffers");
}

// ---- shadow cells

/** Records a read in place of one that it makes redundant, if there is one. */
void recordRead(Access (&reads)[2], const Access& current, int thread) {
  const HappensBefore& order = state().order;
  for (Access& read : reads) {
    const bool isSameThread = read.block == current.block && read.thread == current.thread;
    if (isSameThread || order.isBefore(read, thread)) {
      read = current;
      return;
    }
  }
  const bool areSameBlock = reads[0].block == reads[1].block;
  const bool areSameWarp = areSameBlock && reads[0].thread / LANES == reads[1].thread / LANES;
  if (areSameWarp || (areSameBlock && reads[0].block != current.block)) reads[1] = current;
}

/** Checks an access against a cell, which is for address `at`, and records it there. */
void checkCell(ShadowCell& cell, const CheckedAccess& access, const char* at, const Access& current,
               bool isShared) {
  const HappensBefore& order = state().order;
  if (isShared && cell.reads[0].block != current.block) cell.reads[0] = {};
  if (isShared && cell.reads[1].block != current.block) cell.reads[1] = {};
  const Access write = isShared && cell.write.block != current.block ? Access{} : cell.write;
  if (isShared && write.block == 0 && (access.isRead() || current.isAtomic)) {
    access.fail("uninitialized", describe(at) + ", which no thread has written");
  }
  if (write.isAsync && write.block == current.block) {
    access.fail("copy in flight", describe(at) + ", which copyAsync of " + order.nameOf(write) +
                                     " at " + accessLine(write) + " is still writing");
  }
  if (!(current.isAtomic && write.isAtomic) && !order.isBefore(write, access.thread)) {
    reportRace(access, at, write, "written");
  }
  if (access.isRead()) return recordRead(cell.reads, current, access.thread);
  for (const Access& read : cell.reads) {
    if (!order.isBefore(read, access.thread)) reportRace(access, at, read, "read");
  }
  cell = {current, {}};
}

} // namespace

// ---- accesses

void accessBy(int thread, AccessKind kind, const void* address, size_t bytes, const void* code) {
  if (bytes == 0) return;
  State& all = state();
  const CheckedAccess access = {thread, kind, static_cast<const char*>(address), bytes, code};
  const char* const at = access.at;
  const int stack = block->stacks.indexOf(at);
  if (stack >= 0) {
    if (stack != block->thread(thread).fiber) {
      access.fail("another stack", "a local variable of another thread");
    }
    return;
  }
  const Access current = {all.order.block(), (uint32_t)thread, all.order.time(thread),
                       kind == AccessKind::atomic, kind == AccessKind::asyncWrite,
                       (uint32_t)((const char*)code - all.imageBegin)};
  const int64_t offset = block->arenaOffset(at);
  if (offset >= 0) {
    const SharedArray* const array = block->findArray(at);
    if (!array || at + bytes > array->begin + array->bytes) reportOutsideShared(access);
    for (size_t i = 0; i < bytes; i++) {
      checkCell(all.shared[offset + i], access, at + i, current, true);
    }
  } else if (isDeviceMemory(at)) {
    const size_t begin = (size_t)(at - all.base);
    const Buffer& buffer = all.buffers[all.units[begin / UNIT]];
    if (at < buffer.begin || at + bytes > buffer.limit) reportOutsideBuffers(access);
    if (kind == AccessKind::atomic) all.order.atomic(thread, at);
    if (kind == AccessKind::write) all.order.write(thread);
    for (size_t i = begin / 2; i <= (begin + bytes - 1) / 2; i++) {
      checkCell(all.cells[i], access, all.base + 2 * i, current, false);
    }
  } else {
    const char* const arguments = static_cast<const char*>(block->currentLaunch().arguments.get());
    const bool isArgument = (size_t)(at - arguments) < block->currentLaunch().argumentBytes;
    const bool isConstant = at >= all.imageBegin && at < all.imageEnd;
    // the thread and block indices are in thread-local storage
    const bool isIndex = std::abs(at - reinterpret_cast<const char*>(&threadIdx)) < 4096;
    if (!access.isRead() || !(isArgument || isConstant || isIndex)) {
      access.fail("not device memory", "host memory");
    }
  }
}

void access(AccessKind kind, const void* at, size_t bytes, const void* code) {
  if ((size_t)((const char*)at - currentStack) < Stacks::STRIDE || isInEmulator) return;
  if (block) {
    const EmulatorScope scope("an access");
    accessBy(block->runningThread(), kind, at, bytes, code);
  } else if (isDeviceMemory(at)) {
    const std::string what = "host code at " + sourceLine(code) + " accesses device memory";
    clearFailure(); // of an earlier launch
    report(what);
    kernelError("%s", what.c_str());
  }
}

void copyCompleted(const void* to) {
  State& all = state();
  const int64_t offset = block->arenaOffset(to);
  const int thread = block->runningThread();
  for (int i = 0; i < 16; i++) {
    Access& write = all.shared[offset + i].write;
    write.isAsync = 0;
    write.time = all.order.time(thread);
  }
}

// ---- changes of memory, and progress of a launch

bool setMemory(char* base, size_t bytes) {
  State& all = state();
  all.cells = reserveZeros<ShadowCell>(bytes / 2);
  all.units = reserveZeros<uint32_t>(bytes / UNIT);
  if (!all.cells && all.units) munmap(all.units, bytes / UNIT * sizeof(uint32_t));
  if (all.cells && !all.units) munmap(all.cells, bytes / 2 * sizeof(ShadowCell));
  if (!all.cells || !all.units) return false;
  all.base = base;
  all.bytes = bytes;
  return true;
}

void addBuffer(const void* begin, size_t bytes) {
  State& all = state();
  if (all.unusedIndices.empty()) {
    all.unusedIndices.push_back((uint32_t)all.buffers.size());
    all.buffers.emplace_back();
  }
  const uint32_t index = all.unusedIndices.back();
  all.unusedIndices.pop_back();
  const char* const first = static_cast<const char*>(begin);
  all.buffers[index] = {first, first + bytes, first + bytes};
  setUnits(all.buffers[index], index);
}

void limitBuffer(const void* begin, size_t bytes) {
  State& all = state();
  Buffer& buffer = all.buffers[all.units[(size_t)((const char*)begin - all.base) / UNIT]];
  buffer.limit = buffer.begin + bytes;
}

void removeBuffer(const void* begin) {
  State& all = state();
  const size_t offset = (size_t)((const char*)begin - all.base);
  const uint32_t index = all.units[offset / UNIT];
  const Buffer buffer = all.buffers[index];
  all.buffers[index] = {};
  all.unusedIndices.push_back(index);
  setUnits(buffer, 0);
  const size_t pages = ((size_t)(buffer.end - buffer.begin) + 4095) / 4096 * 4096;
  madvise(all.cells + offset / 2, pages / 2 * sizeof(ShadowCell), MADV_DONTNEED);
}

void beginLaunch() { state().order.beginLaunch(); }
void beginBlock(int threads) { state().order.beginBlock(blockIdx, threads); }
void barrier() { state().order.barrier(); }
void syncWarp(int warp, unsigned mask) { state().order.syncWarp(warp, mask); }
void fence() { state().order.fence(block->runningThread()); }

} // namespace check
} // namespace tinybard::cuda::emulator
