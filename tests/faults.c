/* Makes one call to the system fail: LD_PRELOAD=libfaults.so, then fault_set() from the process itself.
 *
 * Counted are the calls of one kind that concern files under a directory, by any library in the process.
 * A mode above 0 is the errno the call fails with; -1 halves a read or write instead. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { OPEN, READ, WRITE, SYNC, RENAME, CLOSE, LINK, UNLINK, MODE, STAT, MAP, KINDS };

static char under[PATH_MAX];
static int kind_to_fail = -1, mode;
static long at, seen[KINDS];

void fault_set(const char *directory, int kind, long number, int how)
{
    snprintf(under, sizeof under, "%s", directory);
    kind_to_fail = kind, at = number, mode = how;
    memset(seen, 0, sizeof seen);
}

long fault_seen(int kind) { return seen[kind]; }

static int concerns(const char *path)
{
    return under[0] && path && !strncmp(path, under, strlen(under));
}

static int concerns_fd(int fd)
{
    char link[64], path[PATH_MAX];
    ssize_t size;
    if (!under[0])
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    size = readlink(link, path, sizeof path - 1);
    if (size <= 0)
        return 0;
    path[size] = 0;
    return concerns(path);
}

static int hit(int kind)
{
    long number = __sync_add_and_fetch(&seen[kind], 1);
    return kind == kind_to_fail && number == at;
}

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) \
        real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
#define FAIL_IF(kind, condition) \
    if ((condition) && hit(kind) && mode > 0) { \
        errno = mode; \
        return -1; \
    }
#define OPENER(name) \
    int name(const char *path, int flags, ...) \
    { \
        REAL(name); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t bits = va_arg(rest, mode_t); \
        va_end(rest); \
        FAIL_IF(OPEN, concerns(path)) \
        return real(path, flags, bits); \
    }
#define OPENER_AT(name) \
    int name(int dir, const char *path, int flags, ...) \
    { \
        REAL(name); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t bits = va_arg(rest, mode_t); \
        va_end(rest); \
        FAIL_IF(OPEN, concerns(path)) \
        return real(dir, path, flags, bits); \
    }
#define MOVER(kind, name, parameters, arguments) \
    ssize_t name parameters \
    { \
        REAL(name); \
        if (concerns_fd(fd) && hit(kind)) { \
            if (mode > 0) { \
                errno = mode; \
                return -1; \
            } \
            if (mode < 0 && size > 1) \
                size /= 2; \
        } \
        return real arguments; \
    }
#define SIMPLE(kind, name, parameters, arguments, condition) \
    int name parameters \
    { \
        REAL(name); \
        FAIL_IF(kind, condition) \
        return real arguments; \
    }

OPENER(open)
OPENER(open64)
OPENER_AT(openat)
OPENER_AT(openat64)
MOVER(READ, read, (int fd, void *to, size_t size), (fd, to, size))
MOVER(READ, pread, (int fd, void *to, size_t size, off_t from), (fd, to, size, from))
MOVER(READ, pread64, (int fd, void *to, size_t size, off64_t from), (fd, to, size, from))
MOVER(WRITE, write, (int fd, const void *from, size_t size), (fd, from, size))
SIMPLE(SYNC, fsync, (int fd), (fd), concerns_fd(fd))
SIMPLE(SYNC, fdatasync, (int fd), (fd), concerns_fd(fd))
SIMPLE(RENAME, rename, (const char *old, const char *new), (old, new), concerns(old))
SIMPLE(LINK, link, (const char *old, const char *new), (old, new), concerns(old))
SIMPLE(UNLINK, unlink, (const char *path), (path), concerns(path))
SIMPLE(MODE, fchmod, (int fd, mode_t bits), (fd, bits), concerns_fd(fd))
SIMPLE(STAT, stat, (const char *path, struct stat *to), (path, to), concerns(path))
SIMPLE(STAT, stat64, (const char *path, struct stat64 *to), (path, to), concerns(path))
SIMPLE(STAT, fstat, (int fd, struct stat *to), (fd, to), concerns_fd(fd))
SIMPLE(STAT, fstat64, (int fd, struct stat64 *to), (fd, to), concerns_fd(fd))

int close(int fd)
{
    REAL(close);
    int failing = concerns_fd(fd) && hit(CLOSE) && mode > 0;
    int done = real(fd); /* as Linux does: the descriptor is gone even when close fails */
    if (failing) {
        errno = mode;
        return -1;
    }
    return done;
}

void *mmap(void *where, size_t size, int protection, int flags, int fd, off_t from)
{
    REAL(mmap);
    if (fd >= 0 && concerns_fd(fd) && hit(MAP) && mode > 0) {
        errno = mode;
        return MAP_FAILED;
    }
    return real(where, size, protection, flags, fd, from);
}
