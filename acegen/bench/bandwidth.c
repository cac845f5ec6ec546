/* Read bandwidth of one core: a buffer of a given size is summed with vector loads, again and again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif

typedef double doubles __attribute__((vector_size(BYTES)));

double *stream_new(int64_t bytes);
void stream_free(double *buffer);
double stream_read(const double *buffer, int64_t bytes, int64_t sweeps);

/* A buffer whose pages are really there. */
double *stream_new(int64_t bytes)
{
    double *buffer = aligned_alloc(64, (size_t)bytes);
    if (buffer)
        memset(buffer, 0, (size_t)bytes);
    return buffer;
}

void stream_free(double *buffer) { free(buffer); }

/* Eight independent sums hide the latency of the additions; `bytes` is a multiple of 512. */
double stream_read(const double *buffer, int64_t bytes, int64_t sweeps)
{
    doubles s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0}, s4 = {0}, s5 = {0}, s6 = {0}, s7 = {0};
    for (int64_t sweep = 0; sweep < sweeps; sweep++) {
        const doubles *at = (const doubles *)buffer, *const end = at + bytes / BYTES;
        for (; at < end; at += 8) {
            s0 += at[0], s1 += at[1], s2 += at[2], s3 += at[3];
            s4 += at[4], s5 += at[5], s6 += at[6], s7 += at[7];
        }
        __asm__ volatile("" ::: "memory"); /* every sweep reads again */
    }
    const doubles sum = s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7;
    double total = 0.0;
    for (int lane = 0; lane < (int)(BYTES / sizeof(double)); lane++)
        total += sum[lane];
    return total;
}
