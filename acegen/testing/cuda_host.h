/*
 * Runs the kernels of a CUDA C++ file on the processor, to test them where there is no card.
 *
 * Included before the file (g++ -x c++ -std=c++17 -include cuda_host.h), which needs no change.  Every thread of a
 * block is a fibre, blocks run one after the other.  A fibre runs until it meets a barrier or a warp primitive; the
 * order in which the fibres of a block and the blocks of a grid take their turns is an argument of the launch, so
 * that a result which depends on it shows.
 *
 * Found: shared memory read before it is written (bytes of value 0xff, that is NaN or -1, at the start of every
 * block), barriers that not all threads reach or that are different ones, warp primitives with lanes missing,
 * overflow of a thread's stack; with -fsanitize=address,undefined also wrong addresses and misaligned access.
 * Not found: what only true concurrency shows (blocks that wait for each other, the memory model), speed.
 */
#pragma once

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <type_traits>
#include <utility>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifndef __x86_64__
#include <ucontext.h>
#endif

/* ---- types of CUDA ---- */

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x, y, z; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct float3 { float x, y, z; };
struct alignas(16) double2 { double x, y; };
struct alignas(16) double4 { double x, y, z, w; };
struct double3 { double x, y, z; };
struct alignas(16) longlong2 { long long x, y; };

inline int2 make_int2(int x, int y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float3 make_float3(float x, float y, float z) { return {x, y, z}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline double2 make_double2(double x, double y) { return {x, y}; }
inline double3 make_double3(double x, double y, double z) { return {x, y, z}; }
inline double4 make_double4(double x, double y, double z, double w) { return {x, y, z, w}; }

/* ---- one block of threads ---- */

extern "C" {
/* Ends of the section of __shared__ variables; hidden, for several libraries may be loaded. */
extern char __start_cuda_host_shared[] __attribute__((weak, visibility("hidden")));
extern char __stop_cuda_host_shared[] __attribute__((weak, visibility("hidden")));
#ifdef __x86_64__
__attribute__((visibility("hidden"))) void cuda_host_switch(void **save, void *load);
#endif
}

namespace cuda_host {

constexpr int most_threads = 1024;
constexpr int warp_size = 32;
constexpr size_t stack_bytes = 256 * 1024;
constexpr size_t most_shared = 227 * 1024; /* of one block on sm_90 */
constexpr uint64_t canary = 0x5afe57ac4ed6e5ull;

enum class State { ready, at_barrier, in_warp, finished };
enum Order { forward, reverse, random_order };

struct Thread {
    State state;
    int number;     /* in the block */
    uint3 index;    /* threadIdx */
    int line;       /* of the barrier or warp primitive it waits at */
    unsigned mask;  /* lanes the warp primitive names */
    unsigned turn;  /* of warp primitives: two buffers, for a lane is never more than one ahead of another */
    unsigned round; /* of barriers, likewise */
    int vote[2];
    alignas(16) unsigned char value[2][16];
    char *stack;
#ifdef __x86_64__
    void *pointer;
#else
    ucontext_t place;
#endif
};

static struct {
    Thread threads[most_threads];
    int order[most_threads];
    Thread *current; /* null: the scheduler runs */
    int count;       /* threads of the block */
    dim3 grid, block;
    uint3 at;        /* blockIdx */
    unsigned char *dynamic;
    void (*kernel)(void **arguments);
    void **arguments;
    char *stacks;
    uint64_t random;
    bool failed;
    char message[512];
#ifdef __x86_64__
    void *pointer; /* of the scheduler */
#else
    ucontext_t place;
#endif
    const void *stack; /* the scheduler's, as the address sanitizer sees it */
    size_t stack_size;
    void *shadow;
} host;

#ifdef __x86_64__
asm(R"(
    .text
    .p2align 4
    .type cuda_host_switch, @function
cuda_host_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size cuda_host_switch, .-cuda_host_switch
)");
#endif

/* From a fibre to the scheduler. */
__attribute__((noinline)) inline void leave(bool for_good) {
    Thread *self = host.current;
#ifdef __SANITIZE_ADDRESS__
    void *shadow = nullptr;
    __sanitizer_start_switch_fiber(for_good ? nullptr : &shadow, host.stack, host.stack_size);
#endif
#ifdef __x86_64__
    cuda_host_switch(&self->pointer, host.pointer);
#else
    swapcontext(&self->place, &host.place);
#endif
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(shadow, &host.stack, &host.stack_size);
#endif
    (void)for_good;
}

/* From the scheduler to a fibre. */
__attribute__((noinline)) inline void enter(Thread &thread) {
    host.current = &thread;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&host.shadow, thread.stack, stack_bytes);
#endif
#ifdef __x86_64__
    cuda_host_switch(&host.pointer, thread.pointer);
#else
    swapcontext(&host.place, &thread.place);
#endif
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(host.shadow, nullptr, nullptr);
#endif
    host.current = nullptr;
}

/* Keep the first message; a fibre that calls this is never resumed. */
__attribute__((noinline, format(printf, 1, 2))) inline void fail(const char *format, ...) {
    if (!host.failed) {
        va_list values;
        va_start(values, format);
        int used = vsnprintf(host.message, sizeof host.message - 80, format, values);
        va_end(values);
        snprintf(host.message + used, 80, " (block %u,%u,%u)", host.at.x, host.at.y, host.at.z);
    }
    host.failed = true;
    if (host.current != nullptr) leave(true);
}

inline void run_thread() {
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(nullptr, &host.stack, &host.stack_size);
#endif
    host.kernel(host.arguments);
    host.current->state = State::finished;
    leave(true);
    abort();
}

inline void begin(Thread &thread, int number) {
    dim3 block = host.block;
    unsigned n = unsigned(number);
    thread.state = State::ready;
    thread.number = number;
    thread.index = {n % block.x, n / block.x % block.y, n / (block.x * block.y)};
    thread.turn = thread.round = 0;
    thread.stack = host.stacks + size_t(number + 1) * stack_bytes; /* an overflow of the first stays in */
#ifdef __SANITIZE_ADDRESS__
    ASAN_UNPOISON_MEMORY_REGION(thread.stack, stack_bytes); /* frames that were left for good */
#endif
    memcpy(thread.stack, &canary, sizeof canary);
#ifdef __x86_64__
    void **top = reinterpret_cast<void **>(thread.stack + stack_bytes);
    *--top = nullptr;                                   /* run_thread returns nowhere */
    *--top = reinterpret_cast<void *>(&run_thread);
    for (int saved = 0; saved < 6; saved++) *--top = nullptr;
    thread.pointer = top;
#else
    getcontext(&thread.place);
    thread.place.uc_stack.ss_sp = thread.stack;
    thread.place.uc_stack.ss_size = stack_bytes;
    thread.place.uc_link = nullptr;
    makecontext(&thread.place, run_thread, 0);
#endif
}

/* ---- what a thread can wait for ---- */

inline int lane() { return host.current->number % warp_size; }

inline void barrier(int line) {
    host.current->state = State::at_barrier;
    host.current->line = line;
    leave(false);
}

enum Vote { any_of, all_of, count_of };

inline int block_vote(int line, Vote kind, int value) {
    unsigned round = host.current->round++ % 2;
    host.current->vote[round] = value != 0;
    barrier(line);
    int sum = 0;
    for (int k = 0; k < host.count; k++) sum += host.threads[k].vote[round];
    return kind == count_of ? sum : kind == any_of ? sum > 0 : sum == host.count;
}

inline void warp_barrier(int line, unsigned mask = 0xffffffffu) {
    Thread *self = host.current;
    int left = host.count - (self->number - lane());
    if (!(mask >> lane() & 1u)) fail("line %d: lane %d is not in its own mask %08x", line, lane(), mask);
    if (left < warp_size && mask >> left != 0) {
        fail("line %d: mask %08x names lanes that this block of %d threads has not", line, mask, host.count);
    }
    self->state = State::in_warp;
    self->line = line;
    self->mask = mask;
    leave(false);
}

/* The value that lane `source` of the warp gave at the same primitive. */
template <class T> inline T exchange(int line, unsigned mask, T value, int source) {
    static_assert(sizeof(T) <= 16 && std::is_trivially_copyable<T>::value, "plain values of up to 16 bytes");
    Thread *self = host.current;
    unsigned turn = self->turn++ % 2;
    memcpy(self->value[turn], &value, sizeof(T));
    warp_barrier(line, mask);
    if (!(mask >> source & 1u)) fail("line %d: lane %d reads lane %d, which mask %08x has not", line, lane(), source, mask);
    T other;
    memcpy(&other, host.threads[self->number - lane() + source].value[turn], sizeof(T));
    return other;
}

template <class T> inline T shuffle(int line, unsigned mask, T value, int source, int width = warp_size) {
    return exchange(line, mask, value, (lane() & ~(width - 1)) + (source & (width - 1)));
}
template <class T> inline T shuffle_up(int line, unsigned mask, T value, unsigned by, int width = warp_size) {
    bool inside = int(lane() & (width - 1)) >= int(by);
    return exchange(line, mask, value, inside ? lane() - int(by) : lane());
}
template <class T> inline T shuffle_down(int line, unsigned mask, T value, unsigned by, int width = warp_size) {
    bool inside = int(lane() & (width - 1)) + int(by) < width;
    return exchange(line, mask, value, inside ? lane() + int(by) : lane());
}
template <class T> inline T shuffle_xor(int line, unsigned mask, T value, int bits, int width = warp_size) {
    bool inside = ((lane() ^ bits) & ~(width - 1)) == (lane() & ~(width - 1));
    return exchange(line, mask, value, inside ? lane() ^ bits : lane());
}

inline unsigned ballot(int line, unsigned mask, int value) {
    Thread *self = host.current;
    unsigned turn = self->turn++ % 2, bits = 0;
    int given = value != 0;
    memcpy(self->value[turn], &given, sizeof given);
    warp_barrier(line, mask);
    for (int k = 0; k < warp_size; k++) {
        if (!(mask >> k & 1u)) continue;
        memcpy(&given, host.threads[self->number - lane() + k].value[turn], sizeof given);
        bits |= unsigned(given) << k;
    }
    return bits;
}

/* ---- the scheduler ---- */

inline uint64_t draw() {
    host.random ^= host.random << 13;
    host.random ^= host.random >> 7;
    host.random ^= host.random << 17;
    return host.random;
}

template <class Integer> inline void arrange(Integer *order, Integer count, Order kind) {
    for (Integer k = 0; k < count; k++) order[k] = kind == reverse ? count - 1 - k : k;
    if (kind != random_order) return;
    for (Integer k = count - 1; k > 0; k--) std::swap(order[k], order[draw() % uint64_t(k + 1)]);
}

/* Release the warp primitive of `thread` when all the lanes it names are there. */
inline bool release_warp(Thread &thread) {
    Thread *warp = host.threads + (thread.number - thread.number % warp_size);
    for (int k = 0; k < warp_size; k++) {
        if (!(thread.mask >> k & 1u)) continue;
        if (warp[k].state == State::finished) {
            fail("line %d: a warp primitive waits for lane %d, whose thread has ended", thread.line, k);
        }
        if (warp[k].state != State::in_warp) return false;
        if (warp[k].line != thread.line || warp[k].mask != thread.mask) return false;
    }
    unsigned mask = thread.mask;
    for (int k = 0; k < warp_size; k++) {
        if (mask >> k & 1u) warp[k].state = State::ready;
    }
    return true;
}

/* Release the barrier when all threads are there; say what is wrong when nothing can go on. */
inline void release_barrier(bool progress) {
    const Thread *waiting = nullptr, *other = nullptr;
    int arrived = 0, finished = 0;
    for (int k = 0; k < host.count; k++) {
        const Thread &thread = host.threads[k];
        finished += thread.state == State::finished;
        if (thread.state != State::at_barrier) continue;
        if (waiting == nullptr) waiting = &thread;
        if (thread.line != waiting->line) other = &thread;
        arrived++;
    }
    if (arrived == host.count) {
        if (other != nullptr) {
            fail("divergent barrier: thread %d waits at line %d, thread %d at line %d", waiting->number, waiting->line,
                 other->number, other->line);
        }
        for (int k = 0; k < host.count; k++) host.threads[k].state = State::ready;
    } else if (!progress && arrived > 0) {
        fail("divergent barrier: of %d threads %d wait at line %d, %d have ended", host.count, arrived, waiting->line,
             finished);
    } else if (!progress && finished < host.count) {
        fail("warp primitives that never meet: lanes of one warp wait at different lines or with different masks");
    }
}

/* Poison without the sanitizer's view: the section holds its red zones too. */
__attribute__((noinline, no_sanitize("address"))) inline void poison_shared() {
    if (__start_cuda_host_shared == nullptr) return;
    for (volatile char *byte = __start_cuda_host_shared; byte < __stop_cuda_host_shared; byte++) *byte = char(0xff);
}

inline void run_block(Order kind) {
    for (int k = 0; k < host.count; k++) begin(host.threads[k], k);
    for (int finished = 0; finished < host.count && !host.failed;) {
        bool progress = false;
        arrange(host.order, host.count, kind);
        for (int k = 0; k < host.count && !host.failed; k++) {
            Thread &thread = host.threads[host.order[k]];
            if (thread.state != State::ready) continue;
            enter(thread);
            progress = true;
            finished += thread.state == State::finished;
            if (memcmp(thread.stack, &canary, sizeof canary) != 0) fail("thread %d: stack overflow", thread.number);
        }
        for (int k = 0; k < host.count && !host.failed; k++) {
            if (host.threads[k].state == State::in_warp) progress |= release_warp(host.threads[k]);
        }
        if (!host.failed && finished < host.count) release_barrier(progress);
    }
}

inline void run_grid(size_t shared, Order kind) {
    size_t blocks = size_t(host.grid.x) * host.grid.y * host.grid.z;
    size_t *order = static_cast<size_t *>(malloc(blocks * sizeof(size_t)));
    arrange(order, blocks, kind);
    for (size_t k = 0; k < blocks && !host.failed; k++) {
        size_t n = order[k];
        host.at = {unsigned(n % host.grid.x), unsigned(n / host.grid.x % host.grid.y),
                   unsigned(n / host.grid.x / host.grid.y)};
        if (shared > 0) memset(host.dynamic, 0xff, shared);
        poison_shared();
        run_block(kind);
    }
    free(order);
}

/* Run a kernel; 0, or 1 with the reason in host.message. */
inline int launch(void (*kernel)(void **), const unsigned *grid, const unsigned *block, size_t shared, int kind,
                  uint64_t seed, void **arguments) {
    host.failed = false;
    host.message[0] = 0;
    host.at = {0, 0, 0};
    host.grid = {grid[0], grid[1], grid[2]};
    host.block = {block[0], block[1], block[2]};
    size_t threads = size_t(block[0]) * block[1] * block[2];
    if (threads < 1 || threads > size_t(most_threads)) fail("a block of %zu threads", threads);
    if (grid[0] == 0 || grid[1] == 0 || grid[2] == 0) fail("a grid without blocks");
    if (grid[0] > 2147483647u || grid[1] > 65535u || grid[2] > 65535u) fail("a grid of more blocks than a card takes");
    if (shared > most_shared) fail("%zu bytes of shared memory, a card has %zu", shared, most_shared);
    if (host.failed) return 1;
    if (host.stacks == nullptr) {
        void *memory = mmap(nullptr, (most_threads + 1) * stack_bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) {
            fail("no memory for the stacks of the threads");
            return 1;
        }
        host.stacks = static_cast<char *>(memory);
    }
    host.count = int(threads);
    host.kernel = kernel;
    host.arguments = arguments;
    host.random = seed * 2 + 0x9e3779b97f4a7c15ull;
    void *dynamic = nullptr; /* of exactly this size: the address sanitizer guards its end */
    if (shared > 0 && posix_memalign(&dynamic, 128, shared) != 0) fail("no memory");
    host.dynamic = static_cast<unsigned char *>(dynamic);
    if (!host.failed) run_grid(shared, Order(kind));
    free(dynamic);
    return host.failed;
}

/* ---- kernels and their parameters ---- */

/* "f8": floating, of 8 bytes; i and u: integers; V: anything else. */
template <class T> inline int letter(char *text, size_t room, const char *before) {
    using Plain = typename std::remove_cv<T>::type;
    char kind = std::is_floating_point<Plain>::value ? 'f' : !std::is_integral<Plain>::value ? 'V'
                : std::is_signed<Plain>::value       ? 'i'
                                                     : 'u';
    return snprintf(text, room, "%s%c%zu;", before, kind, sizeof(Plain));
}

template <class P> inline int parameter(char *text, size_t room) {
    if constexpr (std::is_pointer<P>::value) {
        using Element = typename std::remove_pointer<P>::type;
        return letter<Element>(text, room, std::is_const<Element>::value ? "in " : "out ");
    } else {
        return letter<P>(text, room, "value ");
    }
}

struct Kernel {
    const char *name;
    void (*call)(void **arguments);
    void (*describe)(char *text, size_t room);
};

template <class... P> inline void describe(void (*)(P...), char *text, size_t room) {
    size_t used = 0;
    text[0] = 0;
    ((used += size_t(parameter<P>(text + used, room - used))), ...);
}

template <class... P, size_t... k>
inline void call(void (*kernel)(P...), void **arguments, std::index_sequence<k...>) {
    kernel(*static_cast<typename std::remove_cv<P>::type *>(arguments[k])...);
}
template <class... P> inline void call(void (*kernel)(P...), void **arguments) {
    call(kernel, arguments, std::index_sequence_for<P...>());
}

template <class T> inline T replace(T *place, T value) {
    T before = *place;
    *place = value;
    return before;
}

} // namespace cuda_host

/* After the kernels: CUDA_HOST_KERNELS(CUDA_HOST_KERNEL(a) CUDA_HOST_KERNEL(b)) */
#define CUDA_HOST_KERNEL(name)                                                                                         \
    {#name, [](void **given) { cuda_host::call(name, given); },                                                        \
     [](char *text, size_t room) { cuda_host::describe(name, text, room); }},
#define CUDA_HOST_KERNELS(...)                                                                                         \
    static const cuda_host::Kernel cuda_host_kernels[] = {__VA_ARGS__};                                                \
    extern "C" int cuda_host_count(void) { return int(sizeof cuda_host_kernels / sizeof *cuda_host_kernels); }         \
    extern "C" const char *cuda_host_name(int k) { return cuda_host_kernels[k].name; }                                 \
    extern "C" void cuda_host_parameters(int k, char *text, size_t room) { cuda_host_kernels[k].describe(text, room); } \
    extern "C" const char *cuda_host_message(void) { return cuda_host::host.message; }                                 \
    extern "C" int cuda_host_launch(int k, const unsigned *grid, const unsigned *block, size_t shared, int order,      \
                                    uint64_t seed, void **arguments) {                                                 \
        return cuda_host::launch(cuda_host_kernels[k].call, grid, block, shared, order, seed, arguments);              \
    }

/* ---- the words of CUDA; from here on no header of the system is read ---- */

#undef __noinline__
#define __global__
#define __device__
#define __host__
#define __noinline__ __attribute__((noinline))
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __constant__ static
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __shared__ static __attribute__((section("cuda_host_shared")))
#define CUDA_HOST_DYNAMIC(type, name) type *name = reinterpret_cast<type *>(cuda_host::host.dynamic)

#define threadIdx (cuda_host::host.current->index)
#define blockIdx (cuda_host::host.at)
#define blockDim (cuda_host::host.block)
#define gridDim (cuda_host::host.grid)
#define warpSize 32

#define __syncthreads() cuda_host::barrier(__LINE__)
#define __syncthreads_or(value) cuda_host::block_vote(__LINE__, cuda_host::any_of, value)
#define __syncthreads_and(value) cuda_host::block_vote(__LINE__, cuda_host::all_of, value)
#define __syncthreads_count(value) cuda_host::block_vote(__LINE__, cuda_host::count_of, value)
#define __syncwarp(...) cuda_host::warp_barrier(__LINE__ __VA_OPT__(, ) __VA_ARGS__)
#define __shfl_sync(...) cuda_host::shuffle(__LINE__, __VA_ARGS__)
#define __shfl_up_sync(...) cuda_host::shuffle_up(__LINE__, __VA_ARGS__)
#define __shfl_down_sync(...) cuda_host::shuffle_down(__LINE__, __VA_ARGS__)
#define __shfl_xor_sync(...) cuda_host::shuffle_xor(__LINE__, __VA_ARGS__)
#define __ballot_sync(mask, value) cuda_host::ballot(__LINE__, mask, value)
#define __any_sync(mask, value) (cuda_host::ballot(__LINE__, mask, value) != 0)
#define __all_sync(mask, value) (cuda_host::ballot(__LINE__, mask, value) == (mask))

/* ---- functions of CUDA that the system's mathematics has not ---- */

template <class A, class B> inline typename std::common_type<A, B>::type min(A a, B b) {
    return b < a ? b : a;
}
template <class A, class B> inline typename std::common_type<A, B>::type max(A a, B b) {
    return a < b ? b : a;
}
inline void sincos(float x, float *sine, float *cosine) {
    *sine = sinf(x);
    *cosine = cosf(x);
}
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
inline float rsqrt(float x) { return 1.0f / sqrtf(x); }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(unsigned(x)); }
inline int __ffs(int x) { return __builtin_ffs(x); }
template <class T> inline T __ldg(const T *place) { return *place; }
inline void __threadfence() {}
inline void __threadfence_block() {}

template <class T> inline T atomicAdd(T *place, T value) { return cuda_host::replace(place, T(*place + value)); }
template <class T> inline T atomicMax(T *place, T value) { return cuda_host::replace(place, max(*place, value)); }
template <class T> inline T atomicMin(T *place, T value) { return cuda_host::replace(place, min(*place, value)); }
template <class T> inline T atomicOr(T *place, T value) { return cuda_host::replace(place, T(*place | value)); }
template <class T> inline T atomicExch(T *place, T value) { return cuda_host::replace(place, value); }
template <class T> inline T atomicCAS(T *place, T expected, T value) {
    return cuda_host::replace(place, *place == expected ? value : *place);
}
