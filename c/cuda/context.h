/* The context, and what its parts ask of each other: vrcnn_cuda.c opens and closes it, load.c puts kernels and weights on the GPU, bands.c
 * launches them on bands of pictures, filter.c and host.c take pictures from callers (job.h), peak.c measures.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_CUDA_CONTEXT_H
#define VRCNN_CUDA_CONTEXT_H

#include "driver.h"
#include "launch.h"
#include "model.h"
#include "planes.h"
#include "vrcnn/vrcnn_cuda.h"

enum {
    VRCNN_GPU_SLOTS = 3,                   /* pictures of the host on their way at once */
    VRCNN_GPU_MAPS = VRCNN_MOST_ADDED + 1, /* that kernels for single layers need at most: of a layer, and of those before it */
    VRCNN_GPU_NAME_SIZE = 128
};

typedef struct VrcnnGpuShape {
    const char *name;
    int threads, shared;
    int rows, columns; /* samples of a tile of outputs */
} VrcnnGpuShape;

/* A kernel that walks over tiles with as many blocks as the GPU can hold. */
typedef struct VrcnnGpuKernel {
    const VrcnnGpuShape *shape;
    CUfunction function;
    int blocks; /* on a multiprocessor */
} VrcnnGpuKernel;

/* A layer of a joint network on tensor cores. */
typedef struct VrcnnGpuJoint {
    VrcnnCudaJoint plan;
    CUfunction function;
    int shared, blocks; /* bytes of a block, blocks on a multiprocessor */
    uint64_t weights;   /* of all slices, on the GPU */
} VrcnnGpuJoint;

typedef struct VrcnnGpuNetwork {
    int is_fused, layers;
    VrcnnNature nature;
    VrcnnLayer layer[VRCNN_MAX_LAYERS]; /* bias and weights point nowhere */
    uint64_t first, second;             /* weights of VRCNN's fused kernels on the GPU */
    VrcnnGpuJoint joint[VRCNN_MAX_LAYERS];
    uint64_t simple[VRCNN_MAX_LAYERS][VRCNN_MAX_BRANCHES];
    int widest; /* channels of its widest map between layers */
    int maps;   /* of kernels for single layers: outputs of so many layers are kept at once */
} VrcnnGpuNetwork;

/* What a picture of the host passes through. */
typedef struct VrcnnGpuSlot {
    CUstream stream;
    CUdeviceptr src, dst;
    void *pinned_src, *pinned_dst;
    size_t src_size, dst_size; /* of both kinds of memory */
    int pending;               /* the picture whose result is awaited, or -1 */
} VrcnnGpuSlot;

struct VrcnnCuda {
    VrcnnDriver driver;
    CUdevice device;
    CUcontext context;
    CUmodule module;
    char name[VRCNN_GPU_NAME_SIZE];
    int capability, multiprocessors;
    size_t map_size, memory;
    CUfunction simple_first, simple_hidden, simple_last, peak;
    CUfunction joint_first, joint_hidden[2], joint_last[2]; /* the latter for 32 and for 64 inputs */
    VrcnnGpuKernel first, second;
    CUdeviceptr weights;
    CUdeviceptr map[VRCNN_GPU_MAPS];
    size_t map_sizes[VRCNN_GPU_MAPS];
    CUevent done; /* recorded when the maps are free again */
    int used;     /* done has been recorded */
    VrcnnGpuSlot slot[VRCNN_GPU_SLOTS];
    int networks;
    VrcnnGpuNetwork network[];
};

/* Makes the GPU's context the thread's; leave() gives back the one before. */
int vrcnn_gpu_enter(VrcnnCuda *c);
int vrcnn_gpu_leave(VrcnnCuda *c, int error);

/* Memory of the GPU that vrcnn_cuda_memory() counts. */
int vrcnn_gpu_allocate(VrcnnCuda *c, CUdeviceptr *out, size_t size);
void vrcnn_gpu_release(VrcnnCuda *c, CUdeviceptr *pointer, size_t size);

/* Kernels and the networks' weights. most_shared: bytes of shared memory that a block may have. */
int vrcnn_gpu_load(VrcnnCuda *c, const VrcnnModel *model, const VrcnnCudaSettings *settings, int most_shared);

/* blocks of a kernel whose only parameter is a struct. */
int vrcnn_gpu_launch(VrcnnCuda *c, CUfunction function, int64_t blocks, int threads, int shared, const void *parameter, CUstream stream);

/* Pictures of `planes` planes each (1: luma alone, or 3), one picture after the other. */
typedef struct VrcnnGpuPictures {
    int count, planes;
    const VrcnnPlane *dst;
    const VrcnnConstPlane *src;
} VrcnnGpuPictures;

/* One network on one rectangle of pictures that lie in the GPU's memory. */
typedef struct VrcnnGpuWork {
    const VrcnnGpuNetwork *network;
    const VrcnnWeights *weights;
    int writes_luma, writes_chroma; /* 0: as if the planes of dst were without data */
    VrcnnRegion region;             /* of sites, if the network is joint */
} VrcnnGpuWork;

/* Filters pictures that are already checked, in bands and batches that fit the maps' memory. */
int vrcnn_gpu_filter(VrcnnCuda *c, const VrcnnGpuWork *work, const VrcnnGpuPictures *pictures, CUstream stream);

/* Streams and memory that pictures of the host took. */
void vrcnn_gpu_close_slots(VrcnnCuda *c);

#endif
