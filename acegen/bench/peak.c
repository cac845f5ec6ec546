/* Floating-point peak: independent chains of vector multiply-adds, nothing else. */
#include <stdint.h>

#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif

typedef double doubles __attribute__((vector_size(BYTES)));
typedef float floats __attribute__((vector_size(BYTES)));

/* 12 chains hide a latency of 6 cycles on 2 pipes and fit 16 registers. */
#define CHAINS(vector, scalar, n, factor)                                                       \
    const vector b = (vector){0} + (scalar)(factor), c = (vector){0} + (scalar)1e-9;            \
    vector a0 = b, a1 = b + b, a2 = a1 + b, a3 = a2 + b, a4 = a3 + b, a5 = a4 + b;              \
    vector a6 = a5 + b, a7 = a6 + b, a8 = a7 + b, a9 = a8 + b, a10 = a9 + b, a11 = a10 + b;     \
    for (int64_t q = 0; q < n; q++) {                                                           \
        a0 = a0 * b + c, a1 = a1 * b + c, a2 = a2 * b + c, a3 = a3 * b + c;                     \
        a4 = a4 * b + c, a5 = a5 * b + c, a6 = a6 * b + c, a7 = a7 * b + c;                     \
        a8 = a8 * b + c, a9 = a9 * b + c, a10 = a10 * b + c, a11 = a11 * b + c;                 \
    }                                                                                           \
    const vector sum = a0 + a1 + a2 + a3 + a4 + a5 + a6 + a7 + a8 + a9 + a10 + a11;             \
    double total = 0.0;                                                                         \
    for (int lane = 0; lane < (int)(BYTES / sizeof(scalar)); lane++)                            \
        total += (double)sum[lane];                                                             \
    return total;

int64_t peak_bytes(void);
double peak_float64(int64_t n, double factor);
double peak_float32(int64_t n, double factor);

int64_t peak_bytes(void) { return BYTES; }
double peak_float64(int64_t n, double factor) { CHAINS(doubles, double, n, factor) }
double peak_float32(int64_t n, double factor) { CHAINS(floats, float, n, factor) }
