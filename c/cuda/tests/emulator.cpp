/* emulator.h: fibers that take turns, and the instructions of a warp.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "emulator.h"

#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

namespace emulator
{

Position position;

namespace
{

constexpr int WARP = 32;
constexpr size_t STACK = 256 << 10;

enum class State { RUNNING, LOAD, MULTIPLY, BARRIER, ENDED };

struct Copy {
    uint8_t *to;
    const uint8_t *from; /* NULL: zeros */
};

struct Fiber {
    jmp_buf place;
    ucontext_t context;
    int thread;
    bool started;
    State state;
    /* What the instruction that it stands at needs. */
    int size;
    uint32_t *a;
    const uint32_t *factor;
    uint32_t b[2];
    int32_t *acc;
    const uint8_t *row;
    std::vector<Copy> copies;
};

std::vector<Fiber> fibers;
uint8_t *stacks;
Fiber *current;
jmp_buf scheduler;
ucontext_t scheduler_context;
Kernel running_kernel;
const void *running_launch;
uint8_t *running_shared;
size_t running_shared_size;
uint64_t noise_state = 0x9e3779b97f4a7c15;

[[noreturn]] void fail(const char *what)
{
    fprintf(stderr, "emulator: block %d, thread %d: %s\n", position.block, position.thread, what);
    abort();
}

void begin_fiber()
{
    running_kernel(running_launch, running_shared);
    if (!current->copies.empty())
        fail("it ends and has not waited for its copies");
    current->state = State::ENDED;
    _longjmp(scheduler, 1);
}

void wait_in(State state)
{
    Fiber *fiber = current;
    fiber->state = state;
    if (!_setjmp(fiber->place))
        _longjmp(scheduler, 1);
}

void resume(Fiber *fiber)
{
    current = fiber;
    position.thread = fiber->thread;
    fiber->state = State::RUNNING;
    if (_setjmp(scheduler))
        return;
    if (fiber->started)
        _longjmp(fiber->place, 1);
    fiber->started = true;
    swapcontext(&scheduler_context, &fiber->context);
}

bool is_in_shared(const uint8_t *p, size_t size)
{
    return p >= running_shared && p + size <= running_shared + running_shared_size;
}

/* ldmatrix: thread 8 m + r gives row r of matrix m; each thread gets of matrix m the four bytes 4 (lane % 4).. of row lane / 4. */
void load_for(Fiber *lanes)
{
    const int matrices = lanes[0].size;
    for (int m = 0; m < matrices; m++)
        for (int r = 0; r < 8; r++) {
            const uint8_t *row = lanes[8 * m + r].row;
            position.thread = lanes[8 * m + r].thread;
            if (reinterpret_cast<uintptr_t>(row) % 16)
                fail("a row of a matrix is not aligned to 16 bytes");
            if (!is_in_shared(row, 16))
                fail("a row of a matrix is not in shared memory");
            for (int t = 0; t < 4; t++)
                memcpy(&lanes[4 * r + t].a[m], row + 4 * t, 4);
        }
}

/* mma.m16n8k32 and m16n8k16, row.col, s32.u8.s8.s32. g = lane / 4, t = lane % 4:
 * a: register 0 row g, 1 row g + 8, inputs 4 t..; 2, 3 the same rows, inputs 16 + 4 t..
 * b: register 0 inputs 4 t.., 1 inputs 16 + 4 t..; column g
 * acc: 0, 1 row g, columns 2 t, 2 t + 1; 2, 3 row g + 8 */
template <int INPUTS> void multiply_for(Fiber *lanes)
{
    int16_t a[16][INPUTS], b[8][INPUTS];
    for (int lane = 0; lane < WARP; lane++) {
        const int g = lane / 4, t = lane % 4;
        for (int k = 0; k < INPUTS; k += 16)
            for (int i = 0; i < 4; i++) {
                const int input = k + 4 * t + i;
                a[g][input] = static_cast<uint8_t>(lanes[lane].factor[k / 8] >> 8 * i);
                a[g + 8][input] = static_cast<uint8_t>(lanes[lane].factor[k / 8 + 1] >> 8 * i);
                b[g][input] = static_cast<int8_t>(lanes[lane].b[k / 16] >> 8 * i);
            }
    }
    for (int row = 0; row < 16; row++)
        for (int column = 0; column < 8; column++) {
            int32_t sum = 0;
            for (int k = 0; k < INPUTS; k++)
                sum += a[row][k] * b[column][k];
            int32_t &acc = lanes[row % 8 * 4 + column / 2].acc[row / 8 * 2 + column % 2];
            acc = static_cast<int32_t>(static_cast<uint32_t>(acc) + static_cast<uint32_t>(sum));
        }
}

/* Until all threads of the warp have ended or stand at a barrier. */
void run_warp(Fiber *lanes, int count)
{
    for (;;) {
        for (int lane = 0; lane < count; lane++)
            if (lanes[lane].state == State::RUNNING)
                resume(lanes + lane);
        const State state = lanes[0].state;
        if (state == State::LOAD || state == State::MULTIPLY) {
            for (int lane = 0; lane < WARP; lane++)
                if (lane >= count || lanes[lane].state != state || lanes[lane].size != lanes[0].size)
                    fail("the threads of a warp stand at different instructions");
            (state == State::LOAD ? load_for : lanes[0].size == 32 ? multiply_for<32> : multiply_for<16>)(lanes);
            for (int lane = 0; lane < WARP; lane++)
                lanes[lane].state = State::RUNNING;
        } else {
            for (int lane = 0; lane < count; lane++)
                if (lanes[lane].state == State::LOAD || lanes[lane].state == State::MULTIPLY)
                    fail("some threads of a warp stand at a matrix instruction, others do not");
            return;
        }
    }
}

/* On its own: getcontext may return twice for all that the compiler knows. */
__attribute__((noinline)) void begin(Fiber *fiber, int thread)
{
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = stacks + static_cast<size_t>(thread) * STACK;
    fiber->context.uc_stack.ss_size = STACK;
    fiber->context.uc_link = nullptr;
    makecontext(&fiber->context, begin_fiber, 0);
    fiber->thread = thread;
    fiber->started = false;
    fiber->state = State::RUNNING;
}

void run_block(int threads)
{
    const int warps = (threads + WARP - 1) / WARP;
    std::vector<int> order(static_cast<size_t>(warps));
    std::iota(order.begin(), order.end(), 0);
    for (int i = 0; i < threads; i++)
        begin(&fibers[static_cast<size_t>(i)], i);
    for (;;) {
        for (size_t i = order.size(); i > 1; i--)
            std::swap(order[i - 1], order[noise() % i]);
        for (const int warp : order)
            run_warp(&fibers[static_cast<size_t>(warp * WARP)], threads - warp * WARP < WARP ? threads - warp * WARP : WARP);
        const State state = fibers[0].state;
        for (int i = 0; i < threads; i++) {
            Fiber &fiber = fibers[static_cast<size_t>(i)];
            position.thread = i;
            if (fiber.state != state)
                fail("some threads stand at a barrier, others have ended");
            fiber.state = State::RUNNING;
        }
        if (state == State::ENDED)
            return;
    }
}

size_t pages(size_t size)
{
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    return (size + page - 1) / page * page;
}

} // namespace

uint32_t noise()
{
    noise_state ^= noise_state << 13;
    noise_state ^= noise_state >> 7;
    noise_state ^= noise_state << 17;
    return static_cast<uint32_t>(noise_state >> 32);
}

uint8_t *take(size_t size)
{
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE)), whole = pages(size), rounded = (size + 15) / 16 * 16;
    void *p = mmap(nullptr, whole + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return nullptr;
    uint8_t *memory = static_cast<uint8_t *>(p);
    mprotect(memory + whole, page, PROT_NONE);
    for (size_t i = 0; i < whole; i += 4) {
        const uint32_t word = noise();
        memcpy(memory + i, &word, 4);
    }
    return memory + whole - rounded;
}

void give_back(uint8_t *memory, size_t size)
{
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE)), whole = pages(size), rounded = (size + 15) / 16 * 16;
    munmap(memory + rounded - whole, whole + page);
}

void synchronize()
{
    wait_in(State::BARRIER);
}

void load_matrix(uint32_t *a, const uint8_t *row, int matrices)
{
    current->a = a;
    current->row = row;
    current->size = matrices;
    wait_in(State::LOAD);
}

void multiply(int32_t *acc, const uint32_t *a, const uint32_t *b, int inputs)
{
    current->acc = acc;
    current->factor = a;
    current->size = inputs;
    current->b[0] = b[0];
    if (inputs == 32)
        current->b[1] = b[1];
    wait_in(State::MULTIPLY);
}

void copy_16(uint8_t *shared, const uint8_t *global, bool there)
{
    if (reinterpret_cast<uintptr_t>(shared) % 16 || reinterpret_cast<uintptr_t>(global) % 16)
        fail("a copy is not aligned to 16 bytes");
    if (!is_in_shared(shared, 16))
        fail("a copy leads out of shared memory");
    for (int i = 0; i < 16; i++)
        shared[i] = static_cast<uint8_t>(noise());
    current->copies.push_back({shared, there ? global : nullptr});
}

void wait_for_copies()
{
    for (const Copy &copy : current->copies)
        if (copy.from)
            memcpy(copy.to, copy.from, 16);
        else
            memset(copy.to, 0, 16);
    current->copies.clear();
}

void run(Kernel kernel, const void *launch, int blocks, int threads, size_t shared_size)
{
    if (fibers.size() < static_cast<size_t>(threads)) {
        munmap(stacks, fibers.size() * STACK);
        fibers.resize(static_cast<size_t>(threads));
        void *p = mmap(nullptr, fibers.size() * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED)
            fail("no memory for the stacks");
        stacks = static_cast<uint8_t *>(p);
    }
    running_kernel = kernel;
    running_launch = launch;
    running_shared_size = shared_size;
    position.threads = threads;
    position.blocks = blocks;
    for (int block = 0; block < blocks; block++) {
        running_shared = take(shared_size);
        position.block = block;
        run_block(threads);
        give_back(running_shared, shared_size);
    }
}

} // namespace emulator
