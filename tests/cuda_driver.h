/* Stand-in for the driver's cuda.h: device memory is the processor's, a module is a library of the host shim. */
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>

typedef enum { CUDA_SUCCESS = 0, CUDA_ERROR = 1 } CUresult;
typedef enum {
    CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES = 1,
    CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8
} CUfunction_attribute;
typedef enum { CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN = 97 } CUdevice_attribute;
typedef int CUdevice;
typedef void *CUcontext, *CUmodule, *CUstream;
typedef struct CUfunc_st { void *module; int place; } *CUfunction;
typedef uintptr_t CUdeviceptr;

static const char *driver_message = "refused by the stand-in";

inline CUresult cuGetErrorString(CUresult, const char **text) { return *text = driver_message, CUDA_SUCCESS; }
inline CUresult cuInit(unsigned) { return CUDA_SUCCESS; }
inline CUresult cuDeviceGet(CUdevice *device, int) { return *device = 0, CUDA_SUCCESS; }
inline CUresult cuDevicePrimaryCtxRetain(CUcontext *out, CUdevice) { return *out = nullptr, CUDA_SUCCESS; }
inline CUresult cuDevicePrimaryCtxRelease(CUdevice) { return CUDA_SUCCESS; }
inline CUresult cuCtxSetCurrent(CUcontext) { return CUDA_SUCCESS; }
inline CUresult cuCtxGetDevice(CUdevice *device) { return *device = 0, CUDA_SUCCESS; }
inline CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute, CUdevice)
{
    return *value = 227 * 1024, CUDA_SUCCESS;
}
inline CUresult cuFuncGetAttribute(int *value, CUfunction_attribute, CUfunction)
{
    return *value = 8704, CUDA_SUCCESS;
}
inline CUresult cuCtxSynchronize(void) { return CUDA_SUCCESS; }
inline CUresult cuFuncSetAttribute(CUfunction, CUfunction_attribute, int) { return CUDA_SUCCESS; }

inline CUresult cuMemAlloc(CUdeviceptr *place, size_t bytes)
{
    void *memory = malloc(bytes);
    if (!memory)
        return CUDA_ERROR;
    *place = reinterpret_cast<CUdeviceptr>(memset(memory, 0xff, bytes)); /* NaN: what nobody wrote shows */
    return CUDA_SUCCESS;
}
inline CUresult cuMemFree(CUdeviceptr place) { return free(reinterpret_cast<void *>(place)), CUDA_SUCCESS; }
inline CUresult cuMemcpyHtoD(CUdeviceptr to, const void *from, size_t bytes)
{
    return memcpy(reinterpret_cast<void *>(to), from, bytes), CUDA_SUCCESS;
}
inline CUresult cuMemcpyDtoH(void *to, CUdeviceptr from, size_t bytes)
{
    return memcpy(to, reinterpret_cast<void *>(from), bytes), CUDA_SUCCESS;
}

inline CUresult cuModuleLoad(CUmodule *module, const char *path)
{
    *module = dlopen(path, RTLD_NOW);
    return *module ? CUDA_SUCCESS : (driver_message = dlerror(), CUDA_ERROR);
}
inline CUresult cuModuleUnload(CUmodule) { return CUDA_SUCCESS; }
inline CUresult cuModuleGetFunction(CUfunction *out, CUmodule module, const char *name)
{
    static CUfunc_st functions[64];
    const int count = reinterpret_cast<int (*)()>(dlsym(module, "cuda_host_count"))();
    const auto name_of = reinterpret_cast<const char *(*)(int)>(dlsym(module, "cuda_host_name"));
    for (int k = 0; k < count && k < 64; k++)
        if (!strcmp(name_of(k), name)) {
            functions[k] = {module, k};
            *out = &functions[k];
            return CUDA_SUCCESS;
        }
    return CUDA_ERROR;
}
inline CUresult cuLaunchKernel(
    CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
    CUstream, void **arguments, void **)
{
    typedef int (*Start)(int, const unsigned *, const unsigned *, size_t, int, uint64_t, void **);
    const unsigned grid[3] = {gx, gy, gz}, block[3] = {bx, by, bz};
    const Start start = reinterpret_cast<Start>(dlsym(function->module, "cuda_host_launch"));
    if (!start(function->place, grid, block, shared, 0, 1, arguments))
        return CUDA_SUCCESS;
    driver_message = reinterpret_cast<const char *(*)()>(dlsym(function->module, "cuda_host_message"))();
    return CUDA_ERROR;
}
