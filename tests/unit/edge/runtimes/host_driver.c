/* Stands in for libcuda.so.1: the same functions on host memory, so that edge/runtimes/cuda.py runs for real without a GPU.
   live(): how much is open or allocated. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
typedef void *p;
static int open_resources, context;
int live(void) { return open_resources; }
int cuInit(unsigned flags) { return flags ? 1 : 0; }
int cuDeviceGet(int *device, int ordinal) { *device = 7; return ordinal ? 101 : 0; }
int cuDeviceGetName(char *name, int length, int device) { strncpy(name, "Host GPU", length); return device == 7 ? 0 : 101; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  *value = attribute == 75 ? 8 : attribute == 76 ? 7 : attribute == 16 ? 16 : -1;
  return device == 7 ? 0 : 101;
}
int cuDevicePrimaryCtxRetain(p *handle, int device) { *handle = &context; open_resources++; return device == 7 ? 0 : 101; }
int cuDevicePrimaryCtxRelease_v2(int device) { open_resources--; return device == 7 ? 0 : 101; }
int cuCtxSetCurrent(p handle) { return handle == &context ? 0 : 201; }
int cuStreamCreate(p *stream, unsigned flags) { *stream = malloc(1); open_resources++; return flags == 1 ? 0 : 1; }
int cuStreamSynchronize(p stream) { return stream ? 0 : 400; }
int cuStreamDestroy_v2(p stream) { free(stream); open_resources--; return 0; }
int cuMemAlloc_v2(uint64_t *address, size_t size) {
  if (size > 1u << 30) return 2;
  *address = (uint64_t)(uintptr_t)malloc(size);
  open_resources++;
  return 0;
}
int cuMemFree_v2(uint64_t address) { free((p)(uintptr_t)address); open_resources--; return 0; }
int cuMemAllocHost_v2(p *address, size_t size) { *address = malloc(size); open_resources++; return 0; }
int cuMemFreeHost(p address) { free(address); open_resources--; return 0; }
int cuMemcpyHtoDAsync_v2(uint64_t to, p from, size_t size, p stream) {
  memcpy((p)(uintptr_t)to, from, size);
  return stream ? 0 : 400;
}
int cuMemcpyDtoHAsync_v2(p to, uint64_t from, size_t size, p stream) {
  memcpy(to, (p)(uintptr_t)from, size);
  return stream ? 0 : 400;
}
