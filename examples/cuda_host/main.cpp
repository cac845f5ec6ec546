/*
 * A generated CUDA source in a C++ program of its own: no Python, no acegen, the CUDA toolkit alone.
 *
 *   nvcc -cubin -arch=native si.acegen/si.cu -o si.cubin
 *   nvcc -std=c++17 examples/cuda_host/main.cpp -lcuda -o cuda_host
 *   ./cuda_host si.acegen/manifest.json si.cubin
 *
 * Reads the launch list of the bundle, builds a batch of two rattled diamond crystals, finds the neighbours with plain
 * loops over atoms and periodic images, evaluates energies, forces and virials on the GPU, and compares forces with
 * finite differences of the energy.  Exit code 0 when they agree.  The third argument is the lattice constant.
 */
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <tuple>

#include "potential.hpp"

/* Uniform in [-1, 1): a small generator, so that every machine builds the same crystal. */
static double noise(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) / 4503599627370496.0 - 1.0;
}

/* Appends a crystal of cells^3 cubes of 8 atoms, of all species in turn. */
static void add_crystal(Graph *graph, double a, int cells, int n_species, uint64_t seed)
{
    static const double BASIS[8][3] = {{0, 0, 0},       {0, .5, .5},     {.5, 0, .5},     {.5, .5, 0},
                                       {.25, .25, .25}, {.25, .75, .75}, {.75, .25, .75}, {.75, .75, .25}};
    const int n = 8 * cells * cells * cells;
    for (int i = 0; i < n; i++) {
        const int cell[3] = {i / 8 % cells, i / 8 / cells % cells, i / 8 / cells / cells};
        for (int x = 0; x < 3; x++)
            graph->positions.push_back(a * (cell[x] + BASIS[i % 8][x]) + 0.04 * noise(&seed));
        graph->species.push_back(i * 3 / 2 % n_species);
    }
    graph->first_atom.push_back(graph->first_atom.back() + n);
}

/* Neighbours within `reach` of the last crystal, ordered by centre, neighbour and image. The 27 nearest images of a
 * cube are enough while it is longer than the reach. */
static void add_edges(Graph *graph, double length, double reach)
{
    const int64_t start = graph->first_atom[graph->first_atom.size() - 2], stop = graph->first_atom.back();
    const int first_shift = int(graph->shifts.size() / 3);
    for (int s = 0; s < 27; s++)
        for (int x : {s / 9 - 1, s / 3 % 3 - 1, s % 3 - 1})
            graph->shifts.push_back(length * x);
    const std::vector<double> &r = graph->positions;
    for (int64_t i = start; i < stop; i++) {
        for (int64_t j = start; j < stop; j++)
            for (int s = first_shift; s < first_shift + 27; s++) {
                double square = 0.0;
                for (int x = 0; x < 3; x++) {
                    const double d = r[size_t(3 * j + x)] - r[size_t(3 * i + x)] + graph->shifts[size_t(3 * s + x)];
                    square += d * d;
                }
                if (square < reach * reach && (i != j || s != first_shift + 13)) {
                    graph->edge_to.push_back(int32_t(j));
                    graph->edge_shift.push_back(s);
                }
            }
        graph->first_edge.push_back(int64_t(graph->edge_to.size()));
    }
}

/* The edge back, found in the sorted list of the neighbour; opposite images are as far from the middle one. */
static void add_reverse(Graph *graph)
{
    for (size_t i = 0; i + 1 < graph->first_edge.size(); i++)
        for (int64_t e = graph->first_edge[i]; e < graph->first_edge[i + 1]; e++) {
            const int32_t shift = graph->edge_shift[size_t(e)], table = shift / 27 * 27;
            const std::pair<int32_t, int32_t> wanted(int32_t(i), 2 * table + 26 - shift);
            int64_t low = graph->first_edge[size_t(graph->edge_to[size_t(e)])];
            while (std::make_pair(graph->edge_to[size_t(low)], graph->edge_shift[size_t(low)]) < wanted)
                low++;
            graph->reverse.push_back(low);
        }
}

/* Largest error of some forces against central differences, extrapolated: of order h^4. */
static double force_error(Evaluator *potential, const Graph &graph, const std::vector<double> &forces)
{
    double worst = 0.0;
    for (size_t k = 0; k < graph.positions.size(); k += graph.positions.size() / 7) {
        double slope[2], h = 0.004;
        for (double &s : slope) {
            double sums[2] = {0.0, 0.0};
            for (int side = 0; side < 2; side++) {
                std::vector<double> moved = graph.positions;
                moved[k] += side ? h : -h;
                potential->evaluate(moved);
                for (double energy : potential->result("energy"))
                    sums[side] += energy;
            }
            s = (sums[1] - sums[0]) / (2 * h);
            h /= 2;
        }
        worst = std::max(worst, std::fabs(forces[k] + (4 * slope[1] - slope[0]) / 3));
    }
    return worst;
}

static int run(const char *manifest, const char *cubin, double a)
{
    const Record record = read_record(manifest);
    const double reach = record.cutoff + 0.1; /* the finite differences move atoms a little */
    const int n_species = int(record.species.size()), cells = int(reach / a) + 1;
    Graph graph;
    for (int extra : {1, 0}) { /* two structures in one batch */
        add_crystal(&graph, a, cells + extra, n_species, 1 + uint64_t(extra));
        add_edges(&graph, a * (cells + extra), reach);
    }
    add_reverse(&graph);

    Evaluator potential(record, cubin, graph);
    potential.evaluate(graph.positions);
    const std::vector<double> energy = potential.result("energy"), forces = potential.result("forces");
    double largest = 0.0, sum[3] = {0.0, 0.0, 0.0};
    for (size_t k = 0; k < forces.size(); k++) {
        largest = std::max(largest, std::fabs(forces[k]));
        sum[k % 3] += forces[k];
    }
    std::printf("%zu atoms, %zu edges, energies %.10f and %.10f eV\n", graph.species.size(), graph.edge_to.size(),
                energy[0], energy[1]);
    std::printf("largest force %.6f eV/A, sum of forces %.1e %.1e %.1e\n", largest, sum[0], sum[1], sum[2]);
    const double error = force_error(&potential, graph, forces);
    std::printf("forces - finite differences: %.1e eV/A\n", error);
    const double limit = record.real == "float" ? 1e-2 : 1e-6;
    const bool good = error < limit * largest;
    std::puts(good ? "good" : "WRONG");
    return good ? 0 : 1;
}

int main(int count, char **arguments)
{
    if (count < 3) {
        std::fprintf(stderr, "usage: %s MANIFEST CUBIN [LATTICE_CONSTANT]\n", arguments[0]);
        return 2;
    }
    try {
        CUdevice device;
        CUcontext own;
        check(cuInit(0), "cuInit");
        check(cuDeviceGet(&device, 0), "cuDeviceGet");
        check(cuDevicePrimaryCtxRetain(&own, device), "cuDevicePrimaryCtxRetain");
        check(cuCtxSetCurrent(own), "cuCtxSetCurrent");
        const int result = run(arguments[1], arguments[2], count > 3 ? std::atof(arguments[3]) : 5.2);
        check(cuDevicePrimaryCtxRelease(device), "cuDevicePrimaryCtxRelease");
        return result;
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 2;
    }
}
