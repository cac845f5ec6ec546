/* How far atoms have moved; joined to neighbours_grid.cu. */

/* Displacement now - then . strain of an atom, where the cell of its structure was strained since. */
static __device__ void displacement(
    const double *__restrict__ now, const double *__restrict__ then, const double *__restrict__ strain, double u[3])
{
    const double place[3] = {now[0], now[1], now[2]}, before[3] = {then[0], then[1], then[2]};
    add_product(place, -1.0, before, strain, u);
}

/* Sums of the displacements of part of a structure, sums[n_systems][n_parts][3]: one block a part. */
extern "C" __global__ void __launch_bounds__(PART_BLOCK) drift(
    int64 n_parts, int64 part_atoms, const int64 *__restrict__ first_atom, const double *__restrict__ now,
    const double *__restrict__ then, const double *__restrict__ strains, double *__restrict__ sums)
{
    __shared__ double own[3][PART_BLOCK];
    const int64 system = blockIdx.x / n_parts, part = blockIdx.x % n_parts;
    const int64 start = first_atom[system] + part * part_atoms, end = first_atom[system + 1];
    const int64 stop = end < start + part_atoms ? end : start + part_atoms;
    double sum[3] = {0.0, 0.0, 0.0};
    for (int64 i = start + threadIdx.x; i < stop; i += PART_BLOCK) {
        double u[3];
        displacement(now + 3 * i, then + 3 * i, strains + 9 * system, u);
        for (int c = 0; c < 3; c++)
            sum[c] += u[c];
    }
    for (int c = 0; c < 3; c++)
        own[c][threadIdx.x] = sum[c];
    for (int half = PART_BLOCK / 2; half > 0; half /= 2) {
        __syncthreads();
        if ((int)threadIdx.x < half)
            for (int c = 0; c < 3; c++)
                own[c][threadIdx.x] += own[c][threadIdx.x + half];
    }
    __syncthreads();
    if (threadIdx.x < 3)
        sums[blockIdx.x * (int64)3 + threadIdx.x] = own[threadIdx.x][0];
}

/* Largest square of displacement less mean displacement in part of a structure, most[n_systems][n_parts][2], and
 * behind it 1 where a position is no number. */
extern "C" __global__ void __launch_bounds__(PART_BLOCK) farthest(
    int64 n_parts, int64 part_atoms, const int64 *__restrict__ first_atom, const double *__restrict__ now,
    const double *__restrict__ then, const double *__restrict__ strains, const double *__restrict__ sums,
    double *__restrict__ most)
{
    __shared__ double own[2][PART_BLOCK];
    const int64 system = blockIdx.x / n_parts, part = blockIdx.x % n_parts;
    const int64 start = first_atom[system] + part * part_atoms, end = first_atom[system + 1];
    const int64 stop = end < start + part_atoms ? end : start + part_atoms;
    double mean[3] = {0.0, 0.0, 0.0}, largest = 0.0, wrong = 0.0;
    for (int64 p = 0; p < n_parts; p++)
        for (int c = 0; c < 3; c++)
            mean[c] += sums[3 * (system * n_parts + p) + c];
    for (int c = 0; c < 3; c++)
        mean[c] /= (double)(end - first_atom[system]);
    for (int64 i = start + threadIdx.x; i < stop; i += PART_BLOCK) {
        double u[3];
        displacement(now + 3 * i, then + 3 * i, strains + 9 * system, u);
        for (int c = 0; c < 3; c++)
            u[c] -= mean[c];
        const double square = u[0] * u[0] + u[1] * u[1] + u[2] * u[2];
        largest = fmax(largest, square);
        wrong = square < 1e300 ? wrong : 1.0;
    }
    own[0][threadIdx.x] = largest;
    own[1][threadIdx.x] = wrong;
    block_maxima(own, 2);
    if (threadIdx.x < 2)
        most[blockIdx.x * (int64)2 + threadIdx.x] = own[threadIdx.x][0];
}
