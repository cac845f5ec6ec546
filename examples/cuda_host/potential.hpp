/* A potential on the GPU: its launch list, run through the CUDA driver. */
#pragma once

#include <cuda.h>

#include "record.hpp"

inline void check(CUresult result, const std::string &what)
{
    const char *text = nullptr;
    if (result != CUDA_SUCCESS) {
        cuGetErrorString(result, &text);
        throw std::runtime_error(what + ": " + (text ? text : "unknown error"));
    }
}

/* Device memory with the lifetime of the object. */
class DeviceArray {
public:
    explicit DeviceArray(size_t bytes) : bytes_(bytes)
    {
        check(cuMemAlloc(&place_, bytes > 0 ? bytes : 8), "cuMemAlloc");
    }
    template <class T> explicit DeviceArray(const std::vector<T> &values) : DeviceArray(values.size() * sizeof(T))
    {
        put(values);
    }
    DeviceArray(DeviceArray &&other) noexcept : bytes_(other.bytes_), place_(other.place_) { other.place_ = 0; }
    DeviceArray(const DeviceArray &) = delete;
    DeviceArray &operator=(const DeviceArray &) = delete;
    DeviceArray &operator=(DeviceArray &&) = delete;
    ~DeviceArray()
    {
        if (place_)
            cuMemFree(place_);
    }
    template <class T> void put(const std::vector<T> &values)
    {
        if (bytes_ > 0)
            check(cuMemcpyHtoD(place_, values.data(), bytes_), "cuMemcpyHtoD");
    }
    std::vector<double> doubles() const
    {
        std::vector<double> out(bytes_ / sizeof(double));
        if (bytes_ > 0)
            check(cuMemcpyDtoH(out.data(), place_, bytes_), "cuMemcpyDtoH");
        return out;
    }
    CUdeviceptr place() const { return place_; }

private:
    size_t bytes_;
    CUdeviceptr place_ = 0;
};

/* Any number of structures with full neighbour lists, on the host; lengths in angstrom. */
struct Graph {
    std::vector<int64_t> first_atom{0}; /* [n_systems + 1] */
    std::vector<int32_t> species;       /* [n_atoms] */
    std::vector<double> positions;      /* [n_atoms][3] */
    std::vector<int64_t> first_edge{0}; /* [n_atoms + 1] */
    std::vector<int32_t> edge_to, edge_shift;
    std::vector<double> shifts;    /* [n_shifts][3] */
    std::vector<int64_t> reverse;  /* [n_edges] edge j -> i of the opposite shift */
};

/* Evaluates one graph at changing positions. */
class Evaluator {
public:
    Evaluator(const Record &record, const std::string &cubin, const Graph &graph) : record_(record)
    {
        check(cuModuleLoad(&module_, cubin.c_str()), cubin);
        const std::vector<int32_t> tile_atoms = count_sizes(graph);
        add("first_atom", graph.first_atom), add("species", graph.species), add("positions", graph.positions);
        add("first_edge", graph.first_edge), add("edge_to", graph.edge_to), add("edge_shift", graph.edge_shift);
        add("shifts", graph.shifts), add("reverse", graph.reverse), add("tile_atoms", tile_atoms);
        const int64_t atoms = sizes_["n_atoms"], edges = sizes_["n_edges"], systems = sizes_["n_systems"];
        const std::map<std::string, int64_t> outputs{{"energy", systems},    {"energies", atoms},
                                                     {"forces", 3 * atoms},  {"virial", 9 * systems},
                                                     {"virials", 9 * atoms}, {"edge_gradients", 3 * edges}};
        for (const auto &[name, count] : outputs)
            arrays_.emplace(name, DeviceArray(size_t(count) * sizeof(double)));
        for (const Buffer &buffer : record.buffers)
            arrays_.emplace(buffer.name, DeviceArray(bytes_of(buffer)));
    }
    Evaluator(const Evaluator &) = delete;
    Evaluator &operator=(const Evaluator &) = delete;
    ~Evaluator() { cuModuleUnload(module_); }

    void evaluate(const std::vector<double> &positions)
    {
        arrays_.at("positions").put(positions);
        for (const Launch &launch : record_.launches)
            start(launch);
        check(cuCtxSynchronize(), "kernels");
    }
    std::vector<double> result(const std::string &name) const { return arrays_.at(name).doubles(); }

private:
    /* Sizes that the launches name, and the atoms in tiles of 32 of one species, -1 where there is none. */
    std::vector<int32_t> count_sizes(const Graph &graph)
    {
        std::vector<int32_t> tile_atoms;
        sizes_["n_systems"] = int64_t(graph.first_atom.size()) - 1;
        sizes_["n_atoms"] = int64_t(graph.species.size());
        sizes_["n_edges"] = int64_t(graph.edge_to.size());
        for (size_t c = 0; c < record_.species.size(); c++) {
            const int64_t first = int64_t(tile_atoms.size()) / 32;
            for (size_t i = 0; i < graph.species.size(); i++)
                if (graph.species[i] == int32_t(c))
                    tile_atoms.push_back(int32_t(i));
            tile_atoms.resize((tile_atoms.size() + 31) / 32 * 32, -1);
            sizes_["first_tile_" + std::to_string(c)] = first;
            sizes_["n_tiles_" + std::to_string(c)] = int64_t(tile_atoms.size()) / 32 - first;
        }
        sizes_["n_tiles"] = int64_t(tile_atoms.size()) / 32;
        return tile_atoms;
    }

    size_t bytes_of(const Buffer &buffer) const
    {
        const std::string &type = buffer.ctype == "real" ? record_.real : buffer.ctype;
        int64_t bytes = type == "double" || type == "int64_t" ? 8 : 4;
        for (const std::string &size : buffer.shape)
            bytes *= std::isdigit((unsigned char)size[0]) ? std::stoll(size) : sizes_.at(size);
        return size_t(bytes);
    }

    template <class T> void add(const std::string &name, const std::vector<T> &values)
    {
        arrays_.emplace(name, DeviceArray(values));
    }

    void start(const Launch &launch)
    {
        const int64_t blocks = (sizes_.at(launch.count) + launch.per_block - 1) / launch.per_block;
        if (blocks == 0)
            return;
        CUfunction kernel;
        check(cuModuleGetFunction(&kernel, module_, launch.kernel.c_str()), launch.kernel);
        /* where a card has less, the kernel was compiled to use global memory, and gets none */
        int most = 0, own = 0;
        CUdevice device;
        check(cuCtxGetDevice(&device), "cuCtxGetDevice");
        check(cuDeviceGetAttribute(&most, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, device), "device");
        check(cuFuncGetAttribute(&own, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, kernel), launch.kernel);
        const int shared = launch.shared + own > most ? 0 : int(launch.shared);
        if (shared > 0)
            check(cuFuncSetAttribute(kernel, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, shared), launch.kernel);
        std::vector<int64_t> values; /* pointers and numbers alike take 8 bytes; what is not there is null */
        for (const std::string &name : launch.arguments) {
            const auto size = sizes_.find(name);
            const auto array = arrays_.find(name);
            values.push_back(size != sizes_.end() ? size->second
                             : array != arrays_.end() ? int64_t(array->second.place())
                                                      : 0);
        }
        std::vector<void *> arguments;
        for (int64_t &value : values)
            arguments.push_back(&value);
        check(cuLaunchKernel(kernel, unsigned(blocks), 1, 1, unsigned(launch.block), 1, 1, unsigned(shared),
                             nullptr, arguments.data(), nullptr),
              launch.kernel);
    }

    const Record &record_;
    CUmodule module_ = nullptr;
    std::map<std::string, int64_t> sizes_;
    std::map<std::string, DeviceArray> arrays_;
};
