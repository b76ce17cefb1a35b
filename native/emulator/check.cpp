// The checks of accesses. Beside shared memory, and beside the device's memory, lies for each place
// who wrote it last and who read it since; a new access is compared with them (order.h).

#include "check.h"

#include <link.h>
#include <sys/mman.h>

#include <vector>

#include "../call.h"
#include "block.h"
#include "order.h"
#include "report.h"

namespace tinybard::cuda::emulator {

bool checking = false;

namespace check {
namespace {

/** What is remembered of a place: of a byte of shared memory, of two bytes of a buffer. */
struct Cell {
  Access write;
  Access reads[2]; // if there are more, then of different warps, or blocks, where there are such
};

struct Buffer {
  const char *begin, *end;
  const char* limit; // only so far it may be touched
};

constexpr size_t UNIT = 256; // buffers begin at multiples of it

struct State {
  Order order;
  std::vector<Cell> shared = std::vector<Cell>(ARENA);
  char* base = nullptr; // of the device's memory
  size_t bytes = 0;
  Cell* cells = nullptr;     // of its pairs of bytes
  uint32_t* units = nullptr; // of each UNIT: which buffer it is of; 0: none
  std::vector<Buffer> buffers = {{}};
  std::vector<uint32_t> unused; // numbers of buffers
  const char *imageBegin = nullptr, *imageEnd = nullptr; // of this program, or library
};

int findImage(dl_phdr_info* info, size_t, void* state) {
  const char *begin = nullptr, *end = nullptr;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr)& part = info->dlpi_phdr[i];
    if (part.p_type != PT_LOAD) continue;
    const char* const at = reinterpret_cast<const char*>(info->dlpi_addr + part.p_vaddr);
    if (!begin) begin = at;
    end = at + part.p_memsz;
  }
  const char* const here = reinterpret_cast<const char*>(&findImage);
  if (here < begin || here >= end) return 0;
  static_cast<State*>(state)->imageBegin = begin;
  static_cast<State*>(state)->imageEnd = end;
  return 1;
}

State& state() {
  static State& only = *[] {
    State* const made = new State;
    dl_iterate_phdr(findImage, made);
    return made;
  }();
  return only;
}

template <class T>
T* zeros(size_t count) {
  void* const memory = mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<T*>(memory);
}

/** Makes the units of a buffer its own; 0: nobody's. */
void mark(const Buffer& buffer, uint32_t number) {
  const size_t first = (size_t)(buffer.begin - state().base) / UNIT;
  const size_t count = ((size_t)(buffer.end - buffer.begin) + UNIT - 1) / UNIT;
  for (size_t i = 0; i < count; i++) state().units[first + i] = number;
}

bool isOfDevice(const void* at) { return (size_t)((const char*)at - state().base) < state().bytes; }

// ---- reports

/** An access, for its report. */
struct Visit {
  int thread;
  How how;
  const char* at;
  size_t bytes;
  const void* code;

  bool isRead() const { return how == How::read; }
  std::string verb() const { return isRead() ? "reads" : "writes"; }
  [[noreturn]] void fail(const std::string& kind, const std::string& rest) const {
    failOf(thread, kind + " at " + lineOf(code) + ": it " + verb() + " " + rest);
  }
};

/** What lies at an address, in words. */
std::string thing(const char* at) {
  if (const SharedArray* array = block->arrayAt(at)) return "shared " + array->name();
  const Buffer& buffer = state().buffers[state().units[(size_t)(at - state().base) / UNIT]];
  return "byte " + std::to_string(at - buffer.begin) + " of a buffer of " +
         std::to_string(buffer.limit - buffer.begin);
}

std::string placeOf(const Access& access) { return lineOf(state().imageBegin + access.code); }

[[noreturn]] void reportRace(const Visit& visit, const char* at, const Access& other,
                             const char* did) {
  visit.fail("race", thing(at) + ", " + did + " by " + state().order.nameOf(other) + " at " +
                         placeOf(other) + ", with no barrier between");
}

[[noreturn]] void reportOutside(const Visit& visit, const char* begin, size_t bytes,
                                const std::string& of) {
  const int64_t offset = visit.at - begin;
  std::string where = std::to_string(visit.bytes) + " bytes, ";
  if (offset < 0) where += std::to_string(-offset) + " before the begin of ";
  if (offset >= (int64_t)bytes) where += std::to_string(offset - bytes) + " behind the end of ";
  if (offset >= 0 && offset < (int64_t)bytes) where += "not all of them within ";
  visit.fail("out of bounds", where + of + " of " + std::to_string(bytes));
}

[[noreturn]] void reportOutsideOfShared(const Visit& visit) {
  const SharedArray *nearest = nullptr, *array;
  for (int64_t step = 0; !nearest && step < (int64_t)ARENA; step++) {
    if ((array = block->arrayAt(visit.at - step)) || (array = block->arrayAt(visit.at + step))) {
      nearest = array;
    }
  }
  if (!nearest) visit.fail("out of bounds", "shared memory, of which it has none");
  reportOutside(visit, nearest->begin, nearest->bytes, "shared " + nearest->name());
}

[[noreturn]] void reportOutsideOfBuffers(const Visit& visit) {
  const State& all = state();
  const int64_t unit = (visit.at - all.base) / (int64_t)UNIT, count = (int64_t)(all.bytes / UNIT);
  for (int64_t step = 0; step < 1 << 16; step++) {
    for (const int64_t at : {unit - step, unit + step}) {
      if (at < 0 || at >= count || all.units[at] == 0) continue;
      const Buffer& buffer = all.buffers[all.units[at]];
      reportOutside(visit, buffer.begin, (size_t)(buffer.limit - buffer.begin), "a buffer");
    }
  }
  visit.fail("out of bounds", "device memory that is no buffer");
}

// ---- one place

/** Remembers a read, in the stead of one that is no longer needed. */
void remember(Access (&reads)[2], const Access& mine, int thread) {
  const Order& order = state().order;
  for (Access& read : reads) {
    if ((read.block == mine.block && read.thread == mine.thread) || order.isBefore(read, thread)) {
      read = mine;
      return;
    }
  }
  const bool areOfOneBlock = reads[0].block == reads[1].block;
  const bool areOfOneWarp = areOfOneBlock && reads[0].thread / LANES == reads[1].thread / LANES;
  if (areOfOneWarp || (areOfOneBlock && reads[0].block != mine.block)) reads[1] = mine;
}

void visitCell(Cell& cell, const Visit& visit, const char* at, const Access& mine, bool isShared) {
  const Order& order = state().order;
  if (isShared && cell.reads[0].block != mine.block) cell.reads[0] = {};
  if (isShared && cell.reads[1].block != mine.block) cell.reads[1] = {};
  const Access write = isShared && cell.write.block != mine.block ? Access{} : cell.write;
  if (isShared && write.block == 0 && (visit.isRead() || mine.isAtomic)) {
    visit.fail("uninitialised", thing(at) + ", which nobody has written");
  }
  if (write.isFilling && write.block == mine.block) {
    visit.fail("copy under way", thing(at) + ", which copyAsync of " + order.nameOf(write) +
                                     " at " + placeOf(write) + " still fills");
  }
  if (!(mine.isAtomic && write.isAtomic) && !order.isBefore(write, visit.thread)) {
    reportRace(visit, at, write, "written");
  }
  if (visit.isRead()) return remember(cell.reads, mine, visit.thread);
  for (const Access& read : cell.reads) {
    if (!order.isBefore(read, visit.thread)) reportRace(visit, at, read, "read");
  }
  cell = {mine, {}};
}

} // namespace

// ---- an access

void accessOf(int thread, How how, const void* address, size_t bytes, const void* code) {
  if (bytes == 0) return;
  State& all = state();
  const Visit visit = {thread, how, static_cast<const char*>(address), bytes, code};
  const char* const at = visit.at;
  const int stack = block->stacks.of(at);
  if (stack >= 0) {
    if (stack != block->thread(thread).fiber) visit.fail("another stack", "a thread's own memory");
    return;
  }
  const Access mine = {all.order.block(), (uint32_t)thread, all.order.time(thread),
                       how == How::atomic, how == How::fill,
                       (uint32_t)((const char*)code - all.imageBegin)};
  const int64_t offset = block->inArena(at);
  if (offset >= 0) {
    const SharedArray* const array = block->arrayAt(at);
    if (!array || at + bytes > array->begin + array->bytes) reportOutsideOfShared(visit);
    for (size_t i = 0; i < bytes; i++) visitCell(all.shared[offset + i], visit, at + i, mine, true);
  } else if (isOfDevice(at)) {
    const size_t begin = (size_t)(at - all.base);
    const Buffer& buffer = all.buffers[all.units[begin / UNIT]];
    if (at < buffer.begin || at + bytes > buffer.limit) reportOutsideOfBuffers(visit);
    if (how == How::atomic) all.order.atomic(thread, at);
    if (how == How::write) all.order.write(thread);
    for (size_t i = begin / 2; i <= (begin + bytes - 1) / 2; i++) {
      visitCell(all.cells[i], visit, all.base + 2 * i, mine, false);
    }
  } else {
    const char* const arguments = static_cast<const char*>(block->launched().arguments.get());
    const bool isArgument = (size_t)(at - arguments) < block->launched().argumentBytes;
    const bool isConstant = at >= all.imageBegin && at < all.imageEnd;
    const bool isOwn = std::abs(at - reinterpret_cast<const char*>(&threadIdx)) < 4096; // its index
    if (!visit.isRead() || !(isArgument || isConstant || isOwn)) {
      visit.fail("no device memory", "what is the host's");
    }
  }
}

void access(How how, const void* at, size_t bytes, const void* code) {
  if ((size_t)((const char*)at - ownStack) < Stacks::step || isInside) return;
  if (block) {
    const Inside inside("an access");
    accessOf(block->running(), how, at, bytes, code);
  } else if (isOfDevice(at)) {
    const std::string what = "the host's code at " + lineOf(code) + " touches the device's memory";
    forgetFailure(); // of an earlier launch
    note(what);
    kernelError("%s", what.c_str());
  }
}

void landed(const void* to) {
  State& all = state();
  const int64_t offset = block->inArena(to);
  const int thread = block->running();
  for (int i = 0; i < 16; i++) {
    Access& write = all.shared[offset + i].write;
    write.isFilling = 0;
    write.time = all.order.time(thread);
  }
}

// ---- what becomes of memory, and of a launch

bool setMemory(char* base, size_t bytes) {
  State& all = state();
  all.cells = zeros<Cell>(bytes / 2);
  all.units = zeros<uint32_t>(bytes / UNIT);
  if (!all.cells && all.units) munmap(all.units, bytes / UNIT * sizeof(uint32_t));
  if (all.cells && !all.units) munmap(all.cells, bytes / 2 * sizeof(Cell));
  if (!all.cells || !all.units) return false;
  all.base = base;
  all.bytes = bytes;
  return true;
}

void addBuffer(const void* begin, size_t bytes) {
  State& all = state();
  if (all.unused.empty()) {
    all.unused.push_back((uint32_t)all.buffers.size());
    all.buffers.emplace_back();
  }
  const uint32_t number = all.unused.back();
  all.unused.pop_back();
  const char* const first = static_cast<const char*>(begin);
  all.buffers[number] = {first, first + bytes, first + bytes};
  mark(all.buffers[number], number);
}

void limitBuffer(const void* begin, size_t bytes) {
  State& all = state();
  Buffer& buffer = all.buffers[all.units[(size_t)((const char*)begin - all.base) / UNIT]];
  buffer.limit = buffer.begin + bytes;
}

void removeBuffer(const void* begin) {
  State& all = state();
  const size_t offset = (size_t)((const char*)begin - all.base);
  const uint32_t number = all.units[offset / UNIT];
  const Buffer buffer = all.buffers[number];
  all.buffers[number] = {};
  all.unused.push_back(number);
  mark(buffer, 0);
  const size_t pages = ((size_t)(buffer.end - buffer.begin) + 4095) / 4096 * 4096;
  madvise(all.cells + offset / 2, pages / 2 * sizeof(Cell), MADV_DONTNEED);
}

void beginLaunch() { state().order.beginLaunch(); }
void beginBlock(int threads) { state().order.beginBlock(blockIdx, threads); }
void barrier() { state().order.barrier(); }
void syncWarp(int warp, unsigned mask) { state().order.syncWarp(warp, mask); }
void fence() { state().order.fence(block->running()); }

} // namespace check
} // namespace tinybard::cuda::emulator
