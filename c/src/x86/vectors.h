/* What kernels with blocks of vectors in registers ask of a compiler.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_SRC_X86_VECTORS_H
#define VRCNN_SRC_X86_VECTORS_H

/* Functions whose arguments are constants in every call: the shape of a block. (Of emulated instructions that would be minutes of work for
 * a compiler.) */
#if defined(VRCNN_EMULATED)
#define INLINE static inline
#else
#define INLINE static inline __attribute__((always_inline))
#endif

/* A loop over the vectors of a block, at most 8 rounds, completely unrolled: only then can the vectors be in registers. */
#if defined(VRCNN_EMULATED)
#define UNROLL(i, count) for (int i = 0; (i) < (count); (i)++) /* NOLINT(bugprone-macro-parentheses) */
#elif defined(__clang__)
#pragma clang diagnostic ignored "-Wpass-failed" /* instrumented for a sanitizer a loop may stay one: slow, not wrong */
#define UNROLL(i, count) _Pragma("clang loop unroll(full)") for (int i = 0; (i) < (count); (i)++) /* NOLINT(bugprone-macro-parentheses) */
#else
#define UNROLL(i, count) _Pragma("GCC unroll 8") for (int i = 0; (i) < (count); (i)++)
#endif

#endif
