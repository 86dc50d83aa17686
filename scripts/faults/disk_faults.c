/* A disk that fails: preloaded, it lets one call that changes files below a folder fail.
 *
 * FAULT_BELOW   the folder, absolute
 * FAULT_LOG     a file outside of it, to which the name of each such call is appended
 * FAULT_CALL    open, write, fsync, close, rename, link or mkdir; without it none fails
 * FAULT_NUMBER  which of them fails, counted from 1 in each process
 * FAULT_ERRNO   with what
 * FAULT_LASTS   if it is set, all later ones of its kind fail too, as on a full disk
 *
 * The environment is read at each call, so that a process can fork and arm its child. What the C
 * library's own streams (fopen, fwrite) write is not seen, only that they are opened.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define NEXT(name) \
    static __typeof__(name) *next; \
    if (!next) next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static int counted;

/* Whether a path, of which a relative one begins at a folder's descriptor, is below. */
static int is_below(int folder, const char *path) {
    const char *below = getenv("FAULT_BELOW");
    char whole[2 * PATH_MAX + 2] = "", link[64];
    if (!below || !path) return 0;
    if (path[0] != '/') {
        ssize_t length;
        if (folder == AT_FDCWD) {
            if (!getcwd(whole, PATH_MAX)) return 0;
        } else {
            snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
            length = readlink(link, whole, PATH_MAX);
            if (length < 0) return 0;
            whole[length] = 0;
        }
        strcat(whole, "/");
    }
    strncat(whole, path, PATH_MAX);
    return !strncmp(whole, below, strlen(below)) && whole[strlen(below)] == '/';
}

/* Whether a descriptor writes to a file below. */
static int writes_below(int file) {
    char link[64], path[PATH_MAX + 1];
    int flags = fcntl(file, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, PATH_MAX);
    if (length < 0) return 0;
    path[length] = 0;
    return is_below(AT_FDCWD, path);
}

/* Note a call; whether it is to fail. */
static int fails(const char *call) {
    const char *log = getenv("FAULT_LOG"), *wanted = getenv("FAULT_CALL");
    const char *number = getenv("FAULT_NUMBER"), *code = getenv("FAULT_ERRNO");
    char line[64];
    int result = 0;
    if (wanted && !strcmp(wanted, call)) {
        int now = __sync_add_and_fetch(&counted, 1), at = number ? atoi(number) : 1;
        result = now == at || (now > at && getenv("FAULT_LASTS"));
    }
    if (log) {
        int file = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT, 0666);
        int length = snprintf(line, sizeof line, "%s%s\n", call, result ? " failed" : "");
        if (file >= 0) {
            if (syscall(SYS_write, file, line, length) < 0) result = result;
            syscall(SYS_close, file);
        }
    }
    if (result) errno = code ? atoi(code) : EIO;
    return result;
}

static int opens_to_write(int flags) {
    return (flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC);
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        NEXT(name); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        if (opens_to_write(flags) && is_below(AT_FDCWD, path) && fails("open")) return -1; \
        return next(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        NEXT(name); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        if (opens_to_write(flags) && is_below(folder, path) && fails("open")) return -1; \
        return next(folder, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name) \
    FILE *name(const char *path, const char *mode) { \
        NEXT(name); \
        if (strpbrk(mode, "wa+") && is_below(AT_FDCWD, path) && fails("open")) return NULL; \
        return next(path, mode); \
    }
FOPEN(fopen)
FOPEN(fopen64)

#define WRITE(name, type, parameters, arguments, file) \
    type name parameters { \
        NEXT(name); \
        if (writes_below(file) && fails("write")) return -1; \
        return next arguments; \
    }
WRITE(write, ssize_t, (int f, const void *data, size_t size), (f, data, size), f)
WRITE(pwrite, ssize_t, (int f, const void *d, size_t size, off_t at), (f, d, size, at), f)
WRITE(pwrite64, ssize_t, (int f, const void *d, size_t size, off64_t at), (f, d, size, at), f)
WRITE(writev, ssize_t, (int f, const struct iovec *parts, int count), (f, parts, count), f)
WRITE(sendfile, ssize_t, (int f, int from, off_t *at, size_t size), (f, from, at, size), f)
WRITE(sendfile64, ssize_t, (int f, int from, off64_t *at, size_t size), (f, from, at, size), f)

int fsync(int file) {
    NEXT(fsync);
    return writes_below(file) && fails("fsync") ? -1 : next(file);
}

int close(int file) {
    NEXT(close);
    int failed = writes_below(file) && fails("close"), code = errno;
    int result = next(file); /* it is closed all the same, as Linux does */
    if (!failed) return result;
    errno = code;
    return -1;
}

int rename(const char *from, const char *to) {
    NEXT(rename);
    return is_below(AT_FDCWD, to) && fails("rename") ? -1 : next(from, to);
}

int renameat(int a, const char *from, int b, const char *to) {
    NEXT(renameat);
    return is_below(b, to) && fails("rename") ? -1 : next(a, from, b, to);
}

int link(const char *from, const char *to) {
    NEXT(link);
    return is_below(AT_FDCWD, to) && fails("link") ? -1 : next(from, to);
}

int linkat(int a, const char *from, int b, const char *to, int flags) {
    NEXT(linkat);
    return is_below(b, to) && fails("link") ? -1 : next(a, from, b, to, flags);
}

int mkdir(const char *path, mode_t mode) {
    NEXT(mkdir);
    return is_below(AT_FDCWD, path) && fails("mkdir") ? -1 : next(path, mode);
}
