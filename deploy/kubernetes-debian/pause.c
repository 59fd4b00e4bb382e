// The process that holds a pod's namespaces: reaps orphans and ends when told to.
// Freestanding, so that a pod's share of memory is one page: signals are blocked and waited for,
// which needs neither handlers nor a C library.

#if defined(__x86_64__)
enum { SYS_RT_SIGPROCMASK = 14, SYS_EXIT = 60, SYS_WAIT4 = 61, SYS_RT_SIGTIMEDWAIT = 128 };
static long call(long number, long a, long b, long c, long d) {
    long result;
    register long fourth __asm__("r10") = d;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
enum { SYS_RT_SIGPROCMASK = 135, SYS_EXIT = 93, SYS_WAIT4 = 260, SYS_RT_SIGTIMEDWAIT = 137 };
static long call(long number, long a, long b, long c, long d) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}
#else
#error "no system calls known for this processor"
#endif

enum { SIGINT = 2, SIGTERM = 15, SIGCHLD = 17, SIG_BLOCK = 0, WNOHANG = 1, SET_SIZE = 8 };
#define BIT(signal) (1UL << ((signal) - 1))

__attribute__((noreturn)) void _start(void) {
    unsigned long set = BIT(SIGINT) | BIT(SIGTERM) | BIT(SIGCHLD);
    call(SYS_RT_SIGPROCMASK, SIG_BLOCK, (long)&set, 0, SET_SIZE);
    for (;;) {
        long signal = call(SYS_RT_SIGTIMEDWAIT, (long)&set, 0, 0, SET_SIZE);
        if (signal == SIGINT || signal == SIGTERM) {
            call(SYS_EXIT, 0, 0, 0, 0);
        }
        while (call(SYS_WAIT4, -1, 0, WNOHANG, 0) > 0) {
        }
    }
}
