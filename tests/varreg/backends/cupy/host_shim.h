// cuda_host_shim.h - run CUDA C kernels on the host, for TESTS of their numerics.
// Every CUDA thread of a block is a fiber (ucontext to start, _setjmp/_longjmp to switch);
// blocks run one after the other.  A fiber runs until __syncthreads / a warp intrinsic / return.
// Kernels that never synchronise are run as a plain loop (SHIM_DIRECT).
// Build flavours: default | -fsanitize=address,undefined | -DSHIM_TSAN -fsanitize=thread (race check)
#pragma once
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <setjmp.h>
#include <string>
#include <sys/mman.h>
#include <tuple>
#include <type_traits>
#include <ucontext.h>
#include <utility>
#include <vector>
#include <algorithm>
#ifdef SHIM_TSAN
extern "C" { void* __tsan_create_fiber(unsigned); void __tsan_destroy_fiber(void*);
             void __tsan_switch_to_fiber(void*, unsigned); void* __tsan_get_current_fiber();
             void __tsan_acquire(void*); void __tsan_release(void*); }
#define SHIM_UCONTEXT
#define SHIM_NS __attribute__((no_sanitize_thread))   // the scheduler itself is not checked
#else
#define SHIM_NS
#endif
#if defined(__SANITIZE_ADDRESS__)
extern "C" { void __sanitizer_start_switch_fiber(void**, const void*, size_t);
             void __sanitizer_finish_switch_fiber(void*, const void**, size_t*); }
#define SHIM_UCONTEXT
#endif

#define __global__
#define __device__
#define __host__
#define __constant__ const
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x, y, z; };
struct float2 { float x, y; }; struct float3 { float x, y, z; };
struct __attribute__((aligned(16))) float4 { float x, y, z, w; };
struct int2 { int x, y; }; struct int3 { int x, y, z; };
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float3 make_float3(float x, float y, float z) { return {x, y, z}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

static uint3 threadIdx, blockIdx;
static dim3 blockDim, gridDim;
static const int warpSize = 32;

namespace shim {
struct Launch { unsigned g[3], b[3], shmem, flags, seed; };     // flags: bit0 DIRECT, bits1-2 order
enum St : int { READY, WAIT_BLOCK, WAIT_WARP, DONE };
struct Fiber {
    ucontext_t uc; jmp_buf jb; char* stack = nullptr; bool live = false;
    St st = DONE; uint3 tid; int line = 0; unsigned mask = 0, active = 0; int parity = 0, gen = 0;
    alignas(16) unsigned char xch[2][16];
    void* tf = nullptr; void* fake = nullptr;
};
#ifdef SHIM_TSAN
static const size_t STACK = 32 << 10, GUARD = 4096;     // use small launches: at most ~8000 threads in all
#else
static const size_t STACK = 128 << 10, GUARD = 4096;
#endif
static std::vector<Fiber> F;
static Fiber* cur = nullptr;
static ucontext_t sched_uc; static jmp_buf sched_jb;
static void* sched_tf; static void* sched_fake; static const void* main_bot; static size_t main_sz;
static void (*job)(void*); static void* job_ctx;
static std::string err;
static char bar[2], start_sync, end_sync, warp_bar[32][2];

// ---- shared memory arena: poisoned with 0xFF (NaN / -1) before every block, guard at the end
static std::vector<unsigned char> arena; static unsigned char* arena_p; static size_t dyn_size, st_used;
static int slot_id[64]; static size_t slot_off[64]; static int nslot;
SHIM_NS static void fail(const char* m) { if (err.empty()) err = m; }
static const size_t ARENA = 256 << 10, STATIC0 = 232 << 10;
SHIM_NS static inline void* dyn() { return arena_p; }
SHIM_NS static void* slot(int id, size_t sz) {
    for (int i = 0; i < nslot; i++) if (slot_id[i] == id) return arena_p + slot_off[i];
    size_t o = (st_used + 127) & ~size_t(127); st_used = o + sz;
    if (nslot == 64 || st_used > ARENA) { fail("too much static shared memory"); return arena_p; }
    slot_id[nslot] = id; slot_off[nslot++] = o;
    return arena_p + o;
}


SHIM_NS static inline void to_sched() {
    Fiber* me = cur;
#ifdef SHIM_UCONTEXT
# if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&me->fake, main_bot, main_sz);
# endif
# ifdef SHIM_TSAN
    __tsan_switch_to_fiber(sched_tf, 1);
# endif
    swapcontext(&me->uc, &sched_uc);
# if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(me->fake, &main_bot, &main_sz);
# endif
#else
    if (!_setjmp(me->jb)) _longjmp(sched_jb, 1);
#endif
}
SHIM_NS static void entry() {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(nullptr, &main_bot, &main_sz);
#endif
    for (;;) {
#ifdef SHIM_TSAN
        __tsan_acquire(&start_sync);
#endif
        job(job_ctx);
#ifdef SHIM_TSAN
        __tsan_release(&end_sync);
#endif
        cur->st = DONE;
        to_sched();
    }
}
SHIM_NS static inline void run(Fiber& f) {
    cur = &f; threadIdx = f.tid;
#ifdef SHIM_UCONTEXT
# if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&sched_fake, f.stack + GUARD, STACK);
# endif
# ifdef SHIM_TSAN
    __tsan_switch_to_fiber(f.tf, 1);
# endif
    f.live = true;
    swapcontext(&sched_uc, &f.uc);
# if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(sched_fake, nullptr, nullptr);
# endif
#else
    if (!_setjmp(sched_jb)) {
        if (f.live) _longjmp(f.jb, 1);
        f.live = true; setcontext(&f.uc);
    }
#endif
    cur = nullptr;
}
SHIM_NS static void prepare(Fiber& f) {
#ifdef SHIM_TSAN
    if (!f.stack) f.stack = (char*)malloc(STACK + GUARD);   // fresh per block: no false races on stack reuse
#else
    if (!f.stack) {
        f.stack = (char*)mmap(nullptr, STACK + GUARD, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        mprotect(f.stack, GUARD, PROT_NONE);
    }
#endif
    if (!f.live) {
        getcontext(&f.uc); f.uc.uc_stack.ss_sp = f.stack + GUARD; f.uc.uc_stack.ss_size = STACK;
        f.uc.uc_link = nullptr; makecontext(&f.uc, (void (*)())entry, 0);
    }
}

SHIM_NS static inline void block_barrier(int line) {
    if (!cur) { fail("__syncthreads() in a kernel launched as DIRECT (no-sync)"); return; }
    Fiber* me = cur; me->st = WAIT_BLOCK; me->line = line;
#ifdef SHIM_TSAN
    char* b = &bar[me->gen++ & 1]; __tsan_release(b); to_sched(); __tsan_acquire(b);
#else
    to_sched();
#endif
}
SHIM_NS static inline int linear(const uint3& t) { return (t.z * blockDim.y + t.y) * blockDim.x + t.x; }
SHIM_NS static inline int lane() { return cur ? linear(cur->tid) & 31 : 0; }
SHIM_NS static inline void warp_barrier(unsigned mask, int line) {
    if (!cur) { fail("warp intrinsic in a kernel launched as DIRECT (no-sync)"); return; }
    Fiber* me = cur; me->st = WAIT_WARP; me->line = line; me->mask = mask;
    if (!(mask >> (linear(me->tid) & 31) & 1)) fail("warp intrinsic: calling lane is not in its own mask");
#ifdef SHIM_TSAN
    char* b = &warp_bar[linear(me->tid) >> 5][me->parity & 1];
    __tsan_release(b); to_sched(); __tsan_acquire(b);
#else
    to_sched();
#endif
}
SHIM_NS static inline void syncwarp(int line, unsigned mask = 0xffffffffu) { warp_barrier(mask, line); if (cur) cur->parity++; }
template <class T> SHIM_NS static T shfl(unsigned mask, T v, int src, int line) {
    static_assert(sizeof(T) <= 16, "shuffle type");
    if (!cur) { fail("warp intrinsic in a kernel launched as DIRECT (no-sync)"); return v; }
    Fiber* me = cur; int p = me->parity & 1; memcpy(me->xch[p], &v, sizeof v);
    warp_barrier(mask, line); me->parity++;
    int base = linear(me->tid) & ~31; T r; memset(&r, 0xFF, sizeof r);          // poison
    if (me->active >> src & 1) memcpy(&r, F[base + src].xch[p], sizeof r);
    return r;
}
SHIM_NS static inline unsigned ballot(unsigned mask, int pred, int line) {
    unsigned r = 0; int me = linear(cur->tid) & 31; Fiber* c = cur; int p = c->parity & 1;
    memcpy(c->xch[p], &pred, sizeof pred); warp_barrier(mask, line); c->parity++;
    int base = linear(c->tid) - me;
    for (int l = 0; l < 32; l++)
        if (c->active >> l & 1) { int q; memcpy(&q, F[base + l].xch[p], sizeof q); if (q) r |= 1u << l; }
    return r;
}

SHIM_NS static bool release_warp(int w, int nt) {
    int lo = w * 32, hi = std::min(lo + 32, nt); Fiber* first = nullptr;
    for (int i = lo; i < hi; i++) if (F[i].st == WAIT_WARP) { first = &F[i]; break; }
    if (!first) return false;
    for (int i = lo; i < hi; i++) {
        if (!(first->mask >> (i - lo) & 1) || F[i].st == DONE) continue;      // exited lanes do not block
        if (F[i].st != WAIT_WARP || F[i].mask != first->mask || F[i].line != first->line) return false;
    }
    unsigned act = 0;
    for (int i = lo; i < hi; i++) if ((first->mask >> (i - lo) & 1) && F[i].st == WAIT_WARP) act |= 1u << (i - lo);
    for (int i = lo; i < hi; i++) if (act >> (i - lo) & 1) { F[i].st = READY; F[i].active = act; }
    return true;
}

static std::vector<unsigned char*> arenas; static std::vector<void*> fibers;   // TSan: freed after the launch
static uint32_t rs; SHIM_NS static inline uint32_t rnd() { rs ^= rs << 13; rs ^= rs >> 17; rs ^= rs << 5; return rs; }

template <class Call> SHIM_NS static int grid(const Launch* L, Call&& call) {
    err.clear(); gridDim = {L->g[0], L->g[1], L->g[2]}; blockDim = {L->b[0], L->b[1], L->b[2]};
    const int nt = L->b[0] * L->b[1] * L->b[2];
    if (nt < 1 || nt > 1024 || L->b[2] > 64) { fail("invalid block: >1024 threads or blockDim.z>64"); return 1; }
    if (L->g[0] < 1 || L->g[1] < 1 || L->g[2] < 1 || L->g[1] > 65535 || L->g[2] > 65535) { fail("invalid grid (zero, or y/z > 65535)"); return 1; }
    if (arena.empty()) arena.resize(ARENA + 256);
    if (L->shmem > STATIC0) { fail("too much dynamic shared memory"); return 1; }
    dyn_size = L->shmem; st_used = STATIC0; nslot = 0; arena_p = arena.data();
    const bool direct = L->flags & 1; const int order = L->flags >> 1 & 3; rs = L->seed * 2654435761u + 1;
    job = [](void* c) { (*static_cast<std::remove_reference_t<Call>*>(c))(); }; job_ctx = (void*)&call;
    if ((int)F.size() < nt) { std::vector<Fiber> n(nt); F.swap(n); }
    const long nblk = (long)L->g[0] * L->g[1] * L->g[2]; const int nwarp = (nt + 31) / 32;
    std::vector<int> wo(nwarp), lo(32); for (int i = 0; i < nwarp; i++) wo[i] = i; for (int i = 0; i < 32; i++) lo[i] = i;
    if (order == 1) { std::reverse(wo.begin(), wo.end()); std::reverse(lo.begin(), lo.end()); }
    for (long bb = 0; bb < nblk; bb++) {
        const long b = order == 1 ? nblk - 1 - bb : bb;
        blockIdx = {unsigned(b % L->g[0]), unsigned(b / L->g[0] % L->g[1]), unsigned(b / ((long)L->g[0] * L->g[1]))};
        if (direct) {
            for (unsigned z = 0; z < blockDim.z; z++) for (unsigned y = 0; y < blockDim.y; y++)
                for (unsigned x = 0; x < blockDim.x; x++) { threadIdx = {x, y, z}; call(); }
            if (!err.empty()) return 1;
            continue;
        }
#ifdef SHIM_TSAN   // a fresh arena per block, and no happens-before between blocks
        arena_p = (unsigned char*)malloc(ARENA + 256); arenas.push_back(arena_p);
#endif
        memset(arena_p, 0xFF, std::min(dyn_size + 256, STATIC0)); memset(arena_p + STATIC0, 0xFF, ARENA - STATIC0);
        for (int i = 0; i < nt; i++) {
            Fiber& f = F[i]; prepare(f); f.st = READY; f.gen = f.parity = 0;
            f.tid = {i % blockDim.x, i / blockDim.x % blockDim.y, i / (blockDim.x * blockDim.y)};
#ifdef SHIM_TSAN
            f.tf = __tsan_create_fiber(0);
#endif
        }
#ifdef SHIM_TSAN
        sched_tf = __tsan_get_current_fiber(); __tsan_release(&start_sync);
#endif
        if (order == 2) for (int i = nwarp - 1; i > 0; i--) std::swap(wo[i], wo[rnd() % (i + 1)]);
        for (;;) {
            bool any = false;
            for (int wi : wo) {
                do {
                    if (order == 2) for (int i = 31; i > 0; i--) std::swap(lo[i], lo[rnd() % (i + 1)]);
                    for (int l : lo) { int i = wi * 32 + l; if (i < nt && F[i].st == READY) { run(F[i]); any = true; } }
                } while (release_warp(wi, nt) && err.empty());
            }
            int done = 0, wb = 0, line = 0; bool same = true;
            for (int i = 0; i < nt; i++) {
                if (F[i].st == DONE) done++;
                if (F[i].st == WAIT_BLOCK) { wb++; if (!line) line = F[i].line; same &= line == F[i].line; }
            }
            if (done == nt || !err.empty()) break;
            if (wb == nt) {
                if (!same) { fail("divergent __syncthreads(): threads wait at different source lines"); break; }
                for (int i = 0; i < nt; i++) F[i].st = READY;
            } else if (wb + done == nt) { fail("__syncthreads() not reached by all threads (some returned early)"); break; }
            else if (!any) { fail("deadlock: warp intrinsic not reached by every lane of its mask"); break; }
        }
        if (err.empty()) for (size_t i = dyn_size; i < dyn_size + 256 && i < STATIC0; i++)
            if (arena_p[i] != 0xFF) { fail("write past the end of dynamic shared memory"); break; }
#ifdef SHIM_TSAN
        for (int i = 0; i < nt; i++) { fibers.push_back(F[i].tf); arenas.push_back((unsigned char*)F[i].stack); F[i].stack = nullptr; F[i].live = false; }
#endif
        if (!err.empty()) { for (int i = 0; i < nt; i++) F[i].live = false; break; }
    }
#ifdef SHIM_TSAN
    __tsan_acquire(&end_sync); for (auto a : arenas) free(a); arenas.clear();
    for (auto t : fibers) __tsan_destroy_fiber(t);      // only now: a reused id would look like program order
    fibers.clear();
#endif
    return err.empty() ? 0 : 1;
}

// ---- argument unpacking exactly like cuLaunchKernel: raw bytes reinterpreted as the declared type
template <class... A, size_t... I>
static int call_impl(void (*k)(A...), const Launch* L, void** a, std::index_sequence<I...>) {
    std::tuple<A...> t{*static_cast<std::remove_reference_t<A>*>(a[I])...};
    return grid(L, [&] { k(std::get<I>(t)...); });
}
template <class... A> static int launch(void (*k)(A...), const Launch* L, void** a) {
    return call_impl(k, L, a, std::index_sequence_for<A...>{});
}
// ---- exported signature so Python can check dtype / pointer-ness / const-ness
template <class T> static std::string tn() {
    using U = std::remove_cv_t<T>;
    if constexpr (std::is_pointer_v<U>) { using V = std::remove_pointer_t<U>; return std::string(std::is_const_v<V> ? "*c" : "*w") + tn<V>(); }
    else if constexpr (std::is_same_v<U, bool>) return "b1";
    else if constexpr (std::is_floating_point_v<U>) return "f" + std::to_string(sizeof(U));
    else if constexpr (std::is_integral_v<U>) return (std::is_signed_v<U> ? "i" : "u") + std::to_string(sizeof(U));
    else return "V" + std::to_string(sizeof(U));
}
template <class... A> static const char* sig(void (*)(A...)) { static std::string s; s.clear(); ((s += tn<A>() + ","), ...); return s.c_str(); }
}  // namespace shim

#define __syncthreads() shim::block_barrier(__LINE__)
#define __syncwarp(...) shim::syncwarp(__LINE__, ##__VA_ARGS__)
#define SHIM_LANE shim::lane()
// the optional `width` argument is not supported: passing it is a compile error
#define __shfl_sync(m, v, s)      shim::shfl(m, v, (s) & 31, __LINE__)
#define __shfl_down_sync(m, v, d) shim::shfl(m, v, SHIM_LANE + (int)(d) > 31 ? SHIM_LANE : SHIM_LANE + (int)(d), __LINE__)
#define __shfl_up_sync(m, v, d)   shim::shfl(m, v, SHIM_LANE - (int)(d) < 0 ? SHIM_LANE : SHIM_LANE - (int)(d), __LINE__)
#define __shfl_xor_sync(m, v, x)  shim::shfl(m, v, SHIM_LANE ^ (x), __LINE__)
#define __ballot_sync(m, p) shim::ballot(m, !!(p), __LINE__)
#define __any_sync(m, p) (shim::ballot(m, !!(p), __LINE__) != 0)
#define __all_sync(m, p) (shim::ballot(m, !(p), __LINE__) == 0)
#define __threadfence() ((void)0)
#define __threadfence_block() ((void)0)
// static and dynamic shared memory: host_module.py rewrites the two declaration forms to these
#define SHIM_SHARED(T, name, dims) typedef T shim_t_##name dims; \
    shim_t_##name& name = *reinterpret_cast<shim_t_##name*>(shim::slot(__LINE__, sizeof(shim_t_##name)))
#define SHIM_DYN_SHARED(T, name) T* const name = reinterpret_cast<T*>(shim::dyn())

#ifdef SHIM_TSAN
template <class T, class Op> static T shim_rmw(T* p, Op op) {
    using U = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>; U o = __atomic_load_n((U*)p, __ATOMIC_RELAXED), n; T v, w;
    do { memcpy(&v, &o, sizeof v); w = op(v); memcpy(&n, &w, sizeof w); }
    while (!__atomic_compare_exchange_n((U*)p, &o, n, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return v;
}
#else
template <class T, class Op> static inline T shim_rmw(T* p, Op op) { T v = *p; *p = op(v); return v; }
#endif
#define SHIM_AT(name, T, expr) static inline T name(T* p, T x) { return shim_rmw(p, [=](T v) -> T { return expr; }); }
SHIM_AT(atomicAdd, float, v + x) SHIM_AT(atomicAdd, double, v + x) SHIM_AT(atomicAdd, int, v + x)
SHIM_AT(atomicAdd, unsigned, v + x) SHIM_AT(atomicAdd, unsigned long long, v + x)
SHIM_AT(atomicMax, int, v > x ? v : x) SHIM_AT(atomicMax, unsigned, v > x ? v : x)
SHIM_AT(atomicMin, int, v < x ? v : x) SHIM_AT(atomicMin, unsigned, v < x ? v : x)
SHIM_AT(atomicExch, float, x) SHIM_AT(atomicExch, int, x) SHIM_AT(atomicOr, unsigned, v | x)
static inline int atomicCAS(int* p, int c, int x) { return shim_rmw(p, [=](int v) { return v == c ? x : v; }); }

static inline int min(int a, int b) { return a < b ? a : b; }
static inline int max(int a, int b) { return a > b ? a : b; }
static inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
static inline unsigned max(unsigned a, unsigned b) { return a > b ? a : b; }
static inline float min(float a, float b) { return fminf(a, b); }
static inline float max(float a, float b) { return fmaxf(a, b); }
static inline double min(double a, double b) { return fmin(a, b); }
static inline double max(double a, double b) { return fmax(a, b); }
template <class T> static inline T __ldg(const T* p) { return *p; }
static inline float rsqrtf(float x) { return 1.f / sqrtf(x); }
#define __expf expf      // glibc already declares __expf/__logf
#define __logf logf
static inline float __fdividef(float a, float b) { return a / b; }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
static inline float __fmul_rn(float a, float b) { volatile float r = a * b; return r; }
static inline float __fadd_rn(float a, float b) { volatile float r = a + b; return r; }
static inline int __float2int_rd(float x) { return (int)floorf(x); }
static inline int __float2int_rn(float x) { return (int)nearbyintf(x); }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
