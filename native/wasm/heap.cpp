// The allocator. All memory is a sequence of blocks, each with a header in front of its content. A
// free block is merged with free neighbors at once, and is in a list with others of its size class,
// which is a power of 2: both allocating and releasing take a short time whatever the memory holds.
// (The allocator of the WebAssembly C library knows no threads, and limits a block to 2 GB.)

#include "heap.h"

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <new>

#include "export.h"

extern "C" char __heap_base; // by the linker: the end of static data and stack

namespace tinybard {
namespace {

constexpr size_t UNIT = 64; // alignment, and the size of a header
constexpr size_t PAGE = 65536;
constexpr size_t MIN_GROWTH = 1 << 20; // bytes by which the memory grows at least
constexpr int CLASSES = 8 * (int)sizeof(size_t);
constexpr int MAX_TRIES = 16; // blocks of the same class that are tried, which may be too small

/** The header of a block. */
struct alignas(UNIT) Block {
  size_t size;     // with the header; 0 at the end of the memory
  Block* previous; // the block in front of this one, or null
  bool isFree;
  Block* nextFree; // the neighbors in the list of a size class
  Block* previousFree;

  Block* next() { return reinterpret_cast<Block*>(reinterpret_cast<char*>(this) + size); }
};
static_assert(sizeof(Block) == UNIT);

std::atomic<bool> isLocked{false};
Block* free[CLASSES]; // the first of each size class
Block* end = nullptr; // null until the first allocation

/** Returns the class of a size: floor(log2(size)). */
int classOf(size_t size) { return 63 - __builtin_clzll(size); }

void insertFree(Block* block) {
  Block*& first = free[classOf(block->size)];
  block->isFree = true;
  block->previousFree = nullptr;
  block->nextFree = first;
  if (first) first->previousFree = block;
  first = block;
}

void removeFree(Block* block) {
  block->isFree = false;
  if (block->nextFree) block->nextFree->previousFree = block->previousFree;
  if (block->previousFree) block->previousFree->nextFree = block->nextFree;
  else free[classOf(block->size)] = block->nextFree;
}

/** Adds a block that is in no list to the free ones, after merging it with free neighbors. */
void addFree(Block* block) {
  Block* const next = block->next();
  if (next->isFree) {
    removeFree(next);
    block->size += next->size;
  }
  Block* const previous = block->previous;
  if (previous && previous->isFree) {
    removeFree(previous);
    previous->size += block->size;
    block = previous;
  }
  block->next()->previous = block;
  insertFree(block);
}

/** Makes the memory larger, at its end, by a free block of at least `size` bytes. */
bool grow(size_t size) {
  for (const size_t bytes : {size < MIN_GROWTH ? MIN_GROWTH : size, size}) {
    const size_t count = bytes / PAGE + 1;
    if (__builtin_wasm_memory_grow(0, count) == (size_t)-1) continue;
    Block* const block = end;
    block->size = count * PAGE;
    end = block->next();
    *end = {0, block, false, nullptr, nullptr};
    addFree(block);
    return true;
  }
  return false;
}

/** Makes all memory behind the static data one free block. */
void initialize() {
  const size_t begin = (reinterpret_cast<size_t>(&__heap_base) + UNIT - 1) / UNIT * UNIT;
  const size_t last = __builtin_wasm_memory_size(0) * PAGE - UNIT; // the header at the end
  Block* const block = reinterpret_cast<Block*>(begin);
  end = reinterpret_cast<Block*>(last);
  *end = {0, block, false, nullptr, nullptr};
  *block = {last - begin, nullptr, false, nullptr, nullptr};
  insertFree(block);
}

/** Returns a free block of at least `size` bytes, or null. */
Block* find(size_t size, int tries) {
  const int first = classOf(size);
  for (Block* block = free[first]; block && tries > 0; block = block->nextFree, tries--) {
    if (block->size >= size) return block;
  }
  for (int i = first + 1; i < CLASSES; i++) {
    if (free[i]) return free[i];
  }
  return nullptr;
}

/** Takes `size` bytes of a free block; the rest stays free. */
void* take(Block* block, size_t size) {
  removeFree(block);
  const size_t rest = block->size - size;
  if (rest >= 2 * UNIT) {
    block->size = size;
    Block* const other = block->next();
    *other = {rest, block, false, nullptr, nullptr};
    other->next()->previous = other;
    insertFree(other);
  }
  return block + 1;
}

struct Lock {
  Lock() {
    while (isLocked.exchange(true, std::memory_order_acquire)) {}
  }
  ~Lock() { isLocked.store(false, std::memory_order_release); }
};

} // namespace

void* allocate(size_t bytes) {
  if (bytes > MAX_ADDRESS - 2 * MIN_GROWTH) return nullptr;
  const size_t size = (bytes + UNIT - 1) / UNIT * UNIT + UNIT;
  const Lock lock;
  if (!end) initialize();
  Block* block = find(size, MAX_TRIES);
  if (!block && grow(size)) block = find(size, MAX_TRIES);
  if (!block) block = find(size, INT32_MAX);
  return block ? take(block, size) : nullptr;
}

void release(void* memory) {
  if (!memory) return;
  const Lock lock;
  addFree(static_cast<Block*>(memory) - 1);
}

/** Returns the address of a new block, 0 if there is not enough memory. */
EXPORT(allocate) double allocateForJavaScript(double bytes) {
  if (bytes >= (double)MAX_ADDRESS) return 0;
  return (double)reinterpret_cast<size_t>(allocate((size_t)bytes));
}

EXPORT(free) void freeForJavaScript(double address) {
  release(reinterpret_cast<void*>((size_t)address));
}

} // namespace tinybard

// what C++ allocates by itself

void* operator new(size_t bytes) {
  if (void* memory = tinybard::allocate(bytes)) return memory;
  tinybard::throwOutOfMemory((double)bytes);
}
void* operator new(size_t bytes, std::align_val_t) { return operator new(bytes); }
void* operator new[](size_t bytes) { return operator new(bytes); }
void operator delete[](void* memory) noexcept { tinybard::release(memory); }
void operator delete[](void* memory, size_t) noexcept { tinybard::release(memory); }
void operator delete(void* memory) noexcept { tinybard::release(memory); }
void operator delete(void* memory, size_t) noexcept { tinybard::release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { tinybard::release(memory); }
