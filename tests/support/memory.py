"""What a program finds in memory that nobody has set."""

import shutil
import subprocess
from pathlib import Path

import pytest

ALLOCATOR = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>

void *malloc(size_t size)
{
    static void *(*next)(size_t);
    static unsigned char fill;
    if (!next)
        next = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
    void *memory = next(size);
    return memory ? memset(memory, ++fill, size) : memory;
}
"""


def other_bytes_each_time(folder: Path) -> dict[str, str]:
    """The environment of a program whose allocations are filled with other bytes each time, as those of a long run may be."""
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("needs a C compiler")
    source, library = folder / "fill.c", folder / "fill.so"
    source.write_text(ALLOCATOR)
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return {"LD_PRELOAD": str(library)}
