/* Sets the wall clock of the processes that load this library, and of their children.
 *
 * They see the time of the system, shifted by the seconds in the first eight bytes of the file that
 * $PSLGS_CHAOS_CLOCK names, which may change at any time.  Other clocks stay as they are, and so do the
 * times of files.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t nothing = 0;
static const volatile int64_t *shift = &nothing;
static int (*system_clock)(clockid_t, struct timespec *);
static long (*system_call)(long, ...);

__attribute__((constructor)) static void open_shift(void) {
    const char *path = getenv("PSLGS_CHAOS_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *mapped = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED)
        shift = mapped;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *found) {
    if (!system_clock) /* other libraries may ask before this one is set up */
        system_clock = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = system_clock(clock, found);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        found->tv_sec += *shift;
    return failed;
}

int gettimeofday(struct timeval *restrict found, void *restrict zone) {
    (void)zone;
    struct timespec now;
    int failed = clock_gettime(CLOCK_REALTIME, &now);
    found->tv_sec = now.tv_sec;
    found->tv_usec = now.tv_nsec / 1000;
    return failed;
}

time_t time(time_t *found) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (found)
        *found = now.tv_sec;
    return now.tv_sec;
}

/* Mutexes and condition variables of Abseil, which gRPC uses, wait until a time of the wall clock. */
long syscall(long number, ...) {
    va_list given;
    long all[6];
    va_start(given, number);
    for (int index = 0; index < 6; index++)
        all[index] = va_arg(given, long);
    va_end(given);
    if (!system_call)
        system_call = dlsym(RTLD_NEXT, "syscall");
    struct timespec until;
    if (number == SYS_futex && (all[1] & FUTEX_CLOCK_REALTIME) && all[3]) {
        until = *(const struct timespec *)all[3];
        until.tv_sec -= *shift;
        all[3] = (long)&until;
    }
    return system_call(number, all[0], all[1], all[2], all[3], all[4], all[5]);
}
