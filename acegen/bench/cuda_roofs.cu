/* Ceilings of a card: multiply-adds in both precisions, reads of shared memory, a copy through its memory. */

/* Multiply-adds of one round: eight chains hide the latency, eight steps the loop. */
template <typename real> static __device__ double chained(long long n, real factor)
{
    const real b = factor, c = (real)1e-9;
    real a0 = b + (real)threadIdx.x, a1 = a0 + b, a2 = a1 + b, a3 = a2 + b;
    real a4 = a3 + b, a5 = a4 + b, a6 = a5 + b, a7 = a6 + b;
    for (long long q = 0; q < n; q++) {
#pragma unroll
        for (int step = 0; step < 8; step++) {
            a0 = a0 * b + c, a1 = a1 * b + c, a2 = a2 * b + c, a3 = a3 * b + c;
            a4 = a4 * b + c, a5 = a5 * b + c, a6 = a6 * b + c, a7 = a7 * b + c;
        }
    }
    return (double)(((a0 + a1) + (a2 + a3)) + ((a4 + a5) + (a6 + a7)));
}

/* out [threads]; n rounds of 64 multiply-adds in each thread. */
extern "C" __global__ void chains_double(long long n, double factor, double *out)
{
    out[(long long)blockIdx.x * blockDim.x + threadIdx.x] = chained<double>(n, factor);
}

extern "C" __global__ void chains_float(long long n, double factor, double *out)
{
    out[(long long)blockIdx.x * blockDim.x + threadIdx.x] = chained<float>(n, (float)factor);
}

/* n pairs of doubles, one a thread. */
extern "C" __global__ void copy_pairs(long long n, const double2 *from, double2 *to)
{
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        to[i] = from[i];
}

/* out [threads]; n rounds of 8 doubles read in each thread, neighbours beside each other: no bank is asked twice. */
extern "C" __global__ void shared_reads(long long n, double step, double *out)
{
    __shared__ double cells[2048];
    for (int k = threadIdx.x; k < 2048; k += blockDim.x)
        cells[k] = step * k;
    __syncthreads();
    double s0 = 0, s1 = 0, s2 = 0, s3 = 0, s4 = 0, s5 = 0, s6 = 0, s7 = 0;
    int at = threadIdx.x & 1023;
    for (long long q = 0; q < n; q++) {
        s0 += cells[at], s1 += cells[at + 128], s2 += cells[at + 256], s3 += cells[at + 384];
        s4 += cells[at + 512], s5 += cells[at + 640], s6 += cells[at + 768], s7 += cells[at + 896];
        at = (at + 1) & 1023;
    }
    out[(long long)blockIdx.x * blockDim.x + threadIdx.x] = ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7));
}
