"""CUDA sources for tests of the host shim: good ones, ones with mistakes, and wrong addresses."""

from __future__ import annotations

# Sums, transposition, shuffles and votes: right in any order.
GOOD = r"""
/* extern "C" __global__ void not_a_kernel(int) */
#ifndef REAL
#define REAL double
#endif
typedef REAL real;
__constant__ real factors[2] = {1, 2};

/* Sum of the block's values by a tree in shared memory. */
__device__ static real tree(real *partial, real value)
{
    partial[threadIdx.x] = value;
    __syncthreads();
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
        __syncthreads();
    }
    return partial[0];
}

extern "C" __global__ void __launch_bounds__(128) sums(const real *values, double *out, long long count)
{
    extern __shared__ real partial[];
    long long k = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    real sum = tree(partial, k < count ? values[k] : (real)0);
    if (threadIdx.x == 0) out[blockIdx.x] = factors[1] * sum;
}

extern "C" __global__ void transpose(const int *from, int *to, int n)
{
    __shared__ int tile[8][9];
    int x = blockIdx.x * 8 + threadIdx.x, y = blockIdx.y * 8 + threadIdx.y;
    tile[threadIdx.y][threadIdx.x] = from[y * n + x];
    __syncthreads();
    to[(blockIdx.x * 8 + threadIdx.y) * n + blockIdx.y * 8 + threadIdx.x] = tile[threadIdx.x][threadIdx.y];
}

extern "C" __global__ void lanes(const double *values, double *out, int *bits)
{
    unsigned all = 0xffffffffu, t = threadIdx.x;
    double sum = values[t];
    for (int by = 16; by > 0; by /= 2) sum += __shfl_down_sync(all, sum, by);
    sum = __shfl_sync(all, sum, 0);
    double twin = __shfl_xor_sync(all, values[t], 1), before = __shfl_up_sync(all, values[t], 1, 8);
    __syncwarp();
    out[3 * t] = sum, out[3 * t + 1] = twin, out[3 * t + 2] = before;
    bits[2 * t] = (int)__ballot_sync(all, t % 3 == 0);
    bits[2 * t + 1] = __syncthreads_count(t % 5 == 0);
}

extern "C" __global__ void pairs(const double2 *values, double *out) { out[threadIdx.x] = values[threadIdx.x].y; }
"""


# Every kernel breaks one rule.
BAD = r"""
extern "C" __global__ void reads_ahead(double *out)
{
    __shared__ double row[64];
    row[threadIdx.x] = threadIdx.x;
    out[threadIdx.x] = row[(threadIdx.x + 1) % 64]; /* no barrier */
}

extern "C" __global__ void reads_behind(double *out)
{
    __shared__ double row[64];
    row[threadIdx.x] = threadIdx.x;
    out[threadIdx.x] = threadIdx.x ? row[threadIdx.x - 1] : 0.0; /* no barrier */
}

extern "C" __global__ void last_one_wins(double *out) { out[0] = threadIdx.x + 64 * blockIdx.x; }

extern "C" __global__ void never_written(double *out)
{
    __shared__ double row[64];
    if (threadIdx.x != 7) row[threadIdx.x] = 1.0;
    __syncthreads();
    out[threadIdx.x] = row[threadIdx.x];
}

extern "C" __global__ void left_early(double *out, int n)
{
    if ((int)threadIdx.x >= n) return;
    __syncthreads();
    out[threadIdx.x] = 1.0;
}

extern "C" __global__ void two_barriers(double *out)
{
    if (threadIdx.x < 32) {
        __syncthreads();
    } else {
        __syncthreads();
    }
    out[threadIdx.x] = 1.0;
}

extern "C" __global__ void lane_missing(double *out)
{
    double x = 1.0;
    if (threadIdx.x != 3) x = __shfl_xor_sync(0xffffffffu, x, 1);
    out[threadIdx.x] = x;
}

extern "C" __global__ void half_a_warp(double *out)
{
    double x = threadIdx.x;
    if (threadIdx.x % 32 < 16) x = __shfl_sync(0xffffffffu, x, 0);
    else x = __shfl_sync(0xffffffffu, x, 16);
    out[threadIdx.x] = x;
}

extern "C" __global__ void outside_mask(double *out)
{
    double x = threadIdx.x;
    if (threadIdx.x < 16) x = __shfl_sync(0x0000ffffu, x, 20);
    out[threadIdx.x] = x;
}

__device__ __noinline__ double deep(double *out, int depth)
{
    volatile double local[512];
    for (int k = 0; k < 512; k++) local[k] = depth;
    return depth == 0 ? local[0] : deep(out, depth - 1) + local[depth % 512];
}

extern "C" __global__ void too_deep(double *out, int depth) { out[threadIdx.x] = deep(out, depth); }
"""


# Kernels with one wrong address each; index 0 of `where` is good.
ADDRESSES = r"""
extern "C" __global__ void beyond(double *out, int where) { out[threadIdx.x + where] = 1.0; }

extern "C" __global__ void beyond_shared(double *out, int where)
{
    __shared__ double row[64], other[64];
    other[threadIdx.x] = 1.0;
    double *moved = row + where;
    moved[threadIdx.x] = 2.0;
    __syncthreads();
    out[threadIdx.x] = row[threadIdx.x] + other[threadIdx.x];
}

extern "C" __global__ void beyond_dynamic(double *out, int where)
{
    extern __shared__ double row[];
    row[threadIdx.x + where] = 2.0;
    __syncthreads();
    out[threadIdx.x] = row[threadIdx.x];
}

extern "C" __global__ void misaligned(double *out, int where)
{
    const double2 *two = (const double2 *)(out + where);
    out[threadIdx.x] = two[0].x;
}

extern "C" __global__ void overflow(double *out, int where)
{
    out[threadIdx.x] = (2147483647 - 64 * !where) + (int)threadIdx.x;
}
"""
