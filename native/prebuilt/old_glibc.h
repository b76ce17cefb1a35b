// Included first in every source of the Linux addons that are published: they run wherever the
// binaries of Node 20 do, with glibc 2.28 and the C++ library of GCC 8, although they are built
// with newer ones. The linker would bind these functions to the newest of their versions.
#pragma once

#if defined(__x86_64__)
#define OLDEST_GLIBC "GLIBC_2.2.5"
#else
#define OLDEST_GLIBC "GLIBC_2.17"
#endif

__asm__(".symver dlerror, dlerror@" OLDEST_GLIBC);
__asm__(".symver dlopen, dlopen@" OLDEST_GLIBC);
__asm__(".symver dlsym, dlsym@" OLDEST_GLIBC);
__asm__(".symver pow, pow@" OLDEST_GLIBC);
__asm__(".symver pthread_mutex_trylock, pthread_mutex_trylock@" OLDEST_GLIBC);
__asm__(".symver _ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE,"
        "_ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE@GLIBCXX_3.4.11");

// glibc 2.32 and later define this variable, which std::shared_ptr reads: false is always right.
extern "C" {
__attribute__((weak, visibility("hidden"))) char __libc_single_threaded = false;
}
